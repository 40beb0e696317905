package sigv4

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
)

const (
	maxLine     = 4 << 10 // of a chunk's head or a trailer
	maxTrailers = 8
)

// A Body reads the body of a verified request: chunks taken off, signatures and
// checksums verified as they pass. What follows the last byte of a piece is looked at
// before the piece is handed on, so that nobody holds a whole body that did not verify.
type Body struct {
	p        *Proof
	in       *bufio.Reader
	closer   io.Closer
	sum      hash.Hash // of the chunk, or of the whole body
	checks   map[string]hash.Hash
	trailers [][2]string
	left     int64 // of this chunk
	total    int64 // decoded so far
	first    bool  // before the first chunk
	want     []byte
	err      error
}

// Body verifies what in holds, the body as it is on the wire. An end that comes too
// early, and a byte behind the end, are errors.
func (p *Proof) Body(in io.Reader) *Body {
	b := &Body{p: p, in: bufio.NewReaderSize(in, 64<<10), first: true, checks: map[string]hash.Hash{}}
	for _, name := range p.Trailers {
		if h := newChecksum(name); h != nil {
			b.checks[name] = h
		}
	}
	if p.Payload != Unsigned && p.Payload != UnsignedTrailer {
		b.sum = sha256.New()
	}
	return b
}

// Trailers are the verified trailers, in their order, in lower case, once Read has returned io.EOF.
func (b *Body) Trailers() [][2]string {
	if !errors.Is(b.err, io.EOF) {
		return nil
	}
	return slices.Clone(b.trailers)
}

func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	n, err := b.read(p)
	if err != nil {
		b.err = err
		if !errors.Is(err, io.EOF) {
			return 0, err
		}
	}
	return n, err
}

func (b *Body) read(p []byte) (int, error) {
	if !b.p.Chunked() {
		return b.plain(p)
	}
	if b.first {
		b.first = false
		if last, err := b.head(); err != nil {
			return 0, err
		} else if last {
			return 0, b.end()
		}
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.in.Read(p)
	b.take(p[:n])
	b.left -= int64(n)
	if b.left > 0 {
		if err != nil {
			return 0, short(err)
		}
		return n, nil
	}
	// The chunk is whole: its signature, and whether it was the last, before it goes on.
	if err := b.chunk(); err != nil {
		return 0, err
	}
	last, err := b.head()
	if err != nil {
		return 0, err
	}
	if last {
		return n, b.end()
	}
	return n, nil
}

// plain verifies a body without chunks.
func (b *Body) plain(p []byte) (int, error) {
	n, err := b.in.Read(p)
	b.take(p[:n])
	if err == nil {
		if _, err = b.in.Peek(1); err == nil {
			return n, nil
		}
	}
	if !errors.Is(err, io.EOF) {
		return 0, err
	}
	if want := b.p.Payload; b.sum != nil && want != "" && hex.EncodeToString(b.sum.Sum(nil)) != want {
		return 0, &Error{"XAmzContentSHA256Mismatch", "the body's SHA-256 is not the one that was signed"}
	}
	return n, io.EOF
}

func (b *Body) take(p []byte) {
	b.total += int64(len(p))
	if b.sum != nil {
		b.sum.Write(p)
	}
	for _, h := range b.checks {
		h.Write(p)
	}
}

// head reads the line before a chunk: its length in hex, and its signature.
func (b *Body) head() (last bool, err error) {
	line, err := b.line()
	if err != nil {
		return false, err
	}
	size, ext, has := strings.Cut(line, ";")
	if len(size) == 0 || len(size) > 15 || strings.Trim(size, "0123456789abcdefABCDEF") != "" {
		return false, incomplete("a chunk's length must be hex digits")
	}
	if b.left, err = strconv.ParseInt(size, 16, 64); err != nil {
		return false, incomplete("a chunk's length must be hex digits")
	}
	if b.left > b.p.Decoded-b.total {
		return false, incomplete("the chunks hold more than X-Amz-Decoded-Content-Length says")
	}
	if b.p.Payload == UnsignedTrailer {
		if has {
			return false, incomplete("a chunk of an unsigned body has an extension")
		}
		return b.left == 0, nil
	}
	signature, ok := strings.CutPrefix(ext, "chunk-signature=")
	if b.want, err = hex.DecodeString(signature); err != nil || !ok || len(b.want) != 32 {
		return false, mismatch("a chunk has no signature of 64 hex digits")
	}
	return b.left == 0, nil
}

// chunk verifies a chunk's signature, and the line's end behind it.
func (b *Body) chunk() error {
	if b.sum != nil {
		sum := b.sum.Sum(nil)
		b.sum.Reset()
		if !hmac.Equal(b.p.chain.chunk(sum), b.want) {
			return mismatch("the signature of a chunk is wrong: it was changed, or is not in its place")
		}
	}
	line, err := b.line()
	if err == nil && line != "" {
		err = incomplete("a chunk is longer than it says")
	}
	return err
}

// end verifies the last chunk, which is empty, the trailers, and that nothing follows.
func (b *Body) end() error {
	if b.total != b.p.Decoded {
		return incomplete("the chunks hold less than X-Amz-Decoded-Content-Length says")
	}
	if b.sum != nil && !hmac.Equal(b.p.chain.chunk(b.sum.Sum(nil)), b.want) {
		return mismatch("the signature of the last chunk is wrong")
	}
	signature, err := b.readTrailers()
	if err != nil {
		return err
	}
	var names []string
	var canonical strings.Builder
	for _, t := range b.trailers {
		names = append(names, t[0])
		canonical.WriteString(t[0] + ":" + t[1] + "\n")
		if h := b.checks[t[0]]; h != nil && !sameChecksum(h, t[1]) {
			return &Error{"BadDigest", "the body's " + t[0] + " is not the one in its trailer"}
		}
	}
	want := slices.Clone(b.p.Trailers)
	slices.Sort(want)
	slices.Sort(names)
	if !slices.Equal(want, names) {
		return incomplete("the trailers are not those that X-Amz-Trailer announced")
	}
	if b.p.Payload == SignedTrailer {
		got, err := hex.DecodeString(signature)
		if err != nil || !hmac.Equal(b.p.chain.trailer(canonical.String()), got) {
			return mismatch("the signature of the trailers is wrong")
		}
	} else if signature != "" {
		return incomplete("a trailer's signature was not announced")
	}
	switch _, err := b.in.ReadByte(); {
	case err == nil:
		return incomplete("there are bytes behind the last chunk")
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}

// readTrailers reads up to the empty line. Some clients leave that line out where nothing is trailed.
func (b *Body) readTrailers() (signature string, err error) {
	for {
		line, err := b.line()
		if err != nil && len(b.p.Trailers) == 0 && len(b.trailers) == 0 && errors.Is(err, io.ErrUnexpectedEOF) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if line == "" {
			return signature, nil
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok || len(b.trailers) == maxTrailers || signature != "" {
			return "", incomplete("a trailer has no name, there are too many, or one follows their signature")
		}
		if name == "x-amz-trailer-signature" {
			signature = value
			continue
		}
		b.trailers = append(b.trailers, [2]string{name, value})
	}
}

// line reads up to CRLF, which a chunk's head must end in.
func (b *Body) line() (string, error) {
	var line []byte
	for {
		part, err := b.in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return "", incomplete("a chunk's head or a trailer is too long")
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return "", short(err)
		}
		break
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.ContainsAny(line, "\r\x00") {
		return "", incomplete("a chunk's head or a trailer must end in CRLF")
	}
	return string(line), nil
}

// short is err, where the end of the wire is no end of the body.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the body ends within its chunks: %w", io.ErrUnexpectedEOF)
	}
	return err
}

func incomplete(problem string) error { return &Error{"IncompleteBody", problem} }
