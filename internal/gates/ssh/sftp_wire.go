package ssh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Packet types of SFTP version 3 (draft-ietf-secsh-filexfer-02, as OpenSSH speaks it).
const (
	fxInit          = 1
	fxVersion       = 2
	fxOpen          = 3
	fxClose         = 4
	fxRead          = 5
	fxWrite         = 6
	fxLstat         = 7
	fxFstat         = 8
	fxSetstat       = 9
	fxFsetstat      = 10
	fxOpendir       = 11
	fxReaddir       = 12
	fxRemove        = 13
	fxMkdir         = 14
	fxRmdir         = 15
	fxRealpath      = 16
	fxStat          = 17
	fxRename        = 18
	fxReadlink      = 19
	fxSymlink       = 20
	fxStatus        = 101
	fxHandle        = 102
	fxData          = 103
	fxName          = 104
	fxAttrs         = 105
	fxExtended      = 200
	fxExtendedReply = 201
)

// Status codes.
const (
	fxOK          = 0
	fxEOF         = 1
	fxNoFile      = 2
	fxDenied      = 3
	fxFailure     = 4
	fxBadMessage  = 5
	fxUnsupported = 8
)

// Flags of OPEN, and of attributes.
const (
	flagRead   = 0x01
	flagWrite  = 0x02
	flagAppend = 0x04
	flagCreate = 0x08
	flagTrunc  = 0x10
	flagExcl   = 0x20
	flagsKnown = 0x3f

	attrSize     = 0x01
	attrOwner    = 0x02
	attrMode     = 0x04
	attrTimes    = 0x08
	attrExtended = 0x80000000
)

const maxPacket = 256<<10 + 1024 // as OpenSSH bounds both directions

// errSFTP says that a packet is not what its type has. It holds no payload.
var errSFTP = errors.New("malformed SFTP packet")

// A packet is one of SFTP, without its length.
type packet struct {
	typ  byte
	id   uint32 // not of INIT and VERSION
	body []byte // after the id
}

// readPacket reads one packet. Its length is bounded before anything is allocated.
func readPacket(r io.Reader) (packet, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return packet{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 5 || n > maxPacket {
		return packet{}, fmt.Errorf("%w: its length", errSFTP)
	}
	b := make([]byte, n-1)
	if _, err := io.ReadFull(r, b); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return packet{}, err
	}
	return packet{head[4], binary.BigEndian.Uint32(b), b[4:]}, nil
}

// bytes is p as it is sent.
func (p packet) bytes() []byte {
	b := make([]byte, 0, 9+len(p.body))
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.body)+5))
	b = append(b, p.typ)
	b = binary.BigEndian.AppendUint32(b, p.id)
	return append(b, p.body...)
}

// A reader takes fields off a body; after the first that is not there all are zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) text() []byte {
	s, rest, ok := takeString(r.b)
	if !ok {
		r.bad, r.b = true, nil
		return nil
	}
	r.b = rest
	return s
}

func (r *reader) uint32() uint32 {
	if len(r.b) < 4 {
		r.bad, r.b = true, nil
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) uint64() uint64 { return uint64(r.uint32())<<32 | uint64(r.uint32()) }

// path is a file name that can be judged: UTF-8 without NUL, where a server would stop.
func (r *reader) path() string {
	s := string(r.text())
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 || len(s) > 4096 {
		r.bad = true
		return ""
	}
	return s
}

// attrs are a file's attributes, as a client asks for them or a server tells them.
type attrs struct {
	flags    uint32
	size     uint64
	uid, gid uint32
	mode     uint32
	raw      []byte // as it was
}

func (r *reader) attrs() attrs {
	whole := r.b
	a := attrs{flags: r.uint32()}
	if a.flags&attrSize != 0 {
		a.size = r.uint64()
	}
	if a.flags&attrOwner != 0 {
		a.uid, a.gid = r.uint32(), r.uint32()
	}
	if a.flags&attrMode != 0 {
		a.mode = r.uint32()
	}
	if a.flags&attrTimes != 0 {
		r.uint64()
	}
	if a.flags&attrExtended != 0 {
		n := r.uint32()
		for i := uint32(0); i < n && !r.bad; i++ {
			r.text()
			r.text()
		}
	}
	if a.flags&^uint32(attrSize|attrOwner|attrMode|attrTimes|attrExtended) != 0 {
		r.bad = true
	}
	if !r.bad {
		a.raw = whole[:len(whole)-len(r.b)]
	}
	return a
}

// end reports whether everything was there and nothing is left.
func (r *reader) end() bool { return !r.bad && len(r.b) == 0 }

func (a attrs) isRegular() bool { return a.flags&attrMode == 0 || a.mode&0o170000 == 0o100000 }
func (a attrs) isDir() bool     { return a.flags&attrMode != 0 && a.mode&0o170000 == 0o040000 }

// shown is the attributes without the extended ones, which are text that nobody has masked.
func (a attrs) shown() []byte {
	if a.flags&attrExtended == 0 || len(a.raw) < 4 {
		return a.raw
	}
	n := 4
	for flag, size := range map[uint32]int{attrSize: 8, attrOwner: 8, attrMode: 4, attrTimes: 8} {
		if a.flags&flag != 0 {
			n += size
		}
	}
	return append(binary.BigEndian.AppendUint32(nil, a.flags&^attrExtended), a.raw[4:n]...)
}

// withSize is the attributes with another size.
func (a attrs) withSize(n int64) []byte {
	b := append([]byte(nil), a.shown()...)
	if a.flags&attrSize != 0 && len(b) >= 12 {
		binary.BigEndian.PutUint64(b[4:], uint64(n))
	}
	return b
}

func statusBody(code uint32, text string) []byte {
	b := binary.BigEndian.AppendUint32(nil, code)
	return putString(putString(b, text), "en")
}

// A status is an answer of a server that says how it went.
type status struct {
	code uint32
	text []byte
}

func statusOfPacket(p packet) (status, error) {
	r := reader{b: p.body}
	s := status{code: r.uint32()}
	if r.bad {
		return s, errSFTP
	}
	if len(r.b) > 0 { // version 3 has a message and a language, which old servers leave out
		s.text = r.text()
		r.text()
	}
	if !r.end() {
		return s, errSFTP
	}
	return s, nil
}

// A named is one entry of a NAME packet.
type named struct {
	name, long []byte
	attrs      attrs
}

func namesOf(p packet) ([]named, error) {
	r := reader{b: p.body}
	n := r.uint32()
	var out []named
	for i := uint32(0); i < n && !r.bad; i++ {
		out = append(out, named{r.text(), r.text(), r.attrs()})
	}
	if !r.end() {
		return nil, errSFTP
	}
	return out, nil
}

func nameBody(list []named) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(list)))
	for _, n := range list {
		b = append(putString(putString(b, n.name), n.long), n.attrs.shown()...)
	}
	return b
}
