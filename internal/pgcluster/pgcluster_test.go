package pgcluster_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

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
	was := c.Addr()
	for _, kill := range []bool{false, true} {
		if kill {
			if err := c.Kill(); err != nil {
				t.Fatal(err)
			}
			if _, err := psql(c.DSN("postgres", "postgres")); err == nil {
				t.Error("the server still answers after Kill")
			}
		}
		if err := c.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := psql(c.DSN("postgres", "postgres")); err != nil || c.Addr() != was {
			t.Errorf("started again after a kill (%t) at %s, was %s: %v", kill, c.Addr(), was, err)
		}
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

// TestKilled: a cluster does not outlive a process that is killed.
func TestKilled(t *testing.T) {
	if os.Getenv("PGCLUSTER_CHILD") != "" {
		c, err := pgcluster.Start(t.Context(), pgcluster.Options{Dir: os.Getenv("PGCLUSTER_CHILD")})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("listening on %s\n", c.Addr())
		select {}
	}
	if runtime.GOOS != "linux" {
		t.Log("only Linux tells a child that its parent died")
		return
	}
	dir, err := os.MkdirTemp("", "assent-pg-killed-") // not t.TempDir: the server's user can't reach into it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	child.Env = append(os.Environ(), "PGCLUSTER_CHILD="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	addr := ""
	for s := bufio.NewScanner(out); addr == "" && s.Scan(); {
		if a, ok := strings.CutPrefix(s.Text(), "listening on "); ok {
			addr = a
		}
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	if addr == "" {
		t.Fatal("the child did not start a cluster")
	}
	for range 1000 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = c.Close()
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the server outlived its process by 10 s")
}
