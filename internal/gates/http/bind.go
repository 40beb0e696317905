package proxy

import (
	"net/http"
	"net/url"
	"strings"
)

// bind has an answer lead nowhere but through the gate: addresses of the upstream
// itself become the route's, cookies stay with this host, and no other way to the
// same service is offered.
func (r *Route) bind(resp *http.Response, at *url.URL) {
	h := resp.Header
	for _, name := range []string{"Location", "Content-Location"} {
		if to := h.Get(name); to != "" {
			h.Set(name, r.address(to, at))
		}
	}
	h.Del("Strict-Transport-Security") // the gate's own is sent
	h.Del("Alt-Svc")                   // RFC 7838: a way around the gate
	h.Del("Refresh")                   // holds an address too, in no form that is written down
	r.cookies(h)
}

// address is an address as a client may use it: the upstream's own one becomes a
// path at the route's host; others stay.
func (r *Route) address(to string, at *url.URL) string {
	u, err := url.Parse(to)
	if err != nil || u.Opaque != "" || u.Host != "" && !r.own(u, at) {
		return to
	}
	path := u.EscapedPath()
	if u.Host == "" && !strings.HasPrefix(path, "/") {
		return to // relative to what was asked for
	}
	back, is := r.back(path)
	if !is && u.Host == "" {
		return to
	}
	if !is {
		back = "/" // a part of the upstream that has no route: its address stays inside
	}
	if u.RawQuery != "" {
		back += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		back += "#" + u.EscapedFragment()
	}
	if strings.HasPrefix(back, "//") { // would be another host
		back = "/" + strings.TrimLeft(back, "/")
	}
	return back
}

// own says that an address with a host is one of this route's upstreams, or the
// route itself under whatever scheme.
func (r *Route) own(u, at *url.URL) bool {
	host := strings.ToLower(u.Host)
	if host == strings.ToLower(r.Host) || host == strings.ToLower(at.Host) || strings.EqualFold(u.Hostname(), at.Hostname()) && u.Port() == "" {
		return true
	}
	for _, up := range r.Upstreams {
		if strings.EqualFold(host, up.Host) {
			return true
		}
	}
	return false
}

// cookies keeps an upstream's cookies with the host that was asked: none is for a
// domain, and none has a name of ours.
func (r *Route) cookies(h http.Header) {
	all := h.Values("Set-Cookie")
	if len(all) == 0 {
		return
	}
	kept := make([]string, 0, len(all))
	for _, line := range all {
		parts := strings.Split(line, ";")
		name, _, _ := strings.Cut(parts[0], "=")
		if ours(strings.TrimSpace(name)) {
			continue
		}
		out := parts[0]
		for _, p := range parts[1:] {
			key, _, _ := strings.Cut(strings.TrimSpace(p), "=")
			if !strings.EqualFold(strings.TrimSpace(key), "domain") {
				out += ";" + p
			}
		}
		kept = append(kept, out)
	}
	h["Set-Cookie"] = kept
}

// ours says that a cookie's name is one of ours. Browsers compare what a prefix
// promises without regard to case, so this does too.
func ours(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "__host-assent") || strings.HasPrefix(name, "assent-")
}

// withoutOurs takes our cookies off a request and returns those of one name.
func withoutOurs(h http.Header, name string) (mine []string) {
	lines := h.Values("Cookie")
	if len(lines) == 0 {
		return nil
	}
	var kept []string
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			key, value, _ := strings.Cut(pair, "=")
			switch key = strings.TrimSpace(key); {
			case key == name:
				mine = append(mine, strings.TrimSpace(value))
			case pair != "" && !ours(key):
				kept = append(kept, pair)
			}
		}
	}
	h.Del("Cookie")
	if len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
	return mine
}
