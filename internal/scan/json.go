package scan

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/assenthq/assent/internal/detect"
)

const (
	maxLevels = 256 // levels of JSON whose names are remembered; what lies deeper has none
	maxName   = 128
)

// jsonFields reads JSON, any number of values one behind the other. What is none is passed over
// as well as it goes: names are priors, and the text is scanned anyway.
type jsonFields struct {
	engine *detect.Engine
	at     int64

	stack []jsonLevel
	deep  int // levels beyond maxLevels

	state  jsonState
	escape bool
	v      value
	isName bool
	bare   *bareSpans // nil: nobody asks
}

type jsonLevel struct {
	object bool
	under  named // of the member whose value comes, or that an array is in
	value  bool  // its name was there
}

type jsonState uint8

const (
	jsonBetween jsonState = iota
	jsonString
	jsonNumber
)

func (j *jsonFields) settled() int64 {
	if j.state != jsonBetween && !j.v.long {
		return j.v.start
	}
	return j.at
}

func (j *jsonFields) write(p []byte, to judge) {
	for _, b := range p {
		j.take(b, to)
		j.at++
	}
}

func (j *jsonFields) take(b byte, to judge) {
	switch j.state {
	case jsonString:
		switch {
		case j.escape:
			j.escape = false
		case b == '\\':
			j.escape = true
		case b == '"', b == '\n': // a string has no line break: something else is wrong
			j.state = jsonBetween
			j.ended(to)
			return
		}
		if j.v.add(b) && !j.isName {
			j.judged(j.at+1, to)
			j.v.begin(j.at + 1)
		}
		return
	case jsonNumber:
		if b >= '0' && b <= '9' || b == '.' || b == '-' || b == '+' || b|0x20 == 'e' {
			j.v.add(b)
			return
		}
		j.number(to)
	}
	j.between(b)
}

func (j *jsonFields) between(b byte) {
	switch {
	case b == '"':
		top := j.top()
		j.isName = top != nil && top.object && !top.value
		j.state, j.escape = jsonString, false
		j.v.begin(j.at + 1)
	case b >= '0' && b <= '9' || b == '-':
		j.isName = false
		j.state = jsonNumber
		j.v.begin(j.at)
		j.v.add(b)
	case b == '{' || b == '[':
		j.push(b == '{')
	case b == '}' || b == ']':
		if j.deep > 0 {
			j.deep--
		} else if len(j.stack) > 0 {
			j.stack = j.stack[:len(j.stack)-1]
		}
	case b == ',':
		if top := j.top(); top != nil && top.object {
			top.under, top.value = named{}, false
		}
	case b == ':':
		if top := j.top(); top != nil && top.object {
			top.value = true
		}
	}
}

func (j *jsonFields) top() *jsonLevel {
	if len(j.stack) == 0 || j.deep > 0 {
		return nil
	}
	return &j.stack[len(j.stack)-1]
}

func (j *jsonFields) push(object bool) {
	if len(j.stack) >= maxLevels {
		j.deep++
		return
	}
	l := jsonLevel{object: object}
	if top := j.top(); top != nil && !object {
		l.under = top.under // the values of an array stand under its name
	}
	j.stack = append(j.stack, l)
}

// ended takes a string or number that ended at j.at.
func (j *jsonFields) ended(to judge) {
	top := j.top()
	if top == nil || j.v.long {
		return
	}
	if j.isName {
		top.under = named{}
		if len(j.v.b) <= maxName {
			top.under = nameOf(j.engine, plainName(j.v.b), "")
		}
		return
	}
	j.judged(j.at, to)
}

// plainName is a name without its escapes.
func plainName(b []byte) string {
	var name string
	if bytes.IndexByte(b, '\\') >= 0 && json.Unmarshal(slices.Concat([]byte{'"'}, b, []byte{'"'}), &name) == nil {
		return name
	}
	return string(b)
}

// judged tells of the value that ends at end.
func (j *jsonFields) judged(end int64, to judge) {
	if top := j.top(); top != nil && top.under.class != "" && (!top.object || top.value) {
		to(j.v.start, end, j.v.b, top.under.class, top.under.sure)
	}
}

func (j *jsonFields) end(to judge) {
	if j.state == jsonNumber {
		j.number(to)
	}
}

// number ends a number at j.at.
func (j *jsonFields) number(to judge) {
	j.state = jsonBetween
	j.bare.add(j.v.start, j.at)
	j.ended(to)
}
