package evidence_test

import (
	"encoding/hex"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/passkey/passkeytest"
)

func TestPlanDigest(t *testing.T) {
	a, b, c := [32]byte{1}, [32]byte{2}, [32]byte{3}
	seen := map[[32]byte]bool{}
	for _, of := range []struct {
		salt  [32]byte
		items [][32]byte
	}{{a, nil}, {a, [][32]byte{b}}, {a, [][32]byte{b, c}}, {a, [][32]byte{c, b}}, {a, [][32]byte{b, b}}, {a, [][32]byte{b, b, b}}, {b, [][32]byte{b, c}}} {
		seen[evidence.PlanDigest(of.salt, of.items)] = true
	}
	if len(seen) != 7 {
		t.Errorf("%d digests of 7 plans", len(seen))
	}
	sum := evidence.PlanDigest([32]byte{}, [][32]byte{{}}) // what others have to come to
	if got := hex.EncodeToString(sum[:]); got != "994c2533577a1a8f7e7335eecf9715d40c1855efdb40397c19523a36870c2c99" {
		t.Errorf("it is %s", got)
	}
}

// A plan that a passkey approved, and its items as they run.
func TestThePasskeyLogFollowsAPlan(t *testing.T) {
	at := long.Add(48 * time.Hour)
	key := passkeytest.New(rpID, site)
	digest := func(b byte) string { return "sha256:" + strings.Repeat(hex.EncodeToString([]byte{b}), 32) }
	one, two := digest(1), digest(2)
	sum := evidence.PlanDigest([32]byte{}, [][32]byte{[32]byte([]byte(strings.Repeat("\x01", 32))), [32]byte([]byte(strings.Repeat("\x02", 32)))})
	yes := approved("apr_p", 1, at)
	yes.Digest = "sha256:" + hex.EncodeToString(sum[:])
	yes.Detail["plan_salt"], yes.Detail["plan_items"] = strings.Repeat("00", 32), "apr_a "+one+"\napr_b "+two
	run := func(id, digest string) rec {
		r := started(id, at.Add(time.Minute))
		r.Digest, r.Detail = digest, map[string]string{"plan": "apr_p"}
		return r
	}
	before := []rec{registered(key, "person:mira", long, evidence.BySession), reviewed(key, "person:mira", "apr_p", "approve", at)}
	with := func(change func(r *rec)) rec {
		r := yes
		r.Detail = maps.Clone(r.Detail)
		change(&r)
		return r
	}
	over := rec{Time: at, Type: "approval", Approval: "apr_p", Decision: "withdrawn"}
	for name, c := range map[string]struct {
		why  string
		recs []rec
	}{
		"each item once":           {"", []rec{yes, run("apr_b", two), run("apr_a", one)}},
		"an item it doesn't list":  {"doesn't list it", []rec{yes, run("apr_c", one)}},
		"other bytes":              {"doesn't list it", []rec{yes, run("apr_a", two)}},
		"the plan left out":        {"doesn't list it", []rec{yes, func() rec { r := run("apr_a", one); r.Detail = nil; return r }()}},
		"before it was approved":   {"doesn't list it", []rec{run("apr_a", one), yes}},
		"after it was taken back":  {"doesn't list it", []rec{yes, over, run("apr_a", one)}},
		"after the key is revoked": {"was revoked", []rec{yes, run("apr_a", one), revoked(key, "person:mira", at), run("apr_b", two)}},
		"another order":            {"isn't that of its items", []rec{with(func(r *rec) { r.Detail["plan_items"] = "apr_b " + two + "\napr_a " + one })}},
		"an item less":             {"isn't that of its items", []rec{with(func(r *rec) { r.Detail["plan_items"] = "apr_a " + one })}},
		"two items of one id":      {"isn't that of its items", []rec{with(func(r *rec) { r.Detail["plan_items"] = "apr_a " + one + "\napr_a " + two })}},
		"another salt":             {"isn't that of its items", []rec{with(func(r *rec) { r.Detail["plan_salt"] = strings.Repeat("01", 32) })}},
		"no salt":                  {"salt", []rec{with(func(r *rec) { r.Detail["plan_salt"] = "" })}},
		"items of nothing":         {"can't be read", []rec{with(func(r *rec) { r.Detail["plan_items"] = "" })}},
		"too few signed":           {"fewer signatures", []rec{with(func(r *rec) { r.Detail["seats"] = "2" })}},
	} {
		_, wrong := read(t, append(before, c.recs...)...)
		switch {
		case c.why == "" && len(wrong) > 0:
			t.Errorf("%s: %q", name, wrong)
		case c.why != "" && (len(wrong) == 0 || !strings.Contains(wrong[0], c.why)):
			t.Errorf("%s: %q, want %s", name, wrong, c.why)
		}
	}
}
