package actors_test

import (
	"context"
	"crypto/x509"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/store/sqlite"
	"github.com/assenthq/assent/internal/workload"
	"github.com/assenthq/assent/internal/workload/workloadtest"
)

const here = "https://assent.example.com"

var ctx = context.Background()

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A house is the desk on a real store and log, with a real issuer.
type house struct {
	*actors.Desk
	t      testing.TB
	tokens *identity.Tokens
	store  *sqlite.Store
	issuer *workloadtest.Issuer
	now    time.Time

	mu      sync.Mutex // guards what follows
	dir     *identity.Static
	rules   *workload.Verifier
	related []identity.Actor
	refused []string
}

func (h *house) directory() *identity.Static {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dir
}

func (h *house) Person(id string) (identity.Person, bool)   { return h.directory().Person(id) }
func (h *house) Members(g string) []identity.Person         { return h.directory().Members(g) }
func (h *house) ActorByID(id string) (identity.Actor, bool) { return h.directory().ActorByID(id) }

func (h *house) Verify(ctx context.Context, token, actor string) (*workload.Proof, error) {
	h.mu.Lock()
	v := h.rules
	h.mu.Unlock()
	return v.Verify(ctx, token, actor)
}

func (h *house) holds(rule, actor string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rules.Holds(rule, actor)
}

func everybody() []identity.Person {
	return []identity.Person{
		{ID: "person:dana"}, {ID: "person:mira", Accounts: []string{"github|583231"}}, {ID: "person:ada"}, {ID: "person:operator"}, {ID: "person:olaf"},
	}
}

func all() []identity.Actor {
	return []identity.Actor{
		{ID: "agent:x", Type: "agent", Owner: "person:dana", MayAct: []string{"agent:y"}},
		{ID: "agent:y", Type: "agent", Owner: "person:olaf", MayAct: []string{"agent:z", "agent:x"}},
		{ID: "agent:z", Type: "agent", Owner: "person:dana", MayAct: []string{"agent:w"}},
		{ID: "agent:w", Type: "agent", Owner: "person:dana", MayAct: []string{"agent:v"}},
		{ID: "agent:v", Type: "agent", Owner: "person:dana"},
		{ID: "pipeline:deployer", Type: "pipeline", Owner: "person:dana"},
	}
}

func (h *house) set(people []identity.Person, list []identity.Actor) {
	h.t.Helper()
	d := must(identity.NewStatic(people, list))(h.t)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dir = d
}

func (h *house) setRules(rules ...workload.Rule) {
	h.t.Helper()
	v := must(workload.New(rules, nil))(h.t)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rules = v
}

func (h *house) rule() workload.Rule {
	return workload.Rule{
		Name: "deploy", Type: workload.OIDC, Issuer: h.issuer.URL, Audience: here, Actor: "pipeline:deployer",
		Match: map[string]string{"sub": "repo:acme/shop:ref:refs/heads/main"},
	}
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, issuer: workloadtest.New(t), now: time.Now()}
	h.set(everybody(), all())
	h.setRules(h.rule())
	dir := t.TempDir()
	h.store = must(sqlite.Open(ctx, filepath.Join(dir, "data")))(t)
	t.Cleanup(func() { _ = h.store.Close() })
	key := must(audit.LoadOrCreateKey(filepath.Join(dir, "key"), "test/log"))(t)
	log := must(audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}}))(t)
	if err := log.Open(ctx, h.store); err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return h.now }
	h.tokens = must(identity.NewTokens(identity.TokenOptions{
		Store: h.store, Directory: h, SealKey: []byte(strings.Repeat("k", 32)), Clock: clock, Rule: h.holds,
		Record: func(ctx context.Context, tx identity.TokenTx, c identity.TokenChange) error {
			return log.Append(ctx, tx.(audit.Tx), &audit.Record{Type: audit.TypeToken, Detail: map[string]string{"what": c.What, "token": c.Token.ID}})
		},
	}))(t)
	h.Desk = must(actors.New(actors.Options{
		Tokens: h.tokens, Workloads: h, Directory: h, Audience: here, Machine: "person:operator", Clock: clock,
		Relate: func(_ context.Context, list []identity.Actor) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.related = append(h.related, list...)
			return nil
		},
		Refused: func(_ context.Context, actor, detail string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.refused = append(h.refused, actor+": "+detail)
		},
	}))(t)
	return h
}

func (h *house) mint(m identity.MintRequest) (string, string) {
	h.t.Helper()
	m.By = "test"
	text, tok, err := h.tokens.Mint(ctx, m)
	if err != nil {
		h.t.Fatal(err)
	}
	return text, tok.ID
}

func (h *house) person(id string, scopes ...string) (string, string) {
	return h.mint(identity.MintRequest{Kind: identity.KindPerson, Subject: id, Scopes: scopes, TTL: 8 * time.Hour})
}

func (h *house) agent(id string) (string, string) {
	return h.mint(identity.MintRequest{Kind: identity.KindActor, Actors: []string{id}, TTL: 8 * time.Hour})
}

func byPerson(token, actor string) actors.Request {
	return actors.Request{GrantType: actors.GrantType, SubjectToken: token, SubjectType: actors.AccessToken, Actor: actor}
}

func handOver(actorToken, subjectToken string) actors.Request {
	return actors.Request{GrantType: actors.GrantType, SubjectToken: subjectToken, SubjectType: actors.AccessToken, ActorToken: actorToken, ActorType: actors.AccessToken}
}

func byToken(token string) actors.Request {
	return actors.Request{GrantType: actors.GrantType, SubjectToken: token, SubjectType: actors.JWT}
}

func (h *house) get(r actors.Request) *actors.Issued {
	h.t.Helper()
	return must(h.Exchange(ctx, r))(h.t)
}

func (h *house) refuses(what string, r actors.Request, code string) {
	h.t.Helper()
	issued, err := h.Exchange(ctx, r)
	var refused *actors.Error
	if issued != nil || !errors.As(err, &refused) || refused.Code != code {
		h.t.Errorf("%s: %+v, %v, want %s", what, issued, err, code)
	}
}

func (h *house) dead(what, token string) {
	h.t.Helper()
	if _, err := h.tokens.Check(ctx, token); !errors.Is(err, identity.ErrBadToken) {
		h.t.Errorf("%s: the token still counts: %v", what, err)
	}
}

func (h *house) caller(token string) *identity.Caller {
	h.t.Helper()
	return must(h.tokens.Check(ctx, token))(h.t)
}

func TestAPersonMintsForTheirAgent(t *testing.T) {
	h := newHouse(t)
	dana, _ := h.person("person:dana", "mint")
	got := h.get(byPerson(dana, "agent:x"))
	c := h.caller(got.Text)
	if c.Kind != identity.KindActor || !slices.Equal(c.Scopes, []string{"act"}) || c.Asker.Subject.ID != "person:dana" || len(c.Asker.Chain) != 1 || c.Asker.Chain[0].ID != "agent:x" {
		t.Fatalf("issued %+v", c)
	}
	if life := got.Token.Expires.Sub(h.now); life != time.Hour {
		t.Errorf("it lives %s", life)
	}
	h.refuses("another's agent", byPerson(dana, "agent:y"), actors.InvalidTarget)
	h.refuses("no such agent", byPerson(dana, "agent:none"), actors.InvalidTarget)
	h.refuses("a person", byPerson(dana, "person:dana"), actors.InvalidTarget)
	h.refuses("nobody", byPerson(dana, ""), actors.InvalidRequest)
	if len(h.refused) != 3 {
		t.Errorf("on record: %q", h.refused)
	}
	long := byPerson(dana, "agent:x")
	long.Life = 100 * time.Hour
	if got := h.get(long); !got.Token.Expires.Equal(h.now.Add(8 * time.Hour).UTC()) {
		t.Errorf("it outlives what it was made from: %s", got.Token.Expires.Sub(h.now))
	}
	ada, _ := h.person("person:ada", "admin")
	adas := h.get(byPerson(ada, "agent:x"))
	ex := h.caller(adas.Text).Asker.Excluded()
	for _, p := range []string{"person:ada", "person:dana"} {
		if ex[p] == "" {
			t.Errorf("%s may review what an administrator's token asks: %v", p, ex)
		}
	}
	if last := h.related[len(h.related)-1]; last.ID != "agent:x" || !slices.Contains(last.Related, "person:ada") {
		t.Errorf("related: %+v", last)
	}
}

// What can't mint, by any of the ways to try.
func TestWhatCanNotMint(t *testing.T) {
	h := newHouse(t)
	for _, scopes := range [][]string{{"read"}, {"review"}, {"read", "review"}} {
		token, _ := h.person("person:dana", scopes...)
		h.refuses(strings.Join(scopes, "+"), byPerson(token, "agent:x"), actors.InvalidScope)
	}
	operator, _ := h.person("person:operator", "admin", "read")
	h.refuses("the server's own credential", byPerson(operator, "agent:x"), actors.InvalidRequest)
	x, _ := h.agent("agent:x")
	h.refuses("an agent for itself", byPerson(x, "agent:x"), actors.InvalidRequest)
	h.refuses("an agent for another", byPerson(x, "agent:y"), actors.InvalidRequest)
	gate, _ := h.mint(identity.MintRequest{Kind: identity.KindGate})
	h.refuses("a gate", byPerson(gate, "agent:x"), actors.InvalidRequest)
	dana, _ := h.person("person:dana", "mint")
	good := byPerson(dana, "agent:x")
	for name, c := range map[string]struct {
		change func(*actors.Request)
		code   string
	}{
		"review scope":        {func(r *actors.Request) { r.Scope = "review" }, actors.InvalidScope},
		"act and review":      {func(r *actors.Request) { r.Scope = "act review" }, actors.InvalidScope},
		"admin scope":         {func(r *actors.Request) { r.Scope = "admin" }, actors.InvalidScope},
		"scope in capitals":   {func(r *actors.Request) { r.Scope = "Review" }, actors.InvalidScope},
		"another grant":       {func(r *actors.Request) { r.GrantType = "client_credentials" }, actors.UnsupportedGrant},
		"device code":         {func(r *actors.Request) { r.GrantType = "urn:ietf:params:oauth:grant-type:device_code" }, actors.UnsupportedGrant},
		"no grant":            {func(r *actors.Request) { r.GrantType = "" }, actors.UnsupportedGrant},
		"a refresh token":     {func(r *actors.Request) { r.RequestedType = "urn:ietf:params:oauth:token-type:refresh_token" }, actors.InvalidRequest},
		"another audience":    {func(r *actors.Request) { r.Audience = "https://other.example.com" }, actors.InvalidTarget},
		"another resource":    {func(r *actors.Request) { r.Resource = "https://other.example.com" }, actors.InvalidTarget},
		"a negative life":     {func(r *actors.Request) { r.Life = -1 }, actors.InvalidRequest},
		"no token":            {func(r *actors.Request) { r.SubjectToken = "" }, actors.InvalidRequest},
		"half an actor token": {func(r *actors.Request) { r.ActorToken = x }, actors.InvalidRequest},
		"ours as a JWT":       {func(r *actors.Request) { r.SubjectType = actors.JWT }, actors.InvalidRequest},
		"ours as an ID token": {func(r *actors.Request) { r.SubjectType = actors.IDToken }, actors.InvalidRequest},
		"a SAML assertion":    {func(r *actors.Request) { r.SubjectType = "urn:ietf:params:oauth:token-type:saml2" }, actors.InvalidRequest},
		"a JWT as ours":       {func(r *actors.Request) { r.SubjectToken = h.issuer.Sign(t, h.issuer.Claims(here, nil)) }, actors.InvalidRequest},
		"a JWT as actor": {func(r *actors.Request) {
			r.ActorToken, r.ActorType = h.issuer.Sign(t, h.issuer.Claims(here, nil)), actors.JWT
		}, actors.InvalidRequest},
		"a person as actor": {func(r *actors.Request) { r.ActorToken, r.ActorType = dana, actors.AccessToken }, actors.InvalidRequest},
	} {
		r := good
		c.change(&r)
		h.refuses(name, r, c.code)
	}
	h.get(good)
}

// What a token was made from ends it: credential, minter, ownership, actor.
func TestWhatEndsAMintedToken(t *testing.T) {
	for name, end := range map[string]func(h *house, parent string){
		"the credential is revoked": func(h *house, parent string) {
			if err := h.tokens.Revoke(ctx, parent, "test"); err != nil {
				h.t.Fatal(err)
			}
		},
		"the minter leaves": func(h *house, _ string) {
			people := everybody()
			list := all()
			for i := range list {
				if list[i].Owner == "person:dana" {
					list[i].Owner = "person:mira"
				}
			}
			h.set(people[1:], list)
		},
		"the agent is handed over": func(h *house, _ string) {
			list := all()
			list[0].Owner = "person:mira"
			h.set(everybody(), list)
		},
		"the agent is retired": func(h *house, _ string) { h.set(everybody(), all()[1:]) },
		"its row is edited": func(h *house, parent string) {
			if err := h.store.UpdateTokens(ctx, func(tx identity.TokenTx) error {
				return tx.PutToken(ctx, identity.TokenRow{ID: parent, Body: []byte("{}"), MAC: []byte{}})
			}); err != nil {
				h.t.Fatal(err)
			}
		},
	} {
		h := newHouse(t)
		dana, parent := h.person("person:dana", "mint")
		got := h.get(byPerson(dana, "agent:x"))
		h.caller(got.Text)
		end(h, parent)
		h.dead(name, got.Text)
		if _, err := h.tokens.ByUser(ctx, got.Token.User()); err == nil {
			t.Errorf("%s: the gate still takes it", name)
		}
		if _, err := h.tokens.Proved(ctx, got.Token.ID); err == nil {
			t.Errorf("%s: a connection goes on", name)
		}
	}
}

// A task is handed over: the chain grows, and nobody in it is lost.
func TestDelegation(t *testing.T) {
	h := newHouse(t)
	mira, _ := h.person("person:mira", "admin")
	x := h.get(byPerson(mira, "agent:x")) // for mira, by mira; dana owns it
	y, yID := h.agent("agent:y")          // olaf's
	got := h.get(handOver(y, x.Text))
	c := h.caller(got.Text)
	if c.Asker.Subject.ID != "person:mira" || len(c.Asker.Chain) != 2 || c.Asker.Chain[0].ID != "agent:y" || c.Asker.Chain[1].ID != "agent:x" || !slices.Equal(c.Scopes, []string{"act"}) {
		t.Fatalf("issued %+v", c)
	}
	ex := c.Asker.Excluded()
	for _, who := range []string{"person:mira", "person:dana", "person:olaf", "agent:x", "agent:y"} {
		if ex[who] == "" {
			t.Errorf("%s is not excluded: %v", who, ex)
		}
	}
	if got.Token.Expires.After(x.Token.Expires) {
		t.Error("it gained life")
	}
	h.refuses("the other way round, without a word of y", handOver(x.Text, x.Text), actors.InvalidRequest)
	z, _ := h.agent("agent:z")
	h.refuses("whom x doesn't name", handOver(z, x.Text), actors.InvalidTarget)
	zy := h.get(handOver(z, got.Text)) // z for y for x for mira
	w, _ := h.agent("agent:w")
	wzy := h.get(handOver(w, zy.Text))
	if n := len(h.caller(wzy.Text).Asker.Chain); n != 4 {
		t.Errorf("a chain of %d", n)
	}
	v, _ := h.agent("agent:v")
	h.refuses("a fifth", handOver(v, wzy.Text), actors.InvalidRequest)
	h.refuses("a task's token as one's own", handOver(zy.Text, x.Text), actors.InvalidRequest)
	x2, _ := h.agent("agent:x")
	h.refuses("one that is in the chain already", handOver(x2, got.Text), actors.InvalidRequest)
	if err := h.tokens.Revoke(ctx, yID, "test"); err != nil {
		t.Fatal(err)
	}
	for what, token := range map[string]string{"y's": got.Text, "z's": zy.Text, "w's": wzy.Text} {
		h.dead(what+" after y's own was revoked", token)
	}
}

// Whom the acting one worked for before stays out, though the task is for another.
func TestDelegationKeepsWhomItWorkedFor(t *testing.T) {
	h := newHouse(t)
	x, _ := h.agent("agent:x")
	y, _ := h.mint(identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:y"}, Subject: "person:ada", TTL: time.Hour})
	c := h.caller(h.get(handOver(y, x)).Text)
	if c.Asker.Subject.ID != "person:dana" || c.Asker.Excluded()["person:ada"] == "" {
		t.Errorf("for %s, excluded %v", c.Asker.Subject.ID, c.Asker.Excluded())
	}
}

// What no longer holds of a link ends everything that stands on it.
func TestWhatEndsADelegation(t *testing.T) {
	for name, end := range map[string]func(*house){
		"may_act is taken back":    func(h *house) { list := all(); list[0].MayAct = nil; h.set(everybody(), list) },
		"the acting one leaves":    func(h *house) { list := all(); h.set(everybody(), slices.Delete(list, 1, 2)) },
		"the rule is removed":      func(h *house) { h.setRules() },
		"the rule leads elsewhere": func(h *house) { r := h.rule(); r.Actor = "agent:v"; h.setRules(r) },
	} {
		h := newHouse(t)
		list := all()
		list[5].MayAct = []string{"agent:y"}
		list[0].MayAct = []string{"agent:y"}
		h.set(everybody(), list)
		mira, _ := h.person("person:mira", "admin")
		first := h.get(byPerson(mira, "agent:x"))
		if strings.Contains(name, "rule") {
			first = h.get(byToken(h.issuer.Sign(t, h.issuer.Claims(here, nil))))
		}
		y, _ := h.agent("agent:y")
		got := h.get(handOver(y, first.Text))
		h.caller(got.Text)
		end(h)
		h.dead(name, got.Text)
	}
}

func TestAWorkloadsOwnToken(t *testing.T) {
	h := newHouse(t)
	claims := h.issuer.Claims(here, nil)
	token := h.issuer.Sign(t, claims)
	got := h.get(byToken(token))
	c := h.caller(got.Text)
	if c.Asker.Chain[0].ID != "pipeline:deployer" || c.Asker.Subject.ID != "person:dana" || !slices.Equal(c.Scopes, []string{"act"}) || got.Token.Expires.Unix() != claims["exp"] {
		t.Fatalf("issued %+v", c)
	}
	h.refuses("shown again", byToken(token), actors.InvalidRequest)
	idToken := byToken(token)
	idToken.SubjectType = actors.IDToken
	h.refuses("shown again as another type", idToken, actors.InvalidRequest)
	if len(h.refused) != 2 {
		t.Errorf("on record: %q", h.refused)
	}
	again := h.issuer.Claims(here, map[string]any{"jti": claims["jti"], "exp": claims["exp"].(int64) + 1})
	h.refuses("another token of the same id", byToken(h.issuer.Sign(t, again)), actors.InvalidRequest)
	h.get(byToken(h.issuer.Sign(t, h.issuer.Claims(here, nil))))

	h.issuer.Down(true)
	h.setRules(h.rule()) // keys are asked for anew
	_, err := h.Exchange(ctx, byToken(h.issuer.Sign(t, h.issuer.Claims(here, nil))))
	var refused *actors.Error
	if !errors.As(err, &refused) || !refused.Unsure || strings.Contains(refused.Text, "127.0.0.1") {
		t.Errorf("while the issuer is down: %v", err)
	}
	h.caller(got.Text) // who is in stays in
	h.setRules()
	h.dead("its rule was removed", got.Text)
}

// Ten at once with one token get one.
func TestReplayAtTheSameTime(t *testing.T) {
	h := newHouse(t)
	token := h.issuer.Sign(t, h.issuer.Claims(here, nil))
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := 0
	for range 10 {
		wg.Go(func() {
			if _, err := h.Exchange(ctx, byToken(token)); err == nil {
				mu.Lock()
				defer mu.Unlock()
				got++
			}
		})
	}
	wg.Wait()
	if got != 1 {
		t.Errorf("%d tokens for one", got)
	}
}

func TestTheLifeOfARule(t *testing.T) {
	h := newHouse(t)
	r := h.rule()
	r.Life, r.Reusable = 30*time.Minute, true
	h.setRules(r)
	token := h.issuer.Sign(t, h.issuer.Claims(here, nil))
	req := byToken(token)
	for range 2 {
		if got := h.get(req); got.Token.Expires.Sub(h.now.UTC()) != 30*time.Minute {
			t.Errorf("it lives %s", got.Token.Expires.Sub(h.now))
		}
	}
	req.Life = time.Minute
	if got := h.get(req); got.Token.Expires.Sub(h.now.UTC()) != time.Minute {
		t.Errorf("asked for a minute: %s", got.Token.Expires.Sub(h.now))
	}
	req.Life = 10 * time.Hour
	if got := h.get(req); got.Token.Expires.Sub(h.now.UTC()) != 30*time.Minute {
		t.Errorf("asked for more: %s", got.Token.Expires.Sub(h.now))
	}
}

// The person behind a pipeline is excluded; who isn't known is nobody.
func TestTheStarterOfAPipeline(t *testing.T) {
	h := newHouse(t)
	r := h.rule()
	r.Person = &workload.PersonClaim{Claim: "actor_id", Account: "github"}
	h.setRules(r)
	got := h.get(byToken(h.issuer.Sign(t, h.issuer.Claims(here, map[string]any{"actor_id": "583231"}))))
	ex := h.caller(got.Text).Asker.Excluded()
	if got.Token.Subject != "person:mira" || ex["person:mira"] == "" || ex["person:dana"] == "" {
		t.Errorf("for %s, excluded %v", got.Token.Subject, ex)
	}
	h.refuses("somebody unknown", byToken(h.issuer.Sign(t, h.issuer.Claims(here, map[string]any{"actor_id": "1"}))), actors.InvalidRequest)
	h.refuses("nobody", byToken(h.issuer.Sign(t, h.issuer.Claims(here, nil))), actors.InvalidRequest)
	if last := h.related[len(h.related)-1]; !slices.Contains(last.Related, "person:mira") {
		t.Errorf("related: %+v", last)
	}
}

// A token got over mutual TLS is good with that certificate alone, and so is what is made from it.
func TestBoundToACertificate(t *testing.T) {
	h := newHouse(t)
	one, two := &x509.Certificate{Raw: []byte("one")}, &x509.Certificate{Raw: []byte("two")}
	with := func(c *x509.Certificate) context.Context {
		return identity.WithCertificates(ctx, []*x509.Certificate{c})
	}
	got := must(h.Exchange(with(one), byToken(h.issuer.Sign(t, h.issuer.Claims(here, nil)))))(t)
	if got.Token.Thumbprint != identity.Thumbprint(one) {
		t.Fatal("it is not bound")
	}
	for what, ctx := range map[string]context.Context{"without": ctx, "with another": with(two)} {
		if _, err := h.tokens.Check(ctx, got.Text); !errors.Is(err, identity.ErrBadToken) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := h.tokens.ByUser(ctx, got.Token.User()); !errors.Is(err, identity.ErrBadToken) {
			t.Errorf("%s, at a gate: %v", what, err)
		}
		if _, err := h.tokens.Proved(ctx, got.Token.ID); !errors.Is(err, identity.ErrBadToken) {
			t.Errorf("%s, once proved: %v", what, err)
		}
	}
	if _, err := h.tokens.Check(with(one), got.Text); err != nil {
		t.Error(err)
	}
	list := all()
	list[5].MayAct = []string{"agent:y"}
	h.set(everybody(), list)
	y, _ := h.agent("agent:y")
	h.refuses("handed over without it", handOver(y, got.Text), actors.InvalidRequest)
	task := must(h.Exchange(with(one), handOver(y, got.Text)))(t)
	h.dead("what was made from it, without it", task.Text)
}

// Tokens that were exchanged have names of their own at a gate.
func TestNamesAtAGate(t *testing.T) {
	h := newHouse(t)
	_, plain := h.agent("agent:x")
	dana, _ := h.person("person:dana", "mint")
	a, b := h.get(byPerson(dana, "agent:x")), h.get(byPerson(dana, "agent:x"))
	for user, want := range map[string]string{"x": plain, "x~" + a.Token.ID: a.Token.ID, "x~" + b.Token.ID: b.Token.ID} {
		if tok, err := h.tokens.ByUser(ctx, user); err != nil || tok.ID != want {
			t.Errorf("%s: %v, %v", user, tok, err)
		}
	}
	for _, user := range []string{"x~", "x~" + plain, "y~" + a.Token.ID, "~" + a.Token.ID} {
		if _, err := h.tokens.ByUser(ctx, user); !errors.Is(err, identity.ErrBadToken) {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// FuzzExchange feeds requests: none of them gets anything but act.
func FuzzExchange(f *testing.F) {
	h := newHouse(f)
	dana, _ := h.person("person:dana", "mint")
	x, _ := h.agent("agent:x")
	f.Add(actors.GrantType, dana, actors.AccessToken, "", "", "agent:x", "act", int64(60))
	f.Add(actors.GrantType, x, actors.AccessToken, x, actors.AccessToken, "", "review", int64(-1))
	f.Add(actors.GrantType, "a.b.c", actors.JWT, "", "", "", "", int64(0))
	f.Fuzz(func(t *testing.T, grant, subject, subjectType, actor, actorType, requested, scope string, life int64) {
		got, err := h.Exchange(ctx, actors.Request{GrantType: grant, SubjectToken: subject, SubjectType: subjectType, ActorToken: actor, ActorType: actorType, Actor: requested, Scope: scope, Life: time.Duration(life)})
		if err != nil {
			var refused *actors.Error
			if !errors.As(err, &refused) {
				t.Errorf("not a refusal: %v", err)
			}
			return
		}
		if got.Token.Kind != identity.KindActor || !slices.Equal(got.Token.Scopes, []string{"act"}) || got.Token.Expires.After(h.now.Add(12*time.Hour)) {
			t.Errorf("issued %+v", got.Token)
		}
	})
}
