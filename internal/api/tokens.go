package api

import (
	"context"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// A TokenRequest asks for a credential.
type TokenRequest struct {
	Kind      string   `json:"kind" enum:"actor,person,gate,provision"`
	Subject   string   `json:"subject,omitempty" maxLength:"256" doc:"Person id: whose credential it is, or for whom the actor works (unset: its owner). Of a provisioning credential, the name of its issuer"`
	Actors    []string `json:"actors,omitempty" maxItems:"4" doc:"Of an actor's credential, the acting one first"`
	Scopes    []string `json:"scopes,omitempty" maxItems:"8" doc:"Of a person's credential: review, read, mint, admin. Actors have act, gates have gate, provisioning has scim, and nothing else"`
	ExpiresIn int64    `json:"expires_in,omitempty" minimum:"1" maximum:"31622400" doc:"Seconds; a day unless set"`
}

// A TokenView is a credential without its secret.
type TokenView struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Subject   string    `json:"subject,omitempty"`
	Actors    []string  `json:"actors,omitempty"`
	Scopes    []string  `json:"scopes"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`
	CreatedBy string    `json:"created_by"`
	Revoked   time.Time `json:"revoked,omitzero"`
}

// A NewToken is a credential with its text, which is shown this once and stored nowhere.
type NewToken struct {
	Token string    `json:"token" doc:"Keep it: nobody can show it again"`
	Info  TokenView `json:"info"`
}

// TokenList is every credential, newest first.
type TokenList struct {
	Tokens []TokenView `json:"tokens"`
}

type (
	createTokenIn  struct{ Body TokenRequest }
	createTokenOut struct{ Body NewToken }
)

func (s *server) createToken(ctx context.Context, in *createTokenIn) (*createTokenOut, error) {
	b := &in.Body
	if b.Kind == identity.KindPerson && len(b.Scopes) == 0 {
		return nil, badRequest("body.scopes", "a person's credential names its scopes: review, read, mint, admin")
	}
	if err := s.mayMint(callerOf(ctx), b); err != nil {
		return nil, err
	}
	secret, t, err := s.Tokens.Mint(ctx, identity.MintRequest{
		Kind: b.Kind, Subject: b.Subject, Actors: b.Actors, Scopes: b.Scopes,
		TTL: time.Duration(b.ExpiresIn) * time.Second, By: nameOf(callerOf(ctx)),
	})
	if err != nil {
		return nil, err
	}
	return &createTokenOut{Body: NewToken{Token: secret, Info: tokenView(t)}}, nil
}

// mayMint keeps an administrator from answering in somebody else's name: a
// person's credential is made by that person, or by the machine's operator, who
// could write the configuration as well.
func (s *server) mayMint(c *identity.Caller, b *TokenRequest) error {
	if c.Person != nil && c.Person.ID == s.Machine && s.Machine != "" {
		return nil
	}
	if b.Kind == identity.KindProvision {
		return problem(http.StatusForbidden, "not-yours", "A provisioning credential says who is in which group: it is made on the server's machine, where the configuration lies that says the same.")
	}
	if b.Kind != identity.KindPerson || c.Person == nil {
		return nil
	}
	own := c.Person.Account == "" || c.Person.Account == b.Subject // an account makes what is worth that account
	if p, ok := s.Directory.Person(b.Subject); !ok || own && p.ID == c.Person.ID {
		return nil // one that nobody is called by is refused by the mint
	}
	return problem(http.StatusForbidden, "not-yours", "A person's credential is made by that person, or on the server's machine, so that no administrator answers in another's name.")
}

type listTokensOut struct{ Body TokenList }

func (s *server) listTokens(ctx context.Context, _ *nothing) (*listTokensOut, error) {
	all, err := s.Tokens.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &listTokensOut{Body: TokenList{Tokens: []TokenView{}}}
	for i := range all {
		out.Body.Tokens = append(out.Body.Tokens, tokenView(&all[i]))
	}
	return out, nil
}

type revokeTokenIn struct {
	ID string `path:"id" maxLength:"64" pattern:"^[0-9a-z]+$"`
}

func (s *server) revokeToken(ctx context.Context, in *revokeTokenIn) (*nothing, error) {
	if err := s.Tokens.Revoke(ctx, in.ID, nameOf(callerOf(ctx))); err != nil {
		return nil, err
	}
	return nil, nil
}

func tokenView(t *identity.Token) TokenView {
	v := TokenView{
		ID: t.ID, Kind: t.Kind, Subject: t.Subject, Scopes: t.Scopes,
		Created: t.Created, Expires: t.Expires, CreatedBy: t.CreatedBy, Revoked: t.Revoked,
	}
	for _, a := range t.Chain {
		v.Actors = append(v.Actors, a.ID)
	}
	return v
}

// An Identity is who a credential stands for.
type Identity struct {
	Credential string    `json:"credential" doc:"Id, never the secret"`
	Kind       string    `json:"kind"`
	Scopes     []string  `json:"scopes"`
	Expires    time.Time `json:"expires"`
	Person     *Party    `json:"person,omitempty"`
	Groups     []string  `json:"groups,omitempty"`
	Subject    *Party    `json:"subject,omitempty"`
	Chain      []Party   `json:"chain,omitempty"`
}

type whoamiOut struct{ Body Identity }

func (s *server) whoami(ctx context.Context, _ *nothing) (*whoamiOut, error) {
	c := callerOf(ctx)
	if c == nil {
		return nil, problem(http.StatusUnauthorized, "credential", "Nobody.")
	}
	out := &whoamiOut{Body: Identity{Credential: c.Token, Kind: c.Kind, Scopes: c.Scopes, Expires: c.Expires}}
	if c.Person != nil {
		out.Body.Person, out.Body.Groups = &Party{ID: c.Person.ID, Name: c.Person.Name}, c.Person.Groups
	}
	if c.Asker != nil {
		out.Body.Subject = &Party{ID: c.Asker.Subject.ID, Name: c.Asker.Subject.Name}
		for _, a := range c.Asker.Chain {
			out.Body.Chain = append(out.Body.Chain, Party{ID: a.ID, Type: a.Type})
		}
	}
	return out, nil
}
