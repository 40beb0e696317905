package tutorials_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a page waits for what must happen: far more than it takes.
const patience = 3 * time.Minute

// A terminal is a shell that keeps its directory and variables from block to block, as a reader's does.
type terminal struct {
	t    *testing.T
	name string
	dir  string // for the files of its blocks
	cmd  *exec.Cmd
	in   io.WriteCloser
	n    int
	ends chan int // exit status of each block; closed when the shell is gone

	block *step // that runs or ran last
	busy  bool

	mu  sync.Mutex
	out strings.Builder // of the block, both streams
	had int             // of it, what text blocks have shown
}

// openTerminal starts a shell in a reader's home, with nothing but env.
func openTerminal(t *testing.T, name, home string, env []string) *terminal {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	said, saying, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, name: name, dir: t.TempDir(), ends: make(chan int, 1)}
	x.cmd = exec.Command("bash", "--noprofile", "--norc")
	x.cmd.Dir, x.cmd.Env, x.cmd.Stdout, x.cmd.Stderr = home, env, saying, saying
	x.cmd.ExtraFiles = []*os.File{w}
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if x.in, err = x.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Close(), saying.Close()
	go func() {
		defer close(x.ends)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			status, _ := strconv.Atoi(lines.Text())
			x.ends <- status
		}
	}()
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := said.Read(b)
			x.mu.Lock()
			x.out.Write(b[:n])
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-x.cmd.Process.Pid, syscall.SIGKILL)
		_ = x.cmd.Wait()
		_, _ = r.Close(), said.Close()
	})
	return x
}

// shown is what the terminal shows of its block that no text block has shown yet.
func (x *terminal) shown() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return trimmed(x.out.String())[x.had:]
}

// all is what the terminal shows of its block.
func (x *terminal) all() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.out.String()
}

func (x *terminal) fail(s *step, format string, args ...any) {
	x.t.Helper()
	x.t.Fatalf("line %d: %s\nthe terminal %q shows:\n%s", s.line, fmt.Sprintf(format, args...), x.name, x.shown())
}

// run types a block. Of one that stays nobody waits for the end.
func (x *terminal) run(s *step) {
	x.t.Helper()
	x.finish()
	x.mu.Lock()
	x.out.Reset()
	x.had = 0
	x.mu.Unlock()
	x.block, x.busy = s, true
	x.n++
	file := filepath.Join(x.dir, strconv.Itoa(x.n)+".sh")
	if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
		x.t.Fatal(err)
	}
	// Any command that fails ends the shell, but where the page says how it ends. The second line of
	// output marks that all before it was written: the pipe keeps its order.
	set := "set -eo pipefail; "
	if s.status != 0 {
		set = "set +e; "
	}
	if _, err := fmt.Fprintf(x.in, "%ssource %s </dev/null; echo $? >&3\n", set, file); err != nil {
		x.fail(s, "the shell is gone: %v", err)
	}
	if !s.stays {
		x.wait()
	}
}

// wait waits until the block has ended as it must.
func (x *terminal) wait() {
	x.t.Helper()
	if !x.busy {
		return
	}
	select {
	case status, alive := <-x.ends:
		x.busy = false
		x.drain()
		switch {
		case !alive:
			x.fail(x.block, "a command failed in\n%s", x.block.text)
		case status != x.block.status:
			x.fail(x.block, "status %d, the page says %d, of\n%s", status, x.block.status, x.block.text)
		}
	case <-time.After(patience):
		x.fail(x.block, "it still runs after %v:\n%s", patience, x.block.text)
	}
}

// drain waits until what the block wrote is here: the shell writes a mark behind it.
func (x *terminal) drain() {
	const mark = "\x00"
	if _, err := io.WriteString(x.in, "printf '\\0'\n"); err != nil {
		time.Sleep(100 * time.Millisecond) // no shell, no mark: what it left is only shown
		return
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		x.mu.Lock()
		text := x.out.String()
		at := strings.Index(text, mark)
		if at >= 0 {
			x.out.Reset()
			x.out.WriteString(text[:at] + text[at+1:])
		}
		x.mu.Unlock()
		if at >= 0 {
			return
		}
	}
}

// see waits until the terminal shows what a text block shows.
func (x *terminal) see(s *step) {
	x.t.Helper()
	if x.block == nil {
		x.t.Fatalf("line %d: nothing was typed in the terminal %q", s.line, x.name)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		out := x.shown()
		if n := begins(out, s.text); n >= 0 && x.busy {
			if strings.HasSuffix(s.text, "…\n") && strings.Count(s.text, "\n") > 1 {
				n = len(out)
			}
			x.had += n
			return
		}
		if !x.busy && whole(out, s.text) {
			x.had += len(out)
			return
		}
		select {
		case status, alive := <-x.ends:
			x.busy = false
			if alive {
				x.drain()
			}
			if !alive {
				x.fail(s, "a command failed in\n%s", x.block.text)
			}
			if status != x.block.status {
				x.fail(s, "status %d, the page says %d, of\n%s", status, x.block.status, x.block.text)
			}
			continue
		default:
		}
		if !x.busy || time.Now().After(end) {
			x.fail(s, "the page shows this, and all fits but\n%s\nof\n%s", until(out, s.text), s.text)
		}
	}
}

// finish waits for the block's end, and holds that nothing was shown which the page doesn't show.
func (x *terminal) finish() {
	x.t.Helper()
	if x.block == nil {
		return
	}
	x.wait()
	if out := x.shown(); out != "" {
		x.fail(x.block, "the page doesn't show the end of what this prints:\n%s", x.block.text)
	}
	x.block = nil
}

// interrupt is Ctrl-C: what runs must end by it.
func (x *terminal) interrupt() {
	x.t.Helper()
	if x.block == nil || !x.busy {
		return
	}
	_ = x.in.Close()
	if err := syscall.Kill(-x.cmd.Process.Pid, syscall.SIGINT); err != nil {
		x.fail(x.block, "Ctrl-C: %v", err)
	}
	for end := time.After(patience); x.busy; {
		select {
		case status, alive := <-x.ends:
			x.busy = alive
			if alive && status != 0 && status != 130 && status != x.block.status {
				x.fail(x.block, "status %d after Ctrl-C", status)
			}
		case <-end:
			x.fail(x.block, "it still runs after Ctrl-C")
		}
	}
	x.block = nil
}
