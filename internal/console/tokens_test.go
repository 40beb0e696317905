package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

// minted is a house with the real keeper of credentials; dba administer.
func minted(t *testing.T) (*house, *identity.Tokens) {
	t.Helper()
	h := newHouse(t)
	tokens, err := identity.NewTokens(identity.TokenOptions{
		Store: h.store, Directory: h.people, SealKey: []byte("0123456789abcdef0123456789abcdef"),
		Record: func(ctx context.Context, tx identity.TokenTx, c identity.TokenChange) error {
			return h.log.Append(ctx, tx.(audit.Tx), &audit.Record{Type: audit.TypeToken, Person: c.By, Detail: map[string]string{"what": c.What, "token": c.Token.ID}})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.change = func(o *Options) {
		o.Tokens = tokens
		o.Administers = func(p *identity.Person) bool { return p.In("group:dba") }
	}
	h.serve()
	return h, tokens
}

func TestACredentialForOneself(t *testing.T) {
	h, tokens := minted(t)
	mc, sc := newClient(h).signIn(mira), newClient(h).signIn(sam)
	count := func() int {
		t.Helper()
		all, err := tokens.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	form := func(c *client, hours string, scopes ...string) url.Values {
		return url.Values{"csrf": {c.csrf}, "hours": {hours}, "scope": scopes}
	}
	token := newClient(h).pasted()
	for name, x := range map[string]struct {
		c    *client
		form url.Values
		want int
	}{
		"without the page's token": {mc, url.Values{"hours": {"1"}, "scope": {"read"}}, http.StatusForbidden},
		"a token begets a token":   {token, form(token, "1", "read"), http.StatusForbidden},
		"no administrator":         {mc, form(mc, "1", "read", "admin"), http.StatusUnprocessableEntity},
		"an agent's scope":         {mc, form(mc, "1", "act"), http.StatusUnprocessableEntity},
		"a gate's scope":           {sc, form(sc, "1", "gate"), http.StatusUnprocessableEntity},
		"nothing":                  {mc, form(mc, "1"), http.StatusUnprocessableEntity},
		"too long":                 {mc, form(mc, "13", "read"), http.StatusUnprocessableEntity},
		"no time":                  {mc, form(mc, "0", "read"), http.StatusUnprocessableEntity},
	} {
		if code, _ := x.c.send("POST", "/settings/tokens", x.form); code != x.want || count() != 0 {
			t.Errorf("%s: %d, %d credentials", name, code, count())
		}
	}
	// Whom the form names is nothing: it is made for who is signed in.
	f := form(mc, "2", "read", "review")
	f.Set("subject", sam.ID)
	f.Set("kind", identity.KindActor)
	code, body := mc.send("POST", "/settings/tokens", f)
	_, rest, _ := strings.Cut(body, `id="secret" aria-label="New credential">`)
	secret, _, _ := strings.Cut(rest, "<")
	if code != http.StatusOK || !strings.HasPrefix(secret, "ast_") {
		t.Fatalf("%d %s", code, body)
	}
	who, err := tokens.Check(t.Context(), secret)
	if err != nil || who.Person == nil || who.Person.ID != mira.ID || !slices.Equal(who.Scopes, []string{"read", "review"}) || time.Until(who.Expires) > 2*time.Hour {
		t.Fatalf("%+v, %v", who, err)
	}
	if _, body := mc.send("GET", "/settings/tokens", nil); strings.Contains(body, secret) || !strings.Contains(body, who.Token) {
		t.Error("its text is shown twice, or it isn't listed")
	}
	if _, body := sc.send("GET", "/settings/tokens", nil); strings.Contains(body, who.Token) || !strings.Contains(body, `value="admin"`) {
		t.Error("an administrator sees another's, or isn't offered what is theirs")
	}
	if code, _ := sc.send("POST", "/settings/tokens/"+who.Token+"/revoke", url.Values{"csrf": {sc.csrf}}); code != http.StatusNotFound {
		t.Errorf("another ends it: %d", code)
	}
	if code, _ := mc.send("POST", "/settings/tokens/"+who.Token+"/revoke", url.Values{"csrf": {mc.csrf}}); code != http.StatusSeeOther {
		t.Errorf("one can't end one's own: %d", code)
	}
	if _, err := tokens.Check(t.Context(), secret); err == nil {
		t.Error("it counts still")
	}
}

func TestACredentialInTheBrowser(t *testing.T) {
	h, tokens := minted(t)
	b := openBrowser(t)
	b.signIn(h, mira)
	axe := axeSource(t)
	b.goTo(h.url + "/settings/tokens")
	b.do(chromedp.Click(`#mint button.primary`))
	b.until(`document.querySelector("#secret")?.textContent.startsWith("ast_")`)
	if _, err := tokens.Check(t.Context(), eval[string](b, `document.querySelector("#secret").textContent`)); err != nil {
		t.Error(err)
	}
	for _, scheme := range []string{"dark", "light"} {
		b.scheme(scheme)
		b.accessible(axe, "credentials in "+scheme)
		b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile))
		if w := eval[int](b, "document.documentElement.scrollWidth"); w > 390 {
			t.Errorf("in %s it is %d px wide on a phone of 390: %s", scheme, w, eval[string](b, widest))
		}
		b.shot("tokens-" + scheme)
		b.do(chromedp.EmulateViewport(1440, 900))
	}
	b.clean()
}
