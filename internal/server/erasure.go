package server

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/erase"
	"github.com/assenthq/assent/internal/known"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// errSharedErase refuses what can't be done whole.
var errSharedErase = errors.New("this edition erases people only where the store is the data directory's own, not a database that nodes share")

// notErased is what an erasure doesn't reach, said before it is approved and when it is done.
func notErased() []string {
	return []string{
		"the traffic lane: records of harmless reads, in the spool and its archive",
		"facts/: counts and shapes by actor and person, without text",
		"recordings/ and bodies/: what terminals showed and requests carried",
		"the configuration: people, actors and routes that it names",
		"backups, what went out to channels and a SIEM, and free blocks of the disk",
	}
}

// handleErasure teaches the changes to order an erasure.
func (s *Server) handleErasure() {
	s.changes.Handle(erase.What, erase.Applier(s.mayErase))
	s.changes.Handle(erase.WhatHold, erase.HoldApplier())
}

// Hold asks to keep something from erasure, or to end that: two administrators decide either.
func (s *Server) Hold(ctx context.Context, h erase.HoldRequest, reason string, p change.Proposal) (change.Entry, error) {
	h.Names = s.cfg.configured(h.Names)
	var err error
	if p.Body, err = json.Marshal(h); err != nil {
		return change.Entry{}, err
	}
	p.What, p.Title = erase.WhatHold, "Place a legal hold"
	p.Text = fmt.Sprintf("%s\n\nNothing is erased of: %s", reason, cmp.Or(strings.Join(h.Names, ", "), "anybody"))
	for word, t := range map[string]time.Time{"from": h.From, "until": h.Until} {
		if !t.IsZero() {
			p.Text += fmt.Sprintf("\nRecords %s %s", word, t.UTC().Format(time.RFC3339))
		}
	}
	if h.Release != "" {
		p.Title, p.Text = "Release a legal hold", fmt.Sprintf("%s\n\nWhat hold %s keeps may be erased again.", reason, h.Release)
	}
	return s.changes.Propose(ctx, p)
}

// Holds lists every hold, by id.
func (s *Server) Holds(ctx context.Context) (out []*sealed.Entry[erase.Hold], err error) {
	err = s.box.View(ctx, func(r *sealed.Reader) error {
		out, err = erase.Holds.All(ctx, r)
		return err
	})
	return out, err
}

// heldTraffic says which hold keeps archived traffic of a time; "": none.
func (s *Server) heldTraffic(ctx context.Context, from, to time.Time) (why string, err error) {
	err = s.box.View(ctx, func(r *sealed.Reader) error {
		why, err = erase.KeepsTraffic(ctx, r, from, to)
		return err
	})
	return why, err
}

func (s *Server) mayErase(names []string) error {
	if s.cfg.Store != nil {
		return &change.BodyError{Problem: errSharedErase.Error()}
	}
	for _, n := range names {
		if utf8.RuneCountInString(n) < 3 || strings.TrimSpace(n) != n {
			return &change.BodyError{Problem: fmt.Sprintf("%q is no name to erase: three letters at least, and no space around it", n)}
		}
		if what := s.cfg.noPerson(n); what != "" {
			return &change.BodyError{Problem: fmt.Sprintf("%q is %s, and no person's name: give the person's id, as in person:mira, and their names", n, what)}
		}
	}
	return nil
}

// noPerson says what a name is of, where it is no person's: taken out, it would go from every record of
// that, whoever else it is about. "": it may be a person's.
func (c *Config) noPerson(name string) string {
	n := strings.ToLower(name)
	switch kind, id, _ := strings.Cut(n, ":"); {
	case id != "" && slices.Contains([]string{"agent", "pipeline", "service", "group", "gate", "role", "urn", "policy", "http", "https"}, kind):
		return "of kind " + kind
	case n == "person:" || n == "person:operator":
		return "what everybody, or the operator, is called"
	}
	if slices.Contains([]string{"person", "operator", "agent", "group", "service", "pipeline", "gate", "admin", "reviewer", "postgres", "postgresql", "mysql", "http", "https", "assent", "approve", "deny", "allow", "review", "true", "false"}, n) {
		return "a word that records are made of"
	}
	for _, g := range c.Gates {
		if n == strings.ToLower(g.Name) || n == strings.ToLower(g.Upstream.Database) || n == strings.ToLower(g.Upstream.User) {
			return "what gate " + g.Name + " has in its configuration"
		}
	}
	for _, a := range c.Actors {
		if n == strings.ToLower(a.ID) {
			return "an actor"
		}
	}
	groups := append(slices.Collect(maps.Keys(c.Groups)), c.Admins...)
	for _, p := range c.People {
		groups = append(groups, p.Groups...)
	}
	if slices.ContainsFunc(groups, func(g string) bool { return strings.ToLower(g) == n }) {
		return "a group"
	}
	return ""
}

// configured adds the names that the configuration gives whom an id names.
func (c *Config) configured(names []string) []string {
	out := slices.Clone(names)
	add := func(n string) {
		if n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	for _, p := range c.People {
		if slices.Contains(names, "person:"+p.ID) {
			add(p.Name)
			add(p.Email)
			for _, a := range p.Accounts {
				add(a)
			}
		}
	}
	return out
}

// ErasePerson asks to erase whom names name: two administrators decide, and none of them is that person.
func (s *Server) ErasePerson(ctx context.Context, names []string, reason string, p change.Proposal) (change.Entry, error) {
	names = s.cfg.configured(names)
	if err := s.mayErase(names); err != nil {
		return change.Entry{}, err
	}
	rows, ok := s.store.(interface {
		Rows(ctx context.Context, t store.Table, fn func(row []any) error) error
	})
	if !ok {
		return change.Entry{}, errSharedErase
	}
	src := known.Sources{Log: s.store, Rows: rows.Rows, Traffic: func(fn func(int64, []byte) error) error {
		_, err := s.cfg.ReadTraffic(ctx, s.store, fn)
		return err
	}}
	sum, err := known.Collect(ctx, src, names, func(*known.Item) error { return nil })
	if err != nil {
		return change.Entry{}, fmt.Errorf("counting what names them: %w", err)
	}
	p.Related = map[string]string{}
	for _, id := range s.whom(sum.Names) {
		if id == p.Author.ID {
			return change.Entry{}, &change.BodyError{Problem: "these names are found in yours: two other administrators decide that"}
		}
		p.Related[id] = "it is about them"
	}
	if p.Body, err = json.Marshal(erase.Request{Names: sum.Names}); err != nil {
		return change.Entry{}, err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\nNames: %s\n\nErased, for good:\n", reason, strings.Join(sum.Names, ", "))
	for _, t := range slices.Sorted(maps.Keys(sum.Found)) {
		if n := sum.Found[t]; n > 0 && t != "traffic" {
			fmt.Fprintf(&text, "  %s: %d\n", t, n)
		}
	}
	fmt.Fprintf(&text, "\nNot erased by this:\n  records of the traffic lane: %d\n", sum.Found["traffic"])
	for _, n := range notErased()[1:] {
		fmt.Fprintf(&text, "  %s\n", n)
	}
	text.WriteString("\nOnce it is allowed, whoever runs the server stops it and runs assent person erase --run.")
	p.What, p.Title, p.Text = erase.What, "Erase a person", text.String()
	return s.changes.Propose(ctx, p)
}

// whom are the ids of all people whom names name: as an id or account, or as a word of what they are called. An
// erasure of mira or of Mira Novak is one of person:mira.
func (s *Server) whom(names []string) (ids []string) {
	for _, n := range names {
		if p, known := s.dir.Person(n); known && !slices.Contains(ids, p.ID) {
			ids = append(ids, p.ID)
		}
	}
	none := known.Sources{Rows: func(context.Context, store.Table, func([]any) error) error { return nil }}
	who, err := known.Look(context.Background(), none, names)
	for _, p := range s.dir.Everybody() {
		called := append(s.cfg.configured([]string{p.ID}), p.Name, s.dir.Address(p.ID))
		if !slices.Contains(ids, p.ID) && (err != nil || slices.ContainsFunc(called, who.InText)) {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// An Erasure is one that was carried out.
type Erasure struct {
	Order string `json:"order"`
	*erase.Done
	Left []string `json:"left"` // what still names them, or wasn't looked into
}

// ErasePeople carries out the erasures that were ordered, in a deployment that isn't running,
// and rewrites its database without what was erased. One that was cut off is carried out again.
func ErasePeople(ctx context.Context, c *Config) (done []Erasure, err error) {
	if c.Store != nil {
		return nil, errSharedErase
	}
	data := c.DataDir()
	key, stop, err := LogKey(c)
	if err != nil {
		return nil, err
	}
	defer stop()
	k, err := loadKeys(c.keysDir(), false)
	if err != nil {
		return nil, err
	}
	st, err := sqlite.Open(ctx, data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	// What isn't as it was written is evidence, and nothing is taken from it.
	if err := verified(ctx, st, c.VerifyOptions(key.Verifier())); err != nil {
		return nil, fmt.Errorf("nothing was erased: %w", err)
	}
	former, err := c.retiredKeys()
	if err != nil {
		return nil, err
	}
	o := audit.Options{Origin: key.Name(), Keys: []*audit.Key{key}, HeadFile: headFile(data)}
	for _, f := range former {
		o.Retired = append(o.Retired, f.vkey)
	}
	log, err := audit.New(o)
	if err != nil {
		return nil, err
	}
	if err := log.Open(ctx, st); err != nil {
		return nil, err
	}
	box, err := sealed.NewBox(st, log, k.seal)
	if err != nil {
		return nil, err
	}
	var orders []*sealed.Entry[erase.Order]
	err = box.View(ctx, func(r *sealed.Reader) (err error) {
		orders, err = erase.Orders.All(ctx, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, order := range orders {
		if order.Key != erase.Ordered {
			continue
		}
		names := order.Value.Names
		d, err := erase.Run(ctx, erase.Options{Store: st, Log: log, Box: box, Seal: k.seal, Names: names, ID: order.ID})
		if err != nil {
			return done, err
		}
		done = append(done, Erasure{order.ID, d, c.leftOf(ctx, st, names)})
	}
	if len(orders) > 0 && len(done) == 0 { // perhaps it was cut off behind its transaction
		if err := st.Scour(ctx); err != nil {
			return nil, err
		}
	}
	head, err := st.Head(ctx)
	if err != nil {
		return done, err
	}
	_, err = log.Sign(ctx, head)
	return done, err
}

// leftOf says what still names somebody, or may.
func (c *Config) leftOf(ctx context.Context, log audit.Reader, names []string) (left []string) {
	none := known.Sources{Rows: func(context.Context, store.Table, func([]any) error) error { return nil }}
	who, err := known.Look(ctx, none, names)
	if err != nil {
		return notErased()
	}
	n, other := 0, ""
	if _, err := c.ReadTraffic(ctx, log, func(_ int64, leaf []byte) error {
		if who.InText(string(leaf)) {
			n++
		}
		return nil
	}); err != nil {
		other = fmt.Sprintf(" (and not all could be read: %v)", err)
	}
	left = append(left, fmt.Sprintf("records of the traffic lane that name them: %d%s", n, other))
	left = append(left, notErased()[1:]...)
	if c.file == "" {
		return left
	}
	f, err := os.Open(c.file)
	if err != nil {
		return left
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for at := 1; lines.Scan(); at++ {
		text := lines.Text()
		if who.InText(text) || slices.ContainsFunc(names, func(n string) bool {
			id, is := strings.CutPrefix(n, "person:")
			return is && slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t,:[]{}\"'", r) }), id)
		}) {
			left = append(left, fmt.Sprintf("%s, line %d", filepath.Base(c.file), at))
		}
	}
	return left
}
