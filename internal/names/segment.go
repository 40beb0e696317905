package names

import "bytes"

// maxSegment is how much is looked at together, in bytes.
const maxSegment = 512

// Segment returns the length of the first segment of t: up to a blank line, or of
// the lines that fit into 512 bytes, or what of one line does. It is 0 when that
// can't be told before there are more bytes; final says there will be none.
func Segment(t []byte, final bool) int {
	some := t[:min(len(t), maxSegment)]
	if n := blank(some); n > 0 {
		return n
	}
	if len(t) <= maxSegment {
		if final {
			return len(t)
		}
		return 0
	}
	if n := bytes.LastIndexByte(some, '\n'); n > 0 {
		return n + 1
	}
	if n := bytes.LastIndexByte(some, ' '); n > maxSegment/2 {
		return n + 1
	}
	n := len(some)
	for n > maxSegment-4 && t[n]&0xc0 == 0x80 { // not within a character
		n--
	}
	return n
}

// blank returns where the first blank line in t begins that is told by t alone, or 0.
func blank(t []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(t[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n + 1
		if i < len(t) && t[i] == '\n' || i+1 < len(t) && t[i] == '\r' && t[i+1] == '\n' {
			return i
		}
	}
}
