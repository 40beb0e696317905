package policy

import "strings"

// OutsidePack stands where the pack of a rule would, for what was decided outside.
const OutsidePack = "decision_points"

// Outside adds what a decision point said to d: it can deny what d allows or holds, and
// hold what d allows, by people of from. It never permits. reason is for reviewers and the log.
func (d *Decision) Outside(point string, v Verdict, from []string, count int, reason string) {
	d.Verdict = min(d.Verdict, v)
	hit := Hit{Rule: point, Pack: OutsidePack, Then: v.String()}
	if reason != "" {
		hit.Atoms = []Atom{{Expr: "decision point " + point, Value: reason, Holds: Yes}}
	}
	d.Rules = append(d.Rules, hit)
	sortHits(d.Rules)
	if d.Verdict == Deny {
		d.Requirements = nil
	} else if v == Review {
		d.Requirements = append(d.Requirements, Requirement{
			Rule: point, Pack: OutsidePack, From: from, Count: count, Reason: reason,
			Expires: defaultExpires, UseWithin: defaultUseWithin, Unsaid: Unsaid{Expires: true, UseWithin: true},
		})
		sortRequirements(d.Requirements)
	}
	if v != Allow {
		says := "decision point " + point + " asks for it"
		if v == Deny {
			says = "decision point " + point + " denies it"
		}
		if reason != "" {
			says += ": " + reason
		}
		d.Reason = strings.TrimPrefix(d.Reason+"; "+says, "; ")
	}
}

// ValidGroup reports what names a group: group:NAME, or a group of an issuer.
func ValidGroup(g string) bool { return validGroup(g) }

// PlainURL is a URL without what may be a secret in it, short and on one line.
func PlainURL(s string) string { return clip(withoutSecrets(s)) }
