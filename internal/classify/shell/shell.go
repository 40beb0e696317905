// Package shell says what a command line would do: which commands it holds,
// of which kinds, on which files and hosts.
//
// It promises that what it does not fully understand is called unknown: text
// that does not parse, a command on no list, an option or a word that only the
// running shell can tell, code handed to an interpreter. Wrappers (sudo, env,
// xargs, sh -c, …) are followed, and never make what they wrap milder. It never
// runs anything, reads no file, and puts no argument into what it says in Why.
//
// What it can't see: what a program on a list really is (a PATH that was changed
// earlier, an alias of the user's shell), what the project's own build and
// tests do, and what a file holds that is only named.
package shell

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
)

// A Context is what is known of the place where the command would run. All of it may be unknown.
type Context struct {
	Dir        string            // the working directory; "": unknown, and taken for the working copy
	Home       string            // "": unknown
	Env        map[string]string // only what is known of it
	Stdin      string            // the text on standard input
	StdinKnown bool
}

// An Analysis says what a script or a command does.
type Analysis struct {
	Kinds      []action.Kind // sorted, each once; empty only where Harmless says why
	Harmless   string        // "" or why it has no effect
	Verb       string        // of the worst command: "terraform destroy", "rm"
	Target     string        // what that command works on, as written, or ""
	Title      string        // a short line for people
	Shape      string        // a fingerprint without arguments, in hex
	Routine    bool          // nothing but reads and ordinary work on the working copy
	Reversible bool
	Commands   []Command // every simple command that was found, unwrapped, in order
	Reads      []string  // paths as written, sorted, each once
	Writes     []string
	Hosts      []string // network destinations
	Why        []string // one line for each kind, without arguments
}

// A Command is one simple command of an Analysis.
type Command struct {
	Argv       []string // its words; "…" stands for what only the shell will know
	Via        []string // wrappers that lead to it, the outermost first
	Verb       string
	Target     string
	Kinds      []action.Kind
	Harmless   string
	Routine    bool
	Reversible bool
}

// Limits: beyond them a text is unknown.
const (
	maxBytes = 64 << 10
	maxDepth = 24
	maxSteps = 20_000
)

// Script says what bash would do with text.
func Script(text string, c Context) Analysis {
	a := newAnalyzer(c)
	a.script(text, a.top(c))
	return a.finish()
}

// Argv says what a program started with these arguments does, without a
// shell: nothing in them is expanded.
func Argv(argv []string, c Context) Analysis {
	a := newAnalyzer(c)
	words := make([]word, len(argv))
	size := 0
	for i, arg := range argv {
		words[i] = word{text: arg}
		size += len(arg)
		if why := refuse(arg); why != "" {
			a.refuse(why)
			return a.finish()
		}
	}
	if size > maxBytes {
		a.refuse(tooLong())
		return a.finish()
	}
	sc := a.top(c)
	if len(words) == 0 {
		a.refuse("no command was given")
	} else {
		a.exec(sc, words, sc.stdin, nil)
	}
	return a.finish()
}

// refuse says why text is not even parsed.
func refuse(text string) string {
	switch {
	case len(text) > maxBytes:
		return tooLong()
	case strings.IndexByte(text, 0) >= 0:
		return "holds a NUL byte"
	case !utf8.ValidString(text):
		return "is not UTF-8"
	case tooDeep(text):
		return "is nested too deeply"
	}
	return ""
}

// tooDeep bounds the parser's work. It counts brackets in quotes too: a text with that many is nobody's.
func tooDeep(text string) bool {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(', '{', '[':
			if depth++; depth > 300 {
				return true
			}
		case ')', '}', ']':
			depth = max(depth-1, 0)
		}
	}
	return false
}

func tooLong() string { return fmt.Sprintf("longer than %d KiB", maxBytes>>10) }

func (a *analyzer) refuse(why string) {
	cm := a.command([]word{{text: "?"}}, nil)
	cm.verb = "unknown"
	cm.add("the text "+why, action.Unknown, action.Execute)
}
