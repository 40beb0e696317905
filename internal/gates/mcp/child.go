package mcp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"
)

// A Command starts a server that speaks over standard input and output.
type Command struct {
	Argv []string
	Dir  string
	Env  []string // all of it, but for PATH where it names none
}

// grace is how long a server may take to end after its input has ended.
const grace = 2 * time.Second

// child is a server process of ours.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader

	mu   sync.Mutex // one message at a time is written
	once sync.Once
	done chan struct{} // closed when the process was waited for
}

// startChild starts a server. What it says on standard error goes to the debug log.
func startChild(c Command, log *slog.Logger) (pipe, error) {
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, c.Env...)
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = grace
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = &debugLog{log: log, command: c.Argv[0]}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	return &child{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 64<<10), done: make(chan struct{})}, nil
}

func (c *child) send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.in.Write(append(msg[:len(msg):len(msg)], '\n'))
	return err
}

func (c *child) receive() ([]byte, error) {
	for {
		b, err := readLine(c.out)
		if err != nil {
			return nil, err
		}
		if len(b) > 0 {
			return b, nil
		}
	}
}

var errLine = errors.New("a line of more than 16 MiB")

// readLine reads a line of at most MaxMessage, without its end.
func readLine(r *bufio.Reader) ([]byte, error) {
	var out []byte
	for {
		part, err := r.ReadSlice('\n')
		out = append(out, part...)
		switch {
		case len(out) > MaxMessage+2:
			return nil, errLine
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, err
		}
		for len(out) > 0 && (out[len(out)-1] == '\n' || out[len(out)-1] == '\r') {
			out = out[:len(out)-1]
		}
		return out, nil
	}
}

// close ends the process and all that it started: its input first, then by signals.
func (c *child) close() {
	c.once.Do(func() {
		_ = c.in.Close()
		go func() {
			_ = c.cmd.Wait()
			close(c.done)
		}()
		go func() {
			select {
			case <-c.done:
			case <-time.After(grace):
			}
			killGroup(c.cmd.Process)
		}()
	})
}

// debugLog writes the lines of a process to the log.
type debugLog struct {
	log     *slog.Logger
	command string
}

func (d *debugLog) Write(b []byte) (int, error) {
	d.log.Debug("a server says", "command", d.command, "text", clip(string(b), 2000))
	return len(b), nil
}
