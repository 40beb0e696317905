package ssh

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/ssh/sshdtest"
	"github.com/assenthq/assent/internal/recording"
)

// shown is all that the one recording of a house shows, and its file.
func (h *house) shown() (string, recording.Header, []byte) {
	h.t.Helper()
	files, _ := filepath.Glob(filepath.Join(h.dir, "recordings", "*.cast"))
	if len(files) != 1 {
		h.t.Fatalf("%d recordings", len(files))
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		h.t.Fatal(err)
	}
	var out strings.Builder
	head, err := recording.ReadEvents(strings.NewReader(string(b)), func(e recording.Event) error {
		if e.Kind == "o" {
			out.WriteString(e.Data)
		}
		return nil
	})
	if err != nil {
		h.t.Error(err)
	}
	return out.String(), head, b
}

func TestTerminalIsHeldAndRecorded(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	h.masking("4111111111111111", "[card]")
	k := h.holding()
	c := h.client("ssh", "-tt", "gate")
	c.Stdin = strings.NewReader("stty -echo; PS1=\necho 4111111111111111; tty >/dev/null && echo on a tty\nexit 5\n")
	done := make(chan said, 1)
	go func() { done <- ended(c) }()
	a := within(t, "asking", k.asked)
	if !slices.Equal(a.Kinds, []action.Kind{action.SessionOpen}) || a.Verb != "open terminal" {
		t.Errorf("asked for %s, %v", a.Verb, a.Kinds)
	}
	k.answer <- nil
	s := within(t, "ending", done)
	if s.code != 5 || !strings.Contains(s.out, "[card]") || !strings.Contains(s.out, "on a tty") || !strings.Contains(s.err, "this terminal is recorded, as rec_") {
		t.Errorf("%+v", s)
	}
	h.stop()
	text, head, file := h.shown()
	if !strings.Contains(text, "[card]") || strings.Contains(text, "4111111111111111") || !strings.Contains(text, "on a tty") {
		t.Errorf("the recording shows %q", text)
	}
	if head.About.Actor != "agent:agent" || head.About.User != h.host.User || head.About.Gate != "bastion" {
		t.Errorf("the recording is about %+v", head.About)
	}
	sum := sha256.Sum256(file)
	if o := h.Outcomes(); len(o) != 1 || o[0].Kept != head.About.ID || o[0].KeptDigest != hex.EncodeToString(sum[:]) {
		t.Errorf("outcome %+v", o)
	}
}

func TestCommandInATerminal(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	h.ssh("-tt", "gate", "tty >/dev/null && echo yes").want(t, 0, "yes\r\n", "recorded")
	if a := h.Actions()[0]; !slices.Contains(a.Kinds, action.SessionOpen) || a.State["terminal"] == "" || !strings.HasPrefix(a.Title, "in a terminal: ") {
		t.Errorf("asked for %v: %s", a.Kinds, a.Title)
	}
	h.stop()
	if text, head, _ := h.shown(); text != "yes\r\n" || head.About.Command != "tty >/dev/null && echo yes" {
		t.Errorf("%q, %+v", text, head.About)
	}
}

// A shell that reads its commands from the client is a terminal in all but name.
func TestShellWithoutATerminal(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	c := h.client("ssh", "-T", "gate")
	c.Stdin = strings.NewReader("echo piped\n")
	if s := ended(c); s.code != 0 || !strings.HasSuffix(s.out, "piped\n") {
		t.Errorf("%+v", s)
	}
	if a := h.Actions()[0]; !slices.Contains(a.Kinds, action.SessionOpen) {
		t.Errorf("asked for %v", a.Kinds)
	}
	h.stop()
	if text, _, _ := h.shown(); !strings.HasSuffix(text, "piped\n") {
		t.Errorf("the recording shows %q", text)
	}
}

func TestTerminalIsCut(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	c := h.client("ssh", "-tt", "gate", "echo began; sleep 100")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdin = nil
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	h.Cut()
	if err := c.Wait(); err == nil {
		t.Error("it went on")
	}
	h.stop()
	if text, _, _ := h.shown(); text != "began\r\n" {
		t.Errorf("the recording shows %q", text)
	}
	// While the connection is being closed the host may still tell that the command was hung up.
	if o := h.Outcomes(); len(o) != 1 || o[0].KeptDigest == "" || o[0].State != gate.Unknown && (o[0].State != gate.Failed || o[0].Code != "signal HUP") {
		t.Errorf("outcome %+v", o)
	}
}

func TestTerminalThatCannotBeRecorded(t *testing.T) {
	h := newHouse(t, sshdtest.New(t))
	if err := os.RemoveAll(filepath.Join(h.dir, "recordings")); err != nil {
		t.Fatal(err)
	}
	s := h.ssh("-tt", "gate", "echo in")
	if s.code != 75 || strings.Contains(s.out, "in\r\n") || !strings.Contains(s.out+s.err, "can't be recorded") {
		t.Errorf("%+v", s)
	}
	h.stop()
	if o := h.Outcomes(); len(o) != 1 || o[0].State != gate.NotRun {
		t.Errorf("outcome %+v", o)
	}
}

func TestNoTerminals(t *testing.T) {
	h := newHouse(t, sshdtest.New(t), func(c *Config) { c.Recordings = nil })
	if s := h.ssh("-tt", "gate"); s.code != 255 {
		t.Errorf("%+v", s)
	}
	h.wantAsked(0)
	h.wantRefusal("a terminal")
}

func TestTerminalRequests(t *testing.T) {
	good := func(term string, columns uint32, modes []byte) []byte {
		b := putString(nil, term)
		for _, n := range []uint32{columns, 24, 0, 0} {
			b = append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		}
		return putString(b, modes)
	}
	for _, c := range []struct {
		name    string
		payload []byte
		ok      bool
	}{
		{"plain", good("xterm-256color", 80, []byte{53, 0, 0, 0, 1, 0}), true},
		{"no modes", good("xterm", 80, nil), true},
		{"no end of modes", good("xterm", 80, []byte{53, 0, 0, 0, 1}), true},
		{"no name", good("", 80, nil), false},
		{"a name that leads elsewhere", good("../../tmp/x", 80, nil), false},
		{"a name with an escape", good("x\x1b[m", 80, nil), false},
		{"too wide", good("xterm", 100_000, nil), false},
		{"a cut mode", good("xterm", 80, []byte{53, 0, 0}), false},
		{"a mode without an argument", good("xterm", 80, []byte{200}), false},
		{"more behind the end", good("xterm", 80, []byte{0, 1}), false},
		{"too many modes", good("xterm", 80, make([]byte, maxModes+1)), false},
		{"more behind it", append(good("xterm", 80, nil), 0), false},
		{"less", good("xterm", 80, nil)[:10], false},
	} {
		if _, err := ptyOf(c.payload); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
