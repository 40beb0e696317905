package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
)

func (h *house) standings() []approval.StandingEntry {
	h.t.Helper()
	list, err := h.engine.Standings(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

func scope(uses, minutes, values string) func(url.Values) {
	return func(f url.Values) {
		f.Set("standing_uses", uses)
		f.Set("standing_minutes", minutes)
		f.Set("standing_values", values)
		f.Set("confirmed", "yes")
	}
}

func TestAStandingGrantInTheConsole(t *testing.T) {
	h := newHouse(t)
	controls(t, h)
	sc, ic := newClient(h).signIn(sam), newClient(h).signIn(ivo)
	a := h.ask(moderate("Update public.flags"))
	at := "/approvals/" + a.ID

	// What it would cover is shown, and decides nothing.
	_, body := sc.send("GET", at+"/standing?standing_uses=5&standing_minutes=120&standing_values=same", nil)
	for _, want := range []string{"release-bot for Omar Reyes and nobody else", "byte for byte", "At most 5 times, within 2 h", "At most 1 row each time", "Only without sensitive data", "Not: The same statement with another value", "asked like this 0 times before"} {
		if !strings.Contains(body, want) {
			t.Errorf("the preview lacks %q", want)
		}
	}
	if _, body := sc.send("GET", at+"/standing?standing_uses=500&standing_minutes=120&standing_values=same", nil); !strings.Contains(body, "between 1 and 100 uses") {
		t.Error("the preview shows what is beyond the ceiling")
	}
	for name, with := range map[string]func(url.Values){
		"too often": scope("101", "60", "same"), "too long": scope("5", "481", "same"), "no time": scope("5", "", "same"), "no number": scope("many", "60", "same"),
		"never": scope("0", "60", "same"), "no such values": scope("5", "60", "most"),
	} {
		if code, body := sc.answer(h.get(a.ID), approval.Approve, with); code != http.StatusUnprocessableEntity || !strings.Contains(body, "othing was decided") {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if h.get(a.ID).State != approval.Pending {
		t.Fatal("something was decided")
	}
	// The asker's own side, and who may not review, get none by it.
	oc := newClient(h).signIn(omar)
	if code, _ := oc.answer(h.get(a.ID), approval.Approve, scope("5", "60", "same")); code != http.StatusForbidden {
		t.Errorf("the asker's owner: %d", code)
	}
	if _, body := oc.send("GET", at, nil); strings.Contains(body, "standing_uses") {
		t.Error("who may not review is offered a standing grant")
	}
	if code, body := sc.answer(h.get(a.ID), approval.Approve, scope("5", "120", "same")); code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	list := h.standings()
	if len(list) != 1 || list[0].Uses != 5 || list[0].Until.Sub(list[0].Since) != 2*time.Hour || list[0].Values != approval.SameValues {
		t.Fatalf("%+v", list)
	}
	if _, body := ic.send("GET", "/control", nil); !strings.Contains(body, "0 of 5") {
		t.Error("it isn't listed with the uses left")
	}
	if code, _ := ic.send("POST", "/control/grants/"+list[0].ID+"/revoke", url.Values{"csrf": {ic.csrf}}); code != http.StatusSeeOther || h.standings()[0].Revoked.IsZero() {
		t.Errorf("it can't be revoked: %d", code)
	}
}

// What each is for people to decide is never offered, and refused where it is asked for all the same.
func TestNoStandingGrantOfWhatWeighsMost(t *testing.T) {
	h := newHouse(t)
	controls(t, h)
	sc := newClient(h).signIn(sam)
	for _, kind := range []action.Kind{action.PrivilegeChange, action.DataDelete, action.SecretAccess, action.Payment, action.Unknown} {
		a := h.ask(func(q *approval.Question) {
			moderate("Something grave: " + string(kind))(q)
			q.Action.Kinds = []action.Kind{kind}
		})
		if _, body := sc.send("GET", "/approvals/"+a.ID, nil); strings.Contains(body, "standing_uses") || !strings.Contains(body, `name="within"`) {
			t.Errorf("%s: a standing grant is offered, or it can't be reviewed", kind)
		}
		if _, body := sc.send("GET", "/approvals/"+a.ID+"/standing?standing_uses=1&standing_minutes=60&standing_values=same", nil); !strings.Contains(body, "is decided by itself") {
			t.Errorf("%s: the preview doesn't refuse", kind)
		}
		if code, _ := sc.answer(h.get(a.ID), approval.Approve, scope("1", "60", "same")); code != http.StatusUnprocessableEntity || h.get(a.ID).State != approval.Pending {
			t.Errorf("%s: %d", kind, code)
		}
	}
	// One of two who asks for one gets none.
	a := h.ask(nil)
	if code, body := sc.answer(h.get(a.ID), approval.Approve, scope("5", "60", "same")); code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	if code, body := newClient(h).signIn(mira).answer(h.get(a.ID), approval.Approve, func(f url.Values) { f.Set("confirmed", "yes") }); code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	if h.get(a.ID).State != approval.Approved || len(h.standings()) != 0 {
		t.Errorf("%s with %d standing grants", h.get(a.ID).State, len(h.standings()))
	}
}

func TestAStandingGrantInTheBrowser(t *testing.T) {
	h := newHouse(t)
	controls(t, h)
	a := h.ask(moderate("Update public.flags"))
	b := openBrowser(t)
	b.signIn(h, sam)
	b.goTo(h.url + "/approvals/" + a.ID)
	b.until(`!document.querySelector("#approve").disabled && document.querySelector("#pip.on")`)
	b.do(chromedp.Click(`#standing summary`))
	b.do(chromedp.SendKeys(`#standing [name=standing_uses]`, "500"), chromedp.SendKeys(`#standing [name=standing_minutes]`, "60"))
	b.until(`document.querySelector("#standing .foreseen [role=alert]")?.textContent.includes("between 1 and 100 uses")`)
	eval[bool](b, `(f => { f.value = ""; return true })(document.querySelector("#standing [name=standing_uses]"))`)
	b.do(chromedp.SendKeys(`#standing [name=standing_uses]`, "3"))
	b.until(`document.querySelector("#standing .foreseen")?.textContent.includes("At most 3 times, within 1 h")`)
	axe := axeSource(t)
	b.until(`document.querySelector("#approve .label").textContent.includes("and again")`)
	b.accessible(axe, "a standing grant in the card")
	b.shot("standing")
	h.ask(moderate("Another one")) // the page is drawn anew, and what was typed and foreseen stays
	b.until(`document.querySelectorAll(".row").length === 2`)
	b.until(`document.querySelector("#standing .foreseen")?.textContent.includes("At most 3 times") && document.querySelector("#standing [name=standing_uses]").value === "3"`)
	b.until(`!document.querySelector("#approve").disabled`)
	b.do(chromedp.Click(`#approve`))
	b.until(`document.querySelector(".st.s-ok, .banner.s-ok")`)
	if list := h.standings(); len(list) != 1 || list[0].Uses != 3 || list[0].For != time.Hour {
		t.Errorf("%+v", list)
	}
	for _, scheme := range []string{"dark", "light"} {
		b.scheme(scheme)
		b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile))
		b.goTo(h.url + "/approvals/" + a.ID + "/standing?standing_uses=3&standing_minutes=60&standing_values=any")
		b.until(`document.querySelector(".covers")`)
		if w := eval[int](b, "document.documentElement.scrollWidth"); w > 390 {
			t.Errorf("it is %d px wide on a phone of 390: %s", w, eval[string](b, widest))
		}
		b.accessible(axe, "the preview in "+scheme)
		b.shot("standing-preview-" + scheme)
	}
	b.clean()
}
