package sql

import (
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
)

// tally counts observations, and keeps those that must not be.
type tally struct {
	mu                               sync.Mutex
	texts, statements                int
	bothTake, weRefuse, serverRefuse int // whose grammar takes the text
	bothRefuse, miscounted           int
	ran, wrote, readOnly, unknown    int
	differ, byViews                  int
	bad                              []string       // whatever makes the test fail
	notes                            []string       // differences that are safe
	reasons                          map[string]int // why statements are unknown
}

func newTally() *tally { return &tally{reasons: map[string]int{}} }

func (y *tally) add(file string, o *observation) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.texts++
	y.statements += len(o.result.Statements)
	for i := range o.result.Statements {
		s := &o.result.Statements[i]
		if s.ReadOnly() {
			y.readOnly++
		}
		if s.Has(action.Unknown) {
			y.unknown++
			for _, w := range s.Why {
				y.reasons[w]++
			}
		}
	}
	if !o.same {
		y.differ++
	}
	switch {
	case o.result.ParseError && o.refused:
		y.bothRefuse++
	case o.result.ParseError:
		y.weRefuse++
		y.notes = append(y.notes, fmt.Sprintf("%s: only the server takes (%s) %.300q", file, o.result.Statements[0].Why, o.text))
	case o.refused:
		y.serverRefuse++
		y.notes = append(y.notes, fmt.Sprintf("%s: only we take (%s) %.300q", file, o.message, o.text))
	default:
		y.bothTake++
		if n := len(o.result.Statements); o.results > n || o.ran() && o.results != n {
			y.miscounted++
			y.bad = append(y.bad, fmt.Sprintf("%s: %d statements for us, %d results: %.300q", file, n, o.results, o.text))
		}
	}
	if o.ran() {
		y.ran++
	}
	if len(o.moved) > 0 {
		y.wrote++
		switch {
		case !o.readOnly() || o.control():
		case o.views:
			y.byViews++
			y.notes = append(y.notes, fmt.Sprintf("%s: moved by a view: %.300q", file, o.text))
		default:
			y.bad = append(y.bad, fmt.Sprintf("%s: called read only, but %s (code %s): %.500q", file, strings.Join(o.moved, ", "), o.code, o.text))
		}
	}
}

func (y *tally) report(t testing.TB, took time.Duration, files int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	t.Logf("%d files, %d texts, %d statements in %s", files, y.texts, y.statements, took.Round(time.Second))
	t.Logf("both take %d, both refuse %d, only the server takes %d (unknown for us), only we take %d; miscounted %d; the builds differ about %d",
		y.bothTake, y.bothRefuse, y.weRefuse, y.serverRefuse, y.miscounted, y.differ)
	t.Logf("ran %d, seen writing %d, %d of them reads of a view that does; statements called read only %d, unknown %d",
		y.ran, y.wrote, y.byViews, y.readOnly, y.unknown)
	if file := os.Getenv("ASSENT_REGRESS_NOTES"); file != "" {
		lines := slices.Clone(y.notes)
		for w, n := range y.reasons {
			lines = append(lines, fmt.Sprintf("%7d unknown: %s", n, w))
		}
		sort.Strings(lines)
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Error(err)
		}
	}
	for _, b := range y.bad {
		t.Error(b)
	}
}
