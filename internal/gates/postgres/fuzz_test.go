package postgres

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

func seedFrames(f *testing.F) {
	for _, s := range []string{
		"Q\x00\x00\x00\x0dselect 1\x00", "P\x00\x00\x00\x10s\x00select 1\x00\x00\x00", "B\x00\x00\x00\x0c\x00s\x00\x00\x00\x00\x00\x00\x00",
		"B\x00\x00\x00\x16\x00\x00\x00\x01\x00\x01\x00\x01\x00\x00\x00\x02ab\x00\x00", "D\x00\x00\x00\x06S\x00", "E\x00\x00\x00\x09\x00\x00\x00\x00\x00", "S\x00\x00\x00\x04",
		"Q\xff\xff\xff\xff", "Q\x00\x00\x00\x00", "Q\x80\x00\x00\x00", "B\x00\x00\x00\x08\x00\x00\xff\xff", "T\x00\x00\x00\x1b\x00\x01a\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff\x00\x00",
		"D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x01x", "D\x00\x00\x00\x0a\x00\x01\xff\xff\xff\xff", "D\x00\x00\x00\x0a\x00\x01\xff\xff\xff\xfe", "E\x00\x00\x00\x15SERROR\x00C42601\x00Mx\x00\x00", "E\x00\x00\x00\x05S",
		"Z\x00\x00\x00\x05I", "S\x00\x00\x00\x09a\x00b\x00\x00", "A\x00\x00\x00\x0b\x00\x00\x00\x01a\x00b\x00", "t\x00\x00\x00\x0a\x00\x01\x00\x00\x00\x17",
	} {
		f.Add([]byte(s))
	}
}

// FuzzClientFrames: whatever a client sends, parsing ends without panic, and
// a message that is taken is taken whole.
func FuzzClientFrames(f *testing.F) {
	seedFrames(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(in), 16)
		used := 0
		for {
			m, err := readFrame(r, nil, 1<<16)
			if err != nil {
				break
			}
			if !bytes.Equal(m, in[used:used+len(m)]) || int(binary.BigEndian.Uint32(m[1:]))+1 != len(m) {
				t.Fatalf("%q is not what came", m)
			}
			used += len(m)
			w := walker{b: m.body()}
			_, _ = w.str(), w.str()
			if params, ok := readParams(&w, nil); ok {
				_ = describeParams("", params, []uint32{23, 25})
			}
			w = walker{b: m.body()}
			if args, _, ok := readCall(&w); ok {
				_ = describeParams("", args, nil)
			}
			w = walker{b: m.body()}
			for !w.bad && len(w.b) > 0 {
				_ = w.str()
			}
			c := newCodec(&Gate{})
			_ = c.parameters(nil, append([]byte("user\x00x\x00"), m.body()...))
		}
		_, _, _ = readStartup(bufio.NewReader(bytes.NewReader(in)))
	})
}

type upper struct{}

func (upper) Value(_ int, v []byte) ([]byte, error) { return bytes.ToUpper(v), nil }

// FuzzUpstreamFrames: whatever an upstream sends, nothing panics, and what is
// relayed is a well-formed message.
func FuzzUpstreamFrames(f *testing.F) {
	seedFrames(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReader(bytes.NewReader(in))
		c := newCodec(&Gate{})
		var fields []field
		for {
			m, err := readFrame(r, nil, 1<<16)
			if err != nil {
				return
			}
			var out []byte
			switch m.kind() {
			case 'T':
				if fields, err = readFields(m); err == nil {
					out = c.appendFields(nil, m, fields, bytes.ToUpper)
				}
			case 'D':
				if len(m) > flushAt {
					continue
				}
				err = c.row(nil, m, fields, upper{}, nil)
				out, c.out = c.out, nil
			case 'E', 'N':
				out = c.appendReport(nil, m, bytes.ToUpper)
			default:
				_, err = c.async(nil, m)
				out = c.out
				c.out = nil
			}
			if err != nil {
				if len(out) != 0 {
					t.Fatalf("%q was relayed although it is malformed", out)
				}
				continue
			}
			for len(out) > 0 {
				n := int(binary.BigEndian.Uint32(out[1:])) + 1
				if n > len(out) {
					t.Fatalf("%q is no message", out)
				}
				out = out[n:]
			}
		}
	})
}

// FuzzCopyBinary: what is masked is as well-formed as what came, and no value passes by.
func FuzzCopyBinary(f *testing.F) {
	head := copySignature + "\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, s := range []string{head + "\xff\xff", head + "\x00\x02\x00\x00\x00\x01a\xff\xff\xff\xff", "\x00\x02\x00\x00\x00\x01a\xff\xff\xff\xfe", "\xff\xff", "\x00\x01\xff\xff\xff\xff"} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, first bool) {
		format := &copyFormat{binary: true, fields: make([]field, 2)}
		out, isRow, err := format.maskBinary(in, first, upper{})
		if err != nil {
			return
		}
		at := 0
		if first {
			at = len(head)
		}
		again, isAgain, err := format.maskBinary(out, first, upper{})
		if err != nil || isAgain != isRow || !bytes.Equal(again, out) || !bytes.Equal(out[:at], in[:at]) {
			t.Fatalf("%q became %q, and %q (%v)", in, out, again, err)
		}
		if isRow && strings.ContainsAny(values(out[at:]), "abcdefghijklmnopqrstuvwxyz") {
			t.Fatalf("%q shows a value: %q", in, out)
		}
	})
}

// values joins the values of one row of COPY data.
func values(row []byte) string {
	w := walker{b: row}
	var out []byte
	for range w.u16() {
		out = append(out, w.value()...)
	}
	return string(out)
}

// FuzzCopyLines: a line that is masked has as many columns as before, and a value
// that is written reads back as itself.
func FuzzCopyLines(f *testing.F) {
	for _, s := range []string{"1\ta\t\\N\n", "a\\tb\tc\\\\\td\n", "1,\"a\"\"b\",\n", "\"x\ny\",2,3\n", "\\.\n", "\n", "a\tb"} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, line []byte, csv bool) {
		format := &copyFormat{delim: '\t', null: "\\N", fields: make([]field, 3)}
		if csv {
			format = &copyFormat{csv: true, delim: ',', fields: make([]field, 3)}
		}
		out, err := format.mask(line, upper{})
		if err == nil && len(format.split(bytes.TrimSuffix(out, []byte("\n")))) != 3 {
			t.Fatalf("%q became %q", line, out)
		}
		if got, ok := format.decode(format.encode(line)); !ok || !bytes.Equal(got, line) {
			t.Fatalf("%q reads back as %q", line, got)
		}
		if parts := format.split(format.encode(line)); len(parts) != 1 {
			t.Fatalf("%q is written as %d values", line, len(parts))
		}
	})
}
