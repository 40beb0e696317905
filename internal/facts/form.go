package facts

import (
	"reflect"
	"slices"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/policy"
)

// A Form lets Note write what one asker does again and again in a few bytes: what an
// action has in common with one before is written once for each time that the queue is
// emptied, and then referred to. It changes nothing of what is kept, for it compares. It
// belongs to one goroutine at a time.
type Form struct {
	last [4]like
	next int // which of them is given up for another
}

// like is what stands in the tuples of an entry, and where that entry is.
type like struct {
	queue uint64 // which one of the Writer's; 0: none
	entry uint64 // among the whole entries of that queue

	verb, shape, gate, harmless    string
	urn, typ, env, target          string
	destination, trust             string
	session, ticket                string
	subject, actor, actorType      string
	owner, model, actorTrust       string
	bundle                         string
	reversible, routine            bool
	classesKnown, unscanned        bool
	inferred, computed, aggregated bool
	breakGlass, frozen             bool
	verdict                        policy.Verdict
	limit                          action.Count
	kinds                          []action.Kind
	labels, masks                  map[string]string
	lists                          [6][]string
	links                          []string
	rules, shadow                  []Rule
}

// plain says that nothing stands in the tuples that only few actions have, which a
// Form does not compare.
func plain(in *policy.Input, d *policy.Decision, f *Facts) bool {
	return in.Action.Data.Findings == nil && in.Action.Claims.Reason == "" && len(d.Requirements) == 0 && len(f.Outside) == 0
}

// find is what was noted with the same tuples; nil where there is none.
func (m *Form) find(in *policy.Input, d *policy.Decision, f *Facts) *like {
	for i := range m.last {
		if l := &m.last[i]; l.queue != 0 && l.fits(in, d, f) {
			return l
		}
	}
	return nil
}

// keep notes what an entry says. What it refers to is copied where callers use its memory again.
func (m *Form) keep(in *policy.Input, d *policy.Decision, f *Facts) *like {
	l := &m.last[m.next]
	m.next = (m.next + 1) % len(m.last)
	a := in.Action
	data, c := &a.Data, &a.Claims
	lists, kinds, links, rules, shadow := l.lists, l.kinds, l.links[:0], l.rules[:0], l.shadow[:0]
	for i, list := range lists {
		lists[i] = append(list[:0], listOf(in, i)...)
	}
	for i := range a.Actors {
		links = append(links, a.Actors[i].ID)
	}
	for i := range d.Rules {
		rules = append(rules, Rule{d.Rules[i].Then, d.Rules[i].Pack, d.Rules[i].Rule})
	}
	for i := range d.Shadow {
		shadow = append(shadow, Rule{d.Shadow[i].Then, d.Shadow[i].Pack, d.Shadow[i].Rule})
	}
	*l = like{
		verb: a.Verb, shape: a.Shape, gate: f.Gate, harmless: in.Harmless,
		urn: a.Resource.URN, typ: a.Resource.Type, env: a.Resource.Env, target: a.Target,
		destination: data.Destination, trust: data.DestinationTrust,
		session: c.Session, ticket: c.Ticket,
		subject: in.SubjectID, actor: in.ActorID, actorType: in.ActorType,
		owner: in.ActorOwner, model: in.ActorModel, actorTrust: in.ActorTrust,
		bundle: d.Bundle, reversible: a.Reversible, routine: a.Routine,
		classesKnown: data.ClassesKnown, unscanned: data.Unscanned,
		inferred: data.Inferred, computed: data.Computed, aggregated: data.Aggregated,
		breakGlass: c.BreakGlass, frozen: f.Frozen, verdict: d.Verdict, limit: d.RowLimit,
		kinds: append(kinds[:0], a.Kinds...), labels: a.Resource.Labels, masks: d.Masks,
		lists: lists, links: links, rules: rules, shadow: shadow,
	}
	return l
}

// listOf is one of the lists that stand in the tuples.
func listOf(in *policy.Input, i int) []string {
	d := &in.Action.Data
	switch i {
	case 0:
		return d.Classes
	case 1:
		return d.Groups
	case 2:
		return d.InferredOf
	case 3:
		return d.ComputedOf
	case 4:
		return d.AggregatedOf
	}
	return in.SubjectGroups
}

// fits reports whether the tuples of an action would be those of l. All that is read
// here is read by the append functions in tuple.go, and the other way round: a test holds that.
func (l *like) fits(in *policy.Input, d *policy.Decision, f *Facts) bool {
	a := in.Action
	data, c, r := &a.Data, &a.Claims, &a.Resource
	if l.shape != a.Shape || l.target != a.Target || l.verb != a.Verb || l.gate != f.Gate || l.harmless != in.Harmless ||
		l.urn != r.URN || l.typ != r.Type || l.env != r.Env || l.destination != data.Destination || l.trust != data.DestinationTrust ||
		l.session != c.Session || l.ticket != c.Ticket || l.breakGlass != c.BreakGlass ||
		l.subject != in.SubjectID || l.actor != in.ActorID || l.actorType != in.ActorType ||
		l.owner != in.ActorOwner || l.model != in.ActorModel || l.actorTrust != in.ActorTrust ||
		l.bundle != d.Bundle || l.frozen != f.Frozen || l.verdict != d.Verdict || l.limit != d.RowLimit ||
		l.reversible != a.Reversible || l.routine != a.Routine || l.classesKnown != data.ClassesKnown || l.unscanned != data.Unscanned ||
		l.inferred != data.Inferred || l.computed != data.Computed || l.aggregated != data.Aggregated ||
		len(l.links) != len(a.Actors) || !slices.Equal(l.kinds, a.Kinds) || !equalHits(l.rules, d.Rules) || !equalHits(l.shadow, d.Shadow) {
		return false
	}
	for i := range l.links {
		if l.links[i] != a.Actors[i].ID {
			return false
		}
	}
	for i := range l.lists {
		if list := listOf(in, i); len(list)+len(l.lists[i]) > 0 && !slices.Equal(l.lists[i], list) {
			return false
		}
	}
	return sameMap(l.labels, r.Labels) && sameMap(l.masks, d.Masks)
}

// sameMap reports whether a and b are one map, or both empty. Nobody writes to either: see Writer.written.
func sameMap(a, b map[string]string) bool {
	return len(a)+len(b) == 0 || reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

func equalHits(l []Rule, hits []policy.Hit) bool {
	if len(l) != len(hits) {
		return false
	}
	for i := range l {
		if l[i].Then != hits[i].Then || l[i].Pack != hits[i].Pack || l[i].Name != hits[i].Rule {
			return false
		}
	}
	return true
}
