package people

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// Bounds on what one issuer may provision. Entries that ended count too.
const (
	maxUsers   = 20_000
	maxPGroups = 2_000
	maxMembers = 10_000 // of one group
	maxText    = 512    // bytes of any one value
	maxEmails  = 20
	maxNamed   = 50 // accounts that a record names
)

// ownGroup marks a provisioned group's id of ours in a group's full name:
// "corp|scim:0123456789abcdef". No issuer's claim says such a name.
const ownGroup = "scim:"

// Errors of provisioning.
var (
	ErrTaken = errors.New("another entry has this already")
	ErrFull  = errors.New("too much is provisioned here already")
)

// A ProvisionedUser is what an issuer's provisioning says of one of its accounts.
// Only its External says which account that is.
type ProvisionedUser struct {
	ID       string    `json:"-"`
	Issuer   string    `json:"issuer"`
	URL      string    `json:"url"`
	External string    `json:"external,omitempty"` // the issuer's immutable id: what the account signs in with
	UserName string    `json:"user_name"`
	Name     ProvName  `json:"name,omitzero"`
	Display  string    `json:"display,omitempty"`
	Emails   []Email   `json:"emails,omitempty"` // kept for who wrote them; they decide nothing
	Active   bool      `json:"active"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"`
	Deleted  time.Time `json:"deleted,omitzero"`
}

// A ProvName is a name in parts.
type ProvName struct {
	Formatted string `json:"formatted,omitempty"`
	Family    string `json:"family,omitempty"`
	Given     string `json:"given,omitempty"`
}

// An Email is one address.
type Email struct {
	Value   string `json:"value"`
	Type    string `json:"type,omitempty"`
	Primary bool   `json:"primary,omitempty"`
}

// Account is the id of the account that u speaks of; "" when it names none.
func (u *ProvisionedUser) Account() string {
	if u.External == "" {
		return ""
	}
	return u.Issuer + "|" + u.External
}

// A ProvisionedGroup is a group as an issuer's provisioning describes it.
type ProvisionedGroup struct {
	ID       string    `json:"-"`
	Issuer   string    `json:"issuer"`
	URL      string    `json:"url"`
	External string    `json:"external,omitempty"` // the issuer's immutable id
	Display  string    `json:"display"`
	Members  []string  `json:"members,omitempty"` // ids of provisioned users, in order
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"`
	Deleted  time.Time `json:"deleted,omitzero"`
}

// Names are those by which a configuration may map g.
func (g *ProvisionedGroup) Names() []string {
	out := []string{g.Issuer + "|" + ownGroup + g.ID}
	if g.External != "" {
		out = append(out, g.Issuer+"|"+g.External)
	}
	return out
}

const (
	userKind  = sealed.Kind[ProvisionedUser]("scim-user")
	groupKind = sealed.Kind[ProvisionedGroup]("scim-group")
)

// A Provisioning is one issuer's hand in the directory. It says who has an
// account there, who of them is active, and who is in which of its groups. It
// makes no review, no credential and no link, reaches no other issuer's account,
// and a group counts only if the configuration maps it.
type Provisioning struct {
	d           *Directory
	issuer, url string
	by          string // id of the credential that spoke
}

// Provisions tells whether an issuer is provisioned.
func (d *Directory) Provisions(issuer string) bool {
	return d.cfg.Provisioned[issuer] && d.cfg.Issuers[issuer] != ""
}

// Provisioning is the hand of the issuer whose provisioning holds the credential by.
func (d *Directory) Provisioning(issuer, by string) (*Provisioning, error) {
	if !d.Provisions(issuer) || d.o.Box == nil {
		return nil, fmt.Errorf("issuer %q is not provisioned: %w", issuer, ErrRefused)
	}
	return &Provisioning{d: d, issuer: issuer, url: d.cfg.Issuers[issuer], by: by}, nil
}

// Gone reports whether provisioning says that an account is disabled or was deleted.
func (d *Directory) Gone(account string) bool {
	p := d.picture().prov[account]
	return p != nil && p.gone
}

// InMapped reports whether provisioning has an account in a group that the configuration maps.
func (d *Directory) InMapped(account string) bool {
	p := d.picture().prov[account]
	return p != nil && !p.gone && len(p.groups) > 0
}

// ProvisionedGroups lists what provisioning describes, of all issuers.
func (d *Directory) ProvisionedGroups() []ProvisionedGroup {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []ProvisionedGroup
	for _, id := range slices.Sorted(maps.Keys(d.pgroups)) {
		if g := d.pgroups[id].Value; g.Deleted.IsZero() && d.Provisions(g.Issuer) {
			g.ID = id
			g.Members = d.present(&g)
			out = append(out, g)
		}
	}
	return out
}

// Mapped are our groups that a provisioned group counts as.
func (d *Directory) Mapped(g *ProvisionedGroup) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	edit := d.edited()
	return d.mapped(g, &edit)
}

func (d *Directory) mapped(g *ProvisionedGroup, edit *edited) (out []string) {
	for _, n := range g.Names() {
		out = append(out, edit.fromIssuer(d.cfg, n)...)
	}
	return tidy(out)
}

// present are the members of g that still are; mu is held.
func (d *Directory) present(g *ProvisionedGroup) (out []string) {
	for _, m := range g.Members {
		if u := d.users[m]; u != nil && u.Value.Deleted.IsZero() && u.Value.Issuer == g.Issuer {
			out = append(out, m)
		}
	}
	return out
}

// Users lists them, in the order of their ids.
func (p *Provisioning) Users() []ProvisionedUser {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	var out []ProvisionedUser
	for _, id := range slices.Sorted(maps.Keys(p.d.users)) {
		if u := p.d.users[id].Value; p.owns(u.Issuer, u.URL, u.Deleted) {
			u.ID = id
			out = append(out, u)
		}
	}
	return out
}

// Groups lists them, in the order of their ids.
func (p *Provisioning) Groups() []ProvisionedGroup {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	var out []ProvisionedGroup
	for _, id := range slices.Sorted(maps.Keys(p.d.pgroups)) {
		if g := p.d.pgroups[id].Value; p.owns(g.Issuer, g.URL, g.Deleted) {
			g.ID = id
			g.Members = p.d.present(&g)
			out = append(out, g)
		}
	}
	return out
}

func (p *Provisioning) owns(issuer, url string, deleted time.Time) bool {
	return issuer == p.issuer && url == p.url && deleted.IsZero()
}

// User reads one of this issuer's, as it is stored.
func (p *Provisioning) User(ctx context.Context, id string) (*ProvisionedUser, error) {
	e, err := get(ctx, p.d, userKind, id)
	if err != nil || !p.owns(e.Value.Issuer, e.Value.URL, e.Value.Deleted) {
		return nil, unknown("user", id, err)
	}
	e.Value.ID = id
	return &e.Value, nil
}

// Group reads one of this issuer's, as it is stored.
func (p *Provisioning) Group(ctx context.Context, id string) (*ProvisionedGroup, error) {
	e, err := get(ctx, p.d, groupKind, id)
	if err != nil || !p.owns(e.Value.Issuer, e.Value.URL, e.Value.Deleted) {
		return nil, unknown("group", id, err)
	}
	e.Value.ID = id
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	e.Value.Members = p.d.present(&e.Value)
	return &e.Value, nil
}

func get[T any](ctx context.Context, d *Directory, k sealed.Kind[T], id string) (e *sealed.Entry[T], err error) {
	err = d.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		e, err = k.Get(ctx, r, id)
		return err
	})
	return e, err
}

func unknown(what, id string, err error) error {
	if err == nil || errors.Is(err, sealed.ErrNotFound) {
		return fmt.Errorf("%s %.64q: %w", what, id, ErrUnknown)
	}
	return err
}

// CreateUser makes one.
func (p *Provisioning) CreateUser(ctx context.Context, u ProvisionedUser) (*ProvisionedUser, error) {
	if err := checkUser(&u); err != nil {
		return nil, err
	}
	id, err := p.newID("user", strings.ToLower(u.UserName), maxUsers)
	if err != nil {
		return nil, err
	}
	if err := p.free(&u, id); err != nil {
		return nil, err
	}
	return p.putUser(ctx, id, func(old *ProvisionedUser) (ProvisionedUser, error) { return u, created(old != nil, id) })
}

// ChangeUser replaces one by what fn makes of it.
func (p *Provisioning) ChangeUser(ctx context.Context, id string, fn func(*ProvisionedUser) (ProvisionedUser, error)) (*ProvisionedUser, error) {
	return p.putUser(ctx, id, func(old *ProvisionedUser) (ProvisionedUser, error) {
		if old == nil {
			return ProvisionedUser{}, unknown("user", id, nil)
		}
		u, err := fn(old)
		if err == nil {
			err = checkUser(&u)
		}
		if err == nil {
			err = p.free(&u, id)
		}
		return u, err
	})
}

// DeleteUser ends one. Its account stays known, and doesn't get in.
func (p *Provisioning) DeleteUser(ctx context.Context, id string) error {
	_, err := p.putUser(ctx, id, func(old *ProvisionedUser) (ProvisionedUser, error) {
		if old == nil {
			return ProvisionedUser{}, unknown("user", id, nil)
		}
		u := *old
		u.Active, u.Deleted = false, time.Unix(1, 0) // putUser says when
		return u, nil
	})
	return err
}

// free refuses what would make two users of one account or name.
func (p *Provisioning) free(u *ProvisionedUser, id string) error {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	for other, e := range p.d.users {
		if o := &e.Value; other != id && p.owns(o.Issuer, o.URL, o.Deleted) && (strings.EqualFold(o.UserName, u.UserName) || u.External != "" && o.External == u.External) {
			return fmt.Errorf("the userName or externalId of user %s: %w", other, ErrTaken)
		}
	}
	return nil
}

// newID is an id that two nodes that make the same entry at once both choose, so
// that one of them finds it taken, and that no entry of the past had.
func (p *Provisioning) newID(what, name string, most int) (string, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	n := 0
	for _, e := range p.d.users {
		if what == "user" && e.Value.Issuer == p.issuer {
			n++
		}
	}
	for _, e := range p.d.pgroups {
		if what == "group" && e.Value.Issuer == p.issuer {
			n++
		}
	}
	if n >= most {
		return "", fmt.Errorf("%d %ss of issuer %s: %w", n, what, p.issuer, ErrFull)
	}
	for n = 0; ; n++ {
		id := rowID("scim", what, p.issuer, p.url, name, fmt.Sprint(n))
		if p.d.users[id] == nil && p.d.pgroups[id] == nil {
			return id, nil
		}
	}
}

// putUser stores what fn makes of a user; fn gets nil when there is none.
func (p *Provisioning) putUser(ctx context.Context, id string, fn func(*ProvisionedUser) (ProvisionedUser, error)) (*ProvisionedUser, error) {
	var out ProvisionedUser
	err := p.d.change(ctx, func(w *sealed.Writer, now time.Time) error {
		e, err := userKind.Get(ctx, &w.Reader, id)
		var old *ProvisionedUser
		switch {
		case errors.Is(err, sealed.ErrNotFound):
			e = &sealed.Entry[ProvisionedUser]{ID: id, Key: p.issuer}
		case err != nil:
			return err
		case !p.owns(e.Value.Issuer, e.Value.URL, e.Value.Deleted):
			return unknown("user", id, nil)
		default:
			before := e.Value
			old = &before
		}
		next, err := fn(old)
		if err != nil {
			return err
		}
		next.Issuer, next.URL, next.Changed = p.issuer, p.url, now
		what := "provisioned"
		switch {
		case old == nil:
			next.Created = now
		case !next.Deleted.IsZero():
			next.Created, next.Deleted, what = old.Created, now, "provisioning ended"
		default:
			next.Created, next.Deleted = old.Created, time.Time{}
		}
		if old != nil && same(old, &next) {
			out = *old
			out.ID = id
			return nil
		}
		e.Value = next
		rec := p.record(what, next.Account())
		rec.Detail["user"], rec.Detail["active"] = id, fmt.Sprint(next.Active)
		if err := userKind.Put(ctx, w, e, rec); err != nil {
			return err
		}
		out = next
		out.ID = id
		if next.Active || next.Account() == "" {
			return nil
		}
		return p.leave(ctx, w, next.Account(), what, now)
	})
	if err != nil {
		return nil, fmt.Errorf("provisioning: %w", err)
	}
	return &out, nil
}

// same reports whether nothing changed that anybody could see.
func same(a, b *ProvisionedUser) bool {
	x, y := *a, *b
	x.ID, x.Changed, x.Emails, y.ID, y.Changed, y.Emails = "", time.Time{}, nil, "", time.Time{}, nil
	return slices.Equal(a.Emails, b.Emails) && reflect.DeepEqual(x, y)
}

// created refuses an entry that another node made at the same moment.
func created(there bool, id string) error {
	if there {
		return fmt.Errorf("entry %s: %w", id, ErrTaken)
	}
	return nil
}

// leave notes on the account what Left does, in the same transaction.
func (p *Provisioning) leave(ctx context.Context, w *sealed.Writer, account, why string, now time.Time) error {
	e, err := accountKind.Get(ctx, &w.Reader, rowID(account))
	if errors.Is(err, sealed.ErrNotFound) || err == nil && !e.Value.Left.IsZero() {
		return nil
	}
	if err != nil {
		return err
	}
	e.Value.Left, e.Value.Why, e.Value.Groups = now, why, nil
	return accountKind.Put(ctx, w, e, &audit.Record{Type: audit.TypePerson, Decision: "left", Person: p.d.idOf(&e.Value), Detail: map[string]string{"account": account, "why": "disabled by provisioning"}})
}

// record tells of a change that provisioning made to an account.
func (p *Provisioning) record(what, account string) *audit.Record {
	r := &audit.Record{Type: audit.TypePerson, Decision: what, Person: "provision:" + p.issuer, Detail: map[string]string{"credential": p.by}}
	if account != "" {
		r.Detail["account"] = account
		r.Subject = p.d.idAt(account, p.url)
	}
	return r
}

func checkUser(u *ProvisionedUser) error {
	if u.UserName == "" {
		return fmt.Errorf("a user needs a userName: %w", ErrRefused)
	}
	if len(u.Emails) > maxEmails {
		return fmt.Errorf("more than %d e-mail addresses: %w", maxEmails, ErrRefused)
	}
	texts := []string{u.External, u.UserName, u.Display, u.Name.Formatted, u.Name.Family, u.Name.Given}
	for _, m := range u.Emails {
		texts = append(texts, m.Value, m.Type)
	}
	return checkTexts(texts)
}

func checkTexts(texts []string) error {
	for _, t := range texts {
		if t != "" && !plain(t) {
			return fmt.Errorf("a value is longer than %d bytes or not plain text: %w", maxText, ErrRefused)
		}
	}
	return nil
}
