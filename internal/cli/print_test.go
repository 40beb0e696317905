package cli

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/audit"
)

// tricks is what agents may write to draw on a terminal, hide, or look like us.
var tricks = map[string]string{
	"clear the screen":     "\x1b[2J\x1b[1;1H",
	"OSC 8, a link":        "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
	"OSC 52, clipboard":    "\x1b]52;c;cm0gLXJm\a",
	"8-bit CSI":            "\u009b31mred",
	"8-bit OSC":            "\u009d52;c;x\u009c",
	"next line":            "a\u0085b",
	"overwrite":            "harmless\rDROP TABLE",
	"backspace":            "DROP\b\b\b\bkeep",
	"delete":               "a\x7fb",
	"NUL":                  "a\x00b",
	"bidi override":        "\u202egnp.exe",
	"bidi isolate":         "\u2066x\u2069",
	"arabic letter mark":   "a\u061cb",
	"zero width":           "DR\u200bOP\u200c\u200d\ufeff",
	"soft hyphen":          "DR\u00adOP",
	"grapheme joiner":      "DR\u034fOP",
	"fillers":              "\u115f\u1160\u3164\uffa0",
	"variation selectors":  "a\ufe0f\U000e0101",
	"tags":                 "\U000e0041\U000e007f",
	"line separators":      "a\u2028b\u2029c",
	"no-break space":       "a\u00a0b",
	"private use":          "\ue000\U000f0000",
	"not characters":       "\ufdd0\U0001fffe",
	"not UTF-8":            "a\xffb\xed\xa0\x80",
	"mongolian separators": "a\u180eb\u180b",
}

// shows reports whether a terminal shows every character of s as itself.
func shows(s, keep string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		hidden := unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
			unicode.Is(unicode.Z, r) && r != ' ' || !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z)
		return hidden && !strings.ContainsRune(keep, r)
	}) < 0
}

func TestTextFromElsewhereIsHarmless(t *testing.T) {
	for name, s := range tricks {
		t.Run(name, func(t *testing.T) {
			if shows(s, "") {
				t.Fatal("this is no trick")
			}
			if got := printable(s); !shows(got, "\n\t") {
				t.Errorf("printable: %+q", got)
			}
			if got := inline("x\n" + s + "\ty"); !shows(got, "") {
				t.Errorf("inline: %+q", got)
			}
		})
	}
	const plain = "Löschen: 18 234 × „Zeilen“, 顧客, клиенты, ελ, हिन्दी, 👍 — e\u0301"
	if got := inline(plain); got != strings.ReplaceAll(plain, "\u00a0", `\u{a0}`) {
		t.Errorf("ordinary text changed: %q", got)
	}
}

func TestEveryFieldOfAnApprovalIsHarmless(t *testing.T) {
	for name, s := range tricks {
		s += "\nforged  line"
		p := client.Approval{
			ID: "apr_1", State: "pending", Title: s, Verb: s, Target: s, Resource: s, Env: s, Statement: s, Reason: s, Asks: s, Kinds: []string{s}, Digest: s,
			Claims: client.Claims{Reason: s, Ticket: s}, Subject: client.Party{ID: s, Name: s}, Chain: []client.Party{{ID: s, Name: s}},
			Data: client.Data{Classes: []string{s}}, Rules: []client.Rule{{Rule: s, Pack: s, Then: s, Atoms: []client.Atom{{Expr: s, Value: s}}}},
			Items: []client.PlanItem{{ID: s, State: s, Title: s, Kinds: []string{s}, Resource: s, Statement: s, Preview: &client.Preview{Text: s, Why: s, By: s}}}, Plan: s,
			Reviews: []client.Review{{Name: s, Decision: s, Channel: s, Reason: s}}, URL: s, YouCant: s, Outcome: s,
			Seats: []client.Seat{{Groups: []string{s}}}, Preview: &client.Preview{Text: s, Why: s, By: s, Time: &time.Time{}},
		}
		rec := client.Record{Type: s, Actor: s, Person: s, Title: s, Resource: s, Decision: s, Outcome: s, Approval: s, Detail: map[string]string{"what": s}}
		for _, asJSON := range []bool{false, true} {
			var out strings.Builder
			a := &app{out: &out, json: asJSON}
			show := p
			for _, f := range []func(){
				func() { show.YouCant, show.YouNeed = "", s }, func() { show.YouNeed, show.Grant = "", s }, func() {},
			} {
				a.printApproval(&show)
				f()
			}
			if err := a.printList([]*client.Approval{&p}, true); err != nil {
				t.Fatal(err)
			}
			if err := a.printRecord(&rec); err != nil {
				t.Fatal(err)
			}
			if err := a.printJSON(p); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); !shows(got, "\n") || strings.Contains(got, "\nforged") {
				t.Errorf("%s, JSON %v: %+q", name, asJSON, got)
			}
		}
	}
}

func TestJSONMeansTheSame(t *testing.T) {
	for name, s := range tricks {
		var out strings.Builder
		a := &app{out: &out}
		if err := a.printLine(map[string]string{"s": s}); err != nil {
			t.Fatal(err)
		}
		if strings.Count(out.String(), "\n") != 1 || !shows(out.String(), "\n") {
			t.Errorf("%s: %+q", name, out.String())
		}
		var back map[string]string
		if err := json.Unmarshal([]byte(out.String()), &back); err != nil || back["s"] != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Errorf("%s: %+q came back as %+q (%v)", name, s, back["s"], err)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range tricks {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := inline(s); !shows(got, "") {
			t.Errorf("%+q", got)
		}
	})
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", time.Minute: "1m00s", 59*time.Minute + 59*time.Second: "59m59s",
		time.Hour: "1h00m", 47 * time.Hour: "47h00m", 72 * time.Hour: "3 days", -time.Minute: "-1m00s", math.MinInt64: "-106751 days",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}

// TestVerifyPrints: what stands in a log that somebody tampered with draws nothing on the terminal of who verifies it.
func TestVerifyPrints(t *testing.T) {
	for name, trick := range tricks {
		var out strings.Builder
		a := &app{out: &out, err: &out}
		_ = a.problems(&audit.Report{Problems: []audit.Problem{{Index: 3, What: "x" + trick}, {Index: -1, What: trick + "\nOK"}}})
		for _, r := range out.String() {
			if r != '\n' && !visible(r) {
				t.Errorf("%s: %U gets through", name, r)
			}
		}
		if strings.Contains(out.String(), "\nOK") {
			t.Errorf("%s: a line looks like ours", name)
		}
	}
}
