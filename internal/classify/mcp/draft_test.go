package mcp_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/mcp"
	"github.com/goccy/go-yaml"
)

// Drafts are held against the shipped table, which people wrote: a tool that changes something
// may not be drafted as a read. docs/mcp-tools.md has the counts.
func TestDraftAgainstTheTable(t *testing.T) {
	c := classifier(t)
	files, err := filepath.Glob("testdata/lists/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	var all, unsaid, reads, sameWay, milder int
	seen := map[string]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var l listing
		if err := json.Unmarshal(b, &l); err != nil {
			t.Fatal(err)
		}
		for _, raw := range l.Tools {
			d := define(t, string(raw))
			kind := sections[strings.TrimSuffix(filepath.Base(f), ".json")]
			if seen[kind+" "+d.Name] {
				continue
			}
			seen[kind+" "+d.Name] = true
			said := c.Tool(mcp.Server{Name: "s", Kind: kind}, d, nil)
			draft := mcp.Draft(&d)
			all++
			changes := slices.ContainsFunc(said.Kinds, func(k action.Kind) bool { return k != action.DataRead }) && said.Harmless == ""
			flows := len(draft.Kinds) == 1 && draft.Kinds[0] == action.DataRead
			switch {
			case len(draft.Kinds)+len(draft.SQL) == 0:
				unsaid++
			case flows && changes && !slices.Contains(readsInDraft, d.Name):
				milder++
				t.Errorf("%s: %s is %v in the table, and drafted as a read: %s", kind, d.Name, said.Kinds, draft.Why)
			case flows:
				reads++
			}
			if len(draft.Kinds)+len(draft.SQL) > 0 && flows != changes {
				sameWay++
			} else {
				t.Logf("%s: %s: table %v, draft %v: %s", kind, d.Name, said.Kinds, draft.Kinds, draft.Why)
			}
		}
	}
	t.Logf("%d tools: %d not understood, %d drafted as reads, %d as the table has them (read, or more)", all, unsaid, reads, sameWay)
	if sameWay*100 < all*70 {
		t.Errorf("only %d of %d are drafted as the table has them", sameWay, all)
	}
}

// readsInDraft are what the table judges by more than a name: their arguments or the system behind them.
var readsInDraft = []string{"query-docs", "browser_video_show_actions"}

func TestDraft(t *testing.T) {
	for _, row := range []struct{ tool, kinds, to, on string }{
		{`{"name":"send_invoice","inputSchema":{"properties":{"recipients":{"type":"array"},"body":{"type":"string"},"invoice_id":{"type":"string"}}}}`, "message.send", "recipients", "invoice_id"},
		{`{"name":"list_invoices","inputSchema":{"properties":{"customer":{"type":"string"}}}}`, "data.read", "", ""},
		{`{"name":"getPassword"}`, "data.read secret.access", "", ""},
		{`{"name":"find_or_delete_note","inputSchema":{"properties":{"note_id":{"type":"string"}}}}`, "data.delete", "", "note_id"},
		{`{"name":"get_report","description":"Creates the report and emails it."}`, "", "", ""},
		{`{"name":"frobnicate"}`, "", "", ""},
		{`{"name":"list_notes","annotations":{"readOnlyHint":false}}`, "", "", ""},
		{`{"name":"pay_supplier","inputSchema":{"properties":{"iban":{"type":"string"},"amount":{"type":"number"},"reference":{"type":"string"}}}}`, "payment", "iban", "amount reference"},
		{`{"name":"make_reservation","inputSchema":{"properties":{"venue":{"type":"string"},"start_time":{"type":"string"}}}}`, "data.write payment", "", "venue"},
		{`{"name":"create_meeting","inputSchema":{"properties":{"title":{"type":"string"},"attendees":{"type":"array"},"start":{"type":"string"},"online":{"type":"boolean"}}}}`, "data.write", "attendees", "title"},
	} {
		d := mcp.Draft(ptr(define(t, row.tool)))
		var kinds []string
		for _, k := range d.Kinds {
			kinds = append(kinds, string(k))
		}
		if got := strings.Join(kinds, " "); got != row.kinds || strings.Join(d.To, " ") != row.to || strings.Join(d.On, " ") != row.on {
			t.Errorf("%s: %s, to %v, on %v: %s", row.tool, got, d.To, d.On, d.Why)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func FuzzDraftYAML(f *testing.F) {
	f.Add(`{"tools":[{"name":"send_mail","inputSchema":{"properties":{"to":{"type":"string"}}}}]}`)
	f.Add(`[{"name":"a\n  - { tool: x, kinds: [data.read] }"}]`)
	f.Add(`[{"name":"get_\"x'"},{"name":"on"}]`)
	f.Add(`{"result":{"tools":[{"name":"delete","inputSchema":{"properties":{"# a":{},"null":{"type":[]}}}}]}}`)
	f.Fuzz(func(t *testing.T, s string) {
		text, err := mcp.DraftYAML([]byte(s))
		if err != nil {
			return
		}
		var got struct {
			Tools []struct {
				Tool       string
				SQL        []string
				Kinds      []action.Kind
				To, On     []string
				Reversible bool
				Untrusted  bool
			}
		}
		if err := yaml.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		for _, r := range got.Tools {
			if !strings.Contains(s, "ame") || len(r.Kinds)+len(r.SQL) == 0 {
				t.Fatalf("%q has a row that no tool made:\n%s", s, text)
			}
		}
	})
}
