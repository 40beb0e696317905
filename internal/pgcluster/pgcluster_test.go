package pgcluster_test

import (
	"context"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/pgcluster"
)

func TestStart(t *testing.T) {
	c, err := pgcluster.Start(t.Context(), pgcluster.Options{Password: "the superuser's", Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		t.Fatalf("the tests need PostgreSQL's server: %v", err)
	}
	psql := func(dsn string) (string, error) {
		out, err := exec.CommandContext(t.Context(), filepath.Join(c.Bin, "psql"), "-XAtc", "select current_user || ' ' || current_setting('server_encoding')", dsn).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if got, err := psql(c.DSN("postgres", "postgres")); err != nil || got != "postgres UTF8" {
		t.Errorf("psql: %q, %v", got, err)
	}
	if out, err := psql(strings.Replace(c.DSN("postgres", "postgres"), url.UserPassword("", c.Password).String()[1:], "wrong", 1)); err == nil {
		t.Errorf("a wrong password logged in: %q", out)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := psql(c.DSN("postgres", "postgres")); err == nil {
		t.Error("the server still answers after Stop")
	}
	if err := c.Stop(); err != nil {
		t.Error("a second Stop:", err)
	}
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := pgcluster.Start(ctx, pgcluster.Options{Dir: t.TempDir()}); err == nil {
		_ = c.Stop()
		t.Error("started under a context that had ended")
	}
}
