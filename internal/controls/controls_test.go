package controls

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/emergency"
)

var noon = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

// kept is a log in the making: it numbers and times what is appended.
type kept struct {
	t    *testing.T
	list []*audit.Record
	lane []string
	now  time.Time
	next map[string]int64
}

func newLog(t *testing.T) *kept { return &kept{t: t, now: noon, next: map[string]int64{}} }

func (k *kept) add(lane string, r audit.Record) int64 {
	k.now = k.now.Add(time.Second)
	r.Index, r.Time = k.next[lane], k.now
	k.next[lane]++
	k.list, k.lane = append(k.list, &r), append(k.lane, lane)
	return r.Index
}

func (k *kept) check(ids ...string) *Result {
	k.t.Helper()
	list, unknown := Find(ids)
	if unknown != "" {
		k.t.Fatal(unknown)
	}
	c := New(list)
	for _, lane := range []string{"", "traffic"} {
		for i, r := range k.list {
			if k.lane[i] == lane {
				leaf, err := json.Marshal(r)
				if err != nil {
					k.t.Fatal(err)
				}
				c.Add(lane, r.Index, leaf)
			}
		}
	}
	return c.Result()
}

func found(r *Result) (out []string) {
	for _, e := range r.Exceptions {
		out = append(out, fmt.Sprintf("%s %s%d", e.Test, e.Lane, e.Index))
	}
	return out
}

func request(decision, approval string) audit.Record {
	return audit.Record{Type: audit.TypeRequest, Actor: "agent:a", Subject: "person:ana", Resource: "postgres:shop", Decision: decision, Policy: "p", Approval: approval, Kinds: []string{"data.write"}}
}

func review(person, approval string) audit.Record {
	return audit.Record{Type: audit.TypeReview, Actor: "agent:a", Subject: "person:ana", Person: person, Approval: approval, Decision: "approve"}
}

func about(typ, approval, decision, outcome string) audit.Record {
	return audit.Record{Type: typ, Actor: "agent:a", Subject: "person:ana", Approval: approval, Decision: decision, Outcome: outcome}
}

// A log as it should be has no exception.
func good(t *testing.T) *kept {
	k := newLog(t)
	k.add("", audit.Record{Type: audit.TypeStart, Detail: map[string]string{"node": "n1", "every": "1h0m0s"}})
	k.add("", audit.Record{Type: audit.TypeConfig, Detail: map[string]string{"what": "policy", "approved": "no", "before": ""}})
	k.add("", request("deny", ""))
	k.add("", request("review", "apr_1"))
	k.add("", about(audit.TypeApproval, "apr_1", "approved", ""))
	k.add("", review("person:ben", "apr_1"))
	k.add("", about(audit.TypeStarted, "apr_1", "executing", ""))
	k.add("", about(audit.TypeOutcome, "apr_1", "", "executed"))
	k.add("", audit.Record{Type: audit.TypeAlarm, Person: "person:ana", Detail: map[string]string{"what": emergency.SaysBroken, "emergency": "emg_1", "until": noon.Add(time.Hour).Format(time.RFC3339)}})
	k.add("", audit.Record{Type: audit.TypeAlarm, Person: "person:ben", Detail: map[string]string{"what": emergency.SaysReviewed + emergency.Justified, "emergency": "emg_1"}})
	seq := k.add("traffic", request("allow", ""))
	asked := k.add("traffic", request("allow", ""))
	if seq != 0 || asked != 1 {
		t.Fatal("the traffic has numbers of its own")
	}
	k.add("traffic", audit.Record{Type: audit.TypeOutcome, Actor: "agent:a", Outcome: "executed", Previous: asked})
	k.add("", audit.Record{Type: audit.TypeStop, Detail: map[string]string{"node": "n1"}})
	return k
}

func TestAGoodLogHasNoException(t *testing.T) {
	r := good(t).check()
	if got := found(r); len(got) > 0 || r.Count() != 0 {
		t.Fatal(got)
	}
	if len(r.Controls) != len(Table()) || r.Records != 11 || r.Traffic != 3 || r.End != 11 {
		t.Errorf("%d controls, %d records, %d of traffic, end %d", len(r.Controls), r.Records, r.Traffic, r.End)
	}
	if s := r.Stats; s.Verdicts != [3]int64{1, 1, 2} || s.Decisions[0] != 1 || s.Median != 1 || len(s.Reviewers) != 1 || len(s.Days) != 1 {
		t.Errorf("%+v", s)
	}
}

// Each exception is found once, with the record that shows it, and only by controls that look for it.
func TestExceptionsAreFound(t *testing.T) {
	day := func(k *kept) { k.now = k.now.Add(26 * time.Hour) }
	tests := map[string]struct {
		do   func(k *kept) int64 // returns the record that shows it
		lane string
	}{
		string(Undecided) + " after a denial": {func(k *kept) int64 {
			n := k.add("", request("deny", ""))
			return k.add("", audit.Record{Type: audit.TypeOutcome, Outcome: "executed", Previous: n})
		}, ""},
		string(Undecided) + " in the traffic": {func(k *kept) int64 {
			return k.add("traffic", audit.Record{Type: audit.TypeOutcome, Outcome: "failed", Previous: 2})
		}, "traffic"},
		string(Unreviewed): {func(k *kept) int64 {
			k.add("", request("review", "apr_2"))
			n := k.add("", about(audit.TypeStarted, "apr_2", "executing", ""))
			k.add("", about(audit.TypeOutcome, "apr_2", "", "executed"))
			return n
		}, ""},
		string(Unreviewed) + " after a denial": {func(k *kept) int64 {
			k.add("", request("review", "apr_2"))
			no := review("person:ben", "apr_2")
			no.Decision = "deny"
			k.add("", no)
			n := k.add("", about(audit.TypeStarted, "apr_2", "executing", ""))
			k.add("", about(audit.TypeOutcome, "apr_2", "", "executed"))
			return n
		}, ""},
		string(OwnReview): {func(k *kept) int64 {
			k.add("", request("review", "apr_2"))
			return k.add("", review("person:ana", "apr_2"))
		}, ""},
		string(OwnReview) + " by another subject in the review": {func(k *kept) int64 {
			k.add("", request("review", "apr_2"))
			r := review("person:ana", "apr_2")
			r.Subject = "person:zoe"
			return k.add("", r)
		}, ""},
		string(NoOutcome): {func(k *kept) int64 {
			k.add("", request("review", "apr_2"))
			k.add("", review("person:ben", "apr_2"))
			n := k.add("", about(audit.TypeStarted, "apr_2", "executing", ""))
			day(k)
			k.add("", request("deny", ""))
			return n
		}, ""},
		string(UnknownEnd): {func(k *kept) int64 {
			k.add("", request("review", "apr_2"))
			k.add("", review("person:ben", "apr_2"))
			k.add("", about(audit.TypeStarted, "apr_2", "executing", ""))
			return k.add("", about(audit.TypeOutcome, "apr_2", "", "unknown"))
		}, ""},
		string(GlassOpen): {func(k *kept) int64 {
			n := k.add("", audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": emergency.SaysBroken, "emergency": "emg_2", "until": k.now.Add(time.Hour).Format(time.RFC3339)}})
			day(k)
			k.add("", request("deny", ""))
			return n
		}, ""},
		string(GlassOpen) + " as the server says": {func(k *kept) int64 {
			k.add("", audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": emergency.SaysBroken, "emergency": "emg_2", "until": k.now.Add(time.Hour).Format(time.RFC3339)}})
			return k.add("", audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": emergency.SaysLate, "emergency": "emg_2"}})
		}, ""},
		string(GlassWrong): {func(k *kept) int64 {
			return k.add("", audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": emergency.SaysReviewed + emergency.Wrong, "emergency": "emg_1"}})
		}, ""},
		string(Unapproved): {func(k *kept) int64 {
			return k.add("", audit.Record{Type: audit.TypeConfig, Detail: map[string]string{"approved": "no", "before": "sha256:1", "number": "2"}})
		}, ""},
		string(Unapproved) + " though locked": {func(k *kept) int64 {
			return k.add("", audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "a locked pack changed on disk", "packs": "p"}})
		}, ""},
		string(Alone): {func(k *kept) int64 {
			n := k.add("", audit.Record{Type: audit.TypeChange, Decision: "applied", Person: "person:ana", Detail: map[string]string{"what": "settings", "alone": "there is no other administrator"}})
			k.add("", audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "changed by one administrator alone", "change": "chg_1"}})
			return n
		}, ""},
		string(Alarmed): {func(k *kept) int64 {
			return k.add("", audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "a witness's answer does not hold"}})
		}, ""},
		string(Silent): {func(k *kept) int64 {
			n := k.add("", *audit.Heartbeat("n2", time.Minute))
			k.now = k.now.Add(time.Hour)
			k.add("", audit.Record{Type: audit.TypeStop, Detail: map[string]string{"node": "n2"}})
			return n
		}, ""},
		string(NotTold): {func(k *kept) int64 {
			return k.add("", audit.Record{Type: audit.TypeNotice, Decision: "dead", Detail: map[string]string{"channel": "slack"}})
		}, ""},
		string(LeftActs): {func(k *kept) int64 {
			k.add("", audit.Record{Type: audit.TypePerson, Decision: "left", Person: "person:zoe"})
			return k.add("", audit.Record{Type: audit.TypeSignIn, Decision: "opened", Person: "person:zoe"})
		}, ""},
		string(RevokedUsed): {func(k *kept) int64 {
			k.add("", audit.Record{Type: audit.TypeToken, Detail: map[string]string{"what": "revoked", "token": "tok_1"}})
			return k.add("traffic", audit.Record{Type: audit.TypeSession, Detail: map[string]string{"event": "opened", "credential": "tok_1"}})
		}, "traffic"},
		string(Bare): {func(k *kept) int64 {
			r := request("deny", "")
			r.Actor = ""
			return k.add("", r)
		}, ""},
		string(Cut): {func(k *kept) int64 {
			r := request("deny", "")
			r.Detail = map[string]string{audit.DetailCut: "title: 4096 of 9000 bytes"}
			return k.add("", r)
		}, ""},
		string(Missing): {func(k *kept) int64 {
			k.next[""] += 2
			return k.add("", request("deny", ""))
		}, ""},
		string(Clock): {func(k *kept) int64 {
			k.now = k.now.Add(-time.Minute)
			return k.add("", request("deny", ""))
		}, ""},
	}
	for _, name := range Tests() {
		if !slices.ContainsFunc(keys(tests), func(k string) bool { return k == string(name) || strings.HasPrefix(k, string(name)+" ") }) {
			t.Errorf("nothing plants %s", name)
		}
		if name.Says() == "" {
			t.Errorf("%s says nothing", name)
		}
	}
	for name, x := range tests {
		t.Run(name, func(t *testing.T) {
			k := good(t)
			n := x.do(k)
			kind, _, _ := strings.Cut(name, " ")
			r := k.check()
			want := fmt.Sprintf("%s %s%d", kind, x.lane, n)
			if got := found(r); len(got) != 1 || got[0] != want {
				t.Fatalf("found %q, want %q", got, want)
			}
			looked := false
			for i := range r.Controls {
				c := &r.Controls[i]
				looks := slices.Contains(c.Tests, Test(kind))
				looked = looked || looks
				if (c.Exceptions == 1) != looks {
					t.Errorf("%s counts %d, and looks for %v", c.ID, c.Exceptions, c.Tests)
				}
			}
			if !looked || r.Count() != 1 {
				t.Errorf("no control looks for it; %d counted", r.Count())
			}
		})
	}
}

func keys[V any](m map[string]V) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

// What began before the period is not called an exception; neither is what came back, what is of a plan,
// what ran in an emergency, what was erased, and what has not had its time.
func TestWhatIsNoException(t *testing.T) {
	k := good(t)
	k.next[""] = 100
	k.list, k.lane, k.next["traffic"] = nil, nil, 50
	k.add("", about(audit.TypeStarted, "apr_old", "executing", ""))
	k.add("", about(audit.TypeOutcome, "apr_old", "", "executed"))
	k.add("", audit.Record{Type: audit.TypeOutcome, Outcome: "executed", Previous: 7})
	k.add("traffic", audit.Record{Type: audit.TypeOutcome, Outcome: "executed", Previous: 12})
	k.add("", audit.Record{Type: audit.TypePerson, Decision: "left", Person: "person:ben"})
	k.add("", audit.Record{Type: audit.TypePerson, Decision: "signed in", Person: "person:ben", Detail: map[string]string{"groups": "2"}})
	k.add("", request("review", "pln_1"))
	k.add("", review("person:ben", "pln_1"))
	item := about(audit.TypeStarted, "apr_item", "executing", "")
	item.Detail = map[string]string{"plan": "pln_1"}
	k.add("", request("review", "apr_item"))
	k.add("", item)
	k.add("", about(audit.TypeOutcome, "apr_item", "", "executed"))
	for id, why := range map[string]string{"apr_s": "standing", "apr_b": "break_glass"} {
		k.add("", request("review", id))
		r := about(audit.TypeStarted, id, "executing", "")
		r.Detail = map[string]string{why: "x"}
		k.add("", r)
	}
	k.add("", audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": emergency.SaysBroken, "emergency": "emg_2", "until": k.now.Add(time.Hour).Format(time.RFC3339)}})
	k.add("", audit.Record{Type: audit.TypeOutcome, Outcome: "not_run", Previous: 3})
	k.add("", audit.Record{Type: audit.TypeNotice, Decision: "failed", Approval: "apr_s"})
	r := k.check()
	if got := found(r); len(got) > 0 || r.Earlier != 3 {
		t.Fatal(got, r.Earlier)
	}

	c := New(Table())
	c.Hidden(2)
	for i, r := range []*audit.Record{{Index: 4, Time: noon, Type: "x"}, {Index: 7, Time: noon, Type: "x"}, {Index: 9, Time: noon, Type: "x"}} {
		leaf, _ := json.Marshal(r)
		c.Add("", r.Index, leaf)
		if n := c.counts[Missing]; (i == 2) != (n == 1) {
			t.Errorf("record %d: %d missing", r.Index, n)
		}
	}
}

// A leaf that isn't a record, or one of another index, is an exception and never a panic.
func FuzzAdd(f *testing.F) {
	for _, s := range []string{"", "{}", "null", "[1]", `{"index":1,"time":"x"}`, `{"index":1,"type":"execution.outcome","previous":-5}`, `{"index":1,"type":"alarm","detail":{"emergency":"e","what":"the glass was broken","until":"y"}}`} {
		f.Add([]byte(s), int64(1))
	}
	f.Fuzz(func(t *testing.T, leaf []byte, index int64) {
		c := New(Table())
		c.Add("", index, leaf)
		c.Add("traffic", index, leaf)
		r := c.Result()
		var rec audit.Record
		if json.Unmarshal(leaf, &rec) != nil && r.Count() != 2 {
			t.Errorf("%d exceptions of two leaves that can't be read", r.Count())
		}
	})
}

// The list of exceptions has an end; their number doesn't.
func TestManyExceptions(t *testing.T) {
	k := newLog(t)
	for range mostListed + 50 {
		k.add("", audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "x"}})
	}
	r := k.check("CC7.3")
	if len(r.Exceptions) != mostListed || r.Count() != mostListed+50 || r.Controls[0].Exceptions != mostListed+50 {
		t.Errorf("%d listed, %d counted", len(r.Exceptions), r.Count())
	}
}

// The table names what there is: types, kinds, tests, each control once, those that were promised.
func TestTheTable(t *testing.T) {
	src, err := os.ReadFile("../audit/audit.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range Table() {
		if seen[c.ID] || c.Name == "" || c.Claim == "" || c.Silent == "" || len(c.Queries) == 0 {
			t.Errorf("%s is there twice, or lacks something", c.ID)
		}
		seen[c.ID] = true
		for _, q := range c.Queries {
			for _, typ := range q.Types {
				if !bytes.Contains(src, []byte(`= "`+typ+`"`)) {
					t.Errorf("%s: no record has the type %s", c.ID, typ)
				}
			}
			if q.Kind != "" && !action.Kind(q.Kind).Valid() {
				t.Errorf("%s: no action has the kind %s", c.ID, q.Kind)
			}
		}
		for _, test := range c.Tests {
			if !slices.Contains(Tests(), test) {
				t.Errorf("%s: test %s isn't listed", c.ID, test)
			}
		}
	}
	for _, id := range strings.Fields("CC6.1 CC6.2 CC6.3 CC6.6 CC6.7 CC7.2 CC7.3 CC7.4 CC8.1 AC-2 AC-3 AC-5 AC-6 AU-2 AU-3 AU-4 AU-5 AU-6 AU-7 AU-8 AU-9 AU-10 AU-11 AU-12 CM-3 CM-5") {
		if !seen[id] {
			t.Errorf("%s is missing", id)
		}
	}
	if _, unknown := Find([]string{"cc6.1", "AC-99"}); unknown != "AC-99" {
		t.Errorf("unknown %q", unknown)
	}
}

func TestReferenceIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../../docs/controls.md")
	if err != nil || string(page) != Reference() {
		t.Errorf("docs/controls.md is not current: go run ./cmd/assent evidence controls --reference >docs/controls.md (%v)", err)
	}
}

// What one record costs: a request of usual size, its end, and a beat.
func BenchmarkAdd(b *testing.B) {
	r := request("allow", "")
	r.Title, r.Shape, r.Chain, r.Rules = "Read orders", strings.Repeat("a", 32), []string{"agent:a"}, []string{"house/read"}
	r.Detail = map[string]string{"statement": "SELECT id, total FROM orders WHERE id = $1", "risk": "12", "act": "act_0123456789abcdef"}
	r.Time = noon
	var leaves [][]byte
	for i := range 1000 {
		r.Index = int64(i)
		leaf, err := json.Marshal(&r)
		if err != nil {
			b.Fatal(err)
		}
		leaves = append(leaves, leaf)
	}
	b.SetBytes(int64(len(leaves[0])))
	b.ReportAllocs()
	c := New(Table())
	for i := 0; b.Loop(); i++ {
		if i%1000 == 0 {
			c = New(Table())
		}
		c.Add("", int64(i%1000), leaves[i%1000])
	}
}
