package detect

import "slices"

// Kinds of bytes. A word is a run of digits, letters and underscores; a mark is
// a byte that may begin or join a candidate.
const (
	isDigit = 1 << iota
	isUp
	isLow
	isUnder
	isMark
	isHigh  // ≥ 0x80
	isLocal // may stand in the local part of an address
	isB64   // base64 or base64url
	isWord  = isDigit | isUp | isLow | isUnder
)

var kinds = func() (t [256]uint8) {
	for c := range 256 {
		b := byte(c)
		switch {
		case b >= '0' && b <= '9':
			t[c] = isDigit | isLocal | isB64
		case isUpper(b):
			t[c] = isUp | isLocal | isB64
		case isLower(b):
			t[c] = isLow | isLocal | isB64
		case b >= 0x80:
			t[c] = isHigh | isLocal
		}
	}
	t['_'] = isUnder | isLocal | isB64
	for _, c := range []byte(".%+-'") {
		t[c] |= isLocal
	}
	for _, c := range []byte("+/-") {
		t[c] |= isB64
	}
	for _, c := range []byte("@:=%\\-+(&~\x1b") {
		t[c] |= isMark
	}
	return t
}()

const (
	maxCandidate = 4096 // bytes of the longest candidate
	maxBehind    = 192  // bytes before a position that a decision may look at
	maxDepth     = 3    // levels of decoding
	threshold    = 0.5
)

// A scan is one pass over t. It owns its fields; one goroutine uses it.
//
// Everything it decides at position i depends on t[i-maxBehind:] and on bytes
// ahead that it reads through at, so a pass that ran out of bytes knows it
// (short), forgets that step, and repeats it when there are more.
type scan struct {
	e     *Engine
	t     []byte
	i     int
	final bool // t is complete
	short bool // a byte past the end of t was asked for
	out   []Finding
	lo    int // findings before it are not ours to change
	depth int
	every bool // visit every word, and decode so
	marks

	skimmer skimmer

	own   ownState // of the deployment's detectors
	read  *reading // of names
	inner *scan    // for decoded text
	plain []byte   // decoded text
	fresh int      // what is before it in plain was not decoded
	from  []int32  // where each byte of plain begins in t
	to    []int32  // and where it ends
	found []Finding
	undo  []Finding // what stood behind the first kept findings before this step
	kept  int
	trace *trace // nil: nobody asks why

	num     number // that is judged
	around  around
	wordBuf [maxWord]byte // a word that is listened to
}

// marks are positions in t that later steps need; 0 is none.
type marks struct {
	run  int // a base64 run goes on here
	pem  int // a private key goes on here
	seen int // escapes before it are decoded
	sewn int // encoded lines before it are decoded together
}

func (s *scan) reset(e *Engine, t []byte, dst []Finding) {
	s.e, s.t, s.out, s.lo = e, t, dst, len(dst)
	s.i, s.marks, s.short, s.final, s.depth = 0, marks{}, false, false, 0
	s.skimmer.to = 0
	if s.read != nil {
		s.read.at = 0
	}
	if e != nil {
		s.own.reset(len(e.own))
	}
}

// release forgets the text, so that no value stays in a pooled scan.
func (s *scan) release() {
	for p := s; p != nil; p = p.inner {
		clear(p.plain[:cap(p.plain)])
		if p.read != nil {
			p.read.text.Forget()
		}
		p.t, p.out, p.e = nil, nil, nil
		p.num, p.wordBuf, p.around = number{}, [maxWord]byte{}, around{}
	}
}

// at returns the byte at i, or 0 past the end.
func (s *scan) at(i int) byte {
	if i < len(s.t) {
		return s.t[i]
	}
	s.short = !s.final
	return 0
}

func (s *scan) kind(i int) uint8 { return kinds[s.at(i)] }

// before returns the byte before i, or 0.
func (s *scan) before(i int) byte {
	if i > 0 {
		return s.t[i-1]
	}
	return 0
}

// steps runs until the text ends, or until a step wants bytes that are not there yet.
func (s *scan) steps() {
	if !s.every {
		s.skim()
	}
	s.each()
}

// each visits every word and mark from s.i on.
func (s *scan) each() {
	for s.i < len(s.t) {
		if kinds[s.t[s.i]]&(isWord|isMark|isHigh) == 0 {
			s.i++
			continue
		}
		if !s.visit() {
			return
		}
	}
}

// visit takes the step at s.i. It returns false, and all is as before, when the
// step wants bytes that are not there yet.
func (s *scan) visit() bool {
	k := kinds[s.t[s.i]]
	s.around.known = false
	if s.final {
		s.i = s.step(s.i, k)
		return true
	}
	was := s.marks
	s.undo, s.kept = s.undo[:0], len(s.out)
	next := s.step(s.i, k)
	kept := s.kept
	s.kept = 0 // nothing is undone but a step
	if s.short {
		s.short, s.marks = false, was
		s.out = append(s.out[:kept], s.undo...)
		return false
	}
	s.i = next
	return true
}

// step handles what begins at i and returns where to go on.
func (s *scan) step(i int, k uint8) int {
	switch {
	case s.pem == i && i > 0:
		return s.pemBody(i)
	case s.run == i && i > 0:
		if next := s.base64(i); next > i {
			return next
		}
	}
	if k&isHigh != 0 {
		return s.high(i)
	}
	if k&isWord != 0 {
		return s.word(i)
	}
	return s.mark(i)
}

// word handles the word that begins at i.
func (s *scan) word(i int) int {
	j, or := i, uint8(0)
	for j < len(s.t) && j-i < maxCandidate {
		k := kinds[s.t[j]]
		if k&isWord == 0 {
			break
		}
		or |= k
		j++
	}
	if j == len(s.t) && !s.final {
		s.short = true
		return i
	}
	if next := s.candidate(i, j, or); next > i {
		return next
	}
	return j
}

// candidate tries what may begin with the word [i, j), whose bytes have the
// kinds in or. It returns 0 when nothing was found. What it asks first of each
// hook is what a scan that passes over most words looks for.
func (s *scan) candidate(i, j int, or uint8) int {
	n := j - i
	keyword, secret := s.led(i, j)
	if secret || s.tokened(i, j) {
		if next := s.token(i, j); next > 0 {
			return next
		}
		if n > 10 && s.t[i] == 'e' && s.t[i+1] == 'y' && s.t[i+2] == 'J' {
			if next := s.jwt(i); next > 0 {
				return next
			}
		}
	}
	if secret {
		if next := s.secretWord(i, j); next > 0 {
			return next
		}
	}
	if keyword {
		if next := s.keyword(i, j); next > 0 {
			return next
		}
	}
	if or&isDigit != 0 && or&(isUp|isLow|isUnder) == 0 {
		if s.numbered(i) {
			if next := s.marked(i, j); next > 0 {
				return next
			}
			if next := s.named(i); next > 0 {
				return next
			}
			if next := s.numeric(i); next > 0 {
				return next
			}
		}
	} else if s.idLike(i, j, or) {
		if next := s.marked(i, j); next > 0 {
			return next
		}
		if next := s.idWord(i, j, or); next > 0 {
			return next
		}
	}
	if n >= minRun && or&isDigit != 0 && or&(isUp|isLow|isUnder) != 0 {
		s.embedded(i, j)
	}
	if s.at(j) == ':' && n <= 4 {
		if next := s.ip6(i); next > 0 {
			return next
		}
	}
	if n >= minRun || !s.joined(i) && s.runOf(i, minRun) {
		if next := s.azure(i); next > 0 {
			return next
		}
		if next := s.named(i); next > 0 {
			return next
		}
		if next := s.awsSecret(i); next > 0 {
			return next
		}
		if next := s.hex(i, j); next > 0 {
			return next
		}
		return s.base64(i)
	}
	return 0
}

// joined reports whether the word at i goes on a run of base64.
func (s *scan) joined(i int) bool {
	return kinds[s.before(i)]&isB64 != 0 && !s.escapeLetter(i-1)
}

// mark handles the mark at i.
func (s *scan) mark(i int) int {
	switch s.t[i] {
	case '@':
		return s.email(i)
	case ':':
		if s.at(i+1) == '/' && s.at(i+2) == '/' {
			s.url(i)
			return i + 3
		}
		if s.keyed(i) {
			s.assignment(i)
		}
	case '=':
		if s.keyed(i) {
			s.assignment(i)
		}
		if s.printable(i) {
			s.escaped(i)
		}
	case '-':
		if s.at(i+1) == '-' && s.at(i+2) == '-' {
			return s.pemBegin(i)
		}
	case '+', '(':
		if (s.t[i] == '+' && (s.kind(i+1)&isDigit != 0 || s.at(i+1) == '(') || s.inBrackets(i)) && s.numbered(i) {
			if next := s.numeric(i); next > 0 {
				return next
			}
		}
	case '~':
		if s.tilde(i) {
			if next := s.azureAD(i + 1); next > 0 {
				return next
			}
		}
	case '%', '&':
		s.escaped(i)
	case 0x1b:
		if s.styled(i) {
			s.escaped(i)
		}
	case '\\':
		switch s.at(i + 1) {
		case 'x':
			if next := s.hexRun(i + 2); next > 0 {
				return next
			}
		case 'n', 'r', 't':
			return i + 2 // the letter is none of the word behind it
		}
		s.escaped(i)
	}
	return i + 1
}

// add takes a finding. Findings that overlap become one, so that no part of
// either is left out: the class is that of the covering one, else of the surer.
func (s *scan) add(start, end int, class Class, score float32) {
	if s.trace != nil {
		s.trace.add(start, end, class, score)
	}
	if start >= end || score < threshold || s.e.off[class] {
		return
	}
	f := Finding{start, end, class, min(score, 1)}
	s.note(start)
	at := len(s.out)
	for at > s.lo && s.out[at-1].End > f.Start {
		at--
		old := s.out[at]
		if old.Start >= f.End {
			continue
		}
		if f.Class == Email && old.Class == DSNPassword && old.End < f.End {
			return // the '@' after a password in a URL
		}
		if old.Start <= f.Start && old.End >= f.End && (old.Start < f.Start || old.End > f.End || old.Score >= f.Score) {
			return
		}
		if (f.Start > old.Start || f.End < old.End) && old.Score > f.Score {
			f.Class, f.Score = old.Class, old.Score
		}
		f.Start, f.End = min(f.Start, old.Start), max(f.End, old.End)
		s.out = append(s.out[:at], s.out[at+1:]...)
	}
	for at < len(s.out) && s.out[at].Start < f.Start {
		at++
	}
	s.out = append(s.out, Finding{})
	copy(s.out[at+1:], s.out[at:])
	s.out[at] = f
}

// note keeps the findings that one from start on may change, to be undone.
func (s *scan) note(start int) {
	if s.final {
		return
	}
	at := s.kept
	for at > s.lo && s.out[at-1].End > start {
		at--
	}
	if at < s.kept {
		s.undo = slices.Insert(s.undo, 0, s.out[at:s.kept]...)
		s.kept = at
	}
}
