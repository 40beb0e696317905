package server

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/identity"
)

const readsAtARate = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 1.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read] }
    then: allow
  - id: no-loops
    match: { kind: [data.read] }
    when: context.rate_1h >= 5
    then: deny
tests:
  - { name: reads, given: { kind: data.read, rate_1h: 4 }, want: { decision: allow } }
`

// A new deployment knows from the start how much its actors did; one that begins again knows what they did before;
// and where since when they are counted was taken out of the ledger, it knows nothing for an hour.
func TestRatesAreKnownFromTheStart(t *testing.T) {
	r := &readers{t: t, dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(r.dir, "pack.yaml"), []byte(readsAtARate), 0o600); err != nil {
		t.Fatal(err)
	}
	r.open()
	for _, user := range users() {
		if _, err := r.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:" + user}, TTL: time.Hour, By: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	reads := func(user string, want int) {
		t.Helper()
		n := 0
		for range want + 1 {
			_, err := r.read(r.gates[0], user, 0)
			if err == nil {
				n++
				continue
			}
			var denied *gate.Denied
			if !errors.As(err, &denied) || denied.Status != gate.StatusDenied {
				t.Fatal(err)
			}
		}
		if n != want {
			t.Fatalf("%s: %d reads flow, want %d", user, n, want)
		}
	}
	again := func(stmt string) {
		t.Helper()
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if stmt != "" {
			edit(t, r.dir, stmt)
		}
		r.open()
	}
	reads(users()[0], 5)
	if _, err := r.read(r.gates[0], users()[1], 0); err != nil {
		t.Fatal(err)
	}
	again("")
	reads(users()[0], 0)
	reads(users()[1], 4)
	reads(users()[2], 5)
	again("DELETE FROM ledger WHERE subject = '' AND resource = 'actions'")
	reads(users()[3], 0)
}
