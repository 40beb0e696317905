package tutorials_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/sigv4"
)

// parts are what a page says that its reader needs.
type parts struct {
	ports   map[string]string // by the number that the page has
	path    []string          // directories of programs
	env     []string
	changes []change                         // of what is typed and seen: where a fake stands in for a service elsewhere
	act     func(what string, s scene) error // does what somebody else does meanwhile
}

// A scene is what somebody else sees.
type scene struct {
	text  func(string) string // of the page, with its ports as they are here
	shown func(string) string // what a terminal shows of its block
}

// itself says that ports in addresses are what they are.
func itself(address string) map[string]string {
	port := regexp.MustCompile(`:(\d+)`).FindStringSubmatch(address)[1]
	return map[string]string{port: port}
}

type change struct{ from, to string }

// A reader follows a page with its parts. One who has a choice follows the section "With CHOICE", and no other such.
type reader struct {
	choice string
	parts  func(*testing.T) *parts
}

// readers are those of each page.
var readers = map[string][]reader{
	"audit":        {{"", nothing}},
	"coding-agent": {{"", nothing}},
	"mcp":          {{"", tools}},
	"policy":       {{"", nothing}},
	"postgresql":   {{"", postgres}},
	"s3":           {{"", bucket}},
	"sign-in":      {{"Okta", signIn("Okta")}, {"Microsoft Entra ID", signIn("Microsoft Entra ID")}, {"Keycloak", signIn("Keycloak")}},
	"slack":        {{"", chat}},
	"teams":        {{"", room}},
}

// started is what must be stopped after the last page.
var started []func()

// cluster is the PostgreSQL of all pages: each cleans up after itself.
var cluster = sync.OnceValues(func() (*pgcluster.Cluster, error) {
	c, err := pgcluster.Start(context.Background(), pgcluster.Options{Password: "tutorial", Settings: map[string]string{"fsync": "off"}})
	if err == nil {
		started = append(started, func() { _ = c.Stop() })
	}
	return c, err
})

func postgres(t *testing.T) *parts {
	t.Helper()
	c, err := cluster()
	if err != nil {
		t.Fatalf("starting PostgreSQL (scripts/install installs it): %v", err)
	}
	return &parts{ports: map[string]string{"5432": strconv.Itoa(c.Port)}, path: []string{c.Bin}}
}

func nothing(*testing.T) *parts { return &parts{} }

// programs are the directories of what scripts/install puts into the repository.
func programs(t *testing.T, names ...string) []string {
	t.Helper()
	var dirs []string
	for _, name := range names {
		path, err := filepath.Abs("../../" + name)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			t.Fatalf("%v: scripts/install gets what it needs", err)
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	return dirs
}

func tools(t *testing.T) *parts {
	t.Helper()
	return &parts{path: programs(t, "e2e/mcp/node_modules/.bin/mcp-server-filesystem", ".cache/python/bin/python3")}
}

// bucket is an S3 server that takes what is signed with the page's key, and nothing else.
func bucket(t *testing.T) *parts {
	t.Helper()
	s3 := gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := signed(r); err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		s3.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return &parts{
		path:  programs(t, ".cache/aws/bin/aws"),
		ports: map[string]string{"9000": s.URL[strings.LastIndex(s.URL, ":")+1:]},
	}
}

func signed(r *http.Request) error {
	s, err := sigv4.Read(r)
	if err != nil {
		return err
	}
	p, err := s.Verify("tutorial-secret", time.Now(), nil)
	if err != nil {
		return err
	}
	if s.KeyID != "tutorial" {
		return errors.New("signed with " + s.KeyID)
	}
	if err := p.Take(r); err != nil {
		return err
	}
	b, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(b)))
	return err
}
