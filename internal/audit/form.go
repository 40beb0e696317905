package audit

import (
	"bytes"
	"slices"
	"time"
)

// A Form writes records of which each is much like the one before, as those of one
// statement that runs again and again are: what they share is written once and then
// copied. It gives the same bytes as without one, for it compares. It belongs to
// one goroutine at a time.
type Form struct {
	// Details are the record's Detail, for a record that has none: sorted by name, each
	// name once. The caller sets them before each record, and keeps their memory.
	Details []Detail

	like Record // whose head is written in head
	head []byte
	body []byte // of the newest record: all of it behind its stamp
}

// A Detail is one entry of a record's Detail.
type Detail struct{ Name, Value string }

// write writes r into body, but for its index, time and salt.
func (f *Form) write(r *Record) {
	if !f.fits(r) {
		f.head = appendHead(f.head[:0], r)
		chain, kinds, rules := f.like.Chain, f.like.Kinds, f.like.Rules
		f.like = *r
		// The caller uses the memory of its lists again.
		f.like.Chain, f.like.Kinds, f.like.Rules = append(chain[:0], r.Chain...), append(kinds[:0], r.Kinds...), append(rules[:0], r.Rules...)
		f.like.Rows, f.like.Findings, f.like.Masked, f.like.Detail = nil, nil, nil, nil
	}
	b := appendTail(append(f.body[:0], f.head...), r)
	if len(r.Detail) > 0 {
		b = appendMap(b, `,"detail":`, r.Detail, appendString)
	} else {
		b = appendDetails(b, f.Details)
	}
	f.body = appendEnd(b, r)
}

// fits reports whether the head of r is that of the record before.
func (f *Form) fits(r *Record) bool {
	l := &f.like
	return len(f.head) > 0 && l.Type == r.Type && l.Actor == r.Actor && l.Subject == r.Subject && l.Person == r.Person &&
		l.Session == r.Session && l.Gate == r.Gate && l.Resource == r.Resource && l.Env == r.Env && l.Verb == r.Verb &&
		l.Target == r.Target && l.Title == r.Title && l.Shape == r.Shape && l.Digest == r.Digest && l.Decision == r.Decision &&
		l.Policy == r.Policy && l.Approval == r.Approval && l.About == r.About && l.Revision == r.Revision && l.Grant == r.Grant &&
		l.Outcome == r.Outcome && slices.Equal(l.Chain, r.Chain) && slices.Equal(l.Kinds, r.Kinds) && slices.Equal(l.Rules, r.Rules)
}

func appendDetails(b []byte, details []Detail) []byte {
	if len(details) == 0 {
		return b
	}
	b = append(b, `,"detail":{`...)
	for i, d := range details {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(appendString(b, d.Name), ':'), d.Value)
	}
	return append(b, '}')
}

// whole is r with its details where leafOf looks for them.
func (f *Form) whole(r *Record) *Record {
	c := *r
	if len(c.Detail) == 0 && len(f.Details) > 0 {
		c.Detail = map[string]string{}
		for _, d := range f.Details {
			c.Detail[d.Name] = d.Value
		}
	}
	return &c
}

// leaf appends the leaf of r, which write was called with.
func (f *Form) leaf(b []byte, r *Record, s *stamp) ([]byte, error) {
	at := len(b)
	b, err := s.append(b, r.Index, r.Time)
	if err != nil {
		return nil, err
	}
	if b = append(appendText(b, `,"salt":`, r.Salt), f.body...); len(b)-at <= MaxLeaf {
		return b, nil
	}
	b, _, err = leafOf(b[:at], f.whole(r))
	return b, err
}

// maxForm is how much a Form may hold to be used again, in bytes.
const maxForm = 8 << 10

// forget drops what is too large to be kept with a session that may rest.
func (f *Form) forget() {
	if cap(f.body)+cap(f.head) > maxForm {
		*f = Form{Details: f.Details[:0]}
	}
}

// A stamp writes the stamps of records that follow each other: those of one second
// begin alike.
type stamp struct {
	second int64
	text   []byte // of that second, from behind the index to before the fraction
}

// append is appendStamp for a time in UTC.
func (s *stamp) append(b []byte, index int64, t time.Time) ([]byte, error) {
	if u := t.Unix(); s.text == nil || u != s.second {
		whole, err := appendStamp(nil, 0, t.Truncate(time.Second))
		if err != nil {
			return b, err
		}
		text, _ := bytes.CutPrefix(whole, []byte(`{"index":0`))
		s.second, s.text = u, bytes.TrimSuffix(text, []byte(`Z"`))
	}
	b = append(appendInt(append(b, `{"index":`...), index), s.text...)
	if n := t.Nanosecond(); n != 0 {
		digits := [9]byte{}
		used := 0
		for i := len(digits) - 1; i >= 0; i-- {
			digits[i] = byte('0' + n%10)
			if used == 0 && n%10 != 0 {
				used = i + 1
			}
			n /= 10
		}
		b = append(append(b, '.'), digits[:used]...)
	}
	return append(b, 'Z', '"'), nil
}
