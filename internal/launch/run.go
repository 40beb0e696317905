package launch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/charmbracelet/x/term"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/mask"
)

// lingering is how long what a command left behind may still write to its output.
const lingering = 2 * time.Second

// A Result is how a command ended.
type Result struct {
	Ran    bool
	Exit   int            // its own status
	Signal syscall.Signal // what ended it; 0: it ended by itself
	Bytes  int64          // it printed
	Took   time.Duration
}

// Status is r as a shell says it.
func (r *Result) Status() int {
	if r.Signal != 0 {
		return 128 + int(r.Signal)
	}
	return r.Exit
}

// Outcome is r as the server is told.
func (r *Result) Outcome() client.RunOutcome {
	o := client.RunOutcome{Ran: r.Ran, Bytes: r.Bytes, Millis: r.Took.Milliseconds()}
	if r.Signal != 0 {
		o.Signal = strings.TrimPrefix(signalName(r.Signal), "SIG")
	} else if r.Exit > 0 && r.Exit < 256 {
		o.Exit = r.Exit
	}
	return o
}

// A ChangedError says that something is no longer what was asked for: nothing ran.
type ChangedError struct{ Path string }

func (e *ChangedError) Error() string { return e.Path + " changed while the command was waiting" }

// Run runs the command once, with what it prints masked. A permission must have been given
// for exactly its Question. An error says that it did not run.
func (p *Prepared) Run(masks map[string]string) (*Result, error) {
	before, err := p.binary.Stat()
	if err != nil {
		return &Result{}, err
	}
	if changed := p.Changed(); changed != "" {
		return &Result{}, &ChangedError{changed}
	}
	set, err := masksOf(masks)
	if err != nil {
		return &Result{}, err
	}
	cmd := &exec.Cmd{Path: p.path, Args: p.argv, Dir: p.dir, Env: p.env}
	if !p.script() || p.inlined() {
		cmd.Path = opened(p.binary, p.path)
	}
	begun := time.Now()
	p.before = before
	var r *Result
	if p.input.terminal != nil && isTerminal(p.r.Out) {
		r, err = p.onTerminal(cmd, set)
	} else {
		r, err = p.onPipes(cmd, set)
	}
	r.Took = time.Since(begun)
	return r, err
}

// inlined says that the interpreter runs, with the script as its argument.
func (p *Prepared) inlined() bool { return p.question.Binary.Path != p.path }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(f.Fd())
}

// masksOf is the set of what must be masked. What takes a key of the server's is redacted.
func masksOf(methods map[string]string) (*mask.Set, error) {
	if len(methods) == 0 {
		return nil, nil
	}
	engine, err := detect.New(detect.Options{})
	if err != nil {
		return nil, fmt.Errorf("masking: %w", err)
	}
	here := make(map[string]string, len(methods))
	for class, method := range methods {
		if method != mask.Partial {
			method = mask.Redact
		}
		here[class] = method
	}
	return mask.New(nil, engine).For("", here), nil
}

// A sink takes what one stream of a command prints, counts it, and masks it on its way.
type sink struct {
	n  *atomic.Int64
	mu sync.Mutex
	to io.Writer
	by *mask.Writer // nil: nothing is masked
}

func newSink(to io.Writer, set *mask.Set, n *atomic.Int64) *sink {
	s := &sink{n: n, to: to}
	if set != nil {
		s.by = set.Writer(to)
	}
	return s
}

func (s *sink) Write(b []byte) (int, error) {
	s.n.Add(int64(len(b)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		return s.to.Write(b)
	}
	return s.by.Write(b)
}

// flush passes on what is kept back.
func (s *sink) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by != nil && s.by.Kept() {
		_ = s.by.Flush() // whoever reads it left
	}
}

// onPipes runs cmd with its output through us.
func (p *Prepared) onPipes(cmd *exec.Cmd, set *mask.Set) (*Result, error) {
	var n atomic.Int64
	out, errs := newSink(p.r.Out, set, &n), newSink(p.r.Err, set, &n)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, errs, lingering
	var feed io.WriteCloser
	var err error
	if p.input.rest != nil {
		if feed, err = cmd.StdinPipe(); err != nil {
			return &Result{}, err
		}
	} else if in := p.input.reader(); in != nil {
		cmd.Stdin = in
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	if err := p.start(cmd); err != nil {
		return &Result{}, err
	}
	if feed != nil {
		go func() {
			_, _ = io.Copy(feed, p.input.reader()) // the command no longer reads
			_ = feed.Close()
		}()
	}
	ended := make(chan struct{})
	go forward(signals, cmd.Process, p.input.terminal != nil || isTerminal(p.r.Out) || isTerminal(p.r.Err), ended)
	err = cmd.Wait()
	close(ended)
	out.flush()
	errs.flush()
	r := resultOf(cmd, err)
	r.Bytes = n.Load()
	return r, nil
}

// start starts cmd, and ends it again where the file that it was started from was
// written to since it was hashed: once it runs, nobody can write to it.
func (p *Prepared) start(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return &NotFoundError{p.argv[0], err, 126}
	}
	after, err := p.binary.Stat()
	if err != nil || stamp(after) != stamp(p.before) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return &ChangedError{p.path}
	}
	return nil
}

// forward hands signals on. What a terminal sends reaches everybody on it anyway.
func forward(signals <-chan os.Signal, to *os.Process, shared bool, ended <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			if shared && (s == syscall.SIGINT || s == syscall.SIGQUIT) {
				continue
			}
			_ = to.Signal(s) // it may have ended
		case <-ended:
			return
		}
	}
}

func resultOf(cmd *exec.Cmd, err error) *Result {
	r := &Result{Ran: true}
	if cmd.ProcessState == nil {
		r.Exit = 1
		return r
	}
	if w, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		r.Signal = w.Signal()
		return r
	}
	r.Exit = cmd.ProcessState.ExitCode()
	if r.Exit == 0 && err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		r.Exit = 1 // what it printed could not be passed on
	}
	return r
}
