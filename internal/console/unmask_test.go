package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// looking shows what it is told to, and remembers the looks.
type looking struct {
	value string
	err   error
	looks []string
}

func (l *looking) May(p *identity.Person) bool { return p.In("group:data-owners") }
func (l *looking) Value(_ context.Context, p *identity.Person, a *approval.Approval, n int, reason string) (string, string, error) {
	l.looks = append(l.looks, p.ID+" "+reason)
	return l.value, a.Masked[n].Class, l.err
}

// TestOnlyAReviewerLooksAtAValue: in a session of their own, with a reason, at what they may review.
func TestOnlyAReviewerLooksAtAValue(t *testing.T) {
	h := newHouse(t)
	l := &looking{value: "ana\u202e@example.com"}
	h.change = func(o *Options) { o.Unmask = l }
	h.serve()
	a := h.ask(nil)
	look := func(c *client, n, reason string) (int, string) {
		return c.send("POST", "/approvals/"+a.ID+"/unmask", url.Values{"n": {n}, "reason": {reason}, "csrf": {c.csrf}})
	}
	m := newClient(h).signIn(mira)
	if _, page := m.send("GET", "/approvals/"+a.ID, nil); !strings.Contains(page, "Look at one masked value") {
		t.Error("a reviewer isn't offered to look")
	}
	if code, body := look(m, "1", "is it ours?"); code != http.StatusOK || !strings.Contains(body, "example.com") || strings.Contains(body, "\u202e") {
		t.Errorf("a reviewer: %d", code)
	}
	for name, no := range map[string]func() (int, string){
		"who asked it":   func() (int, string) { return look(newClient(h).signIn(dana), "1", "mine") },
		"another group":  func() (int, string) { return look(newClient(h).signIn(omar), "1", "curious") },
		"a pasted token": func() (int, string) { return look(newClient(h).pasted(), "1", "token") },
		"no reason":      func() (int, string) { return look(m, "1", " ") },
		"no such value":  func() (int, string) { return look(m, "2", "what else") },
		"the zeroth":     func() (int, string) { return look(m, "0", "what else") },
		"a page too old": func() (int, string) {
			return m.send("POST", "/approvals/"+a.ID+"/unmask", url.Values{"n": {"1"}, "reason": {"x"}, "csrf": {"old"}})
		},
		"an unknown approval": func() (int, string) {
			return m.send("POST", "/approvals/apr_none/unmask", url.Values{"n": {"1"}, "reason": {"x"}, "csrf": {m.csrf}})
		},
		"a GET shows no value": func() (int, string) { return m.send("GET", "/approvals/"+a.ID+"/unmask", nil) },
	} {
		if code, body := no(); code < 400 || strings.Contains(body, "example.com") {
			t.Errorf("%s: %d", name, code)
		}
	}
	if !slices.Equal(l.looks, []string{"person:mira is it ours?"}) {
		t.Errorf("looks: %q", l.looks)
	}
	l.value, l.err = "", ErrNotHere
	if code, body := look(m, "1", "again"); code != http.StatusConflict || !strings.Contains(body, "not here") {
		t.Errorf("gone: %d", code)
	}
	if code, _ := m.answer(a, approval.Deny, nil); code != http.StatusOK {
		t.Fatal("denying failed")
	}
	if code, _ := look(m, "1", "after the end"); code != http.StatusForbidden {
		t.Errorf("after the end: %d", code)
	}
}
