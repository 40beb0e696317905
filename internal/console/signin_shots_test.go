package console

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/oidc/oidctest"
)

// TestSignInPagesInDarkLightAndOnAPhone: the buttons of issuers, one of them down, and the first administrator's link.
func TestSignInPagesInDarkLightAndOnAPhone(t *testing.T) {
	h := newHouse(t)
	var issuers []*oidc.Issuer
	for _, name := range []string{"corp", "contractors"} {
		idp, err := oidctest.New(oidctest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(idp.Close)
		i, err := oidc.New(oidc.Config{Name: name, Issuer: idp.Issuer(), ClientID: "assent"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(i.Close)
		issuers = append(issuers, i)
		if name == "corp" { // the other was never reached
			if _, _, err := i.Begin(context.Background(), oidc.Question{Redirect: "http://localhost/cb"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.change = func(o *Options) { o.SignIns = h.sessions(nobody{}, issuers...) }
	h.serve()
	b := openBrowser(t)
	axe := axeSource(t)
	for _, scheme := range []string{"dark", "light"} {
		b.scheme(scheme)
		for name, path := range map[string]string{"signin": "/signin", "signin-admin": "/signin/admin?t=abc", "signin-link": "/signin?t=abc"} {
			b.do(chromedp.EmulateViewport(1440, 900, chromedp.EmulateScale(1.5)))
			b.goTo(h.url + path)
			b.until(`document.fonts.status === "loaded" && document.querySelector("h1")`)
			b.shot(name + "-" + scheme)
			b.accessible(axe, name+" in "+scheme)
			b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile))
			if w := eval[int](b, "document.documentElement.scrollWidth"); w > 390 {
				t.Errorf("%s in %s is %d px wide on a phone of 390: %s", name, scheme, w, eval[string](b, widest))
			}
			b.shot(name + "-phone-" + scheme)
		}
	}
	b.clean()
}
