package change

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/sealed"
)

const thawing = "thaw"

// A thaw is the body of a change that lets something frozen go.
type thaw struct {
	Freeze string `json:"freeze"`
}

// HandleThaw teaches e to let go what s froze.
func (e *Engine) HandleThaw(s *freeze.Switch) {
	e.freezes = s
	e.Handle(thawing, Applier{
		Check: func(ctx context.Context, body []byte) error {
			var t thaw
			if err := json.Unmarshal(body, &t); err != nil {
				return err
			}
			_, err := e.frozen(ctx, t.Freeze)
			return err
		},
		Apply: func(ctx context.Context, w *sealed.Writer, id string, c *Change) error {
			var t thaw
			if err := json.Unmarshal(c.Body, &t); err != nil {
				return errors.Join(err, ErrStale)
			}
			err := s.Thaw(ctx, w, t.Freeze, c.Author, id)
			if errors.Is(err, freeze.ErrThawed) || errors.Is(err, sealed.ErrNotFound) {
				return errors.Join(err, ErrStale)
			}
			return err
		},
		Done: func(ctx context.Context) {
			if err := s.Load(ctx); err != nil {
				e.o.Logger.ErrorContext(ctx, "what is frozen could not be read again", "err", err)
			}
		},
	})
}

func (e *Engine) frozen(ctx context.Context, id string) (freeze.Entry, error) {
	f, err := e.freezes.Get(ctx, id)
	if err == nil && !f.Active() {
		err = freeze.ErrThawed
	}
	return f, err
}

// Thaw asks to let go what is frozen. It happens when somebody else has allowed
// it who is not behind the frozen one.
func (e *Engine) Thaw(ctx context.Context, id, reason string, p Proposal) (Entry, error) {
	f, err := e.frozen(ctx, id)
	if err != nil {
		return Entry{}, err
	}
	p.What, p.Title = thawing, "Let go: "+f.String()
	p.Text = fmt.Sprintf("%s was frozen at %s by %s:\n  %s\n\n%s asks to let it go:\n  %s",
		f.Target, f.At.Format("2006-01-02 15:04 UTC"), f.ByName, f.Reason, p.Author.Name, strings.TrimSpace(reason))
	if p.Body, err = json.Marshal(thaw{id}); err != nil {
		return Entry{}, err
	}
	p.Related = map[string]string{}
	for _, o := range f.Owners {
		p.Related[o] = "behind what is frozen"
	}
	return e.Propose(ctx, p)
}
