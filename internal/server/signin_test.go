package server

import (
	"cmp"
	"context"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/oidc/oidctest"
	"github.com/assenthq/assent/internal/session"
)

var (
	oidcMira = oidctest.User{Sub: "00u1mira", Name: "Mira Kovač", Groups: []string{"00g1", "00g9"}}
	oidcOmar = oidctest.User{Sub: "00u3omar", Name: "Omar", Groups: []string{"00g7"}} // of a configured person
	stranger = oidctest.User{Sub: "00u4eve", Name: "Eve", Groups: []string{"00g8"}}
)

// signedIn is a real server with two issuers, and one open session of an agent.
type signedIn struct {
	*bench
	corp, other *oidctest.Provider

	log     *slog.Logger
	through func(http.Handler) http.Handler

	assurance  string // of the rule; "" is console
	corpIssuer string // further fields of it
}

const base = "http://localhost:8720"

func newSignedIn(t *testing.T, more string, change ...func(*signedIn)) *signedIn {
	t.Helper()
	dir := t.TempDir()
	b := &signedIn{bench: &bench{t: t, dir: dir}, log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(b)
	}
	for _, p := range []**oidctest.Provider{&b.corp, &b.other} {
		idp, err := oidctest.New(oidctest.Options{Users: []oidctest.User{oidcMira, oidcOmar, stranger}, Through: b.through})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(idp.Close)
		*p = idp
	}
	for name, text := range map[string]string{"pack.yaml": strings.Replace(heldPack, "assurance: token", "assurance: "+cmp.Or(b.assurance, "console"), 1), "corp.secret": "secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.Server = b.serve(more)
	if _, err := b.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	b.bench.session = b.login()
	return b
}

func (b *signedIn) serve(more string) *Server {
	b.t.Helper()
	cfg, err := ParseConfig(filepath.Join(b.dir, "assent.yaml"), []byte(`
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
issuers:
  - { name: corp, issuer: "`+b.corp.Issuer()+`", client_id: assent, client_secret: { file: corp.secret }`+b.corpIssuer+`, scim: true }
  - { name: other, issuer: "`+b.other.Issuer()+`", client_id: assent, client_secret: { file: corp.secret } }
people: [{ id: dana }, { id: omar, accounts: ["corp|00u3omar"] }]
groups: { reviewers: { from: ["corp|00g1"] } }
actors: [{ id: worker, owner: dana }]
`+more))
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := New(b.t.Context(), cfg, b.log)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := s.Start(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			b.t.Error(err)
		}
	})
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		up := true
		for _, i := range s.issuers {
			up = up && i.Err() == nil
		}
		if up {
			return s
		}
	}
	b.t.Fatal("the issuers were not found")
	return nil
}

// surfer is a browser without a screen.
type surfer struct {
	t    *testing.T
	http *http.Client
	csrf string
}

func (b *signedIn) surfer() *surfer {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == "localhost:8720" {
			addr = b.listener.Addr().String()
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	return &surfer{t: b.t, http: &http.Client{
		Jar: jar, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (s *surfer) send(method, to string, form url.Values, site string) (int, string, http.Header) {
	s.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, to, body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", site)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if s.csrf != "" {
		r.Header.Set("X-CSRF-Token", s.csrf)
	}
	res, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Header
}

func (s *surfer) get(path string) (int, string) {
	code, body, _ := s.send("GET", base+path, nil, "same-origin")
	return code, body
}

var away = regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]+)"`)

// start presses the button of an issuer and lets sub sign in there: it returns the callback's address.
func (s *surfer) start(path, sub string) string {
	s.t.Helper()
	code, body := s.get(path)
	return s.click(code, body, sub)
}

func (s *surfer) click(code int, body, sub string) string {
	s.t.Helper()
	m := away.FindStringSubmatch(body)
	if code != http.StatusOK || m == nil {
		s.t.Fatalf("no way to the issuer: %d %.300s", code, body)
	}
	u, err := url.Parse(html.UnescapeString(m[1]))
	if err != nil {
		s.t.Fatal(err)
	}
	form := u.Query()
	form.Set("sub", sub)
	u.RawQuery = ""
	code, body, h := s.send("POST", u.String(), form, "same-origin")
	if code != http.StatusSeeOther {
		s.t.Fatalf("the issuer: %d %.300s", code, body)
	}
	return h.Get("Location")
}

var csrfOf = regexp.MustCompile(`data-csrf="([^"]+)"`)

// in signs in and returns what the callback answered.
func (s *surfer) in(issuer, sub string) int {
	s.t.Helper()
	code, _, _ := s.send("GET", s.start("/signin/start/"+issuer, sub), nil, "cross-site")
	if code == http.StatusOK {
		s.settings()
	}
	return code
}

func (s *surfer) settings() string {
	s.t.Helper()
	code, body := s.get("/settings")
	m := csrfOf.FindStringSubmatch(body)
	if code != http.StatusOK || m == nil {
		s.t.Fatalf("not signed in: %d %.300s", code, body)
	}
	s.csrf = m[1]
	return body
}

func (s *surfer) review(a *approval.Approval, decision string) (int, string) {
	code, body, _ := s.send("POST", base+"/approvals/"+a.ID+"/review", url.Values{
		"decision": {decision}, "reason": {"because"}, "digest": {a.Digest.String()}, "version": {strconv.FormatInt(a.Version, 10)}, "confirmed": {"yes"},
	}, "same-origin")
	return code, body
}

// TestSignInByAnIssuer: who is in a known group reviews at console assurance; a
// group of the same id at another issuer is another group; strangers don't get in.
func TestSignInByAnIssuer(t *testing.T) {
	b := newSignedIn(t, "")
	mira, elsewhere, eve, omar := b.surfer(), b.surfer(), b.surfer(), b.surfer()
	if code := mira.in("corp", oidcMira.Sub); code != http.StatusOK {
		t.Fatalf("mira: %d", code)
	}
	for name, s := range map[string]func() int{
		"a stranger":                         func() int { return eve.in("corp", stranger.Sub) },
		"the same group id, another issuer":  func() int { return elsewhere.in("other", oidcMira.Sub) },
		"a configured account, other issuer": func() int { return elsewhere.in("other", oidcOmar.Sub) },
	} {
		if code := s(); code != http.StatusForbidden {
			t.Errorf("%s: %d", name, code)
		}
	}
	if code, body := eve.get("/approvals"); code != http.StatusSeeOther || strings.Contains(body, "card") {
		t.Errorf("the stranger sees something: %d", code)
	}
	if code := omar.in("corp", oidcOmar.Sub); code != http.StatusOK || !strings.Contains(omar.settings(), "person:omar") {
		t.Errorf("omar: %d", code)
	}
	ran := b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	if code, body := omar.review(a, "approve"); code != http.StatusForbidden {
		t.Errorf("omar, who is in no group: %d %.300s", code, body)
	}
	if code, body := mira.review(a, "approve"); code != http.StatusOK {
		t.Fatalf("mira: %d %.300s", code, body)
	}
	if err := <-ran; err != nil {
		t.Errorf("it did not run: %v", err)
	}
	done, err := b.engine.Get(t.Context(), a.ID)
	if err != nil || len(done.Reviews) != 1 || done.Reviews[0].Assurance != "console" {
		t.Errorf("%+v, %v", done.Reviews, err)
	}
	var signedIn []audit.Record
	for _, r := range b.records(audit.TypeSignIn) {
		if r.Decision == "opened" {
			signedIn = append(signedIn, r)
		}
	}
	if len(signedIn) != 2 {
		t.Errorf("%d sign-ins on record", len(signedIn))
	}
}

// TestARemovedGroupDecidesNothing: taken out of the group at the issuer, the
// person's next review is refused, without anybody's doing here.
func TestARemovedGroupDecidesNothing(t *testing.T) {
	b := newSignedIn(t, "")
	less := oidcMira
	less.Groups = []string{"00g9"}
	mira, gone := b.surfer(), b.surfer()
	both := oidctest.User{Sub: oidcOmar.Sub, Name: "Omar", Groups: []string{"00g1"}}
	b.corp.Set(both)
	if mira.in("corp", oidcMira.Sub) != http.StatusOK || gone.in("corp", both.Sub) != http.StatusOK {
		t.Fatal("not signed in")
	}
	b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	b.corp.Set(less)     // in no known group any more
	b.corp.Set(oidcOmar) // known, and no reviewer any more
	time.Sleep(session.ReviewMaxAge + 500*time.Millisecond)
	if code, body := mira.review(a, "approve"); code != http.StatusUnauthorized {
		t.Errorf("out of every group: %d %.300s", code, body)
	}
	if code, body := gone.review(a, "approve"); code != http.StatusForbidden {
		t.Errorf("out of the reviewers: %d %.300s", code, body)
	}
	if code, _ := mira.get("/approvals"); code != http.StatusSeeOther {
		t.Errorf("still signed in: %d", code)
	}
	if len(b.waiting(1)[0].Reviews) != 0 {
		t.Error("a review counted")
	}
}

// TestCallbacksOfOthers: only the browser that began a sign-in ends it, once.
func TestCallbacksOfOthers(t *testing.T) {
	b := newSignedIn(t, "")
	mira, eve := b.surfer(), b.surfer()
	try := func(name string, s *surfer, address string) {
		t.Helper()
		if code, _, _ := s.send("GET", address, nil, "cross-site"); code != http.StatusForbidden {
			t.Errorf("%s: %d", name, code)
		}
		if code, _ := s.get("/settings"); code == http.StatusOK {
			t.Errorf("%s: signed in", name)
		}
	}
	address := mira.start("/signin/start/corp", oidcMira.Sub)
	try("a callback in another browser", eve, address)
	forced := eve.start("/signin/start/corp", stranger.Sub)
	try("another browser's answer, forced on one that began its own", mira, forced)
	address = mira.start("/signin/start/corp", oidcMira.Sub)
	try("at the other issuer's callback", mira, strings.Replace(address, "/callback/corp", "/callback/other", 1))
	address = mira.start("/signin/start/corp", oidcMira.Sub)
	q := strings.Index(address, "?")
	try("no query at all", mira, address[:q])
	if code, _, _ := mira.send("GET", base+"/signin/start/corp", nil, "cross-site"); code != http.StatusForbidden {
		t.Errorf("begun by another site: %d", code)
	}
	address = mira.start("/signin/start/corp", oidcMira.Sub)
	if code, body, h := mira.send("GET", address, nil, "cross-site"); code != http.StatusOK || h.Get("Location") != "" {
		t.Fatalf("the real one: %d %.300s", code, body)
	}
	again := b.surfer()
	try("the same answer again", again, address)
	for _, bad := range oidctest.Attacks()[:3] {
		b.corp.Tweak(bad.Spoil)
		if code := b.surfer().in("corp", oidcMira.Sub); code != http.StatusForbidden {
			t.Errorf("%s: %d", bad.Name, code)
		}
	}
}

// TestAPastedTokenIsAToken: whoever has a reviewer's token gets no console
// assurance out of it, by no way of entering it.
func TestAPastedTokenIsAToken(t *testing.T) {
	b := newSignedIn(t, "")
	mira := b.surfer()
	if code := mira.in("corp", oidcMira.Sub); code != http.StatusOK {
		t.Fatal(code)
	}
	p, ok := b.Server.dir.Person("corp|" + oidcMira.Sub)
	if !ok {
		t.Fatal("nobody")
	}
	token, err := b.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: p.ID, Scopes: []string{identity.ScopeReview, identity.ScopeRead}, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	thief := b.surfer()
	if code, _, _ := thief.send("POST", base+"/signin", url.Values{"token": {token}}, "same-origin"); code != http.StatusSeeOther {
		t.Fatalf("pasting: %d", code)
	}
	thief.settings()
	if code, body := thief.review(a, "approve"); code != http.StatusForbidden || !strings.Contains(body, "console") {
		t.Errorf("approving by a pasted token: %d %.300s", code, body)
	}
	if b.SignInLink("person:omar") != "" {
		t.Error("a link goes around the issuers")
	}
	if code, body := mira.review(a, "deny"); code != http.StatusOK {
		t.Errorf("mira: %d %.300s", code, body)
	}
}

// TestTheFirstAdministrator: the link makes one, once, and what they may do is theirs alone.
func TestTheFirstAdministrator(t *testing.T) {
	b := newSignedIn(t, "")
	link, err := b.AdminLink(t.Context())
	if err != nil || !strings.HasPrefix(link, base+"/signin/admin?t=") {
		t.Fatalf("%q, %v", link, err)
	}
	secret := link[strings.Index(link, "?t=")+3:]
	for range 3 { // previewers
		if code, _, _ := b.surfer().send("GET", link, nil, "none"); code != http.StatusOK {
			t.Fatalf("looking: %d", code)
		}
	}
	ada, late := b.surfer(), b.surfer()
	code, body, _ := ada.send("POST", base+"/signin/admin", url.Values{"t": {secret}, "issuer": {"corp"}}, "same-origin")
	callback := ada.click(code, body, stranger.Sub)
	if code, _, _ := late.send("POST", base+"/signin/admin", url.Values{"t": {secret}, "issuer": {"corp"}}, "same-origin"); code != http.StatusForbidden {
		t.Errorf("the link worked twice: %d", code)
	}
	if code, body, _ := ada.send("GET", callback, nil, "cross-site"); code != http.StatusOK {
		t.Fatalf("the first administrator: %d %.300s", code, body)
	}
	if again, err := b.AdminLink(t.Context()); again != "" || err != nil {
		t.Errorf("a second link: %q, %v", again, err)
	}
	mira := b.surfer()
	if mira.in("corp", oidcMira.Sub) != http.StatusOK {
		t.Fatal("mira")
	}
	if !strings.Contains(ada.settings(), "Everybody's sessions") || strings.Contains(mira.settings(), "Everybody") {
		t.Error("who administers sees no sessions, or who doesn't sees all")
	}
	hers, err := b.sessions.List(t.Context(), "")
	if err != nil || len(hers) != 2 {
		t.Fatalf("%d sessions, %v", len(hers), err)
	}
	byPerson := map[string]string{}
	for _, s := range hers {
		byPerson[s.Account] = s.ID
	}
	end := func(s *surfer, account string) int {
		code, _, _ := s.send("POST", base+"/settings/sessions/"+byPerson[account]+"/end", url.Values{}, "same-origin")
		return code
	}
	if code := end(mira, "corp|"+stranger.Sub); code != http.StatusNotFound {
		t.Errorf("somebody ended the administrator's session: %d", code)
	}
	if code := end(ada, "corp|"+oidcMira.Sub); code != http.StatusSeeOther {
		t.Errorf("the administrator: %d", code)
	}
	if code, _ := mira.get("/approvals"); code != http.StatusSeeOther {
		t.Errorf("mira is signed in: %d", code)
	}
	for _, r := range b.records(audit.TypeChange) {
		for _, v := range r.Detail {
			if strings.Contains(v, secret) {
				t.Error("the link stands in the log")
			}
		}
	}
	if code, _, _ := ada.send("POST", base+"/signout", url.Values{}, "same-origin"); code != http.StatusSeeOther {
		t.Errorf("signing out: %d", code)
	}
	if code, _ := ada.get("/settings"); code != http.StatusSeeOther {
		t.Errorf("signed out, and in: %d", code)
	}
}

// TestAnIssuerThatIsDown: who is signed in goes on, nobody enters, /readyz says so and stays ready.
func TestAnIssuerThatIsDown(t *testing.T) {
	b := newSignedIn(t, "")
	mira, late := b.surfer(), b.surfer()
	if mira.in("corp", oidcMira.Sub) != http.StatusOK {
		t.Fatal("mira")
	}
	b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	callback := late.start("/signin/start/corp", oidcOmar.Sub)
	b.corp.Down(true)
	if code, _, _ := late.send("GET", callback, nil, "cross-site"); code != http.StatusServiceUnavailable {
		t.Errorf("somebody enters: %d", code)
	}
	if code, _ := late.get("/signin/start/corp"); code != http.StatusServiceUnavailable {
		t.Errorf("somebody is sent there: %d", code)
	}
	c, err := client.New(b.URL(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Ready(t.Context())
	if err != nil || !r.Ready || !r.Degraded {
		t.Errorf("%+v, %v", r, err)
	}
	for _, check := range r.Checks {
		if check.OK == (check.Name == "issuer corp") {
			t.Errorf("%s: %v", check.Name, check.OK)
		}
	}
	if code := late.in("other", oidcOmar.Sub); code != http.StatusForbidden { // it answers: she is a stranger there
		t.Errorf("the other issuer: %d", code)
	}
	if code, body := mira.review(a, "deny"); code != http.StatusOK {
		t.Errorf("who was signed in: %d %.300s", code, body)
	}
}

// TestADeviceCodeReadsAndNeverReviews: the login of a command, from begin to logout.
func TestADeviceCodeReadsAndNeverReviews(t *testing.T) {
	b := newSignedIn(t, "")
	open, err := client.New(b.URL(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.BeginLogin(t.Context(), ""); err == nil {
		t.Error("which of two issuers?")
	}
	login := func(sub string) (*client.LoggedIn, error) {
		l, err := open.BeginLogin(t.Context(), "corp")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := open.PollLogin(t.Context(), l.Handle, "test"); err != nil || got.State != "pending" {
			t.Errorf("before anybody confirmed: %+v, %v", got, err)
		}
		if _, err := open.PollLogin(t.Context(), l.Handle[:len(l.Handle)-2]+"AA", "test"); err == nil {
			t.Error("a changed handle was taken")
		}
		b.corp.Confirm(l.UserCode, sub)
		time.Sleep(600 * time.Millisecond) // the provider's interval
		return open.PollLogin(t.Context(), l.Handle, "test")
	}
	if got, err := login(stranger.Sub); err == nil {
		t.Errorf("a stranger: %+v", got)
	}
	got, err := login(oidcMira.Sub)
	if err != nil || got.State != "done" || time.Until(got.Expires) > session.ReadLife {
		t.Fatalf("%+v, %v", got, err)
	}
	c, err := client.New(b.URL(), got.Token, nil)
	if err != nil {
		t.Fatal(err)
	}
	who, err := c.WhoAmI(t.Context())
	if err != nil || len(who.Scopes) != 1 || who.Scopes[0] != identity.ScopeRead || who.Person.ID != got.Person {
		t.Errorf("%+v, %v", who, err)
	}
	b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	shown, err := c.Approval(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Review(t.Context(), shown, "approve", ""); !client.Is(err, "scope") {
		t.Errorf("a device code reviewed: %v", err)
	}
	thief := b.surfer()
	if code, _, _ := thief.send("POST", base+"/signin", url.Values{"token": {got.Token}}, "same-origin"); code != http.StatusForbidden {
		t.Errorf("pasted into the console: %d", code)
	}
	list, err := c.Sessions(t.Context())
	if err != nil || len(list) != 1 || !list[0].Current || list[0].How != "device" {
		t.Errorf("%+v, %v", list, err)
	}
	for scope, sees := range map[string]int{identity.ScopeRead: 0, identity.ScopeAdmin: 1} {
		text, err := b.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "person:omar", Scopes: []string{scope}, By: "test"})
		if err != nil {
			t.Fatal(err)
		}
		omar, err := client.New(b.URL(), text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if theirs, err := omar.Sessions(t.Context()); err != nil || len(theirs) != sees {
			t.Errorf("with scope %s somebody else sees %d sessions, %v", scope, len(theirs), err)
		}
		if sees == 0 {
			if err := omar.EndSession(t.Context(), list[0].ID); !client.Is(err, "not-found") {
				t.Errorf("somebody else ended it: %v", err)
			}
		}
		if err := omar.EndSession(t.Context(), "self"); !client.Is(err, "not-found") {
			t.Errorf("a token that came with no session ended one: %v", err)
		}
	}
	mira := b.surfer()
	if code := mira.in("corp", oidcMira.Sub); code != http.StatusOK {
		t.Fatalf("signing in: %d", code)
	}
	if list, err = c.Sessions(t.Context()); err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, s := range list {
		if s.Current {
			continue
		}
		if err := c.EndSession(t.Context(), s.ID); !client.Is(err, "scope") {
			t.Errorf("what only reads ended the person's session in the console: %v", err)
		}
	}
	mira.settings() // she is signed in still
	if err := c.EndSession(t.Context(), "self"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WhoAmI(t.Context()); err == nil {
		t.Error("logged out, and the token is good")
	}
}

// TestLoginsAreBounded: whoever has no credential can't have issuers asked without end.
func TestLoginsAreBounded(t *testing.T) {
	var begun, polled atomic.Int64
	b := newSignedIn(t, "", func(b *signedIn) {
		b.through = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/device":
					begun.Add(1)
				case r.Method == http.MethodPost && r.URL.Path == "/token":
					polled.Add(1)
				}
				next.ServeHTTP(w, r)
			})
		}
	})
	open, err := client.New(b.URL(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	handle := ""
	for range loginsAtOnce + 5 {
		l, err := open.BeginLogin(t.Context(), "corp")
		if err == nil {
			handle = l.Handle
		} else if !client.Is(err, "busy") {
			t.Fatal(err)
		}
	}
	for range pollsAtOnce + 50 {
		if got, err := open.PollLogin(t.Context(), handle, "test"); err != nil || got.State != "pending" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if begun.Load() != loginsAtOnce || polled.Load() != pollsAtOnce {
		t.Errorf("the issuer was asked for %d codes and polled %d times", begun.Load(), polled.Load())
	}
}

// TestAFreshSignIn: it is the same account's, made now, and bound to what asked for it.
func TestAFreshSignIn(t *testing.T) {
	b := newSignedIn(t, "")
	mira := b.surfer()
	if mira.in("corp", oidcMira.Sub) != http.StatusOK {
		t.Fatal("mira")
	}
	id := func() string {
		list, err := b.sessions.List(t.Context(), "")
		if err != nil || len(list) != 1 {
			t.Fatalf("%d sessions, %v", len(list), err)
		}
		return list[0].ID
	}()
	nonce := strings.Repeat("n", 43)
	ask := func() (int, string) {
		code, body, _ := mira.send("POST", base+"/signin/fresh", url.Values{"nonce": {nonce}, "next": {"/settings"}}, "same-origin")
		return code, body
	}
	try := func(name string, sub string, want int) {
		t.Helper()
		code, body := ask()
		if code, body, _ := mira.send("GET", mira.click(code, body, sub), nil, "cross-site"); code != want {
			t.Errorf("%s: %d %.300s", name, code, body)
		}
	}
	b.corp.Tweak(func(i *oidctest.IDToken) { i.Claims["auth_time"] = time.Now().Unix() - 300 })
	try("an old sign-in", oidcMira.Sub, http.StatusForbidden)
	b.corp.Tweak(nil)
	try("another account", oidcOmar.Sub, http.StatusForbidden)
	if _, err := b.sessions.TakeProof(t.Context(), id, nonce); err == nil {
		t.Error("a proof came of that")
	}
	try("mira", oidcMira.Sub, http.StatusOK)
	if _, err := b.sessions.TakeProof(t.Context(), id, strings.Repeat("m", 43)); err == nil {
		t.Error("it proves something else")
	}
	p, err := b.sessions.TakeProof(t.Context(), id, nonce)
	if err != nil || p.Account != "corp|"+oidcMira.Sub || p.IDToken == "" || time.Since(p.AuthTime) > time.Minute {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := b.sessions.TakeProof(t.Context(), id, nonce); err == nil {
		t.Error("it proves twice")
	}
	if code, _, _ := mira.send("POST", base+"/signin/fresh", url.Values{"nonce": {"short"}, "next": {"/settings"}}, "same-origin"); code != http.StatusBadRequest {
		t.Errorf("a bad nonce: %d", code)
	}
}
