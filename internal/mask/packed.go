package mask

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/assenthq/assent/internal/detect"
)

const (
	freeUnpacked = 1 << 20 // bytes that a value may unpack to, however short it is
	mostUnpacked = 200     // times its length, from then on
)

// unpacking returns what undoes the compression that v begins with; nil: none that is known.
func unpacking(v []byte) io.Reader {
	begins := func(magic string) bool { return bytes.HasPrefix(v, []byte(magic)) }
	var r io.Reader
	var err error
	switch in := bytes.NewReader(v); {
	case begins("\x1f\x8b\x08"):
		r, err = gzip.NewReader(in)
	case begins("\x28\xb5\x2f\xfd"):
		var d *zstd.Decoder
		if d, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20)); err == nil {
			r = d.IOReadCloser()
		}
	case begins("\x78\x01"), begins("\x78\x9c"), begins("\x78\xda"):
		r, err = zlib.NewReader(in)
	case begins("BZh") && len(v) > 10 && string(v[4:10]) == "\x31\x41\x59\x26\x53\x59":
		r = bzip2.NewReader(in)
	}
	if err != nil {
		return nil // it only begins as one
	}
	return r
}

// packed says what the set masks in a value that is compressed; "" nothing. What unpacks to more
// than is looked into counts as sensitive.
func (s *Set) packed(v []byte) detect.Class {
	r := unpacking(v)
	if r == nil || len(s.rules) == 0 {
		return ""
	}
	if c, is := r.(io.Closer); is {
		defer func() { _ = c.Close() }()
	}
	st := s.engine.Stream()
	limit := max(freeUnpacked, mostUnpacked*len(v))
	buf := make([]byte, 16<<10)
	var found []detect.Finding
	for all := 0; ; {
		n, err := r.Read(buf)
		if all += n; all > limit {
			return detect.Sensitive
		}
		found = st.Write(buf[:n], found[:0])
		if err != nil {
			found = st.Close(found)
		}
		for _, f := range found {
			if s.Has(f.Class) {
				return f.Class
			}
		}
		if err != nil { // its end, or damage: what came was looked at
			return ""
		}
	}
}
