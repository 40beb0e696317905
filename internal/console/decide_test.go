package console

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
)

const armed = `document.querySelector("#approve") && !document.querySelector("#approve").disabled`

// state waits until the engine has the approval in a state.
func (h *house) state(id string, want approval.State) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	changes := h.engine.Subscribe(ctx)
	for h.get(id).State != want {
		select {
		case _, open := <-changes:
			if !open {
				h.t.Fatalf("approval %s is %s, not %s", id, h.get(id).State, want)
			}
		case <-ctx.Done():
			h.t.Fatalf("approval %s is %s, not %s", id, h.get(id).State, want)
		}
	}
}

func TestApproveByKeyboard(t *testing.T) {
	h := newHouse(t)
	first, second := h.ask(moderate("Update public.flags, first")), h.ask(moderate("Update public.flags, second"))
	b := openBrowser(t)
	b.signIn(h, sam)
	b.key("j")
	b.until(fmt.Sprintf(`document.querySelector(".card-page").dataset.id === %q`, second.ID))
	b.until(armed)
	b.key("a")
	h.state(second.ID, approval.Approved)
	b.until(`document.querySelector(".banner.s-ok")`)
	b.until(`document.querySelector("#toast.up")`)
	if s := h.get(first.ID).State; s != approval.Pending {
		t.Errorf("the other one is %s", s)
	}
	if sel := eval[string](b, `document.querySelector(".row.sel").dataset.id`); sel != second.ID {
		t.Error("the decided row left from under the key")
	}
	b.key("k")
	b.until(fmt.Sprintf(`document.querySelector(".card-page").dataset.id === %q`, first.ID))
	b.key("?")
	b.until(`document.querySelector("#help").open`)
	b.key("a") // keys belong to the overlay now
	b.key(kb.Escape)
	b.until(`!document.querySelector("#help").open`)
	b.until(armed)
	if s := h.get(first.ID).State; s != approval.Pending {
		t.Errorf("a key went through the overlay: %s", s)
	}
	b.clean()
}

func TestCriticalIsConfirmedAndASecondReviewerShowsLive(t *testing.T) {
	h := newHouse(t)
	a := h.ask(nil)
	b := openBrowser(t)
	b.signIn(h, sam)
	b.until(armed)
	b.key("a")
	b.until(`document.querySelector("#confirm").open`)
	if n := len(h.get(a.ID).Reviews); n != 0 {
		t.Fatalf("%d reviews before the confirmation", n)
	}
	b.until(`document.activeElement.id === "confirm-yes"`)
	b.shot("confirm")
	b.key(kb.Enter)
	b.until(`[...document.querySelectorAll(".need b")].some(e => e.textContent === "1 of 2")`)
	b.until(`document.querySelector(".maynot")?.textContent.includes("You have reviewed this")`)
	if r := h.get(a.ID).Reviews; len(r) != 1 || r[0].Person != sam.ID {
		t.Fatalf("reviews: %+v", r)
	}
	h.answer(a, mira, approval.Approve, "fine with me")
	b.until(`document.querySelector(".banner.s-ok")?.textContent.includes("Sam Okafor and Mira Kovač approved it")`)
	b.clean()
}

func TestEachEndLooksDifferent(t *testing.T) {
	h := newHouse(t)
	b := openBrowser(t)
	denied, withdrawn := h.ask(moderate("Update public.flags, denied")), h.ask(moderate("Update public.flags, withdrawn"))
	b.signIn(h, sam)
	h.answer(denied, ivo, approval.Deny, "not today")
	if _, err := h.engine.Withdraw(t.Context(), withdrawn.ID, "person:omar", "no longer needed"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for id, want := range map[string]string{denied.ID: "Denied by a person", withdrawn.ID: "Withdrawn"} {
		b.goTo(h.url + "/approvals/" + id)
		b.until(`document.querySelector(".banner")`)
		text := eval[string](b, `document.querySelector(".banner").textContent`)
		if !strings.Contains(text, want) || eval[bool](b, `!!document.querySelector("#approve")`) {
			t.Errorf("%s: %s", want, text)
		}
		seen[text] = id
	}
	for _, s := range []approval.State{approval.Pending, approval.Expired, approval.Unknown, "else"} {
		seen[stateOf(&approval.Approval{State: s}).Says] = string(s)
	}
	if len(seen) != 6 {
		t.Errorf("two ends read the same: %v", seen)
	}
	b.clean()
}

func TestDenyNeedsAReason(t *testing.T) {
	h := newHouse(t)
	a := h.ask(moderate("Update public.flags"))
	b := openBrowser(t)
	b.signIn(h, sam)
	b.until(armed)
	b.key("d")
	b.until(`document.activeElement.id === "reason" && document.querySelector("#decide.denying")`)
	b.key(kb.Enter) // nothing typed yet
	b.until(`document.querySelector("#toast.up.bad")`)
	b.key(kb.Escape)
	b.until(`document.activeElement.id !== "reason" && !document.querySelector("#decide.denying")`)
	b.do(chromedp.Focus(chromedp.CSS("#reason")))
	b.key("half a thought")
	b.key(kb.Enter) // a reason alone decides nothing
	b.until(`document.querySelector("#toast").textContent.includes("Enter alone decides nothing")`)
	if s := h.get(a.ID); s.State != approval.Pending || len(s.Reviews) != 0 {
		t.Fatalf("it is %s", s.State)
	}
	b.key(kb.Escape)
	b.key("d") // with a reason D denies
	h.state(a.ID, approval.Denied)
	if r := h.get(a.ID).Reviews[0]; r.Reason != "half a thought" || r.Decision != approval.Deny {
		t.Errorf("the review says %+v", r)
	}
	b.until(`document.querySelector(".banner.s-bad")?.textContent.includes("half a thought")`)
	b.clean()
}

func TestApproveArmsOnlyAfterTheCardSettled(t *testing.T) {
	h := newHouse(t)
	h.ask(moderate("Update public.flags, first"))
	a := h.ask(moderate("Update public.flags, second"))
	b := openBrowser(t)
	b.signIn(h, sam)
	b.until(armed)
	// j and a in one breath: the key must not reach the card that just came up.
	b.key("jaa")
	took := eval[float64](b, fmt.Sprintf(`new Promise(done => {
		const shown = () => document.querySelector(".card-page").dataset.id === %q, t0 = performance.now();
		let since = 0;
		const look = () => {
			if (shown() && !since) since = performance.now();
			const button = document.querySelector("#approve");
			if (since && button && !button.disabled) return done(performance.now() - since);
			if (performance.now() - t0 > 8000) return done(-1);
			requestAnimationFrame(look);
		};
		look();
	})`, a.ID))
	if took < 500 {
		t.Errorf("armed after %.0f ms", took)
	}
	if n := len(h.get(a.ID).Reviews); n != 0 {
		t.Fatalf("%d reviews came through", n)
	}
	// A change of the card disarms again.
	b.do(chromedp.Evaluate[chromedp.Void](`window.__disarmed = false; new MutationObserver(() => { if (document.querySelector("#approve")?.disabled) window.__disarmed = true }).observe(document.querySelector("#main"), {subtree: true, attributes: true, childList: true}); void 0`))
	if err := h.engine.Gone(t.Context(), a.ID, true); err != nil {
		t.Fatal(err)
	}
	b.until(`document.querySelector(".effects").textContent.includes("asker has gone")`)
	crit := h.ask(nil)
	b.goTo(h.url + "/approvals/" + crit.ID)
	b.until(armed)
	b.do(chromedp.Evaluate[chromedp.Void](`window.__disarmed = false; new MutationObserver(() => { if (document.querySelector("#approve")?.disabled) window.__disarmed = true }).observe(document.querySelector("#main"), {subtree: true, attributes: true, childList: true}); void 0`))
	h.answer(crit, mira, approval.Approve, "")
	b.until(`window.__disarmed`)
	b.until(armed)
	b.clean()
}

func TestStalePageIsRefused(t *testing.T) {
	h := newHouse(t)
	a := h.ask(moderate("Update public.flags"))
	b := openBrowser(t)
	b.signIn(h, sam)
	b.until(armed)
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#decide [name=version]").value = "999"; void 0`))
	b.key("a")
	b.until(`document.querySelector("#toast.up.bad")?.textContent.includes("changed")`)
	if s := h.get(a.ID); s.State != approval.Pending || len(s.Reviews) != 0 {
		t.Fatalf("it is %s", s.State)
	}
}

func TestListIsLiveAndKeepsTheRowUnderTheKey(t *testing.T) {
	h := newHouse(t)
	var all []*approval.Approval
	for i := range 18 {
		all = append(all, h.ask(func(q *approval.Question) {
			moderate(fmt.Sprintf("Update public.flags, number %d", i))(q)
			q.Asker.Chain = actors[i%2+1 : i%2+2]
			q.Action.Actors[0].ID = q.Asker.Chain[0].ID
		}))
	}
	b := openBrowser(t)
	b.signIn(h, sam)
	at := all[12].ID
	b.do(chromedp.Click(chromedp.CSS("#r-" + at + " a")))
	b.until(fmt.Sprintf(`document.querySelector(".card-page").dataset.id === %q`, at))
	top := `document.querySelector(".row.sel").getBoundingClientRect().top`
	before := eval[float64](b, top)
	b.do(chromedp.Focus(chromedp.CSS("#reason")))
	b.key("half a rea")
	crit := h.ask(nil) // comes in above all others
	b.until(fmt.Sprintf(`document.querySelector("#r-%s")`, crit.ID))
	h.answer(all[3], ivo, approval.Deny, "no")
	b.until(fmt.Sprintf(`!document.querySelector("#r-%s")`, all[3].ID))
	b.key("son")
	if after := eval[float64](b, top); after-before > 1 || before-after > 1 {
		t.Errorf("the row moved from %.1f to %.1f", before, after)
	}
	if got := eval[string](b, `document.querySelector(".row.sel").dataset.id + " " + document.querySelector("#reason").value`); got != at+" half a reason" {
		t.Errorf("the selection or the half-typed reason went away: %s", got)
	}
	b.key(kb.Escape)
	b.key("/")
	b.until(`document.activeElement.id === "filter"`)
	b.key("customers nightly")
	b.until(`[...document.querySelectorAll(".row")].filter(r => r.offsetParent).length === 1`)
	b.key(kb.Enter)
	b.until(fmt.Sprintf(`document.querySelector(".card-page").dataset.id === %q`, crit.ID))
	b.clean()
}

func TestMarkedAreDeniedTogetherWithOneReason(t *testing.T) {
	h := newHouse(t)
	a, c, keep := h.ask(moderate("Update public.flags, a")), h.ask(moderate("Update public.flags, c")), h.ask(moderate("Update public.flags, keep"))
	b := openBrowser(t)
	b.signIn(h, sam)
	b.key("x")
	b.key("j")
	b.key("x")
	b.until(`document.querySelector("#marks").textContent === "2"`)
	b.key("d")
	b.until(`document.activeElement.name === "reason"`)
	b.key(kb.Enter)
	b.until(`document.querySelector("#toast.up.bad")`)
	b.key("outside the window" + kb.Enter)
	h.state(a.ID, approval.Denied)
	h.state(c.ID, approval.Denied)
	if got := h.get(c.ID).Reviews[0].Reason; got != "outside the window" {
		t.Errorf("the reason is %q", got)
	}
	if s := h.get(keep.ID).State; s != approval.Pending {
		t.Errorf("the unmarked one is %s", s)
	}
	b.clean()
}

// TestAnotherSiteCanNeitherFrameNorPost attacks from another port of the same
// host, which is same-site: SameSite=Strict lets the cookie through.
func TestAnotherSiteCanNeitherFrameNorPost(t *testing.T) {
	h := newHouse(t)
	a := h.ask(moderate("Update public.flags"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	evil := &httptest.Server{Listener: l, Config: &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/frame" {
			fmt.Fprintf(w, `<iframe src="%s/approvals"></iframe>`, h.url)
			return
		}
		fmt.Fprintf(w, `<form method="post" action="%s/approvals/%s/review"><input name="decision" value="approve"><input name="digest" value="%s"><input name="version" value="%d"><button>go</button></form>`, h.url, a.ID, a.Digest, a.Version)
	})}}
	evil.Start()
	t.Cleanup(func() { evil.CloseClientConnections(); evil.Close() })
	b := openBrowser(t)
	b.signIn(h, sam)
	b.goTo(evil.URL + "/post")
	b.do(chromedp.Click(chromedp.CSS("button")))
	b.until(`document.body.textContent.includes("another site")`)
	if s := h.get(a.ID); s.State != approval.Pending || len(s.Reviews) != 0 {
		t.Fatalf("the forged post decided: %s", s.State)
	}
	b.goTo(evil.URL + "/frame")
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		b.mu.Lock()
		said := strings.Join(b.problems, "\n")
		b.mu.Unlock()
		if strings.Contains(said, "frame-ancestors") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the frame was not refused: %s", said)
		}
	}
}

// hostile are payloads that an agent could put into any of its words.
var hostile = []string{
	`<script>window.__pwned=1</script>`,
	`<img src=x onerror=window.__pwned=1>`,
	`"><svg onload=window.__pwned=1>`,
	`' autofocus onfocus='window.__pwned=1`,
	`javascript:window.__pwned=1`,
	`</pre></textarea></title></style><script>window.__pwned=1</script>`,
	`{{.CSRF}} {{define "x"}}`,
	`<!--><script>window.__pwned=1</script>-->`,
	`<base href="https://evil.example/"><meta http-equiv="refresh" content="0;url=https://evil.example">`,
	`<form action="https://evil.example"><button>`,
	"\u202e\u2066 esrever \u2069\u200b\u200d\ufeff",
	"]]>&lt;script&gt;\x1b]8;;https://evil.example\x07 \u2028",
	strings.Repeat("Wide", 200),
}

func TestHostileWordsStayWords(t *testing.T) {
	h := newHouse(t)
	var ids []string
	for i, evil := range hostile {
		who := []string{"agent:release-bot", "agent:schema-pilot"}[i%2]
		a := h.ask(func(q *approval.Question) {
			moderate(evil)(q)
			q.Asker.Chain = actors[i%2+1 : i%2+2]
			q.Action.Actors[0].ID = who
			q.Action.Target, q.Action.Verb, q.Action.Data.Destination = evil, evil, evil
			q.Action.Resource.URN = evil
			q.Action.Claims.Reason, q.Action.Claims.Ticket, q.Action.Claims.Session, q.Action.Claims.Intent = evil, evil, evil, evil
			q.Action.Data.Classes = []string{evil}
			q.Statement = evil + "\n-- " + evil
			q.Masked = []approval.Span{{Start: 1, End: 4, Class: evil}}
			q.Gate = evil
			q.Decision.Reason = evil
			q.Decision.Rules = []policy.Hit{{Rule: evil, Pack: evil, Then: "review", Atoms: []policy.Atom{{Expr: evil, Value: evil}}}}
		})
		ids = append(ids, a.ID)
		h.records(&audit.Record{Type: audit.TypeRequest, Actor: evil, Resource: evil, Title: evil, Kinds: []string{"data.read"}, Decision: "allow", Session: evil})
	}
	b := openBrowser(t)
	b.signIn(h, sam)
	pages := []string{"/approvals", "/activity", "/audit", "/audit?actor=" + `%22%3E%3Cscript%3Ewindow.__pwned=1%3C/script%3E`, "/audit/1"}
	for _, id := range ids {
		pages = append(pages, "/approvals/"+id)
	}
	for _, p := range pages {
		b.goTo(h.url + p)
		b.until(`document.querySelector("#pip.on")`)
		for name, bad := range map[string]string{
			"a script ran":       `!!window.__pwned`,
			"foreign element":    `!!document.querySelector("main script, main img, main base, main iframe, main [onload], main [onerror], main [onfocus], main meta, a[href^=javascript]")`,
			"foreign form":       `[...document.querySelectorAll("form[action]")].some(f => new URL(f.action).origin !== location.origin)`,
			"invisible letters":  `/[\u202e\u2066\u200b\ufeff\u2028\u001b]/.test(document.body.textContent)`,
			"attribute injected": `!!document.querySelector("[autofocus]")`,
			"too wide":           `document.documentElement.scrollWidth > innerWidth`,
		} {
			if eval[bool](b, bad) {
				t.Errorf("%s: %s", p, name)
			}
		}
	}
	b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	for _, id := range ids {
		b.goTo(h.url + "/approvals/" + id)
		if w := eval[int](b, "document.documentElement.scrollWidth"); w > 390 {
			t.Errorf("%s is %d px wide on a phone: %s", id, w, eval[string](b, widest))
		}
	}
	b.shot("hostile-phone")
	b.clean()
}

func TestThePolicyStopsInjectedScript(t *testing.T) {
	h := newHouse(t)
	b := openBrowser(t)
	b.signIn(h, sam)
	for name, js := range map[string]string{
		"markup":      `document.body.innerHTML = "<b>x</b>"`,
		"script text": `document.head.appendChild(Object.assign(document.createElement("script"), {textContent: "window.__pwned = 1"}))`,
		"eval":        `setTimeout("window.__pwned = 1")`,
		"a policy":    `trustedTypes.createPolicy("default", {createHTML: s => s})`,
	} {
		if !eval[bool](b, `(() => { try { `+js+`; return false } catch (e) { return e instanceof TypeError || e instanceof EvalError } })()`) {
			t.Errorf("%s was let through", name)
		}
	}
	if eval[bool](b, `!!window.__pwned`) {
		t.Error("injected script ran")
	}
}

func TestSignInByLinkAndThemeStays(t *testing.T) {
	h := newHouse(t)
	a := h.ask(moderate("Update public.flags"))
	b := openBrowser(t)
	b.scheme("dark")
	b.goTo(h.url + "/approvals/" + a.ID) // not signed in: asked to, and brought back
	b.until(`location.pathname === "/signin"`)
	link := h.console.SignInLink(sam)
	b.goTo(link)
	b.goTo(link) // seeing it twice uses nothing up
	b.shot("signin")
	b.do(chromedp.Click(chromedp.CSS("button.primary")))
	b.until(`location.pathname.startsWith("/approvals") && document.querySelector("#pip.on")`)
	if eval[string](b, `document.cookie`) != "" {
		t.Error("a script can read the session cookie")
	}
	b.do(chromedp.Click(chromedp.CSS("#theme")))
	b.goTo(h.url + "/activity")
	if got := eval[string](b, `document.documentElement.dataset.theme + getComputedStyle(document.body).backgroundColor`); got != "lightrgb(242, 243, 247)" {
		t.Errorf("the theme is %s", got)
	}
	b.goTo(h.url + "/settings")
	b.do(chromedp.Click(chromedp.CSS("form[action='/signout'] button")))
	b.until(`location.pathname === "/signin"`)
	b.clean()
}
