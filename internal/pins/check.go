package pins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/sealed"
)

// Check tells what becomes of the definitions that a server lists, in their order.
// What is seen for the first time is pinned or held, durably, before it returns.
// An error means that nobody knows: nothing may be listed or called. What stands
// behind a # in server tells apart those that share what the administrator said.
func (k *Keeper) Check(ctx context.Context, gate, server string, defs []mcp.Definition) ([]Verdict, error) {
	c := k.newCheck(gate, server, defs)
	out, due := c.all()
	for try := 0; len(due) > 0; try++ {
		held, err := k.write(ctx, c, due)
		if errors.Is(err, sealed.ErrConflict) && try < 3 { // another node saw it at the same time
			for i := range due {
				k.read(idOf(gate, server, due[i].Name))
			}
			out, due = c.all()
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("pinning the tools of %s: %w", server, err)
		}
		for i := range held {
			k.o.Held(ctx, held[i])
		}
		break
	}
	return out, nil
}

// judged is a tool to store, with what it was judged by.
type judged struct {
	Tool
	was *Tool // nil: there was none
}

// check is one list that is being judged.
type check struct {
	k      *Keeper
	server Server
	defs   []mcp.Definition
	twice  map[string]bool     // names that stand more than once
	shapes map[string][]string // names of the list, two at most of each shape
	relied map[string][]named  // names that are relied on in this gate, by shape
	room   int
}

// named is a name that others may be taken for.
type named struct{ server, name string }

func (k *Keeper) newCheck(gate, server string, defs []mcp.Definition) *check {
	k.mu.RLock()
	defer k.mu.RUnlock()
	name, _, _ := strings.Cut(server, "#")
	s := k.servers[[2]string{gate, name}]
	s.Gate, s.Name = gate, server
	c := &check{k: k, server: s, defs: defs, twice: map[string]bool{}, shapes: map[string][]string{}, relied: map[string][]named{}, room: k.o.MaxTools}
	seen := map[string]bool{}
	for i := range defs {
		name := defs[i].Name
		if c.twice[name] = seen[name]; !seen[name] {
			if shape := Skeleton(name); len(c.shapes[shape]) < 2 {
				c.shapes[shape] = append(c.shapes[shape], name)
			}
		}
		seen[name] = true
	}
	for _, t := range k.tools {
		if t.Gate != gate {
			continue
		}
		if t.Pinned != nil {
			shape := Skeleton(t.Name)
			c.relied[shape] = append(c.relied[shape], named{t.Server, t.Name})
		}
		if t.Server == server {
			c.room--
		}
	}
	return c
}

// all judges every definition by what is in memory; due are the tools to store.
func (c *check) all() (out []Verdict, due []judged) {
	now := c.k.o.Clock().UTC()
	for i := range c.defs {
		d := &c.defs[i]
		v := Verdict{Tool: d.Name, Digest: d.Digest()}
		left := c.left(d)
		if v.Why = left; left == "" {
			c.k.mu.RLock()
			was := c.k.tools[idOf(c.server.Gate, c.server.Name, d.Name)]
			c.k.mu.RUnlock()
			if was == nil && c.room <= 0 {
				v.Why = fmt.Sprintf("its server has more than %d tools", c.k.o.MaxTools)
			} else if t, changed := c.judge(was, d, &v, now); changed {
				due = append(due, judged{t, was})
				if was == nil {
					c.room--
				}
			}
		}
		if !v.Pinned && c.server.Show && left == "" && !deceives(d.Name) {
			v.Instead = marker(d.Name, v.Why)
		}
		out = append(out, v)
	}
	return out, due
}

// left says why a tool is left out whatever it looks like; "": it isn't.
func (c *check) left(d *mcp.Definition) string {
	fits := func(p string) bool { return mcp.Glob(p, d.Name) }
	switch {
	case slices.ContainsFunc(c.server.Deny, fits), len(c.server.Allow) > 0 && !slices.ContainsFunc(c.server.Allow, fits):
		return "the configuration leaves it out"
	case c.twice[d.Name]:
		return "its server lists two tools of this name"
	case !size(d):
		return fmt.Sprintf("its definition has more than %d KiB", maxPinned>>10)
	}
	return ""
}

// judge fills in the verdict on one definition, and tells what is to be stored.
func (c *check) judge(was *Tool, d *mcp.Definition, v *Verdict, now time.Time) (Tool, bool) {
	t := Tool{Gate: c.server.Gate, Server: c.server.Name, Name: d.Name}
	form := &Form{Digest: v.Digest, Definition: d.Canonical, At: now}
	switch {
	case was == nil:
		form.Why = c.suspicions(d)
		if c.server.Review {
			form.Why = append([]string{whyNew}, form.Why...)
		}
		if len(form.Why) == 0 {
			t.Pinned, v.Pinned = form, true
			return t, true
		}
		t.Held, v.Why = form, strings.Join(form.Why, "; ")
		return t, true
	case was.Name == "":
		v.Why = "its pin was changed outside Assent"
		return t, false
	case was.Pinned != nil && was.Pinned.Digest == v.Digest:
		v.Pinned = true
		t.Pinned = was.Pinned
		return t, was.Held != nil && now.Sub(was.Held.At) >= writeAfter
	}
	t.Pinned, t.Held = was.Pinned, form
	form.Why = append([]string{whyNew}, c.suspicions(d)...)
	if was.Pinned != nil {
		form.Why[0] = changed(was.Pinned.Definition, d.Canonical)
	}
	v.Why = strings.Join(form.Why, "; ")
	if was.Held != nil && was.Held.Digest == v.Digest {
		v.Why = strings.Join(was.Held.Why, "; ")
		return t, false
	}
	return t, was.Held == nil || now.Sub(was.Held.At) >= writeAfter
}

const whyNew = "nobody has released it yet"

// suspicions are why a definition is held at first sight, in words of ours.
func (c *check) suspicions(d *mcp.Definition) []string {
	var why []string
	if deceives(d.Name) {
		why = append(why, "its name is made to be taken for another")
	}
	shape := Skeleton(d.Name)
	if slices.ContainsFunc(c.shapes[shape], func(o string) bool { return o != d.Name }) {
		why = append(why, "its name looks like that of another tool of its server")
	}
	for _, o := range c.relied[shape] {
		if o.name != d.Name {
			why = append(why, "its name looks like that of a tool of "+o.server)
			break
		}
	}
	for _, s := range Suspicions(d.Canonical) {
		if s.Holds {
			why = append(why, s.What)
		}
	}
	slices.Sort(why)
	return slices.Compact(why)
}

// write stores tools, each as long as its row is what it was judged by.
func (k *Keeper) write(ctx context.Context, c *check, due []judged) (held []Tool, err error) {
	err = k.o.Box.Update(ctx, func(w *sealed.Writer) error {
		held = nil
		for i := range due {
			t, was := due[i].Tool, due[i].was
			e, err := rows.Get(ctx, &w.Reader, t.ID())
			if errors.Is(err, sealed.ErrNotFound) {
				e, err = &sealed.Entry[Tool]{ID: t.ID()}, nil
			}
			if err != nil {
				return err
			}
			if (was == nil) != (e.Revision == 0) || was != nil && !same(was, &e.Value) {
				return fmt.Errorf("tool %s of %s: %w", t.ID(), c.server.Name, sealed.ErrConflict)
			}
			if t.Held != nil && (was == nil || was.Held == nil || was.Held.Digest != t.Held.Digest) {
				held = append(held, t)
			}
			e.Value, e.Key = t, t.State()
			if err := rows.Put(ctx, w, e, record(&t)); err != nil {
				return err
			}
		}
		return nil
	})
	return held, err
}

// same reports whether two tools are pinned and held alike.
func same(a, b *Tool) bool {
	digest := func(f *Form) string {
		if f == nil {
			return ""
		}
		return f.Digest
	}
	return a.Name == b.Name && digest(a.Pinned) == digest(b.Pinned) && digest(a.Held) == digest(b.Held)
}

func record(t *Tool) *audit.Record {
	r := &audit.Record{Type: audit.TypeTool, Gate: t.Gate, Decision: t.State(), Detail: map[string]string{"server": t.Server, "tool": shown(t.Name)}}
	form := t.Pinned
	if t.Held != nil {
		form = t.Held
		r.Detail["why"] = strings.Join(form.Why, "; ")
		if t.Pinned != nil {
			r.Detail["pinned"] = t.Pinned.Digest
		}
	}
	r.Detail["digest"] = form.Digest
	return r
}
