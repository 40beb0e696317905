package session_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/oidc/oidctest"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/session"
	"github.com/assenthq/assent/internal/store/postgres"
)

// TestTwoNodesOnPostgreSQL: signed in on one node, known, asked about and ended on the other.
func TestTwoNodesOnPostgreSQL(t *testing.T) {
	cluster, err := pgcluster.Start(context.Background(), pgcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	h := newHouse(t, oidctest.Options{})
	u, err := url.Parse(cluster.DSN("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("postgres")
	node := func(name string) *replica {
		st, err := postgres.Open(t.Context(), postgres.Options{
			URL: u.String(), Node: name, Lease: 5 * time.Second,
			Password: func(context.Context) ([]byte, error) { return []byte(cluster.Password), nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		h.store = st
		if err := h.log.Open(t.Context(), st); err != nil {
			t.Fatal(err)
		}
		return h.replica()
	}
	a, b := node("a"), node("b")
	secret, s := a.open(mira.Sub)
	got, err := b.Get(t.Context(), secret)
	if err != nil || got.Person != s.Person {
		t.Fatalf("%+v, %v", got, err)
	}
	h.pass(session.ReviewMaxAge + time.Second)
	if err := b.Fresh(t.Context(), got); err != nil { // by the refresh token that the other node keeps
		t.Fatal(err)
	}
	asked := h.idp.Calls("token")
	if err := a.Fresh(t.Context(), s); err != nil || h.idp.Calls("token") != asked {
		t.Errorf("both nodes asked: %v", err)
	}
	if err := b.End(t.Context(), s.ID, s.Person, "signed out"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Get(t.Context(), secret); !errors.Is(err, session.ErrNone) {
		t.Errorf("ended on one node, and open on the other: %v", err)
	}
}
