package slack

import (
	"errors"
	"io"
	"net/http"
	"net/url"
)

// maxBody bounds a request, in bytes: an interaction carries its whole message.
const maxBody = 1 << 20

// Paths of the handler.
const (
	pathInteractive = "/interactive"
	pathCommand     = "/command"
)

// ServeHTTP takes interactions and commands. The signature is checked on the raw
// bytes, before any of them is read as something.
func (c *Channel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != pathInteractive && r.URL.Path != pathCommand || c.o.Signing == nil {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Slack posts here", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "longer than 1 MiB, or cut off", http.StatusRequestEntityTooLarge)
		return
	}
	secret, err := c.sign.get(r.Context())
	if err != nil {
		c.o.Logger.ErrorContext(r.Context(), "reading the signing secret", "channel", c.o.Name, "err", err)
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	if err := c.verify(r.Header, body, secret); err != nil {
		c.o.Logger.WarnContext(r.Context(), "refused a request to Slack's door", "channel", c.o.Name, "err", err)
		http.Error(w, "not signed by Slack, too old, or seen before", http.StatusUnauthorized)
		return
	}
	p, err := parseBody(r.URL.Path, body)
	if err != nil {
		http.Error(w, "not an interaction of Slack", http.StatusBadRequest)
		return
	}
	if errors.Is(c.whose(p), errElsewhere) {
		c.o.Logger.WarnContext(r.Context(), "refused a press for another app or workspace", "channel", c.o.Name, "app", p.AppID, "team", p.Team.ID)
		http.Error(w, "for another app or workspace", http.StatusForbidden)
		return
	}
	if !c.accept(r.Context(), p) {
		http.Error(w, "too much at once: press again", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK) // an empty body: it came
}

// parseBody reads the form that Slack posts.
func parseBody(path string, body []byte) (*press, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errUnreadable
	}
	if path == pathCommand {
		return parseCommand(form), nil
	}
	return parsePress([]byte(form.Get("payload")))
}
