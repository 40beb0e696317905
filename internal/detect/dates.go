package detect

// months are names of months by their first letters, in several languages.
const months = " jan january januar janvier enero ene gennaio gen janeiro januari tammikuu stycznia ocak " +
	"feb february februar février fevrier fev fév febrero febbraio fevereiro februari lutego " +
	"mar march märz maerz mars marzo março marco maart mrz marca " +
	"apr april avril avr abril abr aprile kwietnia may mai mayo maggio mag maio mei maj " +
	"jun june juni juin junio giugno giu junho czerwca jul july juli juillet juil julio luglio lug julho lipca " +
	"aug august août aout agosto ago augustus augusti sierpnia sep sept september septembre septiembre settembre set setembro września " +
	"oct october oktober okt octobre octubre ottobre ott outubro out października nov november novembre noviembre novembro listopada " +
	"dec december dezember dez décembre decembre déc diciembre dic dicembre dezembro grudnia "

const birthAhead = 44 // bytes between a word of birth and the date

// birth looks for the first date behind q.
func (s *scan) birth(q int) {
	for p := q; p-q < birthAhead; p++ {
		c := s.at(p)
		if kinds[c]&isDigit != 0 {
			start := s.monthBefore(p)
			if end := s.date(start, p); end > 0 {
				s.add(start, end, DateOfBirth, 0.85)
			}
			return
		}
		if c == 0 || c == '.' && s.at(p+1) == ' ' && p > q || c == ';' || c == '{' || c == '}' {
			return
		}
	}
}

// monthBefore returns where the name of a month right before the digit at p begins, else p.
func (s *scan) monthBefore(p int) int {
	end := p
	for end > 0 && p-end < 3 && (s.t[end-1] == ' ' || s.t[end-1] == '.') {
		end--
	}
	begin := end
	for begin > 0 && end-begin < 12 && isLetter(s.t[begin-1]) {
		begin--
	}
	if begin == end || end == p || !s.month(begin, end) {
		return p
	}
	return begin
}

func (s *scan) month(begin, end int) bool {
	var w [12]byte
	if end-begin > len(w) || end <= begin {
		return false
	}
	for k := range end - begin {
		if w[k] = s.at(begin + k); w[k] < 0x80 {
			w[k] |= 0x20
		}
	}
	return listed(months, w[:end-begin])
}

// date reads the date whose first digit is at p, and returns its end; start is before p
// where the month stands first. 0: none.
func (s *scan) date(start, p int) int {
	a, end := s.upTo(p, 8)
	n := end - p
	if s.kind(end)&isDigit != 0 {
		return 0
	}
	if start < p { // May 21, 1952
		for end-p < 6 && (s.at(end) == ',' || s.at(end) == ' ' || isLetter(s.at(end))) {
			end++
		}
		y, stop := s.upTo(end, 4)
		if n <= 2 && a >= 1 && a <= 31 && stop-end == 4 && year(y) {
			return stop
		}
		return 0
	}
	if n == 8 {
		if year(a/10000) && day(a%100, a/100%100) || year(a%10000) && (day(a/1000000, a/10000%100) || day(a/10000%100, a/1000000)) {
			return s.ended(end)
		}
		return 0
	}
	sep := s.at(end)
	if sep != '-' && sep != '/' && sep != '.' || s.kind(end+1)&isDigit == 0 && !(sep == '-' && isLetter(s.at(end+1))) && !(sep == '.' && s.at(end+1) == ' ') {
		if n <= 2 && a >= 1 && a <= 31 {
			return s.spelt(end)
		}
		return 0
	}
	if sep == '-' && isLetter(s.at(end+1)) || sep == '.' && s.kind(end+1)&isDigit == 0 {
		return s.spelt(end)
	}
	b, mid := s.upTo(end+1, 2)
	if s.at(mid) != sep {
		return 0
	}
	c, stop := s.upTo(mid+1, 4)
	size := stop - mid - 1
	switch {
	case n == 4 && year(a) && day(c, b) && size <= 2:
	case n <= 2 && size == 4 && year(c) && (day(a, b) || day(b, a)):
	case n <= 2 && size == 2 && (day(a, b) || day(b, a)):
	default:
		return 0
	}
	return s.ended(stop)
}

// spelt reads ". Mai 1952", " de mayo de 1952", "st of May 1952", "-May-1952" from p.
func (s *scan) spelt(p int) int {
	found := false
	for k := 0; k < 6; {
		c := s.at(p)
		switch {
		case c == ' ' || c == '.' || c == '-' || c == ',' || c == '/':
			p++
			k++
		case isLetter(c):
			end := p
			for end-p < 12 && isLetter(s.at(end)) {
				end++
			}
			if s.month(p, end) {
				found = true
			} else if end-p > 3 {
				return 0
			}
			p = end
		case kinds[c]&isDigit != 0 && found:
			y, stop := s.upTo(p, 4)
			if stop-p == 4 && year(y) || stop-p == 2 {
				return s.ended(stop)
			}
			return 0
		default:
			return 0
		}
	}
	return 0
}

// ended returns p where no digit or letter follows; a time may.
func (s *scan) ended(p int) int {
	if s.kind(p)&(isDigit|isLow) != 0 {
		return 0
	}
	return p
}

// upTo reads up to n digits at p.
func (s *scan) upTo(p, n int) (v, end int) {
	for end = p; end-p < n && s.kind(end)&isDigit != 0; end++ {
		v = v*10 + int(s.t[end]-'0')
	}
	return v, end
}

func year(y int) bool { return y >= 1900 && y <= 2029 }
