// Package webhooks_test sends to receivers that verify with the npm and PyPI
// packages of Standard Webhooks: the examples of docs/webhooks.md.
package webhooks_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/channels/webhook"
	"github.com/assenthq/assent/internal/notify"
)

const (
	newer = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	older = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDC2FVsBQIhrs="
)

// receivers are the commands of the examples.
func receivers(t *testing.T) map[string][]string {
	t.Helper()
	python, err := filepath.Abs("../../.cache/python/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]string{"npm": {"node", "receive.mjs"}, "PyPI": {python, "receive.py"}}
}

// start runs a receiver that knows secret, and returns its address and what it prints.
func start(t *testing.T, command []string, secret string) (url string, lines <-chan string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "ASSENT_WEBHOOK_SECRET="+secret)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: scripts/install gets what it needs", err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	all := make(chan string, 10)
	go func() {
		defer close(all)
		for s := bufio.NewScanner(out); s.Scan(); {
			all <- s.Text()
		}
	}()
	select {
	case first, ok := <-all:
		port, found := strings.CutPrefix(first, "listening ")
		if !ok || !found {
			t.Fatalf("the receiver says %q: scripts/install gets what it needs", first)
		}
		return "http://127.0.0.1:" + port + "/", all
	case <-time.After(30 * time.Second):
		t.Fatal("the receiver doesn't begin")
	}
	return "", nil
}

func send(t *testing.T, url, id string, secrets ...string) error {
	t.Helper()
	o := webhook.Options{Name: "hook", URL: url, Private: true, PublicURL: "https://assent.test"}
	for _, s := range secrets {
		o.Secrets = append(o.Secrets, []byte(s))
	}
	c, err := webhook.New(o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Post(t.Context(), "ops", "key", &notify.Message{What: notify.Noticed, Notice: &notify.Notice{ID: id, Kind: "test", Title: "Grüße “…” \u2028 <b>"}})
	return err
}

// TestVerify: receivers take what we sign, with the old secret and the new one
// while it is replaced, each once; and nothing else.
func TestVerify(t *testing.T) {
	for name, command := range receivers(t) {
		t.Run(name, func(t *testing.T) {
			url, lines := start(t, command, older)
			if err := send(t, url, "n1", older); err != nil {
				t.Error(err)
			}
			if err := send(t, url, "n1", older); err != nil {
				t.Error(err)
			}
			if err := send(t, url, "n2", newer, older); err != nil {
				t.Error(err)
			}
			if err := send(t, url, "n3", newer); err == nil || !strings.Contains(err.Error(), "401") {
				t.Errorf("a foreign signature: %v", err)
			}
			for _, want := range []string{"dev.assent.notice.test n1 ", "dev.assent.notice.test n2 "} {
				select {
				case got := <-lines:
					if !strings.HasPrefix(got, want) {
						t.Errorf("it took %q, want %q", got, want)
					}
				case <-time.After(20 * time.Second):
					t.Fatalf("it never took %q", want)
				}
			}
			select {
			case got := <-lines:
				t.Errorf("it took %q as well", got)
			case <-time.After(200 * time.Millisecond):
			}
		})
	}
}

// TestReplayed: what somebody kept, changed or dates back is not taken.
func TestReplayed(t *testing.T) {
	var header http.Header
	var body string
	tap := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		header, body = r.Header.Clone(), string(b)
	}))
	defer tap.Close()
	if err := send(t, tap.URL, "n1", older); err != nil {
		t.Fatal(err)
	}
	for name, command := range receivers(t) {
		t.Run(name, func(t *testing.T) {
			url, _ := start(t, command, older)
			post := func(body string, change func(http.Header)) int {
				t.Helper()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header = header.Clone()
				change(req.Header)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				return resp.StatusCode
			}
			same := func(http.Header) {}
			if got := post(body, same); got != 204 {
				t.Errorf("as it came: %d", got)
			}
			if got := post(strings.Replace(body, "n1", "n9", 1), same); got != 401 {
				t.Errorf("another body: %d", got)
			}
			if got := post(body, func(h http.Header) { h.Set("Webhook-Id", "evt_other") }); got != 401 {
				t.Errorf("another id: %d", got)
			}
			if got := post(body, func(h http.Header) { h.Set("Webhook-Timestamp", "1700000000") }); got != 401 {
				t.Errorf("an old time: %d", got)
			}
			if got := post(body, func(h http.Header) { h.Del("Webhook-Signature") }); got != 401 {
				t.Errorf("unsigned: %d", got)
			}
		})
	}
}
