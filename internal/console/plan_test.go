package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
)

// padded is a plan of harmless writes around one that isn't.
func (h *house) padded(n, at int, change func(i int, q *approval.Question)) *approval.Approval {
	h.t.Helper()
	var qs []*approval.Question
	for i := range n {
		q := question(moderate(fmt.Sprintf("Update public.flags, step %d", i+1)))
		if i == at {
			q.Title, q.Action.Kinds = "Drop public.orders", []action.Kind{action.InfraDestroy}
			q.Statement, q.Masked = "DROP TABLE public.orders -- [masked:email]", []approval.Span{{Start: 28, End: 42, Class: "email"}}
		}
		if change != nil {
			change(i, q)
		}
		qs = append(qs, q)
	}
	a, _, err := h.engine.AskPlan(h.t.Context(), qs)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func TestThePageOfAPlan(t *testing.T) {
	h := newHouse(t)
	a := h.padded(12, 7, nil)
	b := openBrowser(t)
	b.signIn(h, sam)
	b.goTo(h.url + "/approvals/" + a.ID)
	b.until(`document.querySelectorAll(".plan > li").length === 12`)
	first := eval[string](b, `document.querySelector(".plan > li").textContent`)
	if !strings.Contains(first, "Drop public.orders") || !strings.Contains(first, "infra.destroy") || !strings.Contains(first, "email••••") || !eval[bool](b, `document.querySelector(".plan > li").id === "item-8"`) {
		t.Errorf("the first item is %s", first)
	}
	if open := eval[int](b, `document.querySelectorAll(".plan details[open]").length`); open != 1 {
		t.Errorf("%d items are open, want the gravest alone", open)
	}
	if !eval[bool](b, `document.querySelectorAll(".row").length === 1`) {
		t.Error("items stand in the list")
	}
	axe := axeSource(t)
	for _, scheme := range []string{"dark", "light"} {
		b.scheme(scheme)
		b.accessible(axe, "a plan in "+scheme)
		b.shot("plan-" + scheme)
		b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile))
		if w := eval[int](b, "document.documentElement.scrollWidth"); w > 390 {
			t.Errorf("in %s it is %d px wide on a phone of 390: %s", scheme, w, eval[string](b, widest))
		}
		b.shot("plan-phone-" + scheme)
		b.do(chromedp.EmulateViewport(1440, 900))
	}
	b.goTo(h.url + "/approvals/" + a.Items[2].Approval)
	b.until(`location.pathname.endsWith("` + a.ID + `") && location.hash === "#item-3"`)
	b.until(armed)
	b.key("a")
	if card.RiskOf(a).Class == "crit" {
		b.until(`document.querySelector("#confirm").open`)
		b.until(`!document.querySelector("#confirm-yes").disabled`)
		b.key(kb.Enter)
	}
	h.state(a.ID, approval.Approved)
	b.until(`document.querySelectorAll(".plan .st.s-ok").length === 12`)
	b.clean()
}

func TestAPlanThatIsTooLongToRead(t *testing.T) {
	h := newHouse(t)
	a := h.padded(3, 0, func(_ int, q *approval.Question) {
		q.Statement, q.Masked = strings.Repeat("SELECT 1; ", maxShown/25), nil
	})
	c := newClient(h).signIn(sam)
	if _, page := c.send("GET", "/approvals/"+a.ID, nil); !strings.Contains(page, "more bytes are not shown") || strings.Contains(page, `value="approve"`) {
		t.Error("what isn't shown whole may be approved")
	}
	if code, body := c.answer(a, "approve", nil); code != http.StatusConflict {
		t.Errorf("approving it: %d %s", code, body)
	}
	if code, body := c.answer(a, "deny", nil); code != http.StatusOK {
		t.Errorf("denying it: %d %s", code, body)
	}
}
