package tutorials_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/freeport"
)

// A step is one thing that a page has its reader do or see, or that somebody else does meanwhile.
type step struct {
	line     int    // of the page, from 1
	section  string // the heading that it stands under
	do       string // "run": type text; "see": what a terminal then shows; "act": what somebody does elsewhere, by name
	terminal string // "" is the reader's own
	stays    bool   // what was typed goes on running
	status   int    // that the last command must end with
	text     string
}

var act = regexp.MustCompile(`^<!-- meanwhile: (.+) -->$`)

// readPage reads a page's steps: its sh and text blocks and its comments "meanwhile: …", in order.
func readPage(path string) ([]step, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var steps []step
	var open *step // block that we are in
	section, other := "", false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case open != nil && line == "```":
			steps, open = append(steps, *open), nil
		case open != nil:
			open.text += line + "\n"
		case other:
			other = !strings.HasPrefix(line, "```")
		case strings.HasPrefix(line, "```"):
			if open, err = opened(strings.Fields(line[3:]), i+1, section); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
			}
			other = open == nil
		case strings.HasPrefix(line, "## "):
			section = line[3:]
		case act.MatchString(line):
			steps = append(steps, step{line: i + 1, section: section, do: "act", text: act.FindStringSubmatch(line)[1]})
		}
	}
	if open != nil || other {
		return nil, fmt.Errorf("%s: a block isn't closed", path)
	}
	return steps, nil
}

// opened is the block that a fence begins; nil for one that shows something else than a terminal.
func opened(info []string, line int, section string) (*step, error) {
	if len(info) == 0 || info[0] != "sh" && info[0] != "text" {
		return nil, nil
	}
	s := &step{line: line, section: section, do: map[string]string{"sh": "run", "text": "see"}[info[0]]}
	for _, word := range info[1:] {
		status, is := strings.CutPrefix(word, "status=")
		var err error
		switch {
		case s.do == "run" && is:
			s.status, err = strconv.Atoi(status)
		case s.do == "run" && word == "stays":
			s.stays = true
		case s.terminal == "":
			s.terminal = word
		default:
			err = fmt.Errorf("a block has one terminal, and %q is a second", word)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

var address = regexp.MustCompile(`(?:127\.0\.0\.1|localhost):(\d+)`)

// elsewhere gives every port of this machine that the page names another number, so that a page is
// run beside whatever listens here; taken says where the parts that it needs already are. What it returns does so
// in any text.
func elsewhere(t *testing.T, steps []step, taken map[string]string) func(string) string {
	t.Helper()
	ports := map[string]string{}
	for _, s := range steps {
		for _, m := range address.FindAllStringSubmatch(s.text, -1) {
			ports[m[1]] = taken[m[1]]
		}
	}
	for from, to := range taken {
		ports[from] = to
	}
	for from, to := range ports {
		if to == "" {
			n, err := freeport.Port()
			if err != nil {
				t.Fatal(err)
			}
			ports[from] = strconv.Itoa(n)
		}
	}
	number := regexp.MustCompile(`\b\d{4,5}\b`)
	text := func(s string) string {
		return number.ReplaceAllStringFunc(s, func(n string) string {
			if to := ports[n]; to != "" {
				return to
			}
			return n
		})
	}
	for i := range steps {
		steps[i].text = text(steps[i].text)
	}
	return text
}
