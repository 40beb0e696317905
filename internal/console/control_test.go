package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/freeze"
)

// controls gives a house the real switch and the real changes; dba administer.
func controls(t *testing.T, h *house) (*freeze.Switch, *change.Engine) {
	t.Helper()
	box := h.box
	freezes, err := freeze.New(freeze.Options{Box: box, Directory: h.people})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := change.New(change.Options{Box: box, Approvals: h.engine, Directory: h.people, Admins: []string{"group:dba"}, Stopped: freezes.Stopped})
	if err != nil {
		t.Fatal(err)
	}
	changes.HandleThaw(freezes)
	if err := freezes.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var loop sync.WaitGroup
	loop.Go(func() { freezes.Run(ctx) })
	t.Cleanup(func() { cancel(); loop.Wait() })
	h.change = func(o *Options) { o.Freezes, o.Changes, o.Standings = freezes, changes, h.engine }
	h.serve()
	return freezes, changes
}

func TestTheControlPage(t *testing.T) {
	h := newHouse(t)
	freezes, changes := controls(t, h)
	c := newClient(h).signIn(mira)
	form := url.Values{"what": {"actor"}, "name": {"agent:schema-pilot"}, "reason": {"<b>drops</b> tables"}}
	if code, _ := c.send("POST", "/control/freeze", form); code != http.StatusForbidden || len(freezes.List(false)) != 0 {
		t.Fatalf("without the page's token: %d", code)
	}
	form.Set("csrf", c.csrf)
	if code, _ := c.send("POST", "/control/freeze", form, "Origin", "https://evil.test", "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden || len(freezes.List(false)) != 0 {
		t.Fatalf("from another site: %d", code)
	}
	if code, body := c.send("POST", "/control/freeze", url.Values{"what": {"actor"}, "name": {"agent:x"}, "csrf": {c.csrf}}); code != http.StatusUnprocessableEntity {
		t.Fatalf("without a reason: %d %s", code, body)
	}
	if code, body := c.send("POST", "/control/freeze", form); code != http.StatusSeeOther {
		t.Fatalf("%d %s", code, body)
	}
	f := freezes.List(false)[0]
	if f.By != mira.ID || f.Name != "agent:schema-pilot" {
		t.Fatalf("%+v", f)
	}
	for _, page := range []string{"/approvals", "/activity", "/audit", "/settings", "/control"} {
		if _, body := c.send("GET", page, nil); !strings.Contains(body, "1 thing frozen") || !strings.Contains(body, "actor agent:schema-pilot") {
			t.Errorf("%s doesn't say what is frozen", page)
		}
	}
	if _, body := c.send("GET", "/control?what=actor&name=%3Cscript%3Ealert(1)%3C/script%3E", nil); strings.Contains(body, "<script>alert") || strings.Contains(body, "<b>drops</b>") {
		t.Error("text isn't escaped")
	}

	// Letting go is another's to allow, and what was asked is on the page.
	if code, _ := c.send("POST", "/control/thaw/"+f.ID, url.Values{"reason": {"looked at it"}, "csrf": {c.csrf}}); code != http.StatusSeeOther {
		t.Fatalf("asking to let go: %d", code)
	}
	list, err := changes.List(t.Context())
	if err != nil || len(list) != 1 || list[0].State != change.Proposed {
		t.Fatalf("%+v, %v", list, err)
	}
	a := h.get(list[0].Approval)
	if code, _ := c.answer(a, approval.Approve, func(f url.Values) { f.Set("confirmed", "yes") }); code != http.StatusForbidden {
		t.Errorf("the asker allows it: %d", code)
	}
	if code, body := newClient(h).signIn(ivo).answer(a, approval.Approve, func(f url.Values) { f.Set("confirmed", "yes") }); code != http.StatusOK {
		t.Fatalf("another administrator: %d %s", code, body)
	}
	if err := changes.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(freezes.List(false)) != 0 {
		t.Error("it is frozen still")
	}
	if _, body := c.send("GET", "/control", nil); !strings.Contains(body, "Nothing is frozen") || !strings.Contains(body, "Let go: actor agent:schema-pilot") {
		t.Error("the page doesn't tell")
	}
}

func TestTheControlPageInDarkLightAndOnAPhone(t *testing.T) {
	h := newHouse(t)
	freezes, _ := controls(t, h)
	for _, target := range []freeze.Target{{What: freeze.Actor, Name: "agent:schema-pilot"}, {What: freeze.Resource, Name: "postgres:shop/prod/with-a-rather-long-name-that-does-not-end"}} {
		if _, err := freezes.Freeze(t.Context(), target, "drops tables it never touched before, and nobody knows why", mira); err != nil {
			t.Fatal(err)
		}
	}
	b := openBrowser(t)
	b.signIn(h, sam)
	axe := axeSource(t)
	for _, scheme := range []string{"dark", "light"} {
		b.scheme(scheme)
		b.do(chromedp.EmulateViewport(1440, 900, chromedp.EmulateScale(1.5)))
		b.goTo(h.url + "/control")
		b.until(`document.fonts.status === "loaded" && document.querySelector("h1")`)
		b.shot("control-" + scheme)
		b.accessible(axe, "control in "+scheme)
		b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile))
		if w := eval[int](b, "document.documentElement.scrollWidth"); w > 390 {
			t.Errorf("in %s it is %d px wide on a phone of 390: %s", scheme, w, eval[string](b, widest))
		}
		b.shot("control-phone-" + scheme)
	}
	b.do(chromedp.EmulateViewport(1440, 900))
	b.goTo(h.url + "/control")
	b.do(chromedp.SetValue(`#freeze [name=name]`, "agent:release-bot"), chromedp.SetValue(`#freeze [name=reason]`, "stop"), chromedp.Click(`#freeze button`))
	b.until(`document.querySelectorAll("#frozen tbody tr").length === 3`)
	b.clean()
}
