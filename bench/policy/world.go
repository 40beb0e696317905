package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/assenthq/assent/action"
)

// A request is what a gate knows of one action: from here each side builds what it reads.
type request struct {
	action        *action.Action
	subject       string
	subjectGroups []string
	actor         string
	actorType     string
	trust         string
	at            time.Time
	rate          int64
}

// requests are 512 actions of all kinds, the same in each run, on resources that have rules of
// their own as far as n rules go.
func requests(n int) []*request {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a benchmark's requests are the same in each run
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	some := func(words ...string) []string {
		return slices.DeleteFunc(slices.Clone(words), func(string) bool { return r.IntN(2) == 0 })
	}
	var out []*request
	for range 512 {
		kind := action.Kind(pick("data.read", "data.read", "data.export", "data.write", "data.delete", "schema.change", "privilege.change", "secret.access", "execute", "deploy", "net.fetch", "llm.call"))
		out = append(out, &request{
			action: &action.Action{
				Kinds: []action.Kind{kind}, Verb: pick("select", "drop", "truncate", "alter"), Target: pick("public.orders", "public.orders", "public.key_secret"),
				Resource: action.Resource{
					URN: fmt.Sprintf("postgres:team%d/shop/orders", 1+r.IntN(max(1, n/len(twenty())-1))), Type: "postgres", Env: pick("prod", "prod", "staging"),
					Labels: map[string]string{"tier": pick("gold", "silver"), "region": "eu"},
				},
				Data: action.Data{
					Rows: action.KnownCount(r.Int64N(20000)), Bytes: action.KnownCount(r.Int64N(2000000)), ClassesKnown: true,
					Classes: some("card", "email", "us-ssn"), Groups: some("pci", "pii"),
					Destination: pick("https://internal.example/x", "https://example.org/y"), DestinationTrust: pick("internal", "external"),
				},
			},
			subject: "sam", subjectGroups: append(some("group:security"), "group:billing"),
			actor: "agent:x", actorType: pick("agent", "agent", "pipeline"), trust: pick("high", "low"),
			at: time.Date(2026, 11, 20+r.IntN(7), r.IntN(24), 30, 0, 0, time.UTC), rate: r.Int64N(1000),
		})
	}
	return out
}

// weekday is the day's name as conditions write it.
func weekday(t time.Time) string {
	return [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}[t.Weekday()]
}
