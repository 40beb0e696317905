package bodies

import (
	"bufio"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
)

// Signatures of a zip file (APPNOTE 4.3).
const (
	zipLocal      = 0x04034b50
	zipDescriptor = 0x08074b50
	zipCentral    = 0x02014b50
	zip64End      = 0x06064b50
	zip64Locator  = 0x07064b50
	zipEnd        = 0x06054b50
)

// zip looks into a zip file as it passes: file after file, then the directory, then nothing. Where that
// leaves a gap, or the directory speaks of other files, it is unscanned.
func (l *look) zip(r io.Reader, depth int) error {
	b := bufio.NewReaderSize(r, piece)
	files := 0
	for {
		sig, err := b.Peek(4)
		if err != nil {
			return errUnread
		}
		if binary.LittleEndian.Uint32(sig) != zipLocal {
			break
		}
		if err := l.zipFile(b, depth); err != nil {
			return err
		}
		files++
	}
	return l.zipDirectory(b, files)
}

// strings reads texts of the lengths given, and looks into them.
func (l *look) strings(b *bufio.Reader, lengths ...uint16) ([]byte, error) {
	var last []byte
	for _, n := range lengths {
		last = make([]byte, n)
		if _, err := io.ReadFull(b, last); err != nil {
			return nil, errUnread
		}
		l.text(last)
	}
	return last, nil
}

func (l *look) zipFile(b *bufio.Reader, depth int) error {
	var h [30]byte
	if _, err := io.ReadFull(b, h[:]); err != nil {
		return errUnread
	}
	le := binary.LittleEndian
	flags, method := le.Uint16(h[6:]), le.Uint16(h[8:])
	size, later := uint64(le.Uint32(h[18:])), flags&8 != 0
	extra, err := l.strings(b, le.Uint16(h[26:]), le.Uint16(h[28:]))
	if err != nil {
		return err
	}
	if size == 0xffffffff {
		if size, err = zip64Size(extra); err != nil {
			return err
		}
	}
	if err := l.member(); err != nil {
		return err
	}
	if flags&(1|1<<6|1<<13) != 0 { // encrypted
		return errUnread
	}
	switch {
	case method == 0 && (!later || size > 0):
		if err := l.inner(io.LimitReader(b, int64(min(size, 1<<62))), shape{}, depth+1); err != nil {
			return err
		}
	case method == 8:
		c := &counter{b: b}
		if err := l.inner(flate.NewReader(c), shape{}, depth+1); err != nil {
			return err
		}
		if !later && c.n != size {
			return errUnread
		}
	default:
		return errUnread
	}
	if later {
		return skipDescriptor(b)
	}
	return nil
}

// counter counts what a decoder takes, which is no more than it needs of an io.ByteReader.
type counter struct {
	b *bufio.Reader
	n uint64
}

func (c *counter) ReadByte() (byte, error) {
	x, err := c.b.ReadByte()
	if err == nil {
		c.n++
	}
	return x, err //nolint:wrapcheck // flate asks which
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.b.Read(p)
	c.n += uint64(n)
	return n, err //nolint:wrapcheck // flate asks which
}

// zip64Size is the compressed size in the extra field of a large file.
func zip64Size(extra []byte) (uint64, error) {
	le := binary.LittleEndian
	for len(extra) >= 4 {
		n := int(le.Uint16(extra[2:]))
		if len(extra) < 4+n {
			break
		}
		if le.Uint16(extra) == 1 && n >= 16 {
			return le.Uint64(extra[4+8:]), nil
		}
		extra = extra[4+n:]
	}
	return 0, errUnread
}

// skipDescriptor skips the sizes behind a file, which come with a signature or without, and in 4 or 8 bytes each.
func skipDescriptor(b *bufio.Reader) error {
	at, _ := b.Peek(28) // short at the end of a file that is cut off
	le := binary.LittleEndian
	signed := 0
	if len(at) >= 4 && le.Uint32(at) == zipDescriptor {
		signed = 4
	}
	for _, n := range []int{signed + 12, signed + 20} {
		if len(at) < n+4 {
			break
		}
		if next := le.Uint32(at[n:]); next == zipLocal || next == zipCentral {
			_, err := b.Discard(n)
			return err //nolint:wrapcheck // it was peeked at
		}
	}
	return errUnread
}

func (l *look) zipDirectory(b *bufio.Reader, files int) error {
	le := binary.LittleEndian
	var h [56]byte
	fixed := func(n int) error {
		if _, err := io.ReadFull(b, h[:n]); err != nil {
			return errUnread
		}
		return nil
	}
	for {
		sig, err := b.Peek(4)
		if err != nil {
			return errUnread
		}
		switch le.Uint32(sig) {
		case zipCentral:
			if err := fixed(46); err != nil {
				return err
			}
			if _, err := l.strings(b, le.Uint16(h[28:]), le.Uint16(h[30:]), le.Uint16(h[32:])); err != nil {
				return err
			}
			files--
		case zip64End:
			if err := fixed(56); err != nil || le.Uint64(h[4:]) != 44 {
				return errUnread
			}
		case zip64Locator:
			if err := fixed(20); err != nil {
				return err
			}
		case zipEnd:
			if err := fixed(22); err != nil {
				return err
			}
			if _, err := l.strings(b, le.Uint16(h[20:])); err != nil {
				return err
			}
			if _, err := b.ReadByte(); !errors.Is(err, io.EOF) || files != 0 {
				return errUnread
			}
			return nil
		default:
			return errUnread
		}
	}
}
