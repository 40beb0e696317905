package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// A Skim reads many records of which most are much like one before, for somebody who
// counts: it leaves out Rows and Detail. It belongs to one goroutine at a time.
type Skim struct {
	heads map[string]*head // by what is written between a record's stamp and its rows or details
	last  [16]*head        // those that came last, the newest first: for most records, there is nothing to look up
}

// head is what records that begin alike say.
type head struct {
	text   string
	record Record
}

// maxSkim is how many heads a Skim remembers.
const maxSkim = 1024

// Read reads a leaf. What it returns shares its lists with others, and must not be changed.
func (s *Skim) Read(leaf []byte) (Record, error) {
	if r, ok := s.known(leaf); ok {
		return r, nil
	}
	r, err := whole(leaf)
	if text, ok := headOf(leaf); ok && err == nil {
		if len(s.heads) >= maxSkim || s.heads == nil {
			s.heads = map[string]*head{}
		}
		h := &head{string(text), r}
		s.heads[h.text] = h
		s.note(h, len(s.last)-1)
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
	if r.Index, ok = leafIndex(leaf); ok {
		r.Time, ok = leafTime(leaf)
	}
	if !ok {
		return r, false
	}
	rest = rest[:len(rest)-1]
	if after, is := bytes.CutPrefix(rest, []byte(`,"rows":`)); is {
		for rest = after; len(rest) > 0 && (rest[0]-'0' <= 9 || rest[0] == '-'); {
			rest = rest[1:]
		}
	}
	r.Previous = 0
	digits := len(rest)
	for digits > 0 && (rest[digits-1]-'0' <= 9 || rest[digits-1] == '-') {
		digits--
	}
	if before, is := bytes.CutSuffix(rest[:digits], []byte(`,"previous":`)); is {
		n, err := strconv.ParseInt(string(rest[digits:]), 10, 64)
		if r.Previous, rest = n, before; err != nil {
			return r, false
		}
	}
	return r, len(rest) == 0 || bytes.HasPrefix(rest, []byte(`,"detail":{`)) && rest[len(rest)-1] == '}'
}

func whole(leaf []byte) (r Record, err error) {
	err = json.Unmarshal(leaf, &r)
	r.Rows, r.Detail = nil, nil
	return r, err
}

// headOf finds the head of a leaf that says nothing of findings and masked values. The
// names of fields stand for themselves: inside a text there would be a backslash
// before the quote.
func headOf(leaf []byte) (head []byte, ok bool) {
	from := bytes.Index(leaf, []byte(`,"type":`))
	if from < 0 || bytes.Contains(leaf, []byte(`,"findings":`)) || bytes.Contains(leaf, []byte(`,"masked":`)) {
		return nil, false
	}
	to := len(leaf) - 1
	for _, name := range []string{`,"rows":`, `,"detail":{`, `,"previous":`} {
		if at := bytes.Index(leaf[from:to], []byte(name)); at >= 0 {
			to = from + at
		}
	}
	return leaf[from:to], true
}
