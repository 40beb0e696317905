package oidctest

import (
	"crypto/rand"
	"net/http"
	"time"
)

// deviceStart begins RFC 8628.
func (p *Provider) deviceStart(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.PostFormValue("client_id") != p.o.Client.ID && !p.client(r) {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	code, user := rand.Text(), rand.Text()[:8]
	user = user[:4] + "-" + user[4:]
	p.devices[code] = &device{userCode: user, expires: p.o.Clock().Add(5 * time.Minute)}
	answer(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": user, "verification_uri": p.issuer + "/activate",
		"verification_uri_complete": p.issuer + "/activate?user_code=" + user, "expires_in": 300, "interval": 1,
	})
}

func (p *Provider) activate(w http.ResponseWriter, r *http.Request) {
	p.show(w, "Who signs in on the other device with this code?", map[string]string{"user_code": r.URL.Query().Get("user_code")})
}

func (p *Provider) activated(w http.ResponseWriter, r *http.Request) {
	if !p.Confirm(r.PostFormValue("user_code"), r.PostFormValue("sub")) {
		http.Error(w, "no such code", http.StatusNotFound)
		return
	}
	_, _ = w.Write([]byte("Done. Go back to the other device."))
}

// Confirm is a user who types the code in and agrees; sub "" is one who refuses.
func (p *Provider) Confirm(userCode, sub string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.devices {
		if d.userCode == userCode {
			d.sub, d.denied = sub, sub == ""
			return true
		}
	}
	return false
}

// deviceToken answers a poll. mu is held.
func (p *Provider) deviceToken(w http.ResponseWriter, code string, now time.Time) {
	d := p.devices[code]
	switch {
	case d == nil:
		fail(w, "invalid_grant")
	case now.After(d.expires):
		fail(w, "expired_token")
	case d.denied || p.users[d.sub].Disabled:
		delete(p.devices, code)
		fail(w, "access_denied")
	case now.Sub(d.polled) < 500*time.Millisecond:
		fail(w, "slow_down")
	case d.sub == "":
		d.polled = now
		fail(w, "authorization_pending")
	default:
		delete(p.devices, code)
		p.grantTokens(w, grant{sub: d.sub, client: p.o.Client.ID, at: now})
	}
}
