package veil

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/gate"
)

const (
	maxFrame  = 16 << 20 // bytes of one message
	deepProto = 64       // messages inside each other
)

// protoSink fills what is masked in one message of protocol buffers, so that no length in it changes.
type protoSink struct {
	to     io.Writer
	permit gate.Permit
	kept   []byte
}

func (s *protoSink) write(p []byte) error {
	if s.kept = append(s.kept, p...); len(s.kept) > maxFrame {
		return errLong
	}
	return nil
}

func (s *protoSink) end() error {
	if len(s.kept) > 0 && (s.kept[0] == '{' || s.kept[0] == '[') { // no message begins so
		d := newDocument(s.to, s.permit, true, Deepest)
		return errors.Join(d.write(s.kept), d.end())
	}
	if err := fillProto(s.permit, s.kept); err != nil {
		return err
	}
	_, err := s.to.Write(s.kept)
	return err //nolint:wrapcheck // of what is behind
}

// kubernetes begins its messages so.
var kubernetes = []byte("k8s\x00")

// fillProto fills what is masked in a message, in place. Where a field could be a message or text it is
// looked into as both.
func fillProto(p gate.Permit, msg []byte) error {
	msg = bytes.TrimPrefix(msg, kubernetes)
	if !isMessage(msg) {
		return fillIn(p, msg)
	}
	return fillFields(p, msg, deepProto)
}

func fillIn(p gate.Permit, b []byte) error {
	out, err := fill(p, b)
	if err == nil {
		copy(b, out)
	}
	return err
}

func fillFields(p gate.Permit, msg []byte, depth int) error {
	for len(msg) > 0 {
		content, rest, _ := protoField(msg)
		msg = rest
		if len(content) < 2 {
			continue
		}
		message := depth > 0 && isMessage(content)
		if message {
			if err := fillFields(p, content, depth-1); err != nil {
				return err
			}
		}
		if !message || isWords(content) && utf8.Valid(content) {
			if err := fillIn(p, content); err != nil {
				return err
			}
		}
	}
	return nil
}

// isMessage says that b reads as a message to its end.
func isMessage(b []byte) bool {
	for len(b) > 0 {
		_, rest, ok := protoField(b)
		if !ok {
			return false
		}
		b = rest
	}
	return true
}

// protoField reads one field: its content, of a length that stands before it, and what follows.
func protoField(b []byte) (content, rest []byte, ok bool) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
		return nil, nil, false
	}
	b = b[n:]
	var size int
	switch tag & 7 {
	case 0:
		if _, n = binary.Uvarint(b); n <= 0 {
			return nil, nil, false
		}
		return nil, b[n:], true
	case 1:
		size = 8
	case 5:
		size = 4
	case 2:
		length, n := binary.Uvarint(b)
		if n <= 0 || length > uint64(len(b)-n) {
			return nil, nil, false
		}
		return b[n : n+int(length)], b[n+int(length):], true
	default:
		return nil, nil, false
	}
	if len(b) < size {
		return nil, nil, false
	}
	return nil, b[size:], true
}

// frameSink masks messages that come with their lengths: of gRPC, gRPC-web and Connect with flags before it
// (head 5), of a Kubernetes watch without (head 4).
type frameSink struct {
	to     io.Writer
	permit gate.Permit
	head   int
	most   int
	coded  string // how compressed ones are
	json   bool
	values Values // of those that are JSON
	fill   bool
	kept   []byte
}

func isJSONFrames(typ string) bool {
	return strings.HasSuffix(typ, "+json")
}

func (s *frameSink) write(p []byte) error {
	s.kept = append(s.kept, p...)
	for len(s.kept) >= s.head {
		size := int(binary.BigEndian.Uint32(s.kept[s.head-4:]))
		if size > s.most {
			return errLong
		}
		if len(s.kept) < s.head+size {
			return nil
		}
		if err := s.message(s.kept[:s.head], s.kept[s.head:s.head+size]); err != nil {
			return err
		}
		s.kept = s.kept[:copy(s.kept, s.kept[s.head+size:])]
	}
	return nil
}

func (s *frameSink) message(head, msg []byte) error {
	flags := byte(0)
	if s.head == 5 {
		flags = head[0]
	}
	if flags&1 != 0 {
		var err error
		if msg, err = inflate(s.coded, msg, s.most); err != nil {
			return err
		}
		flags &^= 1
	}
	switch {
	case s.json || flags&2 != 0: // the end of a stream of Connect is JSON
		var out pieces
		d := newDocument(&out, s.permit, s.fill, Deepest)
		d.values = s.values
		if err := d.write(msg); err != nil {
			return err
		}
		if err := d.end(); err != nil {
			return err
		}
		msg = out
	case flags&0x80 != 0: // trailers of gRPC-web
		out, err := fill(s.permit, msg)
		if err != nil {
			return err
		}
		msg = out
	default:
		if err := fillProto(s.permit, msg); err != nil {
			return err
		}
	}
	out := make([]byte, 0, s.head+len(msg))
	if s.head == 5 {
		out = append(out, flags)
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(msg)))
	_, err := s.to.Write(append(out, msg...))
	return err //nolint:wrapcheck // of what is behind
}

func (s *frameSink) end() error {
	if len(s.kept) > 0 {
		return errCut
	}
	return nil
}

// base64Sink masks gRPC-web in base64.
type base64Sink struct {
	to     io.Writer
	frames frameSink
	kept   []byte // less than four characters
}

func (s *base64Sink) write(p []byte) error {
	s.kept = append(s.kept, bytes.Join(bytes.Fields(p), nil)...)
	whole := len(s.kept) &^ 3
	var out pieces
	s.frames.to = &out
	for at := 0; at < whole; at += 4 { // each may be padded: it ended a piece
		var raw [3]byte
		n, err := base64.StdEncoding.Decode(raw[:], s.kept[at:at+4])
		if err != nil {
			return errBroken
		}
		if err := s.frames.write(raw[:n]); err != nil {
			return err
		}
	}
	s.kept = s.kept[:copy(s.kept, s.kept[whole:])]
	if len(out) == 0 {
		return nil
	}
	_, err := io.WriteString(s.to, base64.StdEncoding.EncodeToString(out))
	return err //nolint:wrapcheck // of what is behind
}

func (s *base64Sink) end() error {
	if len(s.kept) > 0 {
		return errBroken
	}
	return s.frames.end()
}
