package server

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/oidc/oidctest"
	"github.com/assenthq/assent/internal/pgcluster"
)

// TestSetUpTriesTheRealThing asks a real provider, a real PostgreSQL and the real classifier.
func TestSetUpTriesTheRealThing(t *testing.T) {
	s := heldServer(t)
	try := trial{s}
	ctx := t.Context()

	idp, err := oidctest.New(oidctest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	if err := try.Issuer(ctx, idp.Issuer(), "assent"); err != nil {
		t.Errorf("an issuer that answers: %v", err)
	}
	for _, bad := range []string{"", "ftp://x", "http://idp.example.com", idp.Issuer() + "/other", "file:///etc/passwd"} {
		if err := try.Issuer(ctx, bad, "assent"); err == nil {
			t.Errorf("issuer %q is taken", bad)
		} else if strings.Contains(err.Error(), "trial") {
			t.Errorf("issuer %q: an error names what nobody typed: %v", bad, err)
		}
	}

	pg, err := pgcluster.Start(ctx, pgcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pg.Stop() })
	if says, err := try.System(ctx, pg.Host, pg.Port); err != nil || !strings.Contains(says, "without TLS") {
		t.Errorf("a PostgreSQL: %q, %v", says, err)
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go func() {
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = c.Close()
		}
	}()
	port := other.Addr().(*net.TCPAddr).Port
	if says, err := try.System(ctx, "127.0.0.1", port); err == nil || !strings.Contains(err.Error(), "no PostgreSQL") {
		t.Errorf("something else: %q, %v", says, err)
	}
	_ = other.Close()
	if _, err := try.System(ctx, "127.0.0.1", port); err == nil || !strings.Contains(err.Error(), "nothing answers") {
		t.Errorf("nobody: %v", err)
	}

	const pack = "apiVersion: assent/v1\nkind: PolicyPack\nmetadata: { name: first, version: 1.0.0, owner: us }\nrules:\n  - id: two\n    match: { kind: [data.delete] }\n    then: review\n    approval: { from: [group:reviewers], count: 2, expires: 30m }\n    reason: \"{{action.verb}} waits\"\ntests:\n  - name: waits\n    given: { kind: data.delete, actor: agent }\n    want: { decision: review }\n"
	got, err := try.Rule(pack, "DELETE FROM orders")
	if err != nil || got.Verdict != "review" || !strings.Contains(strings.Join(got.Rules, " "), "first/two") || !strings.Contains(strings.Join(got.Asks, " "), "2 of reviewers") || len(got.Failed) > 0 || !strings.Contains(got.Reason, "delete waits") {
		t.Errorf("a delete: %+v, %v", got, err)
	}
	if got, err := try.Rule(pack, "SELECT 1 FROM orders"); err != nil || got.Verdict != "allow" {
		t.Errorf("a read: %+v, %v", got, err)
	}
	if got, err := try.Rule(pack, "this is no SQL"); err != nil || got.Verdict != "review" || len(got.Kinds) != 1 || got.Kinds[0] != "unknown" {
		t.Errorf("what nobody understands: %+v, %v", got, err)
	}
	if got, err := try.Rule(strings.Replace(pack, "decision: review", "decision: allow", 1), "SELECT 1"); err != nil || len(got.Failed) != 1 {
		t.Errorf("a pack whose test fails: %+v, %v", got, err)
	}
	if _, err := try.Rule(strings.Replace(pack, "then: review", "then: maybe", 1), "SELECT 1"); err == nil {
		t.Error("a pack that doesn't load is taken")
	}
	if err := try.Config("gates: [{ nme: x }]"); err == nil {
		t.Error("a configuration with an unknown key is taken")
	}
}

// TestTheConfigurationOfTheSetUpLoads goes through the page as a browser does.
func TestTheConfigurationOfTheSetUpLoads(t *testing.T) {
	b := signing(t)
	v := b.byLink("mira")
	form := url.Values{"check": {"config"}, "host": {`db.internal"} # '`}, "issuer": {"https://idp.example.com"}, "reviewers": {"00g1"}, "admins": {"00g9"}}
	for range 2 {
		code, page := v.do("POST", "/setup", form)
		if code != http.StatusOK || !strings.Contains(page, "Serve would take it.") {
			_, rest, _ := strings.Cut(page, `id="s-config"`)
			t.Errorf("with %v: %d %.1500s", form, code, rest)
		}
		form = url.Values{"check": {"config"}, "host": {"localhost"}} // without an issuer, with everything else as it is filled in
	}
	if code, page := v.do("POST", "/setup", url.Values{"check": {"rule"}}); code != http.StatusOK || !strings.Contains(page, "its tests hold") || !strings.Contains(page, "first/big-changes-need-two") {
		t.Errorf("the rule that is filled in: %d", code)
	}
}
