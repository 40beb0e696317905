package recording

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestRecording(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir + "/recordings")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.New(Header{Width: 80, Height: 24, About: About{Actor: "agent:a", Gate: "g"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []string{"caf\xc3", "\xa9\r\n", "\xff", "\"<quoted>\"\u2028"} {
		if err := r.Output([]byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Resize(100, 30); err != nil {
		t.Fatal(err)
	}
	digest, err := r.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Output([]byte("late")); err == nil {
		t.Error("it went on after its end")
	}
	file, err := os.ReadFile(s.path(r.ID))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(file); hex.EncodeToString(sum[:]) != digest {
		t.Error("the digest is another")
	}
	if info, _ := os.Stat(s.path(r.ID)); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
	var shown strings.Builder
	h, err := ReadEvents(bytes.NewReader(file), func(e Event) error {
		if e.Kind == "o" {
			shown.WriteString(e.Data)
		}
		return nil
	})
	if err != nil || h.Width != 80 || h.About.ID != r.ID || shown.String() != "café\r\n\uFFFD\"<quoted>\"\u2028" {
		t.Errorf("%+v, %q, %v", h, shown.String(), err)
	}
	list, err := s.List()
	if err != nil || len(list) != 1 || list[0].Bytes != int64(len(file)) {
		t.Errorf("%+v, %v", list, err)
	}
	if now, err := s.Digest(r.ID); err != nil || now != digest {
		t.Errorf("%s, %v", now, err)
	}
	for _, id := range []string{"", "../" + r.ID, "rec_", r.ID + "x", strings.ToUpper(r.ID)} {
		if _, _, err := s.Read(id); !errors.Is(err, ErrNone) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestRecordingEndsWhenItIsFull(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.New(Header{})
	if err != nil {
		t.Fatal(err)
	}
	r.limit = r.size + 100
	for range 10 {
		err = r.Output([]byte("0123456789"))
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("%v", err)
	}
	if err := r.Resize(1, 1); !errors.Is(err, ErrFull) {
		t.Error("it went on after it was full")
	}
	if _, err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain\r\ntext\t\b", "plain\r\ntext\t\b"},
		{"\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"},
		{"\x1b[2J\x1b[H\x1b[?25l\x1b[?1049h", "\x1b[2J\x1b[H\x1b[?25l\x1b[?1049h"},
		{"\x1b]52;c;cm0gLXJm\x07after", "after"},
		{"\x1b]0;title\x1b\\after", "after"},
		{"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"},
		{"\x1bP$q q\x1b\\after", "after"},
		{"\x1b_app\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\after", "after"},
		{"\x1b[6n\x1b[c\x1b[>c\x1b[?1000h\x1b[?2004h\x1b[21t\x1b[5i\x1b[4h\x1b[!p", ""},
		{"\u009b31mred\u009d0;t\u009cend", "\x1b[31mredend"},
		{"\x07\x00\x05\x0e", ""},
		{"\x1b(0lqk\x1b(B", "lqk"},
		{"\x1bc\x1b[\x1b[31m", "\x1b[31m"},
		{"\x1b[" + strings.Repeat("1;", 5000) + "m", "\x1b[" + strings.Repeat("1;", 32) + "m"},
	} {
		var whole Cleaner
		if got := whole.Clean(c.in); got != c.want {
			t.Errorf("%q shows %q, want %q", c.in, got, c.want)
		}
		var cut Cleaner
		got := ""
		for _, r := range c.in {
			got += cut.Clean(string(r))
		}
		if got != c.want {
			t.Errorf("%q in parts shows %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"\x1b]52;c;x\x07", "\x1b[31m", "\u009b5i", "\x1bP\x1b\\", "a\x1b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			t.Skip("a terminal of another encoding is not what is cleaned")
		}
		var c Cleaner
		out := c.Clean(s)
		for i, r := range out {
			switch {
			case r == 0x1b && i+1 < len(out) && strings.ContainsRune("[78DEM", rune(out[i+1])):
			case r == '\r', r == '\n', r == '\t', r == '\b':
			case r < 0x20 || r >= 0x7f && r < 0xa0:
				t.Fatalf("%q shows %q", s, out)
			}
		}
		var again Cleaner
		if twice := again.Clean(out); twice != out {
			t.Fatalf("%q shows %q, and that %q", s, out, twice)
		}
	})
}

func FuzzReadEvents(f *testing.F) {
	f.Add([]byte("{\"version\":2}\n[0.1,\"o\",\"x\"]\n"))
	f.Add([]byte("{\"version\":2}\n[]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ReadEvents(bytes.NewReader(b), func(Event) error { return nil })
	})
}

func TestPlay(t *testing.T) {
	var out strings.Builder
	cast := "{\"version\":2,\"width\":80,\"height\":24}\n[0.0,\"o\",\"a\"]\n[100.0,\"r\",\"1x1\"]\n[200.0,\"o\",\"b\\u001b]0;t\\u0007\"]\n"
	if err := Play(t.Context(), strings.NewReader(cast), &out, 1e9, time.Millisecond); err != nil || !strings.HasPrefix(out.String(), "ab\x1b[0m") {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := Play(t.Context(), strings.NewReader("no"), &out, 1, 0); err == nil {
		t.Error("it played what is no recording")
	}
}
