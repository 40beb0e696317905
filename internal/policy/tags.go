package policy

import (
	"fmt"
	"regexp"
)

// tagForm is what a tag looks like: a risk of the OWASP Top 10 for Agentic Applications
// (ASI01 to ASI10), or a technique of MITRE ATT&CK. Whether such a technique exists is
// its author's to know: the list changes twice a year, and a pack outlives it.
const tagForm = `^(ASI0[1-9]|ASI10|T[0-9]{4}(\.[0-9]{3})?)$`

// tags are names of threats that a rule is about. They decide nothing.
func (d *decoder) tags(n *node) []string {
	form := regexp.MustCompile(tagForm)
	tags := d.words(n, "tags")
	for _, s := range tags {
		if !form.MatchString(s) {
			d.failAt(n, fmt.Sprintf("'%s' is no tag", clip(s)), "write a risk of the OWASP Top 10 for agents as ASI02, a technique of ATT&CK as T1485 or T1567.002")
		}
	}
	return tags
}
