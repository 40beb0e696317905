package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/oidc/oidctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var mira = oidctest.User{Sub: "00u1mira", Name: "Mira Kovač", Groups: []string{"00g1owners", "00g2dba"}}

const callback = "http://localhost:8720/signin/callback/corp"

// pair is a provider and a relying party that knows it.
type pair struct {
	t   *testing.T
	idp *oidctest.Provider
	*oidc.Issuer
	now time.Duration // how far the relying party's clock stands from the provider's
}

func newPair(t *testing.T, o oidctest.Options, change ...func(*oidc.Config)) *pair {
	t.Helper()
	o.Users = append(o.Users, mira, oidctest.User{Sub: "00u2sam", Name: "Sam"})
	idp, err := oidctest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	p := &pair{t: t, idp: idp}
	c := oidc.Config{
		Name: "corp", Issuer: idp.Issuer(), ClientID: "assent", GroupsClaim: "groups",
		Secret: func(context.Context) ([]byte, error) { return []byte("secret"), nil },
		Clock:  func() time.Time { return time.Now().Add(p.now) },
	}
	for _, f := range change {
		f(&c)
	}
	if p.Issuer, err = oidc.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// click follows the address as a browser does, lets sub sign in, and returns the query of the callback.
func click(t *testing.T, address, sub string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	form := u.Query()
	form.Set("sub", sub)
	u.RawQuery = ""
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.PostForm(u.String(), form)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	to, err := res.Location()
	if err != nil {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("the provider answered %s: %s", res.Status, body)
	}
	return to.Query()
}

func (p *pair) begin(q oidc.Question) (string, *oidc.Flow) {
	p.t.Helper()
	q.Redirect = callback
	address, f, err := p.Begin(p.t.Context(), q)
	if err != nil {
		p.t.Fatal(err)
	}
	return address, f
}

func (p *pair) signIn(sub string) (*oidc.SignIn, error) {
	p.t.Helper()
	address, f := p.begin(oidc.Question{})
	return p.Finish(p.t.Context(), f, click(p.t, address, sub))
}

func TestSignIn(t *testing.T) {
	p := newPair(t, oidctest.Options{})
	address, f := p.begin(oidc.Question{})
	for _, want := range []string{"code_challenge_method=S256", "state=", "nonce=", "response_type=code", "scope=openid"} {
		if !strings.Contains(address, want) {
			t.Errorf("the address lacks %s: %s", want, address)
		}
	}
	if strings.Contains(address, f.Verifier) {
		t.Error("the PKCE verifier is in the address")
	}
	s, err := p.Finish(t.Context(), f, click(t, address, mira.Sub))
	if err != nil {
		t.Fatal(err)
	}
	if s.Subject != mira.Sub || s.Name != mira.Name || s.Issuer != "corp" || s.URL != p.idp.Issuer() || !slices.Equal(s.Groups, mira.Groups) {
		t.Errorf("signed in as %+v", s)
	}
	if time.Since(s.AuthTime) > time.Minute || !slices.Equal(s.AMR, []string{"pwd", "otp"}) || s.Refresh == "" {
		t.Errorf("when and how: %+v", s)
	}
	if p.Err() != nil {
		t.Errorf("the issuer answered, and: %v", p.Err())
	}
}

// TestBadTokens lets nobody in by any bad token: at sign-in, when a session is refreshed, and by a device code.
func TestBadTokens(t *testing.T) {
	for _, a := range oidctest.Attacks() {
		t.Run(a.Name, func(t *testing.T) {
			p := newPair(t, oidctest.Options{})
			good, err := p.signIn(mira.Sub)
			if err != nil {
				t.Fatalf("before the attack: %v", err)
			}
			p.idp.Tweak(a.Spoil)
			if s, err := p.signIn(mira.Sub); err == nil || !errors.Is(err, oidc.ErrRefused) {
				t.Errorf("sign-in: %+v, %v", s, err)
			}
			// Neither of these has a nonce or checks one.
			nonce := strings.Contains(a.Name, "nonce")
			if s, err := p.Again(t.Context(), *good); !nonce && (err == nil || errors.Is(err, oidc.ErrGone)) {
				t.Errorf("refresh: %+v, %v", s, err)
			}
			d, err := p.BeginDevice(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p.idp.Confirm(d.UserCode, mira.Sub)
			if s, err := p.PollDevice(t.Context(), d.Code); !nonce && err == nil {
				t.Errorf("device code: %+v", s)
			}
		})
	}
}

// TestAnswersOfOthers: a callback is good for the browser, the issuer and the attempt it belongs to, once.
func TestAnswersOfOthers(t *testing.T) {
	p := newPair(t, oidctest.Options{})
	other := newPair(t, oidctest.Options{}, func(c *oidc.Config) { c.Name = "other" })
	address, mine := p.begin(oidc.Question{})
	_, theirs := p.begin(oidc.Question{})
	_, elsewhere := other.begin(oidc.Question{})
	answer := click(t, address, mira.Sub)
	with := func(k, v string) url.Values {
		q := url.Values{}
		for name := range answer {
			q.Set(name, answer.Get(name))
		}
		if q.Set(k, v); v == "" {
			q.Del(k)
		}
		return q
	}
	twice := with("state", answer.Get("state"))
	twice.Add("state", "x")
	old := *mine
	old.Began = old.Began.Add(-11 * time.Minute)
	noVerifier := *mine
	noVerifier.Verifier = theirs.Verifier
	for name, c := range map[string]struct {
		f *oidc.Flow
		q url.Values
	}{
		"another browser's flow":        {theirs, answer},
		"another issuer's flow":         {elsewhere, answer},
		"an empty flow":                 {&oidc.Flow{Issuer: "corp", Began: time.Now()}, with("state", "")},
		"no state":                      {mine, with("state", "")},
		"two states":                    {mine, twice},
		"another issuer says so (9207)": {mine, with("iss", "https://evil.example")},
		"nobody says so though offered": {mine, with("iss", "")},
		"no code":                       {mine, with("code", "")},
		"another code":                  {mine, with("code", "guessed")},
		"after ten minutes":             {&old, answer},
		"an error":                      {mine, with("error", "access_denied")},
	} {
		if s, err := p.Finish(t.Context(), c.f, c.q); err == nil {
			t.Errorf("%s: signed in as %s", name, s.Subject)
		}
	}
	address, mine = p.begin(oidc.Question{})
	answer = click(t, address, mira.Sub)
	stolen := *mine
	stolen.Verifier = theirs.Verifier // the code was stolen, the browser's verifier wasn't
	if _, err := p.Finish(t.Context(), &stolen, answer); err == nil {
		t.Error("a code was traded without its PKCE verifier")
	}
	address, mine = p.begin(oidc.Question{})
	answer = click(t, address, mira.Sub)
	if _, err := p.Finish(t.Context(), mine, answer); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Finish(t.Context(), mine, answer); err == nil {
		t.Error("the same answer signed in twice")
	}
}

func TestGroupsAreWholeOrRefused(t *testing.T) {
	many := make([]string, oidc.MaxGroups)
	for i := range many {
		many[i] = fmt.Sprintf("%08x-aaaa-bbbb-cccc-0123456789ab", i)
	}
	p := newPair(t, oidctest.Options{})
	for _, n := range []int{0, 1, 500, oidc.MaxGroups} {
		p.idp.Set(oidctest.User{Sub: "many", Groups: many[:n]})
		s, err := p.signIn("many")
		if err != nil || !slices.Equal(s.Groups, many[:n]) {
			t.Errorf("%d groups: %v", n, err)
		}
	}
	p.idp.Set(oidctest.User{Sub: "many", Groups: append(many, "one-more")})
	if _, err := p.signIn("many"); !errors.Is(err, oidc.ErrRefused) || !strings.Contains(err.Error(), "2001 groups") {
		t.Errorf("one too many: %v", err)
	}
}

func TestGroupsFromUserinfo(t *testing.T) {
	p := newPair(t, oidctest.Options{GroupsInUserinfo: true})
	s, err := p.signIn(mira.Sub)
	if err != nil || !slices.Equal(s.Groups, mira.Groups) || s.Name != mira.Name {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestRemovedGroup: asked again, by refresh token or by userinfo, the groups are those of now.
func TestRemovedGroup(t *testing.T) {
	for name, o := range map[string]oidctest.Options{
		"refresh token": {}, "refresh token, groups in userinfo": {GroupsInUserinfo: true}, "userinfo alone": {NoRefresh: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, o)
			s, err := p.signIn(mira.Sub)
			if err != nil {
				t.Fatal(err)
			}
			if !p.CanAsk(s) {
				t.Fatal("can't be asked again")
			}
			less := mira
			less.Groups = mira.Groups[1:]
			p.idp.Set(less)
			for range 3 { // refresh tokens rotate
				if s, err = p.Again(t.Context(), *s); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(s.Groups, less.Groups) {
				t.Errorf("groups are still %v", s.Groups)
			}
			less.Disabled = true
			p.idp.Set(less)
			if _, err := p.Again(t.Context(), *s); !errors.Is(err, oidc.ErrGone) {
				t.Errorf("a disabled user: %v", err)
			}
		})
	}
	p := newPair(t, oidctest.Options{NoRefresh: true, NoUserinfo: true})
	s, err := p.signIn(mira.Sub)
	if err != nil {
		t.Fatal(err)
	}
	if p.CanAsk(s) {
		t.Error("nobody could be asked again, and it says so not")
	}
}

func TestIssuerDown(t *testing.T) {
	p := newPair(t, oidctest.Options{})
	p.idp.Down(true)
	if err := p.Err(); !errors.Is(err, oidc.ErrDown) {
		t.Errorf("before any contact: %v", err)
	}
	if _, _, err := p.Begin(t.Context(), oidc.Question{Redirect: callback}); !errors.Is(err, oidc.ErrDown) {
		t.Errorf("down at start: %v", err)
	}
	p.idp.Down(false)
	s, err := p.signIn(mira.Sub)
	if err != nil {
		t.Fatal(err)
	}
	address, f := p.begin(oidc.Question{})
	answer := click(t, address, mira.Sub)
	p.idp.Down(true)
	if _, err := p.Finish(t.Context(), f, answer); !errors.Is(err, oidc.ErrDown) || errors.Is(err, oidc.ErrGone) {
		t.Errorf("down in between: %v", err)
	}
	if _, err := p.Again(t.Context(), *s); !errors.Is(err, oidc.ErrDown) || errors.Is(err, oidc.ErrGone) {
		t.Errorf("a refresh while it is down must not end a session: %v", err)
	}
	if p.Err() == nil {
		t.Error("it is down, and healthy")
	}
	if _, _, err := p.Begin(t.Context(), oidc.Question{Redirect: callback}); err == nil {
		t.Error("somebody is sent to an issuer that is down")
	}
	p.idp.Down(false)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	for end := time.Now().Add(10 * time.Second); p.Err() != nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	stop()
	<-done
	if p.Err() != nil {
		t.Errorf("it is up again, and: %v", p.Err())
	}
}

func TestKeysRotate(t *testing.T) {
	p := newPair(t, oidctest.Options{})
	for range 4 {
		if _, err := p.signIn(mira.Sub); err != nil {
			t.Fatal(err)
		}
		p.idp.Rotate()
	}
	if n := p.idp.Calls("jwks"); n != 4 {
		t.Errorf("the keys were fetched %d times for 4 keys", n)
	}
}

func TestClockSkewIsNamed(t *testing.T) {
	for by, want := range map[time.Duration]string{
		-10 * time.Minute: "in the future", 10 * time.Minute: "expired", -40 * time.Second: "", 40 * time.Second: "", 5*time.Minute + 30*time.Second: "",
	} {
		p := newPair(t, oidctest.Options{})
		p.now = by
		_, err := p.signIn(mira.Sub)
		if want == "" && err != nil {
			t.Errorf("%s: %v", by, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "time synchronisation")) {
			t.Errorf("%s: %v", by, err)
		}
	}
}

// TestFreshSignIn: a fresh one carries the given nonce, and one from before doesn't count.
func TestFreshSignIn(t *testing.T) {
	p := newPair(t, oidctest.Options{})
	address, f := p.begin(oidc.Question{Fresh: true, Nonce: "aGFzaCBvZiBhIG5ldyBrZXkgb2YgYSBwYXNza2V5"})
	if !strings.Contains(address, "prompt=login") || !strings.Contains(address, "max_age=0") {
		t.Errorf("the address doesn't ask for a fresh sign-in: %s", address)
	}
	s, err := p.Finish(t.Context(), f, click(t, address, mira.Sub))
	if err != nil || s.IDToken == "" {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*oidctest.IDToken){
		"an old sign-in": func(i *oidctest.IDToken) { i.Claims["auth_time"] = time.Now().Unix() - 600 },
		"not told when":  func(i *oidctest.IDToken) { delete(i.Claims, "auth_time") },
	} {
		p.idp.Tweak(spoil)
		address, f := p.begin(oidc.Question{Fresh: true})
		if _, err := p.Finish(t.Context(), f, click(t, address, mira.Sub)); !errors.Is(err, oidc.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeviceCode(t *testing.T) {
	p := newPair(t, oidctest.Options{})
	d, err := p.BeginDevice(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.PollDevice(t.Context(), d.Code); !errors.Is(err, oidc.ErrPending) {
		t.Errorf("before anybody confirmed: %v", err)
	}
	if _, err := p.PollDevice(t.Context(), d.Code); !errors.Is(err, oidc.ErrSlow) {
		t.Errorf("at once again: %v", err)
	}
	if !p.idp.Confirm(d.UserCode, mira.Sub) {
		t.Fatal("the provider doesn't know the code")
	}
	time.Sleep(600 * time.Millisecond) // the provider's interval
	s, err := p.PollDevice(t.Context(), d.Code)
	if err != nil || s.Subject != mira.Sub {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := p.PollDevice(t.Context(), d.Code); err == nil {
		t.Error("a device code worked twice")
	}
	d, err = p.BeginDevice(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.idp.Confirm(d.UserCode, "")
	if _, err := p.PollDevice(t.Context(), d.Code); !errors.Is(err, oidc.ErrRefused) {
		t.Errorf("refused by the user: %v", err)
	}
}

func TestClientAuthentication(t *testing.T) {
	for _, how := range []string{"basic", "post"} {
		p := newPair(t, oidctest.Options{Path: "/realms/corp"})
		p.idp.WantAuth(how)
		if _, err := p.signIn(mira.Sub); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
	p := newPair(t, oidctest.Options{}, func(c *oidc.Config) {
		c.Secret = func(context.Context) ([]byte, error) { return []byte("wrong"), nil }
	})
	_, err := p.signIn(mira.Sub)
	if err == nil || !strings.Contains(err.Error(), "client_secret") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong secret: %v", err)
	}
}

func TestIssuerURLs(t *testing.T) {
	for _, bad := range []string{"", "corp", "http://idp.example", "https://idp.example?x=1", "https://u:p@idp.example", "ftp://idp.example", "https://idp.example#x"} {
		if _, err := oidc.New(oidc.Config{Name: "corp", Issuer: bad, ClientID: "assent"}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	idp, err := oidctest.New(oidctest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer idp.Close()
	i, err := oidc.New(oidc.Config{Name: "corp", Issuer: idp.Issuer() + "/", ClientID: "assent"})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if _, _, err := i.Begin(t.Context(), oidc.Question{}); err == nil || !strings.Contains(err.Error(), "last slash") {
		t.Errorf("metadata of another issuer: %v", err)
	}
}

func TestTheTestProviderStaysOnLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "localhost:0"} {
		if p, err := oidctest.New(oidctest.Options{Addr: addr}); err == nil {
			p.Close()
			t.Errorf("it listens at %s", addr)
		}
	}
}

func TestBox(t *testing.T) {
	b, err := oidc.NewBox([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := b.Seal("flow", oidc.Flow{State: "s"})
	if err != nil {
		t.Fatal(err)
	}
	var f oidc.Flow
	if err := b.Open("flow", text, &f); err != nil || f.State != "s" {
		t.Fatalf("%+v, %v", f, err)
	}
	other, _ := oidc.NewBox([]byte(strings.Repeat("o", 32)))
	for name, err := range map[string]error{
		"another purpose": b.Open("refresh:1", text, &f), "another key": other.Open("flow", text, &f),
		"cut": b.Open("flow", text[:20], &f), "empty": b.Open("flow", "", &f), "changed": b.Open("flow", "A"+text[1:], &f),
	} {
		if err == nil && !(name == "changed" && text[0] == 'A') {
			t.Errorf("%s: it opened", name)
		}
	}
	if _, err := oidc.NewBox([]byte("short")); err == nil {
		t.Error("a short secret was taken")
	}
}
