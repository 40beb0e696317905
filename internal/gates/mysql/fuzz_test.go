package mysql

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	classify "github.com/assenthq/assent/internal/classify/mysql"
)

// Messages of any length come out as they went in, and hostile heads allocate no more than came.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("\x05\x00\x00\x00\x03hell"), 64)
	f.Add([]byte("\xff\xff\xff\x00"), 1<<20)
	f.Add([]byte("\x00\x00\x00\x01"), 10)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		seq := byte(0)
		body, err := readMessage(bufio.NewReader(bytes.NewReader(b)), nil, limit, &seq)
		if err != nil {
			return
		}
		if len(body) > max(limit, 0) || len(body) > len(b) {
			t.Fatalf("%d bytes of %d, limit %d", len(body), len(b), limit)
		}
		again := byte(0)
		if out := appendMessage(nil, &again, body); !bytes.HasPrefix(b, out) || again != seq {
			t.Errorf("%x comes out as %x", b, out)
		}
	})
}

func TestLongestPackets(t *testing.T) {
	for _, n := range []int{0, 1, maxPacket - 1, maxPacket, maxPacket + 1, 2 * maxPacket} {
		body := bytes.Repeat([]byte{7}, n)
		seq := byte(250)
		b := appendMessage(nil, &seq, body)
		back := byte(250)
		got, err := readMessage(bufio.NewReader(bytes.NewReader(b)), nil, n, &back)
		if err != nil || !bytes.Equal(got, body) || back != seq {
			t.Errorf("%d bytes: %d, %v, %d and %d", n, len(got), err, back, seq)
		}
	}
}

// A client's hello, a server's greeting, a column and an error of any bytes: an answer or an error, no panic.
func FuzzLogin(f *testing.F) {
	f.Add(append(loginHead(loginCaps), "agent\x00\x20"+strings.Repeat("x", 32)+"caching_sha2_password\x00"...))
	f.Add([]byte("\x0a5.5.5-10.11.4-MariaDB\x00\x01\x00\x00\x0012345678\x00\xfe\xf7\x2d\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00123456789012\x00mysql_native_password\x00"))
	f.Add([]byte("\x03def\x04shop\x01t\x01t\x01e\x01e\x0c\x2d\x00\x90\x01\x00\x00\xfd\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &codec{caps: uint32(len(b)) << 15}
		w := walker{b: b}
		_ = c.readHello(&w, &hello{})
		c.caps = offered
		w = walker{b: b}
		_ = c.readHello(&w, &hello{})
		if len(b) > 0 {
			if s, err := parseServer(b); err == nil && (len(s.scramble) < 20 || s.old()) {
				t.Errorf("%x is taken for %+v", b, s)
			}
			errorCode(b)
			_ = c.report(b)
			_, _ = c.okay(b)
		}
		_, _ = readField(b)
		for _, plugin := range []string{pluginNative, pluginSHA2, pluginEd25519} {
			_, _ = prove(plugin, b, []byte("secret"))
		}
		_, _ = sealed(b, b, []byte("secret"))
	})
}

// Rows and parameters of any bytes: never a value that was not masked, and what passes is a row of as many values.
func FuzzRows(f *testing.F) {
	f.Add([]byte("\x03abc\xfb\x01x"), []byte{253, 253, 253}, false)
	f.Add([]byte("\x00\x00\x05hello\x07\x00\x00\x00"), []byte{253, 3}, true)
	f.Add([]byte("\x00\x00\x04\xe8\x07\x01\x02"), []byte{10}, true)
	f.Fuzz(func(t *testing.T, b, types []byte, inBinary bool) {
		if len(types) == 0 || len(types) > 32 {
			return
		}
		var fields []field
		for _, typ := range types {
			fields = append(fields, field{typ: typ, charset: 45})
		}
		c := &codec{}
		shown, err := c.shownRow(b, inBinary, fields, stars{})
		if err != nil {
			return
		}
		if inBinary {
			if out, err := c.shownRow(bytes.Clone(shown), true, fields, &counting{n: len(fields), t: t}); err != nil || len(out) == 0 {
				t.Errorf("%x is shown as %x, which is no row: %v", b, shown, err)
			}
			return
		}
		w := walker{b: shown}
		for range fields {
			if v := w.value(); v != nil && string(v) != "*" {
				t.Errorf("%x is shown as %x", b, shown)
			}
		}
		if !w.done() {
			t.Errorf("%x is shown as %x, which is no row", b, shown)
		}
	})
}

type stars struct{}

func (stars) Value(_ int, v []byte) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	return []byte("*"), nil
}

// counting sees each value of a row, where a masked text is a star and a masked number NULL.
type counting struct {
	n int
	t *testing.T
}

func (c *counting) Value(i int, v []byte) ([]byte, error) {
	if i >= c.n || v != nil && string(v) != "*" {
		c.t.Errorf("value %d passed as %q", i, v)
	}
	return v, nil
}

// Commands of any bytes, before a server that is not there: refused, understood, or the end.
func FuzzCommands(f *testing.F) {
	execute := binary.LittleEndian.AppendUint32([]byte{comExecute}, 1)
	f.Add(append([]byte{comQuery}, "SELECT 1"...))
	f.Add(append(append(execute, 0, 1, 0, 0, 0, 0, 1), 8, 0, 7, 0, 0, 0, 0, 0, 0, 0))
	f.Add([]byte{comLongData, 1, 0, 0, 0, 0, 0, 'x'})
	f.Add([]byte{comClose, 1, 0, 0, 0})
	g, err := New(Config{
		Name: "fuzz", Authority: &gatetest.Authority{}, Classifier: classify.New(classify.Options{CacheEntries: -1}),
		Upstream: Upstream{Host: "127.0.0.1", Port: 1, User: "u", Plain: true, Password: secretOf("x")},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 {
			return
		}
		c := &codec{g: g, ctx: t.Context(), known: true, database: "information_schema", prepared: map[uint32]*prepared{1: {text: "SELECT ? FROM information_schema.tables", params: 1}}}
		k := &ask{command: body[0], body: body}
		r := &gate.Request{State: k}
		if err := c.command(nil, r, k); err != nil || k.refusal != "" {
			return
		}
		if len(r.Actions) == 0 && r.Harmless == "" {
			t.Errorf("%q is described as nothing", body)
		}
		for _, a := range r.Actions {
			if len(a.Kinds) == 0 || len(a.Payload) == 0 || len(r.Raw) == 0 {
				t.Errorf("%q: %+v", body, a)
			}
		}
	})
}

func secretOf(s string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(s), nil }
}
