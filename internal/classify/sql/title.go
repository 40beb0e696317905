package sql

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxTitleName keeps a title on a line.
const maxTitleName = 80

// title makes a line for people out of the parsed statement: names and verbs,
// never a literal.
func title(s *Statement) string {
	switch {
	case s.Explain != nil && s.Explain.Analyze:
		return "Run and explain a statement" + on(s.Target)
	case s.Explain != nil:
		return "Explain a statement" + on(s.Target)
	case s.Verb == "select" && s.Harmless != "":
		return "Select constants"
	case s.Verb == "select":
		return "Read " + orWord(shorten(s.Target), "by functions only") + more(s)
	case s.Verb == "insert":
		return "Insert into " + shorten(s.Target)
	case s.Prepare != nil:
		return "Prepare: " + s.Prepare.Inner.Title
	case s.Cursor != nil && s.Cursor.Inner != nil:
		return "Declare a cursor: " + s.Cursor.Inner.Title
	case s.Execute != "":
		return "Execute a prepared statement" + on(s.Target)
	}
	first, size := utf8.DecodeRuneInString(s.Verb)
	return strings.TrimSpace(string(unicode.ToUpper(first)) + s.Verb[size:] + " " + shorten(s.Target))
}

func on(target string) string {
	if target == "" {
		return ""
	}
	return " on " + shorten(target)
}

func more(s *Statement) string {
	if len(s.Objects) > 1 {
		return " and others"
	}
	return ""
}

func shorten(name string) string {
	if utf8.RuneCountInString(name) <= maxTitleName {
		return name
	}
	return string([]rune(name)[:maxTitleName]) + "…"
}
