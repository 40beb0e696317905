package enrol

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

func FuzzMessage(f *testing.F) {
	var b bytes.Buffer
	if err := write(&b, request{Role: Gate, Token: "assent_enrol_x", CSR: []byte{1}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var in request
		if read(bytes.NewReader(b), &in) == nil {
			_, _ = ParseToken(in.Token)
		}
	})
}

func TestMessagesThatLie(t *testing.T) {
	for _, text := range []string{"", "\x00\x00", string(binary.BigEndian.AppendUint32(nil, maxMessage+1)), string(binary.BigEndian.AppendUint32(nil, 9)) + "{}", string(binary.BigEndian.AppendUint32(nil, 2)) + "no"} {
		if err := read(strings.NewReader(text), &request{}); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
