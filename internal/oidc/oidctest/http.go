package oidctest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

func (p *Provider) routes() http.Handler {
	mux := http.NewServeMux()
	at := func(pattern, name string, h func(http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(strings.Replace(pattern, " ", " "+p.o.Path, 1), func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			p.calls[name]++
			down := p.down
			p.mu.Unlock()
			if down {
				http.Error(w, "in trouble", http.StatusServiceUnavailable)
				return
			}
			w.Header().Set("Cache-Control", "no-store")
			h(w, r)
		})
	}
	at("GET /.well-known/openid-configuration", "discovery", p.discovery)
	at("GET /jwks", "jwks", p.jwks)
	at("GET /authorize", "authorize", p.ask)
	at("POST /authorize", "authorize", p.authorize)
	at("POST /token", "token", p.token)
	at("GET /userinfo", "userinfo", p.userinfo)
	at("POST /device", "device", p.deviceStart)
	at("GET /activate", "activate", p.activate)
	at("POST /activate", "activate", p.activated)
	return mux
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, code string) {
	answer(w, http.StatusBadRequest, map[string]string{"error": code})
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	methods := []string{"client_secret_basic", "client_secret_post"}
	if p.auth != "" {
		methods = []string{"client_secret_" + p.auth}
	}
	p.mu.Unlock()
	doc := map[string]any{
		"issuer": p.issuer, "authorization_endpoint": p.issuer + "/authorize", "token_endpoint": p.issuer + "/token",
		"jwks_uri": p.issuer + "/jwks", "device_authorization_endpoint": p.issuer + "/device",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"}, "token_endpoint_auth_methods_supported": methods,
		"code_challenge_methods_supported": []string{"S256"}, "authorization_response_iss_parameter_supported": !p.o.NoIss,
	}
	if !p.o.NoUserinfo {
		doc["userinfo_endpoint"] = p.issuer + "/userinfo"
	}
	answer(w, http.StatusOK, doc)
}

func (p *Provider) jwks(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var set jose.JSONWebKeySet
	for _, k := range p.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.key.Public(), KeyID: k.id, Algorithm: "ES256", Use: "sig"})
	}
	answer(w, http.StatusOK, set)
}

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Test provider</title>
<style>body{font:16px system-ui;max-width:30rem;margin:3rem auto}.warn{background:#b00020;color:#fff;padding:.8rem;font-weight:700}button{display:block;margin:.6rem 0;padding:.6rem 1rem;font:inherit}</style>
<body><p class="warn">TEST PROVIDER: no passwords, loopback only. Never use it for anything real.</p>
<h1>{{.Title}}</h1><form method="post">{{range $k, $v := .Hidden}}<input type="hidden" name="{{$k}}" value="{{$v}}">{{end}}
{{range .Users}}<button name="sub" value="{{.Sub}}">{{.Name}}</button>{{end}}</form></body></html>`))

func (p *Provider) show(w http.ResponseWriter, title string, hidden map[string]string) {
	p.mu.Lock()
	var users []User
	for _, u := range p.users {
		users = append(users, u)
	}
	p.mu.Unlock()
	slices.SortFunc(users, func(a, b User) int { return strings.Compare(a.Sub, b.Sub) })
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, map[string]any{"Title": title, "Hidden": hidden, "Users": users})
}

var authorizeParams = []string{"client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method"}

func (p *Provider) ask(w http.ResponseWriter, r *http.Request) {
	q, hidden := r.URL.Query(), map[string]string{}
	for _, k := range authorizeParams {
		hidden[k] = q.Get(k)
	}
	switch {
	case q.Get("client_id") != p.o.Client.ID:
		http.Error(w, "no such client", http.StatusBadRequest)
	case q.Get("response_type") != "code", q.Get("code_challenge_method") != "S256", q.Get("code_challenge") == "", !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		http.Error(w, "only code with PKCE S256 and scope openid", http.StatusBadRequest)
	default:
		p.show(w, "Who signs in?", hidden)
	}
}

// authorize is the click of a user.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, ok := p.users[r.PostFormValue("sub")]
	to, err := url.Parse(r.PostFormValue("redirect_uri"))
	if err != nil || r.PostFormValue("client_id") != p.o.Client.ID {
		http.Error(w, "no such client", http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {r.PostFormValue("state")}}
	if !p.o.NoIss {
		back.Set("iss", p.issuer)
	}
	if !ok || u.Disabled {
		back.Set("error", "access_denied")
	} else {
		code, now := rand.Text(), p.o.Clock()
		p.codes[code] = grant{
			sub: u.Sub, nonce: r.PostFormValue("nonce"), redirect: to.String(), client: p.o.Client.ID,
			challenge: r.PostFormValue("code_challenge"), at: now, expires: now.Add(time.Minute),
		}
		back.Set("code", code)
	}
	to.RawQuery = back.Encode()
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

// client checks who calls the token endpoint. mu is held.
func (p *Provider) client(r *http.Request) bool {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if basic && p.auth == "post" || !basic && p.auth == "basic" {
		return false
	}
	return id == p.o.Client.ID && subtle.ConstantTimeCompare([]byte(secret), []byte(p.o.Client.Secret)) == 1
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.client(r) {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	now := p.o.Clock()
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		code := r.PostFormValue("code")
		g, ok := p.codes[code]
		delete(p.codes, code) // used up, right or wrong
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if !ok || now.After(g.expires) || g.redirect != r.PostFormValue("redirect_uri") || g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			fail(w, "invalid_grant")
			return
		}
		p.grantTokens(w, g)
	case "refresh_token":
		old := r.PostFormValue("refresh_token")
		g, ok := p.refresh[old]
		delete(p.refresh, old) // rotated
		if u := p.users[g.sub]; !ok || u.Disabled {
			fail(w, "invalid_grant")
			return
		}
		g.nonce = "" // OpenID Connect Core 12.2: should not have one
		p.grantTokens(w, g)
	case deviceGrant:
		p.deviceToken(w, r.PostFormValue("device_code"), now)
	default:
		fail(w, "unsupported_grant_type")
	}
}

// grantTokens answers with tokens. mu is held.
func (p *Provider) grantTokens(w http.ResponseWriter, g grant) {
	access := rand.Text()
	id, err := p.idToken(g, access)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p.access[access] = g
	out := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": id}
	if !p.o.NoRefresh {
		refresh := rand.Text()
		p.refresh[refresh] = g
		out["refresh_token"] = refresh
	}
	answer(w, http.StatusOK, out)
}

func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g, ok := p.access[token]
	u := p.users[g.sub]
	if !ok || p.o.NoUserinfo || u.Disabled {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	answer(w, http.StatusOK, map[string]any{"sub": g.sub, "name": u.Name, "groups": groupsOf(u)})
}
