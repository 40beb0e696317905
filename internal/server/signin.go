package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/console"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/people"
	"github.com/assenthq/assent/internal/session"
)

// makeSessions makes the issuers and the keeper of who is signed in.
func (s *Server) makeSessions(k *keys) error {
	for i := range s.cfg.Issuers {
		is, err := s.makeIssuer(&s.cfg.Issuers[i])
		if err != nil {
			return err
		}
		s.issuers = append(s.issuers, is)
	}
	var err error
	s.sessions, err = session.New(session.Options{
		Box: s.box, Secrets: s.store, People: folk{s}, Key: k.seal, Issuers: s.issuers, Logger: s.log,
		Gone:       s.dir.Gone,
		FirstAdmin: func(account string) { s.dir.Grant(account, each(s.cfg.Admins, groupID)...) },
		Revoke: func(ctx context.Context, token, by string) error {
			err := revoking{s}.Revoke(ctx, token, by)
			if errors.Is(err, identity.ErrNoToken) {
				return nil
			}
			return err
		},
	})
	s.box.Watch("session", func(string) { s.lookAgain() }) // one that ended may be somebody's at a gate
	return err
}

func (s *Server) makeIssuer(c *IssuerConfig) (*oidc.Issuer, error) { return c.open(s.cfg, s.log) }

// ReachIssuers asks each configured issuer, for assent doctor: what keeps people from signing in, by name.
func ReachIssuers(ctx context.Context, c *Config) map[string]error {
	out := map[string]error{}
	for n := range c.Issuers {
		i, err := c.Issuers[n].open(c, slog.New(slog.DiscardHandler))
		if err == nil {
			err = i.Reach(ctx)
			i.Close()
		}
		out[c.Issuers[n].Name] = err
	}
	return out
}

func (c *IssuerConfig) open(cfg *Config, log *slog.Logger) (*oidc.Issuer, error) {
	o := oidc.Config{
		Name: c.Name, Issuer: c.Issuer, ClientID: c.ClientID, Scopes: c.Scopes, SubjectClaim: c.SubjectClaim, GroupsClaim: c.GroupsClaim, NameClaim: c.NameClaim,
		Params: c.Params, Entra: c.Entra, Logger: log,
	}
	if c.ClientSecret != nil {
		o.Secret = func(ctx context.Context) ([]byte, error) { return c.ClientSecret.Read(ctx, cfg) }
	}
	if c.CA != "" {
		pem, err := os.ReadFile(cfg.path(c.CA))
		if err != nil {
			return nil, fmt.Errorf("issuer %s: %w", c.Name, err)
		}
		if o.Roots = x509.NewCertPool(); !o.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("issuer %s: %s holds no certificate in PEM form", c.Name, c.CA)
		}
	}
	return oidc.New(o)
}

// folk tells the directory what issuers say, after a look at who may enter.
type folk struct{ s *Server }

func (f folk) claims(c session.Claims) people.Claims {
	return people.Claims{Issuer: c.Issuer, URL: c.URL, Subject: c.Subject, Name: c.Name, Email: c.Email, Groups: c.Groups, Object: c.Object, AuthTime: c.AuthTime, Until: c.Until}
}

func (f folk) SignedIn(ctx context.Context, c session.Claims) (identity.Person, error) {
	if err := f.mayEnter(ctx, &c); err != nil {
		return identity.Person{}, err
	}
	return f.s.dir.SignedIn(ctx, f.claims(c))
}

func (f folk) Refreshed(ctx context.Context, c session.Claims) (identity.Person, error) {
	if err := f.mayEnter(ctx, &c); err != nil {
		return identity.Person{}, errors.Join(err, f.s.dir.Left(ctx, c.Account(), "in no group that is known here"))
	}
	return f.s.dir.Refreshed(ctx, f.claims(c))
}

func (f folk) Holds(account string, until time.Time) { f.s.dir.Holds(account, until) }
func (f folk) Idle(account string)                   { f.s.dir.Idle(account) }
func (f folk) Left(ctx context.Context, account, why string) error {
	return f.s.dir.Left(ctx, account, why)
}

// mayEnter lets in whom the configuration knows: an account of a configured
// person, a member of a group that groups: names, the first administrator; never
// an account that provisioning disabled. Everyone else has an account at the issuer, and no business here: they don't
// even leave a row.
func (f folk) mayEnter(ctx context.Context, c *session.Claims) error {
	if f.s.dir.Gone(c.Account()) {
		return session.ErrNobody
	}
	cfg := f.s.cfg
	i := slices.IndexFunc(cfg.Issuers, func(i IssuerConfig) bool { return i.Name == c.Issuer })
	if i >= 0 && (cfg.Issuers[i].Everyone || c.First) {
		return nil
	}
	for _, g := range cfg.Groups {
		for _, id := range c.Groups {
			if slices.Contains(g.From, c.Issuer+"|"+id) {
				return nil
			}
		}
	}
	if f.s.dir.InMapped(c.Account()) {
		return nil
	}
	if p, ok := f.s.dir.Person(c.Account()); ok && f.configured(p.ID) {
		return nil // by configuration, or linked to somebody configured
	}
	account, _, err := f.s.sessions.FirstAdmin(ctx)
	if err != nil {
		return err
	}
	if account == c.Account() {
		return nil
	}
	return session.ErrNobody
}

func (f folk) configured(id string) bool {
	return slices.ContainsFunc(f.s.cfg.People, func(p PersonConfig) bool { return personID(p.ID) == id })
}

// administers tells whether a person is in a group that admins: names.
func (s *Server) administers(p *identity.Person) bool {
	return p.In(each(s.cfg.Admins, groupID)...)
}

// AdminLink makes the one-time link by which the first person to sign in with
// it becomes the first administrator; "" where people don't sign in through
// issuers, or somebody administers already.
func (s *Server) AdminLink(ctx context.Context) (string, error) {
	if len(s.issuers) == 0 {
		return "", nil
	}
	for _, g := range s.cfg.Admins {
		if len(s.dir.Members(groupID(g))) > 0 {
			return "", nil
		}
	}
	secret, err := s.sessions.Invite(ctx)
	if errors.Is(err, session.ErrHasAdmin) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return s.console.AdminLink(secret), nil
}

// signIns is what the console needs of issuers; nil where there are none.
func (s *Server) signIns() console.SignIns {
	if len(s.issuers) == 0 {
		return nil
	}
	return s.sessions
}

func (s *Server) logins() api.Logins {
	if len(s.issuers) == 0 {
		return nil
	}
	return &logins{s: s}
}

// issuerChecks name the issuers that don't answer. Who is signed in keeps
// working, so the server stays ready.
func (s *Server) issuerChecks() (out []api.Check) {
	for _, i := range s.issuers {
		out = append(out, api.Check{Name: "issuer " + i.Name(), Soft: true, Run: func(context.Context) error { return i.Err() }})
	}
	return out
}

// issuerNames is for messages.
func (s *Server) issuerNames() string {
	var out []string
	for _, i := range s.issuers {
		out = append(out, i.Name())
	}
	return strings.Join(out, ", ")
}
