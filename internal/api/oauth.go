package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/identity"
)

const (
	exchangePath = "/oauth/token"
	formType     = "application/x-www-form-urlencoded"
)

// An Exchanger issues actors' tokens for other credentials (RFC 8693). Refusals
// are an *actors.Error.
type Exchanger interface {
	Exchange(ctx context.Context, r actors.Request) (*actors.Issued, error)
}

// An ExchangeForm is the body of the token endpoint (RFC 8693 section 2.1), sent as a form.
type ExchangeForm struct {
	GrantType     string `json:"grant_type" enum:"urn:ietf:params:oauth:grant-type:token-exchange"`
	SubjectToken  string `json:"subject_token" maxLength:"16384" doc:"A person's token, a workload's own ID token or JWT-SVID, or, with actor_token, the token of the actor whose task is taken over"`
	SubjectType   string `json:"subject_token_type" enum:"urn:ietf:params:oauth:token-type:access_token,urn:ietf:params:oauth:token-type:id_token,urn:ietf:params:oauth:token-type:jwt"`
	ActorToken    string `json:"actor_token,omitempty" maxLength:"512" doc:"The token of the actor that takes the task over"`
	ActorType     string `json:"actor_token_type,omitempty" enum:"urn:ietf:params:oauth:token-type:access_token"`
	RequestedType string `json:"requested_token_type,omitempty" enum:"urn:ietf:params:oauth:token-type:access_token"`
	Scope         string `json:"scope,omitempty" enum:"act"`
	Audience      string `json:"audience,omitempty" maxLength:"512" doc:"This server's public URL, or nothing"`
	Resource      string `json:"resource,omitempty" maxLength:"512" doc:"This server's public URL, or nothing"`
	Actor         string `json:"requested_actor,omitempty" maxLength:"256" doc:"Of a person: the actor that the token is for. Of a workload: which, where it could be several"`
	ExpiresIn     string `json:"expires_in,omitempty" maxLength:"6" pattern:"^[1-9][0-9]*$" doc:"Seconds; less than what would be given"`
}

// An ExchangedToken is the answer (RFC 8693 section 2.2.1).
type ExchangedToken struct {
	AccessToken string `json:"access_token" doc:"Keep it: nobody can show it again"`
	IssuedType  string `json:"issued_token_type"`
	TokenType   string `json:"token_type" enum:"Bearer"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope"`
	Username    string `json:"username" doc:"User name at a database gate; the token is the password there"`
	Act         *Act   `json:"act" doc:"Who acts, and for whom (RFC 8693 section 4.1)"`
	Subject     string `json:"sub,omitempty" doc:"The person whom it all is for"`
	Thumbprint  string `json:"x5t#S256,omitempty" doc:"The client certificate it is bound to (RFC 8705)"`
}

// An Act is one link of a chain of delegation, the acting one outermost.
type Act struct {
	Subject string `json:"sub"`
	Act     *Act   `json:"act,omitempty"`
}

// An OAuthError is how the token endpoint refuses (RFC 6749 section 5.2).
type OAuthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`

	status int
}

func (e *OAuthError) Error() string { return e.Code + ": " + e.Description }

// GetStatus makes it the status error that huma writes.
func (e *OAuthError) GetStatus() int { return e.status }

// ContentType is plain JSON: clients of RFC 6749 read nothing else.
func (e *OAuthError) ContentType(string) string { return "application/json" }

func oauthError(status int, code, text string) *OAuthError {
	return &OAuthError{Code: code, Description: text, status: status}
}

type (
	exchangeIn struct {
		RawBody []byte `contentType:"application/x-www-form-urlencoded"`
	}
	exchangeOut struct{ Body ExchangedToken }
)

// exchangeToken reads the credential from the body: no browser sends one there
// by itself, so that a form of another page could do nothing.
func (s *server) exchangeToken(ctx context.Context, in *exchangeIn) (*exchangeOut, error) {
	req, err := exchangeRequest(in.RawBody)
	if err != nil {
		return nil, err
	}
	issued, err := s.Exchange.Exchange(ctx, *req)
	var refused *actors.Error
	switch {
	case errors.As(err, &refused) && refused.Unsure:
		return nil, oauthError(http.StatusServiceUnavailable, refused.Code, refused.Text)
	case errors.As(err, &refused):
		return nil, oauthError(http.StatusBadRequest, refused.Code, refused.Text)
	case err != nil:
		return nil, err
	}
	t := issued.Token
	out := ExchangedToken{
		AccessToken: issued.Text, IssuedType: actors.AccessToken, TokenType: "Bearer", ExpiresIn: int64(t.Expires.Sub(s.Clock()) / time.Second),
		Scope: identity.ScopeAct, Username: t.User(), Subject: t.Subject, Thumbprint: t.Thumbprint,
	}
	for i := len(t.Chain) - 1; i >= 0; i-- {
		out.Act = &Act{Subject: t.Chain[i].ID, Act: out.Act}
	}
	return &exchangeOut{Body: out}, nil
}

// exchangeRequest reads the form. A parameter that comes twice is refused (RFC
// 6749 section 3.2), and so is one that nobody here knows: it might have been meant to narrow.
func exchangeRequest(body []byte) (*actors.Request, error) {
	bad := func(text string) error { return oauthError(http.StatusBadRequest, actors.InvalidRequest, text) }
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, bad("the body is not a form")
	}
	r := &actors.Request{}
	seconds := ""
	into := map[string]*string{
		"grant_type": &r.GrantType, "subject_token": &r.SubjectToken, "subject_token_type": &r.SubjectType, "actor_token": &r.ActorToken, "actor_token_type": &r.ActorType,
		"requested_token_type": &r.RequestedType, "scope": &r.Scope, "audience": &r.Audience, "resource": &r.Resource, "requested_actor": &r.Actor, "expires_in": &seconds,
	}
	for name, values := range form {
		field := into[name]
		switch {
		case field == nil:
			return nil, bad("a parameter that is not known here")
		case len(values) != 1:
			return nil, bad(name + " comes more than once")
		}
		*field = values[0]
	}
	if seconds != "" {
		n, err := strconv.ParseUint(seconds, 10, 20)
		if err != nil || n == 0 {
			return nil, bad("expires_in is not a number of seconds above 0")
		}
		r.Life = time.Duration(n) * time.Second
	}
	return r, nil
}

// oauthAnswers documents what huma can't see: a form, and refusals of their own kind.
func (s *server) oauthAnswers() {
	registry := s.api.OpenAPI().Components.Schemas
	op := s.api.OpenAPI().Paths[exchangePath].Post
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{formType: {Schema: registry.Schema(reflect.TypeFor[ExchangeForm](), true, "")}}}
	refused := &huma.MediaType{Schema: registry.Schema(reflect.TypeFor[OAuthError](), true, "")}
	op.Responses["400"] = &huma.Response{Description: "Refused (RFC 6749 section 5.2)", Content: map[string]*huma.MediaType{"application/json": refused}}
	op.Responses["503"] = &huma.Response{Description: "Nobody can say: the issuer's keys can't be had, or we are too slow", Content: map[string]*huma.MediaType{
		"application/json": refused, "application/problem+json": {Schema: registry.Schema(reflect.TypeFor[Problem](), true, "")},
	}}
}

// AuthorizationServer is the metadata of RFC 8414.
type AuthorizationServer struct {
	Issuer        string   `json:"issuer"`
	TokenEndpoint string   `json:"token_endpoint"`
	JWKSURI       string   `json:"jwks_uri"`
	Grants        []string `json:"grant_types_supported"`
	Responses     []string `json:"response_types_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	Scopes        []string `json:"scopes_supported"`
	Bound         bool     `json:"tls_client_certificate_bound_access_tokens" doc:"A token that a workload gets over mutual TLS is bound to its certificate (RFC 8705)"`
	Documentation string   `json:"service_documentation"`
}

type authorizationServerOut struct{ Body AuthorizationServer }

func (s *server) authorizationServer(context.Context, *nothing) (*authorizationServerOut, error) {
	return &authorizationServerOut{Body: AuthorizationServer{
		Issuer: s.base, TokenEndpoint: s.base + exchangePath, JWKSURI: s.base + "/.well-known/jwks.json", Grants: []string{actors.GrantType}, Responses: []string{},
		AuthMethods: []string{"none"}, Scopes: []string{identity.ScopeAct}, Bound: s.Mutual, Documentation: s.base + "/docs",
	}}, nil
}
