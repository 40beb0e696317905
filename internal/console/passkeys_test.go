package console

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/passkey"
	"github.com/assenthq/assent/internal/sealed"
)

// keyed is a house at http://localhost, as browsers bind passkeys to names. Its
// log began an age before now, so that no key counts because it is the first.
type keyed struct {
	*house
	keys *passkey.Keys
	late time.Duration // how far ahead the passkeys' clock is
}

func newKeyed(t *testing.T, began time.Duration) *keyed {
	t.Helper()
	h := &keyed{house: newHouse(t)}
	seal := []byte("0123456789abcdef0123456789abcdef")
	box, err := sealed.NewBox(h.store, h.log, seal)
	if err != nil {
		t.Fatal(err)
	}
	minter, err := grant.NewMinter(filepath.Join(t.TempDir(), "grant.key"), "assent.test")
	if err != nil {
		t.Fatal(err)
	}
	h.change = func(o *Options) {
		o.PublicURL = strings.Replace(o.PublicURL, "127.0.0.1", "localhost", 1)
		clock := func() time.Time { return time.Now().Add(h.late) }
		h.keys, err = passkey.New(passkey.Options{
			Box: box, PublicURL: o.PublicURL, Secret: seal, Clock: clock,
			Began: func(context.Context) (time.Time, error) { return time.Now().Add(-began), nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		h.engine, err = approval.New(approval.Options{
			Store: h.store, Log: h.log, Minter: minter, Directory: h.people, MatchKey: make([]byte, 32), SealKey: seal, Issuer: "assent.test", Passkeys: h.keys, Clock: clock,
		})
		if err != nil {
			t.Fatal(err)
		}
		o.Passkeys, o.Approvals, o.Clock = h.keys, h.engine, clock
	}
	h.open()
	return h
}

// open serves the console under its name.
func (h *keyed) open() {
	h.serve()
	h.url = strings.Replace(h.url, "127.0.0.1", "localhost", 1)
}

// signed has the action wait for n data owners with passkeys.
func signed(n int) func(*approval.Question) {
	return func(q *approval.Question) {
		q.Decision.Requirements[0].Assurance, q.Decision.Requirements[0].Count = "passkey", n
	}
}

// device plugs an authenticator into the browser.
func (b *browser) device(transport webauthn.AuthenticatorTransport) webauthn.AuthenticatorID {
	b.t.Helper()
	id, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (webauthn.AuthenticatorID, error) {
		if _, err := cdp.Call(ctx, t, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return "", err
		}
		r, err := cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
			Options: &webauthn.VirtualAuthenticatorOptions{
				Protocol: "ctap2", Transport: transport, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
			},
		})
		return r.AuthenticatorID, err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func call[P, R any](b *browser, c cdp.Command[P, R], p P) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, c, p) })
	if err != nil {
		b.t.Fatal(err)
	}
}

// register makes a passkey by the settings page.
func (b *browser) register(h *keyed, button, said string) {
	b.t.Helper()
	b.goTo(h.url + "/settings")
	b.until(`document.querySelector("#newkey") && document.querySelector("#pip.on")`)
	b.do(chromedp.Focus(chromedp.CSS("#keyname")))
	b.key("laptop")
	b.do(chromedp.Click(chromedp.CSS(`#newkey button[value=` + button + `]`)))
	b.until(`document.querySelector("#toast.up")?.textContent.includes("` + said + `")`)
}

const toastSays = `document.querySelector("#toast").textContent`

func TestApprovedWithAPasskey(t *testing.T) {
	h := newKeyed(t, 24*time.Hour*30)
	early := h.ask(signed(1))
	b := openBrowser(t)
	b.device("internal")
	b.signIn(h.house, sam)
	b.goTo(h.url + "/approvals/" + early.ID)
	b.until(`document.querySelector(".maynot")?.textContent.includes("you have none that counts. Register one")`)
	b.register(h, "alone", "counts from")
	b.until(`document.querySelector("#passkeys td .st")?.textContent === "counts from"`)
	b.shot("passkey-waits")
	// A key that was just registered signs nothing.
	b.goTo(h.url + "/approvals/" + early.ID)
	b.until(`document.querySelector(".maynot")`)
	b.goTo("about:blank") // an open page would say that its session is over
	h.back, h.late = -25*time.Hour, 25*time.Hour
	first, second := h.ask(signed(1)), h.ask(signed(1))
	b.signIn(h.house, sam) // a day is longer than a session
	b.goTo(h.url + "/approvals/" + first.ID)
	b.until(armed)
	b.key("a")
	b.until(`document.querySelector("#confirm").open && document.activeElement.id === "confirm-yes"`)
	b.shot("passkey-confirm")
	b.key(kb.Enter)
	h.state(first.ID, approval.Approved)
	b.until(toastSays + `.includes("recorded")`)
	r := h.get(first.ID).Reviews[0]
	if r.Assurance != "passkey" || r.Signature == nil || r.Person != sam.ID {
		t.Fatalf("the review: %+v", r)
	}
	b.goTo(h.url + "/approvals/" + second.ID)
	b.until(armed)
	b.key("d")
	b.until(`document.activeElement.id === "reason"`)
	b.key("not like this" + kb.Escape)
	b.key("d")
	h.state(second.ID, approval.Denied)
	if r := h.get(second.ID).Reviews[0]; r.Assurance != "passkey" || r.Reason != "not like this" {
		t.Errorf("the denial: %+v", r)
	}
	b.clean()
	report := h.verified()
	if !report.OK() || report.Passkeys.Signatures != 2 {
		t.Errorf("offline: %+v", report)
	}
}

// verified reads the log as an auditor does.
func (h *keyed) verified() *audit.Report {
	h.t.Helper()
	report, err := audit.Verify(h.t.Context(), h.store, audit.VerifyOptions{VKeys: h.log.Verifiers()})
	if err != nil {
		h.t.Fatal(err)
	}
	return report
}

func TestAnOlderPasskeyVouchesInTheBrowser(t *testing.T) {
	h := newKeyed(t, time.Hour)
	b := openBrowser(t)
	old := b.device("internal")
	b.signIn(h.house, sam)
	b.register(h, "alone", "counts from now on")                     // the first day
	b.until(`document.querySelector("#newkey button[value=older]")`) // without a reload
	b.shot("passkey-first")
	// One authenticator holds one key of a person: the second is another device.
	b.device("usb")
	b.register(h, "older", "counts from now on")
	keys, err := h.keys.Of(t.Context(), sam.ID)
	if err != nil || len(keys) != 2 || keys[1].BoundBy != "passkey" || !keys[1].Live(time.Now().Add(time.Second)) {
		t.Fatalf("%+v, %v", keys, err)
	}
	call(b, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: old})
	b.goTo(h.url + "/settings")
	b.do(chromedp.Click(chromedp.CSS(`form[action="/settings/passkeys/` + keys[0].ID + `/revoke"] button`)))
	b.until(`location.pathname === "/settings" && [...document.querySelectorAll("#passkeys td .st")].some(e => e.textContent === "revoked")`)
	a := h.ask(signed(1))
	b.goTo(h.url + "/approvals/" + a.ID)
	b.until(armed)
	b.key("a")
	b.until(`document.activeElement?.id === "confirm-yes"`)
	b.key(kb.Enter)
	h.state(a.ID, approval.Approved)
	b.clean()
	if r := h.verified(); !r.OK() || r.Passkeys.Keys != 2 {
		t.Errorf("offline: %+v", r)
	}
}

// TestBadPasskeysInTheBrowser: a key that doesn't verify its user, one that
// signs rubbish, none at all, and another person's.
func TestBadPasskeysInTheBrowser(t *testing.T) {
	h := newKeyed(t, time.Hour)
	b := openBrowser(t)
	id := b.device("internal")
	b.signIn(h.house, sam)
	b.register(h, "alone", "counts from now on")
	a := h.ask(signed(1))
	try := func(want string) {
		t.Helper()
		b.goTo(h.url + "/approvals/" + a.ID)
		b.until(armed)
		b.key("a")
		b.until(`document.activeElement?.id === "confirm-yes"`)
		b.key(kb.Enter)
		b.until(toastSays + `.includes("` + want + `")`)
		if s := h.get(a.ID); s.State != approval.Pending || len(s.Reviews) != 0 {
			t.Fatalf("%s: it is %s", want, s.State)
		}
	}
	yes := true
	call(b, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: id, IsBadUV: &yes})
	try("verify its user")
	call(b, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: id, IsBogusSignature: &yes})
	try("was not accepted")
	call(b, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: id})
	call(b, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: id})
	try("Nothing was signed")
	call(b, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: id, IsUserVerified: true})
	b.shot("passkey-refused")

	// Mira at Sam's browser: his key is none of hers, and she can't register it.
	b.do(chromedp.Click(chromedp.CSS("#theme")))
	b.goTo(h.url + "/settings")
	b.do(chromedp.Click(chromedp.CSS("form[action='/signout'] button")))
	b.until(`location.pathname === "/signin"`)
	b.signIn(h.house, mira)
	b.goTo(h.url + "/approvals/" + a.ID)
	b.until(`document.querySelector(".maynot")?.textContent.includes("none that counts")`)
	if has, err := h.keys.Has(t.Context(), mira.ID); err != nil || has {
		t.Errorf("mira has a passkey: %v", err)
	}
	refused, err := h.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeRefused}, Approval: a.ID})
	if err != nil || len(refused) != 2 {
		t.Errorf("%d refusals on record, %v", len(refused), err)
	}
}

// TestCriticalIsConfirmedByThePasskeyOneHas: policy asks for a console only.
func TestCriticalIsConfirmedByThePasskeyOneHas(t *testing.T) {
	h := newKeyed(t, time.Hour)
	b := openBrowser(t)
	b.device("internal")
	b.signIn(h.house, sam)
	b.register(h, "alone", "counts from now on")
	a := h.ask(nil)
	b.goTo(h.url + "/approvals/" + a.ID)
	b.until(armed)
	b.key("a")
	b.until(`document.activeElement?.id === "confirm-yes" && document.querySelector("#confirm").textContent.includes("Approve with passkey")`)
	b.key(kb.Enter)
	b.until(`document.querySelector(".maynot")?.textContent.includes("You have reviewed this")`)
	if r := h.get(a.ID).Reviews; len(r) != 1 || r[0].Assurance != "passkey" {
		t.Fatalf("%+v", r)
	}
	b.clean()
}

func TestPasskeyPagesInDarkLightAndOnAPhone(t *testing.T) {
	h := newKeyed(t, time.Hour)
	b := openBrowser(t)
	b.device("internal")
	b.signIn(h.house, sam)
	b.register(h, "alone", "counts from now on")
	b.device("usb")
	b.register(h, "alone", "counts from")
	keys, err := h.keys.Of(t.Context(), sam.ID)
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	axe := axeSource(t)
	a := h.ask(signed(2))
	for _, scheme := range []string{"dark", "light"} {
		b.scheme(scheme)
		for name, path := range map[string]string{"passkeys": "/settings", "passkey-card": "/approvals/" + a.ID} {
			b.do(chromedp.EmulateViewport(1440, 900, chromedp.EmulateScale(1.5)))
			b.goTo(h.url + path)
			b.until(`document.fonts.status === "loaded" && document.querySelector("h1") && document.querySelector("#pip.on")`)
			if name == "passkey-card" {
				b.until(armed)
			} else {
				b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#passkeys").scrollIntoView(); void 0`))
			}
			b.shot(name + "-" + scheme)
			b.accessible(axe, name+" in "+scheme)
			b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile))
			if w := eval[int](b, "document.documentElement.scrollWidth"); w > 390 {
				t.Errorf("%s in %s is %d px wide on a phone of 390: %s", name, scheme, w, eval[string](b, widest))
			}
			b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#passkeys")?.scrollIntoView(); void 0`))
			b.shot(name + "-phone-" + scheme)
		}
	}
	b.clean()
}
