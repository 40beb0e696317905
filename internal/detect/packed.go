package detect

import (
	"bufio"
	"bytes"
	"compress/flate"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	maxPacked = 3072 // characters of base64 that are unpacked at once
	minPacked = 24
	unpacks   = 16 // most bytes that one of them may become: more is not looked at
)

// An unpacker undoes compression of a few bytes. It is used by one goroutine.
type unpacker struct {
	in    [maxPacked]byte
	out   [maxPacked * unpacks]byte
	src   bytes.Reader
	buf   *bufio.Reader // so that flate makes none
	flate io.ReadCloser
	zstd  *zstd.Decoder // nil: not needed yet
}

var unpackers = sync.Pool{New: func() any {
	u := &unpacker{}
	u.buf = bufio.NewReaderSize(&u.src, 512)
	u.flate = flate.NewReader(u.buf)
	return u
}}

// packed tries the base64 that begins at i as compressed text: gzip, zlib or Zstandard, by
// its first bytes. It returns where to go on, or 0. What is found is the whole run.
// The run may go on over lines. Of one longer than maxPacked its beginning is looked into.
func (s *scan) packed(i int) int {
	switch s.at(i) {
	case 'H': // gzip, with the method that there is
		if s.at(i+1) != '4' || s.at(i+2) != 's' || s.at(i+3) != 'I' {
			return 0
		}
	case 'K': // Zstandard
		if s.at(i+1) != 'L' || s.at(i+2) != 'U' || s.at(i+3) != 'v' {
			return 0
		}
	case 'e': // zlib
		if c := s.at(i + 1); c != 'A' && c != 'J' && c != 'N' {
			return 0
		}
	default:
		return 0
	}
	u := unpackers.Get().(*unpacker) //nolint:forcetypeassert // nothing else is in there
	defer unpackers.Put(u)
	p, line, width := i, i, 0 // where a line begins, and how long the one before was
	n, acc, bits := 0, uint32(0), 0
	for p-i < maxPacked {
		v := base64Value(s.at(p))
		if v < 0 {
			k := s.lineEnd(p)
			if k == 0 || base64Value(s.at(p+k)) < 0 || p-line < max(width, minPacked) {
				break // a shorter line is the last one
			}
			width = p - line
			p += k
			line = p
			continue
		}
		p++
		if acc, bits = acc<<6|uint32(v), bits+6; bits >= 8 {
			bits -= 8
			u.in[n] = byte(acc >> bits)
			n++
		}
	}
	if p-i < minPacked || s.short {
		clear(u.in[:n])
		return 0
	}
	out := u.unpack(u.in[:n])
	defer clear(out)
	if len(out) < 6 {
		return 0
	}
	s.clearPlain()
	for _, c := range out {
		s.emit(c, i, p)
	}
	s.nested()
	return p
}

// unpack returns what b becomes, as far as it goes and at most unpacks times its length.
func (u *unpacker) unpack(b []byte) []byte {
	limit := min(len(u.out), len(b)*unpacks)
	defer clear(u.in[:len(b)])
	switch {
	case len(b) > 10 && b[0] == 0x1f && b[1] == 0x8b:
		return u.inflate(gzipBody(b), limit)
	case len(b) > 2 && b[0]&0x0f == 8 && (uint(b[0])<<8|uint(b[1]))%31 == 0 && b[1]&0x20 == 0:
		return u.inflate(b[2:], limit)
	case len(b) > 4 && b[0] == 0x28 && b[1] == 0xb5:
		if u.zstd == nil {
			d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(1<<20))
			if err != nil {
				return nil
			}
			u.zstd = d
		}
		u.src.Reset(b)
		if u.zstd.Reset(&u.src) != nil {
			return nil
		}
		return u.read(u.zstd, limit)
	}
	return nil
}

func (u *unpacker) inflate(b []byte, limit int) []byte {
	u.src.Reset(b)
	u.buf.Reset(&u.src)
	if r, is := u.flate.(flate.Resetter); !is || r.Reset(u.buf, nil) != nil {
		return nil
	}
	return u.read(u.flate, limit)
}

// read takes what comes until the end, an error or the limit.
func (u *unpacker) read(r io.Reader, limit int) []byte {
	n := 0
	for n < limit {
		k, err := r.Read(u.out[n:limit])
		n += k
		if err != nil {
			break // cut off or damaged: what came is looked at
		}
	}
	return u.out[:n]
}

// gzipBody is what follows the header of RFC 1952.
func gzipBody(b []byte) []byte {
	flags, rest := b[3], b[10:]
	if flags&4 != 0 {
		if len(rest) < 2 {
			return nil
		}
		n := 2 + int(rest[0]) + int(rest[1])<<8
		rest = rest[min(n, len(rest)):]
	}
	for _, text := range []byte{8, 16} { // a name, a comment
		if flags&text != 0 {
			end := bytes.IndexByte(rest, 0)
			if end < 0 {
				return nil
			}
			rest = rest[end+1:]
		}
	}
	if flags&2 != 0 {
		rest = rest[min(2, len(rest)):]
	}
	return rest
}
