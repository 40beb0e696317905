package ssh

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/gates/ssh/sshdtest"
	gossh "golang.org/x/crypto/ssh"
)

// dial logs in with the library, for clients that say what no program would.
func (h *house) dial() *gossh.Client {
	h.t.Helper()
	c, err := gossh.Dial("tcp", h.addr, &gossh.ClientConfig{
		User: gatetest.User, Auth: []gossh.AuthMethod{gossh.Password(gatetest.Token)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// A player plays one case of the corpus.
type player struct {
	t    *testing.T
	ch   gossh.Channel
	last []byte // handle
}

func (h *house) player(t *testing.T) *player {
	t.Helper()
	c := h.dial()
	t.Cleanup(func() { _ = c.Close() })
	ch, requests, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go gossh.DiscardRequests(requests)
	go func() { _, _ = io.Copy(io.Discard, ch.Stderr()) }()
	if ok, err := ch.SendRequest("subsystem", true, putString(nil, "sftp")); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := ch.Write([]byte{0, 0, 0, 5, fxInit, 0, 0, 0, 3}); err != nil {
		t.Fatal(err)
	}
	if p, err := readPacket(ch); err != nil || p.typ != fxVersion {
		t.Fatal(p, err)
	}
	return &player{t: t, ch: ch}
}

func (p *player) line(line string) {
	p.t.Helper()
	f := strings.Fields(line)
	switch f[0] {
	case ">raw":
		b, err := hex.DecodeString(f[1])
		if err != nil {
			p.t.Fatal(line, err)
		}
		_, _ = p.ch.Write(b)
	case ">":
		typ, _ := strconv.Atoi(f[1])
		id, _ := strconv.Atoi(f[2])
		_, _ = p.ch.Write(packet{byte(typ), uint32(id), p.fields(strings.SplitN(line, " ", 4)[min(3, len(f)-1):])}.bytes())
	case "<":
		got, err := readPacket(p.ch)
		said := "end"
		if err == nil {
			said = fmt.Sprint(got.typ)
			r := reader{b: got.body}
			switch {
			case got.typ == fxHandle:
				p.last = r.text()
			case got.typ == fxStatus && len(f) > 2:
				said += fmt.Sprint(" ", r.uint32())
			}
		}
		if want := strings.Join(f[1:], " "); said != want {
			p.t.Errorf("%s: heard %s (%q)", line, said, got.body)
		}
	case "!":
		payload := map[string][]byte{"exec": putString(nil, "echo x"), "subsystem": putString(nil, "sftp"), "env": putString(putString(nil, "LANG"), "C")}[f[1]]
		if ok, err := p.ch.SendRequest(f[1], true, payload); err != nil || ok != (f[2] == "yes") {
			p.t.Errorf("%s: %v, %v", line, ok, err)
		}
	default:
		p.t.Fatalf("a line of no kind: %s", line)
	}
}

func (p *player) fields(rest []string) []byte {
	var b []byte
	if len(rest) == 0 {
		return nil
	}
	for _, f := range strings.Fields(rest[0]) {
		kind, value, _ := strings.Cut(f, ":")
		n, _ := strconv.ParseUint(value, 10, 64)
		switch kind {
		case "s":
			b = putString(b, value)
		case "u":
			b = binary.BigEndian.AppendUint32(b, uint32(n))
		case "w":
			b = binary.BigEndian.AppendUint64(b, n)
		case "h":
			raw, err := hex.DecodeString(value)
			if err != nil {
				p.t.Fatal(f, err)
			}
			b = append(b, raw...)
		case "H":
			b = putString(b, p.last)
		}
	}
	return b
}

// TestDesync plays the corpus before a real sshd. Nothing in it changes a file that was not permitted.
func TestDesync(t *testing.T) {
	text, err := os.ReadFile("testdata/desync.txt")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, sshdtest.New(t))
	h.only(func(a *action.Action) bool {
		return a.Target == h.home+"/open" && (a.Verb == "write" || a.Verb == "read")
	})
	h.put("open", "here\n")
	kept := h.put("kept", "as it was")
	cases := 0
	for _, block := range strings.Split(string(text), "\ncase ")[1:] {
		cases++
		lines := strings.Split(block, "\n")
		t.Run(lines[0], func(t *testing.T) {
			p := h.player(t)
			for _, line := range lines[1:] {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					p.line(line)
				}
			}
		})
	}
	if cases < 30 {
		t.Errorf("%d cases were read: the form of the corpus changed", cases)
	}
	if got := h.text(kept); got != "as it was" {
		t.Errorf("the file that nobody permitted holds %q", got)
	}
}

// Requests of a session, of a connection, and channels that end early.
func TestChannelGames(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	c := h.dial()
	defer func() { _ = c.Close() }()
	open := func() (gossh.Channel, <-chan *gossh.Request) {
		ch, requests, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		return ch, requests
	}
	for name, payloads := range map[string][][]byte{
		"exec":      {nil, {0}, {0, 0, 0, 9, 'x'}, append(putString(nil, "echo a"), 0), putString(nil, "echo \x00a"), putString(nil, "echo \xff"), putString(nil, strings.Repeat("a", maxCommand+1))},
		"subsystem": {nil, putString(nil, "sftp\x00"), putString(nil, "netconf"), append(putString(nil, "sftp"), 1)},
		"env":       {nil, putString(nil, "LANG"), putString(putString(nil, "LD_PRELOAD"), "x"), putString(putString(nil, "LANG"), "C\nx"), putString(putString(nil, "LANG"), "ja_JP.SJIS")},
		"signal":    {nil, putString(nil, "NOPE"), putString(nil, "")},
	} {
		for i, payload := range payloads {
			one := h.dial() // a channel that ends makes room only a moment later
			ch, requests, err := one.OpenChannel("session", nil)
			if err != nil {
				t.Fatal(err)
			}
			ok, err := ch.SendRequest(name, true, payload)
			if name == "exec" && ok { // answered on the channel itself
				status := <-requests
				if status == nil || statusOf(status.Payload) != exitDenied {
					t.Errorf("exec %d: %v", i, status)
				}
			} else if ok || err != nil {
				t.Errorf("%s %d: %v, %v", name, i, ok, err)
			}
			go gossh.DiscardRequests(requests)
			_ = one.Close()
		}
	}
	ch, requests := open()
	if ok, err := ch.SendRequest("exec", true, putString(nil, "cat")); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, name := range []string{"exec", "shell", "subsystem", "pty-req", "auth-agent-req@openssh.com", "x11-req"} {
		if ok, _ := ch.SendRequest(name, true, putString(nil, "sftp")); ok {
			t.Errorf("%s after a command was taken", name)
		}
	}
	_ = ch.CloseWrite()
	if status := <-requests; status == nil || status.Type != "exit-status" {
		t.Errorf("the command that ran did not end: %v", status)
	}
	_ = c.Close()
	c = h.dial() // the one that ended makes room only a moment later
	for range maxChannels {
		open()
	}
	if _, _, err := c.OpenChannel("session", nil); err == nil {
		t.Error("more sessions than there may be")
	}
	for _, typ := range []string{"direct-tcpip", "forwarded-tcpip", "x11", "auth-agent@openssh.com", "tun@openssh.com", "direct-streamlocal@openssh.com"} {
		if _, _, err := c.OpenChannel(typ, nil); err == nil {
			t.Errorf("a channel %s was opened", typ)
		}
	}
	for _, typ := range []string{"tcpip-forward", "streamlocal-forward@openssh.com", "no-such"} {
		if ok, _, _ := c.SendRequest(typ, true, nil); ok {
			t.Errorf("%s was granted", typ)
		}
	}
	if _, _, err := c.SendRequest("no-more-sessions@openssh.com", false, nil); err != nil {
		t.Error(err)
	}
	other := h.dial() // another connection is none the worse
	defer func() { _ = other.Close() }()
	s, err := other.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Output("echo in"); string(out) != "in\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}
