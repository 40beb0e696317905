// Package workload checks credentials that somebody else issued to a machine:
// the OpenID Connect tokens of GitHub Actions, GitLab and Kubernetes, SPIFFE
// JWT-SVIDs, and client certificates. A rule of the configuration says which of
// them stands for which actor.
//
// It promises that a token counts only when its issuer, audience, signature,
// times and claims are exactly what one rule asks for, and that nothing else in
// it is believed. It refuses what two parsers could read in two ways, what is
// good for somebody else too, and everything while the issuer's keys can't be
// had. It never makes a person or a reviewer: what it proves is an actor.
package workload

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Types of tokens a rule may be for.
const (
	OIDC       = "oidc"       // an ID token of any OpenID Connect issuer
	Kubernetes = "kubernetes" // a projected service account token
	SPIFFE     = "spiffe"     // a JWT-SVID
)

// Bounds that no rule can loosen.
const (
	LongestLife  = time.Hour               // of a token issued for one of these
	Skew         = 60 * time.Second        // between the issuer's clock and ours
	longestToken = 24 * time.Hour          // that a rule may accept
	defaultToken = time.Hour + time.Minute // Kubernetes' default is 3607 seconds
	maxToken     = 16 << 10                // bytes
)

// A Rule says which tokens of one issuer stand for one actor.
type Rule struct {
	Name   string
	Type   string // OIDC, Kubernetes or SPIFFE
	Issuer string // exactly as in iss; of SPIFFE the trust domain, "spiffe://example.org"
	// Audience must be the token's only one: a token that is good elsewhere
	// too could be sent here by whoever receives it there.
	Audience string
	Match    map[string]string // claim to value, or to a pattern (see Pattern); all must hold
	Actor    string            // "pipeline:deployer"
	Person   *PersonClaim      // nil: the actor's owner is behind it
	// Life of what is issued, at most LongestLife. 0: it ends with the token that was shown.
	Life      time.Duration
	TokenLife time.Duration // longest life of a token that is shown; 0: an hour
	Reusable  bool          // the same token may be shown again until it expires
	Keys      string        // file with the issuer's keys (JWKS or SPIFFE bundle); "": discovery, of SPIFFE Bundle
	Bundle    string        // SPIFFE bundle endpoint (https_web)
	CA        string        // PEM file of authorities that may sign the issuer's certificate; "": the system's
}

// A PersonClaim finds the person behind a token in a claim that the issuer
// fills in, and its users can't.
type PersonClaim struct {
	Claim   string
	People  map[string]string // value to person id
	Account string            // or: value is an account of this name, "github" for "github|583231"
}

// A Proof is what a token was found to say.
type Proof struct {
	Rule    Rule
	Issuer  string
	Subject string    // sub
	Expires time.Time // of the token
	// Once names the token where it counts only once, "" where it may come again.
	Once string
	// Person is the person id, or the account "github|583231"; "" when the rule names no claim.
	Person string
}

// Errors of Verify. What wraps ErrRefused may be told to whoever sent the token.
var (
	ErrRefused = errors.New("the token is not accepted")
	ErrIssuer  = errors.New("the issuer's keys can't be had")
)

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// Check says what is wrong with a rule, nil if nothing is.
func (r *Rule) Check() error {
	for _, f := range []func() error{r.checkIssuer, r.checkMatch, r.checkPerson, r.checkTimes} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rule) checkIssuer() error {
	u, err := url.Parse(r.Issuer)
	switch {
	case r.Type != OIDC && r.Type != Kubernetes && r.Type != SPIFFE:
		return fmt.Errorf("type: %q is none of oidc, kubernetes and spiffe", r.Type)
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("issuer: not a plain URL")
	case r.Type == SPIFFE && (u.Scheme != "spiffe" || u.Path != "" || u.Port() != ""):
		return errors.New("issuer: of spiffe it is the trust domain, such as spiffe://example.org")
	case r.Type != SPIFFE && !secureURL(u):
		return errors.New("issuer: must be https (http is for loopback only)")
	case r.Type == SPIFFE && (r.Keys == "") == (r.Bundle == ""):
		return errors.New("a trust domain needs one of jwks (a bundle file) and bundle (its https endpoint)")
	case r.Type != SPIFFE && r.Bundle != "":
		return errors.New("bundle: is for spiffe only")
	case r.Audience == "":
		return errors.New("audience: is missing: name one that no other service has, such as the public URL")
	case r.Actor == "":
		return errors.New("actor: is missing")
	}
	if r.Bundle != "" {
		if b, err := url.Parse(r.Bundle); err != nil || b.Host == "" || !secureURL(b) {
			return errors.New("bundle: must be an https URL")
		}
	}
	return nil
}

// secureURL says that what is fetched from u can't be changed on the way.
func secureURL(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}

// shared are issuers that give tokens to everybody: a rule must say whose it means.
var shared = map[string][]string{
	"https://token.actions.githubusercontent.com": {"sub", "repository", "repository_id", "repository_owner", "repository_owner_id", "job_workflow_ref"},
	"https://gitlab.com":                          {"sub", "project_path", "project_id", "namespace_path", "namespace_id", "ci_config_ref_uri"},
	"https://accounts.google.com":                 {"sub"},
}

func (r *Rule) checkMatch() error {
	if len(r.Match) == 0 {
		return errors.New("match: is missing: without it every token of this issuer would be this actor")
	}
	for claim, pattern := range r.Match {
		switch {
		case claim == "" || strings.Contains("|iss|aud|exp|nbf|iat|jti|", "|"+claim+"|"):
			return fmt.Errorf("match: %q is checked anyway", claim)
		case badPattern(pattern):
			return fmt.Errorf("match.%s: a value, in which * stands for characters other than / and : but not at the start", claim)
		}
	}
	if names, is := shared[strings.TrimSuffix(r.Issuer, "/")]; is && !anyOf(r.Match, names) {
		return fmt.Errorf("match: this issuer gives tokens to everybody: say whose by one of %s", strings.Join(names, ", "))
	}
	return nil
}

func anyOf(m map[string]string, names []string) bool {
	for _, n := range names {
		if m[n] != "" {
			return true
		}
	}
	return false
}

func (r *Rule) checkPerson() error {
	switch p := r.Person; {
	case p == nil:
	case p.Claim == "":
		return errors.New("person.claim: is missing")
	case (len(p.People) == 0) == (p.Account == ""):
		return errors.New("person: needs one of people (value to person) and account (the issuer's name in people's accounts)")
	case r.Match[p.Claim] != "":
		return errors.New("person.claim: is fixed by match already: use the actor's owner")
	case userEditable[p.Claim]:
		return fmt.Errorf("person.claim: %q can be chosen by users or given to another person later: name an immutable id, such as actor_id or user_id", p.Claim)
	}
	return nil
}

// userEditable are claims that say what an account calls itself.
var userEditable = map[string]bool{
	"actor": true, "user_login": true, "user_email": true, "email": true, "name": true, "preferred_username": true, "nickname": true, "upn": true, "unique_name": true, "login": true,
}

func (r *Rule) checkTimes() error {
	switch {
	case r.Life < 0 || r.Life > LongestLife:
		return fmt.Errorf("life: is at most %s", LongestLife)
	case r.TokenLife < 0 || r.TokenLife > longestToken:
		return fmt.Errorf("token_life: is at most %s", longestToken)
	}
	return nil
}

// A Verifier checks tokens against rules. It is safe for concurrent use.
type Verifier struct {
	rules   []Rule
	sources map[string]*source // by name of the rule
	now     func() time.Time
}

// New reads no key yet: an issuer that is down is no reason not to start.
func New(rules []Rule, now func() time.Time) (*Verifier, error) {
	if now == nil {
		now = time.Now
	}
	v := &Verifier{sources: map[string]*source{}, now: now}
	same := map[[4]string]*source{}
	for _, r := range rules {
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("workload %s: %w", r.Name, err)
		}
		if v.sources[r.Name] != nil || r.Name == "" {
			return nil, fmt.Errorf("workload %q: each needs a name of its own", r.Name)
		}
		key := [4]string{r.Issuer, r.Keys, r.Bundle, r.CA}
		if same[key] == nil {
			s, err := newSource(&r, now)
			if err != nil {
				return nil, fmt.Errorf("workload %s: %w", r.Name, err)
			}
			same[key] = s
		}
		v.sources[r.Name] = same[key]
		v.rules = append(v.rules, r)
	}
	return v, nil
}

// Holds says whether a rule still leads to an actor: what was issued by it ends with it.
func (v *Verifier) Holds(rule, actor string) bool {
	for _, r := range v.rules {
		if r.Name == rule {
			return r.Actor == actor
		}
	}
	return false
}

// Rules are the rules, as they were given.
func (v *Verifier) Rules() []Rule { return v.rules }

// Verify says which actor token stands for. actor chooses among several that
// it could; "" is for where there is one.
func (v *Verifier) Verify(ctx context.Context, token, actor string) (*Proof, error) {
	t, err := parse(token)
	if err != nil {
		return nil, err
	}
	var found []Rule
	var refused error
	checked := map[*source]error{}
	for _, r := range v.rules {
		if !t.from(&r) {
			continue
		}
		s := v.sources[r.Name]
		err, done := checked[s]
		if !done {
			err = s.verify(ctx, t)
			checked[s] = err
		}
		if err == nil {
			err = t.fits(&r, v.now())
		}
		switch {
		case err != nil && (refused == nil || errors.Is(err, ErrIssuer)):
			refused = err
		case err == nil && (actor == "" || actor == r.Actor):
			found = append(found, r)
		}
	}
	return v.conclude(t, found, refused)
}

func (v *Verifier) conclude(t *token, found []Rule, refused error) (*Proof, error) {
	switch {
	case len(found) == 0 && refused != nil:
		return nil, refused
	case len(found) == 0:
		return nil, refuse("no rule under workloads is for this issuer and actor")
	}
	for _, r := range found[1:] {
		if r.Actor != found[0].Actor {
			return nil, refuse("it fits several actors: name one by requested_actor")
		}
	}
	r := found[0]
	p := &Proof{Rule: r, Issuer: r.Issuer, Subject: t.text("sub"), Expires: t.expires}
	if !r.Reusable {
		p.Once = r.Issuer + "\x00" + t.once()
	}
	if r.Person != nil {
		who, err := r.Person.of(t)
		if err != nil {
			return nil, err
		}
		p.Person = who
	}
	return p, nil
}

func (c *PersonClaim) of(t *token) (string, error) {
	value, ok := t.claim(c.Claim)
	if !ok || value == "" {
		return "", refuse("claim %s, which names the person behind it, is missing", c.Claim)
	}
	if c.Account != "" {
		return c.Account + "|" + value, nil
	}
	if id := c.People[value]; id != "" {
		return id, nil
	}
	return "", refuse("nobody here is known by its claim %s", c.Claim)
}
