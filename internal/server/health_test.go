package server

import (
	"strings"
	"testing"
)

// Whoever is told that a part doesn't work is told what to do about that part.
func TestEveryCheckHasARemedy(t *testing.T) {
	s := heldServer(t, "remote: { listen: 127.0.0.1:0 }",
		"gates: [{ name: shop, type: mysql, env: prod, listen: 127.0.0.1:0, upstream: { host: 127.0.0.1, port: 1, database: d, user: u, password: { env: HOME }, tls: \"off\" } }, { name: far, type: postgres, env: prod, at: there, upstream: { host: db, database: d } }]")
	said := map[string]string{}
	for _, c := range s.checks() {
		remedy := RemedyOf(c.Name)
		if strings.Contains(remedy, "own log says why") {
			t.Errorf("%s has no remedy of its own", c.Name)
		}
		if other := said[remedy]; other != "" {
			t.Errorf("%s and %s have the same remedy", c.Name, other)
		}
		said[remedy] = c.Name
	}
	if len(said) < 11 {
		t.Errorf("only %d checks: %v", len(said), said)
	}
	for _, name := range []string{"clock", "witnesses", "witness w.example", "workload issuers", "archive of traffic", "stream siem", "traces", "decision point opa", "issuer corp"} {
		if strings.Contains(RemedyOf(name), "own log says why") {
			t.Errorf("%s has no remedy of its own", name)
		}
	}
	if RemedyOf("something new") == "" {
		t.Error("nothing is said of a part that nobody knows")
	}
}
