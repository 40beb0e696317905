// Package trace notes what became of one action, as spans that OpenTelemetry's tools
// show: it came to a gate, was decided, waited for people, ran upstream.
//
// It promises that nothing an agent does waits for a receiver of spans, fails without
// one, or is slower by more than making the spans; that what could not be sent is
// counted; and that whether an action is traced is for us to say: an agent's own
// trace context is a claim. Spans are no log: the audit log is written all the same,
// and says more. A nil Tracer and a nil Trace do nothing, and allocate nothing.
package trace

import (
	"encoding/hex"
	"net/http"
	"strings"
)

// A Context is where a span stands (W3C Trace Context, level 1).
type Context struct {
	Trace   [16]byte
	Span    [8]byte
	Sampled bool
}

// IsZero says that there is none.
func (c Context) IsZero() bool { return c.Trace == [16]byte{} || c.Span == [8]byte{} }

// String is c as the header traceparent has it.
func (c Context) String() string {
	b := make([]byte, 0, contextLength)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, c.Trace[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, c.Span[:])
	if c.Sampled {
		return string(append(b, "-01"...))
	}
	return string(append(b, "-00"...))
}

const contextLength = 55 // bytes of a traceparent of version 00

// Parse reads a traceparent. What it can't read is none (section 3.2.2 says to go on without).
func Parse(s string) (c Context, ok bool) {
	if len(s) < contextLength || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return Context{}, false
	}
	var version, flags [1]byte
	if !lowerHex(version[:], s[:2]) || !lowerHex(c.Trace[:], s[3:35]) || !lowerHex(c.Span[:], s[36:52]) || !lowerHex(flags[:], s[53:55]) {
		return Context{}, false
	}
	// A later version may say more behind what we know.
	if version[0] == 0xff || len(s) > contextLength && (version[0] == 0 || s[contextLength] != '-') || c.IsZero() {
		return Context{}, false
	}
	c.Sampled = flags[0]&1 != 0
	return c, true
}

// lowerHex reads s into out, which it fills. Capitals are no hexadecimal here.
func lowerHex(out []byte, s string) bool {
	for i := range out {
		high, low := digit(s[2*i]), digit(s[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		out[i] = high<<4 | low
	}
	return true
}

func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// longestComment is how much of a statement's end is looked at.
const longestComment = 1 << 10

// InComment is the traceparent in the comment that ends a statement, as sqlcommenter
// writes it (key='value'); "" for none. It may stand in what only looks like one: whatever it says is a claim.
func InComment(statement string) string {
	end := strings.TrimRight(statement, "; \t\r\n")
	if !strings.HasSuffix(end, "*/") {
		return ""
	}
	end = end[max(0, len(end)-longestComment):]
	begin := strings.LastIndex(end, "/*")
	if begin < 0 {
		return ""
	}
	const key = "traceparent='"
	i := strings.Index(end[begin:], key)
	if i < 0 {
		return ""
	}
	value, _, closed := strings.Cut(end[begin+i+len(key):], "'")
	if !closed {
		return ""
	}
	return value
}

// Onward has h say that what is sent with it belongs to parent, "" for none: then h stays as it is. The state
// that came with another trace stays behind.
func Onward(h http.Header, parent string) {
	ours, ok := Parse(parent)
	if !ok {
		return
	}
	if came, ok := Parse(h.Get(header)); !ok || came.Trace != ours.Trace {
		delete(h, "Tracestate")
	}
	h[header] = []string{parent}
}

const header = "Traceparent"
