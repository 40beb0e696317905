package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/internal/emergency"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
)

// glassHouse is a house where sre may break the glass, and dba review it.
func glassHouse(t *testing.T) (*house, *emergency.Glass, *freeze.Switch) {
	t.Helper()
	h := newHouse(t)
	freezes, _ := controls(t, h)
	glass, err := emergency.New(emergency.Options{Box: h.box, Directory: h.people, Freezes: freezes, Groups: []string{"group:sre"}, Reviewers: []string{"group:dba"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var loop sync.WaitGroup
	loop.Go(func() { glass.Run(ctx) })
	t.Cleanup(func() { cancel(); loop.Wait() })
	with := h.change
	h.change = func(o *Options) { with(o); o.Glass = glass }
	h.serve()
	return h, glass, freezes
}

func (h *house) broken(g *emergency.Glass) emergency.Entry {
	h.t.Helper()
	e, err := g.Break(h.t.Context(), omar, "console", "agent:nightly-exporter", "postgres:shop", "<b>the shop is down</b>", 10*time.Minute)
	if err != nil {
		h.t.Fatal(err)
	}
	return e
}

func TestEmergenciesInTheConsole(t *testing.T) {
	h, glass, freezes := glassHouse(t)
	form := func(c *client) url.Values {
		return url.Values{"actor": {"agent:nightly-exporter"}, "resource": {"postgres:shop"}, "minutes": {"10"}, "reason": {"the shop is down"}, "csrf": {c.csrf}}
	}
	none := func(when string) {
		t.Helper()
		if list, err := glass.List(t.Context()); err != nil || len(list) != 0 {
			t.Fatalf("%s: %d emergencies, %v", when, len(list), err)
		}
	}
	c := newClient(h).signIn(omar)
	if _, body := c.send("GET", "/settings", nil); strings.Contains(body, `href="/emergencies"`) {
		t.Error("a bar about nothing")
	}
	bad := form(c)
	bad.Del("csrf")
	if code, _ := c.send("POST", "/emergencies", bad); code != http.StatusForbidden {
		t.Errorf("without the page's token: %d", code)
	}
	if code, _ := c.send("POST", "/emergencies", form(c), "Origin", "https://evil.test", "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden {
		t.Errorf("from another site: %d", code)
	}
	mc := newClient(h).signIn(mira)
	if code, _ := mc.send("POST", "/emergencies", form(mc)); code != http.StatusForbidden {
		t.Errorf("without the right: %d", code)
	}
	if _, body := mc.send("GET", "/emergencies", nil); strings.Contains(body, `id="break"`) {
		t.Error("who may not break the glass is shown how")
	}
	for name, v := range map[string]string{"minutes": "0", "reason": " ", "actor": "agent:nobody"} {
		f := form(c)
		f.Set(name, v)
		if code, _ := c.send("POST", "/emergencies", f); code != http.StatusUnprocessableEntity {
			t.Errorf("%s=%q: %d", name, v, code)
		}
	}
	none("after all of it")
	if code, body := c.send("POST", "/emergencies", form(c)); code != http.StatusSeeOther {
		t.Fatalf("%d %s", code, body)
	}
	list, err := glass.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Person != omar.ID || list[0].Until.Sub(list[0].Since) != 10*time.Minute {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, page := range []string{"/approvals", "/activity", "/audit", "/settings", "/control", "/emergencies"} {
		if _, body := mc.send("GET", page, nil); !strings.Contains(body, "The glass is broken:") || !strings.Contains(body, "agent:nightly-exporter runs on postgres:shop") {
			t.Errorf("%s doesn't say that the glass is broken", page)
		}
	}

	// Who broke it, who is behind the actor, and who has no right review nothing.
	review := func(c *client) int {
		code, _ := c.send("POST", "/emergencies/"+list[0].ID+"/review", url.Values{"verdict": {"justified"}, "note": {"fine"}, "csrf": {c.csrf}})
		return code
	}
	dc := newClient(h).signIn(dana)
	for name, x := range map[string]*client{"who broke it": c, "the actor's owner": dc, "somebody without the right": mc} {
		if code := review(x); code != http.StatusForbidden {
			t.Errorf("%s reviews it: %d", name, code)
		}
		if _, body := x.send("GET", "/emergencies", nil); strings.Contains(body, "/review\"") {
			t.Errorf("%s is shown how to review it", name)
		}
	}
	ic := newClient(h).signIn(ivo)
	if code, _ := ic.send("POST", "/emergencies/"+list[0].ID+"/review", url.Values{"verdict": {"wrong"}, "note": {" "}, "csrf": {ic.csrf}}); code != http.StatusUnprocessableEntity {
		t.Errorf("without a note: %d", code)
	}
	if code, body := ic.send("POST", "/emergencies/"+list[0].ID+"/review", url.Values{"verdict": {"wrong"}, "note": {"it was up"}, "csrf": {ic.csrf}}); code != http.StatusSeeOther {
		t.Fatalf("%d %s", code, body)
	}
	if !freezes.Stopped(omar.ID) {
		t.Error("who broke it is not frozen")
	}
	if code := review(ic); code != http.StatusConflict {
		t.Errorf("twice: %d", code)
	}
	if _, body := ic.send("GET", "/emergencies", nil); !strings.Contains(body, "it was up") || strings.Contains(body, "The glass is broken") {
		t.Error("the page doesn't tell what was found, or the bar stays")
	}
}

// A session that a pasted token opened breaks nothing and reviews nothing: an agent may share the machine it lies on.
func TestAPastedTokenBreaksNoGlass(t *testing.T) {
	h, glass, _ := glassHouse(t)
	e := h.broken(glass)
	token := h.change
	h.change = func(o *Options) {
		token(o)
		o.CheckToken = func(_ context.Context, _ string) (identity.Person, error) { return ivo, nil }
	}
	h.serve()
	c := newClient(h).pasted()
	if code, body := c.send("POST", "/emergencies/"+e.ID+"/review", url.Values{"verdict": {"justified"}, "note": {"fine"}, "csrf": {c.csrf}}); code != http.StatusForbidden || !strings.Contains(body, "pasted token") {
		t.Errorf("a review: %d %s", code, body)
	}
	if list, err := glass.List(t.Context()); err != nil || list[0].State != emergency.Open {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestTheGlassBarComesByItself(t *testing.T) {
	h, glass, _ := glassHouse(t)
	b := openBrowser(t)
	b.signIn(h, ivo)
	b.goTo(h.url + "/settings")
	b.until(`document.querySelector("#pip.on")`)
	tall := eval[int](b, `document.documentElement.scrollHeight`)
	e := h.broken(glass)
	b.until(`document.querySelector(".glassbar a")?.textContent.includes("The glass is broken")`)
	b.shot("glassbar")
	if now := eval[int](b, `document.documentElement.scrollHeight`); now > tall {
		t.Errorf("the bar pushes the page out of the window: %d px instead of %d", now, tall)
	}
	axe := axeSource(t)
	for _, scheme := range []string{"dark", "light"} {
		b.scheme(scheme)
		b.do(chromedp.EmulateViewport(1440, 900, chromedp.EmulateScale(1.5)))
		b.goTo(h.url + "/emergencies")
		b.until(`document.fonts.status === "loaded" && document.querySelector("h1")`)
		b.shot("emergencies-" + scheme)
		b.accessible(axe, "emergencies in "+scheme)
		b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile))
		if w := eval[int](b, "document.documentElement.scrollWidth"); w > 390 {
			t.Errorf("in %s it is %d px wide on a phone of 390: %s", scheme, w, eval[string](b, widest))
		}
		b.shot("emergencies-phone-" + scheme)
	}
	b.do(chromedp.EmulateViewport(1440, 900))
	if eval[bool](b, `!!document.querySelector("#`+e.ID+` b > b")`) {
		t.Error("a reason's markup is taken for markup")
	}
	b.do(chromedp.SetValue(`#`+e.ID+` [name=note]`, "the shop was down"), chromedp.Click(`#`+e.ID+` button[value=justified]`))
	b.until(`document.querySelector("#` + e.ID + ` .s-ok") && !document.querySelector(".glassbar a")`)
	b.clean()
}
