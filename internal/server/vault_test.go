package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/mask"
)

const vaultPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: tokens, version: 1.0.0, owner: test }
rules:
  - id: reads
    match: { kind: [data.read] }
    then: allow
  - id: tokens
    match: { kind: [data.read] }
    then: mask
    mask: { email: tokenize vault, phone: tokenize linkable vault, card: tokenize }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow, mask: { email: tokenize vault, phone: tokenize linkable vault, card: tokenize } } }
`

// What a policy keeps behind tokens is read back by who may, after the look is on record, and
// until it is erased. Nothing that is kept or recorded holds it.
func TestVault(t *testing.T) {
	b := newBench(t)
	b.pack(vaultPack)
	values := []string{"ana.lopez@example.com", "+44 20 7946 0958", "4111 1111 1111 1111"}
	permit, err := b.ask(t.Context(), action.DataRead, "SELECT * FROM customers")
	if err != nil {
		t.Fatal(err)
	}
	rows := permit.Rows([]gate.Column{{Name: "email", Type: 25}, {Name: "phone", Type: 25}, {Name: "card_number", Type: 25}})
	var tokens []string
	for i, v := range values {
		token, err := rows.Value(i, []byte(v))
		if err != nil || !strings.HasPrefix(string(token), "tok_") {
			t.Fatalf("%q, %v", token, err)
		}
		tokens = append(tokens, string(token))
	}
	if kept, err := b.store.KeptValue(t.Context(), tokens[0]); err != nil || kept != nil {
		t.Errorf("before anything flows %+v is kept, %v", kept, err)
	}
	if err := permit.Count(1, 100); err != nil {
		t.Fatal(err)
	}
	v := vault{b.Server}
	mira, _ := b.Server.dir.Person("person:mira")
	if got, _, err := v.ReadValue(t.Context(), mira, tokens[0], "why"); !errors.Is(err, api.ErrVaultRight) || got != nil {
		t.Errorf("with nothing configured somebody may read: %q, %v", got, err)
	}
	b.cfg.Vault.Groups = []string{"reviewers"}
	for i, actor := range []string{"agent:worker", ""} {
		got, kept, err := v.ReadValue(t.Context(), mira, tokens[i], "is it ours? ask cy@example.net")
		if err != nil || string(got) != values[i] || kept.Actor != actor {
			t.Errorf("%s: %q of %+v, %v", tokens[i], got, kept, err)
		}
	}
	if got, _, err := v.ReadValue(t.Context(), mira, tokens[2], "why"); !errors.Is(err, api.ErrNotKept) || got != nil {
		t.Errorf("of a token without a vault: %q, %v", got, err)
	}
	closed, cancel := context.WithCancel(t.Context())
	cancel()
	if got, _, err := v.ReadValue(closed, mira, tokens[0], "unrecorded"); err == nil || got != nil {
		t.Errorf("what can't be recorded: %q, %v", got, err)
	}
	kept, err := b.store.KeptValue(t.Context(), tokens[0])
	if err != nil || strings.Contains(string(kept.Sealed), "ana") {
		t.Fatalf("kept: %+v, %v", kept, err)
	}
	other := *kept
	other.Token = tokens[1]
	if _, err := b.masker.Unsealed(&other); !errors.Is(err, mask.ErrSealed) {
		t.Errorf("a value moved to another token: %v", err)
	}
	if n, err := v.EraseValues(t.Context(), mira.ID, mask.Erasure{Actor: "agent:worker"}, "she asked for it"); err != nil || n != 1 {
		t.Errorf("erased %d, %v", n, err)
	}
	if got, _, err := v.ReadValue(t.Context(), mira, tokens[0], "again"); !errors.Is(err, api.ErrNotKept) || got != nil {
		t.Errorf("after it was erased: %q, %v", got, err)
	}
	recs := b.records(audit.TypeVault)
	if len(recs) != 3 || recs[2].Person != "person:mira" || recs[2].Detail["token"] != tokens[0] || recs[2].Detail["class"] != "email" || recs[0].Detail["event"] != "erase" {
		t.Fatalf("records: %+v", recs)
	}
	if all := fmt.Sprintf("%+v", recs); strings.Contains(all, "example.") || strings.Contains(all, "7946") {
		t.Errorf("a value is in a record: %s", all)
	}
}
