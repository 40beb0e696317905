package mcp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Tunnel is assent mcp: it joins a client on In and Out with a gate, and with the
// server that it starts. It decides nothing: without the gate no message passes.
type Tunnel struct {
	URL     string // of the gate, with the server: http://127.0.0.1:8721/mcp/files
	Token   string
	Command []string // starts the server here; none: it runs behind the gate
	In      io.Reader
	Out     io.Writer
	Err     io.Writer // for a person
	Dialer  *websocket.Dialer

	mu   sync.Mutex
	open map[string][]byte // owned by mu: requests of the client without an answer, by id
	out  sync.Mutex
	idle chan struct{} // told when there are none
}

// Run joins them until the client or the server ends. Once the gate has ended, each
// request is answered by an error.
func (t *Tunnel) Run(ctx context.Context) error {
	t.open, t.idle = map[string][]byte{}, make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan []byte)
	go t.read(ctx, lines)
	k, err := t.dial(ctx)
	if err != nil {
		return t.refuse(ctx, lines, err)
	}
	defer k.close()
	defer context.AfterFunc(ctx, k.close)()
	server, err := t.start()
	if err != nil {
		return t.refuse(ctx, lines, err)
	}
	if server != nil {
		defer server.close()
		go func() {
			for {
				b, err := server.receive()
				if err != nil {
					break
				}
				if k.write(frameServer, b) != nil {
					break
				}
			}
			cancel()
		}()
	}
	ended := make(chan error, 1)
	go func() { ended <- t.take(k, server) }()
	for {
		select {
		case line, more := <-lines:
			if !more {
				err := t.drain(ctx, ended)
				t.fail("Assent ended before it answered")
				return err
			}
			t.note(line)
			if k.write(frameClient, line) != nil {
				k.close() // take says why
			}
		case err := <-ended:
			return t.refuse(ctx, lines, err)
		case <-ctx.Done():
			t.fail("the server has ended")
			return errors.New("the server has ended")
		}
	}
}

// read takes lines from the client.
func (t *Tunnel) read(ctx context.Context, lines chan<- []byte) {
	defer close(lines)
	r := bufio.NewReaderSize(t.In, 64<<10)
	for {
		b, err := readLine(r)
		if err != nil {
			return
		}
		if len(b) == 0 {
			continue
		}
		select {
		case lines <- b:
		case <-ctx.Done():
			return
		}
	}
}

func (t *Tunnel) dial(ctx context.Context) (*socket, error) {
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" {
		return nil, errors.New("not the address of a gate")
	}
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	d := t.Dialer
	if d == nil {
		d = &websocket.Dialer{HandshakeTimeout: 15 * time.Second}
	}
	own := *d
	own.Subprotocols = []string{subprotocol}
	c, resp, err := own.DialContext(ctx, u.String(), http.Header{"Authorization": {"Bearer " + t.Token}})
	if resp != nil && resp.Body != nil {
		defer func() { _ = resp.Body.Close() }()
	}
	if err != nil {
		if resp != nil && resp.StatusCode >= 400 {
			b, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
			return nil, fmt.Errorf("the gate answered %d: %s", resp.StatusCode, strings.TrimSpace(string(b)))
		}
		return nil, fmt.Errorf("the gate can't be reached: %w", err)
	}
	c.SetReadLimit(MaxMessage + 1)
	k := &socket{c: c, over: make(chan struct{})}
	b, err := json.Marshal(hello{Command: t.Command})
	if err != nil {
		return nil, err
	}
	return k, k.write(frameHello, b)
}

// start runs the server, with the environment of this process.
func (t *Tunnel) start() (*child, error) {
	if len(t.Command) == 0 {
		return nil, nil
	}
	cmd := exec.Command(t.Command[0], t.Command[1:]...)
	cmd.Env = os.Environ()
	cmd.Stderr = t.Err
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
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	return &child{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 64<<10), done: make(chan struct{})}, nil
}

// take passes on what the gate sends, until it ends.
func (t *Tunnel) take(k *socket, server *child) error {
	said := ""
	for {
		_ = k.c.SetReadDeadline(time.Now().Add(4 * socketBeat))
		k.c.SetPingHandler(func(data string) error {
			_ = k.c.SetReadDeadline(time.Now().Add(4 * socketBeat))
			return k.c.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(5*time.Second))
		})
		_, b, err := k.c.ReadMessage()
		if err != nil {
			if said != "" {
				return errors.New(said)
			}
			return errors.New("the gate has ended the connection")
		}
		if len(b) == 0 {
			continue
		}
		switch {
		case b[0] == frameClient:
			t.answered(b[1:])
			if err := t.print(b[1:]); err != nil {
				return err
			}
		case b[0] == frameServer && server != nil:
			if err := server.send(b[1:]); err != nil {
				return fmt.Errorf("the server takes nothing more: %w", err)
			}
		case b[0] == frameNote:
			said = clip(string(b[1:]), 500)
		}
	}
}

func (t *Tunnel) print(b []byte) error {
	t.out.Lock()
	defer t.out.Unlock()
	_, err := t.Out.Write(append(compact(b), '\n'))
	return err
}

// note remembers a request of the client.
func (t *Tunnel) note(line []byte) {
	if m, err := read(line); err == nil && m.request() {
		t.mu.Lock()
		t.open[m.key] = m.id
		t.mu.Unlock()
	}
}

func (t *Tunnel) answered(b []byte) {
	m, err := read(b)
	if err != nil || !m.response() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, m.key)
	if len(t.open) == 0 {
		select {
		case t.idle <- struct{}{}:
		default:
		}
	}
}

// drain waits for the answers to what was asked before the client's input ended.
func (t *Tunnel) drain(ctx context.Context, ended <-chan error) error {
	for {
		t.mu.Lock()
		n := len(t.open)
		t.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-t.idle:
		case err := <-ended:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// fail answers whatever is without an answer.
func (t *Tunnel) fail(why string) {
	t.mu.Lock()
	open := t.open
	t.open = map[string][]byte{}
	t.mu.Unlock()
	for _, id := range open {
		_ = t.print(fail(id, codeNotReached, why))
	}
}

// refuse answers the client's requests by errors, for as long as it asks.
func (t *Tunnel) refuse(ctx context.Context, lines <-chan []byte, why error) error {
	for {
		t.fail("Assent lets nothing pass: " + why.Error())
		select {
		case line, more := <-lines:
			if !more {
				return why
			}
			t.note(line)
		case <-ctx.Done():
			return why
		}
	}
}
