package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/sealed"
)

// mute is a channel that is gone.
type mute struct{}

func (mute) Name() string { return "siem" }
func (mute) Post(context.Context, string, string, *notify.Message) (string, error) {
	return "", notify.ErrNever
}

func (mute) Update(context.Context, string, string, *notify.Message) error { return notify.ErrNever }

// TestDeadLetters: administrators see what could not be told, and replay it; nobody else does.
func TestDeadLetters(t *testing.T) {
	var d *notify.Dispatcher
	h := newHouse(t)
	box, err := sealed.NewBox(h.store, h.log, []byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	h.change = func(o *Options) {
		var err error
		d, err = notify.New(notify.Options{Approvals: h.engine, Box: box, Channels: []notify.Channel{mute{}}, Routes: []notify.Route{{Channel: "siem", Place: "<b>all</b>", Notices: []string{"alarm"}}}, PublicURL: o.PublicURL})
		if err != nil {
			t.Fatal(err)
		}
		o.Channels = d
		o.Administers = func(p *identity.Person) bool { return p.ID == ivo.ID }
	}
	h.serve()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	if err := d.Notify(t.Context(), notify.Notice{ID: "1", Kind: "alarm", Title: "x"}); err != nil {
		t.Fatal(err)
	}
	dead := func() []notify.Delivery {
		all, err := d.Deliveries(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	for end := time.Now().Add(20 * time.Second); len(dead()) == 0 || !dead()[0].Dead; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is dead")
		}
	}
	stop()
	<-done
	admin, other := newClient(h).signIn(ivo), newClient(h).signIn(mira)
	if _, body := other.send("GET", "/settings", nil); strings.Contains(body, "siem") {
		t.Error("everybody sees channels")
	}
	_, body := admin.send("GET", "/settings", nil)
	path := "/settings/deliveries/" + dead()[0].ID + "/replay"
	if !strings.Contains(body, path) || !strings.Contains(body, "1 dead") || strings.Contains(body, "<b>all") {
		t.Errorf("the page lacks it, or shows markup:\n%s", body)
	}
	if code, _ := other.send("POST", path, url.Values{"csrf": {other.csrf}}); code != http.StatusForbidden || !dead()[0].Dead {
		t.Errorf("somebody else replays: %d", code)
	}
	if code, _ := admin.send("POST", path, url.Values{"csrf": {"no"}}); code != http.StatusForbidden || !dead()[0].Dead {
		t.Errorf("a forged form replays: %d", code)
	}
	if code, _ := admin.send("POST", path, url.Values{"csrf": {admin.csrf}}); code >= 400 || len(dead()) != 0 {
		t.Errorf("an administrator replays: %d, %v", code, dead())
	}
}
