package detect

import "strings"

const maxHeard = 80 // rows of the table that have words

// heard tells of each row of the table how far away one of its words stands,
// and one more; 0: none near.
type heard [maxHeard]uint8

// heardWords are the words of the table, each with the rows that have it.
var heardWords = func() map[string][]uint8 {
	m := map[string][]uint8{}
	for i := range min(len(table), maxHeard) {
		for _, w := range strings.Fields(table[i].words) {
			m[w] = append(m[w], uint8(i))
		}
	}
	return m
}()

// around is what was heard near a value, until the next step.
type around struct {
	heard
	start, end int
	known, any bool
}

// listen returns the words near [start, end), which are those of this step until
// they are asked for elsewhere. A word is letters only; "phoneNumber" is two.
// One on another line is farther, and so is one behind.
func (s *scan) listen(start, end int) *around {
	a := &s.around
	if a.known && a.start == start && a.end == end {
		return a
	}
	if a.any {
		a.heard = heard{}
	}
	a.start, a.end, a.known, a.any = start, end, true, false
	if lo := max(0, start-wordsBefore); s.mayHear(lo, start) {
		s.words(lo, start, func(begin, stop int, w []byte) {
			if !listenedTo(w) {
				return
			}
			d := start - stop
			for p := stop; p < start; p++ {
				if s.t[p] == '\n' {
					d += wordsAfter
					break
				}
			}
			a.note(w, d)
		})
	}
	s.at(end + wordsAfter)
	if hi := min(end+wordsAfter, len(s.t)); s.mayHear(end, hi) {
		s.words(end, hi, func(begin, stop int, w []byte) {
			if listenedTo(w) {
				a.note(w, wordsAfter+begin-end)
			}
		})
	}
	return a
}

// listenedTo reports whether a word of the table begins as w does.
func listenedTo(w []byte) bool { return len(w) < 3 || contextGrams.has(gram(w[0], w[1], w[2])) }

func (a *around) note(word []byte, far int) {
	for _, i := range heardWords[string(word)] {
		a.any = true
		if d := uint8(min(far, 250) + 1); a.heard[i] == 0 || d < a.heard[i] {
			a.heard[i] = d
		}
	}
}

const maxWord = 32 // bytes of the longest word that is listened to

// words calls f with each word of letters in [lo, hi), in lower case, and with each
// part of "IdNr"; few letters beside a digit are no word. A word that begins before lo is not whole, and is left out.
func (s *scan) words(lo, hi int, f func(begin, end int, word []byte)) {
	if lo > 0 && isLetter(s.t[lo-1]) {
		for lo < hi && isLetter(s.t[lo]) {
			lo++
		}
	}
	word := &s.wordBuf
	for p := lo; p < hi; p++ {
		if !isLetter(s.t[p]) {
			continue
		}
		begin, part := p, p
		for ; p < hi && isLetter(s.t[p]); p++ {
			c := s.t[p]
			if p > begin && isUpper(c) && isLower(s.t[p-1]) {
				if p-begin <= maxWord {
					f(part, p, word[part-begin:p-begin])
				}
				part = p
			}
			if c < 0x80 {
				c |= 0x20
			}
			if p-begin < maxWord {
				word[p-begin] = c
			}
		}
		if p-begin > maxWord {
			continue
		}
		if p-begin <= 3 && (begin > 0 && kinds[s.t[begin-1]]&isDigit != 0 || p < len(s.t) && kinds[s.t[p]]&isDigit != 0) {
			continue // a part of hex digits, and of much else
		}
		f(begin, p, word[:p-begin])
		if part > begin {
			f(part, p, word[part-begin:p-begin])
		}
	}
}

func isLetter(c byte) bool { return kinds[c]&(isUp|isLow|isHigh) != 0 }
