package cli_test

import (
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"github.com/rogpeppe/go-internal/testscript"
)

// A screen is a program on a real pseudo-terminal, and what a terminal shows of it.
type screen struct {
	tty  *os.File
	vt   vt10x.Terminal
	mu   sync.Mutex
	raw  strings.Builder // owned by mu
	done chan struct{}
	err  error
}

type screens struct{} // key of the script's screen

func screenOf(ts *testscript.TestScript) *screen {
	s, ok := ts.Value(screens{}).(*screen)
	if !ok || s.tty == nil {
		ts.Fatalf("no program runs on a terminal")
	}
	return s
}

// cmdTTY runs a program on a terminal of 100 by 30: tty PROGRAM [ARG...].
func cmdTTY(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value(screens{}).(*screen)
	s.done, s.vt = make(chan struct{}), vt10x.New(vt10x.WithSize(100, 30))
	s.raw.Reset()
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range append([]string{"NO_COLOR"}, passed...) {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, "TERM=xterm-256color")
	s.tty, err = pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 100})
	ts.Check(err)
	go func() {
		defer close(s.done)
		b := make([]byte, 4096)
		for {
			n, err := s.tty.Read(b)
			s.mu.Lock()
			s.raw.Write(b[:n])
			s.mu.Unlock()
			_, _ = s.vt.Write(b[:n])
			if err != nil {
				break
			}
		}
		s.err = cmd.Wait()
	}()
	ts.Defer(func() { _ = cmd.Process.Kill(); <-s.done; _ = s.tty.Close() })
}

func (s *screen) text() string { return s.vt.String() }

// cmdScreen waits until the terminal shows something, or no more: [!] screen REGEXP.
func cmdScreen(ts *testscript.TestScript, neg bool, args []string) {
	s, re := screenOf(ts), regexp.MustCompile(args[0])
	defer func() { ts.Logf("%s", s.text()) }()
	waitUntil(ts, "a screen like "+args[0], func() bool { return re.MatchString(s.text()) != neg })
}

// cmdKeys types: keys TEXT…, where enter, esc and ctrl+c stand for those keys.
func cmdKeys(ts *testscript.TestScript, _ bool, args []string) {
	s := screenOf(ts)
	for _, a := range args {
		if k, ok := map[string]string{"enter": "\r", "esc": "\x1b", "ctrl+c": "\x03", "space": " "}[a]; ok {
			a = k
		}
		_, err := io.WriteString(s.tty, a)
		ts.Check(err)
	}
}

// cmdResize makes the terminal another size: resize COLUMNS ROWS.
func cmdResize(ts *testscript.TestScript, _ bool, args []string) {
	s := screenOf(ts)
	w, err := strconv.ParseUint(args[0], 10, 16)
	ts.Check(err)
	h, err := strconv.ParseUint(args[1], 10, 16)
	ts.Check(err)
	s.vt.Resize(int(w), int(h))
	ts.Check(pty.Setsize(s.tty, &pty.Winsize{Rows: uint16(h), Cols: uint16(w)}))
}

// cmdLeft waits until the program on the terminal ended well; what it wrote is tty.raw.
func cmdLeft(ts *testscript.TestScript, _ bool, _ []string) {
	s := screenOf(ts)
	waitUntil(ts, "its end", func() bool {
		select {
		case <-s.done:
			return true
		default:
			return false
		}
	})
	ts.Check(s.err)
	ts.Check(os.WriteFile(ts.MkAbs("tty.raw"), []byte(s.raw.String()), 0o600))
}
