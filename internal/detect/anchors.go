package detect

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
)

const (
	minRun     = 16 // base64 characters that may be a key or encoded text
	minToken   = 13 // base64 characters that a token has at least, counted from its first letter
	minDigits  = 7  // digits of a number that no keyword leads
	maxNumber  = 24 // bytes in which they stand
	digitAhead = 48 // bytes from a keyword in which its value has a digit
	keyBehind  = 12 // bytes between a key and its '=' or ':'
)

// bits65536 is a set of pairs of bytes, and of three letters in any case.
type bits65536 [1 << 10]uint64

func (t *bits65536) set(n uint16)      { t[n>>6] |= 1 << (n & 63) }
func (t *bits65536) has(n uint16) bool { return t[n>>6]>>(n&63)&1 != 0 }

func pair(a, b byte) uint16    { return uint16(a)<<8 | uint16(b) }
func gram(a, b, c byte) uint16 { return uint16(a&31)<<10 | uint16(b&31)<<5 | uint16(c&31) }

// anchors are words to find at the beginnings of parts of words.
type anchors struct {
	grams bits65536
	whole bool     // a word must be the whole part
	words []string // by slot
	slots [257]uint16
}

func anchorsOf(words []string, whole bool) *anchors {
	t := &anchors{words: slices.Clone(words), whole: whole}
	slices.SortFunc(t.words, func(a, b string) int { return cmp.Compare(slot(gramOf(a)), slot(gramOf(b))) })
	for _, w := range t.words {
		t.grams.set(gramOf(w))
		t.slots[slot(gramOf(w))+1]++
	}
	for k := 1; k < len(t.slots); k++ {
		t.slots[k] += t.slots[k-1]
	}
	return t
}

// four puts what four bytes are, in any case, in one of 65536 places, and others with them.
func four(a, b, c, d byte) uint16 {
	return uint16((uint32(a) | uint32(b)<<8 | uint32(c)<<16 | uint32(d)<<24) & 0x1f1f1f1f * 0x9E3779B1 >> 16)
}

// fourAt is four of the bytes at p, of which three are there.
func fourAt(t []byte, p int) uint16 {
	if p+4 > len(t) {
		return four(t[p], t[p+1], t[p+2], 0)
	}
	return uint16(binary.LittleEndian.Uint32(t[p:]) & 0x1f1f1f1f * 0x9E3779B1 >> 16)
}

func gramOf(w string) uint16 { return gram(w[0], w[1], w[2]) }

func slot(g uint16) int { return int(g * 40503 >> 8) }

// leads reports whether one of the words begins at p, in any case. Three letters are there.
func (s *scan) leads(t *anchors, p int) bool {
	g := gram(s.t[p], s.t[p+1], s.t[p+2])
	if !t.grams.has(g) {
		return false
	}
	k := slot(g)
	for _, w := range t.words[t.slots[k]:t.slots[k+1]] {
		if s.foldedAt(p, w) && (!t.whole || s.partEnds(p+len(w))) {
			return true
		}
	}
	return false
}

// partEnds reports whether a part of a word ends before p: "passport" does before "Number".
func (s *scan) partEnds(p int) bool {
	k := s.kind(p)
	return k&(isUp|isLow) == 0 || k&isUp != 0 && kinds[s.t[p-1]]&isLow != 0
}

// A leadIndex tells by its first four bytes which of the anchors may begin somewhere.
type leadIndex struct {
	fives
	slots   [1025]uint16
	entries []leadEntry
}

type leadEntry struct {
	place     uint16
	what      uint8
	key, mask uint64 // of its first eight bytes
	word      string
}

// What a leadEntry is a word of.
const (
	ofKeyword = 1 << iota
	ofSecret
	ofProvider
)

func placesOf() *leadIndex {
	t := &leadIndex{}
	add := func(words []string, what uint8, signs string) {
		for _, w := range words {
			e := leadEntry{what: what, word: w}
			for k := range min(len(w), 8) {
				e.key |= uint64(w[k]|0x20) << (8 * k)
				e.mask |= 0xff << (8 * k)
			}
			done := map[uint16]bool{}
			for _, c := range fourthsOf(w, signs) {
				if e.place = t.add(w, c, signs); !done[e.place] {
					done[e.place] = true
					t.entries = append(t.entries, e)
				}
			}
		}
	}
	add(keywordWords.words, ofKeyword, "")
	add(secretWords.words, ofSecret, "")
	add(keyedWords.words, ofProvider, nameSigns)
	slices.SortFunc(t.entries, func(a, b leadEntry) int { return cmp.Compare(a.place, b.place) })
	for _, e := range t.entries {
		t.slots[e.place>>6+1]++
	}
	for k := 1; k < len(t.slots); k++ {
		t.slots[k] += t.slots[k-1]
	}
	return t
}

// fives tell by its first five bytes which words may begin somewhere.
type fives struct {
	begins bits65536       // by the place of four
	fifth  [1 << 13]uint32 // what the fifth may be
}

// add takes a word whose fourth byte is c, and returns the place.
func (t *fives) add(w string, c byte, signs string) uint16 {
	place := four(w[0], w[1], w[2], c)
	t.begins.set(place)
	t.fifth[place>>3] |= fifthOf(w, c, signs)
	return place
}

// at reports whether a word may begin at p, and the place of it. Three bytes are there.
func (t *fives) at(text []byte, p int) (uint16, bool) {
	place := fourAt(text, p)
	if !t.begins.has(place) {
		return 0, false
	}
	c := byte(0)
	if p+4 < len(text) {
		c = text[p+4]
	}
	return place, t.fifth[place>>3]>>(c&31)&1 != 0
}

// fourthsOf returns what the fourth byte of a word may be.
func fourthsOf(w, signs string) []byte {
	out := []byte(signs)
	if len(w) > 3 {
		return append(out, w[3])
	}
	for c := range byte(32) { // whatever follows
		out = append(out, c)
	}
	return out
}

// fifthOf returns what the fifth byte may be of a word whose fourth is c.
func fifthOf(w string, c byte, signs string) (may uint32) {
	after := 4
	if len(w) > 3 && c != w[3] {
		after = 3 // c is a sign
	}
	if len(w) <= after {
		return ^uint32(0)
	}
	for _, d := range []byte(w[after:after+1] + signs) {
		may |= 1 << (d & 31)
	}
	return may
}

// leadsAt reports which anchors begin at p, where three letters are; place is fourAt.
func (s *scan) leadsAt(p int, place uint16) (what uint8) {
	eight := uint64(0)
	if p+8 <= len(s.t) {
		eight = binary.LittleEndian.Uint64(s.t[p:])
	} else {
		for k, c := range s.t[p:] {
			eight |= uint64(c) << (8 * k)
		}
	}
	eight |= 0x2020202020202020
	at := leadPlaces.slots[place>>6 : place>>6+2]
	for k := at[0]; k < at[1]; k++ {
		e := &leadPlaces.entries[k]
		if e.place != place || what&e.what != 0 {
			continue
		}
		if other := (eight ^ e.key) & e.mask; other != 0 {
			// A sign between the letters of a provider's name, or nothing.
			k := bits.TrailingZeros64(other) >> 3
			if e.what == ofProvider && strings.IndexByte(nameSigns, s.byte(p+k)) >= 0 && s.apart(p, e.word) {
				what |= ofProvider
			}
			continue
		}
		switch e.what {
		case ofProvider:
			if s.apart(p, e.word) {
				what |= ofProvider
			}
		case ofKeyword:
			if s.foldedAt(p, e.word) && s.partEnds(p+len(e.word)) {
				what |= ofKeyword
			}
		default:
			if s.foldedAt(p, e.word) {
				what |= ofSecret
			}
		}
	}
	return what
}

// foldedAt reports whether word stands at p, in any case.
func (s *scan) foldedAt(p int, word string) bool {
	for k := range len(word) {
		if s.at(p+k)|0x20 != word[k]|0x20 {
			return false
		}
	}
	return true
}

// tokens tells where a token of the table may begin: with minToken characters of
// base64, with a word and a dot, with "3M", "dG" or "sc_", or with letters that
// are an anchor.
type tokens struct {
	begins bits65536 // by place, of the first three bytes
	dots   bits65536 // the two bytes before the dot
	words  []string
}

func place(a, b, c byte) uint16 {
	return uint16((uint32(a) | uint32(b)<<8 | uint32(c)<<16) * 0x9E3779B1 >> 16)
}

func tokensOf(forms []shaped) *tokens {
	t := &tokens{}
	t.begins.set(place('e', 'y', 'J')) // a JWT
	for i := range forms {
		f := &forms[i]
		word := 0
		for word < len(f.lead) && kinds[f.lead[word]]&isWord != 0 {
			word++
		}
		switch {
		case f.base64() >= minToken, len(f.lead) >= 3 && oddStart([]byte(f.lead)):
			t.addRun(f)
		case word > 1 && word < len(f.lead) && f.lead[word] == '.':
			t.dots.set(pair(f.lead[word-2], f.lead[word-1]))
		case word == 1 && f.lead[1] == '.':
			for c := range 256 {
				if kinds[c]&isWord == 0 {
					t.dots.set(pair(byte(c), f.lead[0]))
				}
			}
		default:
			if lead := strings.TrimLeft(f.lead, "_"); len(lead) >= 3 && letters(lead[0], lead[1], lead[2]) {
				t.words = append(t.words, lead)
			}
		}
	}
	slices.Sort(t.words)
	t.words = slices.Compact(t.words)
	return t
}

func (t *tokens) addRun(f *shaped) {
	if len(f.lead) >= 3 {
		t.begins.set(place(f.lead[0], f.lead[1], f.lead[2]))
		return
	}
	for c := range 256 {
		if sets[c]&f.runs[0].set != 0 {
			t.begins.set(place(f.lead[0], f.lead[1], byte(c)))
		}
	}
}

// base64 returns how many characters of base64 every token of this shape begins with.
func (f *shaped) base64() int {
	n := 0
	for n < len(f.lead) {
		if kinds[f.lead[n]]&isB64 == 0 {
			return n
		}
		n++
	}
	for _, r := range f.runs {
		for k := range len(r.lit) {
			if kinds[r.lit[k]]&isB64 == 0 {
				return n
			}
			n++
		}
		for c := range 256 {
			if sets[c]&r.set != 0 && kinds[c]&isB64 == 0 {
				return n
			}
		}
		if n += r.min; r.min < r.max {
			return n
		}
	}
	return n
}

var (
	tokenStarts  = tokensOf(forms)
	keywordWords = anchorsOf(keywordAnchors(), true)
	secretWords  = anchorsOf(append(secretAnchors(), tokenStarts.words...), false)
	keyedWords   = func() *anchors {
		var all []string
		for i := range keyedTable {
			all = append(all, keyedTable[i].word)
		}
		slices.Sort(all)
		return anchorsOf(slices.Compact(all), false)
	}()
	leadGrams = union(&keywordWords.grams, &secretWords.grams, &keyedWords.grams)

	leadPlaces = placesOf()
	keyEnds    = func() *bits65536 {
		t := &bits65536{}
		for _, w := range keyTails() {
			t.set(gramOf(w[len(w)-3:]))
		}
		return t
	}()
)

func union(sets ...*bits65536) *bits65536 {
	var t bits65536
	for _, set := range sets {
		for k, v := range set {
			t[k] |= v
		}
	}
	return &t
}

// nameSigns may stand between the letters of a provider's name.
const nameSigns = "_-. "

// provides reports whether the name of a provider of keyedTable stands at p, with
// one sign between its letters or none. Three letters are there.
func (s *scan) provides(p int) bool {
	g := gram(s.t[p], s.t[p+1], s.t[p+2])
	if !keyedWords.grams.has(g) {
		return false
	}
	k := slot(g)
	for _, w := range keyedWords.words[keyedWords.slots[k]:keyedWords.slots[k+1]] {
		if s.apart(p, w) {
			return true
		}
	}
	return false
}

// apart reports whether word stands at p, in any case, with signs between its letters or none.
func (s *scan) apart(p int, word string) bool {
	for n := range len(word) {
		c := s.at(p)
		if n > 0 && (c == '_' || c == '-' || c == '.' || c == ' ') {
			p++
			c = s.at(p)
		}
		if c|0x20 != word[n]|0x20 {
			return false
		}
		p++
	}
	return true
}

// providerIn reports whether a part of the name [i, j) provides.
func (s *scan) providerIn(i, j int) bool {
	before := uint8(0)
	for p := i; p+3 <= j; p++ {
		k := kinds[s.t[p]]
		if k&(isUp|isLow) != 0 && (k&isUp != 0 || before&(isUp|isLow) == 0) && letters(s.t[p], s.t[p+1], s.t[p+2]) && s.provides(p) {
			return true
		}
		before = k
	}
	return false
}

// tilde reports whether the '~' at i stands as in a secret of Microsoft Entra.
func (s *scan) tilde(i int) bool {
	return i >= 2 && s.t[i-1] == 'Q' && kinds[s.t[i-2]]&isDigit != 0
}

// runOf reports whether n characters of base64 stand at i.
func (s *scan) runOf(i, n int) bool {
	for p := i; p < i+n; p++ {
		if s.kind(p)&isB64 == 0 {
			return false
		}
	}
	return true
}

// tokened reports whether the word [i, j) may begin a token of the table.
func (s *scan) tokened(i, j int) bool {
	if s.at(j) == '.' && tokenStarts.dots.has(pair(s.before(j-1), s.t[j-1])) && (s.kind(j+1)&isB64 != 0 || s.at(j+1) == '.') {
		return true
	}
	if !s.runOf(i, 3) || !tokenStarts.begins.has(place(s.t[i], s.t[i+1], s.t[i+2])) {
		return false
	}
	return (oddStart(s.t[i:]) || s.runOf(i+3, minToken-3)) && s.tokenLead(i)
}

// oddStart reports a beginning that few words have: "sc_", "3M", "dG". v has three bytes.
func oddStart(v []byte) bool {
	return v[2] == '_' || kinds[v[0]]&(isLow|isDigit) != 0 && kinds[v[1]]&isUp != 0
}

// tokenLead reports whether what tokens of the table begin with stands at i, or a JWT.
func (s *scan) tokenLead(i int) bool {
	if s.at(i) == 'e' && s.at(i+1) == 'y' && s.at(i+2) == 'J' {
		return true
	}
	for _, k := range formsAt[twoBytes(s.t[i], s.at(i+1))] {
		if s.literal(i, forms[k].lead) {
			return true
		}
	}
	return false
}

// led reports whether a part of the word [i, j) begins with a keyword that has a
// digit near it, and whether one begins with a word of secrets. The parts are
// "card", "Cvv" and "code" in "cardCvv_code".
func (s *scan) led(i, j int) (keyword, secret bool) {
	before := uint8(0)
	for p := i; p+3 <= j; p++ {
		k := kinds[s.t[p]]
		if k&(isUp|isLow) != 0 && (k&isUp != 0 || before&(isUp|isLow) == 0) && leadGrams.has(gram(s.t[p], s.t[p+1], s.t[p+2])) &&
			letters(s.t[p], s.t[p+1], s.t[p+2]) && s.part(i, p, j) {
			secret = secret || s.leads(secretWords, p)
			keyword = keyword || s.leads(keywordWords, p) && s.digitWithin(p)
		}
		before = k
	}
	return keyword, secret
}

func letters(a, b, c byte) bool {
	return kinds[a]&(isUp|isLow) != 0 && kinds[b]&(isUp|isLow) != 0 && kinds[c]&(isUp|isLow) != 0
}

// part reports whether a part of the word [i, j) begins with the letter at p.
func (s *scan) part(i, p, j int) bool {
	if p == i || kinds[s.t[p-1]]&(isUp|isLow) == 0 {
		return true
	}
	return kinds[s.t[p]]&isUp != 0 && (kinds[s.t[p-1]]&isLow != 0 || p+1 < j && kinds[s.t[p+1]]&isLow != 0)
}

func (s *scan) digitWithin(p int) bool {
	for q := p; q < p+digitAhead; q++ {
		if s.kind(q)&isDigit != 0 {
			return true
		}
	}
	return false
}

// keyed reports whether the last three letters before the '=' or ':' at i end
// the name of a secret.
func (s *scan) keyed(i int) bool {
	p := i
	for p > 0 && i-p < keyBehind && kinds[s.t[p-1]]&(isUp|isLow) == 0 {
		p--
	}
	return p >= 3 && letters(s.t[p-3], s.t[p-2], s.t[p-1]) && keyEnds.has(gram(s.t[p-3], s.t[p-2], s.t[p-1]))
}

// numbered reports whether a number begins at i that may be something by itself:
// minDigits digits, or four between three dots, with nothing but separators
// between them. A day is none, and no fraction.
func (s *scan) numbered(i int) bool {
	if s.day(i) || s.fraction(i) {
		return false
	}
	digits, dots := 0, 0
	for p := i; p < i+maxNumber; p++ {
		c := s.at(p)
		switch {
		case kinds[c]&isDigit != 0:
			digits++
		case c == '.':
			dots++
		case !isSeparator(c) && c != '+':
			return false
		}
		if digits >= minDigits || dots >= 3 && digits >= 4 {
			return true
		}
	}
	return false
}

// day reports 2026-01-15 or 2026/01/15 at i, with nothing behind it that could be more
// of a number than the hours of a time.
func (s *scan) day(i int) bool {
	if c := s.at(i); c != '2' && c != '1' {
		return false
	}
	sep := s.at(i + 4)
	if sep != '-' && sep != '/' || s.at(i+7) != sep || s.t[i] == '2' && s.t[i+1] != '0' || s.t[i] == '1' && s.t[i+1] != '9' {
		return false
	}
	for _, k := range [...]int{1, 2, 3, 5, 6, 8, 9} {
		if s.kind(i+k)&isDigit == 0 {
			return false
		}
	}
	c := s.at(i + 10)
	if !isSeparator(c) && c != '+' {
		return kinds[c]&isDigit == 0
	}
	return c == ' ' && s.kind(i+11)&isDigit != 0 && s.kind(i+12)&isDigit != 0 && s.at(i+13) == ':'
}

// fraction reports digits, a dot and digits at i, with nothing behind them that
// could be more of a number.
func (s *scan) fraction(i int) bool {
	p := i
	for p-i < maxNumber && s.kind(p)&isDigit != 0 {
		p++
	}
	dot := p
	if s.at(dot) != '.' {
		return false
	}
	for p++; p-i < maxNumber && s.kind(p)&isDigit != 0; p++ {
	}
	c := s.at(p)
	return p > dot+1 && kinds[c]&(isDigit|isUp|isLow) == 0 && c != '+' &&
		(!isSeparator(c) || s.kind(p+1)&isDigit == 0 && !isSeparator(s.at(p+1)) && s.at(p+1) != '+')
}

// inBrackets reports up to five digits between brackets at i.
func (s *scan) inBrackets(i int) bool {
	p := i + 1
	for p-i < 6 && s.kind(p)&isDigit != 0 {
		p++
	}
	return p > i+1 && s.at(p) == ')'
}

// idLike reports whether the word [i, j) has the shape of an id. See idWord.
func (s *scan) idLike(i, j int, or uint8) bool {
	switch n := j - i; {
	case n == 32 && s.at(j) == '-' && s.at(j+1) == 'u':
		return true // of Mailchimp
	case n == 2:
		return kinds[s.t[i]]&kinds[s.t[i+1]]&isUp != 0 && s.at(j) == ' ' && s.kind(j+1)&isDigit != 0 && s.kind(j+2)&isDigit != 0
	}
	return or&isDigit != 0 && idShape(s.t[i:j], or)
}

// idShape is idLike of a word with a digit, but for what stands behind it; or is what its bytes are, together.
func idShape(w []byte, or uint8) bool {
	if len(w) >= minRun && (or&isUp != 0 || w[0] == '0') {
		return true
	}
	if len(w) < 4 || or&(isUp|isLow) == 0 {
		return false
	}
	a, b, c, d := kinds[w[0]], kinds[w[1]], kinds[w[2]], kinds[w[3]]
	if a&(isUp|isLow) != 0 && b&(isUp|isLow) != 0 && c&isDigit != 0 && (d&isDigit != 0 || len(w) >= minRun) ||
		a&isDigit != 0 && b&isUp != 0 && c&(isUp|isDigit) != 0 && d&isDigit != 0 {
		return true
	}
	digits := 0
	for p, x := range w {
		k := kinds[x]
		if k&isDigit == 0 {
			if k&isUp != 0 && digits >= 4 {
				return true
			}
			digits = 0
			continue
		}
		if digits++; digits >= 4 && p >= digits && kinds[w[p-digits]]&isUp != 0 {
			return true
		}
	}
	return false
}
