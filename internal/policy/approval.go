package policy

import (
	"fmt"
	"strings"
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
	q := &Requirement{Count: 1, Expires: defaultExpires, UseWithin: defaultUseWithin}
	switch {
	case f == nil:
		return q
	case f["from"] == nil && f["all_of"] == nil:
		d.failAt(n, "approval needs 'from' or 'all_of': who decides", "from: [group:NAME]")
	case f["from"] != nil && f["all_of"] != nil:
		d.failAt(n, "approval has both 'from' and 'all_of'", "use one of them; two rules can ask both")
	case f["from"] != nil:
		q.From = d.groups(f["from"])
	default:
		q.AllOf = d.seats(f["all_of"])
		q.Count = 0
		for _, s := range q.AllOf {
			q.Count += s.Count
		}
	}
	if x := f["count"]; x != nil {
		if f["all_of"] != nil {
			d.failAt(x, "'all_of' has a count for each group", "")
		}
		q.Count = d.count(x, "count")
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
	if x := f["escalate"]; x != nil {
		q.Escalate = d.escalations(x)
	}
	return q
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

func (d *decoder) seats(n *node) []Seats {
	if n.kind != sequenceNode || len(n.items) == 0 {
		d.failAt(n, "all_of must be a list of { group: …, count: … }", "")
		return nil
	}
	var out []Seats
	for _, x := range n.items {
		f := d.mapping(x, "each of all_of", "group", "count")
		d.require(x, f, "each of all_of", "group")
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

func (d *decoder) escalations(n *node) []Escalation {
	if n.kind != sequenceNode || len(n.items) == 0 {
		d.failAt(n, "escalate must be a list of { after: …, to: […] }", "")
		return nil
	}
	var out []Escalation
	for _, x := range n.items {
		f := d.mapping(x, "each of escalate", "after", "to")
		d.require(x, f, "each of escalate", "after", "to")
		var e Escalation
		if a := f["after"]; a != nil {
			e.After = d.duration(a, "after")
		}
		if t := f["to"]; t != nil {
			e.To = d.groups(t)
		}
		out = append(out, e)
	}
	return out
}

// maskNames lists the methods, strictest first.
func maskNames() []string {
	return []string{MaskRedact, MaskHash, MaskToken, MaskFormat, MaskPartial}
}

// maskMethods reads class → method. A group stands for each of its classes; a
// class named besides keeps the stricter of the two.
func (d *decoder) maskMethods(n *node) map[string]string {
	f := d.mapping(n, "mask", append(classNames(), groupNames()...)...)
	if f != nil && len(f) == 0 {
		d.failAt(n, "an empty mask", "mask: { email: redact }")
	}
	out := map[string]string{}
	for name, x := range f {
		method, ok := d.one(x, "mask method", maskNames()...)
		if !ok {
			continue
		}
		put := func(class string) { out[class] = stricter(out[class], method) }
		if group := taxonomy()[name]; group != "" {
			put(name)
			continue
		}
		for class, group := range taxonomy() {
			if group == name {
				put(class)
			}
		}
	}
	return out
}

// stricter is the stricter of two methods; "" is none.
func stricter(a, b string) string {
	for _, m := range maskNames() {
		if a == m || b == m {
			return m
		}
	}
	return a
}
