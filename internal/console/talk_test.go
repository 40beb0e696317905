package console

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/internal/approval"
)

// TestAskAndApproveWithLess: a reviewer asks, the question is masked and decides
// nothing; then approves with a mask and a shorter time, which the card says.
func TestAskAndApproveWithLess(t *testing.T) {
	h := newHouse(t)
	a := h.ask(moderate("Update public.flags"))
	b := openBrowser(t)
	b.signIn(h, sam)
	b.until(armed)
	b.do(chromedp.SendKeys(chromedp.CSS(`.talk input[name=text]`), "is this for bob@corp.example?\n"))
	b.until(`[...document.querySelectorAll(".given .claim")].some(e => e.textContent.includes("is this for ‹email›?"))`)
	if got := h.get(a.ID); got.State != approval.Pending || len(got.Open()) != 1 || strings.Contains(got.Remarks[0].Text, "bob@") {
		t.Fatalf("%s, %+v", got.State, got.Remarks)
	}
	b.shot("question")
	b.until(armed)
	b.do(chromedp.Click(chromedp.CSS(`.only summary`)))
	b.do(chromedp.SendKeys(chromedp.CSS(`[name=mask]`), "email=redact"), chromedp.SendKeys(chromedp.CSS(`[name=within]`), "5"))
	b.until(armed)
	b.do(chromedp.Click(chromedp.CSS("#approve")))
	b.until(`document.querySelector(".people").textContent.includes("only with email masked (redact), usable for 5m0s")`)
	b.shot("obligation")
	got := h.get(a.ID)
	if len(got.Reviews) != 1 || got.Reviews[0].Obligation.Masks["email"] != "redact" || got.Window.Minutes() != 5 {
		t.Errorf("%+v", got.Reviews)
	}
	b.clean()
}
