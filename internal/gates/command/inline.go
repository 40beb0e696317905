package command

import (
	"path"
	"slices"
	"strings"
)

// Inline is the argument list that c is judged by and that must be run: a script
// that a shell would read from a file is handed to it as text, so that what runs
// is the text that was judged, whatever the file says by then.
func (c *Command) Inline() []string {
	if len(c.Argv) == 0 {
		return nil
	}
	if c.Binary.Sent {
		if with, ok := interpreter(c.Binary.Content); ok && Shell(with[0]) && inlines(c.Binary.Content) {
			return slices.Concat(with, []string{"-c", c.Binary.Content}, c.Argv)
		}
		return c.Argv
	}
	if !Shell(c.Argv[0]) {
		return c.Argv
	}
	at := Operand(c.Argv)
	if at < 0 {
		return c.Argv
	}
	for _, f := range c.Files {
		if f.Path == c.Argv[at] && f.Sent && inlines(f.Content) {
			options := c.Argv[:at]
			if options[at-1] == "--" { // behind it, -c would be a file
				options = options[:at-1]
			}
			return slices.Concat(options, []string{"-c", f.Content}, c.Argv[at:])
		}
	}
	return c.Argv
}

// inlines says that a text can be the argument after -c (Linux: less than 128 KiB, no
// NUL). A shell would take one that looks like an option for an option.
func inlines(text string) bool {
	return text != "" && text[0] != '-' && text[0] != '+' && len(text) < 120<<10 && strings.IndexByte(text, 0) < 0
}

// Shell reports whether a program is a shell that takes a script after -c.
func Shell(program string) bool {
	switch path.Base(program) {
	case "sh", "bash", "dash", "ksh", "zsh", "ash":
		return true
	}
	return false
}

// Operand is the index of the file that a shell or an interpreter would run;
// -1 where it runs none, or where that can't be told.
func Operand(argv []string) int {
	for i := 1; i < len(argv); i++ {
		switch w := argv[i]; {
		case w == "--":
			if i+1 < len(argv) {
				return i + 1
			}
			return -1
		case w == "-" || w == "":
			return -1
		case w == "-o" || w == "+o" || w == "-O" || w == "+O":
			if !Shell(argv[0]) {
				continue
			}
			i++ // the option's name
		case strings.HasPrefix(w, "--rcfile") || strings.HasPrefix(w, "--init-file"):
			return -1
		case w[0] == '-' || w[0] == '+' && Shell(argv[0]):
			if !strings.HasPrefix(w, "--") && strings.ContainsAny(w[1:], "csm") { // -c text, -s, -m module
				return -1
			}
		default:
			return i
		}
	}
	return -1
}

// interpreter reads the first line of a script: "#!/bin/sh -e". Through env, it is the
// program that env would find.
func interpreter(text string) ([]string, bool) {
	line, ok := strings.CutPrefix(text, "#!")
	if !ok {
		return nil, false
	}
	line, _, _ = strings.Cut(line, "\n")
	program, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest) // one argument, however many words
	if path.Base(program) == "env" {
		if rest == "" || strings.ContainsAny(rest, " \t=") || rest[0] == '-' {
			return nil, false
		}
		return []string{rest}, true
	}
	if program == "" || strings.ContainsRune(program, '\r') {
		return nil, false
	}
	if rest == "" {
		return []string{program}, true
	}
	return []string{program, rest}, true
}
