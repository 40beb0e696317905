package identity_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/store/sqlite"
)

var ctx = context.Background()

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// A desk mints tokens on a real store and log.
type desk struct {
	*identity.Tokens
	store *sqlite.Store
	mu    sync.Mutex
	dir   *identity.Static
	now   time.Time
}

func (d *desk) Person(id string) (identity.Person, bool)   { return d.directory().Person(id) }
func (d *desk) Members(g string) []identity.Person         { return d.directory().Members(g) }
func (d *desk) ActorByID(id string) (identity.Actor, bool) { return d.directory().ActorByID(id) }

func (d *desk) directory() *identity.Static {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dir
}

func (d *desk) live(tb testing.TB, actors ...identity.Actor) {
	tb.Helper()
	dir, err := identity.NewStatic([]identity.Person{
		{ID: "person:ana", Name: "Ana", Accounts: []string{"slack:A"}}, {ID: "person:ben", Name: "Ben"},
	}, actors)
	must(tb, err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dir = dir
}

func newDesk(tb testing.TB) *desk {
	tb.Helper()
	d := &desk{now: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)}
	d.live(tb, identity.Actor{ID: "agent:x", Type: "agent", Owner: "person:ana"},
		identity.Actor{ID: "pipeline:x", Type: "pipeline", Owner: "person:ana"},
		identity.Actor{ID: "agent:y", Type: "agent", Owner: "person:ana"})
	dir := tb.TempDir()
	var err error
	d.store, err = sqlite.Open(ctx, filepath.Join(dir, "data"))
	must(tb, err)
	tb.Cleanup(func() { must(tb, d.store.Close()) })
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), "test/log")
	must(tb, err)
	log, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}})
	must(tb, err)
	must(tb, log.Open(ctx, d.store))
	d.Tokens, err = identity.NewTokens(identity.TokenOptions{
		Store: d.store, Directory: d, SealKey: []byte(strings.Repeat("k", 32)), Clock: func() time.Time { return d.now },
		Record: func(ctx context.Context, tx identity.TokenTx, c identity.TokenChange) error {
			return log.Append(ctx, tx.(audit.Tx), &audit.Record{Type: audit.TypeToken, Decision: c.What, Detail: map[string]string{"token": c.Token.ID}})
		},
	})
	must(tb, err)
	return d
}

func (d *desk) mint(tb testing.TB, m identity.MintRequest) (string, *identity.Token) {
	tb.Helper()
	text, tok, err := d.Mint(ctx, m)
	must(tb, err)
	return text, tok
}

var forX = identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:x"}, TTL: time.Hour, By: "person:ben"}

func TestAnActorsToken(t *testing.T) {
	d := newDesk(t)
	text, tok := d.mint(t, forX)
	if !strings.HasPrefix(text, "ast_"+tok.ID+"_") || len(text) != 4+12+1+43 {
		t.Errorf("a token of %d characters", len(text))
	}
	c, err := d.Check(ctx, text)
	must(t, err)
	if c.Person != nil || c.Asker == nil || c.Asker.Subject.ID != "person:ana" || c.Asker.Chain[0].ID != "agent:x" || c.Asker.Credential != tok.ID || !c.Has("act") {
		t.Errorf("the token says %+v", c)
	}
	for name, wrong := range map[string]string{
		"empty": "", "without prefix": text[4:], "longer": text + "0", "shorter": text[:len(text)-1],
		"another secret": text[:len(text)-1] + other(text[len(text)-1]), "another id": "ast_000000000000" + text[16:],
		"a space": " " + text, "upper case": strings.ToUpper(text[:16]) + text[16:], "a line": text + "\n",
	} {
		if _, err := d.Check(ctx, wrong); !errors.Is(err, identity.ErrBadToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d.now = d.now.Add(time.Hour)
	if _, err := d.Check(ctx, text); !errors.Is(err, identity.ErrBadToken) {
		t.Errorf("expired: %v", err)
	}
}

func other(c byte) string {
	if c == '0' {
		return "1"
	}
	return "0"
}

// Nothing an agent can hold answers a review.
func TestScopes(t *testing.T) {
	d := newDesk(t)
	allowed := map[string]string{identity.KindActor: "act", identity.KindGate: "gate", identity.KindPerson: "review read admin mint"}
	for _, kind := range []string{identity.KindActor, identity.KindGate, identity.KindPerson, "", "admin"} {
		for _, scope := range []string{"act", "gate", "review", "read", "admin", "mint", "*", "", "Review", "review "} {
			m := identity.MintRequest{Kind: kind, Scopes: []string{scope}, By: "person:ben"}
			switch kind {
			case identity.KindActor:
				m.Actors = []string{"agent:x"}
			case identity.KindPerson:
				m.Subject = "person:ana"
			}
			want := scope != "" && strings.TrimSpace(scope) == scope && strings.Contains(" "+allowed[kind]+" ", " "+scope+" ")
			_, _, err := d.Mint(ctx, m)
			if (err == nil) != want || err != nil && !errors.Is(err, identity.ErrTokenScope) {
				t.Errorf("kind %q with scope %q: %v", kind, scope, err)
			}
		}
	}
	_, _, err := d.Mint(ctx, identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:x"}, Scopes: []string{"act", "review"}})
	if !errors.Is(err, identity.ErrTokenScope) {
		t.Errorf("review beside act: %v", err)
	}
}

func TestMintRefuses(t *testing.T) {
	d := newDesk(t)
	for name, m := range map[string]identity.MintRequest{
		"an unknown actor":          {Kind: identity.KindActor, Actors: []string{"agent:z"}},
		"no actor":                  {Kind: identity.KindActor},
		"an unknown link":           {Kind: identity.KindActor, Actors: []string{"agent:x", "agent:z"}},
		"an unknown subject":        {Kind: identity.KindActor, Actors: []string{"agent:x"}, Subject: "person:z"},
		"an unknown person":         {Kind: identity.KindPerson, Subject: "person:z", Scopes: []string{"review"}},
		"an agent as a person":      {Kind: identity.KindPerson, Subject: "agent:x", Scopes: []string{"review"}},
		"a person with an agent":    {Kind: identity.KindPerson, Subject: "person:ana", Actors: []string{"agent:x"}, Scopes: []string{"review"}},
		"a person without scopes":   {Kind: identity.KindPerson, Subject: "person:ana"},
		"a gate with an agent":      {Kind: identity.KindGate, Actors: []string{"agent:x"}},
		"a life that ended already": {Kind: identity.KindActor, Actors: []string{"agent:x"}, TTL: -1},
		"a life without end":        {Kind: identity.KindActor, Actors: []string{"agent:x"}, TTL: 1 << 62},
	} {
		if text, _, err := d.Mint(ctx, m); err == nil || text != "" {
			t.Errorf("%s got a token", name)
		}
	}
}

func TestRevokeAndTheLog(t *testing.T) {
	d := newDesk(t)
	text, tok := d.mint(t, forX)
	must(t, d.Revoke(ctx, tok.ID, "person:ben"))
	must(t, d.Revoke(ctx, tok.ID, "person:ben")) // twice is harmless, and one record
	if _, err := d.Check(ctx, text); !errors.Is(err, identity.ErrBadToken) {
		t.Errorf("revoked: %v", err)
	}
	if _, err := d.Proved(ctx, tok.ID); !errors.Is(err, identity.ErrBadToken) {
		t.Errorf("revoked between proof and login: %v", err)
	}
	if _, err := d.ByUser(ctx, "x"); !errors.Is(err, identity.ErrBadToken) {
		t.Errorf("revoked, by name: %v", err)
	}
	if err := d.Revoke(ctx, "000000000000", ""); !errors.Is(err, identity.ErrNoToken) {
		t.Errorf("an unknown one: %v", err)
	}
	recs, err := d.store.Search(ctx, audit.Query{Types: []string{audit.TypeToken}})
	must(t, err)
	if len(recs) != 2 || recs[0].Decision != "revoked" || recs[1].Decision != "minted" {
		t.Errorf("on record: %+v", recs)
	}
	list, err := d.List(ctx)
	must(t, err)
	if len(list) != 1 || list[0].Revoked.IsZero() || list[0].StoredKey != nil {
		t.Errorf("listed: %+v", list)
	}
}

// The gate's SCRAM exchange runs on the stored keys, with the token's text as the password.
func TestScramOnTheStoredKeys(t *testing.T) {
	d := newDesk(t)
	d.mint(t, forX)
	d.now = d.now.Add(time.Minute)
	text, newest := d.mint(t, forX)
	tok, err := d.ByUser(ctx, "x")
	must(t, err)
	if tok.ID != newest.ID {
		t.Fatalf("%s is not the newest", tok.ID)
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(tok.Salt), Iters: tok.Iterations},
			StoredKey:  tok.StoredKey, ServerKey: tok.ServerKey,
		}, nil
	})
	must(t, err)
	for password, want := range map[string]bool{text: true, text[:59] + other(text[59]): false} {
		client, err := scram.SHA256.NewClient("x", password, "")
		must(t, err)
		c, s := client.NewConversation(), server.NewConversation()
		first, err := c.Step("")
		must(t, err)
		challenge, err := s.Step(first)
		must(t, err)
		proof, err := c.Step(challenge)
		must(t, err)
		if final, err := s.Step(proof); err == nil {
			_, _ = c.Step(final)
		}
		if s.Valid() != want || c.Valid() != want {
			t.Errorf("valid: server %v, client %v, want %v", s.Valid(), c.Valid(), want)
		}
	}
}

func TestTwoActorsOfOneNameHaveNone(t *testing.T) {
	d := newDesk(t)
	d.mint(t, forX)
	d.mint(t, identity.MintRequest{Kind: identity.KindActor, Actors: []string{"pipeline:x"}, TTL: time.Hour})
	if _, err := d.ByUser(ctx, "x"); !errors.Is(err, identity.ErrBadToken) {
		t.Errorf("got %v", err)
	}
	if _, err := d.ByUser(ctx, ""); !errors.Is(err, identity.ErrBadToken) {
		t.Errorf("no name: %v", err)
	}
}

func TestAPersonsTokenOpensNoGate(t *testing.T) {
	d := newDesk(t)
	text, tok := d.mint(t, identity.MintRequest{Kind: identity.KindPerson, Subject: "person:ana", Scopes: []string{"review"}})
	c, err := d.Check(ctx, text)
	must(t, err)
	if c.Asker != nil || c.Person == nil || c.Person.ID != "person:ana" || c.Has("act") || c.Token != tok.ID {
		t.Errorf("the token says %+v", c)
	}
	for _, user := range []string{"ana", "person:ana", ""} {
		if _, err := d.ByUser(ctx, user); !errors.Is(err, identity.ErrBadToken) {
			t.Errorf("as user %q: %v", user, err)
		}
	}
}

// Handing the agent over leaves its former owner related; an actor that is
// configured no longer loses its credentials.
func TestTheDirectoryIsAskedEachTime(t *testing.T) {
	d := newDesk(t)
	text, _ := d.mint(t, forX)
	d.live(t, identity.Actor{ID: "agent:x", Type: "agent", Owner: "person:ben"})
	c, err := d.Check(ctx, text)
	must(t, err)
	ex := c.Asker.Excluded()
	if ex["person:ana"] == "" || ex["person:ben"] == "" {
		t.Errorf("excluded: %v", ex)
	}
	d.live(t)
	if _, err := d.Check(ctx, text); !errors.Is(err, identity.ErrBadToken) {
		t.Errorf("an actor that is gone: %v", err)
	}
}

func TestAnEditedRowIsRefused(t *testing.T) {
	edits := map[string]func(*identity.TokenRow){
		"another mac":  func(r *identity.TokenRow) { r.MAC[0] ^= 1 },
		"no mac":       func(r *identity.TokenRow) { r.MAC = []byte{} },
		"another user": func(r *identity.TokenRow) { r.User = "y" },
		"more scopes": func(r *identity.TokenRow) {
			r.Body = []byte(strings.Replace(string(r.Body), `["act"]`, `["act","review"]`, 1))
		},
		"a longer life": func(r *identity.TokenRow) { r.Body = []byte(strings.ReplaceAll(string(r.Body), "2026", "2036")) },
	}
	for name, edit := range edits {
		d := newDesk(t)
		text, tok := d.mint(t, forX)
		must(t, d.store.UpdateTokens(ctx, func(tx identity.TokenTx) error {
			r, err := tx.TokenByID(ctx, tok.ID)
			if err != nil {
				return err
			}
			edit(&r)
			return tx.PutToken(ctx, r)
		}))
		if _, err := d.Check(ctx, text); !errors.Is(err, identity.ErrBadToken) {
			t.Errorf("%s: %v", name, err)
		}
		for _, user := range []string{"x", "y"} {
			if _, err := d.ByUser(ctx, user); !errors.Is(err, identity.ErrBadToken) {
				t.Errorf("%s, as %s: %v", name, user, err)
			}
		}
	}
}

func TestDirectoryRefusesHoles(t *testing.T) {
	for name, x := range map[string]struct {
		people []identity.Person
		actors []identity.Actor
	}{
		"a person twice":        {people: []identity.Person{{ID: "p"}, {ID: "p"}}},
		"an account of two":     {people: []identity.Person{{ID: "p", Accounts: []string{"s"}}, {ID: "q", Accounts: []string{"s"}}}},
		"an id as an account":   {people: []identity.Person{{ID: "p", Accounts: []string{"q"}}, {ID: "q"}}},
		"no id":                 {people: []identity.Person{{}}},
		"an actor twice":        {actors: []identity.Actor{{ID: "a", Type: "agent"}, {ID: "a", Type: "agent"}}},
		"an actor without type": {actors: []identity.Actor{{ID: "a"}}},
		"an unknown owner":      {actors: []identity.Actor{{ID: "a", Type: "agent", Owner: "p"}}},
		"an unknown relation":   {actors: []identity.Actor{{ID: "a", Type: "agent", Related: []string{"p"}}}},
		"a person as an agent":  {people: []identity.Person{{ID: "p"}}, actors: []identity.Actor{{ID: "p", Type: "agent"}}},
	} {
		if _, err := identity.NewStatic(x.people, x.actors); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	d, err := identity.NewStatic([]identity.Person{{ID: "p", Groups: []string{"g", "g"}, Accounts: []string{"s"}}}, nil)
	must(t, err)
	if p, ok := d.Person("s"); !ok || p.ID != "p" || len(d.Members("g")) != 1 || len(d.Members("h")) != 0 {
		t.Errorf("found %+v, %v", p, ok)
	}
}

// FuzzCheck feeds bearers: none but the one that was minted is good, and none does harm.
func FuzzCheck(f *testing.F) {
	d := newDesk(f)
	text, _ := d.mint(f, forX)
	for _, seed := range []string{"", "ast_", text[:59], text + "\x00", "ast_" + strings.Repeat("_", 56), "ast_" + strings.Repeat("0", 12) + "_" + strings.Repeat("z", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, bearer string) {
		if _, err := d.Check(ctx, bearer); bearer != text && !errors.Is(err, identity.ErrBadToken) {
			t.Errorf("%q: %v", bearer, err)
		}
	})
}
