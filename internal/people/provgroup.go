package people

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/sealed"
)

// CreateGroup makes one.
func (p *Provisioning) CreateGroup(ctx context.Context, g ProvisionedGroup) (*ProvisionedGroup, error) {
	id, err := p.newID("group", g.Display, maxPGroups)
	if err != nil {
		return nil, err
	}
	if err := p.freeGroup(&g, id); err != nil {
		return nil, err
	}
	return p.putGroup(ctx, id, func(old *ProvisionedGroup) (ProvisionedGroup, error) { return g, created(old != nil, id) })
}

// ChangeGroup replaces one by what fn makes of it.
func (p *Provisioning) ChangeGroup(ctx context.Context, id string, fn func(*ProvisionedGroup) (ProvisionedGroup, error)) (*ProvisionedGroup, error) {
	return p.putGroup(ctx, id, func(old *ProvisionedGroup) (ProvisionedGroup, error) {
		if old == nil {
			return ProvisionedGroup{}, unknown("group", id, nil)
		}
		g, err := fn(old)
		if err == nil {
			err = p.freeGroup(&g, id)
		}
		return g, err
	})
}

// DeleteGroup ends one: its id never comes again, so that no later group of its
// name counts as what it was mapped to.
func (p *Provisioning) DeleteGroup(ctx context.Context, id string) error {
	_, err := p.putGroup(ctx, id, func(old *ProvisionedGroup) (ProvisionedGroup, error) {
		if old == nil {
			return ProvisionedGroup{}, unknown("group", id, nil)
		}
		g := *old
		g.Members, g.Deleted = nil, time.Unix(1, 0) // putGroup says when
		return g, nil
	})
	return err
}

// freeGroup refuses what two groups can't both be called.
func (p *Provisioning) freeGroup(g *ProvisionedGroup, id string) error {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	for other, e := range p.d.pgroups {
		if o := &e.Value; other != id && p.owns(o.Issuer, o.URL, o.Deleted) && (o.External == g.External && (g.External != "" || o.Display == g.Display)) {
			return fmt.Errorf("the displayName or externalId of group %s: %w", other, ErrTaken)
		}
	}
	return nil
}

// putGroup stores what fn makes of a group; fn gets nil when there is none.
func (p *Provisioning) putGroup(ctx context.Context, id string, fn func(*ProvisionedGroup) (ProvisionedGroup, error)) (*ProvisionedGroup, error) {
	var out ProvisionedGroup
	err := p.d.change(ctx, func(w *sealed.Writer, now time.Time) error {
		e, err := groupKind.Get(ctx, &w.Reader, id)
		var old *ProvisionedGroup
		switch {
		case errors.Is(err, sealed.ErrNotFound):
			e = &sealed.Entry[ProvisionedGroup]{ID: id, Key: p.issuer}
		case err != nil:
			return err
		case !p.owns(e.Value.Issuer, e.Value.URL, e.Value.Deleted):
			return unknown("group", id, nil)
		default:
			before := e.Value
			before.ID = id
			old = &before
		}
		next, err := fn(old)
		if err != nil {
			return err
		}
		if err := p.checkGroup(ctx, w, old, &next); err != nil {
			return err
		}
		next.ID, next.Issuer, next.URL, next.Changed = "", p.issuer, p.url, now
		what := "group provisioned"
		switch {
		case old == nil:
			old = &ProvisionedGroup{}
			next.Created = now
		case !next.Deleted.IsZero():
			next.Created, next.Deleted, what = old.Created, now, "group's provisioning ended"
		default:
			next.Created, next.Deleted = old.Created, time.Time{}
			if old.Display == next.Display && old.External == next.External && slices.Equal(old.Members, next.Members) {
				out = *old
				return nil
			}
		}
		rec := p.record(what, "")
		rec.Detail["group"], rec.Detail["external"], rec.Detail["members"] = id, next.External, fmt.Sprint(len(next.Members))
		if counts := p.d.Mapped(&ProvisionedGroup{ID: id, Issuer: p.issuer, External: next.External}); len(counts) > 0 {
			rec.Detail["counts_as"] = strings.Join(counts, " ")
		}
		for name, ids := range map[string][]string{"gained": without(next.Members, old.Members), "lost": without(old.Members, next.Members)} {
			if len(ids) > 0 {
				rec.Detail[name] = p.named(ids)
			}
		}
		e.Value = next
		out = next
		out.ID = id
		return groupKind.Put(ctx, w, e, rec)
	})
	if err != nil {
		return nil, fmt.Errorf("provisioning: %w", err)
	}
	return &out, nil
}

// checkGroup refuses what a group may not be, and puts its members in order. Who
// is new among them must be a user of this issuer, as the store tells it.
func (p *Provisioning) checkGroup(ctx context.Context, w *sealed.Writer, old, g *ProvisionedGroup) error {
	if g.Display == "" {
		return fmt.Errorf("a group needs a displayName: %w", ErrRefused)
	}
	if err := checkTexts([]string{g.Display, g.External}); err != nil {
		return err
	}
	if strings.HasPrefix(g.External, ownGroup) {
		return fmt.Errorf("an externalId doesn't begin with %s: such names are this server's to give: %w", ownGroup, ErrRefused)
	}
	g.Members = tidy(g.Members)
	if len(g.Members) > maxMembers {
		return fmt.Errorf("more than %d members: %w", maxMembers, ErrRefused)
	}
	var had []string
	if old != nil {
		had = old.Members
	}
	for _, id := range without(g.Members, had) {
		e, err := userKind.Get(ctx, &w.Reader, id)
		switch {
		case errors.Is(err, sealed.ErrNotFound), err == nil && !p.owns(e.Value.Issuer, e.Value.URL, e.Value.Deleted):
			return fmt.Errorf("a member is no user that was provisioned here: %w", ErrRefused)
		case err != nil:
			return err
		}
	}
	return nil
}

// without lists what the sorted list a has and the sorted list b hasn't.
func without(a, b []string) (out []string) {
	for _, x := range a {
		if _, has := slices.BinarySearch(b, x); !has {
			out = append(out, x)
		}
	}
	return out
}

// named are the accounts of users, for the log.
func (p *Provisioning) named(ids []string) string {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	var out []string
	for _, id := range ids[:min(len(ids), maxNamed)] {
		name := "user " + id
		if e := p.d.users[id]; e != nil && e.Value.External != "" {
			name = e.Value.Account()
		}
		out = append(out, name)
	}
	if len(ids) > maxNamed {
		out = append(out, fmt.Sprintf("and %d more", len(ids)-maxNamed))
	}
	return strings.Join(out, ", ")
}

// A provision is what provisioning says of one account, in a picture.
type provision struct {
	gone   bool     // disabled or deleted
	groups []string // ours, through the configuration's mapping
	name   string

	since time.Time // when it was changed last
	had   []string  // groups, though it be gone
}

// provisions gathers what provisioning says, by account. Of several entries for
// one account each that disables it counts; an ended one does unless another follows.
func (d *Directory) provisions() map[string]*provision {
	if len(d.cfg.Provisioned) == 0 {
		return nil
	}
	believed := func(issuer, url string) bool {
		return d.cfg.Provisioned[issuer] && url != "" && d.cfg.Issuers[issuer] == url
	}
	edit := d.edited()
	groups := map[string][]string{} // by user
	for id, e := range d.pgroups {
		g := e.Value
		if !g.Deleted.IsZero() || !believed(g.Issuer, g.URL) {
			continue
		}
		g.ID = id
		ours := d.mapped(&g, &edit)
		for _, m := range g.Members {
			if u := d.users[m]; len(ours) > 0 && u != nil && u.Value.Issuer == g.Issuer {
				groups[m] = append(groups[m], ours...)
			}
		}
	}
	out, ended := map[string]*provision{}, map[string]*provision{}
	for id, e := range d.users {
		u := &e.Value
		account := u.Account()
		if account == "" || !believed(u.Issuer, u.URL) {
			continue
		}
		if !u.Deleted.IsZero() {
			p := ended[account]
			if p == nil {
				p = &provision{gone: true}
				ended[account] = p
			}
			p.take(u.Deleted, groups[id])
			continue
		}
		p := out[account]
		if p == nil {
			p = &provision{}
			out[account] = p
		}
		p.gone = p.gone || !u.Active
		p.take(u.Changed, groups[id])
		p.name = u.Display
		if p.name == "" {
			p.name = strings.TrimSpace(u.Name.Given + " " + u.Name.Family)
		}
		if u.Name.Formatted != "" && p.name == "" {
			p.name = u.Name.Formatted
		}
	}
	for account, p := range ended {
		if out[account] == nil {
			out[account] = p
		}
	}
	for _, p := range out {
		if p.had = tidy(p.had); !p.gone {
			p.groups = p.had
		}
	}
	return out
}

// take adds one entry of an account.
func (p *provision) take(changed time.Time, groups []string) {
	p.had = append(p.had, groups...)
	if changed.After(p.since) {
		p.since = changed
	}
}
