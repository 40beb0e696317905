package controls

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/emergency"
)

// Text of agents is text in the report, wherever it stands; the page has nothing that runs, loads or leads elsewhere.
func TestTheReportIsHarmless(t *testing.T) {
	hostile := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'><svg onload=alert(1)>`, `</title><script>1</script>`, `</style><b>`, `</svg><a href=javascript:1>x</a>`,
		"line\nbreak\x1b[2J", "turned\u202eround\u2066", "\xff\xfe", `{{.}}`, `&lt;b&gt;`, strings.Repeat("long ", 4000),
	}
	k := newLog(t)
	for i, s := range hostile {
		r := request("deny", "")
		r.Actor, r.Subject, r.Resource, r.Title, r.Env, r.Verb, r.Target, r.Session, r.Kinds, r.Policy = s, s, s, s, s, s, s, s, []string{s}, ""
		k.add("", r)
		id := fmt.Sprint(s, i)
		asked := request("review", id)
		asked.Subject = s
		k.add("", asked)
		v := review(s, id)
		v.Subject = s
		k.add("", v)
		k.add("", audit.Record{Type: audit.TypeAlarm, Actor: s, Person: s, Resource: s, Approval: s, Detail: map[string]string{"what": s}})
		k.add("", audit.Record{Type: audit.TypeAlarm, Actor: s, Detail: map[string]string{"what": emergency.SaysReviewed + emergency.Wrong, "emergency": s}})
		k.add("", audit.Record{Type: audit.TypeChange, Decision: "applied", Person: s, Detail: map[string]string{"what": s, "alone": s}})
		k.add("", audit.Record{Type: audit.TypeConfig, Detail: map[string]string{"approved": "no", "before": s, "number": s, "why": s}})
		k.add("", audit.Record{Type: audit.TypeNotice, Decision: "dead", Detail: map[string]string{"channel": s, "what": s}})
		cut := request("deny", "")
		cut.Detail = map[string]string{audit.DetailCut: s}
		k.add("", cut)
		k.add("", *audit.Heartbeat(s, time.Second))
		k.now = k.now.Add(time.Minute)
	}
	r := k.check()
	r.Source, r.Verified = hostile[0], append([]string{"CHECKED AGAINST ITS OWN KEY ONLY"}, hostile...)
	if n := r.Count(); n < 7*int64(len(hostile)) {
		t.Fatalf("%d exceptions", n)
	}
	harmless(t, r.HTML())
}

func harmless(t *testing.T, text string) {
	t.Helper()
	page, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Fields("html head meta title style body main h1 h2 h3 p div section ul li b small code table tbody tr th td svg line text rect i")
	policy := false
	for n := range page.Descendants() {
		switch n.Type {
		case html.ElementNode:
			if !slices.Contains(known, n.Data) {
				t.Errorf("the page has <%s>", n.Data)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" || a.Key == "href" {
					t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
				}
				policy = policy || n.Data == "meta" && a.Key == "content" && strings.HasPrefix(a.Val, "default-src 'none'; style-src 'sha256-")
			}
		case html.TextNode:
			if i := strings.IndexAny(n.Data, "\x1b\u202e\u2066"); i >= 0 {
				t.Errorf("text turns around or commands a terminal: %q", n.Data)
			}
		}
	}
	if !policy {
		t.Error("it has no content security policy")
	}
}

// A year of records, drawn as weeks; ten years, as months; with gaps. ASSENT_REPORT=FILE keeps the first to be looked at.
func TestTheReportOfAYear(t *testing.T) {
	c := New(Table())
	index := int64(0)
	at := time.Date(2025, 11, 3, 8, 0, 0, 0, time.UTC)
	add := func(r audit.Record, after time.Duration) {
		at = at.Add(after)
		r.Index, r.Time = index, at
		index++
		leaf, err := json.Marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		c.Add("", r.Index, leaf)
	}
	for day := range 364 {
		for i := range 2 + (day*7)%11 {
			add(request([]string{"allow", "allow", "deny"}[i%3], ""), time.Minute)
		}
		id := fmt.Sprint("apr_", day)
		add(request("review", id), time.Hour)
		v := review("person:"+[]string{"mira", "ivo", "ana", "lena"}[day%4], id)
		add(about(audit.TypeApproval, id, "approved", ""), time.Duration(day%50)*time.Minute)
		add(v, 0)
		add(about(audit.TypeStarted, id, "executing", ""), 0)
		add(about(audit.TypeOutcome, id, "", "executed"), time.Second)
		if day%90 == 40 {
			add(audit.Record{Type: audit.TypeAlarm, Actor: "agent:a", Detail: map[string]string{"what": "a witness's answer does not hold"}}, 0)
		}
		at = time.Date(2025, 11, 4+day, 8, 0, 0, 0, time.UTC)
	}
	r := c.Result()
	r.Source, r.Verified = "q3.zip", []string{"records 0 to 4000 of example.com/log: all of the period, none missing"}
	columns, unit := r.Stats.columns()
	if unit != "week" || len(columns) != 52 {
		t.Errorf("%d columns, each a %s", len(columns), unit)
	}
	page := r.HTML()
	harmless(t, page)
	for _, want := range []string{"nine of ten within", "person:mira", "exceptions", "CC6.1", "AU-12"} {
		if !strings.Contains(page, want) {
			t.Errorf("it doesn't say %q", want)
		}
	}
	if name := os.Getenv("ASSENT_REPORT"); name != "" {
		if err := os.WriteFile(name, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		pdf, err := r.PDF(at, "v1")
		if err == nil {
			err = os.WriteFile(name+".pdf", pdf, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	s := Stats{Days: []Day{{Date: "2016-01-01"}, {Date: "2016-01-02"}, {Date: "2026-01-01"}}}
	if columns, unit := s.columns(); unit != "month" || len(columns) != 2 {
		t.Errorf("ten years: %d columns, each a %s", len(columns), unit)
	}
	s = Stats{Days: []Day{{Date: "2026-01-01"}, {Date: "2026-01-05"}}}
	if columns, unit := s.columns(); unit != "day" || len(columns) != 5 {
		t.Errorf("five days: %d columns, each a %s", len(columns), unit)
	}
	if page := New(Table()).Result().HTML(); !strings.Contains(page, "No record of the period") {
		t.Error("an empty report doesn't say so")
	}
}
