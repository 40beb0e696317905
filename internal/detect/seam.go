package detect

const (
	seamBack  = 128 // characters before the end of a line that a value may begin in
	seamAhead = 512 // behind it
	maxIndent = 24  // bytes of space before the next line
)

// lineEnd returns the size of the end of a line at p, as it stands or as an escape of JSON, with
// the space that the next line begins with; 0 when there is none.
func (s *scan) lineEnd(p int) int {
	q := p
	switch c := s.at(p); {
	case c == '\n':
		q++
	case c == '\r' && s.at(p+1) == '\n':
		q += 2
	case c == '\\' && s.at(p+1) == 'n':
		q += 2
	case c == '\\' && s.at(p+1) == 'r' && s.at(p+2) == '\\' && s.at(p+3) == 'n':
		q += 4
	default:
		return 0
	}
	for end := q + maxIndent; q < end && (s.at(q) == ' ' || s.at(q) == '\t'); q++ {
	}
	return q - p
}

// seam looks for values that the end of a line at p cuts, in text that is encoded from i on with
// width bits a character, 6 or 4, as base64 and xxd print it. What lies on one line only is found without it.
func (s *scan) seam(i, p, width int) {
	value := func(c byte) int {
		if width == 4 {
			return hexValue(c)
		}
		return base64Value(c)
	}
	if n := s.lineEnd(p); n == 0 || value(s.at(p+n)) < 0 || p-i < minRun || p+seamBack <= s.sewn {
		return
	}
	unit := 2 // characters that are whole bytes
	if width == 6 {
		unit = 4
	}
	k := i + max(0, p-i-seamBack)/unit*unit
	s.clearPlain()
	text, acc, bits, last := wideness{}, uint32(0), 0, k
	first, good, begin := 0, 0, i // what was decoded of the first line, and of all whole lines; where a line begins
	for k-p < seamAhead {
		v := value(s.at(k))
		if v < 0 {
			n := s.lineEnd(k)
			if n == 0 || value(s.at(k+n)) < 0 || k > p && k-begin < p-i {
				break // a shorter line is the last one
			}
			if good = len(s.plain); k == p {
				first = good
			}
			k += n
			begin = k
			continue
		}
		acc, bits = acc<<width|uint32(v), bits+width
		if bits >= 8 {
			bits -= 8
			c := byte(acc >> bits)
			is, shown := text.next(c)
			if !is {
				s.plain = s.plain[:good]
				break
			}
			if shown {
				s.emit(c, last, k+1)
			}
		}
		last = k
		k++
	}
	s.sewn = k
	if len(s.plain) <= first || first == 0 {
		return
	}
	s.from, s.to, s.fresh = s.from[:len(s.plain)], s.to[:len(s.plain)], first
	s.nested()
}
