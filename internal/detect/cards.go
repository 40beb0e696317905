package detect

import "math/bits"

// judged tries what a number of nine digits or more is by its digits.
func (s *scan) judged(num *number) int {
	if num.plus {
		return 0
	}
	g := s.judgeNumber(num)
	switch {
	case g.class == Phone: // it is taken already
		return g.end
	case g.class == "":
		return 0
	case g.class == Card:
		if start, end := s.track2(num.start, g.end); end > 0 {
			s.add(start, end, Track, 1)
			return end
		}
	}
	s.add(num.start, g.end, g.class, g.score)
	return g.end
}

// ssn offers NNN-NN-NNNN, or nine digits where the context says so.
func (s *scan) ssn(num *number, h *heard, g *guess) {
	if !num.group[8] {
		return
	}
	shaped := num.groups >= 3 && num.sizes[0] == 3 && num.sizes[1] == 2 && num.sizes[2] == 4 &&
		num.seps[1] == num.seps[2] && num.seps[1] != '/'
	if !shaped && num.sizes[0] != 9 && (!num.alike(9) || num.pieces(9) > 4) {
		return
	}
	if num.groups > 3 && shaped && num.seps[3] == num.seps[1] && num.seps[3] != ' ' {
		return
	}
	valid, far := usSSN(num.d[:9]), h[rowSSN]
	if s.trace != nil {
		s.trace.asked(num.start, num.end[8], USSSN, far > 0)
	}
	switch {
	case shaped && valid && num.seps[1] == '-':
		g.offer(num.end[8], USSSN, 0.85, 0)
	case valid && far > 0:
		g.offer(num.end[8], USSSN, 0.9, far)
	case shaped && valid && !s.rowed(num.start, num.end[8]):
		g.offer(num.end[8], USSSN, 0.6, 0)
	case far > 0 && (shaped || num.sizes[0] == 9):
		g.offer(num.end[8], USSSN, 0.5, far)
	}
}

// pieces counts the groups of the first n digits.
func (num *number) pieces(n int) (g int) {
	for at := 0; at < n; g++ {
		at += int(num.sizes[g])
	}
	return g
}

// rowed reports a number behind spaces before [start, end), as in rows of numbers, or a fraction
// behind it.
func (s *scan) rowed(start, end int) bool {
	p := start
	for p > 0 && start-p < 3 && s.t[p-1] == ' ' {
		p--
	}
	return p < start && p > 0 && kinds[s.t[p-1]]&isDigit != 0 || s.at(end) == '.' && s.kind(end+1)&isDigit != 0
}

// alike reports that the first n digits are put in groups of one separator.
func (num *number) alike(n int) bool {
	for g, at := 0, 0; at < n; g++ {
		if g > 1 && num.seps[g] != num.seps[1] {
			return false
		}
		at += int(num.sizes[g])
	}
	return true
}

// card offers 13 to 19 digits that end a group: Luhn and issuer, or context.
func (s *scan) card(num *number, h *heard, g *guess) {
	if num.n < 13 {
		return
	}
	if num.ruler() || h[rowCard] == 0 && num.strokes() {
		return
	}
	longest := 0
	for n := min(num.n, 19); n >= 13; n-- {
		if !num.group[n-1] {
			continue
		}
		if longest == 0 {
			longest = n
		}
		if num.written(n) && issuer(num.d[:n]) && Luhn(num.d[:n]) && ((num.regular(n) || s.cards(num, n) && !num.counted(n)) && !s.goesOn(num, n) || h[rowCard] > 0) {
			g.offer(num.end[n-1], Card, 0.95, 0)
			return
		}
	}
	if longest == 0 || num.n > 19 && !num.group[18] && num.groups == 1 {
		return
	}
	far := h[rowCard]
	if s.trace != nil && num.written(longest) {
		s.trace.asked(num.start, num.end[longest-1], Card, far > 0)
	}
	if far > 0 && num.written(longest) && num.grouped(longest) && !num.stamp() {
		g.offer(num.end[longest-1], Card, 0.5, 0)
	}
}

// grouped reports that the first n digits, which fail the check, are put as people put a card's:
// together, or in three groups or more of one separator. No network's numbers begin with 0 or 9.
func (num *number) grouped(n int) bool {
	if num.d[0] == 0 || num.d[0] == 9 || num.sizes[0] < 3 {
		return false
	}
	return int(num.sizes[0]) == n || num.pieces(n) > 2 && num.alike(n) && num.seps[1] != '/' && num.sizes[0] != 5 && num.sizes[1] >= 3
}

// regular reports that the first n digits are put as on cards: in fours, in 4, 6 and 5 or 4, digit
// by digit, or together where that is how long such cards are today. Others are rows of numbers,
// such as the outlines of a picture, and large numbers.
func (num *number) regular(n int) bool {
	first := int(num.d[0])*10 + int(num.d[1])
	diners := num.d[0] == 3 && first != 34 && first != 35 && first != 37
	switch {
	case int(num.sizes[0]) == n:
		return n == 16 && !diners || n == 15 && !diners || n == 14
	case !num.alike(n):
		return false
	case num.sizes[0] == 1: // digit by digit, and nothing behind
		return num.groups == n && n == num.n && n >= 15
	case num.sizes[0] == 4 && num.sizes[1] == 6:
		return n == 15 && num.sizes[2] == 5 || n == 14 && num.sizes[2] == 4
	}
	g := 0
	for at := 0; at < n; g++ {
		if at += int(num.sizes[g]); num.sizes[g] != 4 && (at < n || num.sizes[g] > 4) {
			return false
		}
	}
	if diners && n == 16 || num.counted(n) {
		return false
	}
	// More fours behind: a row of numbers.
	return g >= num.groups || num.sizes[g] != 4 || num.seps[g] != num.seps[1]
}

// cards reports that more fours behind the first 16 digits are another card, or the month and year of this one.
func (s *scan) cards(num *number, n int) bool {
	if n != 16 || num.groups < 5 || !num.alike(16) {
		return false
	}
	for _, size := range num.sizes[:5] {
		if size != 4 {
			return false
		}
	}
	sep, next := num.seps[1], num.end[15]+1
	if num.seps[4] != sep || s.at(next-1) != sep {
		return false
	}
	month := int(num.d[16])*10 + int(num.d[17])
	return s.fours(next, sep) || month >= 1 && month <= 12 && (num.d[18] == 2 || num.d[18] == 3) && (s.at(next+4) != sep || s.kind(next+5)&isDigit == 0 || !s.like(next+5, "9999"))
}

// fours reports a card in four groups of four at p.
func (s *scan) fours(p int, sep byte) bool {
	var d [16]byte
	if p < 0 {
		return false
	}
	for k := range 19 {
		c := s.at(p + k)
		if k%5 == 4 {
			if c != sep {
				return false
			}
			continue
		}
		if kinds[c]&isDigit == 0 {
			return false
		}
		d[k/5*4+k%5] = c - '0'
	}
	return s.kind(p+19)&isWord == 0 && (p == 0 || kinds[s.t[p-1]]&isWord == 0) && issuer(d[:]) && Luhn(d[:])
}

// ruler reports digits one by one that count, as over a drawing: 0 1 2 3 4 5 6 7 8 9 0 1.
func (num *number) ruler() bool {
	return num.sizes[0] == 1 && num.sizes[1] == 1 && longest(num.d[:num.n], 1) >= 5
}

// strokes reports fifteen digits or more of which all are 1 to 5, three kinds at least: how the
// strokes of Chinese characters are numbered. One card in 60,000 looks so.
func (num *number) strokes() bool {
	if num.groups != 1 || num.n < 15 {
		return false
	}
	seen := uint8(0)
	for _, c := range num.d[:num.n] {
		if c < 1 || c > 5 {
			return false
		}
		seen |= 1 << c
	}
	return bits.OnesCount8(seen) > 2
}

// counted reports four numbers that go up in small steps, differ and begin alike, as in tables of
// characters: 5414 5415 5416 5417, or come twice by turns, as the corners of a drawing:
// 2250 3825 2250 4500. One card in 5,000 looks so.
func (num *number) counted(n int) bool {
	if n != 16 {
		return false
	}
	alike, up := true, true
	var four [4]int
	for g := range four {
		four[g] = two(num.d[4*g:])*100 + two(num.d[4*g+2:])
		alike = alike && four[g]/100 == four[0]/100
		for _, before := range four[:g] {
			alike = alike && four[g] != before
		}
		up = up && (g == 0 || four[g] > four[g-1] && four[g] < four[g-1]+10)
	}
	turns := four[0] == four[2] && four[0] != four[1] && four[1] != four[3] || four[1] == four[3] && four[1] != four[2] && four[0] != four[2] ||
		four[0] == four[2] && four[1] == four[3] && four[0] != four[1]
	return alike || up || turns
}

// hexBeside reports four or five digits of hex, with a letter among them, before or behind [start, end), as tables of
// characters have them.
func (s *scan) hexBeside(start, end int) bool {
	p := end
	for p-end < 3 && (s.at(p) == ' ' || s.at(p) == '\n' || s.at(p) == '\t') {
		p++
	}
	if p > end && s.hexCode(p) {
		return true
	}
	p = start
	for p > 0 && start-p < 3 && (s.t[p-1] == ' ' || s.t[p-1] == '\n' || s.t[p-1] == '\t') {
		p--
	}
	for _, n := range [...]int{4, 5} {
		if p < start && p >= n && (p == n || kinds[s.t[p-n-1]]&isWord == 0) && s.hexCode(p-n) && s.kind(p)&isWord == 0 {
			return true
		}
	}
	return false
}

// hexCode reports a word of four or five upper case digits of hex, letters and digits both, at p.
func (s *scan) hexCode(p int) bool {
	n, or := 0, uint8(0)
	for n < 6 && isHex(s.at(p+n)) {
		or |= kinds[s.t[p+n]]
		n++
	}
	return (n == 4 || n == 5) && or&isDigit != 0 && or&isUp != 0 && or&isLow == 0 && s.kind(p+n)&isWord == 0
}

// goesOn reports that a word follows the first n digits behind the dash that parts them, as in
// UUIDs, or that four digits stand before them, as in rows of numbers.
func (s *scan) goesOn(num *number, n int) bool {
	end, before := num.end[n-1], num.start-5
	if num.seps[1] == ' ' && s.hexBeside(num.start, end) {
		return true
	}
	if num.seps[1] == ' ' && before >= 0 && s.t[before+4] == ' ' && s.like(before, "9999") {
		return !s.fours(num.start-20, ' ')
	}
	return num.seps[1] == '-' && s.at(end) == '-' && s.kind(end+1)&isWord != 0 && !s.cards(num, n)
}

// stamp reports 20260115103059: a date and time, as versions and names of files have.
func (num *number) stamp() bool {
	return num.sizes[0] == 14 && year(two(num.d[:])*100+two(num.d[2:])) && day(two(num.d[6:]), two(num.d[4:])) &&
		two(num.d[8:]) < 24 && two(num.d[10:]) < 60 && two(num.d[12:]) < 60
}

// track2 tries the magnetic stripe around the card number [start, end): from ';' and with
// '=', to the '?'.
func (s *scan) track2(start, end int) (int, int) {
	if s.before(start) != ';' || s.at(end) != '=' {
		return 0, 0
	}
	p := end + 1
	for p-end < 32 && s.kind(p)&isDigit != 0 {
		p++
	}
	if p-end < 8 {
		return 0, 0
	}
	if s.at(p) == '?' {
		p++
	}
	return start - 1, p
}

// written reports whether the first n digits are put as a card number is:
// dots and slashes stand in decimals and addresses too, so with them all groups
// but the last must have four digits.
func (num *number) written(n int) bool {
	plain := true
	for g, at := 0, 0; at < n; g++ {
		size := int(num.sizes[g])
		at += size
		plain = plain && (num.seps[g] != '.' && num.seps[g] != '/')
		if !plain && (num.sizes[0] != 4 || size != 4 && at < n) {
			return false
		}
	}
	return true
}

// Luhn reports whether digits (0 to 9, not ASCII) satisfy the check of ISO/IEC 7812-1 annex B.
func Luhn(digits []byte) bool {
	sum := 0
	for i, d := range digits {
		v := int(d)
		if (len(digits)-i)%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0 && len(digits) > 1
}

// issuer reports whether a card network gives out numbers that begin so, of that length.
func issuer(d []byte) bool {
	n := len(d)
	p2 := int(d[0])*10 + int(d[1])
	p4 := p2*100 + int(d[2])*10 + int(d[3])
	switch {
	case d[0] == 4: // Visa
		return n == 13 || n == 16 || n == 19
	case p2 >= 51 && p2 <= 55, p4 >= 2221 && p4 <= 2720: // Mastercard
		return n == 16
	case p2 == 34 || p2 == 37: // American Express
		return n == 15
	case p4 >= 3528 && p4 <= 3589: // JCB
		return n >= 16
	case p4/10 >= 300 && p4/10 <= 305, p2 == 36, p2 == 38, p2 == 39: // Diners Club
		return n >= 14
	case p4 == 6011, p4/10 >= 644 && p4/10 <= 649, p2 == 65, p2 == 62: // Discover, UnionPay
		return n >= 16
	case p4 == 5018, p4 == 5020, p4 == 5038, p4 == 5893, p4 == 6304, p4 == 6759, p4 >= 6761 && p4 <= 6763: // Maestro
		return n >= 16
	}
	return false
}

// embedded looks for card numbers inside a word that also has letters.
func (s *scan) embedded(i, j int) {
	if s.t[i] == '0' && s.t[i+1]|0x20 == 'x' && j-i <= 22 {
		return // a constant of a program
	}
	if j-i >= 20 && s.hexWord(i, j) || i >= 2 && s.t[i-1] == '.' && kinds[s.t[i-2]]&isDigit != 0 {
		return // a sum, a key, the fraction of 2.365248030802494e+01
	}
	for p := i; p < j; {
		q := p
		for q < j && kinds[s.t[q]]&isDigit != 0 {
			q++
		}
		if n := q - p; (n == 15 || n == 16) && !s.hexAround(p, q) {
			var d [16]byte
			for k := range n {
				d[k] = s.t[p+k] - '0'
			}
			if issuer(d[:n]) && Luhn(d[:n]) {
				s.add(p, q, Card, 0.7)
			}
		}
		p = max(q, p+1)
	}
}

// hexAround reports that the digits [p, q) are a part of 20 digits of hex or more, with letters beside them.
func (s *scan) hexAround(p, q int) bool {
	from, to := p, q
	for from > 0 && p-from < 20 && isHex(s.t[from-1]) {
		from--
	}
	for to-q < 20 && isHex(s.at(to)) {
		to++
	}
	return to-from >= 20
}

// hexWord reports that [i, j) is of digits and the letters a to f.
func (s *scan) hexWord(i, j int) bool {
	for _, c := range s.t[i:j] {
		if c-'0' > 9 && c|0x20-'a' > 5 {
			return false
		}
	}
	return true
}

// track1 tries track 1 of a card: "%B", the number, '^'.
func (s *scan) track1(i, j int) int {
	if s.t[i] != 'B' || s.before(i) != '%' || s.at(j) != '^' || j-i < 14 || j-i > 20 {
		return 0
	}
	var d [19]byte
	n := j - i - 1
	for k := range n {
		if kinds[s.t[i+1+k]]&isDigit == 0 {
			return 0
		}
		d[k] = s.t[i+1+k] - '0'
	}
	if !Luhn(d[:n]) {
		return 0
	}
	p := j
	for p-j < 80 {
		c := s.at(p)
		if c < ' ' || c == '"' {
			break
		}
		p++
		if c == '?' {
			break
		}
	}
	s.add(i-1, p, Track, 1)
	return p
}
