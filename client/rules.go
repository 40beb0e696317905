package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Group is who is in a group, and why.
type Group struct {
	Name     string   `json:"name"`
	Members  []Party  `json:"members"`
	From     []string `json:"from"`    // groups of issuers that are it
	Added    []string `json:"added"`   // while running, beside the configuration
	Removed  []string `json:"removed"` // while running
	Rotating bool     `json:"rotating,omitempty"`
}

// Groups lists every group that the configuration names or somebody changed.
func (c *Client) Groups(ctx context.Context) ([]Group, error) {
	var out struct {
		Groups []Group `json:"groups"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/groups", nil, nil, &out); err != nil {
		return nil, err
	}
	return out.Groups, nil
}

// ChangeGroup asks to add members to a group, or to remove some. What permits more
// waits for another administrator.
func (c *Client) ChangeGroup(ctx context.Context, group string, add, remove []string, reason string) (*Change, error) {
	in := map[string]any{"group": group, "reason": reason}
	if len(add) > 0 {
		in["add"] = add
	}
	if len(remove) > 0 {
		in["remove"] = remove
	}
	return c.change(ctx, "/v1/groups", in)
}

// ErasePerson asks to erase whom names name. It waits for another administrator.
func (c *Client) ErasePerson(ctx context.Context, names []string, reason string) (*Change, error) {
	return c.change(ctx, "/v1/erasures", map[string]any{"names": names, "reason": reason})
}

// A Hold is a legal hold: it keeps a person or a time from erasure.
type Hold struct {
	ID    string    `json:"id"`
	State string    `json:"state"` // "held" or "released"
	Names []string  `json:"names,omitempty"`
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	At    time.Time `json:"at"`
}

// Holds lists every legal hold.
func (c *Client) Holds(ctx context.Context) ([]Hold, error) {
	var out struct {
		Holds []Hold `json:"holds"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/holds", nil, nil, &out); err != nil {
		return nil, err
	}
	return out.Holds, nil
}

// PlaceHold asks to keep a person, a time, or a person in a time from erasure. It waits for
// another administrator.
func (c *Client) PlaceHold(ctx context.Context, names []string, from, until time.Time, reason string) (*Change, error) {
	in := map[string]any{"reason": reason}
	if len(names) > 0 {
		in["names"] = names
	}
	for name, t := range map[string]time.Time{"from": from, "until": until} {
		if !t.IsZero() {
			in[name] = t.UTC()
		}
	}
	return c.change(ctx, "/v1/holds", in)
}

// ReleaseHold asks to end a hold. It waits for another administrator.
func (c *Client) ReleaseHold(ctx context.Context, id, reason string) (*Change, error) {
	return c.change(ctx, "/v1/holds/"+url.PathEscape(id)+"/release", map[string]any{"reason": reason})
}

// A Turn is who is on call.
type Turn struct {
	Group  string    `json:"group"`
	Person *Party    `json:"person,omitempty"`
	Next   time.Time `json:"next"`
	People []string  `json:"people"`
}

// A Swap puts another of a rotation's people on call for a while.
type Swap struct {
	ID     string    `json:"id"`
	Group  string    `json:"group"`
	Person Party     `json:"person"`
	By     string    `json:"by"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	Ended  time.Time `json:"ended,omitzero"`
}

// OnCall lists who is on call, and what was changed by hand.
func (c *Client) OnCall(ctx context.Context) ([]Turn, []Swap, error) {
	var out struct {
		Turns []Turn `json:"turns"`
		Swaps []Swap `json:"swaps"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/oncall", nil, nil, &out); err != nil {
		return nil, nil, err
	}
	return out.Turns, out.Swaps, nil
}

// SwapTurn asks to put another of a rotation's people on call; a zero from is now.
// It waits for another administrator.
func (c *Client) SwapTurn(ctx context.Context, group, person string, from, until time.Time, reason string) (*Change, error) {
	in := map[string]any{"group": group, "person": person, "until": until.UTC().Truncate(time.Second), "reason": reason}
	if !from.IsZero() {
		in["from"] = from.UTC().Truncate(time.Second)
	}
	return c.change(ctx, "/v1/oncall/swaps", in)
}

// EndSwap ends one at once.
func (c *Client) EndSwap(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/oncall/swaps/"+url.PathEscape(id), nil, nil, nil)
}

// A Setting is a limit that may be changed while the server runs.
type Setting struct {
	Name    string `json:"name"`
	Doc     string `json:"doc"`
	Value   string `json:"value"`
	Default string `json:"default"` // the configuration's
	Changed bool   `json:"changed,omitempty"`
	Least   string `json:"least"`
	Most    string `json:"most"`
}

// Settings lists what may be changed while the server runs.
func (c *Client) Settings(ctx context.Context) ([]Setting, error) {
	var out struct {
		Settings []Setting `json:"settings"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/settings", nil, nil, &out); err != nil {
		return nil, err
	}
	return out.Settings, nil
}

// ChangeSettings asks for other values. What permits more waits for another
// administrator; of each, less is stricter.
func (c *Client) ChangeSettings(ctx context.Context, set map[string]string, reason string) (*Change, error) {
	return c.change(ctx, "/v1/settings", map[string]any{"set": set, "reason": reason})
}
