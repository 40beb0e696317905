package detect

import "bytes"

// Alike remembers how far a scan of texts that begin alike, as statements that
// differ in a value only do, has come without finding anything: the next one goes on
// from there. The findings are the same as without it. It belongs to one goroutine at a time.
type Alike struct {
	last []byte // the newest text
	head []byte // what texts began with
	at   int    // where a scan of it stood when it asked for more
	marks
}

// Bounds of what is remembered, and of what is worth it, in bytes.
const (
	maxAlike = 4 << 10
	minAlike = 24
)

// FindAlike is Find for a text that may begin as others did. a may be nil.
func (e *Engine) FindAlike(text []byte, a *Alike) *Findings {
	if a == nil {
		return e.Find(text)
	}
	f := findings.Get().(*Findings)
	if len(a.head) > 0 && bytes.HasPrefix(text, a.head) {
		f.List = e.scanFrom(text, f.List[:0], a)
		return f
	}
	f.List = e.Scan(text, f.List[:0])
	e.learn(text, a)
	return f
}

// scanFrom is scanAll of a text that begins with a's head.
func (e *Engine) scanFrom(text []byte, dst []Finding, a *Alike) []Finding {
	s := scans.Get().(*scan)
	s.reset(e, text, dst)
	s.i, s.marks, s.final = a.at, a.marks, true
	s.steps()
	out := s.out
	s.release()
	scans.Put(s)
	return out
}

// learn takes what text and the one before it have in common as the head, where a
// Stream would find nothing in it whatever followed.
func (e *Engine) learn(text []byte, a *Alike) {
	n := 0
	for n < min(len(text), len(a.last), maxAlike) && text[n] == a.last[n] {
		n++
	}
	if a.head = a.head[:0]; n >= minAlike {
		s := scans.Get().(*scan)
		s.reset(e, text[:n], nil)
		s.steps()
		if len(s.out) == 0 {
			a.head, a.at, a.marks = append(a.head, text[:n]...), s.i, s.marks
		}
		s.release()
		scans.Put(s)
	}
	if a.last = a.last[:0]; len(text) <= maxAlike {
		a.last = append(a.last, text...)
	}
}
