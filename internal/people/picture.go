package people

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// A picture is the directory at one time. Nothing in it changes, but until when
// a session holds an account's groups.
type picture struct {
	until     time.Time // when time alone makes another of it
	byID      map[string]*entry
	members   map[string][]identity.Person
	silenced  map[string][]identity.Person // who would be members
	actors    map[string]identity.Actor
	actorList []identity.Actor
	turns     map[string][]string // person id → groups they are on call for
	prov      map[string]*provision
}

// An entry is what one id leads to.
type entry struct {
	found identity.Person // without what issuers gave
	held  []held
	mute  bool // this id answers nothing: a link that is too young, or ended lately
}

// held are groups that count while a session holds them.
type held struct {
	by     *live
	groups []string
}

func (e *entry) person(now time.Time) identity.Person {
	p := e.found
	if e.mute {
		p.Groups, p.StandsFor = nil, nil
		return p
	}
	micro, mine := now.UnixMicro(), true
	for _, h := range e.held {
		if micro >= h.by.until.Load() {
			continue
		}
		if mine {
			p.Groups, mine = slices.Clone(p.Groups), false
		}
		p.Groups = append(p.Groups, h.groups...)
	}
	if !mine {
		slices.Sort(p.Groups)
		p.Groups = slices.Compact(p.Groups)
	}
	return p
}

// A drawing is a picture in the making.
type drawing struct {
	d     *Directory
	now   time.Time
	pic   *picture
	same  sets                 // ids that are one person
	kin   sets                 // ids held to be one human for exclusion
	mute  map[string]bool      // ids that answer nothing
	since map[string]time.Time // when an id began to lead to its person
	turns map[string][]string  // person id → groups by rotation
	edit  edited               // what was changed of groups while running
}

// draw makes the picture of now; mu is held.
func (d *Directory) draw(now time.Time) *picture {
	prov := d.provisions()
	w := &drawing{
		d: d, now: now, same: sets{}, kin: sets{}, mute: map[string]bool{}, since: map[string]time.Time{}, turns: map[string][]string{},
		pic: &picture{until: now.Add(24 * time.Hour), byID: map[string]*entry{}, members: map[string][]identity.Person{}, silenced: map[string][]identity.Person{}, actors: map[string]identity.Actor{}, prov: prov},
	}
	for id := range d.cfg.people {
		w.join(id, id)
	}
	for account, owner := range d.cfg.owner {
		w.join(account, owner)
		if issuer, subject, _ := strings.Cut(account, "|"); d.cfg.Issuers[issuer] != "" {
			w.join(account, personOf(d.cfg.Issuers[issuer], subject)) // as whom it comes by another client of that issuer
		}
	}
	for _, e := range d.accounts {
		a := &e.Value
		w.join(a.Account, d.idOf(a))
		_, subject, _ := strings.Cut(a.Account, "|")
		w.join(a.Account, personOf(a.URL, subject)) // as which it may have come before it was configured
	}
	for account, p := range prov {
		if url := d.cfg.Issuers[issuerOf(account)]; p.gone || len(p.groups) > 0 {
			_, subject, _ := strings.Cut(account, "|")
			w.join(account, d.idAt(account, url))
			w.join(account, personOf(url, subject))
		}
	}
	for _, e := range d.links {
		w.link(&e.Value)
	}
	for i := range d.cfg.OnCall {
		w.turn(&d.cfg.OnCall[i])
	}
	w.edit = d.edited()
	w.pic.turns = w.turns
	w.persons()
	w.actors()
	return w.pic
}

// at notes a moment when the picture changes by itself.
func (w *drawing) at(t time.Time) {
	if t.After(w.now) && t.Before(w.pic.until) {
		w.pic.until = t
	}
}

func (w *drawing) join(a, b string) { w.same.join(a, b); w.kin.join(a, b) }

// link joins what a link says is one human, and mutes what may not answer by it yet, or any more.
func (w *drawing) link(l *link) {
	switch {
	case l.Confirmed.IsZero(): // not made yet, or never
		return
	case !l.Ended.IsZero():
		forget := l.Ended.Add(LinkMemory)
		w.at(forget)
		if !w.now.Before(forget) {
			return
		}
		w.kin.join(l.Account, l.Person)
		w.mute[l.Account] = true
	default:
		w.join(l.Account, l.Person)
		w.since[l.Account] = l.Counts
		w.at(l.Counts)
		if !w.now.Before(l.Counts) {
			break
		}
		w.mute[l.Account] = true
	}
	if l.Home == "" { // the configuration's word
		return
	}
	// Two who said that they are one: by this account's side nobody answers meanwhile.
	for _, id := range []string{l.Home, w.home(l.Account)} {
		w.since[id] = l.Counts
		if w.mute[l.Account] {
			w.mute[id] = true
		}
	}
}

// home is whom an account leads to without links; "" when nobody knows it.
func (w *drawing) home(account string) string {
	if owner, ok := w.d.cfg.owner[account]; ok {
		return owner
	}
	if e := w.d.accounts[rowID(account)]; e != nil {
		return w.d.idOf(&e.Value)
	}
	if w.pic.prov[account] != nil {
		return w.d.idAt(account, w.d.cfg.Issuers[issuerOf(account)])
	}
	return ""
}

// A body is one person in the making: several ids, one human being.
type body struct {
	ids     []string
	found   identity.Person
	own     []string // groups by the configuration and its rotations
	held    []held
	all     []string // every group, remembered ones too
	standby []identity.Standing
	out     []string // groups that they are kept out of, by whatever way
}

func (w *drawing) persons() {
	bodies := map[string]*body{} // by each id
	for _, ids := range w.same.all() {
		b := w.body(ids)
		for _, id := range ids {
			bodies[id] = b
		}
	}
	kin := w.kin.all()
	for _, ids := range w.same.all() {
		w.putOut(bodies[ids[0]], kin[w.kin.find(ids[0])])
	}
	for _, e := range w.d.standins {
		w.lend(e.ID, &e.Value, bodies)
	}
	for _, ids := range w.same.all() {
		b := bodies[ids[0]]
		for _, id := range kin[w.kin.find(ids[0])] {
			if !slices.Contains(b.ids, id) {
				b.found.Kin = append(b.found.Kin, id)
			}
		}
		w.enter(b)
		w.silence(b)
	}
	for g := range w.pic.members {
		slices.SortStableFunc(w.pic.members[g], func(a, b identity.Person) int {
			lent := func(p *identity.Person) int {
				if p.In(g) {
					return 0
				}
				return 1
			}
			return cmp.Or(cmp.Compare(lent(&a), lent(&b)), strings.Compare(a.ID, b.ID))
		})
	}
}

// body gathers what the ids of one person bring.
func (w *drawing) body(ids []string) *body {
	slices.SortFunc(ids, func(a, b string) int {
		_, x := w.d.cfg.people[a]
		_, y := w.d.cfg.people[b]
		rank := func(id string, configured bool) int {
			switch {
			case configured:
				return 0
			case strings.HasPrefix(id, "person:"):
				return 1
			}
			return 2
		}
		return cmp.Or(cmp.Compare(rank(a, x), rank(b, y)), strings.Compare(a, b))
	})
	b := &body{ids: ids, found: identity.Person{ID: ids[0], Accounts: ids[1:]}}
	var issuers []string
	for _, id := range ids {
		if p, ok := w.d.cfg.people[id]; ok {
			issuers = append(issuers, "")
			if b.found.Name == "" {
				b.found.Name = p.Name
			}
			if !w.mute[id] {
				b.own = append(append(b.own, w.d.cfg.given[id]...), w.turns[id]...)
			}
		}
		if !w.mute[id] {
			b.own = append(b.own, w.edit.in[id]...)
		}
		if strings.Contains(id, "|") && !w.mute[id] {
			issuers = append(issuers, issuerOf(id))
			w.account(b, id)
		}
	}
	if b.found.Gone = w.gone(ids); b.found.Gone {
		b.own, b.held, b.all = nil, nil, nil
	}
	b.found.Issuers = tidy(issuers)
	b.found.Groups = tidy(b.own)
	b.all = tidy(append(b.all, b.own...))
	if b.found.Name == "" {
		for _, id := range ids {
			if e := w.d.accounts[rowID(id)]; e != nil && e.Value.Account == id {
				b.found.Name = cmp.Or(b.found.Name, e.Value.Name, e.Value.Email)
			}
		}
		for _, id := range ids {
			if p := w.pic.prov[id]; p != nil {
				b.found.Name = cmp.Or(b.found.Name, p.name)
			}
		}
		b.found.Name = cmp.Or(b.found.Name, b.found.ID)
	}
	return b
}

// gone reports whether provisioning has ended every account by which a person
// could sign in: then nothing of theirs counts any more, whatever the
// configuration says of them.
func (w *drawing) gone(ids []string) bool {
	gone := false
	for _, id := range ids {
		signIns := w.d.cfg.Issuers
		if w.d.cfg.SignIns != nil {
			signIns = w.d.cfg.SignIns
		}
		if !strings.Contains(id, "|") || signIns[issuerOf(id)] == "" {
			continue
		}
		if p := w.pic.prov[id]; p == nil || !p.gone {
			return false
		}
		gone = true
	}
	return gone
}

// account adds the groups that an issuer gave one account of b: what it said at
// the sign-in, and what its provisioning says now.
func (w *drawing) account(b *body, id string) {
	prov := w.pic.prov[id]
	if prov != nil && prov.gone || w.mute[w.home(id)] {
		return
	}
	var groups []string
	if prov != nil {
		groups = append(groups, prov.groups...)
		b.all = append(b.all, prov.groups...)
	}
	claimed, until := w.claimed(id)
	groups = append(groups, claimed...)
	if len(groups) == 0 {
		return
	}
	b.held = append(b.held, held{by: w.d.liveOf(id), groups: groups})
	w.at(until)
	if w.now.Before(until) {
		b.all = append(b.all, claimed...)
	}
}

// claimed are our groups by what the issuer said when an account signed in, and
// until when that makes it one that may be asked.
func (w *drawing) claimed(id string) (groups []string, until time.Time) {
	e := w.d.accounts[rowID(id)]
	if e == nil || e.Value.Account != id || !e.Value.Left.IsZero() || w.d.cfg.Issuers[issuerOf(id)] != e.Value.URL {
		return nil, time.Time{}
	}
	own := issuerOf(id) + "|" + ownGroup
	for _, raw := range e.Value.Groups {
		if !strings.HasPrefix(raw, own) { // a name of ours, which no claim can say
			groups = append(groups, w.edit.fromIssuer(w.d.cfg, raw)...)
		}
	}
	return append(groups, w.d.granted[id]...), e.Value.Refreshed.Add(GroupMemory)
}

// lend gives the stand-in of somebody their seats.
func (w *drawing) lend(id string, s *standIn, bodies map[string]*body) {
	w.at(s.Until)
	from, to := bodies[s.From], bodies[s.To]
	if !s.Ended.IsZero() || !w.now.Before(s.Until) || from == nil || to == nil || w.kin.find(s.From) == w.kin.find(s.To) {
		return
	}
	var groups []string
	for _, g := range from.all {
		if (len(s.Groups) == 0 || slices.Contains(s.Groups, g)) && !slices.Contains(to.out, g) {
			groups = append(groups, g)
		}
	}
	if len(groups) > 0 {
		to.standby = append(to.standby, identity.Standing{ID: id, Person: from.found.ID, Groups: groups})
	}
}

// enter puts a person into the picture, under each of their ids.
func (w *drawing) enter(b *body) {
	slices.Sort(b.found.Kin)
	slices.SortFunc(b.standby, func(x, y identity.Standing) int { return strings.Compare(x.ID, y.ID) })
	if !b.found.Gone {
		b.found.StandsFor = b.standby
	}
	broken := w.d.broken != nil
	for _, id := range b.ids {
		e := &entry{found: b.found, held: b.held, mute: w.mute[id] || broken}
		if strings.Contains(id, "|") && w.mute[w.home(id)] {
			e.mute = true
		}
		if p := w.pic.prov[id]; p != nil && p.gone {
			e.mute, e.found.Gone = true, true
		}
		e.found.Since = w.since[id]
		if id != b.found.ID {
			e.found.Account = id
		}
		w.pic.byID[id] = e
	}
	if broken || b.found.Gone {
		return
	}
	member := b.found
	member.Groups = b.all
	groups := slices.Clone(b.all)
	for _, s := range b.standby {
		groups = append(groups, s.Groups...)
	}
	for _, g := range tidy(groups) {
		w.pic.members[g] = append(w.pic.members[g], member)
	}
}

func (w *drawing) actors() {
	maps.Copy(w.pic.actors, w.d.cfg.actors)
	for _, a := range w.d.runtime {
		w.pic.actors[a.ID] = a
	}
	for _, id := range slices.Sorted(maps.Keys(w.pic.actors)) {
		w.pic.actorList = append(w.pic.actorList, w.pic.actors[id])
	}
}

func tidy(s []string) []string { return slices.Compact(slices.Sorted(slices.Values(s))) }

// sets are disjoint sets of ids, by each id's parent.
type sets map[string]string

func (s sets) find(id string) string {
	p, ok := s[id]
	if !ok {
		s[id] = id
		return id
	}
	if p == id {
		return id
	}
	root := s.find(p)
	s[id] = root
	return root
}

func (s sets) join(a, b string) { s[s.find(a)] = s.find(b) }

// all lists the ids of each set by its root, in order.
func (s sets) all() map[string][]string {
	out := map[string][]string{}
	for _, id := range slices.Sorted(maps.Keys(s)) {
		root := s.find(id)
		out[root] = append(out[root], id)
	}
	return out
}
