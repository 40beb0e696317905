package server

import (
	"context"
	"database/sql"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// edit is an operator with the database's file, and without the keys.
func edit(t *testing.T, dir string, queries ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "data", "assent.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, q := range queries {
		res, err := db.Exec(q)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 && !strings.HasPrefix(q, "CREATE") {
			t.Fatalf("%s changed nothing (%v)", q, err)
		}
	}
}

// A credential's row is put back as it was before it was revoked, seal and all.
func TestARevokedTokenPutBackStaysRevoked(t *testing.T) {
	dir := t.TempDir()
	s, err := threatened(t, dir, readsPack)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	defer func() { _ = s.Close(ctx) }()
	text, tok, err := s.tokens.Mint(ctx, identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.tokens.Check(ctx, text); err != nil {
		t.Fatal(err)
	}
	edit(t, dir, "CREATE TABLE kept AS SELECT * FROM token")
	if err := s.tokens.Revoke(ctx, tok.ID, "test"); err != nil {
		t.Fatal(err)
	}
	edit(t, dir, "INSERT OR REPLACE INTO token SELECT * FROM kept")
	if c, err := s.tokens.Check(ctx, text); err == nil {
		t.Errorf("the revoked token is %+v again", c)
	}
	if c, err := s.tokens.Proved(ctx, tok.ID); err == nil {
		t.Errorf("a gate takes it for %+v", c)
	}
	if found, err := s.tokens.ByUser(ctx, "worker"); err != nil || found.ID == tok.ID {
		t.Errorf("a gate finds it by its user (%v)", err)
	}
}

// The columns by which the log is searched are edited: nothing is started on them.
func TestEditedColumnsStopTheStart(t *testing.T) {
	for _, q := range []string{
		"UPDATE log_record SET type = 'request' WHERE type = 'token.changed'",
		"UPDATE log_record SET approval = 'apr_x' WHERE idx = 1",
		"UPDATE log_record SET leaf = CAST(replace(CAST(leaf AS TEXT), 'minted', 'mintee') AS BLOB)",
	} {
		dir := t.TempDir()
		s, err := threatened(t, dir, readsPack)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		edit(t, dir, q)
		s, err = threatened(t, dir, readsPack)
		if err == nil {
			_ = s.Close(context.Background())
			t.Errorf("%s: the server starts", q)
		} else if !strings.Contains(err.Error(), "assent verify --data") {
			t.Errorf("%s: the error doesn't say what to do: %v", q, err)
		}
	}
}

// A key is gone: a new one in its place would make all that is stored look forged.
func TestAMissingKeyIsNotMadeAnew(t *testing.T) {
	for _, key := range []string{"seal", "match", "mask", "api"} {
		dir := t.TempDir()
		s, err := threatened(t, dir, readsPack)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "data", "keys", key+".key")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if _, err = threatened(t, dir, readsPack); err == nil || !strings.Contains(err.Error(), "restore it from a backup") {
			t.Errorf("without %s: %v", key, err)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s was made anew", key)
		}
	}
}

// A reviewer's token is revoked: the browser that was signed in with it is signed out.
func TestASessionEndsWithItsToken(t *testing.T) {
	s, err := threatened(t, t.TempDir(), readsPack)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	text, tok, err := s.tokens.Mint(ctx, identity.MintRequest{Kind: identity.KindPerson, Subject: "person:mira", Scopes: []string{identity.ScopeReview}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	request := func(method, path, body string, k *http.Cookie) *http.Response {
		r := httptest.NewRequest(method, "http://localhost:8720"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if k != nil {
			r.AddCookie(k)
		}
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		return w.Result()
	}
	in := request("POST", "/signin", "token="+text, nil)
	if len(in.Cookies()) == 0 {
		t.Fatalf("signing in: %s", in.Status)
	}
	session := in.Cookies()[0]
	if got := request("GET", "/approvals", "", session); got.StatusCode != http.StatusOK {
		t.Fatalf("signed in: %s", got.Status)
	}
	if err := s.tokens.Revoke(ctx, tok.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if got := request("GET", "/approvals", "", session); got.StatusCode == http.StatusOK {
		t.Error("the session outlives its token")
	}
}

// Somebody without a credential sends a body that never ends.
func TestABodyThatNeverComesEndsTheRequest(t *testing.T) {
	s, err := threatened(t, t.TempDir(), readsPack)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, err = io.WriteString(c, "POST /signin HTTP/1.1\r\nHost: localhost:8720\r\nSec-Fetch-Site: same-origin\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\ntoken=")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(3 * bodyTime)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the connection stays open: %v", err)
	}
}
