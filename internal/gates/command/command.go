// Package command is the gate of commands: somebody's machine asks whether it may
// run one, runs it itself, and tells how it ended.
//
// It promises that the server classifies, that an answer is for exactly the
// command it was given for (arguments or script, working directory, host, user,
// the digests of the binary, the scripts, standard input and what matters of
// the environment), and that it is good for one run. It refuses what has no
// canonical form, and commands from actors that no gate takes.
//
// What it can't see: anything on that machine. All of a Command is the asker's
// claim, and whoever runs commands as the same user can run them without
// asking. It warns early; a gate that holds the credential is what stops.
package command

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/shell"
)

// Bounds on what one command may carry.
const (
	MaxContent = 1 << 20 // bytes of a file or of standard input that are sent; of larger ones the digest is
	maxWords   = 64 << 10
	maxFiles   = 64
)

// A Command is what a machine would run. Exactly one of Argv and Script is set.
type Command struct {
	Argv   []string // a program and its arguments, without a shell
	Script string   // bash source

	Dir, Home, Host, User string

	Binary File   // the program that was found, or the shell of a Script
	Files  []File // scripts and manifests that arguments name
	Stdin  Stdin
	Env    Env

	Preview *Preview // nil: nobody looked
	Claims  action.Claims
}

// A File is one file as it was when the command was asked for.
type File struct {
	Path    string
	Digest  string // SHA-256, hex
	Content string // text; "" where Sent is false
	Sent    bool
}

// Stdin is what the command would read on its standard input.
type Stdin struct {
	Digest  string // "" : there is none, or nobody has read it
	Bytes   int64
	Content string
	Sent    bool
	Live    bool // a terminal or a stream that is still open: it comes while the command runs
}

// Env is what matters of the environment: which of its variables are set, and a
// digest of their values under a key that stays on the machine.
type Env struct {
	Names  []string
	Digest string
}

// Check errs when c has no canonical form, or says of itself what isn't so.
func (c *Command) Check() error {
	switch {
	case len(c.Argv) > 0 && c.Script != "":
		return errors.New("a command is arguments or a script, not both")
	case len(c.Argv) == 0 && c.Script == "":
		return errors.New("there is no command")
	case len(c.Argv) > 0 && c.Argv[0] == "":
		return errors.New("the program has no name")
	case len(c.Files) > maxFiles:
		return fmt.Errorf("more than %d files", maxFiles)
	case len(c.Argv) > maxWords:
		return fmt.Errorf("more than %d arguments", maxWords)
	}
	for _, s := range slices.Concat(c.Argv, c.Env.Names, []string{c.Script, c.Dir, c.Home, c.Host, c.User, c.Binary.Path, c.Env.Digest, c.Stdin.Content, c.Stdin.Digest}) {
		if err := plain(s); err != nil {
			return err
		}
	}
	for _, f := range append([]File{c.Binary}, c.Files...) {
		if err := f.check(); err != nil {
			return err
		}
	}
	if s := &c.Stdin; s.Sent && (s.Digest != Digest(s.Content) || s.Bytes != int64(len(s.Content))) {
		return errors.New("the digest of standard input is not that of its content")
	}
	if c.Preview != nil {
		return c.Preview.check()
	}
	return nil
}

func plain(s string) error {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return errors.New("a text is not UTF-8, or holds a NUL")
	}
	return nil
}

func (f *File) check() error {
	switch {
	case plain(f.Path) != nil || !utf8.ValidString(f.Content):
		return errors.New("a file's name or content is not UTF-8")
	case len(f.Content) > MaxContent:
		return fmt.Errorf("the content of a file is longer than %d bytes: send its digest", MaxContent)
	case f.Sent && f.Digest != Digest(f.Content):
		return errors.New("the digest of a file is not that of its content")
	}
	return nil
}

// Digest is the SHA-256 of content, in hex.
func Digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// Describe makes the action that c is. The caller's session fills in who asks and
// the resource. c was checked.
func Describe(c *Command) *action.Action {
	r := analyse(c)
	a := &action.Action{
		Kinds: r.Kinds, Verb: r.Verb, Target: r.Target, Title: r.Title, Shape: r.Shape, Reversible: r.Reversible, Routine: r.Routine,
		Payload: c.payload(), Statement: c.statement(), State: c.state(), Claims: c.Claims,
	}
	a.Objects = slices.Compact(slices.Sorted(slices.Values(slices.Concat(r.Reads, r.Writes))))
	if len(r.Hosts) > 0 {
		a.Data.Destination = strings.Join(slices.Compact(slices.Sorted(slices.Values(r.Hosts))), ", ")
	}
	a.Data.Unscanned = c.Stdin.Digest != "" && !c.Stdin.Sent
	return a
}

// analyse classifies, and takes back what the claims around the words contradict.
func analyse(c *Command) shell.Analysis {
	in := shell.Context{Dir: c.Dir, Home: c.Home, Stdin: c.Stdin.Content, StdinKnown: c.Stdin.Sent || c.Stdin.Digest == "" && !c.Stdin.Live}
	var r shell.Analysis
	if c.Script != "" {
		r = shell.Script(c.Script, in)
	} else {
		r = shell.Argv(c.Inline(), in)
	}
	if why := c.distrust(); why != "" {
		r.Kinds, r.Why = append(slices.Clone(r.Kinds), action.Execute, action.Unknown), append(slices.Clone(r.Why), why)
		r.Harmless, r.Routine, r.Reversible = "", false, false
	}
	if len(r.Kinds) == 0 {
		r.Kinds = []action.Kind{action.DataRead} // no effect: what it prints is all there is
	}
	slices.Sort(r.Kinds)
	r.Kinds = slices.Compact(r.Kinds)
	if r.Title == "" {
		r.Title = "run " + path.Base(c.Program())
	}
	return r
}

// Program is the word that names what runs.
func (c *Command) Program() string {
	if c.Script != "" {
		return "bash"
	}
	return c.Argv[0]
}

// distrust says why the words of c may not mean what they say; "" when nothing does.
func (c *Command) distrust() string {
	for _, name := range c.Env.Names {
		if loads(name) {
			return "the environment's " + name + " runs code before the command does"
		}
	}
	if found := c.Binary.Path; len(c.Argv) > 0 && !strings.Contains(c.Argv[0], "/") && found != "" {
		dir := path.Dir(found)
		for _, soft := range []string{c.Dir, "/tmp", "/var/tmp", "/dev/shm"} {
			if soft != "" && soft != "/" && (dir == soft || strings.HasPrefix(dir, soft+"/")) {
				return "PATH leads to a program of that name in " + soft
			}
		}
		if base := path.Base(dir); c.Home != "" && strings.HasPrefix(dir, c.Home+"/") && base != "bin" && base != ".bin" && base != "shims" {
			return "PATH leads to a program of that name in " + dir
		}
	}
	return ""
}

// loads says that a variable makes programs run code that the command doesn't name.
func loads(name string) bool {
	switch name {
	case "LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "ENV", "PERL5OPT", "RUBYOPT", "GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_EXEC_PATH":
		return true
	}
	return strings.HasPrefix(name, "BASH_FUNC_")
}

// state is what gives the words their meaning.
func (c *Command) state() map[string]string {
	s := map[string]string{
		"dir": c.Dir, "host": c.Host, "user": c.User, "binary": c.Binary.Path, "binary_sha256": c.Binary.Digest,
		"env": strings.Join(c.Env.Names, " "), "env_digest": c.Env.Digest, "stdin_sha256": c.Stdin.Digest,
	}
	if c.Stdin.Live {
		s["stdin"] = "live"
	}
	for _, f := range c.Files {
		s["file "+f.Path] = f.Digest
	}
	if c.Preview != nil {
		s["plan_sha256"] = c.Preview.Digest
	}
	return s
}

// payload is all of the text that runs or is read, canonically.
func (c *Command) payload() []byte {
	files := map[string]any{}
	for _, f := range append([]File{c.Binary}, c.Files...) {
		if f.Sent {
			files[f.Path] = f.Content
		}
	}
	b, err := action.Canonical(map[string]any{
		"argv": slices.Concat([]string{}, c.Argv), "script": c.Script, "files": files, "stdin": c.Stdin.Content,
	})
	if err != nil {
		return nil // not of a command that was checked
	}
	return b
}

// statement is what a person reads: the command, the scripts it runs, and what the
// asker's own tools say it would do.
func (c *Command) statement() string {
	var b strings.Builder
	if c.Script != "" {
		b.WriteString(c.Script)
	} else {
		b.WriteString(Line(c.Argv))
	}
	for _, f := range append([]File{c.Binary}, c.Files...) {
		if f.Sent && f.Content != "" {
			fmt.Fprintf(&b, "\n\n%s:\n%s", f.Path, strings.TrimRight(f.Content, "\n"))
		}
	}
	if s := &c.Stdin; s.Sent && s.Content != "" {
		fmt.Fprintf(&b, "\n\nstandard input:\n%s", strings.TrimRight(s.Content, "\n"))
	}
	if c.Preview != nil && c.Preview.Detail != "" {
		fmt.Fprintf(&b, "\n\nas %s says:\n%s", c.Preview.by(), strings.TrimRight(c.Preview.Detail, "\n"))
	}
	return b.String()
}

// Line writes words as one line that a shell would read as the same words.
func Line(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = quote(w)
	}
	return strings.Join(out, " ")
}

func quote(w string) string {
	bare := w != ""
	for _, r := range w {
		bare = bare && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=:@%+,", r))
	}
	if bare {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
