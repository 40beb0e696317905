package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/calm"
	"github.com/assenthq/assent/internal/sealed"
)

// TestPutAside: what somebody puts aside leaves their list and nobody else's; quiet hours are one's own.
func TestPutAside(t *testing.T) {
	h := newHouse(t)
	box, err := sealed.NewBox(h.store, h.log, []byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := calm.Open(t.Context(), box, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.change = func(o *Options) { o.Calm = k }
	h.serve()
	a := h.ask(nil)
	m, i := newClient(h).signIn(mira), newClient(h).signIn(ivo)
	needs := func(c *client) bool {
		t.Helper()
		code, body := c.send("GET", "/approvals?tab=needs", nil)
		if code != http.StatusOK {
			t.Fatal(code)
		}
		return strings.Contains(body, `id="r-`+a.ID)
	}
	if !needs(m) || !needs(i) {
		t.Fatal("it waits for nobody")
	}
	post := func(c *client, path string, f url.Values) int {
		t.Helper()
		f.Set("csrf", c.csrf)
		code, _ := c.send("POST", path, f)
		return code
	}
	version := strconv.FormatInt(a.Version, 10)
	if code := post(m, "/approvals/"+a.ID+"/snooze", url.Values{"minutes": {"900"}, "version": {version}}); code != http.StatusUnprocessableEntity {
		t.Errorf("for 15 hours: %d", code)
	}
	if code := post(m, "/approvals/"+a.ID+"/snooze", url.Values{"minutes": {"30"}, "version": {version}}); code != http.StatusSeeOther {
		t.Errorf("putting aside: %d", code)
	}
	if needs(m) || !needs(i) {
		t.Error("it left the wrong list")
	}
	if code := post(m, "/approvals/"+a.ID+"/snooze", url.Values{"minutes": {"0"}, "version": {version}}); code != http.StatusSeeOther || !needs(m) {
		t.Errorf("taking up: %d", code)
	}
	if code := post(m, "/settings/quiet", url.Values{"from": {"22:00"}, "to": {"07:00"}, "zone": {"Nowhere"}}); code != http.StatusUnprocessableEntity {
		t.Errorf("a bad zone: %d", code)
	}
	if code := post(m, "/settings/quiet", url.Values{"from": {"22:00"}, "to": {"07:00"}, "zone": {"Europe/Berlin"}}); code != http.StatusSeeOther {
		t.Errorf("quiet hours: %d", code)
	}
	if h := k.Hours("person:mira"); h.From != "22:00" || k.Hours("person:ivo").From != "" {
		t.Errorf("hours are %+v", h)
	}
}
