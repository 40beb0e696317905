package console

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/serviceworker"
	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/internal/channels/webpush"
)

// pushed is a house whose browsers are told, and how many messages its push service took.
func pushed(t *testing.T) (h *house, at string, took *atomic.Int32) {
	t.Helper()
	took = &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		took.Add(1)
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(s.Close)
	h = newHouse(t)
	c, err := webpush.New(webpush.Options{
		Name: "browsers", Contact: "mailto:ops@example.com", Services: []string{s.URL}, Secret: []byte(strings.Repeat("k", 32)), PublicURL: h.url, Box: h.box,
		Client: s.Client(),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.change = func(o *Options) { o.Push = c }
	h.serve()
	return h, s.URL, took
}

func TestABrowserIsTold(t *testing.T) {
	h, at, took := pushed(t)
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := func(c *client) url.Values {
		return url.Values{"endpoint": {at + "/one"}, "key": {base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes())}, "auth": {"AAAAAAAAAAAAAAAAAAAAAA"}, "csrf": {c.csrf}}
	}
	m := newClient(h).signIn(mira)
	if code, body := m.send("POST", "/settings/push", form(m)); code != http.StatusOK || took.Load() != 1 {
		t.Fatalf("subscribing: %d %s, %d messages", code, body, took.Load())
	}
	_, page := m.send("GET", "/settings", nil)
	_, rest, there := strings.Cut(page, `/settings/push/`)
	id, _, _ := strings.Cut(rest, "/")
	if !there || strings.Contains(page, at) {
		t.Fatalf("the page names no browser, or the address of one")
	}
	p := newClient(h).pasted()
	if code, _ := p.send("POST", "/settings/push", form(p)); code != http.StatusForbidden {
		t.Errorf("a pasted token has a browser told: %d", code)
	}
	bad := form(m)
	bad.Set("endpoint", "http://169.254.169.254/")
	if code, body := m.send("POST", "/settings/push", bad); code != http.StatusUnprocessableEntity || strings.Contains(body, "169.254") {
		t.Errorf("an address that is no push service: %d %s", code, body)
	}
	o := newClient(h).signIn(omar)
	if code, _ := o.send("POST", "/settings/push/"+id+"/end", url.Values{"csrf": {o.csrf}}); code != http.StatusNotFound {
		t.Errorf("somebody else's browser was ended: %d", code)
	}
	if code, _ := m.send("POST", "/settings/push/"+id+"/end", url.Values{"csrf": {m.csrf}}); code != http.StatusSeeOther {
		t.Errorf("one's own was not: %d", code)
	}
	if _, page := m.send("GET", "/settings", nil); strings.Contains(page, "/settings/push/"+id) {
		t.Error("it is told still")
	}
}

// TestTheWorker: the one script that may be a worker is, and shows what the server says. There is
// no push service in a test: the browser is handed the message by its own tools.
func TestTheWorker(t *testing.T) {
	h, _, _ := pushed(t)
	b := openBrowser(t)
	var mu sync.Mutex
	registration := ""
	if err := chromedp.Listen(b.ctx, func(ev any) {
		if e, is := ev.(*serviceworker.EventWorkerRegistrationUpdated); is && len(e.Registrations) > 0 {
			mu.Lock()
			defer mu.Unlock()
			registration = string(e.Registrations[0].RegistrationID)
		}
	}); err != nil {
		t.Fatal(err)
	}
	b.signIn(h, mira)
	for _, name := range []string{"notifications", "push"} {
		call(b, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{Permission: &cdpbrowser.PermissionDescriptor{Name: name, UserVisibleOnly: true}, Setting: "granted", Origin: h.url})
	}
	call(b, serviceworker.Enable, cdp.Empty{})
	b.goTo(h.url + "/settings")
	b.until(`!document.querySelector("#pushb").hidden`)
	if refused := eval[bool](b, `(async () => { try { await navigator.serviceWorker.register("/ui/app.js"); return false } catch { return true } })()`); !refused {
		t.Error("a script that is no worker of ours became one")
	}
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#pushb").click(); void 0`))
	told := func(js string) bool {
		return eval[bool](b, `(async () => { const r = await navigator.serviceWorker.getRegistration(); return !!(`+js+`) })()`)
	}
	for end := time.Now().Add(40 * time.Second); !told(`r?.active`); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: a worker")
		}
	}
	var id string
	for id == "" {
		mu.Lock()
		id = registration
		mu.Unlock()
	}
	// Asking for notifications drops one that is stored and not yet displayed: so the message is
	// sent, given its time, asked for once, and sent again.
	shows := func(message, is string) {
		t.Helper()
		for pause := 100 * time.Millisecond; ; pause *= 2 {
			call(b, serviceworker.DeliverPushMessage, serviceworker.DeliverPushMessageParams{Origin: h.url, RegistrationID: serviceworker.RegistrationID(id), Data: message})
			time.Sleep(pause)
			if told(`(await r.getNotifications()).some(n => ` + is + `)`) {
				return
			}
			if pause > 10*time.Second {
				t.Fatalf("never: %s", is)
			}
		}
	}
	shows(`{"title":"Drop public.orders","body":"critical","tag":"t","path":"//evil.example/x"}`, `n.title === "Drop public.orders" && n.data.path === "/approvals"`)
	for _, wordless := range []string{`no JSON`, `null`} {
		told(`(await r.getNotifications()).forEach(n => n.close()) || true`)
		shows(wordless, `n.title === "Something waits in Assent"`)
	}
}
