package webwire

import (
	"net/http"
	"net/textproto"
	"strings"
)

// Clean takes off what a client may not say to an upstream: the hop-by-hop headers of RFC 9110 §7.6.1, and every
// header by which a proxy tells an upstream who asks, from where, or for what address, in every spelling that some
// server reads as that name (X_Forwarded_User). What a gate wants to know of them it reads before; what it wants to
// tell, it sets after. `TE: trailers` stays: gRPC needs it.
//
// It refuses a Connection header that names anything but options of a connection: a client can't have Authorization
// or a header of ours taken away by a proxy behind us. And it refuses a header twice where one server takes the
// first and another the last.
func Clean(h http.Header) error {
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			if option = textproto.TrimString(option); option != "" && !oneOf(option, options[:]) {
				return refuse("a Connection header that names another header")
			}
		}
	}
	for _, once := range single {
		if len(h[once]) > 1 {
			return refuse("two headers " + once)
		}
	}
	trailers := false
	for _, te := range h["Te"] {
		trailers = trailers || strings.EqualFold(textproto.TrimString(te), "trailers")
	}
	for name := range h {
		if Theirs(name) {
			delete(h, name)
		}
	}
	if trailers {
		h["Te"] = []string{"trailers"}
	}
	return nil
}

var (
	// options are what a Connection header may name.
	options = [...]string{"close", "keep-alive", "upgrade", "te", "http2-settings", "proxy-connection", "trailer", "trailers"}
	// single are headers of which a request has one.
	single = [...]string{"Authorization", "Content-Type", "Content-Range", "Date", "Expect", "Host", "Origin", "Range", "Referer"}
	// exact and begins are the names taken off, in lower case with a hyphen for whatever is neither letter nor digit,
	// by their first letter.
	exact = byFirst(
		// Hop by hop, and what means something to one server only.
		"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-authentication-info",
		"proxy-connection", "proxy", "te", "trailer", "transfer-encoding", "content-length", "upgrade", "http2-settings", "host",
		// Where from, and to where.
		"forwarded", "x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "x-true-client-ip", "x-cluster-client-ip",
		"x-originating-ip", "fastly-client-ip", "cf-connecting-ip", "cf-connecting-ipv6", "remote-addr", "x-host",
		"x-rewrite-url", "x-proxyuser-ip", "x-custom-ip-authorization", "x-backend-host", "x-http-host-override",
		"x-url-scheme", "x-scheme", "front-end-https", "x-http-destinationurl", "x-http-destination-url", "base-url", "proxy-host", "proxy-url",
		// Another method than the request line's.
		"x-http-method", "x-http-method-override", "x-method-override", "x-method", "http-method-override",
		// Who.
		"x-user", "x-username", "x-email", "x-groups", "x-roles", "remote-user", "x-endpoint-api-userinfo",
		"x-client-cert", "x-client-dn", "x-client-verify", "client-cert", "client-cert-chain",
	)
	begins = byFirst(
		"x-forwarded-", "x-original-", "x-auth-request-", "x-assent-", "remote-", "x-remote-", "x-authenticated-",
		"x-webauth-", "x-user-", "x-goog-authenticated-user-", "x-goog-iap-", "x-amzn-oidc-", "cf-access-",
		"x-ms-client-principal", "x-ms-token-", "x-pomerium-", "x-vouch-", "x-authentik-", "tailscale-user-",
		"x-envoy-", "x-ssl-", "ssl-client", "x-client-certificate", "x-tls-client-",
	)
)

func byFirst(names ...string) (t [128][]string) {
	for _, n := range names {
		t[n[0]] = append(t[n[0]], n)
	}
	return t
}

// Theirs says whether a header's name, however it is spelled, is one that only a proxy may write.
func Theirs(name string) bool {
	var low [64]byte
	n := min(len(name), len(low))
	for i := range n {
		b := lower(name[i])
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') {
			b = '-'
		}
		low[i] = b
	}
	if n == 0 {
		return true
	}
	if len(name) <= len(low) {
		for _, e := range exact[low[0]] {
			if string(low[:n]) == e {
				return true
			}
		}
	}
	for _, p := range begins[low[0]] {
		if n >= len(p) && string(low[:len(p)]) == p {
			return true
		}
	}
	return false
}

func oneOf(s string, among []string) bool {
	for _, a := range among {
		if strings.EqualFold(s, a) {
			return true
		}
	}
	return false
}
