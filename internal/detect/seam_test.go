package detect_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/detect"
)

// wrapped cuts text into lines, as base64 and xxd print it.
func wrapped(text string, width int, end string) string {
	var b strings.Builder
	for len(text) > width {
		b.WriteString(text[:width] + end)
		text = text[width:]
	}
	return b.String() + text
}

// A value that the end of a line cuts in encoded text is found, wherever it lies.
func TestEncodedLines(t *testing.T) {
	e := engine(t, detect.Options{})
	quoted := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct {
		name string
		make func(string) string
	}{
		{"base64", func(s string) string { return wrapped(base64.StdEncoding.EncodeToString([]byte(s)), 76, "\n") }},
		{"base64, CRLF", func(s string) string { return wrapped(base64.StdEncoding.EncodeToString([]byte(s)), 64, "\r\n") }},
		{"base64 in JSON", func(s string) string { return quoted(wrapped(base64.StdEncoding.EncodeToString([]byte(s)), 76, "\n")) }},
		{"base64 in YAML", func(s string) string {
			return "a: |\n    " + wrapped(base64.StdEncoding.EncodeToString([]byte(s)), 76, "\n    ")
		}},
		{"base64 of short lines", func(s string) string { return wrapped(base64.RawURLEncoding.EncodeToString([]byte(s)), 20, "\n") }},
		{"hex", func(s string) string { return wrapped(hex.EncodeToString([]byte(s)), 60, "\n") }},
		{"hex, words behind", func(s string) string { return wrapped(hex.EncodeToString([]byte(s)), 60, "\n") + "\nfeed me" }},
		{"base64, words behind", func(s string) string {
			return wrapped(base64.StdEncoding.EncodeToString([]byte(s)), 76, "\n") + "\nhello you"
		}},
	} {
		for pad := range 80 {
			text := c.make(strings.Repeat("x", pad) + " 4111 1111 1111 1111, bob@corp.example and more of it")
			found := map[detect.Class]int{}
			for _, f := range e.ScanString(text, nil) {
				found[f.Class]++
			}
			if found[detect.Card] != 1 || found[detect.Email] != 1 {
				t.Errorf("%s behind %d: %v in %q", c.name, pad, found, text)
			}
			if pad%8 == 0 {
				skimsAll(t, e, "it is: "+text)
			}
		}
	}
}

// However short the lines, all values in them are found, and no line is looked into again and again.
func TestManyEncodedLines(t *testing.T) {
	e := engine(t, detect.Options{})
	for _, width := range []int{16, 20, 24, 60, 76} {
		for _, encode := range []func([]byte) string{base64.StdEncoding.EncodeToString, hex.EncodeToString} {
			text := wrapped(encode([]byte(strings.Repeat("paid with 4111 1111 1111 1111 on the first, ", 50))), width, "\n")
			found := 0
			for _, f := range e.ScanString(text, nil) {
				if f.Class == detect.Card {
					found++
				}
			}
			if found != 50 {
				t.Errorf("%d of 50 in lines of %d", found, width)
			}
		}
	}
}

// Compressed text is unpacked from all of its lines.
func TestPackedLines(t *testing.T) {
	e := engine(t, detect.Options{})
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	for i := range 40 {
		fmt.Fprintf(w, "line %d: %x nothing of note\n", i, i*7919)
	}
	fmt.Fprint(w, "4111 1111 1111 1111\n")
	_ = w.Close()
	for _, end := range []string{"\n", "\r\n", `\n`} {
		text := "see " + wrapped(base64.StdEncoding.EncodeToString(zipped.Bytes()), 76, end) + end + "there"
		got := e.ScanString(text, nil)
		if len(got) != 1 || got[0].Class != detect.Card || strings.Contains(text[got[0].Start:got[0].End], "there") {
			t.Errorf("lines that end in %q: %v", end, got)
		}
	}
}
