package detect

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// judge says what the value [p, q) of the name l is, "" when it is no secret.
func (s *scan) judge(p, q int, l *label, how strength, loose, quoted bool) (Class, float32) {
	v := s.t[p:q]
	if placeholder(v) {
		return "", 0
	}
	if class := s.provider(l, p, q); class != "" {
		return class, 0.9
	}
	digit := kindsOf(v)&isDigit != 0
	switch how {
	case password:
		switch {
		case kindsOf(v)&(isWord|isHigh) == 0 && !quoted, !quoted && bytes.IndexByte(v, '[') > 0 && s.at(q) == ']', bytes.HasPrefix(v, []byte("dword:")):
			return "", 0 // marks, args[1], a number of the registry
		case quoted:
			if loose && !s.written(p, q) {
				return "", 0
			}
		case loose:
			if len(v) < 6 || !digit || codeLike(v) {
				return "", 0
			}
		case len(v) < 3 || codeLike(v) || s.naming(p, q):
			return "", 0
		}
		return DSNPassword, 0.8
	case secret:
		if len(v) >= 8 && !codeLike(v) && !linkLike(v) && !(loose && v[len(v)-1] == ':') {
			if drawn(v, false) && !s.naming(p, q) {
				return Sensitive, 0.8
			}
			// What a setting gives it without a space, as people choose secrets. Nobody chooses
			// a private key: PrivateKey=RSA-2048 names one.
			if !loose && !l.speaksOf("privatekey") && digit && kindsOf(v)&(isUp|isLow) != 0 && !s.naming(p, q) && !sequence(v) {
				return Sensitive, 0.6
			}
		}
	case weak:
		if s.userinfo(v) && l.speaksOf("auth") {
			return Sensitive, 0.9
		}
		if len(v) >= 10 && !codeLike(v) && !linkLike(v) && !open(v) && v[len(v)-1] != ':' && !(l.bare() && keyID(v)) && drawn(v, true) && !s.naming(p, q) {
			return Sensitive, 0.7
		}
	}
	return "", 0
}

// written reports whether a quoted value that code or JSON gives a password is
// one: not a label, not a name.
func (s *scan) written(p, q int) bool {
	v := s.t[p:q]
	if len(v) < 3 || s.naming(p, q) || codeLike(v) {
		return false
	}
	if bytes.IndexByte(v, ' ') >= 0 || kindsOf(v)&isHigh != 0 {
		return random(v, false)
	}
	return true
}

// drawn is random for what is written as keys are: letters, digits and few marks.
func drawn(v []byte, strict bool) bool {
	v = bytes.TrimRight(v, "=")
	for _, c := range v {
		if kinds[c]&(isWord|isB64) == 0 && strings.IndexByte(".=~+:@!#$^&*", c) < 0 {
			return false
		}
	}
	return random(v, strict)
}

// codeLike reports what is rather an expression, a path, a file, a version or a URL.
func codeLike(v []byte) bool {
	if v[0] == '/' || v[0] == '.' || v[0] == '\\' || v[0] == '-' && len(v) < 12 || bytes.Contains(v, []byte("://")) || bytes.Contains(v, []byte("::")) || bytes.Contains(v, []byte("->")) {
		return true
	}
	if bytes.IndexByte(v, '(') >= 0 && bytes.IndexByte(v, ')') >= 0 || bytes.IndexByte(v, '[') > 0 && bytes.IndexByte(v, ']') > 0 {
		return true
	}
	humps, numbers := 0, 0
	for k := 1; k < len(v) && kindsOf(v)&^(isUp|isLow|isDigit|isLocal|isB64) == 0; k++ {
		if isLower(v[k-1]) && isUpper(v[k]) {
			humps++
		}
		if kinds[v[k]]&isDigit != 0 {
			numbers++
		}
	}
	if humps > 0 && numbers == 0 && cost(v) < wordsShort+0.4 || humps > 1 && numbers <= 2 && len(v) >= 16 && cost(v) < wordsLong+0.5 {
		return true
	}
	// name.name, with a letter on both sides of each dot, and few digits.
	dots, digits, dotted := 0, 0, true
	for k, c := range v {
		switch {
		case c == '.':
			dots++
			dotted = dotted && k > 0 && k+1 < len(v) && kinds[v[k-1]]&isWord != 0 && kinds[v[k+1]]&(isUp|isLow|isUnder) != 0
		case kinds[c]&isDigit != 0:
			digits++
		case kinds[c]&isWord == 0 && c != '-':
			dotted = false
		}
	}
	return dots > 0 && dotted && digits*6 < len(v) && (len(v) < 24 || cost(v) < wordsLong+0.4)
}

// linkLike reports a path that ends in the ending of a file, or goes on behind it: man3/set_token.pod,
// a07558.html#a1b2c3. No alphabet of secrets has both.
func linkLike(v []byte) bool {
	dot := bytes.LastIndexByte(v, '.')
	if dot <= 0 || dot+1 == len(v) {
		return false
	}
	end := dot + 1
	for end < len(v) && isLower(v[end]) {
		end++
	}
	if n := end - dot - 1; n < 1 || n > 5 {
		return false
	}
	return end == len(v) && bytes.IndexByte(v[:dot], '/') > 0 || end < len(v) && v[end] == '#'
}

// keyID reports 16 upper case digits of hex: how OpenPGP names a key.
func keyID(v []byte) bool { return len(v) == 16 && hexOnly(v) && kindsOf(v)&isLow == 0 }

// open reports the beginnings of public keys.
func open(v []byte) bool {
	for _, begin := range [...]string{"MFkw", "MIGf", "MIIBIj", "MIICIj", "AAAAB3Nza", "AAAAC3Nza", "AAAAE2Vj", "RW"} {
		if len(v) > 40 && string(v[:len(begin)]) == begin {
			return true
		}
	}
	return false
}

// userinfo reports base64 of "user:password", as HTTP and Docker write it.
func (s *scan) userinfo(v []byte) bool {
	if len(v) < 8 || len(v) > 400 {
		return false
	}
	var plain [304]byte
	trimmed := bytes.TrimRight(v, "=")
	n, err := base64.RawStdEncoding.Decode(plain[:], trimmed)
	if err != nil || n < 4 {
		return false
	}
	for _, c := range plain[:n] {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return bytes.IndexByte(plain[:n], ':') > 0
}

// named tries the run of letters and digits that begins at i, by the name that
// stands before it: meraki: 5cb4a5f0…. It returns the end of what was found, or 0.
func (s *scan) named(i int) int {
	if s.before(i) == ':' && i > 5 && kinds[s.t[i-2]]&isDigit != 0 { // 12345678:AA…
		for i--; i > 0 && kinds[s.t[i-1]]&isDigit != 0; i-- {
		}
	}
	// The operator stands before, past spaces and quotes.
	p, line := i, false
	for p > 0 && i-p < 16 && strings.IndexByte("\"'` \t\r\n=", s.t[p-1]) >= 0 && s.t[p-1] != '=' {
		line = line || s.t[p-1] == '\n'
		p--
	}
	if p == 0 {
		return 0
	}
	switch s.t[p-1] {
	case '=', ':', '|', ',', '>':
	default:
		return 0
	}
	op := s.t[p-1]
	if line && op != '>' {
		return 0
	}
	for p > 0 && i-p < 24 && strings.IndexByte("=:|,>?.+ \t", s.t[p-1]) >= 0 {
		p--
	}
	for k := 0; p > 0 && k < 4 && strings.IndexByte("\"'`\\ ])", s.t[p-1]) >= 0; k++ {
		p--
	}
	start := s.nameStart(p)
	// A type, or words in front: var xToken string = "…", telegram bot: ….
	for k := 0; k < 2 && start > 1 && s.t[start-1] == ' ' && kinds[s.t[start-2]]&isWord != 0 && p-start < maxName; k++ {
		start = s.nameStart(start - 1)
	}
	if start = max(start, p-maxName); start >= p {
		return 0
	}
	if !s.providerIn(start, p) {
		return 0
	}
	var l label
	s.label(start, p, &l)
	from, q, quoted, ok := s.extent(i - s.quotesBefore(i))
	if !ok || from != i {
		return 0
	}
	_ = quoted
	v := s.t[from:q]
	if placeholder(v) {
		return 0
	}
	if class := s.provider(&l, from, q); class != "" {
		s.add(from, q, class, 0.9)
		return q
	}
	return 0
}

// quotesBefore is 1 where a quote stands before i.
func (s *scan) quotesBefore(i int) int {
	if c := s.before(i); c == '"' || c == '\'' || c == '`' {
		return 1
	}
	return 0
}
