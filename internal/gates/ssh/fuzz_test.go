package ssh

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	gossh "golang.org/x/crypto/ssh"
)

// FuzzPayloads reads every payload that a client's requests have.
func FuzzPayloads(f *testing.F) {
	for _, b := range [][]byte{nil, putString(nil, "ls"), putString(putString(nil, "LANG"), "C.UTF-8"), {0, 0, 0, 80, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}} {
		f.Add(b)
	}
	f.Add(putString(append(putString(nil, "xterm"), make([]byte, 16)...), []byte{53, 0, 0, 0, 1, 0}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := commandText(b); err == nil && string(putString(nil, s)) != string(b) {
			t.Fatal("what is judged is not what is sent")
		}
		if v, err := envOf(b); err == nil && string(putString(putString(nil, v.name), v.value)) != string(b) {
			t.Fatal("a variable is not what was sent")
		}
		if p, err := ptyOf(b); err == nil && (string(p.payload) != string(b) || !termName.MatchString(p.term)) {
			t.Fatal("a terminal is not what was asked for")
		}
		_, _ = sizeOf(b)
		_ = signalOf(b)
	})
}

// A fake stands for a client's channel: what it reads was there before.
type fakeChannel struct {
	gossh.Channel
	io.Reader
	out bytes.Buffer
}

func (c *fakeChannel) Read(b []byte) (int, error)                     { return c.Reader.Read(b) }
func (c *fakeChannel) Write(b []byte) (int, error)                    { return c.out.Write(b) }
func (c *fakeChannel) Stderr() io.ReadWriter                          { return &bytes.Buffer{} }
func (c *fakeChannel) Close() error                                   { return nil }
func (c *fakeChannel) CloseWrite() error                              { return nil }
func (c *fakeChannel) SendRequest(string, bool, []byte) (bool, error) { return true, nil }

// A liar is a host that answers each request with something: a part of what a fuzzer made,
// under the id that was asked for or another. It remembers what reached it.
type liar struct {
	mu   sync.Mutex
	wake *sync.Cond
	says []byte // owned by mu
	out  bytes.Buffer
	shut bool
	seen []packet
}

func (l *liar) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := readPacket(bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	if p.typ == fxInit {
		l.out.Write(packet{fxVersion, 3, putString(putString(putString(putString(nil, "posix-rename@openssh.com"), "1"), "hardlink@openssh.com"), "1")}.bytes())
		l.wake.Signal()
		return len(b), nil
	}
	l.seen = append(l.seen, p)
	if len(l.says) < 4 {
		l.shut = true
		l.wake.Signal()
		return len(b), nil
	}
	answer := packet{typ: map[byte]byte{0: fxStatus, 1: fxHandle, 2: fxData, 3: fxName, 4: fxAttrs}[l.says[0]%5], id: p.id}
	if l.says[1] == 0xff {
		answer.id++
	}
	n := min(int(binary.BigEndian.Uint16(l.says[2:])%200), len(l.says)-4)
	answer.body, l.says = l.says[4:4+n], l.says[4+n:]
	switch l.says = l.says[:len(l.says):len(l.says)]; {
	case p.typ == fxRealpath && answer.typ == fxName: // an honest one, or nothing would ever be opened
		r := reader{b: p.body}
		answer.body = nameBody([]named{{append([]byte("/"), bytes.Trim(r.text(), "/")...), nil, attrs{raw: make([]byte, 4)}}})
	case answer.typ == fxStatus:
		answer.body = statusBody(uint32(n%9), "x")
	}
	l.out.Write(answer.bytes())
	l.wake.Signal()
	return len(b), nil
}

func (l *liar) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.out.Len() == 0 {
		if l.shut {
			return 0, io.EOF
		}
		l.wake.Wait()
	}
	return l.out.Read(b)
}

// changing are the types by which something on a host changes, and OPEN, by which something is read.
var changing = map[byte]bool{fxOpen: true, fxSetstat: true, fxFsetstat: true, fxRemove: true, fxMkdir: true, fxRmdir: true, fxRename: true, fxSymlink: true, fxWrite: true, fxExtended: true}

// FuzzFiles plays a client and a host that both say anything. Nothing changes on the
// host that was not asked for under its own bytes.
func FuzzFiles(f *testing.F) {
	open := packet{fxOpen, 1, append(binary.BigEndian.AppendUint32(putString(nil, "/a"), flagRead), 0, 0, 0, 0)}.bytes()
	honest := []byte{3, 0, 0, 0, 4, 0, 0, 8, 0, 0, 0, 4, 0, 0, 0x81, 0xa4, 3, 0, 0, 0, 1, 0, 0, 5, 0, 0, 0, 1, 'h', 3, 0, 0, 0, 4, 0, 0, 8, 0, 0, 0, 4, 0, 0, 0x81, 0xa4, 2, 0, 0, 5, 0, 0, 0, 1, 'x', 0, 0, 0, 1, 0, 0, 0, 0}
	f.Add(open, honest)
	f.Add(append(bytes.Clone(open), packet{fxRead, 2, append(putString(nil, "h1"), make([]byte, 12)...)}.bytes()...), honest)
	f.Add(packet{fxRemove, 1, putString(nil, "/a")}.bytes(), []byte{3, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0})
	f.Add(packet{fxRename, 1, putString(putString(nil, "/a"), "/b")}.bytes(), bytes.Repeat([]byte{3, 0, 0, 0}, 8))
	f.Add(packet{fxExtended, 1, putString(putString(putString(nil, "hardlink@openssh.com"), "/a"), "/b")}.bytes(), bytes.Repeat([]byte{3, 0, 0, 0}, 8))
	f.Add(packet{fxStat, 1, putString(nil, "/a")}.bytes(), []byte{4, 0xff, 0, 4, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, client, host []byte) {
		a := &gatetest.Authority{Decide: func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
			if a.Verb == "remove" {
				return &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
			}
			return nil
		}}
		v, _ := a.Bearer(t.Context(), gatetest.Token)
		open, err := a.Login(t.Context(), v, gate.Peer{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeoutCause(t.Context(), 10*time.Second, errGone)
		defer stop()
		c := &conn{g: &Gate{}, host: &Host{Name: "h", User: "u"}, session: open, run: ctx, hold: ctx, told: map[string]bool{}}
		ch := &fakeChannel{Reader: bytes.NewReader(client)}
		s := &session{c: c, ch: ch, hold: ctx, run: ctx}
		l := &liar{says: host}
		l.wake = sync.NewCond(&l.mu)
		h, err := newFileHost(l, l)
		if err != nil {
			t.Fatal(err)
		}
		look, denied := s.ask(s.fileAction("look", "", []action.Kind{action.DataRead}, nil), s.held)
		if denied != nil {
			t.Fatal(denied)
		}
		fs := &files{s: s, host: h, look: look, handles: map[string]*file{}, slots: make(chan struct{}, maxPending)}
		err = fs.serve()
		l.mu.Lock()
		l.shut = true
		l.wake.Broadcast()
		l.mu.Unlock()
		fs.end(err)
		look.Done(gate.Outcome{State: gate.Executed})
		open.Close()
		if ctx.Err() != nil {
			t.Fatal("it did not end")
		}
		a.Check(t)
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, p := range l.seen {
			if p.typ == fxRemove {
				t.Fatal("what was denied reached the host")
			}
			if changing[p.typ] && p.typ != fxWrite && p.typ != fxFsetstat && !asked(a, p.body) {
				t.Fatalf("type %d reached the host, with bytes that nobody was asked about", p.typ)
			}
		}
	})
}

// asked says whether some action was about exactly these bytes.
func asked(a *gatetest.Authority, body []byte) bool {
	for _, act := range a.Actions() {
		if bytes.Equal(act.Payload, body) {
			return true
		}
	}
	return false
}

func TestHostsThatLie(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(id uint32) packet
	}{
		{"an answer to nothing", func(id uint32) packet { return packet{fxStatus, id + 7, statusBody(fxOK, "")} }},
		{"data for a path", func(id uint32) packet { return packet{fxData, id, putString(nil, "x")} }},
		{"a handle for a path", func(id uint32) packet { return packet{fxHandle, id, putString(nil, "x")} }},
		{"a path that is relative", func(id uint32) packet {
			return packet{fxName, id, nameBody([]named{{[]byte("a"), nil, attrs{raw: make([]byte, 4)}}})}
		}},
		{"two paths", func(id uint32) packet {
			n := named{[]byte("/a"), nil, attrs{raw: make([]byte, 4)}}
			return packet{fxName, id, nameBody([]named{n, n})}
		}},
		{"no path", func(id uint32) packet { return packet{fxName, id, nameBody(nil)} }},
		{"OK instead of a path", func(id uint32) packet { return packet{fxStatus, id, statusBody(fxOK, "")} }},
		{"more entries than there are", func(id uint32) packet { return packet{fxName, id, []byte{0xff, 0xff, 0xff, 0xff}} }},
		{"a path with a NUL", func(id uint32) packet {
			return packet{fxName, id, nameBody([]named{{[]byte("/a\x00"), nil, attrs{raw: make([]byte, 4)}}})}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			near, far := io.Pipe()
			answers, say := io.Pipe()
			go func() {
				if _, err := readPacket(near); err != nil {
					return
				}
				_, _ = say.Write(packet{fxVersion, 3, nil}.bytes())
				p, err := readPacket(near)
				if err != nil {
					return
				}
				_, _ = say.Write(c.answer(p.id).bytes())
			}()
			h, err := newFileHost(answers, far)
			if err != nil {
				t.Fatal(err)
			}
			if path, err := h.realpath(t.Context(), "a"); err == nil {
				t.Errorf("it was taken: %q", path)
			}
			_ = say.Close()
		})
	}
}
