package mask

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/hex"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/assenthq/assent/internal/detect"
)

// A column of bytes may hold compressed text: it is masked for what is in it.
func TestCompressedBytes(t *testing.T) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	set := New([]byte("k"), e).For("a", map[string]string{"email": "redact"})
	pack := func(method, text string) []byte {
		var b bytes.Buffer
		var w io.WriteCloser
		switch method {
		case "gzip":
			w = gzip.NewWriter(&b)
		case "zlib":
			w = zlib.NewWriter(&b)
		case "zstd":
			if w, err = zstd.NewWriter(&b); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	clean := strings.Repeat("nothing of note, ", 3000)
	for _, method := range []string{"gzip", "zlib", "zstd"} {
		for _, tt := range []struct {
			text   string
			masked bool
		}{{clean + "mira@example.com", true}, {clean, false}, {strings.Repeat("\x00", 4<<20), true}} {
			v := pack(method, tt.text)
			rows := set.Rows([]Column{{Name: "data", Type: 17, Binary: true}, {Name: "data", Type: 17}})
			binary, err := rows.Value(0, v)
			if err != nil {
				t.Fatal(err)
			}
			text, err := rows.Value(1, []byte(`\x`+hex.EncodeToString(v)))
			if err != nil {
				t.Fatal(err)
			}
			if (len(binary) == 0) != tt.masked || (string(text) == `\x`) != tt.masked {
				t.Errorf("%s of %.10q…: masked %v and %v, want %v", method, tt.text, len(binary) == 0, string(text) == `\x`, tt.masked)
			}
		}
	}
}
