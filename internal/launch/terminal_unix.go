//go:build unix

package launch

import (
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/creack/pty"

	"github.com/assenthq/assent/internal/mask"
)

// pause is how long a terminal is kept waiting for text that may become part of
// something masked: after it, a prompt is shown as it stands.
const pause = 100 * time.Millisecond

// onTerminal runs cmd on a terminal of its own, of the size of ours, and passes on keys
// as they are. The command gets the signals that a terminal sends from its own.
func (p *Prepared) onTerminal(cmd *exec.Cmd, set *mask.Set) (*Result, error) {
	in := p.input.terminal
	own, tty, err := pty.Open()
	if err != nil {
		return p.onPipes(cmd, set)
	}
	defer func() { _ = own.Close() }()
	_ = pty.InheritSize(in, tty) // a terminal without a size
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, append([]os.Signal{syscall.SIGWINCH}, forwarded...)...)
	defer signal.Stop(signals)
	if state, err := term.MakeRaw(in.Fd()); err == nil {
		defer func() { _ = term.Restore(in.Fd(), state) }()
	}
	if err := p.start(cmd); err != nil {
		_ = tty.Close()
		return &Result{}, err
	}
	_ = tty.Close()
	go func() { _, _ = io.Copy(own, in) }() // until this process ends
	var n atomic.Int64
	out := newSink(p.r.Out, set, &n)
	shown := make(chan struct{})
	go func() { defer close(shown); show(out, own) }()
	ended, quiet := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(quiet)
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGWINCH {
					_ = pty.InheritSize(in, own)
				} else {
					_ = cmd.Process.Signal(s)
				}
			case <-ended:
				return
			}
		}
	}()
	err = cmd.Wait()
	close(ended)
	<-quiet // it uses the terminal that is closed next
	select {
	case <-shown:
	case <-time.After(lingering): // something it left behind holds the terminal
	}
	r := resultOf(cmd, err)
	r.Bytes = n.Load()
	return r, nil
}

// show passes on what from prints until it ends.
func show(out *sink, from io.Reader) {
	still := time.AfterFunc(time.Hour, out.flush)
	defer still.Stop()
	b := make([]byte, 32<<10)
	for {
		k, err := from.Read(b)
		if k > 0 {
			if _, werr := out.Write(b[:k]); werr != nil {
				return
			}
			still.Reset(pause)
		}
		if err != nil { // EIO: nobody is on it any more
			out.flush()
			return
		}
	}
}
