package tutorials_test

import (
	"regexp"
	"strings"
	"testing"
)

// pattern matches what a text block shows: … stands for anything within a line, and
// alone on a line for any lines. Blanks at the end of lines don't count.
func pattern(shown string) string {
	var b strings.Builder
	for _, line := range strings.SplitAfter(trimmed(shown), "\n") {
		switch {
		case line == "":
		case line == "…\n":
			b.WriteString(`(?:[^\n]*\n)*?`)
		default:
			parts := strings.Split(strings.TrimSuffix(line, "\n"), "…")
			for i := range parts {
				parts[i] = regexp.QuoteMeta(parts[i])
			}
			b.WriteString(strings.Join(parts, `[^\n]*`) + `\n`)
		}
	}
	return b.String()
}

var blanks = regexp.MustCompile(`(?m)[ \t\r]+$`)

// trimmed is text without blanks at the end of lines, its last one ended.
func trimmed(text string) string {
	text = blanks.ReplaceAllString(text, "")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// begins tells how much of out a text block shows, -1: something else stands there.
func begins(out, shown string) int {
	m := regexp.MustCompile(`\A` + pattern(shown)).FindStringIndex(out)
	if m == nil {
		return -1
	}
	return m[1]
}

// whole says that a text block shows all of out; empty lines at the end don't count.
func whole(out, shown string) bool {
	return regexp.MustCompile(`\A` + pattern(shown) + `\n*\z`).MatchString(out)
}

// until is the first line of a text block that out doesn't go on with.
func until(out, shown string) string {
	lines := strings.SplitAfter(shown, "\n")
	for i, line := range lines {
		if begins(out, strings.Join(lines[:i+1], "")) < 0 {
			return line
		}
	}
	return "(the end)\n"
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		out, shown  string
		whole, part bool
	}{
		{"a  \nb\n", "a\nb\n", true, true},
		{"a\nb\n", "a\n", false, true},
		{"a\n", "a\nb\n", false, false},
		{"apr_1  pending\n", "apr_…  pending\n", true, true},
		{"apr_1  denied\n", "apr_…  pending\n", false, false},
		{"1\n2\n3\n", "…\n3\n", true, true},
		{"1\n2\n3\n", "1\n…\n", true, true},
		{"1\n2\n3\n", "1\n…\n2\n", false, true},
		{"a.c\n", "abc\n", false, false},
		{"a\nb\n", "a…b\n", false, false},
		{"", "", true, true},
		{"x\n", "", false, true},
	} {
		if got := whole(trimmed(c.out), c.shown); got != c.whole {
			t.Errorf("%q whole as %q: %v", c.out, c.shown, got)
		}
		if got := begins(trimmed(c.out), c.shown) >= 0; got != c.part {
			t.Errorf("%q begins as %q: %v", c.out, c.shown, got)
		}
	}
}
