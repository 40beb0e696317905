package people

import (
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// goneMemory is how long somebody whom provisioning ended still counts as one whom a
// group would have.
const goneMemory = 24 * time.Hour

// Silenced lists who would be in a group but answers nothing now: a link of theirs is
// young or ended lately, or provisioning ended them less than a day ago. An
// administrator can bring that about, and must not be alone by it.
func (d *Directory) Silenced(group string) []identity.Person {
	return append([]identity.Person(nil), d.picture().silenced[group]...)
}

// silence notes the groups that b is kept from.
func (w *drawing) silence(b *body) {
	var groups []string
	for _, id := range b.ids {
		if _, ok := w.d.cfg.people[id]; ok {
			groups = append(append(groups, w.d.cfg.given[id]...), w.turns[id]...)
		}
		groups = append(groups, w.edit.in[id]...)
		if strings.Contains(id, "|") {
			groups = append(groups, w.had(id)...)
		}
	}
	if b.found.Gone && !w.lately(b.ids) {
		return
	}
	member := b.found
	for _, g := range without(without(tidy(groups), b.all), tidy(b.out)) {
		w.pic.silenced[g] = append(w.pic.silenced[g], member)
	}
}

// had are the groups that an issuer gave an account, whatever mutes it.
func (w *drawing) had(account string) []string {
	groups, until := w.claimed(account)
	if !w.now.Before(until) {
		groups = nil
	}
	if p := w.pic.prov[account]; p != nil && (!p.gone || w.now.Before(p.since.Add(goneMemory))) {
		groups = append(groups, p.had...)
	}
	return groups
}

// lately reports whether provisioning ended one of ids less than a day ago.
func (w *drawing) lately(ids []string) bool {
	for _, id := range ids {
		if p := w.pic.prov[id]; p != nil && p.gone && w.now.Before(p.since.Add(goneMemory)) {
			w.at(p.since.Add(goneMemory))
			return true
		}
	}
	return false
}
