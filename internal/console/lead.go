package console

import (
	"context"
	"slices"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// placeOf is where a record stands.
type placeOf struct {
	traffic bool
	index   int64
}

func keyOf(r *entry) placeOf { return placeOf{r.Traffic, r.Index} }

// sessionRecords are those of a session, newest first: of a connection, or of what an
// actor's side names so, through whatever gates.
func (c *Console) sessionRecords(ctx context.Context, id, actor string) ([]entry, error) {
	if actor == "" {
		in, _, err := c.recent(ctx, audit.Query{Session: id, Limit: inSession})
		return in, err
	}
	all, _, err := c.recent(ctx, audit.Query{Actor: actor, Since: time.Now().Add(-leadTime), Limit: counted})
	if err != nil {
		return nil, err
	}
	approvals, acts, asked := map[string]bool{}, map[string]bool{}, map[placeOf]bool{}
	var out []entry
	for i := len(all) - 1; i >= 0; i-- { // an outcome comes after its request
		r := &all[i]
		own := r.Detail["session"] == id || r.Type == audit.TypePrompt && r.Session == id
		if own && r.Type == audit.TypeRequest {
			asked[keyOf(r)], approvals[r.Approval], acts[r.Detail["act"]] = true, true, true
		}
		if own || r.Approval != "" && approvals[r.Approval] || r.Previous != 0 && asked[placeOf{r.Traffic, r.Previous}] || r.Detail["act"] != "" && acts[r.Detail["act"]] {
			out = append(out, *r)
		}
	}
	slices.Reverse(out)
	return out[:min(len(out), inSession)], nil
}

// wholeLine sums up the steps of a session, the first one first.
func wholeLine(steps []entry) sessionLine {
	var l sessionLine
	var by [4]int64
	for i := range steps {
		if i == 0 {
			l.First = steps[i].Time
		}
		l.Last = steps[i].Time
		if steps[i].Type != audit.TypeRequest {
			continue
		}
		l.Actions++
		class, _ := outcomeOf(&steps[i].Record)
		for k, s := range series() {
			if s.Class == class {
				by[k]++
			}
		}
	}
	l.Share = shareOf(by, int64(l.Actions))
	return l
}

// led is how deep an action stands under those that led to it, and the last of them.
type led struct {
	depth   int
	by, how string
}

// depthsOf finds how deep each request of in (newest first) stands under others of in.
func depthsOf(in []entry) map[placeOf]led {
	title, above := map[string]string{}, map[string]string{} // by the name of an action: its title, and what led to it
	names := map[placeOf]string{}
	for i := range in {
		if r := &in[i]; r.Type == audit.TypeOutcome && r.Previous != 0 && r.Detail["act"] != "" {
			names[placeOf{r.Traffic, r.Previous}] = r.Detail["act"]
		}
	}
	for i := range in {
		r := &in[i]
		if act := firstOf(r.Detail["act"], names[keyOf(r)]); r.Type == audit.TypeRequest && act != "" {
			title[act], above[act] = firstOf(r.Title, r.Verb), r.Detail["parent"]
		}
	}
	const deepest = 8
	out := map[placeOf]led{}
	for i := range in {
		r := &in[i]
		parent := r.Detail["parent"]
		if r.Type != audit.TypeRequest || parent == "" {
			continue
		}
		l := led{by: title[parent], how: r.Detail["parent.how"]}
		for act := parent; act != "" && l.depth < deepest; act = above[act] {
			l.depth++
		}
		out[keyOf(r)] = l
	}
	return out
}
