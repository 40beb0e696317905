package actors

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/workload"
)

// Identifiers of RFC 8693.
const (
	GrantType   = "urn:ietf:params:oauth:grant-type:token-exchange"
	AccessToken = "urn:ietf:params:oauth:token-type:access_token" // one of ours
	IDToken     = "urn:ietf:params:oauth:token-type:id_token"     // an issuer's
	JWT         = "urn:ietf:params:oauth:token-type:jwt"          // an issuer's, or a JWT-SVID
)

// Lives of what is issued.
const (
	PersonLife  = 12 * time.Hour // longest, of a token that a person mints
	defaultLife = time.Hour
	taskLife    = time.Hour // longest, of a token for another's task
)

// A Request is what comes to the token endpoint (RFC 8693 section 2.1).
type Request struct {
	GrantType, RequestedType  string
	SubjectToken, SubjectType string
	ActorToken, ActorType     string
	Scope, Audience, Resource string
	Actor                     string        // requested_actor, ours: "agent:nightly-exporter"
	Life                      time.Duration // 0: as long as may be, an hour for what a person mints
}

// Issued is a token, shown this once.
type Issued struct {
	Text  string
	Token *identity.Token
}

// Codes of RFC 6749 section 5.2 and RFC 8693 section 2.2.2.
const (
	InvalidRequest   = "invalid_request"
	InvalidTarget    = "invalid_target"
	InvalidScope     = "invalid_scope"
	UnsupportedGrant = "unsupported_grant_type"
	Unavailable      = "temporarily_unavailable"
)

// An Error is a refusal that may be told.
type Error struct {
	Code   string
	Text   string // what is wrong and what to do, without any of the token
	Unsure bool   // nobody could say: it may work later
}

func (e *Error) Error() string { return e.Code + ": " + e.Text }

func refuse(code, text string) error { return &Error{Code: code, Text: text} }

// Exchange issues an actor's token. Its error is an *Error, unless something is
// broken on our side.
func (d *Desk) Exchange(ctx context.Context, r Request) (*Issued, error) {
	switch {
	case r.GrantType != GrantType:
		return nil, refuse(UnsupportedGrant, "only "+GrantType+" is supported here")
	case r.RequestedType != "" && r.RequestedType != AccessToken:
		return nil, refuse(InvalidRequest, "requested_token_type: only access tokens are issued")
	case r.Scope != "" && r.Scope != identity.ScopeAct:
		return nil, refuse(InvalidScope, "an actor's token carries act, and nothing else")
	case r.Audience != "" && r.Audience != d.o.Audience, r.Resource != "" && r.Resource != d.o.Audience:
		return nil, refuse(InvalidTarget, "tokens are issued for this server only: "+d.o.Audience)
	case r.Life < 0:
		return nil, refuse(InvalidRequest, "expires_in is not a number of seconds above 0")
	case (r.ActorToken == "") != (r.ActorType == ""):
		return nil, refuse(InvalidRequest, "actor_token and actor_token_type come together")
	case r.SubjectToken == "":
		return nil, refuse(InvalidRequest, "subject_token is missing")
	}
	switch {
	case r.SubjectType == AccessToken && r.ActorToken == "":
		return d.byPerson(ctx, r)
	case r.SubjectType == AccessToken && r.ActorType == AccessToken:
		return d.byDelegation(ctx, r)
	case (r.SubjectType == JWT || r.SubjectType == IDToken) && r.ActorToken == "":
		return d.byWorkload(ctx, r)
	case r.ActorToken != "":
		return nil, refuse(InvalidRequest, "a task is handed over with two tokens of this server (actor_token_type and subject_token_type access_token)")
	}
	return nil, refuse(InvalidRequest, "subject_token_type: "+AccessToken+", "+IDToken+" or "+JWT)
}

// check is who one of our own tokens stands for.
func (d *Desk) check(ctx context.Context, which, token string) (*identity.Caller, error) {
	c, err := d.o.Tokens.Check(ctx, token)
	if errors.Is(err, identity.ErrBadToken) || err == nil && !d.o.Clock().Before(c.Expires) {
		return nil, refuse(InvalidRequest, which+": not a valid token of this server; it may have expired or been revoked, or belong to another client certificate")
	}
	return c, err
}

// byPerson mints for an actor that the person owns. Administrators mint for any,
// and are behind it from then on.
func (d *Desk) byPerson(ctx context.Context, r Request) (*Issued, error) {
	c, err := d.check(ctx, "subject_token", r.SubjectToken)
	if err != nil {
		return nil, err
	}
	switch {
	case c.Person == nil:
		return nil, refuse(InvalidRequest, "subject_token: an actor's token can't make others; hand a task over with actor_token")
	case c.Person.ID == d.o.Machine:
		return nil, refuse(InvalidRequest, "subject_token: the server's own credential stands for no person whom an actor could act for; use assent token mint")
	case !c.Has(identity.ScopeMint) && !c.Has(identity.ScopeAdmin):
		return nil, refuse(InvalidScope, "subject_token: making tokens needs the scope mint")
	case r.Actor == "":
		return nil, refuse(InvalidRequest, "requested_actor is missing: name the actor the token is for, such as agent:nightly-exporter")
	}
	actor, known := d.o.Directory.ActorByID(r.Actor)
	owns := known && actor.Owner == c.Person.ID
	if !known || !owns && !c.Has(identity.ScopeAdmin) {
		d.o.Refused(ctx, r.Actor, c.Person.ID+" asked for a token of an actor that is not theirs")
		return nil, refuse(InvalidTarget, "requested_actor: not an actor of yours")
	}
	o := identity.Origin{Via: identity.ViaPerson}
	if owns {
		o.Owner = c.Person.ID
	}
	if err := d.inherit(ctx, &o, c.Token); err != nil {
		return nil, err
	}
	life := r.Life
	if life == 0 {
		life = defaultLife
	}
	return d.issue(ctx, actor, identity.MintRequest{
		Kind: identity.KindActor, Subject: c.Person.ID, Actors: []string{actor.ID}, TTL: min(life, PersonLife), NotAfter: c.Expires, By: c.Person.ID, Origin: o,
	})
}

// inherit makes a credential a parent of what is made from it.
func (d *Desk) inherit(ctx context.Context, o *identity.Origin, id string) error {
	parent, err := d.o.Tokens.Describe(ctx, id)
	if err != nil {
		return err
	}
	o.Parents = append([]string{id}, parent.Origin.Parents...)
	return nil
}

// byDelegation gives an actor another's task: both tokens are shown, the chain
// grows at the front, and nothing in it grows but that.
func (d *Desk) byDelegation(ctx context.Context, r Request) (*Issued, error) {
	acting, err := d.check(ctx, "actor_token", r.ActorToken)
	if err != nil {
		return nil, err
	}
	task, err := d.check(ctx, "subject_token", r.SubjectToken)
	if err != nil {
		return nil, err
	}
	if acting.Asker == nil || task.Asker == nil {
		return nil, refuse(InvalidRequest, "both tokens must be actors': a person acts through no one here but by minting")
	}
	actor, from := acting.Asker.Chain[0], task.Asker.Chain[0]
	chain := []string{actor.ID}
	for _, a := range task.Asker.Chain {
		chain = append(chain, a.ID)
	}
	switch {
	case len(acting.Asker.Chain) != 1:
		return nil, refuse(InvalidRequest, "actor_token: show the actor's own token, not one for another's task")
	case slices.Contains(chain[1:], actor.ID):
		return nil, refuse(InvalidRequest, "actor_token: this actor is in the chain already")
	case len(chain) > identity.MaxChain:
		return nil, refuse(InvalidRequest, "the chain would be too long")
	case task.Asker.Subject.ID == "":
		return nil, refuse(InvalidRequest, "subject_token: nobody is behind it whom another could act for")
	case r.Actor != "" && r.Actor != actor.ID:
		return nil, refuse(InvalidTarget, "requested_actor: is not the one whose actor_token this is")
	case !slices.Contains(from.MayAct, actor.ID):
		d.o.Refused(ctx, actor.ID, "asked to act for "+from.ID+", which its may_act doesn't name")
		return nil, refuse(InvalidTarget, "this actor may not act for that one (may_act in the configuration)")
	}
	one, err := d.o.Tokens.Describe(ctx, acting.Token)
	if err != nil {
		return nil, err
	}
	other, err := d.o.Tokens.Describe(ctx, task.Token)
	if err != nil {
		return nil, err
	}
	o, err := identity.Inherit(one, other)
	if err != nil {
		return nil, refuse(InvalidRequest, "the chain would be too long")
	}
	life := r.Life
	if life == 0 {
		life = taskLife
	}
	actor.Related = append(slices.Clone(actor.Related), o.Related...)
	return d.issue(ctx, actor, identity.MintRequest{
		Kind: identity.KindActor, Subject: task.Asker.Subject.ID, Actors: chain, TTL: min(life, taskLife), NotAfter: earlier(acting.Expires, task.Expires),
		By: actor.ID, Origin: o, Thumbprint: thumbprint(ctx),
	})
}

// byWorkload issues what a rule of the configuration says about a foreign token.
func (d *Desk) byWorkload(ctx context.Context, r Request) (*Issued, error) {
	p, err := d.o.Workloads.Verify(ctx, r.SubjectToken, r.Actor)
	switch {
	case errors.Is(err, workload.ErrIssuer):
		d.o.Logger.WarnContext(ctx, "a workload's token can't be checked", "err", err)
		return nil, &Error{Code: Unavailable, Text: "subject_token: the keys of its issuer can't be had now, so nobody can say whether it is good; try again", Unsure: true}
	case errors.Is(err, workload.ErrRefused):
		return nil, refuse(InvalidRequest, "subject_token: "+err.Error())
	case err != nil:
		return nil, err
	}
	actor, known := d.o.Directory.ActorByID(p.Rule.Actor)
	if !known {
		return nil, refuse(InvalidTarget, "rule "+p.Rule.Name+" leads to an actor that is not known here")
	}
	m := identity.MintRequest{
		Kind: identity.KindActor, Actors: []string{actor.ID}, TTL: p.Rule.Life, By: "workload:" + p.Rule.Name, Once: p.Once, Thumbprint: thumbprint(ctx),
		Origin: identity.Origin{Via: identity.ViaWorkload, Rule: p.Rule.Name, Foreign: short(p.Issuer + " " + p.Subject)},
	}
	if m.TTL == 0 {
		m.TTL, m.NotAfter = workload.LongestLife, p.Expires
	}
	if r.Life > 0 {
		m.TTL = min(m.TTL, r.Life)
	}
	if p.Person != "" {
		person, known := d.o.Directory.Person(p.Person)
		if !known {
			d.o.Refused(ctx, actor.ID, "rule "+p.Rule.Name+": nobody here is known by the token's claim "+p.Rule.Person.Claim)
			return nil, refuse(InvalidRequest, "subject_token: nobody here is known by its claim "+p.Rule.Person.Claim)
		}
		m.Subject = person.ID
		actor.Related = append(slices.Clone(actor.Related), person.ID)
	}
	if !m.NotAfter.IsZero() && !d.o.Clock().Before(m.NotAfter) {
		return nil, refuse(InvalidRequest, "subject_token: it has just expired: get a new one")
	}
	return d.issue(ctx, actor, m)
}

// issue notes who is behind the actor before there is a token.
func (d *Desk) issue(ctx context.Context, actor identity.Actor, m identity.MintRequest) (*Issued, error) {
	if m.Origin.Via == identity.ViaPerson {
		actor.Related = append(slices.Clone(actor.Related), m.By)
	}
	if err := d.o.Relate(ctx, []identity.Actor{actor}); err != nil {
		return nil, err
	}
	text, tok, err := d.o.Tokens.Mint(ctx, m)
	switch {
	case errors.Is(err, identity.ErrReplay):
		d.o.Refused(ctx, actor.ID, "a token that was exchanged already was shown again ("+m.Origin.Rule+")")
		return nil, refuse(InvalidRequest, "subject_token: it was exchanged already, and counts once: get a new one from its issuer (or reusable: true in the rule)")
	case errors.Is(err, identity.ErrBadToken):
		return nil, refuse(InvalidRequest, "what it would be made from no longer counts")
	case err != nil:
		return nil, err
	}
	return &Issued{Text: text, Token: tok}, nil
}

func thumbprint(ctx context.Context) string {
	if chain := identity.Certificates(ctx); len(chain) > 0 {
		return identity.Thumbprint(chain[0])
	}
	return ""
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// short bounds what goes into the log.
func short(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
