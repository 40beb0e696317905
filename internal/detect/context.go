package detect

import "strings"

const (
	wordsBefore = 48 // bytes before a candidate in which a word counts
	wordsAfter  = 24 // bytes after it
)

// context reports whether a whole word near [start, end) speaks of c.
func (s *scan) context(start, end int, c Class) bool {
	a := s.listen(start, end)
	spoke := a.any && rowOf(c) < maxHeard && a.heard[rowOf(c)] > 0
	if s.trace != nil {
		s.trace.asked(start, end, c, spoke)
	}
	return spoke
}

func rowOf(c Class) int { return byClass[c] }

// near looks for one of the words before (dir < 0) or after a position. A word
// here is letters only, and "phoneNumber" has two.
func (s *scan) near(at, dir int, words string) (found bool) {
	lo, hi := max(0, at-wordsBefore), at
	if dir > 0 {
		lo, hi = at, at+wordsAfter
		s.at(hi)
		hi = min(hi, len(s.t))
	}
	s.words(lo, hi, func(_, _ int, w []byte) { found = found || listed(words, w) })
	return found
}

// nearBy is context of words that stand closer, on the same line before or right behind.
func (s *scan) nearBy(start, end int, c Class) bool {
	far := s.listen(start, end).heard[rowOf(c)]
	return far > 0 && far <= wordsAfter+8
}

// listed reports whether the list " a b c " has word.
func listed(list string, word []byte) bool {
	for i := 0; ; {
		k := strings.IndexByte(list[i:], word[0])
		if k < 0 {
			return false
		}
		i += k
		if (i == 0 || list[i-1] == ' ') && len(list)-i >= len(word) && list[i:i+len(word)] == string(word) &&
			(i+len(word) == len(list) || list[i+len(word)] == ' ') {
			return true
		}
		i++
	}
}
