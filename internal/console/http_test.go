package console

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/session"
)

// client is a browser without a screen: it keeps cookies and says where it comes from.
type client struct {
	t    testing.TB
	h    *house
	http *http.Client
	csrf string
}

func newClient(h *house) *client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	transport := &http.Transport{}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &client{h.t, h, &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, ""}
}

// send returns status and body. headers come in pairs; an empty value removes one.
func (c *client) send(method, path string, form url.Values, headers ...string) (int, string) {
	c.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.h.url+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", c.h.url)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		switch {
		case headers[i] == "Host":
			r.Host = headers[i+1]
		case headers[i+1] == "":
			r.Header.Del(headers[i])
		default:
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func secretOf(link string) string { return link[strings.Index(link, "?t=")+3:] }

func (c *client) signIn(p identity.Person) *client {
	c.t.Helper()
	if code, body := c.send("POST", "/signin", url.Values{"t": {secretOf(c.h.console.SignInLink(p))}}); code != http.StatusSeeOther {
		c.t.Fatalf("signing in: %d %s", code, body)
	}
	_, body := c.send("GET", "/settings", nil)
	_, rest, ok := strings.Cut(body, `data-csrf="`)
	if !ok {
		c.t.Fatal("no CSRF token on the page")
	}
	c.csrf, _, _ = strings.Cut(rest, `"`)
	return c
}

// answer posts a review of what a is, changed by change.
// pasted signs in by a reviewer's token.
func (c *client) pasted() *client {
	c.t.Helper()
	if code, body := c.send("POST", "/signin", url.Values{"token": {goodToken}}); code != http.StatusSeeOther {
		c.t.Fatalf("signing in by token: %d %s", code, body)
	}
	_, body := c.send("GET", "/settings", nil)
	_, rest, _ := strings.Cut(body, `data-csrf="`)
	c.csrf, _, _ = strings.Cut(rest, `"`)
	return c
}

func (c *client) answer(a *approval.Approval, decision string, change func(url.Values), headers ...string) (int, string) {
	c.t.Helper()
	f := url.Values{"decision": {decision}, "reason": {"because"}, "digest": {a.Digest.String()}, "version": {strconv.FormatInt(a.Version, 10)}}
	if change != nil {
		change(f)
	}
	return c.send("POST", "/approvals/"+a.ID+"/review", f, append([]string{"X-CSRF-Token", c.csrf}, headers...)...)
}

func TestLinkIsShownByGetAndUsedUpByPost(t *testing.T) {
	h := newHouse(t)
	link := h.console.SignInLink(sam)
	for range 3 { // previewers and scanners
		if code, body := newClient(h).send("GET", strings.TrimPrefix(link, h.url), nil); code != 200 || !strings.Contains(body, "Sign in") {
			t.Fatalf("GET: %d", code)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	in := 0
	for range 16 {
		c := newClient(h)
		wg.Go(func() {
			if code, _ := c.send("POST", "/signin", url.Values{"t": {secretOf(link)}}); code == http.StatusSeeOther {
				mu.Lock()
				in++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if in != 1 {
		t.Fatalf("%d signed in with one link", in)
	}
}

func TestLinkExpiresAndForeignSecretsDontWork(t *testing.T) {
	h := newHouse(t)
	now := time.Now()
	h.console.o.Clock = func() time.Time { return now }
	link := h.console.SignInLink(sam)
	now = now.Add(linkLife)
	for name, form := range map[string]url.Values{
		"expired": {"t": {secretOf(link)}}, "guessed": {"t": {newSecret()}}, "empty": {"t": {""}}, "bad token": {"token": {"ast_bad"}}, "nothing": {},
		"nobody's": {"t": {secretOf(h.console.SignInLink(identity.Person{ID: "person:nobody"}))}},
	} {
		if code, _ := newClient(h).send("POST", "/signin", form); code != http.StatusForbidden {
			t.Errorf("%s: %d", name, code)
		}
	}
	if code, _ := newClient(h).send("POST", "/signin", url.Values{"token": {" " + goodToken + " "}}); code != http.StatusSeeOther {
		t.Errorf("a reviewer's token: %d", code)
	}
}

func TestSessionEnds(t *testing.T) {
	for name, end := range map[string]func(*house, *client){
		"signed out": func(_ *house, c *client) { c.send("POST", "/signout", url.Values{"csrf": {c.csrf}}) },
		"left":       func(h *house, _ *client) { h.people.gone[sam.ID] = true },
		"expired": func(h *house, _ *client) {
			h.console.o.Clock = func() time.Time { return time.Now().Add(session.Life) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			a := h.ask(moderate("Update public.flags"))
			c := newClient(h).signIn(sam)
			if code, _ := c.send("GET", "/approvals", nil); code != 200 {
				t.Fatalf("signed in: %d", code)
			}
			end(h, c)
			if code, _ := c.send("GET", "/approvals", nil); code != http.StatusSeeOther {
				t.Errorf("the page still opens: %d", code)
			}
			if code, _ := c.send("GET", "/events", nil); code != http.StatusUnauthorized {
				t.Errorf("the stream still opens: %d", code)
			}
			if code, _ := c.answer(a, "approve", nil); code != http.StatusUnauthorized || h.get(a.ID).State != approval.Pending {
				t.Errorf("a review was taken: %d, %s", code, h.get(a.ID).State)
			}
		})
	}
}

func TestForeignRequestsAreRefused(t *testing.T) {
	h := newHouse(t)
	a := h.ask(moderate("Update public.flags"))
	c := newClient(h).signIn(sam)
	for name, headers := range map[string][]string{
		"other port of this host": {"Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"},
		"other port, no metadata": {"Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", ""},
		"other site":              {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		"same name, https":        {"Origin", strings.Replace(h.url, "http:", "https:", 1), "Sec-Fetch-Site", ""},
		"null origin":             {"Origin", "null", "Sec-Fetch-Site", ""},
		"null origin, framed":     {"Origin", "null", "Sec-Fetch-Site", "cross-site"},
		"says nothing":            {"Origin", "", "Sec-Fetch-Site", ""},
		"typed":                   {"Origin", "", "Sec-Fetch-Site", "none"},
		"wrong CSRF token":        {"X-CSRF-Token", newSecret()},
		"no CSRF token":           {"X-CSRF-Token", ""},
		"rebound name":            {"Host", "rebound.example"},
		"other port":              {"Host", "127.0.0.1:1"},
		"no host":                 {"Host", "127.0.0.1"},
	} {
		code, _ := c.answer(a, "approve", nil, headers...)
		if code != http.StatusForbidden && code != http.StatusMisdirectedRequest || h.get(a.ID).State != approval.Pending {
			t.Errorf("%s: %d, %s", name, code, h.get(a.ID).State)
		}
	}
	if code, _ := c.send("GET", "/approvals", nil, "Host", "rebound.example"); code != http.StatusMisdirectedRequest {
		t.Errorf("a page under a foreign name: %d", code)
	}
	if code, body := c.answer(a, "approve", nil, "Origin", "null"); code != 200 || h.get(a.ID).State != approval.Approved {
		t.Errorf("our own form under no-referrer: %d %s", code, body)
	}
}

func TestAnswersThatAreNotExactAreRefused(t *testing.T) {
	h := newHouse(t)
	plain, crit := h.ask(moderate("Update public.flags")), h.ask(nil)
	long := h.ask(func(q *approval.Question) {
		moderate("Update public.flags, at length")(q)
		q.Statement = "SELECT 1" + strings.Repeat(" ", maxShown) + "; DROP TABLE flags"
	})
	c, outsider, subject := newClient(h).signIn(sam), newClient(h).signIn(mira), newClient(h).signIn(dana)
	if _, page := c.send("GET", "/approvals/"+long.ID, nil); strings.Contains(page, `id="approve"`) || !strings.Contains(page, `value="deny"`) || !strings.Contains(page, "more bytes are not shown") {
		t.Error("what can't be shown whole can be approved, or can't be denied, or looks whole")
	}
	stale := *crit
	h.answer(crit, mira, approval.Approve, "")
	set := func(k, v string) func(url.Values) { return func(f url.Values) { f.Set(k, v) } }
	for name, try := range map[string]struct {
		c        *client
		a        *approval.Approval
		decision string
		change   func(url.Values)
		want     int
	}{
		"stale version":           {c, &stale, "approve", set("confirmed", "yes"), 409},
		"other digest":            {c, plain, "approve", set("digest", crit.Digest.String()), 409},
		"no digest":               {c, plain, "approve", set("digest", ""), 400},
		"version is not a number": {c, plain, "approve", set("version", "latest"), 400},
		"unknown decision":        {c, plain, "approved", nil, 400},
		"no decision":             {c, plain, "", nil, 400},
		"deny without reason":     {c, plain, "deny", set("reason", " \t\n"), 422},
		"endless reason":          {c, plain, "deny", set("reason", strings.Repeat("x", maxReason+1)), 422},
		"reason is not UTF-8":     {c, plain, "deny", set("reason", "\xff"), 422},
		"critical, unconfirmed":   {c, h.get(crit.ID), "approve", nil, 428},
		"not asked":               {outsider, plain, "approve", nil, 403},
		"subject":                 {subject, crit, "approve", set("confirmed", "yes"), 403},
		"can't be shown whole":    {c, long, "approve", nil, 409},
		"no such approval":        {c, &approval.Approval{ID: "apr_0000000000000000"}, "approve", nil, 404},
	} {
		before := map[string]int{plain.ID: len(h.get(plain.ID).Reviews), crit.ID: len(h.get(crit.ID).Reviews), long.ID: 0}
		code, body := try.c.answer(try.a, try.decision, try.change)
		if code != try.want || body == "" {
			t.Errorf("%s: %d %q, want %d", name, code, body, try.want)
		}
		for id, n := range before {
			if got := h.get(id); len(got.Reviews) != n || got.State != approval.Pending {
				t.Fatalf("%s: it was taken: %s with %d reviews", name, got.State, len(got.Reviews))
			}
		}
	}
	if code, body := c.answer(h.get(crit.ID), "approve", set("confirmed", "yes")); code != 200 || h.get(crit.ID).State != approval.Approved {
		t.Fatalf("the exact answer: %d %s", code, body)
	}
	if code, _ := c.answer(h.get(crit.ID), "deny", nil); code != 409 {
		t.Errorf("a second review: %d", code)
	}
	if code, _ := c.answer(long, "deny", nil); code != 200 || h.get(long.ID).State != approval.Denied {
		t.Errorf("denying what is too long: %d", code)
	}
	r := h.get(crit.ID).Reviews[1]
	if r.Channel != "console" || r.Assurance != "console" || r.Person != sam.ID || r.Digest != crit.Digest {
		t.Errorf("the review says %+v", r)
	}
}

func TestEveryResponseCarriesThePolicy(t *testing.T) {
	h := newHouse(t)
	c := newClient(h).signIn(sam)
	a := h.ask(nil)
	for _, path := range []string{"/", "/signin", "/approvals", "/approvals/" + a.ID, "/activity", "/audit", "/audit/0", "/settings", "/ui/app.js", "/nothing", "/ui/nothing"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", h.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		csp := res.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy lacks %s", path, want)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") || strings.Contains(csp, "*") {
			t.Errorf("%s: policy is loose: %s", path, csp)
		}
		if res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, res.Header)
		}
		if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") && (bytes.Contains(b, []byte(" style=")) || bytes.Contains(b, []byte("<style")) || bytes.Contains(b, []byte(" onclick"))) {
			t.Errorf("%s: has inline style or script", path)
		}
	}
}

// TestSecretsStayOutOfLogs drives each path that touches a secret, failures
// among them, and looks for it in everything that was logged.
func TestSecretsStayOutOfLogs(t *testing.T) {
	h := newHouse(t)
	var log bytes.Buffer
	h.console.o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	link := h.console.SignInLink(sam)
	c := newClient(h)
	c.send("GET", strings.TrimPrefix(link, h.url), nil)
	h.console.o.Sessions = failing{}
	if code, _ := c.send("POST", "/signin", url.Values{"t": {secretOf(link)}}); code != http.StatusServiceUnavailable {
		t.Errorf("a store that fails: %d", code)
	}
	if code, _ := c.send("GET", "/approvals", nil, "Cookie", h.console.cookie+"=abcdef"); code != http.StatusSeeOther {
		t.Errorf("a session nobody could read: %d", code)
	}
	if log.Len() == 0 {
		t.Error("the failures were not logged")
	}
	if s := log.String(); strings.Contains(s, secretOf(link)) || strings.Contains(s, "abcdef") {
		t.Errorf("a secret was logged: %s", s)
	}
	for hash := range h.console.links.byHash {
		if bytes.Contains([]byte(secretOf(link)), hash[:]) {
			t.Error("a link is kept in clear")
		}
	}
}

// failing is a session store that is down.
type failing struct{ Sessions }

var errDisk = errors.New("disk full")

func (failing) Open(context.Context, session.Opening) (string, *session.Session, error) {
	return "", nil, errDisk
}
func (failing) Get(context.Context, string) (*session.Session, error) { return nil, errDisk }

func TestPublicURLMustBeSafe(t *testing.T) {
	h := newHouse(t)
	o := h.console.o
	for _, bad := range []string{"", "localhost:8720", "http://assent.example.com", "ftp://localhost", "http://10.0.0.1:8720", "http://localhost.evil.example"} {
		o.PublicURL = bad
		if _, err := New(o); err == nil {
			t.Errorf("public URL %q was taken", bad)
		}
	}
	o.PublicURL = "https://assent.example.com/some/path"
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if !c.secure || c.cookie != "__Host-assent" || !strings.HasPrefix(c.SignInLink(sam), "https://assent.example.com/signin?t=") {
		t.Errorf("https: cookie %q, link %s", c.cookie, c.SignInLink(sam)[:40])
	}
}

func TestEventsTellOfChangesAndEndWithTheSession(t *testing.T) {
	h := newHouse(t)
	a := h.ask(moderate("Update public.flags"))
	c := newClient(h).signIn(sam)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", h.url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	next := func(event string) string {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == "event: "+event && lines.Scan() {
				return lines.Text()
			}
		}
		t.Fatalf("no event %s: %v", event, lines.Err())
		return ""
	}
	next("head")
	h.answer(a, sam, approval.Deny, "not now")
	if data := next("approval"); !strings.Contains(data, a.ID) || !strings.Contains(data, "denied") {
		t.Errorf("the event says %s", data)
	}
	if data := next("head"); !strings.Contains(data, "size") {
		t.Errorf("the event says %s", data)
	}
	c.send("POST", "/signout", url.Values{"csrf": {c.csrf}})
	next("signedout")
	if lines.Scan() && lines.Text() != "" {
		t.Errorf("the stream goes on: %q", lines.Text())
	}
}

func TestCloseEndsTheStreams(t *testing.T) {
	h := newHouse(t)
	c := newClient(h).signIn(sam)
	r, err := http.NewRequestWithContext(t.Context(), "GET", h.url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	h.console.Close()
	h.console.Close() // twice is once
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Error(err)
	}
}

// TestTrafficIsShown runs reads through the real traffic lane: they stand in
// the activity room and in what led up to a held action.
func TestTrafficIsShown(t *testing.T) {
	h := newHouse(t)
	spool, err := audit.OpenSpool(audit.SpoolOptions{Dir: t.TempDir(), Node: "n1", SegmentBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spool.Close() })
	h.change = func(o *Options) { o.Traffic = &Traffic{Spool: spool} }
	h.serve()
	if _, err := spool.Append(&audit.Record{Type: audit.TypeSession}); err != nil { // as it is at a gate: the first record is no request
		t.Fatal(err)
	}
	rows := int64(40)
	for i := range audit.RecentKept + 10 {
		read := &audit.Record{Type: audit.TypeRequest, Actor: "agent:nightly-exporter", Session: "s1", Shape: strconv.Itoa(i), Title: "Read public.orders", Kinds: []string{"data.read"}, Decision: "allow"}
		asked, err := spool.Append(read)
		if err != nil {
			t.Fatal(err)
		}
		done := &audit.Record{Type: audit.TypeOutcome, Actor: read.Actor, Session: "s1", Outcome: "executed", Rows: &rows, Masked: map[string]int64{"email": 80}, Previous: asked}
		if _, err := spool.Append(done); err != nil {
			t.Fatal(err)
		}
	}
	a := h.ask(nil)
	c := newClient(h).signIn(sam)
	_, detail := c.send("GET", "/approvals/"+a.ID, nil)
	if n := strings.Count(detail, "Read public.orders · 40 rows"); n != leadMost || !strings.Contains(detail, "masked 80") {
		t.Errorf("%d reads led up to it", n)
	}
	_, activity := c.send("GET", "/activity", nil)
	if !strings.Contains(activity, "Read public.orders") || !strings.Contains(activity, "more actions went by too fast") {
		t.Error("the activity room doesn't show the reads, or doesn't say that it dropped some")
	}
	if err := spool.Close(); err != nil {
		t.Fatal(err)
	}
	before := h.console.o.Traffic.total()
	if _, err := spool.Append(&audit.Record{Type: audit.TypeRequest}); err == nil || h.console.o.Traffic.total() != before {
		t.Error("a record that was not written is remembered")
	}
}

func TestEveryRecordIsProven(t *testing.T) {
	h := newHouse(t)
	for range 90 {
		h.ask(nil).Asker.Credential = ""
		if n, _ := h.store.Head(t.Context()); n.Size >= 20 {
			break
		}
	}
	c := newClient(h).signIn(sam)
	head, err := h.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range head.Size {
		if code, body := c.send("GET", fmt.Sprintf("/audit/%d", i), nil); code != 200 || !strings.Contains(body, "in the log, proven") {
			t.Fatalf("record %d: %d", i, code)
		}
	}
	for _, bad := range []string{"-1", "x", fmt.Sprint(head.Size), "99999999999999999999"} {
		if code, _ := c.send("GET", "/audit/"+bad, nil); code != http.StatusNotFound {
			t.Errorf("record %s: %d", bad, code)
		}
	}
}

func TestNextPageStaysHere(t *testing.T) {
	for _, bad := range []string{"//evil.example", "https://evil.example", "/\\evil.example", "/approvals/../signin?t=1", "/approvals/a?x", "/signin", "", "javascript:alert(1)", "/approvals/a\n"} {
		if got := nextPage(bad); got != "" {
			t.Errorf("%q leads to %q", bad, got)
		}
	}
	h := newHouse(t)
	a := h.ask(nil)
	c := newClient(h)
	if code, body := c.send("GET", "/approvals/"+a.ID, nil, "Sec-Fetch-Site", "cross-site"); code != 200 || !strings.Contains(body, `http-equiv="refresh"`) || strings.Contains(body, "customers") {
		t.Errorf("a link from a chat: %d", code)
	}
	if code, _ := c.send("GET", "/approvals/"+a.ID, nil, "Sec-Fetch-Site", "same-origin"); code != http.StatusSeeOther {
		t.Errorf("asked again by ourselves: %d", code)
	}
}
