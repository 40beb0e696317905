package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// A Skim reads many records of which most are much like one before, for somebody who
// counts: it leaves out Salt, Rows and Detail. It belongs to one goroutine at a time.
type Skim struct {
	heads map[string]*head // by what is written between a record's stamp and its rows or details
	last  [16]*head        // those that came last, the newest first: for most records, there is nothing to look up
}

// head is what records that begin alike say, and what some of them say next.
type head struct {
	text   string
	record Record
	counts map[string]counted // by how it is written
}

// counted is what was found and masked.
type counted struct{ findings, masked map[string]int64 }

// Bounds of what is remembered: heads, and counts with each.
const maxSkim, maxCounts = 1024, 64

// Read reads a leaf. What it returns shares its lists with others, and must not be changed.
func (s *Skim) Read(leaf []byte) (Record, error) {
	if r, ok := s.known(leaf); ok {
		return r, nil
	}
	r, err := whole(leaf)
	if text, ok := headOf(leaf); ok && err == nil {
		h := s.heads[string(text)]
		if h == nil {
			if len(s.heads) >= maxSkim || s.heads == nil {
				s.heads = map[string]*head{}
			}
			h = &head{string(text), r, map[string]counted{}}
			h.record.Findings, h.record.Masked = nil, nil
			s.heads[h.text] = h
			s.note(h, len(s.last)-1)
		}
		from := bytes.Index(leaf, text)
		if t, ok := tailOf(leaf[from+len(text):]); ok && len(t.counts) > 0 {
			if len(h.counts) >= maxCounts {
				clear(h.counts)
			}
			h.counts[string(t.counts)] = counted{r.Findings, r.Masked}
		}
	}
	return r, err
}

// known reads a leaf that begins as one before.
func (s *Skim) known(leaf []byte) (r Record, ok bool) {
	from := bytes.Index(leaf[:min(len(leaf), 128)], []byte(`,"type":`))
	if from < 0 {
		return r, false
	}
	for i, h := range s.last {
		if h == nil {
			break
		}
		if len(leaf)-from > len(h.text) && string(leaf[from:from+len(h.text)]) == h.text {
			if i > 0 {
				s.note(h, i)
			}
			return h.with(leaf, leaf[from+len(h.text):])
		}
	}
	text, ok := headOf(leaf)
	if h := s.heads[string(text)]; ok && h != nil {
		s.note(h, len(s.last)-1)
		return h.with(leaf, leaf[from+len(text):])
	}
	return r, false
}

// note puts h, which was at place at among the last ones, before them.
func (s *Skim) note(h *head, at int) {
	copy(s.last[1:at+1], s.last[:at])
	s.last[0] = h
}

// with is the record of a leaf that begins with h and ends with rest.
func (h *head) with(leaf, rest []byte) (r Record, ok bool) {
	r = h.record
	if r.Index, ok = LeafIndex(leaf); ok {
		r.Time, ok = leafTime(leaf)
	}
	if !ok {
		return r, false
	}
	t, ok := tailOf(rest)
	r.Previous = t.previous
	if ok && len(t.counts) > 0 {
		var c counted
		c, ok = h.counts[string(t.counts)]
		r.Findings, r.Masked = c.findings, c.masked
	}
	return r, ok
}

// tail is what follows a head.
type tail struct {
	counts   []byte // as written; empty: there are none
	previous int64
}

// tailOf takes apart what follows a head in a leaf. ok is false where it isn't as we write it.
func tailOf(rest []byte) (t tail, ok bool) {
	rest = rest[:len(rest)-1]
	if after, is := bytes.CutPrefix(rest, []byte(`,"rows":`)); is {
		for rest = after; len(rest) > 0 && (rest[0]-'0' <= 9 || rest[0] == '-'); {
			rest = rest[1:]
		}
	}
	digits := len(rest)
	for digits > 0 && (rest[digits-1]-'0' <= 9 || rest[digits-1] == '-') {
		digits--
	}
	if before, is := bytes.CutSuffix(rest[:digits], []byte(`,"previous":`)); is {
		n, err := strconv.ParseInt(string(rest[digits:]), 10, 64)
		if t.previous, rest = n, before; err != nil {
			return t, false
		}
	}
	if bytes.HasPrefix(rest, []byte(`,"findings":{`)) || bytes.HasPrefix(rest, []byte(`,"masked":{`)) {
		t.counts = rest
		if at := bytes.Index(rest, []byte(`,"detail":{`)); at >= 0 {
			t.counts = rest[:at]
		}
		rest = rest[len(t.counts):]
	}
	return t, len(rest) == 0 || bytes.HasPrefix(rest, []byte(`,"detail":{`)) && rest[len(rest)-1] == '}'
}

func whole(leaf []byte) (r Record, err error) {
	err = json.Unmarshal(leaf, &r)
	r.Salt, r.Rows, r.Detail = "", nil, nil
	return r, err
}

// headOf finds the head of a leaf. The names of fields stand for themselves: inside a
// text there would be a backslash before the quote.
func headOf(leaf []byte) (head []byte, ok bool) {
	from := bytes.Index(leaf, []byte(`,"type":`))
	if from < 0 {
		return nil, false
	}
	to := len(leaf) - 1
	for _, name := range []string{`,"rows":`, `,"findings":{`, `,"masked":{`, `,"detail":{`, `,"previous":`} {
		if at := bytes.Index(leaf[from:to], []byte(name)); at >= 0 {
			to = from + at
		}
	}
	return leaf[from:to], true
}
