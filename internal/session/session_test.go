package session_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // an intruder edits the file

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/oidc/oidctest"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/session"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var mira = oidctest.User{Sub: "00u1mira", Name: "Mira", Groups: []string{"owners", "dba"}}

// folks is a directory that writes down what it hears. Strangers are those in no group.
type folks struct {
	mu     sync.Mutex
	groups map[string][]string
	held   map[string]time.Time
	left   map[string]bool
}

func (f *folks) SignedIn(_ context.Context, c session.Claims) (identity.Person, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(c.Groups) == 0 && !c.First {
		return identity.Person{}, session.ErrNobody
	}
	f.groups[c.Account()], f.held[c.Account()] = c.Groups, c.Until
	return identity.Person{ID: "person:" + c.Subject, Groups: c.Groups}, nil
}

func (f *folks) Refreshed(ctx context.Context, c session.Claims) (identity.Person, error) {
	return f.SignedIn(ctx, c)
}

func (f *folks) Holds(account string, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held[account] = until
}
func (f *folks) Idle(account string) { f.Holds(account, time.Time{}) }
func (f *folks) Left(_ context.Context, account, _ string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left[account], f.groups[account] = true, nil
	return nil
}

func (f *folks) of(account string) ([]string, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.groups[account], f.held[account]
}

// house is one deployment: provider, store, log. Each replica has a Manager and a directory.
type house struct {
	t     *testing.T
	dir   string
	idp   *oidctest.Provider
	store store.Store
	log   *audit.Log
	now   func() time.Time
	late  time.Duration
	mu    sync.Mutex
}

func newHouse(t *testing.T, o oidctest.Options) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	h.now = func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return time.Now().Add(h.late) }
	o.Users, o.Clock = append(o.Users, mira, oidctest.User{Sub: "stranger"}), h.now
	var err error
	if h.idp, err = oidctest.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.idp.Close)
	file, err := sqlite.Open(t.Context(), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	h.store = file
	t.Cleanup(func() { _ = file.Close() })
	key, err := audit.LoadOrCreateKey(filepath.Join(h.dir, "key"), "test/log")
	if err != nil {
		t.Fatal(err)
	}
	if h.log, err = audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}}); err != nil {
		t.Fatal(err)
	}
	if err := h.log.Open(t.Context(), h.store); err != nil {
		t.Fatal(err)
	}
	return h
}

// pass lets time go by.
func (h *house) pass(d time.Duration) { h.mu.Lock(); defer h.mu.Unlock(); h.late += d }

type replica struct {
	*session.Manager
	*folks
	h       *house
	revoked []string
}

func (h *house) replica() *replica {
	h.t.Helper()
	i, err := oidc.New(oidc.Config{
		Name: "corp", Issuer: h.idp.Issuer(), ClientID: "assent", GroupsClaim: "groups", Clock: h.now,
		Secret: func(context.Context) ([]byte, error) { return []byte("secret"), nil },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(i.Close)
	return h.replicaOf(i)
}

func (h *house) replicaOf(issuers ...*oidc.Issuer) *replica {
	h.t.Helper()
	secret := []byte(strings.Repeat("s", 32))
	box, err := sealed.NewBox(h.store, h.log, secret)
	if err != nil {
		h.t.Fatal(err)
	}
	r := &replica{h: h, folks: &folks{groups: map[string][]string{}, held: map[string]time.Time{}, left: map[string]bool{}}}
	r.Manager, err = session.New(session.Options{
		Box: box, Secrets: h.store, People: r.folks, Key: secret, Issuers: issuers, Clock: h.now, Every: 50 * time.Millisecond,
		Revoke: func(_ context.Context, token, _ string) error { r.revoked = append(r.revoked, token); return nil },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// claims signs somebody in at the issuer.
func (r *replica) claims(sub string) *oidc.SignIn {
	r.h.t.Helper()
	i, _ := r.Issuer("corp")
	address, f, err := i.Begin(r.h.t.Context(), oidc.Question{Redirect: "http://localhost/cb"})
	if err != nil {
		r.h.t.Fatal(err)
	}
	u, _ := url.Parse(address)
	form := u.Query()
	form.Set("sub", sub)
	u.RawQuery = ""
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.PostForm(u.String(), form)
	if err != nil {
		r.h.t.Fatal(err)
	}
	_ = res.Body.Close()
	to, err := res.Location()
	if err != nil {
		r.h.t.Fatal(err)
	}
	s, err := i.Finish(r.h.t.Context(), f, to.Query())
	if err != nil {
		r.h.t.Fatal(err)
	}
	return s
}

func (r *replica) open(sub string) (string, *session.Session) {
	r.h.t.Helper()
	secret, s, err := r.Open(r.h.t.Context(), session.Opening{How: session.ByIssuer, SignIn: r.claims(sub), Agent: "Test\x1b[31m/1"})
	if err != nil {
		r.h.t.Fatal(err)
	}
	return secret, s
}

func (r *replica) gone(secret string) bool {
	_, err := r.Get(r.h.t.Context(), secret)
	return errors.Is(err, session.ErrNone)
}

func TestASessionIsKnownOnEveryReplica(t *testing.T) {
	h := newHouse(t, oidctest.Options{})
	a, b := h.replica(), h.replica()
	secret, s := a.open(mira.Sub)
	got, err := b.Get(t.Context(), secret)
	if err != nil || got.Person != "person:"+mira.Sub || got.CSRF != s.CSRF || got.Assurance() != "console" || got.Agent != "Test[31m/1" {
		t.Fatalf("%+v, %v", got, err)
	}
	if got.CSRF == secret || strings.Contains(secret, got.ID) {
		t.Error("the id or the CSRF token shows the secret")
	}
	for _, bad := range []string{"", "x", s.ID, strings.Repeat("A", 43)} {
		if !b.gone(bad) {
			t.Errorf("%q is somebody's", bad)
		}
	}
	list, err := b.List(t.Context(), s.Person)
	if err != nil || len(list) != 1 || list[0].ID != s.ID {
		t.Errorf("%+v, %v", list, err)
	}
	if err := b.End(t.Context(), s.ID, "person:ada", "revoked"); err != nil {
		t.Fatal(err)
	}
	if !a.gone(secret) || !b.gone(secret) {
		t.Error("it ended on one replica and lives on another")
	}
	if err := a.End(t.Context(), s.ID, "person:ada", "again"); !errors.Is(err, session.ErrNone) {
		t.Errorf("ended twice: %v", err)
	}
	recs, err := h.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeSignIn}})
	if err != nil || len(recs) != 2 {
		t.Fatalf("%d records, %v", len(recs), err)
	}
	opened := recs[1]
	if opened.Person != s.Person || opened.Detail["issuer"] != "corp" || opened.Detail["auth_time"] == "" || opened.Detail["amr"] != "pwd otp" {
		t.Errorf("the record tells %+v", opened)
	}
}

// TestNothingSecretIsStored looks for the session's secret and the issuer's tokens in every byte on disk.
func TestNothingSecretIsStored(t *testing.T) {
	h := newHouse(t, oidctest.Options{})
	r := h.replica()
	in := r.claims(mira.Sub)
	secret, _, err := r.Open(t.Context(), session.Opening{How: session.ByIssuer, SignIn: in})
	if err != nil {
		t.Fatal(err)
	}
	db := h.sql()
	defer func() { _ = db.Close() }()
	for _, table := range []string{"sealed", "setting", "log_record"} {
		rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
		if err != nil {
			t.Fatal(err)
		}
		cols, _ := rows.Columns()
		n := 0
		for rows.Next() {
			vals := make([]sql.RawBytes, len(cols))
			into := make([]any, len(cols))
			for i := range vals {
				into[i] = &vals[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			n++
			for _, v := range vals {
				for name, s := range map[string]string{"secret": secret, "refresh token": in.Refresh, "access token": in.Access, "ID token": in.IDToken} {
					if strings.Contains(string(v), s) {
						t.Errorf("the %s stands in %s", name, table)
					}
				}
			}
		}
		if rows.Err() != nil || rows.Close() != nil || n == 0 {
			t.Fatalf("%s: %d rows read, %v", table, n, rows.Err())
		}
	}
}

func (h *house) sql() *sql.DB {
	h.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "assent.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		h.t.Fatal(err)
	}
	return db
}

// TestEditedSessions: a session that a database made, changed or brought back signs nobody in.
func TestEditedSessions(t *testing.T) {
	for name, edit := range map[string]string{
		"another person":   `UPDATE sealed SET body = CAST(replace(CAST(body AS TEXT), '00u1mira', '00u2root') AS BLOB) WHERE kind = 'session'`,
		"a longer life":    `UPDATE sealed SET body = CAST(replace(CAST(body AS TEXT), '"expires":"20', '"expires":"21') AS BLOB) WHERE kind = 'session'`,
		"another's row":    `UPDATE sealed SET id = 'aaaaaaaaaaaaaaaaaaaaaaaa' WHERE kind = 'session'`,
		"put back as live": `UPDATE sealed SET (revision, key, due, body, mac) = (SELECT revision, key, due, body, mac FROM old) WHERE kind = 'session'`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, oidctest.Options{})
			r := h.replica()
			secret, s := r.open(mira.Sub)
			db := h.sql()
			defer func() { _ = db.Close() }()
			if _, err := db.ExecContext(t.Context(), `CREATE TABLE old AS SELECT * FROM sealed WHERE kind = 'session'`); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(name, "put back") {
				if err := r.End(t.Context(), s.ID, "person:ada", "revoked"); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := db.ExecContext(t.Context(), edit); err != nil {
				t.Fatal(err)
			}
			if got, err := r.Get(t.Context(), secret); err == nil {
				t.Errorf("signed in as %+v", got)
			}
		})
	}
}

// TestARemovedGroupCounts: in the background within a minute, and before a review at once.
func TestARemovedGroupCounts(t *testing.T) {
	h := newHouse(t, oidctest.Options{})
	a, b := h.replica(), h.replica()
	_, s := a.open(mira.Sub)
	less := mira
	less.Groups = []string{"dba"}
	h.idp.Set(less)
	if err := a.Fresh(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if g, _ := a.of(s.Account); !slices.Equal(g, mira.Groups) {
		t.Errorf("the word of a moment ago was asked for again: %v", g)
	}
	h.pass(session.ReviewMaxAge + time.Second)
	if err := a.Fresh(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if g, _ := a.of(s.Account); !slices.Equal(g, less.Groups) {
		t.Errorf("before a review the groups are %v", g)
	}
	asked := h.idp.Calls("token")
	if err := b.Fresh(t.Context(), s); err != nil { // the other replica sees that it was just asked
		t.Fatal(err)
	}
	if n := h.idp.Calls("token"); n != asked {
		t.Errorf("both replicas asked")
	}
	less.Groups = []string{"interns"}
	h.idp.Set(less)
	h.run(a, func() bool {
		h.pass(5 * time.Second)
		g, _ := a.of(s.Account)
		return slices.Equal(g, less.Groups)
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.late > session.ReviewMaxAge+time.Minute+time.Second {
		t.Errorf("it took %s in the background", h.late)
	}
}

// run lets a replica work until something is so.
func (h *house) run(r *replica, so func() bool) {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	defer func() { stop(); <-done }()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		if so() {
			return
		}
	}
	h.t.Error("it never came to that")
}

func TestWhoTheIssuerEndsIsSignedOut(t *testing.T) {
	h := newHouse(t, oidctest.Options{})
	r := h.replica()
	out := mira
	for name, change := range map[string]func(){
		"disabled":          func() { out.Disabled = true; h.idp.Set(out) },
		"tokens revoked":    func() { h.idp.RevokeRefresh(mira.Sub) },
		"in no known group": func() { out.Groups = nil; h.idp.Set(out) },
		"a forged ID token": func() { h.idp.Tweak(oidctest.Attacks()[0].Spoil) },
		"another person's":  func() { h.idp.Tweak(func(i *oidctest.IDToken) { i.Claims["sub"] = "stranger" }) },
		"overage of groups": func() {
			h.idp.Tweak(func(i *oidctest.IDToken) { delete(i.Claims, "groups"); i.Claims["hasgroups"] = true })
		},
		"what was kept gone": func() { h.intrude(`UPDATE setting SET value = CAST('x' AS BLOB)`) },
	} {
		t.Run(name, func(t *testing.T) {
			out = mira
			h.idp.Set(mira)
			h.idp.Tweak(nil)
			secret, s := r.open(mira.Sub)
			change()
			h.pass(session.ReviewMaxAge + time.Second)
			if err := r.Fresh(t.Context(), s); !errors.Is(err, session.ErrNone) {
				t.Errorf("before a review: %v", err)
			}
			if !r.gone(secret) {
				t.Error("the session is open")
			}
			if _, until := r.of(s.Account); !until.IsZero() {
				t.Errorf("the account's groups are held until %s", until)
			}
		})
	}
	h.idp.Tweak(nil)
	h.idp.Set(mira)
	if _, _, err := r.Open(t.Context(), session.Opening{How: session.ByIssuer, SignIn: r.claims("stranger")}); !errors.Is(err, session.ErrNobody) {
		t.Errorf("a stranger: %v", err)
	}
}

func (h *house) intrude(query string) {
	h.t.Helper()
	db := h.sql()
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(h.t.Context(), query); err != nil {
		h.t.Fatal(err)
	}
}

// TestAnIssuerThatIsDownEndsNobody, and nobody new enters.
func TestAnIssuerThatIsDownEndsNobody(t *testing.T) {
	h := newHouse(t, oidctest.Options{})
	r := h.replica()
	secret, s := r.open(mira.Sub)
	h.idp.Down(true)
	h.pass(time.Hour)
	if err := r.Fresh(t.Context(), s); err != nil || r.gone(secret) {
		t.Errorf("signed out by it: %v", err)
	}
	if g, until := r.of(s.Account); len(g) != 2 || !until.Equal(s.Expires) {
		t.Errorf("holds %v until %s", g, until)
	}
	asked := h.idp.Calls("token")
	if err := r.Fresh(t.Context(), s); err != nil || h.idp.Calls("token") != asked {
		t.Errorf("each review asks an issuer that is down anew: %v", err)
	}
	i, _ := r.Issuer("corp")
	if _, _, err := i.Begin(t.Context(), oidc.Question{}); !errors.Is(err, oidc.ErrDown) {
		t.Errorf("somebody enters: %v", err)
	}
	h.pass(session.Life)
	if !r.gone(secret) {
		t.Error("the session outlives its end")
	}
	h.run(r, func() bool {
		list, _ := h.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeSignIn}})
		return len(list) == 2
	})
}

func TestSessionsThatNobodyCanAskAboutAreShort(t *testing.T) {
	h := newHouse(t, oidctest.Options{NoRefresh: true, NoUserinfo: true})
	r := h.replica()
	secret, s := r.open(mira.Sub)
	if d := s.Expires.Sub(s.Created); d > session.BlindLife+time.Second {
		t.Errorf("it lasts %s", d)
	}
	h.pass(session.BlindLife - time.Minute)
	if err := r.Fresh(t.Context(), s); err != nil || r.gone(secret) {
		t.Errorf("before its end: %v", err)
	}
	h.pass(2 * time.Minute)
	if !r.gone(secret) {
		t.Error("it is open past its end")
	}
}

func TestADeviceSessionEndsWithItsToken(t *testing.T) {
	h := newHouse(t, oidctest.Options{})
	r := h.replica()
	secret, s, err := r.Open(t.Context(), session.Opening{How: session.ByDevice, SignIn: r.claims(mira.Sub), Token: "tok1"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Assurance() != "" {
		t.Errorf("a command's session reviews at %q", s.Assurance())
	}
	if err := r.End(t.Context(), s.ID, s.Person, "logged out"); err != nil || !slices.Equal(r.revoked, []string{"tok1"}) || !r.gone(secret) {
		t.Errorf("%v, revoked %v", err, r.revoked)
	}
	for how, want := range map[string]string{session.ByToken: "token", session.ByLink: "console", "": "", "anything": ""} {
		if got := (&session.Session{How: how}).Assurance(); got != want {
			t.Errorf("%q is worth %q", how, got)
		}
	}
}

// TestLinksEndWhereIssuersAre: what a one-time link opened is a way around issuers that were configured since.
func TestLinksEndWhereIssuersAre(t *testing.T) {
	h := newHouse(t, oidctest.Options{})
	before := h.replicaOf()
	secret, _, err := before.Open(t.Context(), session.Opening{How: session.ByLink, Person: "person:mira"})
	if err != nil || before.gone(secret) {
		t.Fatalf("before: %v", err)
	}
	if !h.replica().gone(secret) {
		t.Error("the link's session outlived the issuers' coming")
	}
}

func TestTheFirstAdministrator(t *testing.T) {
	h := newHouse(t, oidctest.Options{})
	a, b := h.replica(), h.replica()
	link, err := a.Invite(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late, err := a.Invite(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "guessed", late[:42]} {
		if err := b.UseInvitation(t.Context(), bad); !errors.Is(err, session.ErrNone) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	in := 0
	for _, r := range []*replica{a, b, a, b} {
		wg.Go(func() {
			if r.UseInvitation(t.Context(), link) == nil {
				mu.Lock()
				in++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if in != 1 {
		t.Fatalf("%d used one link", in)
	}
	h.pass(session.LinkLife)
	if err := b.UseInvitation(t.Context(), late); !errors.Is(err, session.ErrNone) {
		t.Errorf("after ten minutes: %v", err)
	}
	first := session.Opening{How: session.ByIssuer, First: true, SignIn: a.claims("stranger")}
	if _, _, err := a.Open(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	first.SignIn = b.claims(mira.Sub)
	if _, _, err := b.Open(t.Context(), first); !errors.Is(err, session.ErrHasAdmin) {
		t.Errorf("a second first one: %v", err)
	}
	if _, err := b.Invite(t.Context()); !errors.Is(err, session.ErrHasAdmin) {
		t.Errorf("a link, though there is one: %v", err)
	}
	if account, person, err := b.FirstAdmin(t.Context()); err != nil || person != "person:stranger" || account != "corp|stranger" {
		t.Errorf("%s %s %v", account, person, err)
	}
	h.intrude(`DELETE FROM sealed WHERE kind = 'admin'`)
	if _, err := b.Invite(t.Context()); err == nil {
		t.Error("the row was taken away, and there is a link again")
	}
	recs, err := h.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeChange}})
	if err != nil || len(recs) != 4 {
		t.Errorf("%d records, %v", len(recs), err)
	}
	for _, r := range recs {
		for _, v := range r.Detail {
			if strings.Contains(v, link) || strings.Contains(r.About, link) {
				t.Error("the link stands in the log")
			}
		}
	}
}
