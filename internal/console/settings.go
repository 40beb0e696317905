package console

import (
	"net/http"
	"time"
)

// settingsPage is who I am, and how this deployment is doing.
type settingsPage struct {
	Shell
	About   About
	Expires time.Time
	URL     string

	Passkeys passkeysView
}

func (c *Console) showSettings(w http.ResponseWriter, r *http.Request, p *who) {
	page := settingsPage{Shell: c.shellOf(r, p, "settings", "Settings", -1), Expires: p.Session.Expires, URL: c.o.PublicURL, Passkeys: c.passkeysOf(r.Context(), p)}
	if c.o.About != nil {
		page.About = c.o.About(r.Context())
	}
	c.page(w, r, http.StatusOK, "settings", page)
}
