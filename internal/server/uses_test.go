package server

import (
	"fmt"
	"strings"
	"testing"
)

// What is computed with, and aggregated over, what this actor sees masked is a fact that policy may refuse.
func TestComputedAndAggregatedAreFacts(t *testing.T) {
	x := newTarget(t, attackCluster(t), "uses", fmt.Sprintf(attackPack, "redact", `  - { id: no-aggregates, match: { kind: [data.read] }, when: data.aggregated, then: deny }
  - { id: no-computing, match: { kind: [data.read] }, when: data.computed && !data.aggregated, then: deny }
`))
	r := x.raid(t)
	for q, rule := range map[string]string{
		"select max(ssn) from customers": "no-aggregates", "select c from (select string_agg(email, ',') as c from customers) q": "no-aggregates", "select count(code) from contacts": "no-aggregates", "select count(*) from customers where ssn like '1%'": "no-aggregates",
		"select reverse(ssn) from customers": "no-computing", "select code || 'x' from contacts": "no-computing", "select reverse(item) from orders": "no-computing",
		"select ssn, id + 1, count(*) over () from customers": "", "select max(quantity), count(*) from orders": "", "select quantity * 2, lower(item) from orders": "",
	} {
		r.conn.forget()
		r.say(q)
		heard := string(r.conn.all())
		if rule == "" && strings.Contains(heard, "assent") || rule != "" && !strings.Contains(heard, "rule "+rule+" ") {
			t.Errorf("%s: want %q of %q", q, rule, heard)
		}
	}
}
