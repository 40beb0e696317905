package console

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/assenthq/assent/internal/channels/webpush"
)

// Push tells people's browsers while no page is open.
type Push interface {
	Key() string
	Subscribe(ctx context.Context, person, browser, endpoint, key, auth string) error
	Unsubscribe(ctx context.Context, person, id string) error
	Browsers(ctx context.Context, person string) ([]webpush.Browser, error)
}

// workerPolicy lets the settings page, and no other, name our one service worker.
var workerPolicy = strings.Replace(contentPolicy, "trusted-types 'none'", "trusted-types assent-worker", 1)

// pushView is who is told where, for the settings page.
type pushView struct {
	There    bool
	Key      string
	Browsers []webpush.Browser
	May      bool // this session may have its browser told
}

func (c *Console) pushRoutes(mux *http.ServeMux) {
	if c.o.Push == nil {
		return
	}
	mux.HandleFunc("GET /worker.js", c.serveWorker)
	mux.HandleFunc("POST /settings/push", c.signedIn(c.subscribe))
	mux.HandleFunc("POST /settings/push/{id}/end", c.signedIn(c.unsubscribe))
}

// serveWorker serves the service worker from the root, whose pages it opens.
func (c *Console) serveWorker(w http.ResponseWriter, _ *http.Request) {
	a := c.assets["worker.js"]
	w.Header().Set("Content-Type", a.contentType)
	_, _ = w.Write(a.body)
}

func (c *Console) pushOf(r *http.Request, p *who) (v pushView, err error) {
	if c.o.Push == nil {
		return v, nil
	}
	v = pushView{There: true, Key: c.o.Push.Key(), May: p.assurance() == "console"}
	v.Browsers, err = c.o.Push.Browsers(r.Context(), p.ID)
	return v, err
}

// subscribe has this browser told. What it is told outlives the session, so it takes one that was signed in to.
func (c *Console) subscribe(w http.ResponseWriter, r *http.Request, p *who) {
	if p.assurance() != "console" || !c.confirmed(r, p) {
		http.Error(w, "This takes a session that you signed in to. Nothing was changed.", http.StatusForbidden)
		return
	}
	err := c.o.Push.Subscribe(r.Context(), p.ID, plain(browserOf(r.UserAgent()), 60), r.PostFormValue("endpoint"), r.PostFormValue("key"), r.PostFormValue("auth"))
	switch {
	case errors.Is(err, webpush.ErrRefused):
		http.Error(w, "Nothing was changed: "+plain(err.Error(), maxTitle)+".", http.StatusUnprocessableEntity)
	case err != nil:
		c.o.Logger.ErrorContext(r.Context(), "subscribing a browser", "err", err)
		http.Error(w, "It could not be kept, so nothing was changed. Try again in a moment.", http.StatusServiceUnavailable)
	default:
		_, _ = w.Write([]byte("This browser is told when an action waits for your answer."))
	}
}

func (c *Console) unsubscribe(w http.ResponseWriter, r *http.Request, p *who) {
	err := c.o.Push.Unsubscribe(r.Context(), p.ID, r.PathValue("id"))
	switch {
	case errors.Is(err, webpush.ErrRefused):
		c.fail(w, r, http.StatusNotFound, "There is no such browser of yours.", "It may be ended already. Go back to the settings.")
	case err != nil:
		c.broken(w, r, "ending a browser's subscription", err)
	default:
		http.Redirect(w, r, "/settings#push", http.StatusSeeOther)
	}
}
