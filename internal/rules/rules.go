// Package rules is what may be changed of people and limits while the server runs:
// who is in a group, who is on call, and some settings. Each is a change that waits
// for an administrator other than who asks and whom it lets in (package change);
// what permits nothing more happens at once.
//
// It promises that what is asked is bound to what held when it was asked: once
// something else of the same group or of the settings was changed, it applies nothing.
package rules

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/people"
	"github.com/assenthq/assent/internal/sealed"
)

// Kinds of changes.
const (
	group    = "group"
	turn     = "oncall"
	settings = "settings"
)

// A Directory is what is changed of people.
type Directory interface {
	identity.Directory
	Groups() []people.GroupView
	CheckGroup(c *people.GroupChange) error
	EditGroup(ctx context.Context, w *sealed.Writer, c *people.GroupChange, by, change string) error
	CheckSwap(group, person string) error
	SwapWithin(ctx context.Context, w *sealed.Writer, group, person, by string, from, until time.Time) error
	Refresh(ctx context.Context) error
}

// Options says what Rules work with; all but Clock and Logger are needed.
type Options struct {
	Box       *sealed.Box
	Changes   *change.Engine
	Directory Directory
	Admins    []string // groups that administer: nobody is taken out of them without another's word
	// ReadsGroups says whether policy asks in which groups the subject is: then taking
	// somebody out of one may permit more.
	ReadsGroups func() bool
	Settings    []Setting
	// Apply has settings hold, by name, from now on.
	Apply  func(values map[string]int64) error
	Clock  func() time.Time
	Logger *slog.Logger
}

// Rules takes changes. It is safe for concurrent use.
type Rules struct {
	o     Options
	apply sync.Mutex // what is applied last is what was read last
	dirty chan struct{}
}

// New teaches o.Changes what may be changed.
func New(o Options) (*Rules, error) {
	if o.Box == nil || o.Changes == nil || o.Directory == nil || o.ReadsGroups == nil || o.Apply == nil || len(o.Admins) == 0 {
		return nil, errors.New("rules: sealed rows, changes, a directory, the administrators' groups and what applies settings are needed")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Rules{o: o, dirty: make(chan struct{}, 1)}
	refresh := func(ctx context.Context) {
		if err := o.Directory.Refresh(ctx); err != nil {
			o.Logger.ErrorContext(ctx, "the directory could not be read again", "err", err)
		}
	}
	o.Changes.Handle(group, change.Applier{Check: r.checkGroup, Tightens: r.groupTightens, Apply: r.applyGroup, Done: refresh})
	o.Changes.Handle(turn, change.Applier{Check: r.checkTurn, Apply: r.applyTurn, Done: refresh})
	o.Changes.Handle(settings, change.Applier{Check: r.checkSettings, Tightens: r.settingsTighten, Apply: r.applySettings, Done: func(ctx context.Context) {
		if err := r.Load(ctx); err != nil {
			o.Logger.ErrorContext(ctx, "the settings could not be read again; the last ones stay", "err", err)
		}
	}})
	o.Box.Watch(string(kept), func(string) {
		select {
		case r.dirty <- struct{}{}:
		default:
		}
	})
	return r, nil
}

// Groups lists every group, and who is in it.
func (r *Rules) Groups() []people.GroupView { return r.o.Directory.Groups() }

// revision is that of a group's edits.
func (r *Rules) revision(name string) int64 {
	for _, g := range r.Groups() {
		if g.Name == name {
			return g.Revision
		}
	}
	return 0
}

// ChangeGroup asks to change who is in a group. What somebody is let in to by it
// counts for what is asked afterwards.
func (r *Rules) ChangeGroup(ctx context.Context, c people.GroupChange, reason string, p change.Proposal) (change.Entry, error) {
	if !strings.HasPrefix(c.Group, "group:") {
		c.Group = "group:" + c.Group
	}
	c.Add, c.Remove, c.Revision = r.ids(c.Add), r.ids(c.Remove), r.revision(c.Group)
	if err := r.o.Directory.CheckGroup(&c); err != nil {
		return change.Entry{}, err
	}
	var err error
	p.What, p.Title, p.Related = group, "Who is in "+c.Group, map[string]string{}
	var b strings.Builder
	for _, m := range c.Add {
		_, _ = fmt.Fprintf(&b, "+ %s\n", r.named(m))
		if !strings.Contains(m, "|") {
			p.Related[m] = "it lets them in"
		}
	}
	for _, m := range c.Remove {
		_, _ = fmt.Fprintf(&b, "- %s\n", r.named(m))
	}
	_, _ = fmt.Fprintf(&b, "\nIn it now: %s\n", r.members(c.Group))
	if slices.ContainsFunc(r.o.Admins, func(a string) bool { return a == c.Group }) {
		b.WriteString("\nThis group administers: whoever is in it changes the rules.\n")
	}
	p.Text = b.String() + because(p.Author, reason)
	if p.Body, err = json.Marshal(c); err != nil {
		return change.Entry{}, err
	}
	return r.o.Changes.Propose(ctx, p)
}

// ids are members as the directory calls them: a bare name is a person's.
func (r *Rules) ids(members []string) []string {
	var out []string
	for _, m := range members {
		if m = strings.TrimSpace(m); m != "" && !strings.ContainsAny(m, ":|") {
			m = "person:" + m
		}
		if !strings.Contains(m, "|") {
			if p, ok := r.o.Directory.Person(m); ok {
				m = p.ID
			}
		}
		out = append(out, m)
	}
	return out
}

func (r *Rules) named(m string) string {
	if strings.Contains(m, "|") {
		return "everybody whom the issuer has in " + m
	}
	if p, ok := r.o.Directory.Person(m); ok && p.Name != "" && p.Name != m {
		return m + " (" + p.Name + ")"
	}
	return m
}

// members names who is in a group now, as far as a card has room.
func (r *Rules) members(name string) string {
	const most = 40
	var out []string
	for _, g := range r.Groups() {
		for _, m := range g.Members {
			if g.Name == name && len(out) < most {
				out = append(out, m.ID)
			} else if g.Name == name {
				return strings.Join(out, ", ") + fmt.Sprintf(" and %d more", len(g.Members)-most)
			}
		}
	}
	if len(out) == 0 {
		return "nobody"
	}
	return strings.Join(out, ", ")
}

func because(by identity.Person, reason string) string {
	if reason = strings.TrimSpace(reason); reason == "" {
		return ""
	}
	return fmt.Sprintf("\n%s says why:\n  %s\n", by.Name, reason)
}

func (r *Rules) checkGroup(_ context.Context, body []byte) error {
	var c people.GroupChange
	if err := strict(body, &c); err != nil {
		return err
	}
	return r.o.Directory.CheckGroup(&c)
}

// groupTightens: who only takes people out of a group that neither administers nor
// is a fact of policy lets nobody decide more.
func (r *Rules) groupTightens(_ context.Context, _ *sealed.Reader, body []byte) (bool, error) {
	var c people.GroupChange
	if err := strict(body, &c); err != nil {
		return false, err
	}
	return len(c.Add) == 0 && !slices.Contains(r.o.Admins, c.Group) && !r.o.ReadsGroups(), nil
}

func (r *Rules) applyGroup(ctx context.Context, w *sealed.Writer, id string, c *change.Change) error {
	var g people.GroupChange
	if err := strict(c.Body, &g); err != nil {
		return errors.Join(err, change.ErrStale)
	}
	return stale(r.o.Directory.EditGroup(ctx, w, &g, c.Author, id))
}

// stale ends a change that the directory doesn't take, now or later.
func stale(err error) error {
	for _, over := range []error{people.ErrRefused, people.ErrUnknown, sealed.ErrConflict} {
		if errors.Is(err, over) {
			return fmt.Errorf("%w: %w", change.ErrStale, err)
		}
	}
	return err
}

// A Turn puts one of a rotation's people on call for a while.
type Turn struct {
	Group  string    `json:"group"`
	Person string    `json:"person"`
	From   time.Time `json:"from,omitzero"` // now, unless later
	Until  time.Time `json:"until"`
}

// ErrSelf refuses who would put themselves on call.
var ErrSelf = errors.New("nobody puts themselves on call")

// ChangeTurn asks to put another of a rotation's people on call.
func (r *Rules) ChangeTurn(ctx context.Context, t Turn, reason string, p change.Proposal) (change.Entry, error) {
	if !strings.HasPrefix(t.Group, "group:") {
		t.Group = "group:" + t.Group
	}
	if !strings.Contains(t.Person, ":") {
		t.Person = "person:" + t.Person
	}
	if err := r.o.Directory.CheckSwap(t.Group, t.Person); err != nil {
		return change.Entry{}, err
	}
	them, ok := r.o.Directory.Person(t.Person)
	if !ok {
		return change.Entry{}, people.ErrUnknown
	}
	if slices.ContainsFunc(p.Author.IDs(), func(id string) bool { return slices.Contains(them.IDs(), id) }) {
		return change.Entry{}, ErrSelf
	}
	now := r.o.Clock().UTC().Truncate(time.Second)
	if t.From.Before(now) {
		t.From = time.Time{}
	}
	t.From, t.Until = t.From.UTC(), t.Until.UTC().Truncate(time.Second)
	from := "now"
	if !t.From.IsZero() {
		from = t.From.Format("2006-01-02 15:04 UTC")
	}
	var err error
	p.What, p.Title, p.Related = turn, "Who is on call in "+t.Group, map[string]string{them.ID: "it puts them on call"}
	p.Text = fmt.Sprintf("%s is on call in %s from %s until %s.\n", r.named(t.Person), t.Group, from, t.Until.Format("2006-01-02 15:04 UTC")) + because(p.Author, reason)
	if p.Body, err = json.Marshal(t); err != nil {
		return change.Entry{}, err
	}
	return r.o.Changes.Propose(ctx, p)
}

func (r *Rules) checkTurn(_ context.Context, body []byte) error {
	var t Turn
	if err := strict(body, &t); err != nil {
		return err
	}
	from := t.From
	if from.IsZero() {
		from = r.o.Clock()
	}
	if !t.Until.After(from) || t.Until.Sub(from) > longestTurn {
		return &change.BodyError{Problem: "a turn lasts at most 30 days, from now or later"}
	}
	return r.o.Directory.CheckSwap(t.Group, t.Person)
}

const longestTurn = 30 * 24 * time.Hour

func (r *Rules) applyTurn(ctx context.Context, w *sealed.Writer, _ string, c *change.Change) error {
	var t Turn
	if err := strict(c.Body, &t); err != nil {
		return errors.Join(err, change.ErrStale)
	}
	return stale(r.o.Directory.SwapWithin(ctx, w, t.Group, t.Person, c.Author, t.From, t.Until))
}

// strict reads what this package wrote, and nothing else.
func strict(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}
