package console

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/internal/audit"
)

// busy gives a house a real traffic lane.
func busy(t *testing.T, h *house) *audit.Spool {
	t.Helper()
	spool, err := audit.OpenSpool(audit.SpoolOptions{Dir: t.TempDir(), Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spool.Close() })
	was := h.change
	h.change = func(o *Options) {
		if was != nil {
			was(o)
		}
		o.Traffic = &Traffic{Spool: spool}
	}
	h.serve()
	return spool
}

const (
	frames = `(() => { window.slow = []; window.gaps = []; let last = performance.now();
		new PerformanceObserver(l => { for (const e of l.getEntries()) window.slow.push(Math.round(e.duration)); }).observe({ entryTypes: ["longtask"] });
		const tick = now => { window.gaps.push(now - last); last = now; requestAnimationFrame(tick); };
		requestAnimationFrame(tick); return true; })()`
	worst = `(() => { const g = [...window.gaps].sort((a, b) => a - b), s = [...window.slow].sort((a, b) => a - b);
		return g.length + " frames, p50 " + Math.round(g[g.length >> 1]) + " ms, p99 " + Math.round(g[Math.floor(g.length * .99)]) + " ms; " + s.length + " tasks over 50 ms, longest " + (s.at(-1) ?? 0) + " ms"; })()`
)

// TestLiveStreamStaysBounded runs 500 actions a second past an open page. What it
// prints of frames depends on the machine; what it holds the page to does not.
func TestLiveStreamStaysBounded(t *testing.T) {
	h := newHouse(t)
	spool := busy(t, h)
	b := openBrowser(t)
	b.signIn(h, sam)
	b.goTo(h.url + "/activity")
	b.until(`document.querySelector("#stream")`)
	eval[bool](b, frames)
	const perSecond, seconds = 500, 8
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	began, sent := time.Now(), 0
	for sent < perSecond*seconds {
		<-tick.C
		for due := int(time.Since(began).Seconds() * perSecond); sent < min(due, perSecond*seconds); sent++ {
			r := &audit.Record{
				Type: audit.TypeRequest, Actor: fmt.Sprintf("agent:a%d", sent%7), Gate: "orders-db", Resource: fmt.Sprintf("postgres:shop/%d", sent%5), Session: "s",
				Kinds: []string{"data.read"}, Title: fmt.Sprintf("Read %d <img src=x onerror=window.__pwned=1>", sent), Decision: "allow",
			}
			if _, err := spool.Append(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.until(fmt.Sprintf(`document.querySelector("#stream").innerText.includes("Read %d ")`, sent-1))
	t.Logf("%d actions in %s: %s", sent, time.Since(began).Round(time.Millisecond), eval[string](b, worst))
	if n := eval[int](b, `document.querySelectorAll("#stream > li").length`); n > 120 {
		t.Errorf("the stream holds %d lines", n)
	}
	if n := eval[int](b, `document.getElementsByTagName("*").length`); n > 2500 {
		t.Errorf("the page holds %d elements", n)
	}
	if !eval[bool](b, `/went by/.test(document.querySelector("#stream").innerText)`) {
		t.Error("the stream doesn't say that it left some out")
	}
	if eval[bool](b, `!!window.__pwned || !!document.querySelector("#stream img")`) {
		t.Error("an agent's words became markup")
	}
	if text := eval[string](b, `document.querySelector(".cards").innerText`); !strings.Contains(text, "4,000") {
		b.until(`document.querySelector(".cards").innerText.includes("4,000")`) // the next refresh counts all of them
	}
	b.do(chromedp.Click(chromedp.CSS("#hold")))
	const first = `document.querySelector("#stream > li").dataset.key ?? "skip"`
	before := eval[string](b, first)
	for range 50 {
		if _, err := spool.Append(&audit.Record{Type: audit.TypeRequest, Actor: "agent:late", Title: "late", Decision: "deny"}); err != nil {
			t.Fatal(err)
		}
	}
	b.until(`document.querySelector("#rate").innerText.includes("records/s")`)
	if eval[string](b, first) != before {
		t.Error("a paused stream moves")
	}
	b.do(chromedp.Click(chromedp.CSS("#hold")))
	b.until(`document.querySelector("#stream").innerText.includes("late")`)
	b.clean()
}

func TestLiveStreamIsFiltered(t *testing.T) {
	h := newHouse(t)
	spool := busy(t, h)
	b := openBrowser(t)
	b.signIn(h, sam)
	b.goTo(h.url + "/activity?actor=one&result=bad")
	b.until(`document.querySelector("#stream .empty")`)
	for _, r := range []*audit.Record{
		{Type: audit.TypeRequest, Actor: "agent:two", Title: "of another", Decision: "deny"},
		{Type: audit.TypeRequest, Actor: "agent:one", Title: "allowed one", Decision: "allow"},
		{Type: audit.TypeRequest, Actor: "agent:one", Title: "denied one", Decision: "deny"},
	} {
		if _, err := spool.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	b.until(`document.querySelector("#stream").innerText.includes("denied one")`)
	if text := eval[string](b, `document.querySelector("#stream").innerText`); strings.Contains(text, "allowed one") || strings.Contains(text, "of another") {
		t.Errorf("the filter lets through: %s", text)
	}
	b.goTo(h.url + "/activity?text=allowed")
	b.until(`document.querySelectorAll("#stream > li").length === 1 && document.querySelector("#stream").innerText.includes("allowed one")`)
	b.clean()
}

// TestNothingIsLostBetweenPageAndStream takes the stream up where a page ends, and where a stream broke off.
func TestNothingIsLostBetweenPageAndStream(t *testing.T) {
	h := newHouse(t)
	spool := busy(t, h)
	c := newClient(h).signIn(sam)
	_, page := c.send("GET", "/activity", nil)
	_, rest, _ := strings.Cut(page, `data-from="`)
	from, _, _ := strings.Cut(rest, `"`)
	next := func(title, path string, headers ...string) (id string) {
		t.Helper()
		if _, err := spool.Append(&audit.Record{Type: audit.TypeRequest, Actor: "agent:a", Title: title, Decision: "allow"}); err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), "GET", h.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		res, err := c.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			if v, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				id = v
			}
			if v, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if !strings.Contains(v, title) || title == "third" && strings.Contains(v, "second") {
					t.Errorf("after %s comes %s", title, v)
				}
				return id
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
	id := next("first", "/activity/stream?from="+from)
	id = next("second", "/activity/stream?from="+from, "Last-Event-ID", id)
	next("third", "/activity/stream?from="+from, "Last-Event-ID", id)
	for _, bad := range []string{"x", "-1--1", "9999999999999-9999999999999", "1"} {
		h.console.Close() // a place that is none ends nothing but its own stream
		if code, _ := c.send("GET", "/activity/stream?from="+url.QueryEscape(bad), nil); code != http.StatusOK {
			t.Errorf("from %q: %d", bad, code)
		}
	}
}
