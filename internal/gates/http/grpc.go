package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/veil"
)

// isGRPC goes by the content type, which gRPC asks for.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && callsItself(r.Header)
}

func callsItself(h http.Header) bool {
	kind := h.Get("Content-Type")
	return kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+") || strings.HasPrefix(kind, "application/grpc;")
}

// Status codes of gRPC.
const (
	grpcInvalid         = 3
	grpcDenied          = 7
	grpcExhausted       = 8
	grpcUnimplemented   = 12
	grpcUnavailable     = 14
	grpcUnauthenticated = 16
)

// refuseGRPC answers by trailers alone: a call that ended before it began.
func refuseGRPC(w http.ResponseWriter, status int, d *gate.Denied) {
	code := grpcDenied
	switch {
	case status == http.StatusUnauthorized:
		code = grpcUnauthenticated
	case status == http.StatusBadRequest:
		code = grpcInvalid
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		code = grpcUnimplemented
	case status == http.StatusRequestEntityTooLarge:
		code = grpcExhausted
	case status >= 500, d.Status == gate.StatusPending:
		code = grpcUnavailable
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", strconv.Itoa(code))
	h.Set("Grpc-Message", percent(httpgate.Sentence(d)))
	if d.ID != "" {
		h.Set("Assent-Approval", d.ID)
	}
	w.WriteHeader(http.StatusOK)
}

// percent is the encoding of Grpc-Message.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
		}
	}
	return b.String()
}

// maxMessage is the longest message of an answer that is looked into.
const maxMessage = 16 << 20

var errMessage = errors.New("a message of gRPC that can't be looked into")

// grpcReply masks messages of gRPC, each as it comes: a value's bytes become as many
// '*', so that lengths inside of a message stay true.
type grpcReply struct {
	opaque bool
	resp   *http.Response
	src    io.ReadCloser
	permit gate.Permit
	ready  bytes.Buffer
	err    error
}

func (g *grpcReply) mask(resp *http.Response, p gate.Permit) error {
	if !callsItself(resp.Header) { // the client said so, and the application knows nothing of it
		return veil.Reply(resp, p, veil.Options{Opaque: g.opaque}) //nolint:wrapcheck // a Denied, told as it is
	}
	g.resp, g.src, g.permit = resp, resp.Body, p
	resp.Body = g
	veil.Header(resp.Header, p)
	return nil
}

func (g *grpcReply) Close() error { return g.src.Close() }

func (g *grpcReply) Read(b []byte) (int, error) {
	for g.ready.Len() == 0 {
		if g.err != nil {
			return 0, g.err
		}
		g.err = g.message()
	}
	return g.ready.Read(b)
}

// message reads one message, masks and counts it.
func (g *grpcReply) message() error {
	var head [5]byte
	if _, err := io.ReadFull(g.src, head[:]); err != nil {
		if err == io.EOF {
			g.trailers()
		}
		return err
	}
	n := binary.BigEndian.Uint32(head[1:])
	bare := g.permit.Bare()
	if (head[0] != 0 || n > maxMessage) && !bare && !g.opaque {
		return errMessage
	}
	if n > maxMessage {
		return errMessage
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(g.src, body); err != nil {
		return io.ErrUnexpectedEOF
	}
	if err := g.permit.Count(1, int64(n)); err != nil {
		return err
	}
	g.ready.Reset()
	g.ready.Write(head[:])
	if bare || head[0] != 0 {
		g.ready.Write(body)
		return nil
	}
	s := g.permit.Stream(&g.ready, true)
	if _, err := s.Write(body); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if g.ready.Len() != len(head)+len(body) {
		return errMessage
	}
	return nil
}

func (g *grpcReply) trailers() {
	for name, values := range g.resp.Trailer {
		for i, v := range values {
			if name != "Grpc-Status" {
				values[i] = string(g.permit.Text([]byte(v)))
			}
		}
	}
}
