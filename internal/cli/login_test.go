package cli

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/oidc/oidctest"
	"github.com/assenthq/assent/internal/server"
)

// confirming is standard error: as soon as a code appears there, somebody confirms it.
type confirming struct {
	mu      sync.Mutex
	text    bytes.Buffer
	confirm func(code string)
}

var codeShown = regexp.MustCompile(`the code ([A-Z0-9-]{9}) `)

func (c *confirming) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := codeShown.FindSubmatch(b); m != nil {
		c.confirm(string(m[1]))
	}
	return c.text.Write(b)
}

// TestLoginReadsAndNeverReviews runs the commands of a login against a real server and provider.
func TestLoginReadsAndNeverReviews(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("HOME", home)
	t.Setenv("ASSENT_TOKEN", "")
	idp, err := oidctest.New(oidctest.Options{Users: []oidctest.User{{Sub: "u1", Name: "Mira", Groups: []string{"g1"}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer idp.Close()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := server.ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(`
data: data
listen: 127.0.0.1:0
issuers: [{ name: corp, issuer: "`+idp.Issuer()+`", client_id: assent, client_secret: { file: secret } }]
groups: { reviewers: { from: ["corp|g1"] } }
`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	t.Setenv("ASSENT_URL", s.URL())

	run := func(want int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		errw := &confirming{confirm: func(code string) { idp.Confirm(code, "u1") }}
		if got := Main(append(args, "--data", filepath.Join(dir, "none")), strings.NewReader(""), &out, errw); got != want {
			t.Fatalf("assent %s: status %d, want %d\n%s%s", strings.Join(args, " "), got, want, &out, &errw.text)
		}
		return out.String() + errw.text.String()
	}
	run(exitUsage, "whoami")
	if said := run(exitOK, "login"); !strings.Contains(said, "reviews nothing") || strings.Contains(said, "ast_") {
		t.Errorf("login says %s", said)
	}
	info, err := os.Stat(filepath.Join(home, "assent", "logins.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the login is kept in %v, %v", info, err)
	}
	if said := run(exitOK, "whoami"); !strings.Contains(said, "Mira") || !strings.Contains(said, "scopes: read\n") {
		t.Errorf("whoami says %s", said)
	}
	if said := run(exitOK, "sessions", "list"); !strings.Contains(said, "device by corp") || !strings.Contains(said, "Mira ") {
		t.Errorf("sessions: %s", said)
	}
	run(exitOK, "list")
	if said := run(exitNotFound, "approve", "apr_none"); strings.Contains(said, "approved") {
		t.Errorf("approve says %s", said)
	}
	run(exitDenied, "token", "list")
	if err := os.Chmod(filepath.Join(home, "assent", "logins.json"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(exitUsage, "whoami") // others may have read it
	if err := os.Chmod(filepath.Join(home, "assent", "logins.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, _ := stored(s.URL())
	run(exitOK, "logout")
	run(exitUsage, "whoami")
	t.Setenv("ASSENT_TOKEN", before.Token)
	run(exitDenied, "whoami") // ended on the server too
	if time.Now().After(before.Expires) {
		t.Error("the login had expired")
	}
}

// A login that its person breaks off says so, in words of theirs.
func TestALoginBrokenOff(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("HOME", dir)
	t.Setenv("ASSENT_TOKEN", "")
	idp, err := oidctest.New(oidctest.Options{Users: []oidctest.User{{Sub: "u1", Name: "Mira"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer idp.Close()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := server.ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(`
data: data
listen: 127.0.0.1:0
issuers: [{ name: corp, issuer: "`+idp.Issuer()+`", client_id: assent, client_secret: { file: secret } }]
`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	t.Setenv("ASSENT_URL", s.URL())
	var out bytes.Buffer
	errw := &confirming{confirm: func(string) { // instead of confirming, Ctrl-C
		go func() { _ = syscall.Kill(os.Getpid(), syscall.SIGINT) }()
	}}
	status := Main([]string{"login", "--data", filepath.Join(dir, "none")}, strings.NewReader(""), &out, errw)
	if said := errw.text.String(); status != exitFailed || !strings.Contains(said, "interrupted: nobody was logged in") || strings.Contains(said, "context canceled") {
		t.Errorf("status %d, says %s", status, said)
	}
	if _, kept := stored(s.URL()); kept {
		t.Error("a login is kept")
	}
}
