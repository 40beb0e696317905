package detect

import (
	"math"
	"slices"
	"strings"
)

// A form is how the credentials of one provider look.
type form struct {
	class Class
	// shape is literal text with runs in braces: {x40} is 40 characters of the
	// alphabet x, {a22-30} between 22 and 30, {=} up to three '=', {uuid} a UUID.
	// What stands before a '|' leads to the secret and is no part of it.
	shape string
	// near lists words one of which must stand near, " a b "; "" when the shape
	// is sure by itself.
	near string
	// sum is the checksum that the last characters carry.
	sum sum
	// edges: what stands around must separate words (space, quote, bracket…),
	// because the shape occurs by chance in base64 and in names.
	edges bool
	// mixed: letters of both cases and a digit, or letters and digits that no
	// name has. For shapes that code is full of.
	mixed bool
	// plain: the run need not look random.
	plain bool
	from  source
}

// A source is where a fact of the table was read.
type source uint8

const (
	provider   source = iota // the provider's own documentation
	gitleaks                 // rules of github.com/gitleaks/gitleaks
	trufflehog               // detectors of github.com/trufflesecurity/trufflehog
)

// A sum is a kind of checksum.
type sum uint8

const (
	noSum     sum = iota
	crcBase62     // the last six characters are the CRC-32 of the 30 before them, in base 62
)

// A run is one part of a shape: a literal, or so many characters of a set.
type run struct {
	lit      string
	set      uint32 // bit of sets
	min, max int
	last     bool // nothing but this length can fit: what follows is not of the set
}

// A shape is a form made ready.
type shaped struct {
	*form
	lead  string // what it begins with
	runs  []run  // what follows
	skip  int    // bytes of lead that are no part of the secret
	short int    // fewest bytes of the whole
	sure  bool   // the lead alone says nearly enough
	bits  float32
}

// The alphabets that shapes name, each with the number of its characters.
var alphabets = map[byte]struct {
	chars string
	size  int
}{
	'd': {"0-9", 10},
	'x': {"0-9a-f", 16},
	'h': {"0-9a-fA-F", 16},
	'l': {"0-9a-z", 36},
	'u': {"0-9A-Z", 36},
	'L': {"a-zA-Z", 52},
	'a': {"0-9a-zA-Z", 62},
	'w': {"0-9a-zA-Z_", 63},
	'i': {"0-9a-z_-", 38},
	'j': {"0-9a-zA-Z-", 63},
	'k': {"0-9a-zA-Z_-", 64},
	'e': {"0-9a-zA-Z_=-", 65},
	'v': {"0-9a-zA-Z_=.-", 66},
	'z': {"0-9a-zA-Z._+/=", 67},
	'm': {"0-9a-h", 18},
	'b': {"0-9a-zA-Z+/", 64},
	'B': {"0-9a-zA-Z+/=_-", 67},
	'@': {"0-9a-zA-Z+/@_-", 67},
	'%': {"0-9a-zA-Z%+/=", 66},
	'q': {"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 32},
	'_': {"_-", 2},
	'=': {"=", 1},
}

// setOf gives each alphabet a bit; sets tells of each byte which it is in.
var setOf, sets = func() (map[byte]uint32, [256]uint32) {
	names := make([]byte, 0, len(alphabets))
	for name := range alphabets {
		names = append(names, name)
	}
	slices.Sort(names)
	of, in := map[byte]uint32{}, [256]uint32{}
	for i, name := range names {
		of[name] = 1 << i
		chars := alphabets[name].chars
		for k := 0; k < len(chars); k++ {
			last := chars[k]
			if k+2 < len(chars) && chars[k+1] == '-' {
				last = chars[k+2]
			}
			for c := int(chars[k]); c <= int(last); c++ {
				in[c] |= 1 << i
			}
			if last != chars[k] {
				k += 2
			}
		}
	}
	return of, in
}()

// ready takes a shape apart. A shape that is not well formed yields no runs,
// which a test forbids.
func ready(f *form) shaped {
	s := shaped{form: f, skip: -1}
	text := strings.ReplaceAll(f.shape, "{uuid}", "{h8}-{h4}-{h4}-{h4}-{h12}")
	for text != "" {
		open := strings.IndexByte(text, '{')
		if open != 0 {
			lit := text
			if open > 0 {
				lit = text[:open]
			}
			text = text[len(lit):]
			if before, after, cut := strings.Cut(lit, "|"); cut {
				s.skip, lit = len(before), before+after
			}
			s.short += len(lit)
			if s.lead == "" {
				s.lead = lit
			} else {
				s.runs = append(s.runs, run{lit: lit})
			}
			continue
		}
		end := strings.IndexByte(text, '}')
		r, ok := readRun(text[1:max(end, 1)])
		if !ok {
			return shaped{form: f}
		}
		s.short += r.min
		s.runs = append(s.runs, r)
		text = text[end+1:]
	}
	s.skip = max(s.skip, 0)
	s.finish()
	return s
}

func readRun(text string) (run, bool) {
	if text == "" {
		return run{}, false
	}
	r := run{set: setOf[text[0]]}
	if text == "=" {
		r.max = 3
		return r, true
	}
	low, high, ranged := strings.Cut(text[1:], "-")
	if !ranged {
		high = low
	}
	r.min, r.max = number10(low), number10(high)
	return r, r.set != 0 && r.max > 0 && r.min <= r.max
}

func number10(s string) (n int) {
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// finish settles which runs have one possible length, and how random what the
// runs hold must be at least: about two thirds of what chance gives the shortest.
func (s *shaped) finish() {
	n, size := 0, 0
	for i := range s.runs {
		r := &s.runs[i]
		if r.lit != "" {
			continue
		}
		r.last = i+1 == len(s.runs) || s.runs[i+1].lit != "" && sets[s.runs[i+1].lit[0]]&r.set == 0 || s.runs[i+1].set == setOf['=']
		for name, bit := range setOf {
			if bit == r.set && r.min >= n && name != '=' {
				n, size = r.min, alphabets[name].size
			}
		}
	}
	s.sure = len(s.lead) >= 4 && strings.ContainsAny(s.lead, "_-.~/")
	if s.plain || n < 10 {
		return
	}
	// The entropy of n characters drawn from size comes near the smaller of the two logarithms.
	s.bits = float32(min(math.Log2(float64(size)), math.Log2(float64(n))*0.95)) * 0.72
	if n >= 64 {
		s.bits = min(s.bits, 3)
	}
	if s.sure {
		s.bits = min(s.bits, 2) // only placeholders are refused
	}
}

// forms are the table made ready, by the first two bytes of each.
var forms, formsAt = func() ([]shaped, [1024][]uint16) {
	all, at := make([]shaped, len(tokenTable)), [1024][]uint16{}
	for i := range tokenTable {
		all[i] = ready(&tokenTable[i])
		if len(all[i].lead) >= 2 {
			h := twoBytes(all[i].lead[0], all[i].lead[1])
			at[h] = append(at[h], uint16(i))
		}
	}
	return all, at
}()

func twoBytes(a, b byte) int { return (int(a)*37 ^ int(b)*5) & 1023 }

// tokenClasses lists the classes of the table, sorted, each once.
func tokenClasses() []Class {
	var all []Class
	for i := range tokenTable {
		all = append(all, tokenTable[i].class)
	}
	for i := range keyedTable {
		all = append(all, keyedTable[i].class)
	}
	for i := range markedTable {
		all = append(all, markedTable[i].class)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Counted is the class under which values of c are counted: credentials of the
// many providers count together, as sensitive, and so do a deployment's own classes.
func Counted(c Class) Class {
	if _, _, own := OwnClass(c); own || together[c] {
		return Sensitive
	}
	return c
}

var together = func() map[Class]bool {
	m := map[Class]bool{}
	for _, c := range tokenClasses() {
		m[c] = c != AWSKey && c != GitHubToken
	}
	return m
}()

// token tries the table at the word [i, j). It returns the end of what was found, or 0.
func (s *scan) token(i, j int) int {
	if j-i < 2 && s.at(i+1) == 0 {
		return 0
	}
	best, end := -1, 0
	for _, k := range formsAt[twoBytes(s.t[i], s.at(i+1))] {
		f := &forms[k]
		if !s.literal(i, f.lead) {
			continue
		}
		p := s.runs(i+len(f.lead), f.runs)
		if p <= end || !s.tokenFits(f, i, p) {
			continue
		}
		best, end = int(k), p
	}
	if best < 0 {
		return 0
	}
	f := &forms[best]
	score := float32(0.95)
	switch {
	case f.sum == crcBase62 && crc62(s.t[i+len(f.lead):end]):
		score = 1
	case f.sum == crcBase62:
		score = 0.6
	case f.near != "":
		score = 0.85
	}
	if example(s.t[i:end]) {
		score = threshold
	}
	s.add(i+f.skip, end, f.class, score)
	return end
}

// tokenFits judges what a shape matched: its surroundings and how random it is.
func (s *scan) tokenFits(f *shaped, i, end int) bool {
	if s.kind(end)&isWord != 0 && end > i+len(f.lead) {
		return false
	}
	if f.edges && (!edge(s.before(i)) || !edge(s.at(end))) {
		return false
	}
	body := s.t[i+len(f.lead) : end]
	if f.bits > 0 && (entropy(body) < f.bits || filled(body) || !f.sure && sequence(body)) {
		return false
	}
	if f.mixed && (!mixed(body) || !random(body, true)) {
		return false
	}
	if f.near != "" {
		return s.near(i, -1, f.near) || s.near(end, 1, f.near)
	}
	return true
}

// edge reports what separates a token from what is around it.
func edge(c byte) bool {
	return c <= ' ' || strings.IndexByte("\"'`=:;,()[]{}<>|&?\\#", c) >= 0
}

// mixed reports a digit beside letters of both cases, or several digits among letters.
func mixed(v []byte) bool {
	digits, or := 0, uint8(0)
	for _, c := range v {
		or |= kinds[c]
		if kinds[c]&isDigit != 0 {
			digits++
		}
	}
	return digits > 0 && or&(isUp|isLow) == isUp|isLow || digits > 2 && or&(isUp|isLow) != 0
}

// literal reports whether text stands at i.
func (s *scan) literal(i int, text string) bool {
	for k := range len(text) {
		if s.at(i+k) != text[k] {
			return false
		}
	}
	return true
}

// runs returns where the runs that begin at p end, or 0.
func (s *scan) runs(p int, rs []run) int {
	for k := range rs {
		r := &rs[k]
		if r.lit != "" {
			if !s.literal(p, r.lit) {
				return 0
			}
			p += len(r.lit)
			continue
		}
		n := 0
		for n < r.max && sets[s.at(p+n)]&r.set != 0 {
			n++
		}
		switch {
		case n < r.min:
			return 0
		case r.min == r.max:
		case r.last:
			if sets[s.at(p+n)]&r.set != 0 {
				return 0 // longer than any
			}
		default:
			for ; n >= r.min; n-- {
				if end := s.runs(p+n, rs[k+1:]); end > 0 {
					return end
				}
			}
			return 0
		}
		p += n
	}
	if n := len(rs); n > 0 && rs[n-1].lit == "" && sets[s.at(p)]&rs[n-1].set != 0 {
		return 0
	}
	return p
}
