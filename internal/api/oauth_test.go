package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/identity"
)

// actorsMayCall are rows of mayCall.
var actorsMayCall = map[string]string{
	"POST /oauth/token":           "nobody agent gate reviewer reader admin forged",
	"GET /v1/actors":              "reviewer reader admin",
	"POST /v1/actors":             "admin",
	"POST /v1/actors/{id}/retire": "admin",

	"GET /.well-known/oauth-authorization-server": "nobody agent gate reviewer reader admin forged",
}

// exchange posts a form to the token endpoint.
func (w *world) exchange(form string, change ...func(*http.Request)) *answer {
	w.t.Helper()
	asForm := func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }
	return w.call("POST", "/oauth/token", "", form, append([]func(*http.Request){asForm}, change...)...)
}

func mintForm(token, actor string) url.Values {
	return url.Values{"grant_type": {actors.GrantType}, "subject_token": {token}, "subject_token_type": {actors.AccessToken}, "requested_actor": {actor}}
}

func (a *answer) oauth(t testing.TB, status int, code string) {
	t.Helper()
	var e struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if a.status != status || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %s %s, want %d", a.status, a.header.Get("Content-Type"), a.body, status)
	}
	if a.json(t, &e); e.Code != code || e.Description == "" {
		t.Fatalf("got %s, want %s", a.body, code)
	}
}

func TestTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	lena := w.mint(identity.MintRequest{Kind: identity.KindPerson, Subject: "person:lena", Scopes: []string{identity.ScopeMint}})
	a := w.exchange(mintForm(lena, "agent:nightly-exporter").Encode())
	var got api.ExchangedToken
	if a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a.json(t, &got)
	if got.TokenType != "Bearer" || got.IssuedType != actors.AccessToken || got.Scope != "act" || got.Subject != "person:lena" || got.Act == nil || got.Act.Subject != "agent:nightly-exporter" || got.Act.Act != nil ||
		got.ExpiresIn < 3590 || got.ExpiresIn > 3600 || !strings.HasPrefix(got.Username, "nightly-exporter~") {
		t.Fatalf("got %+v", got)
	}
	who := w.call("GET", "/v1/whoami", got.AccessToken, nil)
	if who.status != 200 || !strings.Contains(string(who.body), `"kind":"actor"`) || !strings.Contains(string(who.body), `"scopes":["act"]`) {
		t.Fatalf("%d %s", who.status, who.body)
	}
	w.call("GET", "/v1/approvals", got.AccessToken, nil).problem(t, 403, "scope")
	w.call("POST", "/v1/tokens", got.AccessToken, map[string]any{"kind": "actor"}).problem(t, 403, "scope")
	if strings.Contains(w.logs.String(), got.AccessToken) || strings.Contains(w.logs.String(), lena) {
		t.Fatal("the log holds a token")
	}
}

// Whatever is wrong with the form is said in OAuth's own words, and gives nothing.
func TestFormsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	lena := w.mint(identity.MintRequest{Kind: identity.KindPerson, Subject: "person:lena", Scopes: []string{identity.ScopeMint}})
	good := mintForm(lena, "agent:nightly-exporter").Encode()
	for name, c := range map[string]struct{ form, code string }{
		"a parameter twice":      {good + "&requested_actor=agent:other", actors.InvalidRequest},
		"the same twice":         {good + "&requested_actor=agent:nightly-exporter", actors.InvalidRequest},
		"an unknown parameter":   {good + "&act_as=person:mira", actors.InvalidRequest},
		"a subject of one's own": {good + "&sub=person:mira", actors.InvalidRequest},
		"review scope":           {good + "&scope=review", actors.InvalidScope},
		"a life of no time":      {good + "&expires_in=0", actors.InvalidRequest},
		"a life backwards":       {good + "&expires_in=-1", actors.InvalidRequest},
		"a life without end":     {good + "&expires_in=99999999999999999999", actors.InvalidRequest},
		"a broken escape":        {good + "&scope=%zz", actors.InvalidRequest},
		"semicolons":             {strings.ReplaceAll(good, "&", ";"), actors.InvalidRequest},
		"JSON":                   {`{"grant_type":"` + actors.GrantType + `"}`, actors.InvalidRequest},
		"another's agent":        {mintForm(w.admin, "agent:none").Encode(), actors.InvalidTarget},
		"a reviewer's token":     {mintForm(w.mira, "agent:nightly-exporter").Encode(), actors.InvalidScope},
		"an agent's token":       {mintForm(w.agent, "agent:nightly-exporter").Encode(), actors.InvalidRequest},
		"a gate's token":         {mintForm(w.gate, "agent:nightly-exporter").Encode(), actors.InvalidRequest},
		"no token":               {mintForm("", "agent:nightly-exporter").Encode(), actors.InvalidRequest},
		"a token that isn't one": {mintForm("ast_x", "agent:nightly-exporter").Encode(), actors.InvalidRequest},
		"another grant":          {strings.Replace(good, url.QueryEscape(actors.GrantType), "password", 1), actors.UnsupportedGrant},
		"nothing":                {"x=", actors.InvalidRequest},
	} {
		t.Run(name, func(t *testing.T) { w.exchange(c.form).oauth(t, 400, c.code) })
	}
	w.exchange("").problem(t, 400, "invalid")
	w.exchange(good, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }).problem(t, 415, "media-type")
	w.exchange(good, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }).problem(t, 415, "media-type")
	w.exchange(good, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }).problem(t, 403, "origin")
	w.exchange(good, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example.com") }).problem(t, 403, "origin")
	w.exchange(strings.Repeat("x", 2<<20)).problem(t, 413, "too-large")
	w.call("GET", "/oauth/token?"+good, "", nil).problem(t, 405, "method")
	for _, form := range []string{"/v1/tokens", "/access/v1/evaluation", "/v1/approvals/apr_0000000000000000/review"} {
		w.call("POST", form, w.admin, good, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }).problem(t, 415, "media-type")
	}
}

// Every kind of token of ours, where another is wanted.
func TestConfusionOfTokens(t *testing.T) {
	w := newWorld(t)
	a := w.call("POST", "/access/v1/evaluation", w.agent, question("data.export", "postgres:shop/customers", "copy customers to stdout"))
	var d struct {
		Context struct {
			AccessRequest struct {
				BindingToken string `json:"binding_token"`
			} `json:"access_request"`
		} `json:"context"`
	}
	mustDecode(t, a.body, &d)
	binding := d.Context.AccessRequest.BindingToken
	if strings.Count(binding, ".") != 2 {
		t.Fatalf("no binding token in %s", a.body)
	}
	grant := "eyJhbGciOiJFZERTQSIsInR5cCI6ImFzc2VudC1ncmFudCtqd3QifQ.e30.AAAA"
	for name, token := range map[string]string{"binding": binding, "grant": grant, "agent": w.agent, "gate": w.gate, "reviewer": w.mira, "admin": w.admin} {
		for _, typ := range []string{actors.JWT, actors.IDToken, actors.AccessToken, "urn:ietf:params:oauth:token-type:saml2", ""} {
			for _, actor := range []string{"", w.agent, binding, w.mira} {
				form := url.Values{"grant_type": {actors.GrantType}, "subject_token": {token}, "subject_token_type": {typ}}
				if actor != "" {
					form.Set("actor_token", actor)
					form.Set("actor_token_type", typ)
				}
				if got := w.exchange(form.Encode()); got.status != 400 {
					t.Errorf("%s as %s: %d %s", name, typ, got.status, got.body)
				}
			}
		}
		if name == "binding" || name == "grant" {
			w.call("GET", "/v1/whoami", token, nil).problem(t, 401, "credential")
		}
	}
}

func TestAuthorizationServerMetadata(t *testing.T) {
	w := newWorld(t)
	var m api.AuthorizationServer
	a := w.call("GET", "/.well-known/oauth-authorization-server", "", nil)
	a.json(t, &m)
	if a.status != 200 || m.Issuer != "http://localhost:8720" || m.TokenEndpoint != "http://localhost:8720/oauth/token" || len(m.Grants) != 1 || m.Grants[0] != actors.GrantType || m.Responses == nil || m.Scopes[0] != "act" || len(m.Scopes) != 1 {
		t.Errorf("%d %s", a.status, a.body)
	}
}
