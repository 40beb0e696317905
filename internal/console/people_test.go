package console

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

func TestAStandInIsChosenFromTheDirectory(t *testing.T) {
	h, _, dir, _ := ruledHouse(t)
	mc := newClient(h).signIn(mira)
	b := openBrowser(t)
	b.signIn(h, sam)
	axe := axeSource(t)
	b.goTo(h.url + "/settings/people")
	if got := eval[string](b, `[...document.querySelectorAll("#to option")].map(o => o.value).filter(Boolean).join(" ")`); got != "person:dana person:ivo person:mira person:omar" {
		t.Errorf("one may choose among %s", got)
	}
	b.do(chromedp.SetValue(`#to`, "person:mira"), chromedp.Click(`#standins form.newkey button.primary`))
	b.until(`document.querySelector("#standins tbody").textContent.includes("person:mira")`)
	if list := dir.StandIns(); len(list) != 1 || list[0].To != mira.ID || list[0].From != sam.ID {
		t.Errorf("%+v", list)
	}
	b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile))
	b.goTo(h.url + "/settings/people")
	b.until(`document.querySelector("h1")`)
	if w := eval[int](b, "document.documentElement.scrollWidth"); w > 390 {
		t.Errorf("it is %d px wide on a phone of 390: %s", w, eval[string](b, widest))
	}
	b.accessible(axe, "accounts and stand-ins")

	// An administrator sees whose each session is, by name.
	b.goTo(h.url + "/settings")
	b.until(`document.querySelector("#sessions tbody").textContent.includes("Mira Kovač")`)
	b.accessible(axe, "everybody's sessions")
	if _, body := mc.send("GET", "/settings", nil); strings.Contains(body, "Sam Okafor") {
		t.Error("who doesn't administer sees another's session")
	}
	b.clean()
}
