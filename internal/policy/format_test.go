package policy

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormatLaysOut(t *testing.T) {
	const before = "\ufeff" + `# A licence.


apiVersion:   assent/v1   # the only one
kind: 'PolicyPack'
metadata: {name: p,version: "1.0.0"}


rules:

    # Reads flow.
    -   id: reads
        match: {kind: [data.read,   data.write], actor: agent}   # both
        then: allow

    -
        id: exports
        # who can say how much
        match:
            kind:
            - data.export   # out
            # and in
            - data.delete
        when: |
              data.rows > 1
                || "pii" in data.groups

        then: review
        approval: { from: [group:one, group:two], count: 2, expires: 15m, use_within: 10m, remind: [1m, 2m], escalate: [{ after: 3m, to: [group:x] }] }
        reason: 'it''s "{{data.rows}}"'
        # after the last key
    # after the last rule
# at the end
tests:
  - {name: a, given: {kind: data.read, actor: agent}, want: {decision: allow}} # fine
  - name: b
    given: {kind: data.export,
      rows: unknown, # nobody knows
      env: "unknown"}
    want:
        { decision: review }
`
	const after = `# A licence.

apiVersion: assent/v1 # the only one
kind: 'PolicyPack'
metadata: { name: p, version: "1.0.0" }

rules:
  # Reads flow.
  - id: reads
    match: { kind: [data.read, data.write], actor: agent } # both
    then: allow

  - id: exports
    # who can say how much
    match:
      kind:
        - data.export # out
        # and in
        - data.delete
    when: |
      data.rows > 1
        || "pii" in data.groups

    then: review
    approval:
      from: [group:one, group:two]
      count: 2
      expires: 15m
      use_within: 10m
      remind: [1m, 2m]
      escalate: [{ after: 3m, to: [group:x] }]
    reason: 'it''s "{{data.rows}}"'
    # after the last key
  # after the last rule
# at the end
tests:
  - { name: a, given: { kind: data.read, actor: agent }, want: { decision: allow } } # fine
  - name: b
    given:
      kind: data.export
      rows: unknown # nobody knows
      env: "unknown"
    want: { decision: review }
`
	got, err := Format("p.yaml", []byte(before))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(after, string(got)); diff != "" {
		t.Error(diff)
	}
	if again, err := Format("p.yaml", got); err != nil || string(again) != after {
		t.Errorf("%v\n%s", err, cmp.Diff(after, string(again)))
	}
	if bundleOf(t, []byte(before)) != bundleOf(t, got) {
		t.Error("another bundle")
	}
}

func bundleOf(t testing.TB, pack []byte) string {
	t.Helper()
	s, err := LoadFiles(map[string][]byte{"p.yaml": pack}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Bundle()
}

// packsAtHand are all packs of the repository that load.
func packsAtHand(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, dir := range []string{"packs", "testdata/packs", "../../examples", "../../examples/*"} {
		names, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "kind: PolicyPack") {
				out[name] = b
			}
		}
	}
	return out
}

func TestPacksOfOursAreLaidOut(t *testing.T) {
	for name, pack := range packsAtHand(t) {
		got, err := Format(name, pack)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if bundleOf(t, pack) != bundleOf(t, got) {
			t.Errorf("%s: another bundle", name)
		}
		if diff := cmp.Diff(string(pack), string(got)); diff != "" {
			t.Logf("%s is laid out otherwise; assent policy fmt -w:\n%s", name, diff)
		}
	}
}

func TestFormatRefuses(t *testing.T) {
	for _, pack := range []string{"", "# nothing\n", "a: [", "a: &x b\n", "a: b\n---\nc: d\n", "\xff"} {
		if out, err := Format("p.yaml", []byte(pack)); err == nil {
			t.Errorf("%q became %q", pack, out)
		}
	}
}

func FuzzFormat(f *testing.F) {
	for _, pack := range packsAtHand(f) {
		f.Add(pack)
	}
	for _, s := range []string{
		"a: |-\n   x\n    y\n# c\nb: >+\n  z\n\n\nc: 1\n", "a: |2\n   x\n", "a: 1\nb: >+\n  \n", "- - a\n  - b\n- [c, {d: e}]\n- {}\n", "a:\n# c\n  b\n", "a: 'x\n  y' # c\n", "{a: b, # c\n c: [d]}\n",
		"a: \"\\u202e\\n\\\"\"\n", "\"k\": 'v'\n'a b': null\nc:\n", "a: # c\n  - b # d\n\n  # e\n", "k: {\n # c\n}\n", "a: group:x\nb: [group:x, {c: group:y}]\n", "%YAML 1.2\n---\na: b\n...\n", "a: b #c\n #d\n", "a: 'it''s'\n", "a: [\"x, y\", 'z: w']\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, pack []byte) {
		once, err := Format("p.yaml", pack)
		if err != nil {
			return
		}
		twice, err := Format("p.yaml", once)
		if err != nil {
			t.Fatalf("what was laid out can't be: %v\n%s\nbecame\n%s", err, pack, once)
		}
		if string(once) != string(twice) {
			t.Errorf("it moves:\n%q\n%q\n%q", pack, once, twice)
		}
		if !bytes.Contains(pack, []byte("PolicyPack")) {
			return
		}
		before, err1 := LoadFiles(map[string][]byte{"p.yaml": pack}, Options{})
		after, err2 := LoadFiles(map[string][]byte{"p.yaml": once}, Options{})
		if (err1 == nil) != (err2 == nil) || err1 == nil && before.Bundle() != after.Bundle() {
			t.Error(fmt.Sprint("it means something else: ", err1, err2))
		}
	})
}
