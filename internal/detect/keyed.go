package detect

import (
	"bytes"
	"strings"
)

const (
	maxSpaces = 24  // between a name, its operator and its value
	maxValue  = 512 // bytes of a value
)

// named words are the keyed forms made ready, by the first letter of their word.
var keyedForms, keyedAt = func() ([]shaped, ['z' + 1][]uint16) {
	all, at := make([]shaped, len(keyedTable)), ['z' + 1][]uint16{}
	for i, k := range keyedTable {
		// A form may begin with a run, so the lead is empty where it does.
		f := &form{class: k.class, shape: "\x00" + k.shape, from: k.from}
		all[i] = ready(f)
		all[i].lead = strings.TrimPrefix(all[i].lead, "\x00")
		at[k.word[0]] = append(at[k.word[0]], uint16(i))
	}
	return all, at
}()

// provider returns the class of the value [p, q) where the label names who gives
// such values out, or "".
func (s *scan) provider(l *label, p, q int) Class {
	text := l.text()
	for k := 0; k+1 < len(text); k++ {
		if text[k] != ' ' || text[k+1] > 'z' {
			continue
		}
		for _, i := range keyedAt[text[k+1]] {
			if l.speaksOf(keyedTable[i].word) && s.fits(&keyedForms[i], p, q) {
				return keyedTable[i].class
			}
		}
	}
	return ""
}

// fits reports whether the value [p, q) has the shape of f and looks drawn.
func (s *scan) fits(f *shaped, p, q int) bool {
	if !s.literal(p, f.lead) || s.runs(p+len(f.lead), f.runs) != q {
		return false
	}
	v := s.t[p:q]
	if filled(v) && !strings.HasPrefix(f.lead, "AAAA") {
		return false
	}
	if or := kindsOf(v); or&isWord == isDigit {
		return entropy(v) >= 1.5 && !sequence(v)
	}
	if len(f.runs) > 2 {
		return entropy(v) >= 2
	}
	if q-p < 18 {
		return entropy(v) >= 2.2 && kindsOf(v)&isDigit != 0
	}
	return entropy(v) >= 2.5 && (kindsOf(v)&isDigit != 0 || cost(v) >= wordsLong)
}

func kindsOf(v []byte) (or uint8) {
	for _, c := range v {
		or |= kinds[c]
	}
	return or
}

// keyName tries what follows the name from start to the word [i, j), or beyond
// it: password=…, "api_key": "…", --token …, setPassword("…").
func (s *scan) keyName(start, i, j int) {
	if j-start < 3 || j-start > maxName {
		return
	}
	end := j
	for end-j < maxSpaces && (s.kind(end)&isWord != 0 || s.at(end) == '-' && s.kind(end+1)&isWord != 0 || s.at(end) == '.' && s.kind(end+1)&isWord != 0) {
		end++
	}
	how := password
	if _, _, ok := s.operator(start, end, &how); !ok {
		return // most of what text speaks of, before the costlier question what it is
	}
	var l label
	s.label(start, end, &l)
	how = strengthOf(&l)
	if end-start == 3 && string(s.t[start:end]) == "PWD" && !s.near(start, -1, " uid user server driver database dsn ") {
		return // where the shell stands
	}
	if end-start == 4 && string(s.t[start:end]) == "PASS" && s.at(end) == ':' && s.at(end+1) == ' ' {
		return // a test's verdict
	}
	p, loose, ok := s.operator(start, end, &how)
	if !ok {
		return
	}
	s.value(p, &l, how, loose)
}

// begins reports whether word, in any case, stands at p and ends before j.
func (s *scan) begins(p, j int, word string) bool {
	if j-p < len(word) {
		return false
	}
	for k := range len(word) {
		if s.at(p+k)|0x20 != word[k] {
			return false
		}
	}
	return true
}

// blanks returns the first byte at or after p that is no space or tab, at most n on.
func (s *scan) blanks(p, n int) int {
	for end := p + n; p < end && (s.at(p) == ' ' || s.at(p) == '\t'); p++ {
	}
	return p
}

// operator returns where the value of the name [start, end) begins. loose: what
// stands between could be prose or code, so a bare value must look like a secret.
func (s *scan) operator(start, end int, how *strength) (p int, loose, ok bool) {
	p = end
	closed := false
	opened := s.before(start) // "password=" + x
	for p-end < 4 && (s.at(p) == '"' || s.at(p) == '\'' || s.at(p) == '`' || s.at(p) == ']' || s.at(p) == '\\' && s.at(p+1) == '"' || s.at(p) == ')' && closed) {
		closed = closed || s.at(p) != '\\'
		p++
	}
	after := s.blanks(p, maxSpaces)
	spaced := after > p
	dashed := end-start > 2 && s.t[start] == '-' && s.t[start+1] == '-'
	switch c := s.at(after); {
	case c == '=' && s.at(after+1) != '=' && s.at(after+1) != '~':
		p = after + 1
		if s.at(p) == '>' {
			p++
		}
		loose = spaced || s.at(p) == ' '
		if !closed && s.at(p) == opened && (opened == '"' || opened == '\'' || opened == '`') {
			return 0, false, false
		}
	case c == ':' && after == p && opened == ':' && !closed && s.chained(after+1):
		return 0, false, false
	case c == ':':
		p, loose = s.colons(after), true
		if p == 0 {
			return 0, false, false
		}
	case (c == '?' || c == '.' || c == '+' || c == '|') && (s.at(after+1) == '=' || s.at(after+1) == c):
		p = after + 2
		if s.at(p) == '=' {
			p++
		}
		loose = true
	case c == ',' && closed:
		if s.pair(start, end) {
			return s.pairValue(after)
		}
		p, loose = s.blanks(after+1, maxSpaces), true
		if q := s.at(p); q != '"' && q != '\'' && q != '`' {
			return 0, false, false
		}
		*how = listedIn(*how)
	case c == '>' && !closed && s.before(start) == '<':
		p = s.element(after + 1)
		return p, false, p > after
	case closed && s.pair(start, end):
		return s.pairValue(after)
	case c == '(' && !spaced && !closed:
		if q := s.at(after + 1); q != '"' && q != '\'' {
			return 0, false, false
		}
		p, loose = after+1, true
		*how = listedIn(*how)
	case spaced && dashed && !closed && *how != weak:
		return after, true, c != '-' && c > ' '
	case spaced && !closed && s.t[start] == '-' && (s.at(after) == '\'' || s.at(after) == '"'): // -ClientSecret '…'
		return after, true, true
	case spaced && !closed && s.netrc(start, end):
		return after, true, c > ' '
	case spaced && !closed && s.typed(after) > 0:
		p, loose = s.typed(after), true
	default:
		return 0, false, false
	}
	next := s.blanks(p, maxSpaces)
	if next > p {
		loose = loose || *how != password
	}
	return next, loose, s.at(next) > ' '
}

// chained reports that words go on between colons at p, up to a number: i:id:GhcPass:Outputable:305.
func (s *scan) chained(p int) bool {
	q := p
	for q-p < maxSpaces && s.kind(q)&(isUp|isLow) != 0 {
		q++
	}
	return q > p && s.at(q) == ':' && s.kind(q+1)&isDigit != 0
}

// netrc reports the word password behind a login or machine, as .netrc has them.
func (s *scan) netrc(start, end int) bool {
	return string(s.t[start:end]) == "password" && s.at(end) == ' ' && s.near(start, -1, " login machine ")
}

// listedIn is how sure a name is that stands in a list or before a bracket,
// where the next may be its value or another name.
func listedIn(how strength) strength {
	if how == password {
		return secret
	}
	return min(how, weak)
}

// colons passes over ':', ':=', '::=' and a type: name: string = "…".
func (s *scan) colons(p int) int {
	from := p
	for p-from < 3 && s.at(p) == ':' {
		p++
	}
	if s.at(p) == '=' {
		return p + 1
	}
	if p-from > 1 {
		return 0 // a scope
	}
	if q := s.typed(s.blanks(p, 2)); q > 0 {
		return q
	}
	return p
}

// typed passes over a type and '=': string = "…". It returns 0 where there is none.
func (s *scan) typed(p int) int {
	q := p
	for q-p < 12 && (s.kind(q)&(isUp|isLow) != 0) {
		q++
	}
	if q == p {
		return 0
	}
	q = s.blanks(q, 4)
	if s.at(q) != '=' || s.at(q+1) == '=' || s.at(q+1) == '>' {
		return 0
	}
	q = s.blanks(q+1, 4)
	if c := s.at(q); c != '"' && c != '\'' && c != '`' {
		return 0
	}
	return q
}

// element passes over the space in front of the text of an XML element.
func (s *scan) element(p int) int {
	end := p + maxSpaces
	for p < end && s.at(p) <= ' ' && s.at(p) > 0 {
		p++
	}
	if s.at(p) == '<' || s.at(p) <= ' ' {
		return 0
	}
	q := p
	for q-p < maxValue && s.at(q) > ' ' && s.at(q) != '<' {
		q++
	}
	for end = q + maxSpaces; q < end && s.at(q) <= ' ' && s.at(q) > 0; {
		q++
	}
	if s.at(q) != '<' || s.at(q+1) != '/' {
		return 0 // <password> in a sentence
	}
	return p
}

// pair reports whether the name [start, end) is itself the value of a name or
// key: {"name": "password", "value": "…"}, <add key="Password" value="…"/>.
func (s *scan) pair(start, end int) bool {
	p := start
	if p == 0 || s.t[p-1] != '"' && s.t[p-1] != '\'' || end <= start {
		return false
	}
	for p--; p > 0 && (s.t[p-1] == ' ' || s.t[p-1] == '\\'); p-- {
	}
	if p == 0 || s.t[p-1] != ':' && s.t[p-1] != '=' {
		return false
	}
	for p--; p > 0 && strings.IndexByte(" \"'\\", s.t[p-1]) >= 0; p-- {
	}
	from := s.nameStart(p)
	switch string(bytes.ToLower(s.t[from:p])) {
	case "name", "key", "id", "field", "property", "header", "variable":
		return true
	}
	return false
}

// pairValue returns where the value of a pair begins, whose name ends at p.
func (s *scan) pairValue(p int) (int, bool, bool) {
	end := p + 2*maxSpaces
	for p < end && (s.at(p) <= ' ' && s.at(p) > 0 || s.at(p) == ',' || s.at(p) == '"' || s.at(p) == '\'' || s.at(p) == '\\') {
		p++
	}
	from := p
	for p-from < 16 && s.kind(p)&isWord != 0 {
		p++
	}
	if p-from < 5 || !s.begins(p-5, p, "value") {
		return 0, false, false
	}
	for end = p + 8; p < end && strings.IndexByte("\"' :=\\", s.at(p)) >= 0; p++ {
		if c := s.at(p); (c == '"' || c == '\'') && (s.before(p) == ':' || s.before(p) == '=' || s.before(p) == ' ' || s.before(p) == '\\') && p > from+5 {
			return p, false, true
		}
	}
	return p, true, s.at(p) > ' '
}

// value tries the value at p of the name l.
func (s *scan) value(p int, l *label, how strength, loose bool) {
	p, q, quoted, ok := s.extent(p)
	if !ok {
		return
	}
	if !quoted {
		if next := s.scheme(p, q); next > 0 { // Authorization: Bearer …
			if p, q, quoted, ok = s.extent(next); !ok {
				return
			}
			how, loose = max(how, secret), false
		}
	} else if n := s.schemeLen(p, q); n > 0 {
		p += n
		how, loose = max(how, secret), false
	}
	if p >= q {
		return
	}
	if s.token(p, q) > 0 {
		return // the scan comes to it
	}
	if class, score := s.judge(p, q, l, how, loose, quoted); class != "" {
		s.add(p, q, class, score)
	}
}

// scheme returns where the credentials begin that follow a scheme of HTTP
// authentication [p, q), or 0.
func (s *scan) scheme(p, q int) int {
	if q-p > 9 || s.at(q) != ' ' || s.schemeLen(p, q+1) == 0 {
		return 0
	}
	return s.blanks(q, 4)
}

func (s *scan) schemeLen(p, q int) int {
	for _, name := range [...]string{"basic ", "bearer ", "token ", "api-token ", "apikey ", "api-key ", "key ", "ssws ", "digest "} {
		if q-p >= len(name) && s.begins(p, q, name) {
			return len(name)
		}
	}
	return 0
}

// extent returns what the value at p is: to its closing quote, or to what ends a bare one.
func (s *scan) extent(p int) (from, q int, quoted, ok bool) {
	escaped := s.at(p) == '\\' && s.at(p+1) == '"'
	if escaped {
		p++
	}
	quote := s.at(p)
	if quoted = quote == '"' || quote == '\'' || quote == '`'; quoted {
		p++
		if s.at(p) == quote && s.at(p+1) == quote { // '''…'''
			p += 2
		}
	}
	for q = p; q-p < maxValue; q++ {
		c := s.at(q)
		if quoted {
			if c == '\n' && quote != '`' || c == 0 || c == quote && s.at(q+1) != quote || escaped && c == '\\' && s.at(q+1) == '"' {
				break
			}
			if c == quote || c == '\\' {
				q++
			}
		} else if c <= ' ' || c == '\\' || strings.IndexByte("&;,)]}\"'<>`", c) >= 0 {
			break
		} else if c == '(' {
			return 0, 0, false, false // a call
		}
	}
	q = min(q, len(s.t))
	return p, q, quoted, q > p && q-p < maxValue
}
