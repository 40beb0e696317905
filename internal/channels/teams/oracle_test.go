package teams_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const library = "oracle/node_modules/adaptivecards/dist/adaptivecards.min.js"

// drawn is what a client that uses Microsoft's own library makes of a card.
type drawn struct {
	Text     string   // as a reader sees it
	Tags     []string // of elements that markup in a text would have made
	Problems []string // that the library found
	Buttons  []string
}

// draw shows a card in Chromium, as adaptivecards 3.0.6 does.
func draw(t *testing.T, content any) drawn {
	t.Helper()
	if _, err := os.Stat(library); err != nil {
		t.Fatalf("adaptivecards is not here (%v): scripts/install brings it", err)
	}
	chrome := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			chrome = p
			break
		}
	}
	if chrome == "" {
		t.Fatal("this test needs Chromium: scripts/install brings it")
	}
	b, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /lib.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, library) })
	mux.HandleFunc("GET /card", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<!doctype html><meta charset="utf-8"><div id="card"></div><script src="/lib.js"></script><script>
(async () => {
  const c = new AdaptiveCards.AdaptiveCard(); c.version = new AdaptiveCards.Version(1, 5);
  const ctx = new AdaptiveCards.SerializationContext();
  AdaptiveCards.AdaptiveCard.onProcessMarkdown = (text, result) => { result.outputHtml = text.replace(/\*\*(.+?)\*\*/g, '<b>$1</b>').replace(/\[(.+?)\]\((.+?)\)/g, '<a href="$2">$1</a>'); result.didProcess = true; };
  c.parse(await (await fetch('/card')).json(), ctx);
  const el = c.render(); document.getElementById('card').appendChild(el);
  const out = { Text: el.innerText, Problems: [], Tags: [...el.querySelectorAll('a,b,strong,em,i,img,script,li,h1,h2')].map(e => e.tagName), Buttons: [...el.querySelectorAll('button')].map(e => e.innerText) };
  for (let i = 0; i < ctx.eventCount; i++) out.Problems.push(ctx.getEventAt(i).message);
  window.out = JSON.stringify(out);
})();
</script>`)
	})
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chrome), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-background-networking", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); cancel() })
	ctx, late := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(late)
	raw := ""
	if err := chromedp.Do(ctx, chromedp.Navigate(site.URL)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); raw == ""; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the card was not drawn")
		}
		var err error
		if raw, err = chromedp.Run(ctx, chromedp.Evaluate[string](`window.out || ""`)); err != nil {
			t.Fatal(err)
		}
	}
	var d drawn
	if err := json.Unmarshal([]byte(raw), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func content(post map[string]any) any {
	return post["attachments"].([]any)[0].(map[string]any)["content"]
}

// TestDrawn: Microsoft's own library finds no fault in a card, and what an agent wrote is text and nothing else.
func TestDrawn(t *testing.T) {
	if d := draw(t, map[string]any{"type": "AdaptiveCard", "version": "1.5", "body": []any{map[string]any{"type": "TextBlock", "text": "**x**"}, map[string]any{"type": "Sheep"}}}); len(d.Tags) != 1 || len(d.Problems) == 0 {
		t.Fatalf("the oracle is blind: %+v", d)
	}
	p := newPlace(t)
	sql := "select '**bold** [click](https://evil.example) <img src=x onerror=alert(1)> # head\n- item', '{{DATE(2026-01-01T00:00:00Z, SHORT)}}', '{{{DATE(2026-02-02T00:00:00Z, SHORT)}}', 'a\u202egnp.exe', 'zero\u200bwidth' -- `code`\n\tfrom customers"
	p.Ask(sql)
	p.shown("customers")
	d := draw(t, content(p.Posts(ops)[0]))
	if len(d.Problems) > 0 {
		t.Errorf("the library finds: %q", d.Problems)
	}
	if len(d.Tags) > 0 {
		t.Errorf("text became markup: %q", d.Tags)
	}
	text := strings.ReplaceAll(d.Text, "\u2060", "")
	for _, want := range []string{"**bold** [click](https://evil.example) <img src=x onerror=alert(1)> # head", "- item", "{{DATE(2026-01-01T00:00:00Z, SHORT)}}", "{{{DATE(2026-02-02T00:00:00Z, SHORT)}}", `a\u202egnp.exe`, `zero\u200bwidth`, "`code`", "from customers", "exporter for Sub"} {
		if !strings.Contains(text, want) {
			t.Errorf("the reader doesn't see %q in\n%s", want, text)
		}
	}
	if got := strings.Join(d.Buttons, ","); got != "Approve once,Deny,Ask,See in console" {
		t.Errorf("the buttons are %s", got)
	}
}
