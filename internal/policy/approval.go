package policy

import (
	"fmt"
	"strings"
	"time"
)

// consequences reads approval, unless and mask, each of which belongs to certain verdicts.
func (d *decoder) consequences(n *node, f map[string]*node, r *rule) {
	allowed := map[string]effect{"approval": thenReview, "unless": thenDeny, "mask": thenMask}
	for key, then := range allowed {
		if f[key] != nil && r.then != then {
			d.failAt(f[key], fmt.Sprintf("'%s' belongs to `then: %s`", key, then), "")
			return
		}
	}
	switch {
	case r.then == thenReview && f["approval"] == nil:
		d.failAt(n, "a review needs 'approval': who decides", "approval: { from: [group:NAME] }")
	case r.then == thenReview:
		r.approval = d.approval(f["approval"])
	case r.then == thenMask && f["mask"] == nil:
		d.failAt(n, "a mask rule needs 'mask': which classes, and how", "mask: { email: redact }")
	case r.then == thenMask:
		r.masks = d.maskMethods(f["mask"])
	case f["unless"] != nil:
		r.unless = d.unless(f["unless"])
	}
}

// unless is the only way past a deny, and it leads to people.
func (d *decoder) unless(n *node) *Requirement {
	f := d.mapping(n, "unless", unlessKeys()...)
	d.require(n, f, "unless", "break_glass", "approval")
	if x := f["break_glass"]; x != nil && !d.flag(x, "break_glass") {
		d.failAt(x, "break_glass must be true", "without `unless` the deny stands")
	}
	if x := f["approval"]; x != nil {
		return d.approval(x)
	}
	return nil
}

func assurances() []string { return []string{"token", "chat", "console", "passkey"} }

func (d *decoder) approval(n *node) *Requirement {
	f := d.mapping(n, "approval", approvalKeys()...)
	q := &Requirement{Count: 1, Expires: defaultExpires, UseWithin: defaultUseWithin, Unsaid: Unsaid{Expires: f["expires"] == nil, UseWithin: f["use_within"] == nil}}
	if f == nil {
		return q
	}
	d.whoDecides(n, f, q)
	if x := f["issuers"]; x != nil {
		q.Issuers, _ = d.one(x, "issuers", issuerRules()...)
		if q.Issuers == IssuersOne {
			q.Issuers = ""
		}
	}
	if x := f["reciprocal"]; x != nil {
		v, _ := d.one(x, "reciprocal", reciprocals()...)
		q.Reciprocal = v == "deny"
	}
	if x := f["expires"]; x != nil {
		q.Expires = d.duration(x, "expires")
	}
	if x := f["use_within"]; x != nil {
		q.UseWithin = d.duration(x, "use_within")
	}
	if x := f["wait"]; x != nil {
		q.Wait = d.duration(x, "wait")
	}
	if x := f["assurance"]; x != nil {
		q.Assurance, _ = d.one(x, "assurance", assurances()...)
	}
	if x := f["notify"]; x != nil {
		q.Notify = d.list(x, "notify")
	}
	if x := f["remind"]; x != nil {
		q.Remind = d.reminders(x, q.Expires)
	}
	if x := f["escalate"]; x != nil {
		q.Escalate = d.escalations(x, q.Expires)
	}
	if x := f["fall_back"]; x != nil {
		e := d.escalation(x, "fall_back", q.Expires)
		q.FallBack = &e
	}
	return q
}

func issuerRules() []string { return []string{IssuersOne, IssuersAny, IssuersDifferent} }

func reciprocals() []string { return []string{"allow", "deny"} }

// whoDecides reads from and count, all_of or any_of.
func (d *decoder) whoDecides(n *node, f map[string]*node, q *Requirement) {
	var given []string
	for _, key := range []string{"from", "all_of", "any_of"} {
		if f[key] != nil {
			given = append(given, key)
		}
	}
	switch {
	case len(given) == 0:
		d.failAt(n, "approval needs 'from', 'all_of' or 'any_of': who decides", "from: [group:NAME]")
	case len(given) > 1:
		d.failAt(n, fmt.Sprintf("approval has both '%s' and '%s'", given[0], given[1]), "use one of them; two rules can ask both")
	case given[0] == "from":
		q.From = d.groups(f["from"])
	case given[0] == "all_of":
		q.AllOf = d.seats(f["all_of"], "all_of")
		q.Count = 0
		for _, s := range q.AllOf {
			q.Count += s.Count
		}
	default:
		q.AnyOf = d.seats(f["any_of"], "any_of")
		q.Count = 0
		for _, s := range q.AnyOf {
			if q.Count == 0 || s.Count < q.Count {
				q.Count = s.Count
			}
		}
	}
	if x := f["count"]; x != nil {
		if f["from"] == nil {
			d.failAt(x, "'all_of' and 'any_of' have a count for each group", "")
		}
		q.Count = d.count(x, "count")
	}
}

// before refuses a time that comes when nobody waits any more.
func (d *decoder) before(n *node, what string, expires time.Duration) time.Duration {
	after := d.duration(n, what)
	if after >= expires {
		d.failAt(n, fmt.Sprintf("%s comes after %s, when it has expired", what, expires), "shorten it, or raise `expires`")
	}
	return after
}

func (d *decoder) reminders(n *node, expires time.Duration) []time.Duration {
	items := []*node{n}
	if n.kind == sequenceNode {
		items = n.items
	}
	var out []time.Duration
	for _, x := range items {
		out = append(out, d.before(x, "remind", expires))
	}
	return out
}

// validGroup accepts "group:name" and "issuer|immutable id".
func validGroup(g string) bool {
	if name, ok := strings.CutPrefix(g, "group:"); ok {
		return name != ""
	}
	issuer, id, ok := strings.Cut(g, "|")
	return ok && issuer != "" && id != ""
}

func (d *decoder) groups(n *node) []string {
	list := d.words(n, "group")
	for _, g := range list {
		if !validGroup(g) {
			d.failAt(n, fmt.Sprintf("'%s' is no group", clip(g)), "write group:NAME; people are named by their groups")
		}
	}
	return list
}

func (d *decoder) seats(n *node, what string) []Seats {
	if n.kind != sequenceNode || len(n.items) == 0 {
		d.failAt(n, what+" must be a list of { group: …, count: … }", "")
		return nil
	}
	var out []Seats
	for _, x := range n.items {
		f := d.mapping(x, "each of "+what, "group", "count")
		d.require(x, f, "each of "+what, "group")
		s := Seats{Count: 1}
		if g := f["group"]; g != nil {
			s.Group, _ = d.scalar(g, "group")
			if !validGroup(s.Group) {
				s.Group = "group:" + s.Group
			}
		}
		if c := f["count"]; c != nil {
			s.Count = d.count(c, "count")
		}
		for _, other := range out {
			if other.Group == s.Group {
				d.failAt(x, fmt.Sprintf("'%s' stands here twice", clip(s.Group)), "raise its count instead")
			}
		}
		out = append(out, s)
	}
	return out
}

func (d *decoder) escalations(n *node, expires time.Duration) []Escalation {
	if n.kind != sequenceNode || len(n.items) == 0 {
		d.failAt(n, "escalate must be a list of { after: …, to: […] }", "")
		return nil
	}
	var out []Escalation
	for _, x := range n.items {
		out = append(out, d.escalation(x, "each of escalate", expires))
	}
	return out
}

func (d *decoder) escalation(n *node, what string, expires time.Duration) (e Escalation) {
	f := d.mapping(n, what, "after", "to")
	d.require(n, f, what, "after", "to")
	if a := f["after"]; a != nil {
		e.After = d.before(a, "after", expires)
	}
	if t := f["to"]; t != nil {
		e.To = d.groups(t)
	}
	return e
}

// maskMethods reads class → method. A group stands for each of its classes; a
// class named besides keeps the stricter of the two.
func (d *decoder) maskMethods(n *node) map[string]string {
	f := d.mapping(n, "mask", append(append(classNames(), groupNames()...), ownNames(n)...)...)
	if f != nil && len(f) == 0 {
		d.failAt(n, "an empty mask", "mask: { email: redact }")
	}
	out := map[string]string{}
	for name, x := range f {
		method, ok := d.one(x, "mask method", maskNames()...)
		if !ok {
			continue
		}
		for _, class := range classesOf(name) {
			if own := ownGroup(class); class != name && own != name && f[own] != nil {
				continue // a card is masked as pci says, where that is named besides pii
			}
			out[class] = stricter(out[class], method)
		}
	}
	return out
}
