package detect

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxLocal = 64 // bytes of the local part of an address (RFC 5321 section 4.5.3.1.1)

// email tries the address around the '@' at i and returns where to go on.
func (s *scan) email(i int) int {
	start := s.localStart(i)
	for start < i && strings.IndexByte(".'%-+", s.t[start]) >= 0 {
		start++
	}
	if start == i {
		return i + 1
	}
	q := i + 1
	for q-i < 256 {
		c := s.at(q)
		if kinds[c]&isWord == 0 && c != '-' && c != '.' {
			size := s.letterAt(q)
			if size == 0 {
				break
			}
			q += size
			continue
		}
		q++
	}
	end := s.domain(i+1, min(q, len(s.t)))
	if end == 0 || s.at(end) == ':' && string(s.t[start:i]) == "git" {
		return i + 1
	}
	s.add(start, end, Email, 0.95)
	return end
}

// localStart returns where the run of local-part bytes before i begins.
func (s *scan) localStart(i int) int {
	p := i
	for p > 0 && i-p < maxLocal {
		if s.t[p-1] < utf8.RuneSelf {
			if kinds[s.t[p-1]]&isLocal == 0 || s.escapeLetter(p-1) {
				break
			}
			p--
			continue
		}
		r, size := utf8.DecodeLastRune(s.t[max(0, p-utf8.UTFMax):p])
		if !alphabetic(r) {
			break
		}
		p -= size
	}
	return p
}

// letterAt returns the size of the letter above ASCII at q, or 0.
func (s *scan) letterAt(q int) int {
	if s.at(q) < utf8.RuneSelf {
		return 0
	}
	s.at(q + utf8.UTFMax - 1)
	r, size := utf8.DecodeRune(s.t[q:min(q+utf8.UTFMax, len(s.t))])
	if !alphabetic(r) {
		return 0
	}
	return size
}

// alphabetic reports letters of scripts that separate words, as addresses of
// look-alike or international letters use them.
func alphabetic(r rune) bool { return r >= 0x80 && r < 0x590 && unicode.IsLetter(r) }

// domain returns the end of the host name in [i, end), or 0: at least two labels,
// the last one of two or more letters.
func (s *scan) domain(i, end int) int {
	for {
		dot := bytes.LastIndexByte(s.t[i:end], '.')
		if dot <= 0 {
			return 0
		}
		p, letters := i+dot+1, 0
		for p < end {
			if kinds[s.t[p]]&(isUp|isLow) != 0 {
				p++
			} else if size := s.letterAt(p); size > 0 {
				p += size
			} else {
				break
			}
			letters++
		}
		if letters >= 2 {
			label := s.t[i : i+dot]
			if k := len(label); k >= 2 && label[k-1] == 'x' && len(bytes.Trim(label[:k-1], "0123456789")) == 0 {
				return 0 // logo@2x.png
			}
			if kinds[label[0]]&(isWord|isHigh) == 0 {
				return 0
			}
			return p
		}
		end = i + dot
	}
}

// awsSecret tries 40 characters of base64 with upper, lower and digits, where the
// context speaks of AWS.
func (s *scan) awsSecret(i int) int {
	or, j := uint8(0), i
	for ; j-i <= 40; j++ {
		c := s.at(j)
		if kinds[c]&isB64 == 0 || c == '-' || c == '_' {
			break
		}
		or |= kinds[c]
	}
	if j-i != 40 || or&(isDigit|isUp|isLow) != isDigit|isUp|isLow || !s.context(i, j, AWSKey) {
		return 0
	}
	s.add(i, j, AWSKey, 0.9)
	return j
}

// jwt tries a compact JWS or JWE (RFC 7515, RFC 7516).
func (s *scan) jwt(i int) int {
	p, dots := i, 0
	var dot [2]int
	for p-i < maxCandidate {
		c := s.at(p)
		if c == '.' && dots < 4 {
			if dots < 2 {
				dot[dots] = p
			}
			dots++
		} else if kinds[c]&isB64 == 0 || c == '+' || c == '/' {
			break
		}
		p++
	}
	if dots < 2 || dot[1]-dot[0] < 3 && dots < 4 {
		return 0
	}
	score := float32(0)
	if s.t[dot[0]+1] == 'e' && s.t[dot[0]+2] == 'y' {
		score = 0.6
	}
	var header [384]byte
	n, _ := base64.RawURLEncoding.Decode(header[:], s.t[i:min(dot[0], i+512)])
	if bytes.Contains(header[:n], []byte(`"alg"`)) {
		score = 1
	}
	if score == 0 {
		return 0
	}
	for s.t[p-1] == '.' && dots > 2 {
		p--
		dots--
	}
	s.add(i, p, JWT, score)
	return p
}

// pemBegin tries the first line of a private key (RFC 7468); certificates and
// public keys are public.
func (s *scan) pemBegin(i int) int {
	const begin = "-----BEGIN "
	for k := range len(begin) {
		if s.at(i+k) != begin[k] {
			return i + 1
		}
	}
	p := i + len(begin)
	for p-i < 64 && (isUpper(s.at(p)) || s.at(p) == ' ') {
		p++
	}
	name := bytes.TrimSuffix(s.t[i:min(p, len(s.t))], []byte(" BLOCK")) // OpenPGP's
	if !bytes.HasSuffix(name, []byte("PRIVATE KEY")) || s.at(p) != '-' {
		return i + 1
	}
	return s.pemBody(i)
}

// pemBody takes the key from i to its last line, or as far as bytes of a key go.
// A key of more than maxCandidate bytes is several findings, one behind the other.
func (s *scan) pemBody(i int) int {
	p, head := i, 0
	if s.pem != i || i == 0 {
		p += len("-----BEGIN ")
		for s.at(p) != '-' {
			p++
		}
		head = p
	}
	s.pem = 0
	dashes := 0
	for ; p-i < maxCandidate; p++ {
		c := s.at(p)
		if c == '-' {
			dashes++
			continue
		}
		if dashes >= 5 && c != 'E' && !(p-i < 64 && c <= ' ' || c == '\\') {
			break // "-----" that ends the last line
		}
		if dashes > 0 && dashes < 5 && c == 0 || kinds[c]&isB64 == 0 && strings.IndexByte("= \r\n\t\\:,\".()<>@", c) < 0 { // with what stands in headers before it
			break
		}
		dashes = 0
	}
	if p-i >= maxCandidate {
		s.pem = p
	}
	end := min(p, len(s.t))
	for dashes == 0 && s.pem == 0 && end > i && strings.IndexByte(" \r\n\t\\:,\"", s.t[end-1]) >= 0 {
		end-- // a key without its last line
	}
	if head == 0 || s.pem > 0 || keyBody(s.t[head:end]) {
		s.add(i, end, PEM, 1)
	}
	return p
}

// keyBody reports what can be a key between the lines around it: not nothing, not "…" or "XXXX".
func keyBody(v []byte) bool {
	v = bytes.TrimLeft(v, "-")
	if bytes.HasPrefix(v, []byte("END ")) {
		return false
	}
	if end := bytes.Index(v, []byte("-----E")); end >= 0 {
		v = v[:end]
	}
	n := 0
	for _, c := range v {
		if kinds[c]&isB64 != 0 {
			n++
		}
	}
	return n == 0 || n >= 16 && entropy(v) >= 3 // nothing: what comes after it is in the next cell or message
}

// putty tries the private part of a key of PuTTY's at the word [i, j): its number of lines, then base64.
func (s *scan) putty(i, j int) int {
	const lines = "-Lines: "
	if j-i != len("Private") || !s.literal(j, lines) {
		return 0
	}
	p := j + len(lines)
	for p-j < 16 && s.kind(p)&isDigit != 0 {
		p++
	}
	from := p
	for p-from < maxCandidate && (s.kind(p)&isB64 != 0 || s.at(p) == '=' || s.at(p) == '\r' || s.at(p) == '\n' || s.at(p) == '\\') && !s.literal(p, "Private-") {
		p++
	}
	end := p
	for end > from && kinds[s.t[end-1]]&isB64 == 0 && s.t[end-1] != '=' {
		end--
	}
	for from < end && kinds[s.t[from]]&isB64 == 0 {
		from++
	}
	if end-from < 24 {
		return 0
	}
	s.add(from, end, PEM, 1)
	return end
}

// url tries scheme://user:password@host at its colon. A password may hold any
// byte but a space or quote.
func (s *scan) url(i int) {
	begin := i + 3
	colon, at, slash, inside := 0, 0, 0, false // inside: the slash is part of the password
	for p := begin; p-begin < 512; p++ {
		c := s.at(p)
		if c <= ' ' || c == '"' || c == '\'' || c == '<' || c == '>' || c == '`' {
			break
		}
		switch {
		case c == ':' && colon == 0 && slash == 0:
			colon = p
		case c == '@' && colon > 0 && (slash == 0 || inside):
			at = p
		case (c == '/' || c == '?' || c == '#') && slash == 0:
			if slash = p; colon == 0 {
				return
			}
			inside = at == 0 && !s.port(colon+1, slash)
		}
	}
	if at > colon+1 && colon > 0 && !placeholder(s.t[colon+1:at]) && !shown(s.t[begin:colon], s.t[colon+1:at]) {
		s.add(colon+1, at, DSNPassword, 0.95)
	}
}

// shown reports the pairs that documents show: user:pass, username:password.
func shown(user, pass []byte) bool {
	switch string(pass) {
	case "pass", "password", "passwd", "pwd", "pw", "PASSWORD", "PASS", "passwort", "secret":
		switch string(user) {
		case "user", "username", "usr", "USER", "USERNAME", "name", "login", "myuser":
			return true
		}
	}
	return false
}

// port reports whether [i, j) is digits only.
func (s *scan) port(i, j int) bool {
	for ; i < j; i++ {
		if kinds[s.t[i]]&isDigit == 0 {
			return false
		}
	}
	return true
}

// quotedPassword tries SQL's PASSWORD '…' and IDENTIFIED … BY '…' at the keyword
// [i, j), and returns 0 as what it finds may be looked at again.
func (s *scan) quotedPassword(i, j int) int {
	p := j
	switch {
	case s.folded(i, j, "password"):
	case s.folded(i, j, "identified"):
		for {
			q := s.spaces(p)
			end := q
			for s.kind(end)&isWord != 0 && end-q < 40 {
				end++
			}
			if q == p || end == q || end-j > 64 {
				return 0
			}
			p = end
			if s.folded(q, end, "by") {
				break
			}
		}
	default:
		return 0
	}
	if q := s.spaces(p); q > p && s.at(q) == '\'' {
		if from, end, _, ok := s.extent(q); ok && !placeholder(s.t[from:end]) {
			s.add(from, end, DSNPassword, 0.8)
		}
	}
	return 0
}

// spaces returns the end of at most 8 spaces at p.
func (s *scan) spaces(p int) int {
	q := p
	for q-p < 8 && s.at(q) > 0 && s.at(q) <= ' ' {
		q++
	}
	return q
}

// folded reports whether [i, j) is the word, in any case.
func (s *scan) folded(i, j int, word string) bool {
	if j-i != len(word) {
		return false
	}
	for k := range len(word) {
		if s.t[i+k]|0x20 != word[k] {
			return false
		}
	}
	return true
}
