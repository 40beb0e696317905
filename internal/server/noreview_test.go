package server

import (
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // an intruder edits the file

	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/identity"
)

// Every way to a credential of an actor, each asked for the scopes of people.
// None gives one that could review, mint or administer. Certificates:
// TestMutualTLS; the sign-in of people by a device code makes no actor's credential.
func TestAnActorGetsNoScopeOfPeople(t *testing.T) {
	b := threatBench(t, readsPack)
	ctx := t.Context()
	mint := func(m identity.MintRequest) string {
		t.Helper()
		m.TTL, m.By = time.Hour, "test"
		text, err := b.Mint(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	admin := mint(identity.MintRequest{Kind: identity.KindPerson, Subject: "person:mira", Scopes: []string{"admin"}})
	owner := mint(identity.MintRequest{Kind: identity.KindPerson, Subject: "person:dana", Scopes: []string{"mint", "review", "admin"}})
	post := func(path, token, typ, body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", typ)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for _, scope := range []string{"review", "read", "mint", "admin"} {
		for _, with := range []string{"", "act"} {
			scopes := []string{scope}
			if with != "" {
				scopes = append(scopes, with)
			}
			if _, _, err := b.tokens.Mint(ctx, identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, Scopes: scopes}); !errors.Is(err, identity.ErrTokenScope) {
				t.Errorf("minted with %v: %v", scopes, err)
			}
			body := `{"kind":"actor","actors":["agent:worker"],"scopes":["` + strings.Join(scopes, `","`) + `"]}`
			if got := post("/v1/tokens", admin, "application/json", body); got != 403 {
				t.Errorf("an administrator asks for %v: %d", scopes, got)
			}
			form := url.Values{"grant_type": {actors.GrantType}, "subject_token": {owner}, "subject_token_type": {actors.AccessToken}, "requested_actor": {"agent:worker"}, "scope": {strings.Join(scopes, " ")}}
			if got := post("/oauth/token", "", "application/x-www-form-urlencoded", form.Encode()); got != 400 {
				t.Errorf("an exchange for %v: %d", scopes, got)
			}
		}
		config := "people: [{ id: dana }]\nactors: [{ id: worker, owner: dana, scopes: [" + scope + "] }]\n"
		if _, err := ParseConfig(filepath.Join(b.dir, "x.yaml"), []byte(config)); err == nil {
			t.Errorf("a configuration that gives an actor %s is read", scope)
		}
	}
	// The owner's own credential has all of these; what is made from it has not.
	made, _ := b.exchange(url.Values{"subject_token": {owner}, "subject_token_type": {actors.AccessToken}, "requested_actor": {"agent:worker"}})
	own := mint(identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}})
	for _, token := range []string{made, own} {
		c, err := b.tokens.Check(ctx, token)
		if err != nil || len(c.Scopes) != 1 || c.Scopes[0] != identity.ScopeAct || c.Person != nil {
			t.Fatalf("it carries %+v, %v", c, err)
		}
		for _, path := range []string{"/v1/approvals/apr_0000000000000000/review", "/v1/approvals/apr_0000000000000000/withdraw", "/v1/tokens", "/v1/actors", "/v1/actors/agent:worker/retire", "/v1/freezes"} {
			if got := post(path, token, "application/json", "{}"); got != 403 {
				t.Errorf("%s: %d", path, got)
			}
		}
		if _, err := b.personOf(ctx, token); err == nil {
			t.Error("the console takes it for a reviewer's")
		}
	}
	editScope(t, b, own)
}

// editScope writes review scope into the stored row by SQL.
func editScope(t *testing.T, b *bench, token string) {
	t.Helper()
	id, err := identity.TokenID(token)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.dir, "data", "assent.db")
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	res, err := db.ExecContext(t.Context(), `update token set body = cast(replace(cast(body as text), '["act"]', '["act","review"]') as blob) where id = ?`, id)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); n != 1 || err != nil {
		t.Fatalf("%d rows, %v", n, err)
	}
	if _, err := b.tokens.Check(t.Context(), token); !errors.Is(err, identity.ErrBadToken) {
		t.Errorf("with review scope by SQL: %v", err)
	}
}
