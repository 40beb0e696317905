package tutorials_test

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/assenthq/assent/internal/pgcluster"
)

// parts are what a page says that its reader needs.
type parts struct {
	ports   map[string]string // by the number that the page has
	path    []string          // directories of programs
	env     []string
	changes []change           // of what is typed: where a fake stands in for a service elsewhere
	act     func(string) error // does what somebody else does meanwhile
}

type change struct{ from, to string }

// needs are the parts of each page.
var needs = map[string]func(*testing.T) *parts{
	"postgresql": postgres,
}

// cluster is the PostgreSQL of all pages: each cleans up after itself.
var cluster = sync.OnceValues(func() (*pgcluster.Cluster, error) {
	return pgcluster.Start(context.Background(), pgcluster.Options{Password: "tutorial", Settings: map[string]string{"fsync": "off"}})
})

var started []func()

func stopParts() {
	for _, stop := range started {
		stop()
	}
}

func postgres(t *testing.T) *parts {
	t.Helper()
	c, err := cluster()
	if err != nil {
		t.Fatalf("starting PostgreSQL (scripts/install installs it): %v", err)
	}
	if len(started) == 0 {
		started = append(started, func() { _ = c.Stop() })
	}
	return &parts{ports: map[string]string{"5432": strconv.Itoa(c.Port)}, path: []string{c.Bin}}
}
