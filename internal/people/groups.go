package people

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// An edit is what was changed of one group while running, beside the configuration.
type edit struct {
	Group string   `json:"group"`
	In    []string `json:"in,omitempty"`   // person ids that are in it
	From  []string `json:"from,omitempty"` // issuers' groups that are it: "corp|00g1"
	Out   []string `json:"out,omitempty"`  // person ids that are not, by whatever way
	Shut  []string `json:"shut,omitempty"` // issuers' groups that the configuration maps and that don't count
}

const editKind = sealed.Kind[edit]("group")

const mostMembers = 1000 // of one edit

var groupName = regexp.MustCompile(`^group:[a-z0-9][a-z0-9._-]{0,62}$`)

// edited is every edit, as a drawing needs it.
type edited struct {
	in   map[string][]string        // person id → groups
	from map[string][]string        // issuer's group → groups
	out  map[string]map[string]bool // group → person ids
	shut map[string]map[string]bool // group → issuers' groups
}

func (d *Directory) edited() edited {
	w := edited{in: map[string][]string{}, from: map[string][]string{}, out: map[string]map[string]bool{}, shut: map[string]map[string]bool{}}
	put := func(m map[string]map[string]bool, group string, ids []string) {
		m[group] = map[string]bool{}
		for _, id := range ids {
			m[group][id] = true
		}
	}
	for _, e := range d.edits {
		v := &e.Value
		for _, id := range v.In {
			w.in[id] = append(w.in[id], v.Group)
		}
		for _, raw := range v.From {
			w.from[raw] = append(w.from[raw], v.Group)
		}
		put(w.out, v.Group, v.Out)
		put(w.shut, v.Group, v.Shut)
	}
	return w
}

// fromIssuer is what a group of an issuer counts as.
func (w *edited) fromIssuer(cfg *config, raw string) []string {
	var out []string
	for _, g := range slices.Concat(cfg.from[raw], w.from[raw]) {
		if !w.shut[g][raw] {
			out = append(out, g)
		}
	}
	return out
}

// putOut takes a person out of the groups that they, or who is held to be the same
// human, were removed from.
func (w *drawing) putOut(b *body, kin []string) {
	for g, ids := range w.edit.out {
		if slices.ContainsFunc(slices.Concat(b.ids, kin), func(id string) bool { return ids[id] }) {
			b.out = append(b.out, g)
		}
	}
	if len(b.out) == 0 {
		return
	}
	without := func(groups []string) []string {
		return slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return slices.Contains(b.out, g) })
	}
	b.found.Groups, b.all = without(b.found.Groups), without(b.all)
	for i := range b.held {
		b.held[i].groups = without(b.held[i].groups)
	}
}

// A GroupChange adds members to a group and removes others: people by their id,
// groups of issuers as "corp|00g1". Somebody who is removed is out by whatever way
// they were in, until somebody adds them again.
type GroupChange struct {
	Group  string   `json:"group"`
	Add    []string `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
	// Revision is that of the group's edits which it was asked at.
	Revision int64 `json:"revision"`
}

// CheckGroup errs when c names what nobody knows, or changes nothing.
func (d *Directory) CheckGroup(c *GroupChange) error {
	no := func(format string, args ...any) error {
		return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrRefused)
	}
	if !groupName.MatchString(c.Group) {
		return no("a group is called group:NAME, in lower-case letters, digits, '.', '_' and '-'")
	}
	all := slices.Concat(c.Add, c.Remove)
	if len(all) == 0 || len(all) > mostMembers {
		return no("name between one member to add or remove and %d", mostMembers)
	}
	pic := d.picture()
	for i, m := range all {
		switch issuer, _, raw := strings.Cut(m, "|"); {
		case slices.Contains(all[:i], m):
			return no("%s is named twice", m)
		case !plain(m):
			return no("a member can't be read")
		case raw && d.cfg.Issuers[issuer] == "":
			return no("%s names an issuer that is not configured", m)
		case raw && d.cfg.account(m) != nil:
			return no("%s is not issuer|group", m)
		case !raw && pic.byID[m] == nil:
			return fmt.Errorf("%s: %w", m, ErrUnknown)
		}
	}
	return nil
}

// EditGroup changes a group in somebody else's transaction; Refresh takes it over
// afterwards. sealed.ErrConflict: it was changed since c was asked.
func (d *Directory) EditGroup(ctx context.Context, w *sealed.Writer, c *GroupChange, by, change string) error {
	if err := d.CheckGroup(c); err != nil {
		return err
	}
	id := rowID("group", c.Group)
	e, err := editKind.Get(ctx, &w.Reader, id)
	if errors.Is(err, sealed.ErrNotFound) {
		e, err = &sealed.Entry[edit]{ID: id, Key: c.Group, Value: edit{Group: c.Group}}, nil
	}
	if err != nil {
		return err
	}
	if e.Revision != c.Revision {
		return fmt.Errorf("%s was changed since: %w", c.Group, sealed.ErrConflict)
	}
	v := &e.Value
	for _, m := range c.Add {
		in, out := &v.In, &v.Out
		if strings.Contains(m, "|") {
			in, out = &v.From, &v.Shut
		}
		*in, *out = with(*in, m), less(*out, m)
	}
	for _, m := range c.Remove {
		in, out := &v.In, &v.Out
		if strings.Contains(m, "|") {
			in, out = &v.From, &v.Shut
		}
		*in, *out = less(*in, m), with(*out, m)
	}
	return editKind.Put(ctx, w, e, &audit.Record{Type: audit.TypePerson, Decision: "group changed", Person: by, Detail: map[string]string{
		"group": c.Group, "added": strings.Join(c.Add, " "), "removed": strings.Join(c.Remove, " "), "change": change,
	}})
}

func with(list []string, m string) []string { return tidy(append(slices.Clone(list), m)) }

func less(list []string, m string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(o string) bool { return o == m })
}

// A GroupView is who is in a group, and why.
type GroupView struct {
	Name     string
	Members  []Member // who may be asked for it now
	From     []string // issuers' groups that are it now
	Added    []string // while running
	Removed  []string // while running
	Rotating bool     // its member changes by schedule
	Revision int64    // of what was changed while running; 0: nothing was
}

// A Member is one person in a group.
type Member struct {
	ID, Name string
	StandIn  bool // in nobody's right but another's
}

// Groups lists every group that the configuration names or somebody changed.
func (d *Directory) Groups() []GroupView {
	pic := d.picture()
	d.mu.Lock()
	all := map[string]*GroupView{}
	at := func(name string) *GroupView {
		if all[name] == nil {
			all[name] = &GroupView{Name: name}
		}
		return all[name]
	}
	shut := map[string]bool{}
	for _, e := range d.edits {
		v := &e.Value
		g := at(v.Group)
		g.Revision, g.Added, g.Removed, g.From = e.Revision, slices.Concat(v.In, v.From), slices.Concat(v.Out, v.Shut), slices.Clone(v.From)
		for _, raw := range v.Shut {
			shut[v.Group+" "+raw] = true
		}
	}
	for raw, groups := range d.cfg.from {
		for _, g := range groups {
			if !shut[g+" "+raw] {
				at(g).From = with(at(g).From, raw)
			}
		}
	}
	for i := range d.cfg.Groups {
		at(d.cfg.Groups[i].Name)
	}
	for _, groups := range d.cfg.given {
		for _, g := range groups {
			at(g)
		}
	}
	for i := range d.cfg.OnCall {
		at(d.cfg.OnCall[i].Group).Rotating = true
	}
	d.mu.Unlock()
	var out []GroupView
	for _, name := range slices.Sorted(maps.Keys(all)) {
		g := all[name]
		for _, p := range pic.members[name] {
			g.Members = append(g.Members, Member{ID: p.ID, Name: cmp.Or(p.Name, p.ID), StandIn: !p.In(name)})
		}
		out = append(out, *g)
	}
	return out
}
