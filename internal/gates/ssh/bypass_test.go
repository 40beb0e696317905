package ssh

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
)

// TestBypass holds commands that look like reading, or that mean something else on a
// host, to be more than a read.
func TestBypass(t *testing.T) {
	text, err := os.ReadFile("testdata/bypass.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := &session{c: &conn{host: &Host{Name: "web1", User: "deploy"}}}
	lines := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		lines++
		a := s.command(line)
		plain := !slices.ContainsFunc(a.Kinds, func(k action.Kind) bool { return k != action.DataRead })
		if plain && !a.Data.Unscanned || a.Routine {
			t.Errorf("%s: %v, routine %v", line, a.Kinds, a.Routine)
		}
	}
	if lines < 60 {
		t.Errorf("%d lines were read: the form of the corpus changed", lines)
	}
	for _, line := range []string{"uptime", "cat notes", "ls -l", "df -h", "grep x notes | wc -l", "echo hello"} {
		if a := s.command(line); !slices.Equal(a.Kinds, []action.Kind{action.DataRead}) || a.Data.Unscanned {
			t.Errorf("%s is a plain read, not %v", line, a.Kinds)
		}
	}
}
