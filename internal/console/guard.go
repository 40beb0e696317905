package console

import (
	"net/http"
	"strings"
)

// policy forbids everything and opens only our own files. default-src covers
// neither base-uri, form-action nor frame-ancestors: they are named. No script
// may write markup: trusted-types 'none' lets no policy be made.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

const maxBody = 64 << 10 // bytes of any request body

// guard refuses what doesn't come from our own pages: foreign hosts (DNS
// rebinding), foreign origins (CSRF; another port of localhost is same-site, so
// SameSite is not enough), and bodies nobody types.
func (c *Console) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		if c.secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if !c.hosts[strings.ToLower(r.Host)] {
			http.Error(w, "This console does not answer to that host name. Open the address in its public_url.", http.StatusMisdirectedRequest)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead && !c.sameOrigin(r) {
			http.Error(w, "The request came from another site and was refused. Nothing was decided.", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// sameOrigin wants proof that a request that changes something comes from our
// own page. Under Referrer-Policy no-referrer a browser sends "Origin: null"
// with a form (Fetch, "append a request Origin header"): then Sec-Fetch-Site,
// which no page can set, must say same-origin.
func (c *Console) sameOrigin(r *http.Request) bool {
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	if site != "" && site != "same-origin" {
		return false
	}
	if origin == "" || origin == "null" {
		return site == "same-origin"
	}
	return c.origins[strings.ToLower(origin)]
}
