package trace

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
)

// A Kind is on which side of a call a span stands. The numbers are OTLP's.
type Kind int32

// Kinds of spans.
const (
	Internal Kind = 1
	Server   Kind = 2
	Client   Kind = 3
)

// A Span is one piece of an action's way.
type Span struct {
	Context
	Parent     [8]byte // zero: none
	Link       Context // what led to it, as somebody claims; zero: nothing
	Name       string  // from a short list
	Kind       Kind
	Start, End time.Time
	Failed     bool // it did not do what it was to do: a refusal by policy is no failure
	Attributes []Attribute
}

// An Attribute is a name with one value: Text, several Texts, or else N.
type Attribute struct {
	Key   string
	Text  string
	Texts []string
	N     int64
}

// maxText bounds a value, in bytes. The values are names; none needs more.
const maxText = 256

func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// Text adds an attribute whose value isn't "".
func (s *Span) Text(key, value string) {
	if value != "" {
		s.Attributes = append(s.Attributes, Attribute{Key: key, Text: clip(value)})
	}
}

// Texts adds an attribute of several values, if there is one.
func (s *Span) Texts(key string, values []string) {
	if len(values) == 0 {
		return
	}
	own := make([]string, min(len(values), maxTexts))
	for i := range own {
		own[i] = clip(values[i])
	}
	s.Attributes = append(s.Attributes, Attribute{Key: key, Texts: own})
}

const maxTexts = 16

// Number adds an attribute.
func (s *Span) Number(key string, n int64) {
	s.Attributes = append(s.Attributes, Attribute{Key: key, N: n})
}

// A Trace is what is noted of one action until it ended. One goroutine at a time uses it.
type Trace struct {
	tracer *Tracer
	spans  []*Span // the gate's first
	picked bool    // it is among those that are sent
	over   bool

	// What an action has as a rule, in one piece of memory.
	room   [usual]Span
	list   [usual]*Span
	random [16 + 8*usual]byte
}

const usual = 4 // gate, decision, hold, upstream

// Begin notes that an action came. claim is the traceparent that came with it, "" for
// none. nil: nothing is traced.
func (t *Tracer) Begin(claim, name string, at time.Time) *Trace {
	if t == nil {
		return nil
	}
	one := &Trace{tracer: t}
	one.spans = one.list[:0]
	_, _ = rand.Read(one.random[:]) // it never fails
	root := one.next(16)
	root.Name, root.Kind, root.Start = name, Server, at
	root.Trace = [16]byte(one.random[:])
	if c, ok := Parse(claim); ok {
		if t.o.Join {
			root.Trace, root.Parent = c.Trace, c.Span
		} else {
			root.Link = c
		}
	}
	// By our own random number: not by the flag that came, nor by a trace id that somebody chose.
	one.picked = binary.BigEndian.Uint64(root.Span[:])%uint64(t.o.OneIn) == 0
	return one
}

// next is a new span, with room for n attributes.
func (t *Trace) next(n int) *Span {
	var s *Span
	if i := len(t.spans); i < usual {
		s = &t.room[i]
		*s = Span{} // one may have been taken back
		s.Span = [8]byte(t.random[16+8*i:])
	} else {
		s = &Span{}
		_, _ = rand.Read(s.Span[:])
	}
	s.Attributes = make([]Attribute, 0, n)
	t.spans = append(t.spans, s)
	return s
}

// Root is the gate's span; nil of none.
func (t *Trace) Root() *Span {
	if t == nil {
		return nil
	}
	return t.spans[0]
}

// Child begins a span below the gate's.
func (t *Trace) Child(name string, kind Kind, start time.Time) *Span {
	s := t.next(8)
	s.Name, s.Kind, s.Start = name, kind, start
	s.Trace, s.Parent = t.spans[0].Trace, t.spans[0].Span
	return s
}

// Forget takes a span back, if it was the last that began. Nobody has heard of its id.
func (t *Trace) Forget(s *Span) {
	if n := len(t.spans) - 1; n > 0 && t.spans[n] == s {
		t.spans = t.spans[:n]
	}
}

// Pick has the trace sent whatever share is.
func (t *Trace) Pick() { t.picked = true }

// ID is the trace's, as logs and headers write it; "" of none that is to be sent.
func (t *Trace) ID() string {
	if t == nil || !t.picked {
		return ""
	}
	return hex.EncodeToString(t.spans[0].Trace[:])
}

// Of is where a span stands, for who works below it.
func (t *Trace) Of(s *Span) Context {
	c := s.Context
	c.Sampled = t.picked
	return c
}

// End hands the trace over: nobody changes it any more. It never waits.
func (t *Trace) End(at time.Time) {
	if t == nil || t.over {
		return
	}
	t.over = true
	for _, s := range t.spans {
		if s.End.IsZero() { // as of what was broken off
			s.End = at
		}
	}
	if t.picked {
		t.tracer.add(t.spans)
	}
}
