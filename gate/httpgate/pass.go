package httpgate

import (
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"
)

// hops are the headers of an answer that are between an upstream and us (RFC 9110 section 7.6.1), and what is said in their place.
var hops = [...]string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// oneHop takes off what an upstream says to us alone.
func oneHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hops {
		delete(h, name)
	}
}

// pass passes an answer on. Where it breaks off, the connection does too, or half would be taken for all.
func pass(w http.ResponseWriter, resp *http.Response) {
	add(w.Header(), "", resp.Header)
	announced := len(resp.Trailer)
	if announced > 0 {
		names := make([]string, 0, announced)
		for name := range resp.Trailer {
			names = append(names, name)
		}
		w.Header().Add("Trailer", strings.Join(names, ", "))
	}
	w.WriteHeader(resp.StatusCode)
	err := carry(w, resp.Body, flows(resp))
	_ = resp.Body.Close() // its trailers are known now
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if len(resp.Trailer) == 0 {
		return
	}
	_ = http.NewResponseController(w).Flush() // or a short body would have a length, and no trailers
	prefix := http.TrailerPrefix
	if len(resp.Trailer) == announced {
		prefix = ""
	}
	add(w.Header(), prefix, resp.Trailer)
}

func add(to http.Header, prefix string, from http.Header) {
	for name, values := range from {
		name = http.CanonicalHeaderKey(prefix + name)
		if have := to[name]; have != nil {
			values = append(have, values...)
		}
		to[name] = slices.Clip(values)
	}
}

// flows says that an answer goes on as it comes: nobody knows how long it takes.
func flows(resp *http.Response) bool {
	const events = "text/event-stream"
	media := textproto.TrimString(resp.Header.Get("Content-Type"))
	return resp.ContentLength == -1 || len(media) >= len(events) && strings.EqualFold(media[:len(events)], events)
}

// carry copies a body; its end is no error.
func carry(w http.ResponseWriter, body io.Reader, flow bool) error {
	var flush func() error
	if flow {
		flush = http.NewResponseController(w).Flush
		_ = flush() // that there is an answer is known before the first of it
	}
	b := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(b)
	for {
		n, err := body.Read(b[:])
		if n > 0 {
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
			if flow {
				_ = flush()
			}
		}
		switch {
		case err == io.EOF: // one that is wrapped is of a body that broke off
			return nil
		case err != nil:
			return err
		}
	}
}

// buffers are for copying.
var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}
