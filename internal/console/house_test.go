package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/session"
	"github.com/assenthq/assent/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a console over the real engine, log and SQLite store.
type house struct {
	t       testing.TB
	store   *sqlite.Store
	log     *audit.Log
	engine  *approval.Engine
	box     *sealed.Box
	console *Console
	people  *directory
	url     string
	back    time.Duration // how far in the past the log's clock stands
	change  func(*Options)
	serving atomic.Pointer[Console] // the same, for goroutines of a console before
}

// goodToken is a token as tokens are written: sessions know it by its id.
const goodToken = "ast_0123456789ab_0123456789012345678901234567890123456789012"

// directory is the static one, except that a test can send a person away.
type directory struct {
	*identity.Static
	gone map[string]bool
}

func (d *directory) Check(context.Context) error { return nil }

func (d *directory) Silenced(string) []identity.Person { return nil }

func (d *directory) Person(id string) (identity.Person, bool) {
	p, ok := d.Static.Person(id)
	return p, ok && !d.gone[id]
}

var (
	sam  = identity.Person{ID: "person:sam", Name: "Sam Okafor", Groups: []string{"group:data-owners", "group:dba"}}
	mira = identity.Person{ID: "person:mira", Name: "Mira Kovač", Groups: []string{"group:data-owners"}}
	ivo  = identity.Person{ID: "person:ivo", Name: "Ivo Marin", Groups: []string{"group:data-owners", "group:dba"}}
	dana = identity.Person{ID: "person:dana", Name: "Dana Whitfield", Groups: []string{"group:data-owners"}}
	omar = identity.Person{ID: "person:omar", Name: "Omar Reyes", Groups: []string{"group:sre"}}
)

var actors = []identity.Actor{
	{ID: "agent:nightly-exporter", Type: "agent", Owner: "person:dana", Model: "sonnet"},
	{ID: "agent:release-bot", Type: "agent", Owner: "person:omar"},
	{ID: "agent:schema-pilot", Type: "agent", Owner: "person:omar"},
}

func newHouse(t testing.TB) *house { return houseFor(t, 0) }

// houseFor has room for so many pending approvals; 0: as many as there are by itself.
func houseFor(t testing.TB, pending int) *house {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	h := &house{t: t}
	var err error
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	h.store, err = sqlite.Open(ctx, dir)
	must(err)
	t.Cleanup(func() { _ = h.store.Close() })
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "log.key"), "assent.test/log")
	must(err)
	h.log, err = audit.New(audit.Options{Origin: "assent.test/log", Keys: []*audit.Key{key}, Now: func() time.Time { return time.Now().Add(-h.back) }})
	must(err)
	must(h.log.Open(ctx, h.store))
	minter, err := grant.NewMinter(filepath.Join(dir, "grant.key"), "assent.test")
	must(err)
	crowd, their := []identity.Person{sam, mira, ivo, dana, omar}, actors
	for i := range min(pending, 1000) {
		crowd = append(crowd, crowded(i))
		their = append(their[:len(their):len(their)], identity.Actor{ID: fmt.Sprint("agent:a", i), Type: "agent", Owner: crowded(i).ID})
	}
	static, err := identity.NewStatic(crowd, their)
	must(err)
	h.people = &directory{static, map[string]bool{}}
	h.box, err = sealed.NewBox(h.store, h.log, []byte("0123456789abcdef0123456789abcdef"))
	must(err)
	h.engine, err = approval.New(approval.Options{
		Box: h.box, Store: h.store, Log: h.log, Minter: minter, Directory: h.people,
		MatchKey: make([]byte, 32), SealKey: []byte("0123456789abcdef0123456789abcdef"), Issuer: "assent.test",
		PendingCap: pending, PersonCap: pending, BytesCap: int64(pending) << 20,
	})
	must(err)
	h.serve()
	return h
}

// crowded is one of many whose agents ask.
func crowded(i int) identity.Person { return identity.Person{ID: fmt.Sprint("person:p", i)} }

// sessions is the real keeper of sessions, over the house's store and log.
func (h *house) sessions(people session.People, issuers ...*oidc.Issuer) *session.Manager {
	h.t.Helper()
	seal := []byte("0123456789abcdef0123456789abcdef")
	box, err := sealed.NewBox(h.store, h.log, seal)
	if err != nil {
		h.t.Fatal(err)
	}
	m, err := session.New(session.Options{
		Box: box, Secrets: h.store, People: people, Key: seal, Issuers: issuers, Every: 50 * time.Millisecond,
		Clock: func() time.Time { // a test may set the console's
			c := h.serving.Load() // a page of the console before may still ask
			if c == nil {
				return time.Now()
			}
			return c.o.Clock()
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}

// nobody is the directory of a house without issuers.
type nobody struct{ session.People }

// serve listens on a real loopback port: the browser and the host checks see what they see in production.
func (h *house) serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.url = "http://" + l.Addr().String()
	o := Options{
		Approvals: h.engine, Log: h.store, Mask: func(s string) string { return strings.ReplaceAll(s, "bob@corp.example", "‹email›") }, People: h.people, PublicURL: h.url, Sessions: h.sessions(nobody{}),
		TokenHolds: func(context.Context, string) error { return nil },
		CheckToken: func(_ context.Context, token string) (identity.Person, error) {
			if token == goodToken {
				return mira, nil
			}
			return identity.Person{}, errors.New("no such token")
		},
		About: func(context.Context) About {
			return About{
				Version: "0.1.0", Policy: "sha256:6f0c3d9a1f2b44aa6f0c3d9a1f2b44aa", Packs: []string{"pii-export 1.0.0", "mask-agent-reads 1.0.0"},
				Gates: []Gate{{"orders-db", "postgres", "127.0.0.1:6432", "db.internal:5432/shop", "prod", "up"}}, Storage: "SQLite",
			}
		},
		Verified: func(ctx context.Context) Verified {
			head, err := h.store.Head(ctx)
			return Verified{Size: head.Size, At: time.Now(), Err: err}
		},
		Checkpoint: func(ctx context.Context) ([]byte, error) {
			head, err := h.store.Head(ctx)
			if err != nil {
				return nil, err
			}
			return h.log.Sign(ctx, head)
		},
	}
	o.Prove = func(ctx context.Context, i int64) ([]byte, error) {
		head, err := h.store.Head(ctx)
		if err == nil {
			_, err = h.log.Sign(ctx, head)
		}
		if err != nil {
			return nil, err
		}
		p, err := h.log.Proof(ctx, h.store, i)
		if err != nil {
			return nil, err
		}
		return p.Text(), nil
	}
	o.Verifiers = h.log.Verifiers
	if h.change != nil {
		h.change(&o)
	}
	h.console, err = New(o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.serving.Store(h.console)
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: h.console, ReadHeaderTimeout: 5 * time.Second}}
	srv.Start()
	h.t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
}

// ask holds an action; change adapts the question first.
func (h *house) ask(change func(*approval.Question)) *approval.Approval {
	h.t.Helper()
	a, _, err := h.engine.Ask(h.t.Context(), question(change))
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func question(change func(*approval.Question)) *approval.Question {
	statement := "COPY (\n  SELECT c.id, c.full_name, c.email, c.card\n  FROM public.customers c -- everybody\n  WHERE c.email NOT LIKE '[masked:email]' AND c.created > $1\n) TO STDOUT WITH (FORMAT csv)"
	at := len("COPY (\n  SELECT c.id, c.full_name, c.email, c.card\n  FROM public.customers c -- everybody\n  WHERE c.email NOT LIKE '")
	q := &approval.Question{
		Action: &action.Action{
			Kinds: []action.Kind{action.DataExport}, Verb: "copy", Target: "public.customers", Shape: fmt.Sprintf("%016x", time.Now().UnixNano()),
			Resource: action.Resource{URN: "postgres:shop/prod", Type: "postgres", Env: "prod"},
			Data:     action.Data{Rows: action.KnownCount(48210), ClassesKnown: true, Classes: []string{"card", "email"}, Groups: []string{"pci", "pii"}, Destination: "client"},
			Subject:  dana.ID, Actors: []action.Link{{ID: "agent:nightly-exporter", Type: "agent"}},
			Payload: []byte(fmt.Sprintf("%s -- %d", statement, time.Now().UnixNano())), State: map[string]string{"database": "shop"},
			Claims: action.Claims{Reason: "Partner asked for the full list before Friday’s call.", Ticket: "OPS-4411"},
		},
		Asker: identity.Asker{Subject: dana, Chain: actors[:1], Credential: "tok_1"},
		Title: "Export public.customers (4 columns) to the client", Statement: statement,
		Masked: []approval.Span{{Start: at, End: at + len("[masked:email]"), Class: "email"}},
		Gate:   "orders-db",
		Decision: &policy.Decision{
			Verdict: policy.Review, Reason: "Bulk export of regulated data needs two data owners.",
			Rules: []policy.Hit{
				{Rule: "pii-bulk-export", Pack: "pii-export", Then: "review", Atoms: []policy.Atom{
					{Expr: "data.rows > 1000", Value: "48210", Holds: policy.Yes},
					{Expr: `data.groups.exists(g, g == "pii")`, Value: "pci, pii", Holds: policy.Yes},
					{Expr: "intent_named_target", Value: "", Holds: policy.DontKnow},
				}},
				{Rule: "mask-email", Pack: "mask-agent-reads", Then: "mask"},
			},
			Requirements: []policy.Requirement{{Rule: "pii-bulk-export", From: []string{"group:data-owners"}, Count: 2, Assurance: "console", Expires: 15 * time.Minute}},
			Masks:        map[string]string{"email": "tokenize", "card": "partial"}, RowLimit: action.KnownCount(50000),
			Bundle: "sha256:6f0c3d9a1f2b44aa6f0c3d9a1f2b44aa6f0c3d9a1f2b44aa6f0c3d9a1f2b44aa",
		},
	}
	if change != nil {
		change(q)
	}
	return q
}

// moderate is a held write on staging that one DBA decides.
func moderate(title string) func(*approval.Question) {
	return func(q *approval.Question) {
		a := q.Action
		a.Kinds, a.Verb, a.Target = []action.Kind{action.DataWrite}, "update", "public.flags"
		a.Resource = action.Resource{URN: "postgres:flags/staging", Type: "postgres", Env: "staging"}
		a.Data = action.Data{Rows: action.KnownCount(1), ClassesKnown: true}
		a.Subject, a.Actors = omar.ID, []action.Link{{ID: "agent:release-bot", Type: "agent"}}
		q.Asker = identity.Asker{Subject: omar, Chain: actors[1:2], Credential: "tok_2"}
		q.Title, q.Statement, q.Masked = title, "UPDATE public.flags SET share = 100 WHERE name = 'checkout_v3'", nil
		a.Claims = action.Claims{}
		q.Decision.Reason = "Writes to flags wait for one DBA."
		q.Decision.Rules = []policy.Hit{{Rule: "flags-write", Pack: "change-window", Then: "review"}}
		q.Decision.Masks, q.Decision.RowLimit = nil, action.Count{}
		q.Decision.Requirements = []policy.Requirement{{Rule: "flags-write", From: []string{"group:dba"}, Count: 1, Assurance: "console", Expires: 40 * time.Minute}}
	}
}

// high is a held deletion with facts nobody knows.
func high(q *approval.Question) {
	moderate("Delete from public.sessions where … (rows not known)")(q)
	q.Action.Kinds, q.Action.Verb, q.Action.Target = []action.Kind{action.DataDelete}, "delete", "public.sessions"
	q.Action.Data, q.Action.Subject = action.Data{}, omar.ID
	q.Asker.Chain = actors[2:3]
	q.Action.Actors = []action.Link{{ID: "agent:schema-pilot", Type: "agent"}}
	q.Statement, q.OpenTransaction = "DELETE FROM public.sessions USING tokens t WHERE t.session = sessions.id AND sessions.seen < now() - interval '90 days'", true
	q.Decision.Requirements[0].Count = 1
}

func (h *house) get(id string) *approval.Approval {
	h.t.Helper()
	a, err := h.engine.Get(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

// answer reviews through the engine, as another channel would.
func (h *house) answer(a *approval.Approval, p identity.Person, decision, reason string) {
	h.t.Helper()
	a = h.get(a.ID)
	_, err := h.engine.Answer(h.t.Context(), approval.Answer{
		Approval: a.ID, Person: p, Decision: decision, Reason: reason, Channel: "api", Assurance: "console", Digest: a.Digest, Version: a.Version,
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// records appends request records, for the rooms that show the log.
func (h *house) records(recs ...*audit.Record) {
	h.t.Helper()
	err := h.store.Update(h.t.Context(), func(tx approval.Tx) error { return h.log.Append(h.t.Context(), tx, recs...) })
	if err != nil {
		h.t.Fatal(err)
	}
}
