package webhook_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/channels/webhook"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/notify/notifytest"
	"github.com/assenthq/assent/internal/policy"
)

var update = flag.Bool("update", false, "write golden files and the schema anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, got, "", "  "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	if *update {
		if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", name, b.String())
	}
}

// TestFormats holds what each receiver gets against recorded requests, and its
// credential to the place where it looks for one.
func TestFormats(t *testing.T) {
	gone := *message().Card
	gone.State, gone.Pending, gone.Over, gone.Decided = card.State{Class: "bad", Name: "denied", Says: "Denied by a person"}, false, true, "Mira Kovač denied it"
	gone.Reviews = []card.Review{{Name: "Mira Kovač", Decision: "deny", Channel: "console", Reason: "not today", Time: gone.Created.Add(time.Minute)}}
	messages := map[string]*notify.Message{
		"asked":  message(),
		"denied": {What: notify.Changed, Card: &gone},
		"notice": {What: notify.Noticed, Notice: &notify.Notice{ID: "ntc_1", Kind: "emergency", Title: "Maya Lin broke the glass", Text: "billing/prod, 30 min", Path: "/emergencies", Grave: true, Time: gone.Created}},
	}
	answers := map[string]string{
		"servicenow": `{"import_set":"ISET0010001","staging_table":"u_assent","result":[{"transform_map":"Assent","table":"incident","display_name":"number","display_value":"INC0010001","status":"inserted","sys_id":"a83820b58f723300e7e16c7827bdeed2"}]}`,
		"pagerduty":  `{"status":"success","message":"Event processed","dedup_key":"samplekey"}`,
	}
	for _, f := range webhook.Formats() {
		r := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, answers[f])
		})
		c := channel(t, r, func(o *webhook.Options) {
			o.Format, o.Key = f, "R0UTINGKEY"
			if f == "servicenow" {
				o.User = "assent"
			}
		})
		for _, name := range []string{"asked", "denied", "notice"} {
			if _, err := c.Post(t.Context(), "ops", "7f3k", messages[name]); err != nil {
				t.Errorf("%s: %v", f, err)
			}
			calls := r.got()
			got := calls[len(calls)-1]
			golden(t, filepath.Join("testdata", f+"-"+name+".json"), got.body)
			in := map[string]string{"Authorization": "Bearer R0UTINGKEY", "X-Automation-Webhook-Token": ""}
			switch f {
			case "pagerduty":
				in["Authorization"] = ""
			case "jira":
				in = map[string]string{"Authorization": "", "X-Automation-Webhook-Token": "R0UTINGKEY"}
			case "servicenow":
				in["Authorization"] = "Basic YXNzZW50OlIwVVRJTkdLRVk="
			}
			for k, v := range in {
				if got.header.Get(k) != v {
					t.Errorf("%s: %s is %q, want %q", f, k, got.header.Get(k), v)
				}
			}
			if f != "pagerduty" && bytes.Contains(got.body, []byte("R0UTINGKEY")) {
				t.Errorf("%s: the key is in the body", f)
			}
		}
	}
}

// TestImportRefused: ServiceNow answers 201 for a row that it could not take, too.
func TestImportRefused(t *testing.T) {
	for _, answer := range []string{`{"import_set":"ISET1","result":[{"status":"error","error_message":"hunter2"}]}`, `{"result":[]}`, `<html>Sign in</html>`, ``} {
		r := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, answer)
		})
		c := channel(t, r, func(o *webhook.Options) { o.Format, o.Key = "servicenow", "k" })
		if err := c.Update(t.Context(), "ops", "7f3k", message()); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// TestHostileText: what an agent wrote reaches no receiver as markup, in
// disguise, or longer than it takes.
func TestHostileText(t *testing.T) {
	h := notifytest.New(t)
	a := h.Ask("select '\u202e\u200b\x1b[2J{noformat}{NoFormat}[Approve|https://evil.example] <script>' -- " + strings.Repeat("x", 2<<20))
	c := card.Of(h.Get(a.ID), h.Engine.Progress(a), notifytest.PublicURL)
	for _, f := range webhook.Formats() {
		r := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"result":[{"status":"inserted"}]}`)
		})
		ch := channel(t, r, func(o *webhook.Options) { o.Format, o.Key = f, "k" })
		if _, err := ch.Post(t.Context(), "ops", "7f3k", &notify.Message{What: notify.Asked, Card: c}); err != nil {
			t.Fatal(err)
		}
		body := r.got()[0].body
		var any map[string]any
		if err := json.Unmarshal(body, &any); err != nil {
			t.Fatal(err)
		}
		text := all(any)
		if len(body) > 64<<10 || strings.ContainsAny(text, "\u202e\u200b\x1b") || !strings.Contains(text, `\u202e\u200b\u001b[2J`) {
			t.Errorf("%s: %d bytes, %.300q", f, len(body), text)
		}
		if f == "jira" && strings.Count(strings.ToLower(text), "{noformat") != 2 {
			t.Errorf("jira: the statement leaves its block: %.600q", text)
		}
		if !strings.Contains(text, "2,09") && f != "cloudevents" && f != "pagerduty" {
			t.Errorf("%s: nobody says that it is cut: %.300q", f, text)
		}
	}
}

// all joins every string of a document.
func all(v any) string {
	switch v := v.(type) {
	case string:
		return v + "\n"
	case []any:
		s := ""
		for _, x := range v {
			s += all(x)
		}
		return s
	case map[string]any:
		s := ""
		for _, x := range v {
			s += all(x)
		}
		return s
	}
	return ""
}

// TestSchema holds docs/webhook-event.schema.json against the types, and an event against it.
func TestEventSchema(t *testing.T) {
	reg := huma.NewMapRegistry("#/$defs/", huma.DefaultSchemaNamer)
	reg.Schema(reflect.TypeFor[webhook.Event](), true, "")
	doc := map[string]any{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "An event of Assent's webhooks", "$ref": "#/$defs/Event", "$defs": reg.Map()}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../../docs/webhook-event.schema.json", b)

	h := notifytest.New(t)
	r := newReceiver(t, nil)
	h.Dispatch("n1", everything, channel(t, r))
	a := h.Ask("select 1", policy.Requirement{Rule: "hold", From: []string{"group:owners"}, Count: 1, Assurance: "chat"})
	h.Eventually("it is told", func() bool { return len(r.got()) == 1 })
	if err := h.Answer(a.ID, "person:ana", approval.Approve); err != nil {
		t.Fatal(err)
	}
	h.Eventually("it is told", func() bool { return len(r.got()) == 2 })
	for _, c := range r.got() {
		var v any
		if err := json.Unmarshal(c.body, &v); err != nil {
			t.Fatal(err)
		}
		var res huma.ValidateResult
		huma.Validate(reg, reg.Schema(reflect.TypeFor[webhook.Event](), true, ""), huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, v, &res)
		if len(res.Errors) > 0 {
			t.Errorf("%v in %s", res.Errors, c.body)
		}
	}
}
