package people

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
)

// Claims are what an issuer says of one who signed in, from a checked token.
// Issuer and Subject alone say who it is.
type Claims struct {
	Issuer   string // name in the configuration
	URL      string // what that issuer calls itself
	Subject  string // its immutable id of the account
	Name     string // to show, as is Email
	Email    string
	Groups   []string // immutable ids, without the issuer's name
	Object   string   // "tenant/object id" where the issuer is Entra
	AuthTime time.Time
	// Until is when the session ends that these claims came with: so long its
	// holder may answer by these groups, unless Refreshed, Left or Idle says otherwise.
	Until time.Time
}

// Account is the id of the account: "corp|00u1".
func (c *Claims) Account() string { return c.Issuer + "|" + c.Subject }

// An account is what is remembered of one.
type account struct {
	Account   string    `json:"account"`
	URL       string    `json:"url"`
	Name      string    `json:"name,omitempty"`
	Email     string    `json:"email,omitempty"`
	Groups    []string  `json:"groups,omitempty"` // with the issuer's name: "corp|00g1"
	Object    string    `json:"object,omitempty"` // of Entra
	First     time.Time `json:"first"`
	Refreshed time.Time `json:"refreshed"`
	Left      time.Time `json:"left,omitzero"` // when the issuer said that it is disabled
	Why       string    `json:"why,omitempty"`
}

const accountKind = sealed.Kind[account]("account")

// live is until when, in microseconds, a session holds an account's groups.
type live struct{ until atomic.Int64 }

// ByObject is the account that signed in as this object of Entra; "" when there
// is none, or more than one.
func (d *Directory) ByObject(object string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := ""
	for _, e := range d.accounts {
		v := &e.Value
		if v.Object != object || object == "" || !v.Left.IsZero() || d.cfg.Issuers[issuerOf(v.Account)] != v.URL {
			continue
		}
		if found != "" {
			return ""
		}
		found = v.Account
	}
	return found
}

// Objects are those of Entra that lead to a person.
func (d *Directory) Objects(person string) []string {
	d.mu.Lock()
	var all []*account
	for _, e := range d.accounts {
		if v := e.Value; v.Object != "" && v.Left.IsZero() {
			all = append(all, &v)
		}
	}
	d.mu.Unlock()
	var out []string
	for _, v := range all {
		if p, ok := d.Person(v.Account); ok && p.ID == person {
			out = append(out, v.Object)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// issuerOf is the part of an account's id before the bar.
func issuerOf(account string) string {
	issuer, _, _ := strings.Cut(account, "|")
	return issuer
}

var lower = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// rowID is an id of fixed length for what outsiders may name as they like.
func rowID(parts ...string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "assent-row/1 %q", parts))
	return lower.EncodeToString(sum[:15])
}

// personOf is the id of somebody known by an account alone: the same each time,
// and telling nothing.
func personOf(url, subject string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "assent-person/1 %q %q", url, subject))
	return "person:u-" + lower.EncodeToString(sum[:10])
}

// SignedIn notes that somebody signed in, and says who it is.
func (d *Directory) SignedIn(ctx context.Context, c Claims) (identity.Person, error) {
	return d.claim(ctx, c, "signed in")
}

// Refreshed notes what the issuer says now of somebody who is signed in. It
// writes only what changed.
func (d *Directory) Refreshed(ctx context.Context, c Claims) (identity.Person, error) {
	return d.claim(ctx, c, "refreshed")
}

func (d *Directory) claim(ctx context.Context, c Claims, what string) (identity.Person, error) {
	groups, err := d.checkClaims(&c)
	if err != nil {
		return identity.Person{}, fmt.Errorf("signing in %s: %w", c.Account(), err)
	}
	id := c.Account()
	err = d.change(ctx, func(w *sealed.Writer, now time.Time) error {
		if d.Gone(id) { // asked within the transaction: who disables it writes the account's row too
			return fmt.Errorf("provisioning says that this account is disabled: %w", ErrRefused)
		}
		e, err := accountKind.Get(ctx, &w.Reader, rowID(id))
		switch {
		case errors.Is(err, sealed.ErrNotFound):
			e = &sealed.Entry[account]{ID: rowID(id), Key: c.Issuer, Value: account{Account: id, URL: c.URL, First: now}}
		case err != nil:
			return err
		case e.Value.URL != c.URL:
			return fmt.Errorf("issuer %s was %s when this account came first and is %s now: give another issuer another name: %w", c.Issuer, e.Value.URL, c.URL, ErrRefused)
		}
		v := &e.Value
		changed := !slices.Equal(v.Groups, groups) || v.Object != c.Object || v.Name != c.Name || v.Email != c.Email || !v.Left.IsZero()
		if e.Revision > 0 && !changed && now.Sub(v.Refreshed) < noteEvery {
			return nil
		}
		detail := map[string]string{"account": id, "what": what, "groups": fmt.Sprint(len(groups))}
		if gained, lost := differ(v.Groups, groups); gained+lost > 0 && e.Revision > 0 {
			detail["gained"], detail["lost"] = fmt.Sprint(gained), fmt.Sprint(lost)
		}
		v.Groups, v.Object, v.Name, v.Email, v.Refreshed, v.Left, v.Why = groups, c.Object, c.Name, c.Email, now, time.Time{}, ""
		return accountKind.Put(ctx, w, e, &audit.Record{Type: audit.TypePerson, Decision: what, Person: d.idOf(v), Detail: detail})
	})
	if err != nil {
		return identity.Person{}, fmt.Errorf("signing in %s: %w", id, err)
	}
	d.Holds(id, c.Until)
	p, ok := d.Person(id)
	if !ok {
		return identity.Person{}, fmt.Errorf("signing in %s: %w", id, ErrUnknown)
	}
	return p, nil
}

// idOf is the person that an account leads to by itself, without links.
func (d *Directory) idOf(a *account) string {
	return d.idAt(a.Account, a.URL)
}

// idAt is idOf for an account that nothing is remembered of.
func (d *Directory) idAt(account, url string) string {
	if id, ok := d.cfg.owner[account]; ok {
		return id
	}
	_, subject, _ := strings.Cut(account, "|")
	return personOf(url, subject)
}

// checkClaims refuses what an issuer may not say, and gives the groups their full names.
func (d *Directory) checkClaims(c *Claims) ([]string, error) {
	switch url, ok := d.cfg.Issuers[c.Issuer]; {
	case !ok || url != c.URL || c.URL == "":
		return nil, fmt.Errorf("%q at %q is not a configured issuer: %w", c.Issuer, c.URL, ErrRefused)
	case !plain(c.Subject):
		return nil, fmt.Errorf("the subject is empty or not plain text: %w", ErrRefused)
	case len(c.Groups) > maxGroups:
		return nil, fmt.Errorf("%d groups, more than %d: let the issuer send only those that matter here: %w", len(c.Groups), maxGroups, ErrRefused)
	case d.o.Box == nil:
		return nil, fmt.Errorf("nothing is remembered here: %w", ErrRefused)
	}
	out := make([]string, 0, len(c.Groups))
	for _, g := range c.Groups {
		if !plain(g) {
			return nil, fmt.Errorf("a group's id is empty or not plain text: %w", ErrRefused)
		}
		out = append(out, c.Issuer+"|"+g)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// differ counts what the sorted list b has more and less than a.
func differ(a, b []string) (gained, lost int) {
	for _, x := range b {
		if _, had := slices.BinarySearch(a, x); !had {
			gained++
		}
	}
	return gained, len(a) - (len(b) - gained)
}

// Holds says that a live session holds the groups of an account until then: the
// issuer confirmed them a moment ago, or can't be reached.
func (d *Directory) Holds(account string, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.liveOf(account).until.Store(until.UnixMicro())
}

// Idle says that no session of an account is left: it keeps being asked, and
// answers nothing until it signs in again.
func (d *Directory) Idle(account string) { d.Holds(account, time.UnixMicro(0)) }

// liveOf is made once for each account; mu is held.
func (d *Directory) liveOf(account string) *live {
	l := d.live[account]
	if l == nil {
		l = &live{}
		d.live[account] = l
	}
	return l
}

// Left notes that the issuer no longer knows or trusts an account. It is in no
// group from now on; whoever it leads to stays known, and excluded where they were.
func (d *Directory) Left(ctx context.Context, id, why string) error {
	d.Idle(id)
	err := d.change(ctx, func(w *sealed.Writer, now time.Time) error {
		e, err := accountKind.Get(ctx, &w.Reader, rowID(id))
		if err != nil || !e.Value.Left.IsZero() {
			return err
		}
		e.Value.Left, e.Value.Why, e.Value.Groups = now, why, nil
		return accountKind.Put(ctx, w, e, &audit.Record{Type: audit.TypePerson, Decision: "left", Person: d.idOf(&e.Value), Detail: map[string]string{"account": id, "why": why}})
	})
	if err != nil {
		return fmt.Errorf("noting that %s left: %w", id, err)
	}
	return nil
}
