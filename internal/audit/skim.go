package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// A Skim reads many records of which most are much like one before, for somebody who
// counts: it leaves out Rows and Detail. It belongs to one goroutine at a time.
type Skim struct {
	heads map[string]*Record // by what is written between a record's stamp and its rows or details
}

// maxSkim is how many heads a Skim remembers.
const maxSkim = 1024

// Read reads a leaf. What it returns shares its lists with others, and must not be changed.
func (s *Skim) Read(leaf []byte) (Record, error) {
	head, rest, ok := parts(leaf)
	if !ok {
		return whole(leaf)
	}
	like := s.heads[string(head)]
	if like == nil {
		r, err := whole(leaf)
		if err != nil {
			return r, err
		}
		if len(s.heads) >= maxSkim || s.heads == nil {
			s.heads = map[string]*Record{}
		}
		kept := r
		kept.Previous = 0
		s.heads[string(head)] = &kept
		return r, nil
	}
	r := *like
	if r.Index, ok = leafIndex(leaf); ok {
		r.Time, ok = leafTime(leaf)
	}
	if at := bytes.LastIndex(rest, []byte(`,"previous":`)); at >= 0 && ok {
		n, err := strconv.ParseInt(string(bytes.TrimSuffix(rest[at+len(`,"previous":`):], []byte("}"))), 10, 64)
		r.Previous, ok = n, err == nil
	}
	if !ok {
		return whole(leaf)
	}
	return r, nil
}

func whole(leaf []byte) (r Record, err error) {
	err = json.Unmarshal(leaf, &r)
	r.Rows, r.Detail = nil, nil
	return r, err
}

// parts finds the head of a leaf that says nothing of findings and masked values, and
// what follows the head. The names of fields stand for themselves: inside a text
// there would be a backslash before the quote.
func parts(leaf []byte) (head, rest []byte, ok bool) {
	from := bytes.Index(leaf, []byte(`,"type":`))
	if from < 0 || bytes.Contains(leaf, []byte(`,"findings":`)) || bytes.Contains(leaf, []byte(`,"masked":`)) {
		return nil, nil, false
	}
	to := len(leaf) - 1
	for _, name := range []string{`,"rows":`, `,"detail":{`, `,"previous":`} {
		if at := bytes.Index(leaf[from:to], []byte(name)); at >= 0 {
			to = from + at
		}
	}
	return leaf[from:to], leaf[to:], true
}
