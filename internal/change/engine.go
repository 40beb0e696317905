package change

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/sealed"
)

const rows = sealed.Kind[Change]("change")

const (
	lookEvery = 15 * time.Second // beside what the approvals tell
	expires   = 24 * time.Hour
	useWithin = time.Hour
	maxBody   = 4 << 20
)

// Approvals is what changes ask of the approval engine.
type Approvals interface {
	Ask(ctx context.Context, q *approval.Question) (*approval.Approval, bool, error)
	Get(ctx context.Context, id string) (*approval.Approval, error)
	Use(ctx context.Context, id string, u approval.Use) (*approval.Used, error)
	Withdraw(ctx context.Context, id, by, why string) (*approval.Approval, error)
	Subscribe(ctx context.Context) <-chan approval.Event
}

// A Directory knows who administers, and whether that can be believed.
type Directory interface {
	identity.Directory
	// Check errs while nobody can tell who is in a group.
	Check(ctx context.Context) error
	// Silenced are those who would be in a group but for what was done lately.
	Silenced(group string) []identity.Person
}

// Options says what an Engine works with; all but Stopped, Clock and Logger are needed.
type Options struct {
	Box       *sealed.Box
	Approvals Approvals
	Directory Directory
	Admins    []string          // groups whose members allow each other's changes
	Stopped   func(string) bool // whether a person is frozen
	Clock     func() time.Time
	Logger    *slog.Logger
}

// An Engine takes changes and applies those that are allowed. It is safe for
// concurrent use once every kind is known to it.
type Engine struct {
	o       Options
	kinds   map[string]Applier
	freezes *freeze.Switch // once HandleThaw was told
}

// New refuses to work with anything missing.
func New(o Options) (*Engine, error) {
	if o.Box == nil || o.Approvals == nil || o.Directory == nil || len(o.Admins) == 0 {
		return nil, errors.New("changes: sealed rows, approvals, a directory and the administrators' groups are needed")
	}
	if o.Stopped == nil {
		o.Stopped = func(string) bool { return false }
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Engine{o: o, kinds: map[string]Applier{}}, nil
}

// Handle teaches e a kind of change, before anything is proposed.
func (e *Engine) Handle(what string, a Applier) { e.kinds[what] = a }

// administrators are the people who may allow a change, each once; with those who
// can't just now, so that nobody is alone because the others were silenced.
func (e *Engine) administrators() []string {
	var ids []string
	for _, g := range e.o.Admins {
		for _, p := range slices.Concat(e.o.Directory.Members(g), e.o.Directory.Silenced(g)) {
			if p.ID != Operator && !slices.Contains(ids, p.ID) {
				ids = append(ids, p.ID)
			}
		}
	}
	return ids
}

// IsAdmin reports whether a person is one of the administrators.
func (e *Engine) IsAdmin(p *identity.Person) bool { return p != nil && p.In(e.o.Admins...) }

// Needs is how many others must allow what author asks; 0: there is nobody else.
// Frozen administrators are counted: freezing the others must not make one alone.
func (e *Engine) Needs(author string) int {
	if p, ok := e.o.Directory.Person(author); ok {
		author = p.ID
	}
	all := e.administrators()
	if author == Operator {
		if len(all) < 2 {
			return 0
		}
		return 2 // of them one at least isn't who typed the command
	}
	if len(slices.DeleteFunc(all, func(id string) bool { return id == author })) == 0 {
		return 0
	}
	return 1
}

// Propose asks for a change. With nobody else to ask it is applied at once, and
// that is an alarm; otherwise it waits, and is applied when they have allowed it.
func (e *Engine) Propose(ctx context.Context, p Proposal) (Entry, error) {
	out, err := e.propose(ctx, p)
	if err != nil {
		return Entry{}, fmt.Errorf("changing %s: %w", p.What, err)
	}
	return out, nil
}

func (e *Engine) propose(ctx context.Context, p Proposal) (Entry, error) {
	kind, known := e.kinds[p.What]
	switch {
	case !known:
		return Entry{}, ErrWhat
	case p.Author.ID == "" || len(p.Body) > maxBody:
		return Entry{}, errors.New("it needs an author, and at most 4 MiB")
	case e.o.Stopped(p.Author.ID):
		return Entry{}, ErrFrozen
	}
	if err := e.o.Directory.Check(ctx); err != nil {
		return Entry{}, errors.Join(ErrUnbelieved, err)
	}
	if err := kind.Check(ctx, p.Body); err != nil {
		return Entry{}, err
	}
	c := Change{
		What: p.What, Title: p.Title, Text: p.Text, Body: p.Body, Author: p.Author.ID, Name: p.Author.Name,
		Related: p.Related, At: e.now(), State: Proposed,
	}
	entry := &sealed.Entry[Change]{ID: newID(), Key: Proposed, Value: c}
	if kind.Tightens != nil && (p.Admin || e.IsAdmin(&p.Author)) {
		if done, err := e.tighten(ctx, entry, kind); err != nil || done {
			return Entry{ID: entry.ID, Change: entry.Value}, err
		}
	}
	needs := e.Needs(p.Author.ID)
	if kind.Together && needs == 0 {
		return Entry{}, ErrTogether
	}
	if kind.Together && !e.IsAdmin(&p.Author) {
		needs = 2
	}
	if needs == 0 {
		if !p.Admin && !e.IsAdmin(&p.Author) {
			return Entry{}, ErrNobody
		}
		return e.alone(ctx, entry, kind)
	}
	if there, err := e.waiting(ctx, &c); err != nil || there != nil {
		return Entry{ID: idOf(there), Change: valueOf(there)}, err
	}
	// The row first: an approval that nothing belongs to would open nothing.
	if err := e.put(ctx, entry, "proposed", ""); err != nil {
		return Entry{}, err
	}
	a, err := e.ask(ctx, entry, p.Credential, needs)
	if err != nil {
		return Entry{}, errors.Join(err, e.end(ctx, entry, "nobody could be asked"))
	}
	entry.Value.Approval = a.ID
	if err := e.put(ctx, entry, "asked", ""); err != nil {
		return Entry{}, err
	}
	return Entry{ID: entry.ID, Change: entry.Value}, nil
}

func idOf(e *sealed.Entry[Change]) string {
	if e == nil {
		return ""
	}
	return e.ID
}

func valueOf(e *sealed.Entry[Change]) Change {
	if e == nil {
		return Change{}
	}
	return e.Value
}

// tighten applies what permits nothing more, judged in the transaction that applies
// it; false: it does permit more, and nothing was applied.
func (e *Engine) tighten(ctx context.Context, entry *sealed.Entry[Change], kind Applier) (done bool, err error) {
	fresh := *entry
	err = e.o.Box.Update(ctx, func(w *sealed.Writer) (err error) {
		if done, err = kind.Tightens(ctx, &w.Reader, entry.Value.Body); err != nil || !done {
			return err
		}
		fresh = *entry
		c := &fresh.Value
		c.State, c.Tighter, c.Ended, fresh.Key = Applied, true, e.now(), Applied
		if err := kind.Apply(ctx, w, fresh.ID, c); err != nil {
			return err
		}
		return rows.Put(ctx, w, &fresh, record(c, "applied", ""))
	})
	if err != nil || !done {
		return false, err
	}
	*entry = fresh
	if kind.Done != nil {
		kind.Done(ctx)
	}
	return true, nil
}

// alone applies what nobody else could allow.
func (e *Engine) alone(ctx context.Context, entry *sealed.Entry[Change], kind Applier) (Entry, error) {
	c := &entry.Value
	c.State, c.Alone, c.Ended, entry.Key = Applied, true, e.now(), Applied
	err := e.o.Box.Update(ctx, func(w *sealed.Writer) error {
		entry.Revision = 0
		if err := kind.Apply(ctx, w, entry.ID, c); err != nil {
			return err
		}
		if err := rows.Put(ctx, w, entry, record(c, "applied", "")); err != nil {
			return err
		}
		return w.Record(ctx, &audit.Record{
			Type: audit.TypeAlarm, Person: c.Author, Kinds: []string{string(action.ConfigChange)}, Title: c.Title,
			Detail: map[string]string{"what": "changed by one administrator alone: there is no other", "change": entry.ID},
		})
	})
	if err != nil {
		return Entry{}, err
	}
	e.o.Logger.WarnContext(ctx, "changed by one administrator alone: there is no other", "change", entry.ID, "what", c.What, "by", c.Author)
	if kind.Done != nil {
		kind.Done(ctx)
	}
	return Entry{ID: entry.ID, Change: *c}, nil
}

// waiting finds the same change asked by the same author that is not decided yet.
func (e *Engine) waiting(ctx context.Context, c *Change) (found *sealed.Entry[Change], err error) {
	err = e.o.Box.View(ctx, func(r *sealed.Reader) error {
		list, err := rows.List(ctx, r, sealed.Selection{Key: Proposed})
		for _, x := range list {
			if x.Value.What == c.What && x.Value.Author == c.Author && slices.Equal(x.Value.Body, c.Body) && x.Value.Approval != "" {
				found = x
			}
		}
		return err
	})
	return found, err
}

// ask holds the change until the others decide.
func (e *Engine) ask(ctx context.Context, entry *sealed.Entry[Change], credential string, needs int) (*approval.Approval, error) {
	c := &entry.Value
	act, asker := asAction(entry.ID, c), asAsker(entry.ID, c, credential)
	a, _, err := e.o.Approvals.Ask(ctx, &approval.Question{
		Action: act, Asker: asker, Title: c.Title, Statement: c.Text, Gate: Gate,
		Decision: &policy.Decision{
			Verdict: policy.Review, Reason: "changing the rules takes somebody other than who asks",
			Rules: []policy.Hit{{Rule: "config.change", Pack: "assent", Then: policy.Review.String()}},
			Requirements: []policy.Requirement{{
				Rule: "config.change", Pack: "assent", From: e.o.Admins, Count: needs,
				Assurance: "console", Expires: expires, UseWithin: useWithin,
			}},
		},
	})
	return a, err
}

// asAction is the change as an action: its payload is what would be applied, byte for byte.
func asAction(id string, c *Change) *action.Action {
	sum := sha256.Sum256(append([]byte(c.What+"\x00"), c.Body...))
	return &action.Action{
		Kinds: []action.Kind{action.ConfigChange}, Verb: "apply", Target: c.What, Title: c.Title,
		Shape: hex.EncodeToString(sum[:]), Resource: action.Resource{URN: urn + c.What, Type: "assent", Env: "control"},
		Payload: c.Body, Statement: c.Text, State: map[string]string{"change": id},
		Subject: c.Author, Actors: []action.Link{{ID: "change:" + id, Type: "human"}},
	}
}

// asAsker is who is excluded from allowing it: the author, and whom it names. The
// chain is the change's own, so that nobody stays related to the author's next one.
func asAsker(id string, c *Change, credential string) identity.Asker {
	a := identity.Asker{
		Subject:    identity.Person{ID: c.Author, Name: c.Name},
		Chain:      []identity.Actor{{ID: "change:" + id, Type: "human", Owner: c.Author}},
		Credential: credential,
	}
	for person := range c.Related {
		a.Chain[0].Related = append(a.Chain[0].Related, person)
	}
	slices.Sort(a.Chain[0].Related)
	return a
}

// put stores an entry with its record.
func (e *Engine) put(ctx context.Context, entry *sealed.Entry[Change], what, why string) error {
	return e.o.Box.Update(ctx, func(w *sealed.Writer) error {
		fresh := *entry
		if err := rows.Put(ctx, w, &fresh, record(&entry.Value, what, why)); err != nil {
			return err
		}
		*entry = fresh
		return nil
	})
}

// end stores that a change will not be applied.
func (e *Engine) end(ctx context.Context, entry *sealed.Entry[Change], why string) error {
	entry.Value.State, entry.Value.Why, entry.Value.Ended, entry.Key = Refused, why, e.now(), Refused
	return e.put(ctx, entry, Refused, why)
}

func record(c *Change, what, why string) *audit.Record {
	sum := sha256.Sum256(c.Body)
	r := &audit.Record{
		Type: audit.TypeChange, Person: c.Author, Kinds: []string{string(action.ConfigChange)}, Resource: urn + c.What,
		Title: c.Title, Decision: what, Approval: c.Approval, Detail: map[string]string{"what": c.What, "sha256": hex.EncodeToString(sum[:])},
	}
	if why != "" {
		r.Detail["why"] = why
	}
	if c.Tighter {
		r.Detail["tighter"] = "it permits nothing more, so nobody else was asked"
	}
	if c.Alone {
		r.Detail["alone"] = "there is no other administrator"
	}
	return r
}

// Get reads one change.
func (e *Engine) Get(ctx context.Context, id string) (out Entry, err error) {
	err = e.o.Box.View(ctx, func(r *sealed.Reader) error {
		x, err := rows.Get(ctx, r, id)
		if err == nil {
			out = Entry{ID: x.ID, Change: x.Value}
		}
		return err
	})
	if err != nil {
		return out, fmt.Errorf("reading change %s: %w", id, err)
	}
	return out, nil
}

// List returns every change, newest first.
func (e *Engine) List(ctx context.Context) (out []Entry, err error) {
	err = e.o.Box.View(ctx, func(r *sealed.Reader) error {
		found, err := rows.All(ctx, r)
		for _, x := range found {
			out = append(out, Entry{ID: x.ID, Change: x.Value})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing changes: %w", err)
	}
	slices.SortStableFunc(out, func(a, b Entry) int { return b.At.Compare(a.At) })
	return out, nil
}

func (e *Engine) now() time.Time { return e.o.Clock().UTC().Truncate(time.Microsecond) }

func newID() string {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (Go 1.24)
	for i := range b {
		b[i] = digits[b[i]&31]
	}
	return "chg_" + string(b)
}
