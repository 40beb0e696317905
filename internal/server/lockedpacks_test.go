package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/policy"
)

func locked(pack string) string {
	return strings.Replace(pack, "kind: PolicyPack\n", "kind: PolicyPack\nlocked: true\n", 1)
}

func onlyLocked(t *testing.T, b *bench) string {
	t.Helper()
	all := b.policy.Current().Locked()
	if len(all) != 1 {
		t.Fatalf("locked are %v", all)
	}
	for name := range all {
		return name
	}
	return ""
}

// A locked pack stays when others are applied, unless whoever asks names it.
func TestALockedPackChangesByNameOnly(t *testing.T) {
	b := ruled(t, threeAdmins)
	e := b.apply(locked(denyPack), "mira")
	if err := b.allow(e.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	b.settled(e.ID)
	eventually(t, "it is in force", func() bool { return len(b.policy.Current().Locked()) == 1 })
	name := onlyLocked(t, b)
	var bad *change.BodyError
	for _, c := range []struct {
		files  map[string]string
		unlock []string
		says   string
	}{
		{map[string]string{"pack.yaml": heldPack}, nil, "--unlock " + name},
		{map[string]string{"pack.yaml": denyPack}, nil, "--unlock " + name},
		{map[string]string{"pack.yaml": renamed(locked(denyPack), "9.0.0")}, []string{"other"}, "--unlock " + name},
		{map[string]string{"pack.yaml": locked(denyPack)}, []string{name}, "no locked pack"},
	} {
		if _, err := b.ApplyPolicy(t.Context(), c.files, c.unlock, b.proposal("mira")); !errors.As(err, &bad) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("want %s, got %v", c.says, err)
		}
	}
	more := strings.Replace(denyPack, "name: ", "name: more-", 1)
	if e, err := b.ApplyPolicy(t.Context(), map[string]string{"elsewhere.yaml": locked(denyPack), "more.yaml": more}, nil, b.proposal("mira")); err != nil || e.State != change.Proposed {
		t.Errorf("another pack beside it: %v", err)
	}
	e, err := b.ApplyPolicy(t.Context(), map[string]string{"pack.yaml": denyPack}, []string{name}, b.proposal("mira"))
	if err != nil || !strings.HasSuffix(e.Title, "with locked packs changed: "+name) {
		t.Errorf("%q, %v", e.Title, err)
	}
}

// Who writes the disk may change anything; that a locked pack did is an alarm.
func TestALockedPackThatChangesOnDisk(t *testing.T) {
	b := ruled(t, oneAdmin)
	file := filepath.Join(b.dir, "pack.yaml")
	reload := func(pack string) int {
		write(t, file, pack)
		if err := b.ReloadPolicy(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(b.records(audit.TypeAlarm))
	}
	if n := reload(locked(denyPack)); n != 0 {
		t.Errorf("%d alarms of a pack that becomes locked", n)
	}
	if n := reload("# the same\n" + locked(denyPack)); n != 0 {
		t.Errorf("%d alarms of a comment", n)
	}
	if n := reload(denyPack); n != 1 {
		t.Errorf("%d alarms of a pack that is not locked any more", n)
	}
}

func TestScopesOfDirectories(t *testing.T) {
	dir := t.TempDir()
	team := filepath.Join(dir, "teams", "billing")
	if err := os.MkdirAll(team, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "org.yaml"), locked(denyPack))
	load := func(pack, scopes string) error {
		write(t, filepath.Join(team, "p.yaml"), "apiVersion: assent/v1\nkind: PolicyPack\nmetadata: { name: billing, version: 1.0.0 }\n"+pack)
		cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte("data: data\npolicy: [org.yaml, teams/billing]\npolicy_scopes: "+scopes+"\n"))
		if err != nil {
			return err
		}
		_, err = LoadPolicy(cfg, policy.Options{})
		return err
	}
	const own = `[{ packs: teams/billing, scope: { resource: ["postgres:billing/*"] } }]`
	const inside = "rules: [{ id: a, match: { kind: data.read, resource: \"postgres:billing/*\" }, then: allow }]\n"
	const beyond = "rules: [{ id: a, match: { kind: data.read }, then: allow }]\n"
	if err := load(inside, own); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct{ pack, scopes, want string }{
		"beyond":  {beyond, own, "speaks for more than the packs of teams/billing may"},
		"typo":    {inside, strings.Replace(own, "teams/billing", "teams/biling", 1), "no pack of teams/biling"},
		"key":     {inside, strings.Replace(own, "resource", "resorce", 1), "did you mean 'resource'?"},
		"nothing": {inside, "[{ packs: teams/billing }]", "a scope of nothing"},
		"no one":  {inside, strings.Replace(own, "packs: teams/billing, ", "", 1), "names no packs"},
	} {
		if err := load(c.pack, c.scopes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %s, got %v", name, c.want, err)
		}
	}
}
