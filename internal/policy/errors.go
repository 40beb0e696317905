package policy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Error is one mistake in one pack, with its place.
type Error struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1; 0: the whole file
	Column int    `json:"column"` // from 1, in characters; 0: the whole line
	Msg    string `json:"message"`
	Remedy string `json:"remedy,omitempty"`
	Source string `json:"source,omitempty"` // the line itself
}

// Error is "file:line:column: message", the line with a caret under the place, and what to try.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Column > 0 {
		fmt.Fprintf(&b, ":%d", e.Column)
	}
	b.WriteString(": " + e.Msg)
	if strings.TrimSpace(e.Source) != "" {
		b.WriteString("\n    " + e.Source)
		if e.Column > 0 {
			b.WriteString("\n    " + caret(e.Source, e.Column))
		}
	}
	if e.Remedy != "" {
		b.WriteString("\n    " + e.Remedy)
	}
	return b.String()
}

// caret keeps the line's tabs, so that the mark stands under the right character.
func caret(source string, column int) string {
	var b strings.Builder
	for _, r := range source {
		if column--; column <= 0 {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String() + "^"
}

// Errors is every mistake found in one load, in the order of files and lines.
type Errors []*Error

func (e Errors) Error() string {
	parts := make([]string, len(e))
	for i, x := range e {
		parts[i] = x.Error()
	}
	return strings.Join(parts, "\n")
}

// A place is where something stands in a pack.
type place struct {
	file         string
	line, column int
	source       string
}

func (p place) error(msg, remedy string) *Error {
	return &Error{File: p.file, Line: p.line, Column: p.column, Msg: msg, Remedy: remedy, Source: p.source}
}

// printable makes one line of a pack safe for a terminal and a log.
func printable(line string) string {
	const longest = 200
	line = plain(strings.TrimSuffix(line, "\r"))
	if r := []rune(line); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return line
}

// plain is text on one line, with · for what a terminal would not show as itself.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r != '\t' && !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, text)
}

// didYouMean is the remedy for a word that is not on the list: the nearest one, or all of them.
func didYouMean(word string, known []string) string {
	best, distance := "", 1+max(2, len(word)/3)
	for _, k := range known {
		if len(k) > 2 && strings.HasPrefix(word, k) && best == "" { // monday, mon
			best = k
		}
		if d := editDistance(strings.ToLower(word), k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean '%s'?", best)
	}
	const mostShown = 30
	if len(known) == 0 || len(known) > mostShown {
		return ""
	}
	return "known are " + strings.Join(known, ", ")
}

// editDistance is the number of letters to insert, remove, replace or swap
// (optimal string alignment). Words over 100 bytes are far from everything.
func editDistance(a, b string) int {
	const longest = 100
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
