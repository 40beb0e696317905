package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const header = "apiVersion: assent/v1\nkind: PolicyPack\nmetadata: { name: p, version: 1.0.0 }\n"

// load loads one pack with these rules, the first of which stands on line 5.
func load(t testing.TB, rules string, o ...Options) *Set {
	t.Helper()
	var options Options
	if len(o) > 0 {
		options = o[0]
	}
	s, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + "rules:\n" + rules)}, options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestErrorsNamePlaceAndRemedy(t *testing.T) {
	rule := func(lines ...string) string {
		return header + "rules:\n  - id: a\n    " + strings.Join(lines, "\n    ") + "\n"
	}
	approval := "approval: { from: [group:x] }"
	for _, c := range []struct{ name, pack, at, want, remedy string }{
		{"unknown variable", rule(`when: resource.evn == "prod"`, "then: deny"), "p.yaml:6:11", "there is no variable 'resource.evn'", "did you mean 'resource.env'?"},
		{"in a quoted condition", rule(`when: 'true && data.rwos > 1'`, "then: deny"), "p.yaml:6:20", "there is no variable 'data.rwos'", "'data.rows'"},
		{"in a block", rule("when: |", "  data.rows > 1 &&", "    data.rwos > 1", "then: deny"), "p.yaml:8:9", "'data.rwos'", ""},
		{"only the first part", rule("when: data == 1", "then: deny"), "p.yaml:6:11", "there is no variable 'data'", ""},
		{"reason only", rule(`when: data.summary == ""`, "then: deny"), "p.yaml:6:11", "may stand in a reason only", ""},
		{"type", rule(`when: data.rows > "x"`, "then: deny"), "p.yaml:6:21", "no matching overload", ""},
		{"not a truth value", rule("when: data.rows", "then: deny"), "p.yaml:6:11", "must be true or false", ""},
		{"syntax", rule("when: data.rows > ", "then: deny"), "p.yaml:6:23", "Syntax error", ""},
		{"word never possible", rule(`when: actor.type == "agnt"`, "then: deny"), "p.yaml:6:22", "'agnt' is never the value here", "'agent'"},
		{"word never in list", rule(`when: '"ppi" in data.groups'`, "then: deny"), "p.yaml:6:18", "'ppi'", "'pii'"},
		{"function", rule("when: duration('1h') == duration('2h')", "then: deny"), "p.yaml:6", "conditions don't understand", ""},
		{"dynamic pattern", rule("when: action.verb.matches(action.target)", "then: deny"), "p.yaml:6", "quoted pattern", ""},
		{"bad pattern", rule("when: action.verb.matches('(')", "then: deny"), "p.yaml:6", "error parsing regexp", "RE2"},
		{"calendar", rule(`when: in_calendar("x")`, "then: deny"), "p.yaml:6:23", "no calendar 'x'", "calendars"},
		{"claim permits", rule(`when: context.ticket != ""`, "then: allow"), "p.yaml:6:11", "only what the asker claims", "unless"},
		{"claim permits, hidden", rule(`when: data.rows < 5 || [context.ticket].exists(x, x == "a")`, "then: allow"), "p.yaml:6:29", "only what the asker claims", ""},
		{"claim permits, negated", rule("when: '!context.break_glass'", "then: allow"), "p.yaml:6:13", "only what the asker claims", ""},
		{"unknown key", rule("then: deny", "colour: red"), "p.yaml:7:5", "a rule has no key 'colour'", ""},
		{"repeated key", rule("then: deny", "then: deny"), "p.yaml:7:5", "already defined", ""},
		{"unknown kind", rule("match: { kind: [data.exprt] }", "then: deny"), "p.yaml:6:21", "'data.exprt' is no kind", "'data.export'"},
		{"unknown match", rule("match: { kinds: [data.read] }", "then: deny"), "p.yaml:6:14", "match has no key 'kinds'", "'kind'"},
		{"unknown actor", rule("match: { actor: robot }", "then: deny"), "p.yaml:6:21", "'robot' is no actor", ""},
		{"unknown class", rule("match: { class: emial }", "then: deny"), "p.yaml:6:21", "'emial' is no class", "'email'"},
		{"verb", rule("match: { verb: DROP }", "then: deny"), "p.yaml:6:20", "lower case", ""},
		{"empty match", rule("match: {}", "then: deny"), "p.yaml:6", "an empty match", ""},
		{"then", rule("then: alow"), "p.yaml:6:11", "'alow' is no verdict", "'allow'"},
		{"no then", header + "rules:\n  - id: a\n", "p.yaml:5:5", "a rule needs 'then'", ""},
		{"allow everything", rule("then: allow"), "p.yaml:5:5", "permits everything", ""},
		{"empty word", rule("match: { env: '' }", "then: deny"), "p.yaml:6:19", "each of env must not be empty", "leave it out"},
		{"unquoted ternary", rule("when: data.rows > 5 ? data.inferred : data.computed", "then: deny"), "p.yaml:6:11", "not allowed", "when: 'a ? b : c'"},
		{"unquoted text first", rule(`when: "pii" in data.groups`, "then: deny"), "p.yaml:6:17", "not allowed", "put quotes around all of it"},
		{"unquoted negation", rule("when: !data.inferred", "then: deny"), "p.yaml:6:11", "tags", "when: '!data.inferred'"},
		{"number too large", rule("when: data.rows > 9223372036854775808", "then: deny"), "p.yaml:6:23", "invalid int literal", "to 9223372036854775807"},
		{"fraction", rule("when: data.rows > 1.5", "then: deny"), "p.yaml:6:21", "no matching overload", "2, not 1.5"},
		{"number with a word", rule("when: data.rows > 10k", "then: deny"), "p.yaml:6:25", "Syntax error", "10000, not 10_000 or 10k"},
		{"too long", rule(`when: 'resource.env == "`+strings.Repeat("a", maxConditionSize)+`"'`, "then: deny"), "p.yaml:6:11", "exceeds limit", "make a rule of each part"},
		{"too deep", rule("when: '"+strings.Repeat("(", 60)+"true"+strings.Repeat(")", 60)+"'", "then: deny"), "p.yaml:6:11", "recursion limit", "make a rule of each part"},
		{"one equals sign", rule(`when: 'resource.env = "prod"'`, "then: deny"), "p.yaml:6:25", "Syntax error", "written =="},
		{"and", rule(`when: 'resource.env == "prod" and data.inferred'`, "then: deny"), "p.yaml:6:35", "Syntax error", "written &&"},
		{"list contains", rule(`when: "data.groups.contains('pii')"`, "then: deny"), "p.yaml:6:32", "no matching overload", "ask a list with `in`"},
		{"allow everything, a truth", rule("when: '1 == 1'", "then: allow"), "p.yaml:5:5", "permits everything", "always holds"},
		{"allow everything, a longer truth", rule("when: '!(data.rows > 5 && false) && [\"a\"].exists(x, x == \"a\")'", "then: allow"), "p.yaml:5:5", "permits everything", ""},
		{"allow everything known", rule("when: context.hour >= 0", "then: allow"), "p.yaml:5:5", "permits everything", ""},
		{"allow everything, every day", rule("when: 'context.weekday in [\"sun\", \"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\"]'", "then: allow"), "p.yaml:5:5", "permits everything", ""},
		{"allow everything, one way or the other", rule("when: 'context.hour == 1 || !(context.hour == 1)'", "then: allow"), "p.yaml:5:5", "permits everything", ""},
		{"allow everything, a colon", rule("match: { resource: '*:*' }", "then: allow"), "p.yaml:5:5", "permits everything", ""},
		{"wildcard in an environment", rule("match: { env: 'prod*' }", "then: deny"), "p.yaml:6:19", "env takes no wildcards", "leave it out for any"},
		{"count in octal", rule("then: review", "approval: { from: [group:x], count: 010 }"), "p.yaml:7:41", "whole number from 1", ""},
		{"allow everything, or a fact", rule("match: { resource: '*' }", "when: 'true || resource.env == \"dev\"'", "then: allow"), "p.yaml:5:5", "permits everything", ""},
		{"allow every resource", rule("match: { resource: ['postgres:a', '**'] }", "then: allow"), "p.yaml:5:5", "permits everything", "resource: '*'"},
		{"allow every kind", rule("match: { actor: [agent, pipeline, service, human], kind: ["+strings.Join(kindNames(), ", ")+"] }", "then: allow"), "p.yaml:5:5", "permits everything", ""},
		{"allow unknown", rule("match: { kind: unknown }", "then: allow"), "p.yaml:5:5", "can't permit the kind 'unknown'", ""},
		{"review by nobody", rule("then: review"), "p.yaml:5:5", "needs 'approval'", ""},
		{"approval without from", rule("then: review", "approval: { count: 2 }"), "p.yaml:7:15", "'from', 'all_of' or 'any_of'", ""},
		{"reminded too late", rule("then: review", "approval: { from: [group:x], expires: 5m, remind: [1m, 5m] }"), "p.yaml:7:60", "when it has expired", "shorten"},
		{"escalated too late", rule("then: review", "approval: { from: [group:x], expires: 5m, escalate: [{ after: 6m, to: [group:y] }] }"), "p.yaml:7:67", "when it has expired", ""},
		{"fallback to nobody", rule("then: review", "approval: { from: [group:x], fall_back: { after: 1m } }"), "p.yaml:7:45", "needs 'to'", ""},
		{"any_of with a count", rule("then: review", "approval: { any_of: [{ group: a }], count: 2 }"), "p.yaml:7:48", "count for each group", ""},
		{"issuers", rule("then: review", "approval: { from: [group:x], issuers: two }"), "p.yaml:7:43", "issuers", ""},
		{"approval both", rule("then: review", "approval: { from: [group:x], all_of: [{ group: y }] }"), "p.yaml:7:15", "both", ""},
		{"person reviews", rule("then: review", "approval: { from: [mira] }"), "p.yaml:7", "'mira' is no group", "group:NAME"},
		{"count", rule("then: review", "approval: { from: [group:x], count: 0 }"), "p.yaml:7:41", "whole number from 1", ""},
		{"duration", rule("then: review", "approval: { from: [group:x], expires: 15 }"), "p.yaml:7:43", "no duration", "15m"},
		{"negative duration", rule("then: review", "approval: { from: [group:x], use_within: -5m }"), "p.yaml:7:46", "no duration", ""},
		{"assurance", rule("then: review", "approval: { from: [group:x], assurance: chatt }"), "p.yaml:7:45", "'chatt' is no assurance", "'chat'"},
		{"notify", rule("then: deny", "notify: ['irc:#x']"), "p.yaml:7", "nobody to notify", ""},
		{"notify a secret", rule("then: deny", "notify: ['webhook:https://hooks.example/T0KEN']"), "p.yaml:7:13: a URL is nobody", "webhook:NAME", ""},
		{"show", rule("then: review", approval, "show: [statement]"), "p.yaml:8:12", "'statement' is no show", ""},
		{"mask method", rule("then: mask", "mask: { email: hide }"), "p.yaml:7:20", "'hide' is no mask method", ""},
		{"mask class", rule("then: mask", "mask: { e-mail: redact }"), "p.yaml:7:13", "no key 'e-mail'", "'email'"},
		{"mask without mask", rule("then: mask"), "p.yaml:5:5", "needs 'mask'", ""},
		{"mask on allow", rule("match: { kind: data.read }", "then: allow", "mask: { email: redact }"), "p.yaml:8", "'mask' belongs to `then: mask`", ""},
		{"unless on review", rule("then: review", approval, "unless: { break_glass: true, "+approval+" }"), "p.yaml:8", "'unless' belongs to `then: deny`", ""},
		{"unless for nothing", rule("then: deny", "unless: { "+approval+" }"), "p.yaml:7:13", "unless needs 'break_glass'", ""},
		{"unless false", rule("then: deny", "unless: { break_glass: false, "+approval+" }"), "p.yaml:7:28", "must be true", ""},
		{"shadow for ever", rule("then: deny", "mode: shadow"), "p.yaml:5:5", "needs 'until'", ""},
		{"until without shadow", rule("then: deny", "until: 2026-12-31"), "p.yaml:7:12", "has none", ""},
		{"until", rule("then: deny", "mode: shadow", "until: tomorrow"), "p.yaml:8:12", "no date", ""},
		{"reason", rule("then: deny", `reason: "x {{data.rosw}}"`), "p.yaml:7:16", "'data.rosw'", "'data.rows'"},
		{"reason open", rule("then: deny", `reason: "x {{data.rows"`), "p.yaml:7:16", "without '}}'", ""},
		{"reason of the asker", rule("then: deny", `reason: "{{context.reason}}"`), "p.yaml:7:14", "free text", ""},
		{"repeated id", rule("then: deny") + "  - id: a\n    then: deny\n", "p.yaml:7:9", "already in this pack", ""},
		{"reserved id", header + "rules:\n  - { id: default, then: deny }\n", "p.yaml:5:11", "names what decides", ""},
		{"second document", rule("then: deny") + "---\na: b\n", "p.yaml:7:1", "a second YAML document", ""},
		{"empty file", "", "p.yaml", "an empty pack", ""},
		{"only a comment", "# nothing\n", "p.yaml", "an empty pack", ""},
		{"no rules", header + "rules: []\n", "p.yaml:4:8", "an empty pack", ""},
		{"no rules at all", header, "p.yaml:1:1", "a pack needs 'rules'", "then: deny"},
		{"no header", "rules:\n  - { id: a, then: deny }\n", "p.yaml:1:1", "a pack needs 'apiVersion'", "apiVersion: assent/v1"},
		{"version", strings.Replace(rule("then: deny"), "assent/v1", "assent/v2", 1), "p.yaml:1:13", "'assent/v2' is no apiVersion", "assent/v1"},
		{"anchor", rule("then: &x deny"), "p.yaml:6", "anchors, aliases, tags", ""},
		{"tag", rule("then: !!str deny"), "p.yaml:6", "anchors, aliases, tags", ""},
		{"tab", header + "rules:\n\t- id: a\n", "p.yaml:5", "", ""},
		{"bytes", header + "rules: \xff\n", "p.yaml:4", "not UTF-8", ""},
		{"test wants nothing", rule("then: deny") + "tests:\n  - { name: x, given: { kind: data.read }, want: {} }\n", "p.yaml:8", "a test that wants nothing can't fail", ""},
		{"test gives unknown key", rule("then: deny") + "tests:\n  - { name: x, given: { kinds: data.read }, want: { decision: deny } }\n", "p.yaml:8:25", "given has no key 'kinds'", "'kind'"},
		{"zone", header + "calendars: { x: { tz: Europe/Berln, days: [mon], from: \"20:00\", to: \"21:00\" } }\nrules:\n  - { id: a, then: deny }\n", "p.yaml:4:23", "no time zone", ""},
		{"day", header + "calendars: { x: { tz: UTC, days: [monday], from: \"20:00\", to: \"21:00\" } }\nrules:\n  - { id: a, then: deny }\n", "p.yaml:4:35", "'monday' is no day", "'mon'"},
		{"window without an end", header + "calendars: { x: { tz: UTC, days: [mon], from: \"20:00\", to: \"20:00\" } }\nrules:\n  - { id: a, then: deny }\n", "p.yaml:4:60", "ends when it begins, at 20:00", "from: \"00:00\" and to: \"24:00\""},
		{"window from the end of a day", header + "calendars: { x: { tz: UTC, days: [mon], from: \"24:00\", to: \"00:00\" } }\nrules:\n  - { id: a, then: deny }\n", "p.yaml:4:60", "ends when it begins", ""},
		{"escaped direction", rule("then: deny", `reason: "x \u202e y"`), "p.yaml:7:13", "turns the direction of text (U+202E), written as an escape", "leave it out"},
		{"escaped control", rule("then: deny", `reason: "x \x1b[2J"`), "p.yaml:7:13", "a control character (U+001B), written as an escape", ""},
		{"escaped line end in a name", header + "rules:\n  - { id: a, then: deny }\ntests:\n  - { name: \"a\\rb\", given: { kind: data.read }, want: { decision: deny } }\n", "p.yaml:7:13", "a control character (U+000D)", ""},
		{"escape in a key", rule("then: deny", `"x\u2067": y`), "p.yaml:7:5", "turns the direction", ""},
		{"escaped owner", strings.Replace(rule("then: deny"), "version: 1.0.0", `version: 1.0.0, owner: "a\x9bb"`, 1), "p.yaml:3:45", "a control character (U+009B)", ""},
		{"unseen in a word", rule("match: { resource: 'postgres:bil\u200bling' }", "then: deny"), "p.yaml:6:24", "can't be seen (U+200B)", "leave it out"},
		{"unseen in a condition", rule("when: resource.env == 'pr\u00adod'", "then: deny"), "p.yaml:6:11", "can't be seen (U+00AD)", "as an escape"},
		{"far time", header + "rules:\n  - { id: a, then: deny, when: 'context.time < timestamp(\"9999-12-31T23:59:59Z\")' }\n", "p.yaml:", "too far away", "between 1677 and 2262"},
		{"hour", header + "calendars: { x: { tz: UTC, days: [mon], from: \"20:00\", to: \"25:00\" } }\nrules:\n  - { id: a, then: deny }\n", "p.yaml:4:60", "no time of day", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := LoadFiles(map[string][]byte{"p.yaml": []byte(c.pack)}, Options{})
			var list Errors
			if s != nil || !errors.As(err, &list) {
				t.Fatalf("it loaded, or the error has no place: %v", err)
			}
			text := err.Error()
			if !strings.HasPrefix(text, c.at) || !strings.Contains(text, c.want) || !strings.Contains(text, c.remedy) || strings.Contains(text, "T0KEN") {
				t.Errorf("want %s: …%s… %s, got:\n%s", c.at, c.want, c.remedy, text)
			}
		})
	}
}

func TestErrorPointsAtThePlace(t *testing.T) {
	_, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + "rules:\n  - id: a\n    when: resource.evn == \"prod\"\n    then: deny\n")}, Options{})
	want := "p.yaml:6:11: there is no variable 'resource.evn'\n" +
		"        when: resource.evn == \"prod\"\n" +
		"              ^\n" +
		"    did you mean 'resource.env'?"
	if err == nil {
		t.Fatal("it loaded")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestAllPacksOrNone(t *testing.T) {
	good := header + "rules:\n  - { id: a, then: deny }\n"
	files := map[string][]byte{"a.yaml": []byte(good), "b.yaml": []byte(strings.Replace(good, "deny", "dony", 1))}
	if s, err := LoadFiles(files, Options{}); err == nil || s != nil {
		t.Errorf("half of it loaded: %v, %v", s, err)
	}
	files["b.yaml"] = []byte(good)
	if _, err := LoadFiles(files, Options{}); err == nil || !strings.Contains(err.Error(), `a pack named "p" is already in a.yaml`) {
		t.Errorf("two packs of one name: %v", err)
	}
}

func TestLoadPaths(t *testing.T) {
	s, err := LoadDir("testdata/packs", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"change-window@1.0.0", "mask-agent-reads@1.0.0", "pii-export@1.0.0"}, s.Packs()); diff != "" {
		t.Error(diff)
	}
	empty := t.TempDir()
	for _, path := range []string{empty, filepath.Join(empty, "none.yaml")} {
		if _, err := LoadDir(path, Options{}); err == nil {
			t.Errorf("%s loaded", path)
		}
	}
}

func TestBundle(t *testing.T) {
	pack := header + "rules:\n  - { id: a, then: deny }\n"
	digest := func(pack string, o Options) string {
		s, err := LoadFiles(map[string][]byte{"p.yaml": []byte(pack)}, o)
		if err != nil {
			t.Fatal(err)
		}
		return s.Bundle()
	}
	one := digest(pack, Options{})
	if !strings.HasPrefix(one, "sha256:") || len(one) != 7+64 {
		t.Fatalf("bundle %q", one)
	}
	if same := digest("# a comment\n"+strings.Replace(pack, "{ id: a, then: deny }", "then: deny\n    id: a", 1), Options{}); same != one {
		t.Error("a comment and the order of keys changed the bundle")
	}
	others := []string{
		digest(strings.Replace(pack, "id: a", "id: b", 1), Options{}),
		digest(strings.Replace(pack, "1.0.0", "1.0.1", 1), Options{}),
		digest(pack, Options{Versions: []string{"detect/2"}}),
		digest(pack, Options{Default: map[string]Verdict{"dev": Review}, DefaultFrom: []string{"group:x"}}),
	}
	seen := map[string]bool{one: true}
	for i, o := range others {
		if seen[o] {
			t.Errorf("change %d didn't change the bundle", i)
		}
		seen[o] = true
	}
}

func TestReportIsHumanAndJSON(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "p.yaml")
	pack := header + `rules:
  - { id: a, match: { kind: data.read }, then: deny }
  - { id: b, match: { kind: data.write }, then: deny }
tests:
  - { name: wrong, given: { kind: data.read }, want: { decision: allow } }
`
	if err := os.WriteFile(path, []byte(pack), 0o600); err != nil {
		t.Fatal(err)
	}
	lax, strict := Check([]string{path}, false), Check([]string{path}, true)
	if lax.OK || len(lax.Warnings) != 1 || len(lax.Errors) != 0 || len(strict.Errors) != 1 || strict.OK {
		t.Errorf("lax %+v\nstrict %+v", lax, strict)
	}
	for _, want := range []string{"no test reaches the rule 'b'", "FAIL  p: wrong", "decision is deny, want allow", "1 pack, 2 rules, 1 test (1 failed)", "bundle sha256:"} {
		if !strings.Contains(lax.Human(), want) {
			t.Errorf("no %q in\n%s", want, lax.Human())
		}
	}
	if b, err := lax.JSON(); err != nil || !strings.Contains(string(b), `"ok": false`) {
		t.Errorf("%s, %v", b, err)
	}
	if r := Check([]string{filepath.Join(dir, "gone.yaml")}, false); r.OK || len(r.Errors) != 1 {
		t.Errorf("a missing file: %+v", r)
	}
}

func TestMutateFindsTheUntestedRule(t *testing.T) {
	s := load(t, `  - { id: tested, match: { kind: data.read, actor: human }, then: allow }
  - { id: idle, match: { kind: data.read, env: prod }, then: deny }
tests:
  - { name: one, given: { kind: data.read, actor: human, env: dev }, want: { decision: allow } }
`)
	if diff := cmp.Diff([]Survivor{{Pack: "p", Rule: "idle", File: "p.yaml", Line: 6}}, s.Mutate()); diff != "" {
		t.Error(diff)
	}
}

func FuzzLoad(f *testing.F) {
	for _, dir := range []string{"packs", "testdata/packs"} {
		names, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	for _, when := range []string{"data.rows > 1 || !data.inferred", `data.classes.exists(x, x == "email")`, `resource.labels["a"] == "b" ? true : false`, "-data.rows % 3 == 1", "has(resource.labels.a)"} {
		f.Add([]byte(header + fmt.Sprintf("rules:\n  - { id: a, when: '%s', then: deny, reason: '{{data.rows}}' }\n", when)))
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("{{{{[[[["))
	f.Fuzz(func(t *testing.T, pack []byte) {
		s, err := LoadFiles(map[string][]byte{"p.yaml": pack}, Options{})
		if err != nil {
			_ = err.Error()
			return
		}
		for _, r := range s.Test() {
			_ = r
		}
		for _, in := range benchInputs(3) {
			d := s.Explain(in)
			if d.Verdict == Allow && len(d.Rules) == 0 {
				t.Error("allowed without a rule")
			}
		}
		s.Explain(&Input{})
	})
}
