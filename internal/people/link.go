package people

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
)

// A link says that an account belongs to a person: begun in that person's
// session, offered in the account's, and confirmed in the first again.
type link struct {
	Person  string `json:"person"`
	Begin   string `json:"begin,omitempty"`   // the account it was begun with; "" a credential of our own
	Account string `json:"account,omitempty"` // the one that is linked
	Home    string `json:"home,omitempty"`    // whom that account led to before
	By      string `json:"by"`

	Begun     time.Time `json:"begun"`
	Offered   time.Time `json:"offered,omitzero"`
	Confirmed time.Time `json:"confirmed,omitzero"`
	Counts    time.Time `json:"counts,omitzero"` // for reviewing
	Ended     time.Time `json:"ended,omitzero"`
	EndedBy   string    `json:"ended_by,omitempty"`
}

const (
	linkKind = sealed.Kind[link]("link")
	byConfig = "configuration"
	linkWait = 10 * time.Minute // between the steps of making one
	maxOpen  = 5                // links a person may have begun at once
)

// A Link is what is listed and shown of one. Both accounts are named.
type Link struct {
	ID                              string
	State                           string // "begun", "offered", "young", "linked", "ended", "lapsed"
	Person, Name, Begin             string // in whose session it was begun
	Account, AccountName            string // what is linked to them
	By                              string
	Begun, Confirmed, Counts, Ended time.Time
}

func (d *Directory) linkOf(e *sealed.Entry[link], now time.Time) Link {
	v := &e.Value
	l := Link{ID: e.ID, Person: v.Person, Begin: v.Begin, Account: v.Account, By: v.By, Begun: v.Begun, Confirmed: v.Confirmed, Counts: v.Counts, Ended: v.Ended}
	switch {
	case !v.Ended.IsZero():
		l.State = "ended"
	case !v.Confirmed.IsZero() && now.Before(v.Counts):
		l.State = "young"
	case !v.Confirmed.IsZero():
		l.State = "linked"
	case !now.Before(v.step().Add(linkWait)):
		l.State = "lapsed"
	case !v.Offered.IsZero():
		l.State = "offered"
	default:
		l.State = "begun"
	}
	if p, ok := d.Person(v.Person); ok {
		l.Name = p.Name
	}
	l.AccountName = d.nameOf(v.Account)
	return l
}

// step is when the latest step of making l was taken.
func (l *link) step() time.Time {
	if l.Offered.After(l.Begun) {
		return l.Offered
	}
	return l.Begun
}

// nameOf is what an account calls itself.
func (d *Directory) nameOf(account string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.accounts[rowID(account)]
	if e == nil || account == "" {
		return ""
	}
	if e.Value.Email != "" && e.Value.Name != "" {
		return e.Value.Name + " <" + e.Value.Email + ">"
	}
	return e.Value.Name + e.Value.Email
}

func codeKey(code string) string {
	sum := sha256.Sum256([]byte("assent-link/1\x00" + code))
	return hex.EncodeToString(sum[:])
}

// BeginLink starts to link another account to p, in p's signed-in session. The
// code is for the session of that other account; it is stored nowhere.
func (d *Directory) BeginLink(ctx context.Context, p *identity.Person) (*Link, string, error) {
	b := make([]byte, 15)
	_, _ = rand.Read(b) // never fails (Go 1.24)
	code := "lnk_" + lower.EncodeToString(b)
	var e *sealed.Entry[link]
	err := d.change(ctx, func(w *sealed.Writer, now time.Time) error {
		open := 0
		for _, l := range d.linksOf(now) {
			if l.Person == p.ID && (l.State == "begun" || l.State == "offered") {
				open++
			}
		}
		if open >= maxOpen {
			return fmt.Errorf("%d links wait to be finished: %w", open, ErrRefused)
		}
		e = &sealed.Entry[link]{ID: newID(), Key: codeKey(code), Value: link{Person: p.ID, Begin: p.Account, By: p.ID, Begun: now}}
		return linkKind.Put(ctx, w, e, linkRecord(&e.Value))
	})
	if err != nil {
		return nil, "", fmt.Errorf("linking an account: %w", err)
	}
	l := d.linkOf(e, e.Value.Begun)
	return &l, code, nil
}

// LookAtLink shows whoever holds the code what they would confirm.
func (d *Directory) LookAtLink(ctx context.Context, code string) (*Link, error) {
	var l Link
	err := d.o.box(ctx, func(r *sealed.Reader) error {
		e, err := d.byCode(ctx, r, code)
		if err == nil {
			l = d.linkOf(e, d.tell())
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for a link: %w", err)
	}
	return &l, nil
}

// OfferLink says, in the session of the account to be linked, that it belongs to
// the person who began. That person still has to confirm.
func (d *Directory) OfferLink(ctx context.Context, code string, p *identity.Person) (*Link, error) {
	var e *sealed.Entry[link]
	err := d.change(ctx, func(w *sealed.Writer, now time.Time) (err error) {
		if e, err = d.byCode(ctx, &w.Reader, code); err != nil {
			return err
		}
		v := &e.Value
		if !v.Offered.IsZero() || !now.Before(v.Begun.Add(linkWait)) {
			return ErrUnknown
		}
		if err := d.mayLink(v, p); err != nil {
			return err
		}
		v.Account, v.Home, v.Offered = p.Account, p.ID, now
		rec := linkRecord(v)
		rec.Person = p.ID
		return linkKind.Put(ctx, w, e, rec)
	})
	if err != nil {
		return nil, fmt.Errorf("linking an account: %w", err)
	}
	l := d.linkOf(e, e.Value.Offered)
	return &l, nil
}

// mayLink refuses an account that leads to the same person already, or to
// another one beside its own.
func (d *Directory) mayLink(l *link, p *identity.Person) error {
	switch {
	case !strings.Contains(p.Account, "|"):
		return fmt.Errorf("sign in with the account that is to be linked: %w", ErrRefused)
	case slices.Contains(p.IDs(), l.Person):
		return fmt.Errorf("%s belongs to %s already, or did lately: %w", p.Account, l.Person, ErrRefused)
	}
	for _, o := range d.Links() {
		if o.Account == p.Account && (o.State == "young" || o.State == "linked" && o.By != byConfig) {
			return fmt.Errorf("%s is linked to %s: one account leads to one person: %w", p.Account, o.Person, ErrRefused)
		}
	}
	return nil
}

// ConfirmLink ends the making of a link, in the session that began it. The two
// are one person from now on: exclusion counts at once, reviewing after a day.
func (d *Directory) ConfirmLink(ctx context.Context, id string, p *identity.Person) (*Link, error) {
	var e *sealed.Entry[link]
	err := d.change(ctx, func(w *sealed.Writer, now time.Time) (err error) {
		if e, err = linkKind.Get(ctx, &w.Reader, id); err != nil {
			return notFound(err)
		}
		v := &e.Value
		switch {
		case v.Person != p.ID || v.Begin != p.Account:
			return ErrNotYours
		case v.Offered.IsZero() || !v.Confirmed.IsZero() || !v.Ended.IsZero() || !now.Before(v.Offered.Add(linkWait)):
			return ErrUnknown
		}
		other, ok := d.Person(v.Account)
		if !ok || other.ID != v.Home {
			return fmt.Errorf("%s changed meanwhile: %w", v.Account, ErrRefused)
		}
		if err := d.mayLink(v, &other); err != nil {
			return err
		}
		v.Confirmed, v.Counts = now, now.Add(LinkDelay)
		return linkKind.Put(ctx, w, e, linkRecord(v))
	})
	if err != nil {
		return nil, fmt.Errorf("linking an account: %w", err)
	}
	l := d.linkOf(e, e.Value.Confirmed)
	return &l, nil
}

// EndLink ends a link, finished or not. Only the two sides may; admin says that
// an administrator does. Both sides stay excluded where the other is, for 30 days.
func (d *Directory) EndLink(ctx context.Context, id string, p *identity.Person, admin bool) error {
	err := d.change(ctx, func(w *sealed.Writer, now time.Time) error {
		e, err := linkKind.Get(ctx, &w.Reader, id)
		if err != nil {
			return notFound(err)
		}
		v := &e.Value
		side := slices.Contains(p.IDs(), v.Person) || v.Account != "" && slices.Contains(p.IDs(), v.Account)
		switch {
		case v.By == byConfig:
			return fmt.Errorf("the configuration says so; it is changed there: %w", ErrRefused)
		case !side && !admin:
			return ErrNotYours
		case !v.Ended.IsZero():
			return nil
		}
		if v.Confirmed.IsZero() {
			v.Counts = time.Time{}
		}
		v.Ended, v.EndedBy = now, p.ID
		return linkKind.Put(ctx, w, e, linkRecord(v))
	})
	if err != nil {
		return fmt.Errorf("ending a link: %w", err)
	}
	return nil
}

func notFound(err error) error {
	if errors.Is(err, sealed.ErrNotFound) {
		return ErrUnknown
	}
	return err
}

func (d *Directory) byCode(ctx context.Context, r *sealed.Reader, code string) (*sealed.Entry[link], error) {
	list, err := linkKind.List(ctx, r, sealed.Selection{Key: codeKey(code)})
	if err != nil {
		return nil, err
	}
	if len(list) != 1 || !list[0].Value.Ended.IsZero() || !list[0].Value.Confirmed.IsZero() {
		return nil, ErrUnknown
	}
	return list[0], nil
}

// Links lists all of them, the latest first.
func (d *Directory) Links() []Link { return d.linksOf(d.tell()) }

func (d *Directory) linksOf(now time.Time) []Link {
	d.mu.Lock()
	var all []*sealed.Entry[link]
	for _, e := range d.links {
		all = append(all, e)
	}
	d.mu.Unlock()
	var out []Link
	for _, e := range all {
		out = append(out, d.linkOf(e, now))
	}
	slices.SortFunc(out, func(a, b Link) int { return b.Begun.Compare(a.Begun) })
	return out
}

func (d *Directory) tell() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clock()
}

// box reads, where there is something to read.
func (o *Options) box(ctx context.Context, fn func(*sealed.Reader) error) error {
	if o.Box == nil {
		return ErrUnknown
	}
	return o.Box.View(ctx, fn)
}

// An Account is what is listed of one.
type Account struct {
	ID, Person, Name, Email string
	Groups                  []string
	First, Refreshed, Left  time.Time
	Configured              bool
}

// Accounts lists those that are known, by id.
func (d *Directory) Accounts() []Account {
	d.mu.Lock()
	var out []Account
	seen := map[string]bool{}
	for _, e := range d.accounts {
		v := &e.Value
		_, configured := d.cfg.owner[v.Account]
		out = append(out, Account{ID: v.Account, Name: v.Name, Email: v.Email, Groups: v.Groups, First: v.First, Refreshed: v.Refreshed, Left: v.Left, Configured: configured})
		seen[v.Account] = true
	}
	for a := range d.cfg.owner {
		if !seen[a] {
			out = append(out, Account{ID: a, Configured: true})
		}
	}
	d.mu.Unlock()
	for i := range out {
		if p, ok := d.Person(out[i].ID); ok {
			out[i].Person = p.ID
		}
	}
	slices.SortFunc(out, func(a, b Account) int { return strings.Compare(a.ID, b.ID) })
	return out
}
