package api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/mask"
)

// looking is a world that looks into things, with what it recorded and logged.
type looking struct {
	*world
	mu      sync.Mutex
	records []*audit.Record
	log     bytes.Buffer
	finder  *detect.Engine
	masker  *mask.Masker
}

func newLooking(t *testing.T, change ...func(*api.Options)) *looking {
	l := &looking{finder: must(detect.New(detect.Options{}))(t)}
	l.masker = mask.New(bytes.Repeat([]byte{9}, 32), l.finder)
	l.world = newWorld(t, func(o *api.Options) {
		o.Looker = &api.Looker{Engine: l.finder, Masks: l.masker.For, Record: func(_ context.Context, r *audit.Record) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.records = append(l.records, r)
			return nil
		}}
		o.Logger = slog.New(slog.NewTextHandler(&l.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		for _, c := range change {
			c(o)
		}
	})
	return l
}

func (l *looking) scan(token string, body map[string]any) *api.ScanAnswer {
	l.t.Helper()
	a := l.call("POST", "/v1/scan", token, body)
	if a.status != 200 {
		l.t.Fatalf("%d %s", a.status, a.body)
	}
	var out api.ScanAnswer
	a.json(l.t, &out)
	return &out
}

func TestScanAndMaskOverTheAPI(t *testing.T) {
	l := newLooking(t)
	const secret = "mira@example.com"
	got := l.scan(l.agent, map[string]any{"text": "first\nto " + secret})
	want := api.ScanFinding{Start: 9, End: 25, Line: 2, Column: 4, Class: "email", Group: "pii", Groups: []string{"pii"}, Confidence: 0.95}
	if len(got.Findings) != 1 || fmt.Sprint(got.Findings[0]) != fmt.Sprint(want) || len(got.Unseen) != 0 {
		t.Errorf("found %+v", got)
	}
	if got := l.scan(l.mira, map[string]any{"text": `{"ssn":"219099999"}`, "format": "json", "groups": []string{"pii"}}); len(got.Findings) != 1 || got.Findings[0].Class != "us-ssn" {
		t.Errorf("by its name: %+v", got)
	}
	if got := l.scan(l.mira, map[string]any{"text": secret, "classes": []string{"card"}}); len(got.Findings) != 0 {
		t.Errorf("of another class: %+v", got)
	}
	zw := must(zstd.NewWriter(nil))(t)
	packed := base64.StdEncoding.EncodeToString(zw.EncodeAll([]byte(secret), nil))
	if got := l.scan(l.gate, map[string]any{"base64": packed, "name": "a.log.zst"}); len(got.Findings) != 1 || got.Findings[0].Member != "a.log" {
		t.Errorf("packed: %+v", got)
	}
	cut := base64.StdEncoding.EncodeToString(zw.EncodeAll(bytes.Repeat([]byte(secret), 1000), nil)[:20])
	if got := l.scan(l.gate, map[string]any{"base64": cut}); len(got.Unseen) != 1 {
		t.Errorf("cut off: %+v", got)
	}

	var masked api.MaskAnswer
	a := l.call("POST", "/v1/mask", l.agent, map[string]any{"text": "to " + secret})
	a.json(t, &masked)
	if masked.Text != "to [masked:email]" || masked.Masked["email"] != 1 {
		t.Errorf("masked: %s", a.body)
	}
	masked = api.MaskAnswer{}
	a = l.call("POST", "/v1/mask", l.agent, map[string]any{"text": "a,note\n1,words\n", "columns": map[string]string{"note": "phone"}, "format": "csv"})
	a.json(t, &masked)
	if masked.Text != "a,note\n1,[masked:phone]\n" {
		t.Errorf("a column: %s", a.body)
	}
	for name, body := range map[string]map[string]any{
		"/v1/scan#class":   {"text": "x", "classes": []string{"nonsense"}},
		"/v1/scan#both":    {"text": "x", "base64": "eA=="},
		"/v1/scan#base64":  {"base64": "!"},
		"/v1/mask#method":  {"text": "x", "masks": map[string]string{"email": "burn"}},
		"/v1/mask#class":   {"text": "x", "masks": map[string]string{"nonsense": "redact"}},
		"/v1/mask#packed":  {"base64": packed},
		"/v1/mask#column":  {"text": "a,b\n1,2\n", "format": "csv", "columns": map[string]string{"c": ""}},
		"/v1/findings#no":  {"source": "x", "classes": map[string]int{"nonsense": 1}},
		"/v1/findings#nil": {"source": "x", "classes": map[string]int{}},
	} {
		path, _, _ := strings.Cut(name, "#")
		l.call("POST", path, l.agent, body).problem(t, 400, "invalid")
	}
	if log := l.log.String(); strings.Contains(log, secret) || strings.Contains(log, "219099999") {
		t.Error("what was sent is in the log")
	}
}

// What is masked over the API under a caller's keys equals nothing that a gate masks for it: a guess confirms nothing.
func TestNoMaskOfTheAPIEqualsAGates(t *testing.T) {
	l := newLooking(t)
	for _, method := range []string{"hash", "tokenize"} {
		a := l.call("POST", "/v1/mask", l.agent, map[string]any{"text": "mira@example.com", "masks": map[string]string{"email": method}})
		var out api.MaskAnswer
		a.json(t, &out)
		for _, who := range []string{"agent:nightly-exporter", "person:mira", ""} {
			if gate := l.masker.For(who, map[string]string{"email": method}).Text([]byte("mira@example.com")); string(gate) == out.Text {
				t.Errorf("%s is what a gate makes for %q", method, who)
			}
		}
	}
}

func TestCallersAreKeptToAPace(t *testing.T) {
	now := time.Now()
	l := newLooking(t, func(o *api.Options) { o.Clock = func() time.Time { return now } })
	last := 0
	for range 33 {
		last = l.call("POST", "/v1/findings", l.agent, map[string]any{"source": "x", "classes": map[string]int{"card": 1}}).status
	}
	a := l.call("POST", "/v1/scan", l.agent, map[string]any{"text": "x"})
	a.problem(t, 429, "too-fast")
	if a.header.Get("Retry-After") == "" {
		t.Error("nobody says when to try again")
	}
	now = now.Add(time.Second)
	if a := l.call("POST", "/v1/scan", l.agent, map[string]any{"text": "x"}); a.status != 200 {
		t.Errorf("a second later: %d", a.status)
	}
	if last != 429 {
		t.Errorf("the last report was %d", last)
	}
	if a := l.call("POST", "/v1/scan", l.other, map[string]any{"text": "x"}); a.status != 200 {
		t.Errorf("another caller: %d", a.status)
	}
	l.call("POST", "/v1/scan", l.other, map[string]any{"text": strings.Repeat("x", 5<<20)}).problem(t, 413, "too-large")
}

func TestWhatWasFoundElsewhereIsInTheLog(t *testing.T) {
	l := newLooking(t)
	c := must(client.New(l.server.URL, l.agent, nil))(t)
	if err := c.ReportFindings(t.Context(), client.FindingsReport{Source: "/var/log/to-mira@example.com.log", Host: "web-1", Line: 7, Classes: map[string]int64{"card": 2}}); err != nil {
		t.Fatal(err)
	}
	if len(l.records) != 1 {
		t.Fatalf("%d records", len(l.records))
	}
	r := l.records[0]
	text := must(json.Marshal(r))(t)
	if r.Type != audit.TypeFinding || r.Actor != "agent:nightly-exporter" || r.Findings["card"] != 2 || bytes.Contains(text, []byte("mira@")) {
		t.Errorf("recorded %s", text)
	}
	found, err := c.Scan(t.Context(), client.ScanQuestion{Text: "to mira@example.com"})
	if err != nil || len(found.Findings) != 1 || found.Findings[0].Class != "email" {
		t.Errorf("the client found %+v, %v", found, err)
	}
	masked, err := c.Mask(t.Context(), client.MaskQuestion{Text: "to mira@example.com", Masks: map[string]string{"pii": "partial"}})
	if err != nil || masked.Text != "to ***@example.com" {
		t.Errorf("the client masked %+v, %v", masked, err)
	}
}
