// Package launch runs a command on this machine as it was asked for.
//
// It promises that a command is described as it will run, that what is run is what was
// described (the same binary by its open file, the same script text, the same standard
// input), that nothing is run without a permission of the server's for exactly that,
// and that what it prints is masked as the permission says.
//
// What it can't stop: whoever runs it can run the command without it.
package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/classify/shell"
	"github.com/assenthq/assent/internal/gates/command"
)

// A Request is what somebody wants to run.
type Request struct {
	Argv   []string // a program and its arguments
	Script string   // or bash source
	Claims client.CommandContext

	In       *os.File // nil: nothing to read
	Out, Err io.Writer
	Env      []string
	Dir      string // "": where this process is

	NoPreview bool

	input *input // once it was read
}

// Close lets go of what was read.
func (r *Request) Close() { r.input.close() }

// A NotFoundError says that there is no such program, or none that runs.
type NotFoundError struct {
	Program string
	Err     error
	Status  int // 127: it isn't there; 126: it can't be run
}

func (e *NotFoundError) Error() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return fmt.Sprintf("%s: there is no such program, neither by that path nor in PATH", e.Program)
	}
	return fmt.Sprintf("%s: %v", e.Program, e.Err)
}

func (e *NotFoundError) Unwrap() error { return e.Err }

// A Prepared command is described and not yet permitted. Close it.
type Prepared struct {
	r        *Request
	argv     []string // that runs, without its first word where binary says what runs
	env      []string
	dir      string
	binary   *os.File    // open since it was hashed
	before   os.FileInfo // of binary, when it was last found unchanged
	digest   string
	path     string
	files    []file
	input    *input
	question *client.Command
	dirs     []string // to be removed
}

type file struct{ path, digest string }

// Prepare resolves, reads and hashes everything that the command is.
func Prepare(ctx context.Context, r *Request) (*Prepared, error) {
	p := &Prepared{r: r, env: withoutShims(r.Env), dir: r.Dir}
	if err := p.describe(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Prepared) describe(ctx context.Context) (err error) {
	r := p.r
	if p.dir == "" {
		if p.dir, err = os.Getwd(); err != nil {
			return fmt.Errorf("finding the working directory: %w", err)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("finding the host's name: %w", err)
	}
	q := &client.Command{Argv: r.Argv, Script: r.Script, Dir: p.dir, Host: host, User: userName()}
	q.Home = valueOf(p.env, "HOME")
	if r.Claims != (client.CommandContext{}) {
		q.Context = &r.Claims
	}
	p.question = q
	if err := wellFormed(q); err != nil {
		return err
	}
	if r.input == nil {
		if r.input, err = readInput(ctx, r.In); err != nil {
			return err
		}
	}
	p.input = r.input
	q.Stdin = p.input.describe()
	if q.Env, err = describeEnv(p.env); err != nil {
		return err
	}
	if r.Script != "" {
		if err := p.program("bash", []string{"bash", "-c", r.Script}); err != nil {
			return err
		}
		return p.filesOfScript()
	}
	if err := p.program(r.Argv[0], r.Argv); err != nil {
		return err
	}
	if err := p.scripts(); err != nil {
		return err
	}
	if err := p.inline(); err != nil {
		return err
	}
	p.preview(ctx)
	return ctx.Err()
}

// Question is what the server is asked.
func (p *Prepared) Question() *client.Command { return p.question }

// Close lets go of what Prepare opened.
func (p *Prepared) Close() {
	if p.binary != nil {
		_ = p.binary.Close()
	}
	for _, dir := range p.dirs {
		_ = os.RemoveAll(dir)
	}
}

// program finds and hashes what runs.
func (p *Prepared) program(name string, argv []string) (err error) {
	p.argv = argv
	if p.path, err = lookPath(name, p.dir, valueOf(p.env, "PATH")); err != nil {
		return err
	}
	if p.binary, err = os.Open(p.path); err != nil {
		return &NotFoundError{name, err, 126}
	}
	f, err := describe(p.path, p.binary, true)
	if err != nil {
		return err
	}
	p.digest, p.question.Binary = f.SHA256, f
	return nil
}

// scripts hashes, and where they are text sends, the files that the arguments name
// for somebody to run or apply.
func (p *Prepared) scripts() error { return p.read(named(p.r.Argv)) }

// filesOfScript does the same for the commands of a script, with the programs that it
// names by a path. What only the shell will find is not known before.
func (p *Prepared) filesOfScript() error {
	var names []string
	for _, c := range shell.Script(p.r.Script, shell.Context{Dir: p.dir, Home: p.question.Home}).Commands {
		if len(c.Argv) > 0 && strings.Contains(c.Argv[0], "/") {
			names = append(names, c.Argv[0])
		}
		names = append(names, named(c.Argv)...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return p.read(names[:min(len(names), maxFiles)])
}

// read describes those of the names that are files.
func (p *Prepared) read(names []string) error {
	for _, name := range names {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(p.dir, path)
		}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue // its tool will say what it thinks of that
		}
		if err := p.file(name, path); err != nil {
			return err
		}
	}
	return nil
}

func (p *Prepared) file(name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading what the command names: %w", err)
	}
	defer func() { _ = f.Close() }()
	d, err := describe(name, f, false)
	if err != nil {
		return err
	}
	p.files = append(p.files, file{path, d.SHA256})
	p.question.Files = append(p.question.Files, *d)
	return nil
}

// inline takes the argument list that the server judges by, and the interpreter it names.
func (p *Prepared) inline() error {
	c := command.Command{Argv: p.r.Argv, Binary: gateFile(p.question.Binary)}
	for i := range p.question.Files {
		c.Files = append(c.Files, gateFile(&p.question.Files[i]))
	}
	argv := c.Inline()
	if slices.Equal(argv, p.r.Argv) || !p.script() {
		p.argv = argv
		return nil
	}
	// The file is a script: its interpreter is what runs.
	script := p.question.Binary
	p.files = append(p.files, file{p.path, p.digest})
	_ = p.binary.Close()
	if err := p.program(argv[0], argv); err != nil {
		return err
	}
	interpreter := *p.question.Binary
	interpreter.Content = nil
	p.question.Binary = script
	p.question.Files = append(p.question.Files, interpreter)
	return nil
}

// script reports whether what was found is a script.
func (p *Prepared) script() bool {
	return p.question.Binary.Content != nil && strings.HasPrefix(*p.question.Binary.Content, "#!")
}

func gateFile(f *client.CommandFile) command.File {
	out := command.File{Path: f.Path, Digest: f.SHA256}
	if f.Content != nil {
		out.Content, out.Sent = *f.Content, true
	}
	return out
}

// Changed says what is no longer as it was described; "" when all is.
func (p *Prepared) Changed() string {
	if sum, err := digestOf(p.binary); err != nil || sum != p.digest {
		return p.path
	}
	for _, f := range append([]file{{p.path, p.digest}}, p.files...) {
		now, err := os.Open(f.path)
		if err != nil {
			return f.path
		}
		sum, err := digestOf(now)
		_ = now.Close()
		if err != nil || sum != f.digest {
			return f.path
		}
	}
	return ""
}

// wellFormed refuses words that have no form in which two parsers read the same.
func wellFormed(q *client.Command) error {
	if len(q.Argv) == 0 && q.Script == "" {
		return errors.New("there is no command")
	}
	for _, s := range slices.Concat(q.Argv, []string{q.Script, q.Dir, q.Home, q.Host, q.User}) {
		if !sendable(s) {
			return errors.New("an argument, or the working directory, is not UTF-8: it can't be asked for")
		}
	}
	return nil
}

// sendable says that s arrives as it is.
func sendable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, utf8.RuneError) && strings.IndexByte(s, 0) < 0
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

// A Waiting is told while people are asked.
type Waiting = client.CommandPending

// ErrPending says that the time to wait is over and people have not decided.
var ErrPending = errors.New("people have not decided yet")

// slice is how long one request waits: proxies cut longer ones.
const slice = 50 * time.Second

// Ask asks until there is an answer, for wait at most (negative: as long as the approval
// lasts), and tells once what it waits for. The permission it returns is for one run.
func (p *Prepared) Ask(ctx context.Context, c *client.Client, wait time.Duration, tell func(*Waiting)) (*client.CommandAnswer, error) {
	begun, told := time.Now(), ""
	for {
		left := slice
		if wait >= 0 {
			left = min(left, max(0, wait-time.Since(begun)))
		}
		if told == "" {
			left = 0 // first of all, what it waits for
		}
		more := wait < 0 || time.Since(begun)+max(left, time.Second) < wait
		// The server answers in time; a connection that is dead doesn't.
		each, cancel := context.WithTimeout(ctx, left+20*time.Second)
		got, err := c.AskCommand(each, p.question, left.Round(time.Second), more)
		cancel()
		if err != nil {
			return nil, err
		}
		if got.Pending == nil {
			return got, nil
		}
		if told != got.Pending.Approval {
			told = got.Pending.Approval
			tell(got.Pending)
		}
		if !more {
			return nil, ErrPending
		}
	}
}
