package console

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
)

// furnished is a house in which something happened.
func furnished(t *testing.T) (*house, *approval.Approval) {
	h := newHouse(t)
	outcomes := []string{"allow", "allow", "allow", "allow", "allow", "review", "allow", "deny", "allow"}
	targets := []string{"public.orders", "public.customers", "public.invoices", "public.flags"}
	for i := range 160 {
		h.back = time.Duration(160-i) * 19 * time.Second // the log's clock never runs back, so the past is written in order
		r := &audit.Record{
			Type: audit.TypeRequest, Actor: actors[i*7%3].ID, Subject: dana.ID, Gate: "orders-db", Env: "prod", Session: "9c41", Shape: fmt.Sprint(i),
			Resource: []string{"postgres:shop/prod", "postgres:shop/prod", "postgres:flags/staging"}[i%3],
			Kinds:    []string{"data.read"}, Verb: "select", Target: targets[i%4], Title: "Read " + targets[i%4], Decision: outcomes[i*5%9],
			Rules: []string{"default/" + map[string]string{"allow": "reads-flow", "review": "hold-changes", "deny": "hold-privileges"}[outcomes[i*5%9]]},
		}
		head, err := h.store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.records(r)
		if r.Decision == "allow" {
			rows := int64(i*13%90 + 1)
			done := &audit.Record{Type: audit.TypeOutcome, Actor: r.Actor, Session: r.Session, Shape: r.Shape, Title: r.Title, Kinds: r.Kinds, Outcome: "executed", Rows: &rows, Previous: head.Size}
			if i%4 == 1 {
				done.Masked = map[string]int64{"email": rows, "card": rows}
			}
			h.records(done)
		}
	}
	h.back = 0
	a := h.ask(nil)
	h.answer(a, mira, approval.Approve, "Checked with the partner desk.")
	h.ask(high)
	for _, title := range []string{"Update public.flags, one row", "Update public.flags.checkout_v3 to 100"} {
		h.ask(moderate(title))
	}
	done := h.ask(moderate("Insert into public.flags"))
	h.answer(done, ivo, approval.Deny, "Not in the change window.")
	return h, h.get(a.ID)
}

func TestRoomsInDarkLightAndOnAPhone(t *testing.T) {
	h, a := furnished(t)
	_, changes := controls(t, h)
	_, tool := tooled(t, h, changes)
	qualified(h)
	told(h)
	staffed(t, h)
	ruled(t, h)
	setUp(h)
	b := openBrowser(t)
	b.signIn(h, sam)
	rooms := map[string]string{
		"approvals": "/approvals/" + a.ID, "activity": "/activity", "audit": "/audit", "record": "/audit/3", "settings": "/settings",
		"decided": "/approvals?tab=decided", "agents": "/agents", "agent": "/agents/agent:nightly-exporter", "session": "/sessions/9c41", "task": "/sessions/task?actor=agent:release-bot",
		"policies": "/policies", "grants": "/grants", "control": "/control", "reviewing": "/settings/reviewing", "setup": "/setup", "tools": "/tools", "tool": "/tools/" + tool.ID(),
	}
	axe := axeSource(t)
	for _, scheme := range []string{"dark", "light"} {
		b.scheme(scheme)
		for name, path := range rooms {
			b.do(chromedp.EmulateViewport(1440, 900, chromedp.EmulateScale(1.5)))
			b.goTo(h.url + path)
			b.until(`document.fonts.status === "loaded" && document.querySelector("h1")`)
			if path == rooms["approvals"] {
				b.until(`!document.querySelector("#approve").disabled`)
			}
			b.shot(name + "-" + scheme)
			b.accessible(axe, name+" in "+scheme)
			b.do(chromedp.EmulateViewport(1100, 760))
			if w := eval[int](b, "document.documentElement.scrollWidth"); w > 1100 {
				t.Errorf("%s in %s is %d px wide in a window of 1100", name, scheme, w)
			}
			b.shot(name + "-narrow-" + scheme)
			b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile))
			if w := eval[int](b, "document.documentElement.scrollWidth"); w > 390 {
				t.Errorf("%s in %s is %d px wide on a phone of 390: %s", name, scheme, w, eval[string](b, widest))
			}
			b.shot(name + "-phone-" + scheme)
		}
	}
	b.goTo(h.url + "/approvals")
	if w := eval[int](b, "document.documentElement.scrollWidth"); w > 390 {
		t.Errorf("the list is %d px wide on a phone of 390: %s", w, eval[string](b, widest))
	}
	b.shot("list-phone-light")
	b.clean()
}

const widest = `[...document.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > 391).slice(0, 5).map(e => e.outerHTML.slice(0, 120)).join("\n")`

// axeSource is axe-core 4.14.1 (MPL-2.0, Deque Systems), as npm has it.
func axeSource(t *testing.T) string {
	t.Helper()
	f, err := os.Open("testdata/axe.min.js.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	src, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

// accessible runs axe-core's WCAG 2 A and AA rules, contrast among them.
func (b *browser) accessible(axe, where string) {
	b.t.Helper()
	eval[bool](b, axe+";true")
	start := time.Now()
	found := eval[[]string](b, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then(r =>
		r.violations.flatMap(v => v.nodes.slice(0, 3).map(n => v.id + ": " + n.html.slice(0, 160) + " | " + (n.any[0]?.message ?? ""))))`)
	for _, v := range found {
		b.t.Errorf("axe-core on %s: %s", where, v)
	}
	b.t.Logf("axe-core on %s took %s", where, time.Since(start).Round(time.Millisecond))
}

// qualified gives a house the page of how people review.
func qualified(h *house) {
	was := h.change
	h.change = func(o *Options) {
		was(o)
		o.Quality = func(context.Context) ([]approval.Reviewer, error) {
			return []approval.Reviewer{
				{Person: sam.ID, Reviews: 41, Approved: 33, Median: 48 * time.Second, P90: 4 * time.Minute, Canaries: 2, Hours: [24]int{8: 6, 9: 12, 14: 9, 16: 14}},
				{Person: mira.ID, Reviews: 92, Approved: 92, Fast: 61, Median: 2 * time.Second, P90: 9 * time.Second, Canaries: 3, Missed: 2, Hours: [24]int{9: 80, 17: 12}},
			}, nil
		}
	}
}
