package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp/syntax"
	"strings"
	"testing"
	"time"
)

// try tests one pack with these rules at a time.
func try(t *testing.T, now time.Time, rules string) Report {
	t.Helper()
	return load(t, rules).Try(Trials{Now: now})
}

// A shadow mode that ended, or ends when nobody remembers it, and a condition that asks for nothing are told.
func TestCheckWarns(t *testing.T) {
	rules := `  - { id: ended, match: { kind: data.read }, mode: shadow, until: 2026-03-01, then: deny }
  - { id: last, match: { kind: data.read }, mode: shadow, until: 2026-03-02, then: deny }
  - { id: opens, match: { kind: data.read }, mode: shadow, until: 2026-03-01, then: allow }
  - { id: far, match: { kind: data.read }, mode: shadow, until: 2027-04-01, then: deny }
  - { id: soon, match: { kind: data.read }, mode: shadow, until: 2027-03-02, then: deny }
  - { id: truth, match: { kind: data.read }, when: '1 < 2', then: allow }
  - { id: never, match: { kind: data.read }, when: 'data.rows > 5 && 1 == 2', then: deny }
  - { id: asks, match: { kind: data.read }, when: 'data.rows > 5 || data.rows <= 5', then: deny }
tests:
  - { name: "all\nok    p: another", given: { kind: data.read, rows: 7 }, want: { decision: deny } }
`
	at := time.Date(2026, 3, 2, 23, 59, 59, 0, time.UTC)
	r := try(t, at, rules)
	want := []string{
		"the shadow mode of 'ended' ended on 2026-03-01: it acts since",
		"the shadow mode of 'opens' ended on 2026-03-01, and it permits nothing still",
		"'far' only watches until 2027-04-01, more than a year",
		"the condition of 'truth' always holds",
		"the condition of 'never' never holds, so the rule does nothing",
	}
	text := r.Human()
	for _, w := range want {
		if strings.Count(text, w) != 1 {
			t.Errorf("%q is not told once in\n%s", w, text)
		}
	}
	for _, id := range []string{"'last'", "'soon'", "'asks'"} {
		if strings.Contains(text, id+" ended") || strings.Contains(text, id+" only watches") || strings.Contains(text, "condition of "+id) {
			t.Errorf("%s is told of:\n%s", id, text)
		}
	}
	if !strings.Contains(text, "p.yaml:5:67: the shadow mode of 'ended'") {
		t.Errorf("the place is not that of until:\n%s", text)
	}
	if strings.Contains(text, "\nok    p: another") {
		t.Errorf("a test's name writes a line of its own:\n%s", text)
	}
	if later := try(t, at.Add(time.Second), rules).Human(); !strings.Contains(later, "'last' ended on 2026-03-02") {
		t.Error(later)
	}
}

// What a rule is for may be spelt as nothing is, and what permits everything may look as if it asked.
func TestCheckWarnsOfWhatIsNeverOrAlways(t *testing.T) {
	text := try(t, time.Now(), `  - { id: loud, match: { kind: data.read, env: PROD }, then: deny }
  - { id: cyrillic, match: { kind: data.read, env: "pr\u043ed" }, then: deny }
  - { id: fine, match: { kind: data.read, env: [prod, eu-1_x] }, then: deny }
  - { id: wide, when: 'action.kinds.all(k, k != "nope")', then: allow }
  - { id: narrow, when: 'data.rows <= 5', then: allow }
  - { id: other, when: '!action.target.matches("^x")', then: allow }
`).Human()
	for _, want := range []string{`the rule 'loud' is for the environment "PROD"`, `the rule 'cyrillic' is for the environment "pr\u043ed"`, "'wide' permits each of the actions"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is not told once in\n%s", want, text)
		}
	}
	for _, id := range []string{"fine", "narrow", "other"} {
		if strings.Contains(text, "'"+id+"' permits") || strings.Contains(text, "'"+id+"' is for") {
			t.Errorf("%s is told of:\n%s", id, text)
		}
	}
}

// A pack whose rules all look as if they might permit everything loads in time: a few are tried.
func TestFewConditionsAreTriedForPermittingEverything(t *testing.T) {
	c, err := newCompiler()
	if err != nil {
		t.Fatal(err)
	}
	d := &decoder{file: "p.yaml", compiler: c}
	var b strings.Builder
	for i := range 3 * mostBroad {
		fmt.Fprintf(&b, "  - { id: r%d, when: 'action.target.size() >= 0 || action.target == \"%d\"', then: allow }\n", i, i%(2*mostBroad))
	}
	p := d.pack([]byte(header + "rules:\n" + b.String()))
	if p == nil {
		t.Fatal(d.errs)
	}
	broad := 0
	for _, r := range p.rules {
		if r.broad {
			broad++
		}
	}
	if len(c.broad) != mostBroad || broad != 2*mostBroad {
		t.Errorf("%d conditions were tried, %d rules are told of", len(c.broad), broad)
	}
}

// The last line says that changes survive.
func TestSurvivorsAreCounted(t *testing.T) {
	r := load(t, "  - { id: a, match: { kind: data.read }, then: deny }\n  - { id: b, match: { kind: data.read }, then: deny }\ntests:\n  - { name: x, given: { kind: data.read }, want: { decision: deny } }\n").Report(false, true)
	if text := r.Human(); r.OK || !strings.Contains(text, "0 warnings, 2 changes of rules that no test notices\n") {
		t.Error(text)
	}
}

func TestASummaryNamesGroups(t *testing.T) {
	in, err := Given("x", []byte("{ kind: data.read, groups: [pii] }"), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if s := summary(&in.Action.Data); s != "data of pii" {
		t.Error(s)
	}
}

// The patterns of all packs are bounded together, and no pattern is compiled to find out.
func TestPatternsAreBoundedTogether(t *testing.T) {
	pack := func(name, pattern string, n int) []byte {
		var b strings.Builder
		b.WriteString(strings.Replace(header, "name: p", "name: "+name, 1) + "rules:\n")
		for i := range n {
			b.WriteString("  - { id: r" + string(rune('a'+i)) + ", then: deny, when: 'action.verb.matches(\"" + strings.Replace(pattern, "N", string(rune('a'+i)), 1) + "\")' }\n")
		}
		return []byte(b.String())
	}
	large := "N" + strings.Repeat("x{1,1000}", 9) // 18,000 instructions
	one := pack("a", large, 26)
	if _, err := LoadFiles(map[string][]byte{"a.yaml": one}, Options{}); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"a.yaml": one, "b.yaml": pack("b", "b"+large, 26), "c.yaml": pack("c", "c"+large, 26)}
	_, err := LoadFiles(files, Options{})
	if err == nil || strings.Count(err.Error(), "the patterns of all packs have") != 1 || !strings.HasPrefix(err.Error(), "c.yaml:") || !strings.Contains(err.Error(), "more than 1000000") {
		t.Errorf("%v", err)
	}
	// Of equal conditions one is kept, so they count once.
	same := strings.Replace(string(one), "name: a", "name: b", 1)
	if _, err := LoadFiles(map[string][]byte{"a.yaml": one, "b.yaml": []byte(same), "c.yaml": []byte(strings.Replace(same, "name: b", "name: c", 1))}, Options{}); err != nil {
		t.Error(err)
	}
}

func TestInstructionsAreNotUnderstated(t *testing.T) {
	for _, pattern := range []string{
		"", "a", "abc", "[a-z]", "(a|b|c)", "a*", "(a+)?", "a{3}", "a{0,3}", "a{2,}", "(ab){2,5}", "(?i)stra\u00dfe", "^x$", "(?:a|b|cd){3,7}", "(a{1,10}){1,10}", "a{0}", "(a?b?){4}", "x{1,1000}", "\\pL{20}", "[^a-z]|\\d+?", ".*foo.*", "(?s).{5}",
	} {
		re, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		program, err := syntax.Compile(re.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		if re, err = syntax.Parse(pattern, syntax.Perl); err != nil {
			t.Fatal(err)
		}
		if got, is := 2+length(re), len(program.Inst); got < is || got > 3*is+10 {
			t.Errorf("%q: %d instructions are told, it has %d", pattern, got, is)
		}
	}
}

// Every mistake of a reason is told at once, each with its place.
func TestEveryMistakeOfAReasonIsTold(t *testing.T) {
	_, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + `rules:
  - id: a
    then: deny
    reason: |
      {{data.rosw}} and {{data.rows}},
      then {{ context.reason }} and {{data.read_1h["emial"]}} {{x
`)}, Options{})
	if err == nil {
		t.Fatal("it loaded")
	}
	text := err.Error()
	for _, want := range []string{"p.yaml:8:7: there is no variable 'data.rosw'", "p.yaml:9:12: 'context.reason' is the asker's free text", "p.yaml:9:37: 'emial' is never an entry", "p.yaml:9:63: '{{' without '}}'"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

// A test names a rule as its pack does, or as explain and the records do; reports name it as those do.
func TestRulesAreNamedBothWays(t *testing.T) {
	pack := func(rule, rules string) string {
		return "  - { id: no, match: { kind: data.read }, then: deny }\n  - { id: yes, match: { kind: data.write }, then: allow }\ntests:\n  - { name: x, given: { kind: data.read }, want: { decision: deny, rule: " + rule + ", rules: [" + rules + "] } }\n"
	}
	for _, name := range []string{"no", "p/no"} {
		if r := load(t, pack(name, name)).Report(false, false); !r.Tests[0].Passed {
			t.Errorf("%s: %v", name, r.Tests[0].Failures)
		}
	}
	text := load(t, pack("yes", "p/yes")).Report(false, false).Human()
	for _, want := range []string{"rule is p/no, want p/yes", "rules is p/no, want p/yes", "matched: p/no"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if _, err := LoadFiles(map[string][]byte{"p.yaml": []byte(header + "rules:\n" + pack("q/no", "no"))}, Options{}); err == nil || !strings.Contains(err.Error(), "no rule 'q/no'") {
		t.Errorf("a rule of another pack: %v", err)
	}
}

func TestCheckOfAFileWarnsOfToday(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(path, []byte(header+"rules:\n  - { id: a, match: { kind: data.read }, mode: shadow, until: 2020-01-01, then: deny }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := Check([]string{path}, true); r.OK || !strings.Contains(r.Human(), "error: "+path+":5:63: the shadow mode of 'a' ended") {
		t.Error(r.Human())
	}
}
