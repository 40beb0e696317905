package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/internal/identity"
)

// untried stands where internal/server puts what reaches out: its own tests are
// there. It remembers that it was asked.
type untried struct {
	asked []string
	open  bool
}

func (u *untried) Issuer(_ context.Context, issuer, _ string) error {
	u.asked = append(u.asked, "issuer "+issuer)
	return errors.New("<b>no</b> such issuer")
}

func (u *untried) System(context.Context, string, int) (string, error) {
	u.asked = append(u.asked, "system")
	return "A PostgreSQL answers, with TLS.", nil
}

func (u *untried) Rule(string, string) (Tried, error) {
	u.asked = append(u.asked, "rule")
	return Tried{Kinds: []string{"data.delete"}, Verdict: "review", Reason: "two people look at it", Rules: []string{"first/big-changes-need-two"}, Asks: []string{"2 of reviewers, within 30 min"}}, nil
}

func (u *untried) Config(string) error { u.asked = append(u.asked, "config"); return nil }
func (u *untried) Open() bool          { return u.open }

// setUp gives a house the set-up page; dba administer.
func setUp(h *house) *untried {
	u := &untried{}
	was := h.change
	h.change = func(o *Options) {
		if was != nil {
			was(o)
		}
		o.Setup, o.Administers = u, func(p *identity.Person) bool { return p.In("group:dba") }
	}
	h.serve()
	return u
}

func TestOnlyAdministratorsTryAConfiguration(t *testing.T) {
	h := newHouse(t)
	u := setUp(h)
	mirasC, samsC := newClient(h).signIn(mira), newClient(h).signIn(sam)
	form := func(c *client) url.Values {
		return url.Values{"csrf": {c.csrf}, "check": {"issuer"}, "issuer": {"https://idp.example.com"}}
	}
	if code, _ := mirasC.send("POST", "/setup", form(mirasC)); code != http.StatusForbidden || len(u.asked) > 0 {
		t.Fatalf("a reviewer: %d, %v", code, u.asked)
	}
	if code, _ := samsC.send("POST", "/setup", url.Values{"check": {"issuer"}}); code != http.StatusForbidden || len(u.asked) > 0 {
		t.Fatalf("without the page's token: %d, %v", code, u.asked)
	}
	if code, _ := samsC.send("POST", "/setup", form(samsC), "Origin", "https://evil.test", "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden || len(u.asked) > 0 {
		t.Fatalf("from another site: %d, %v", code, u.asked)
	}
	pasted := newClient(h)
	pasted.send("POST", "/signin", url.Values{"token": {goodToken}})
	u.open = true
	if _, body := pasted.send("GET", "/settings", nil); !strings.Contains(body, "data-csrf") {
		t.Fatal("a pasted token opens no session")
	} else {
		_, rest, _ := strings.Cut(body, `data-csrf="`)
		pasted.csrf, _, _ = strings.Cut(rest, `"`)
	}
	if code, _ := pasted.send("POST", "/setup", form(pasted)); code != http.StatusForbidden || len(u.asked) > 0 {
		t.Fatalf("a session of a pasted token: %d, %v", code, u.asked)
	}
	u.open = false
	code, body := samsC.send("POST", "/setup", form(samsC))
	if code != http.StatusOK || len(u.asked) != 1 || !strings.Contains(body, "&lt;b&gt;no&lt;/b&gt; such issuer") || !strings.Contains(body, `value="https://idp.example.com"`) {
		t.Errorf("an administrator: %d, %v", code, u.asked)
	}
	if u.open = true; true { // nobody administers yet
		if code, _ := mirasC.send("POST", "/setup", form(mirasC)); code != http.StatusOK || len(u.asked) != 2 {
			t.Errorf("where nobody administers: %d", code)
		}
	}
	if code, _ := samsC.send("POST", "/setup", url.Values{"csrf": {samsC.csrf}, "check": {"system"}, "host": {"x"}, "port": {"99999"}}); code != http.StatusOK || len(u.asked) != 2 {
		t.Errorf("a port that is none: %d, %v", code, u.asked)
	}
}

func TestSetUpFollowsWhatRuns(t *testing.T) {
	h := newHouse(t)
	setUp(h)
	b := openBrowser(t)
	b.signIn(h, sam)
	b.goTo(h.url + "/setup")
	const states = `[...document.querySelectorAll(".setup .checks li")].map(e => e.className).join(" ")`
	b.until(`document.querySelectorAll(".setup .checks li").length === 5`)
	if got := eval[string](b, states); strings.HasSuffix(got, "ok") || strings.Contains(got, "wait ok ok") {
		t.Errorf("nothing runs yet: %s", got)
	}
	if n := eval[int](b, `document.querySelectorAll(".checkline").length`); n != 0 {
		t.Errorf("%d checks were made that nobody asked for", n)
	}
	b.do(chromedp.SendKeys(chromedp.CSS("[name=host]"), "half-typed"))
	a := h.ask(moderate("Insert into public.flags"))
	b.until(states + `.split(" ")[3] === "ok"`)
	h.answer(a, ivo, "approve", "")
	b.until(states + `.split(" ")[4] === "ok"`)
	if got := eval[string](b, `document.querySelector("[name=host]").value`); got != "half-typed" {
		t.Errorf("what was typed became %q", got)
	}
	b.do(chromedp.Click(chromedp.CSS(`button[value=rule]`)))
	b.until(`document.querySelector(".tried")?.innerText.includes("held")`)
	if got := eval[string](b, `document.querySelector("[name=host]").value`); got != "half-typed" {
		t.Errorf("after a check, what was typed became %q", got)
	}
	b.clean()
}
