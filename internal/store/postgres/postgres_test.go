package postgres_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/store/postgres"
	"github.com/assenthq/assent/internal/store/storetest"
)

var (
	ctx     = context.Background()
	cluster *pgcluster.Cluster
)

func TestMain(m *testing.M) {
	code, err := withCluster(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func withCluster(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if cluster, err = pgcluster.Start(ctx, pgcluster.Options{Settings: map[string]string{"max_connections": "200"}}); err != nil {
		return 1, err
	}
	defer func() { _ = cluster.Stop() }()
	return m.Run(), nil
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// options are those of a deployment of its own, named by dir.
func options(dir string) postgres.Options {
	sum := sha256.Sum256([]byte(dir))
	u, _ := url.Parse(cluster.DSN("postgres", "postgres"))
	u.User = url.User("postgres")
	return postgres.Options{
		URL: u.String(), Password: func(context.Context) ([]byte, error) { return []byte(cluster.Password), nil },
		Schema: "t" + hex.EncodeToString(sum[:8]), Node: "one", Lease: 2 * time.Second,
	}
}

func open(tb testing.TB, o postgres.Options) *postgres.Store {
	tb.Helper()
	s, err := postgres.Open(ctx, o)
	must(tb, err)
	return s
}

// intruder has SQL of its own.
func intruder(tb testing.TB, o postgres.Options) *pgx.Conn {
	tb.Helper()
	c, err := pgx.ParseConfig(cluster.DSN("postgres", "postgres"))
	must(tb, err)
	c.RuntimeParams["search_path"] = o.Schema
	conn, err := pgx.ConnectConfig(ctx, c)
	must(tb, err)
	tb.Cleanup(func() { _ = conn.Close(ctx) })
	return conn
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(tb testing.TB, dir string) storetest.Store { return open(tb, options(dir)) })
}

func row(id string) approval.Row {
	return approval.Row{ID: id, Revision: 1, State: approval.Pending, Actor: "a", Created: time.UnixMicro(1), Body: []byte("b"), MAC: []byte("m")}
}

func insert(s *postgres.Store, id string) error {
	return s.Update(ctx, func(tx approval.Tx) error { return tx.InsertApproval(ctx, row(id)) })
}
