package accuracy_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/accuracy"
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, line string
		offsets    accuracy.Offsets
		want       string // the span's text, or what the error says
	}{
		{"characters", `{"text":"né à 日本 x","spans":[{"start":5,"end":7,"class":"c"}]}`, accuracy.Runes, "日本"},
		{"to the end", `{"text":"né","spans":[{"start":1,"end":2,"class":"c"}]}`, accuracy.Runes, "é"},
		{"bytes", `{"text":"né à","spans":[{"start":1,"end":3,"class":"c"}]}`, accuracy.Bytes, "é"},
		{"other members", `{"id":7,"text":"ab","spans":[{"start":0,"end":1,"class":"c","x":0}]}`, accuracy.Runes, "a"},
		{"bytes that cut a character", `{"text":"né à","spans":[{"start":1,"end":2,"class":"c"}]}`, accuracy.Bytes, "in runes?"},
		{"past the end", `{"text":"né","spans":[{"start":1,"end":3,"class":"c"}]}`, accuracy.Runes, "1 to 3 is no part of a text of 2 runes"},
		{"nothing", `{"text":"né","spans":[{"start":1,"end":1,"class":"c"}]}`, accuracy.Runes, "no part"},
		{"negative", `{"text":"né","spans":[{"start":-1,"end":1,"class":"c"}]}`, accuracy.Runes, "no part"},
		{"no class", `{"text":"né","spans":[{"start":0,"end":1}]}`, accuracy.Runes, "it wants start, end and class"},
		{"no text", `{"spans":[]}`, accuracy.Runes, "want {"},
		{"no JSON", `secret`, accuracy.Runes, "want {"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got string
			err := accuracy.Read(strings.NewReader("\n"+c.line+"\n"), c.offsets, func(line int, x *accuracy.Text) error {
				got = x.Text[x.Spans[0].Start:x.Spans[0].End]
				if line != 2 {
					t.Errorf("line %d", line)
				}
				return nil
			})
			if err != nil {
				got = err.Error()
				if !strings.HasPrefix(got, "line 2: ") || strings.Contains(got, "secret") {
					t.Error(got)
				}
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// Whatever is read, spans are parts of the text and whole characters.
func FuzzRead(f *testing.F) {
	f.Add(`{"text":"né à 日本 x","spans":[{"start":5,"end":7,"class":"c"}]}`, true)
	f.Add(`{"text":"a\ud800b","spans":[{"start":1,"end":2,"class":"c"}]}`, false)
	f.Add(`{"text":"","spans":[{"start":0,"end":1,"class":"c"}]}`, true)
	f.Fuzz(func(t *testing.T, text string, runes bool) {
		offsets := accuracy.Bytes
		if runes {
			offsets = accuracy.Runes
		}
		_ = accuracy.Read(strings.NewReader(text), offsets, func(_ int, x *accuracy.Text) error {
			for _, s := range x.Spans {
				if part := x.Text[s.Start:s.End]; part == "" || !utf8.ValidString(part) {
					t.Errorf("%d to %d of %q", s.Start, s.End, x.Text)
				}
			}
			return nil
		})
	})
}
