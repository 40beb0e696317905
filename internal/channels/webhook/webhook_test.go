package webhook_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/channels/webhook"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/notify/notifytest"
	"github.com/assenthq/assent/internal/policy"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="

// A call is what a receiver got.
type call struct {
	header http.Header
	body   []byte
}

func (c *call) event(t *testing.T) *webhook.Event {
	t.Helper()
	var ev webhook.Event
	if err := json.Unmarshal(c.body, &ev); err != nil {
		t.Fatalf("%v in %s", err, c.body)
	}
	return &ev
}

// receiver is a web server that keeps what it gets and answers as answer says.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []call
	answer func(n int, w http.ResponseWriter, r *http.Request)
}

func newReceiver(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		r.calls = append(r.calls, call{req.Header.Clone(), b})
		n := len(r.calls)
		r.mu.Unlock()
		if r.answer != nil {
			r.answer(n, w, req)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) got() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call(nil), r.calls...)
}

func (r *receiver) types(t *testing.T) (out []string) {
	for _, c := range r.got() {
		out = append(out, strings.TrimPrefix(c.event(t).Type, "dev.assent."))
	}
	return out
}

func channel(t *testing.T, r *receiver, tune ...func(*webhook.Options)) *webhook.Channel {
	t.Helper()
	o := webhook.Options{Name: "hook", URL: r.URL + "/in?token=s3cret", Secrets: [][]byte{[]byte(secret)}, Private: true, PublicURL: notifytest.PublicURL}
	for _, f := range tune {
		f(&o)
	}
	c, err := webhook.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var everything = []notify.Route{{Channel: "hook", Place: "ops", Notices: []string{"alarm"}}}

// TestStory: each change is told once, in an envelope that says all of it.
func TestStory(t *testing.T) {
	h := notifytest.New(t)
	r := newReceiver(t, nil)
	d, _ := h.Dispatch("n1", everything, channel(t, r))
	a := h.Ask("select 1", policy.Requirement{Rule: "hold", From: []string{"group:owners"}, Count: 2, Assurance: "chat", Expires: time.Hour})
	told := func(want string) {
		t.Helper()
		h.Eventually(want, func() bool { return strings.Join(r.types(t), " ") == want })
	}
	told("approval.requested")
	h.Pass(31 * time.Minute)
	told("approval.requested approval.reminded")
	if err := h.Answer(a.ID, "person:ana", approval.Approve); err != nil {
		t.Fatal(err)
	}
	told("approval.requested approval.reminded approval.reviewed")
	h.Pass(time.Minute)
	if err := h.Answer(a.ID, "person:ben", approval.Deny); err != nil {
		t.Fatal(err)
	}
	told("approval.requested approval.reminded approval.reviewed approval.decided")
	late := h.Ask("select 2")
	told("approval.requested approval.reminded approval.reviewed approval.decided approval.requested")
	h.Pass(2 * time.Hour)
	told("approval.requested approval.reminded approval.reviewed approval.decided approval.requested approval.expired")
	if err := d.Notify(t.Context(), notify.Notice{ID: "n1", Kind: "alarm", Title: "The log can't be verified", Path: "/health", Grave: true}); err != nil {
		t.Fatal(err)
	}
	h.Eventually("the notice is told", func() bool { return len(r.got()) == 7 })
	calls := r.got()
	ev := calls[3].event(t)
	data := ev.Data.Approval
	if ev.Source != notifytest.PublicURL || ev.SpecVersion != "1.0" || ev.Subject != a.ID || ev.Time.IsZero() || data == nil || data.State != "denied" || data.Decided != "Ben denied it" ||
		len(data.Reviews) != 2 || data.URL != notifytest.PublicURL+"/approvals/"+a.ID || data.Statement != "select 1" || ev.Data.To != "ops" {
		t.Errorf("the event is %s", calls[3].body)
	}
	if n := calls[6].event(t); n.Type != "dev.assent.notice.alarm" || n.Data.Notice.URL != notifytest.PublicURL+"/health" || n.Data.Approval != nil {
		t.Errorf("the notice is %s", calls[6].body)
	}
	if ev := calls[5].event(t); ev.Subject != late.ID || ev.Data.Approval.Pending || !ev.Data.Approval.Over {
		t.Errorf("the expired one is %s", calls[5].body)
	}
	ids := map[string]bool{}
	for _, c := range calls {
		id := c.header.Get("Webhook-Id")
		if id != c.event(t).ID || ids[id] || c.header.Get("Content-Type") != "application/cloudevents+json" {
			t.Errorf("id %q, header %v", id, c.header)
		}
		ids[id] = true
	}
}

// TestRedelivery: what is sent again has the same id and body, another time and signature.
func TestRedelivery(t *testing.T) {
	h := notifytest.New(t)
	r := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	h.Dispatch("n1", everything, channel(t, r, func(o *webhook.Options) { o.Clock = h.Clock }))
	h.Ask("select 1")
	h.Eventually("it is tried", func() bool { return len(r.got()) == 1 })
	var passed time.Time
	h.Eventually("it is tried again", func() bool {
		if time.Since(passed) > time.Second/2 { // that it failed may not be noted yet
			h.Pass(5 * time.Second)
			passed = time.Now()
		}
		return len(r.got()) == 2
	})
	x, y := r.got()[0], r.got()[1]
	if x.header.Get("Webhook-Id") != y.header.Get("Webhook-Id") || !bytes.Equal(x.body, y.body) {
		t.Errorf("%s\n%s", x.body, y.body)
	}
	if x.header.Get("Webhook-Timestamp") == y.header.Get("Webhook-Timestamp") || x.header.Get("Webhook-Signature") == y.header.Get("Webhook-Signature") {
		t.Error("an old signature is sent again")
	}
}

// message is one that needs no deployment.
func message() *notify.Message {
	at := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	return &notify.Message{What: notify.Asked, Card: &card.Card{
		ID: "apr_1", Digest: "sha256:00", Version: 1, URL: "https://assent.test/approvals/apr_1", State: card.State{Class: "wait", Name: "waiting", Says: "Waiting for people"}, Pending: true,
		Risk: card.Risk{Score: 60, Class: "high", Name: "High"}, Title: "export customers", Who: "exporter", For: "Maya Lin", Kinds: []string{"data.export"}, On: "postgres:billing/prod/customers",
		Statement: "select * from customers", Data: "12,000 rows with email", Why: "customers are looked at by hand", Asks: "1 of owners", Seats: 1, Created: at, Expires: at.Add(time.Hour), Assurance: "chat",
	}}
}

// TestAnswers: what each answer of a receiver means.
func TestAnswers(t *testing.T) {
	elsewhere := newReceiver(t, nil)
	for _, tt := range []struct {
		status       int
		header, want string // want "": delivered
		never        bool
	}{
		{200, "", "", false},
		{204, "", "", false},
		{301, "Location: " + elsewhere.URL, "redirects are not followed", false},
		{307, "Location: " + elsewhere.URL, "redirects are not followed", false},
		{400, "", "answered 400", false},
		{401, "", "answered 401", false},
		{404, "", "answered 404", false},
		{410, "", "answered 410", true},
		{429, "Retry-After: 120", "answered 429", false},
		{500, "", "answered 500", false},
		{503, "Retry-After: Sun, 22 Nov 2026 03:02:00 GMT", "answered 503", false},
	} {
		r := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			if k, v, ok := strings.Cut(tt.header, ": "); ok {
				w.Header().Set(k, v)
			}
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, "hunter2")
		})
		c := channel(t, r)
		err := c.Update(t.Context(), "ops", "k", message())
		if tt.want == "" {
			if err != nil {
				t.Errorf("%d: %v", tt.status, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, notify.ErrNever) != tt.never {
			t.Errorf("%d: %v", tt.status, err)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%d: the error tells a secret: %v", tt.status, err)
		}
	}
	if n := len(elsewhere.got()); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// TestRetryAfter: the receiver's wish is kept, up to an hour, and a dead receiver is asked no more.
func TestRetryAfter(t *testing.T) {
	h := notifytest.New(t)
	r := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 1:
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.Header().Set("Retry-After", "999999999")
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3:
			w.WriteHeader(http.StatusGone)
		}
	})
	d, _ := h.Dispatch("n1", everything, channel(t, r))
	h.Ask("select 1", policy.Requirement{Rule: "hold", From: []string{"group:owners"}, Count: 1, Expires: 12 * time.Hour})
	state := func() notify.Delivery {
		all, err := d.Deliveries(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 1 {
			return notify.Delivery{}
		}
		return all[0]
	}
	h.Eventually("it is tried", func() bool { return state().Tries == 1 })
	if wait := state().Due.Sub(h.Clock()); wait < 10*time.Minute || wait > 11*time.Minute {
		t.Errorf("it waits %s", wait)
	}
	h.Pass(11 * time.Minute)
	h.Eventually("it is tried again", func() bool { return state().Tries == 2 })
	if wait := state().Due.Sub(h.Clock()); wait < time.Hour || wait > 61*time.Minute {
		t.Errorf("it waits %s", wait)
	}
	h.Pass(61 * time.Minute)
	h.Eventually("it is dead", func() bool { return state().Dead })
	if err := d.Replay(t.Context(), state().ID, "person:ana"); err != nil {
		t.Fatal(err)
	}
	h.Eventually("it is replayed", func() bool { return len(r.got()) == 4 && state().ID == "" })
}

// TestSilence: a receiver that never answers, or never ends, holds nobody up.
func TestSilence(t *testing.T) {
	r := newReceiver(t, func(_ int, w http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := channel(t, r).Update(ctx, "ops", "k", message()); err == nil {
		t.Error("nobody answered, and that was enough")
	}
	endless := newReceiver(t, func(_ int, w http.ResponseWriter, req *http.Request) {
		for b := bytes.Repeat([]byte("x"), 1<<16); req.Context().Err() == nil; {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	})
	if err := channel(t, endless).Update(t.Context(), "ops", "k", message()); err != nil {
		t.Error(err)
	}
}

// TestAsymmetric: the Ed25519 signature is good under the public half.
func TestAsymmetric(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, nil)
	c := channel(t, r, func(o *webhook.Options) {
		o.Secrets = [][]byte{[]byte("whsk_" + base64.StdEncoding.EncodeToString(private))}
	})
	if err := c.Update(t.Context(), "ops", "k", message()); err != nil {
		t.Fatal(err)
	}
	got := r.got()[0]
	sig, ok := strings.CutPrefix(got.header.Get("Webhook-Signature"), "v1a,")
	b, err := base64.StdEncoding.DecodeString(sig)
	content := fmt.Sprintf("%s.%s.%s", got.header.Get("Webhook-Id"), got.header.Get("Webhook-Timestamp"), got.body)
	if !ok || err != nil || !ed25519.Verify(public, []byte(content), b) || ed25519.Verify(public, []byte(content+" "), b) {
		t.Errorf("signature %q", got.header.Get("Webhook-Signature"))
	}
}

func TestOptions(t *testing.T) {
	good := webhook.Options{Name: "x", URL: "https://receiver.example/in", Secrets: [][]byte{[]byte(secret)}}
	if _, err := webhook.New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(o *webhook.Options){
		"clear":           func(o *webhook.Options) { o.URL = "http://receiver.example/in" },
		"no url":          func(o *webhook.Options) { o.URL = "" },
		"other scheme":    func(o *webhook.Options) { o.URL = "file:///etc/passwd" },
		"user in the url": func(o *webhook.Options) { o.URL = "https://u:hunter2@receiver.example/in" },
		"fragment":        func(o *webhook.Options) { o.URL = "https://receiver.example/in#hunter2" },
		"unsigned":        func(o *webhook.Options) { o.Secrets = nil },
		"short secret":    func(o *webhook.Options) { o.Secrets = [][]byte{[]byte("whsec_aHVudGVyMg==")} },
		"not a secret":    func(o *webhook.Options) { o.Secrets = [][]byte{[]byte("hunter2")} },
		"format":          func(o *webhook.Options) { o.Format = "carrier-pigeon" },
		"no key":          func(o *webhook.Options) { o.Format = "jira" },
		"header in key":   func(o *webhook.Options) { o.Key = "x\r\nHost: hunter2" },
		"authorities":     func(o *webhook.Options) { o.CA = []byte("hunter2") },
	} {
		o := good
		spoil(&o)
		if _, err := webhook.New(o); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
