package detect

// Ids of letters and digits in one word. In a pattern A is a capital, 9 a digit, X
// either; small letters are wanted as they stand, and other signs too.

// like reports whether the word at i, of n bytes, has the pattern; letters may be
// small where all of them are.
func (s *scan) like(i int, pattern string) bool {
	for k := range len(pattern) {
		c := s.at(i + k)
		switch pattern[k] {
		case 'A':
			if kinds[c]&isUp == 0 {
				return false
			}
		case '9':
			if kinds[c]&isDigit == 0 {
				return false
			}
		case 'X':
			if kinds[c]&(isUp|isDigit) == 0 {
				return false
			}
		default:
			if c != pattern[k] {
				return false
			}
		}
	}
	return true
}

// digitsAt reads n digits from p into d.
func (s *scan) digitsAt(p int, d []byte) {
	for k := range d {
		d[k] = s.at(p+k) - '0'
	}
}

// idOf tries the word [i, j). It returns the end of what it took, or 0.
func (s *scan) idOf(i, j int, or uint8) int {
	if s.kind(j)&isHigh != 0 || i > 0 && kinds[s.t[i-1]]&isHigh != 0 {
		return 0
	}
	n := j - i
	if n >= 4 && kinds[s.t[i]]&(isUp|isLow) != 0 && kinds[s.t[i+1]]&(isUp|isLow) != 0 && kinds[s.t[i+2]]&isDigit != 0 {
		if next := s.iban(i); next > 0 {
			return next
		}
	}
	if next := s.track1(i, j); next > 0 {
		return next
	}
	switch {
	case n == 2:
		return s.ninoSpaced(i)
	case n == 4 && s.like(i, "9AX9"):
		return s.mbi(i)
	case n == 42 && s.t[i] == '0' && s.t[i+1]|0x20 == 'x':
		return s.ethereum(i, j)
	case n >= 26 && n <= 62 && or&isUnder == 0:
		return s.bitcoin(i, j)
	case or&isLow != 0 || or&isUnder != 0:
		if n == 17 && or&isUnder == 0 && or&isUp == 0 {
			return s.vin(i, j)
		}
		return 0
	}
	switch n {
	case 9:
		return s.nine(i, j)
	case 10:
		if s.like(i, "AAAAA9999A") {
			return s.inPAN(i, j)
		}
	case 11:
		if s.like(i, "9AX9AX9AA99") {
			return s.mbi(i)
		}
		if s.like(i, "999999A999X") {
			return s.hetu(i, j)
		}
	case 15:
		if s.like(i, "999999A99999999") || s.like(i, "99999") && s.t[i+5] == '2' && (s.t[i+6] == 'A' || s.t[i+6] == 'B') {
			return s.corsican(i, j)
		}
	case 16:
		if s.like(i, "AAAAAAXXAXXAXXXA") {
			return s.fiscale(i, j)
		}
	case 17:
		return s.vin(i, j)
	case 18:
		if s.like(i, "99999999999999999X") {
			return s.cn(i, j)
		}
		if s.like(i, "AAAA999999AAAAAAX9") {
			return s.curp(i, j)
		}
	}
	return 0
}

// propose adds a value whose check is ok or not, by the scores of its class.
func (s *scan) propose(i, j int, c Class, ok bool) int {
	info := &table[byClass[c]]
	score := float32(0)
	switch {
	case ok && (info.near > info.alone) && s.context(i, j, c):
		score = info.near
	case ok:
		score = info.alone
	case info.wrong > 0 && s.context(i, j, c):
		score = info.wrong
	}
	if score < threshold || s.e.off[c] {
		return 0
	}
	s.add(i, j, c, score)
	return j
}

// nine tries ids of nine bytes.
func (s *scan) nine(i, j int) int {
	switch {
	case s.like(i, "AA999999A"):
		return s.propose(i, j, NINO, nino(s.t[i], s.t[i+1], s.t[j-1]))
	case s.like(i, "99999999A"):
		if s.decimals(i) || s.t[j-1]|0x20 == 'e' && (s.at(j) == '+' || s.at(j) == '-') {
			return 0 // 9.99999997E+999
		}
		return s.propose(i, j, NIF, s.spanish(i, j-1, 8, 0))
	case s.like(i, "A9999999A"):
		switch s.t[i] {
		case 'X', 'Y', 'Z':
			return s.propose(i, j, NIE, s.spanish(i+1, j-1, 7, int(s.t[i]-'X')))
		case 'S', 'T', 'F', 'G', 'M':
			return s.propose(i, j, NRIC, s.nric(i))
		}
	case s.like(i, "AA9999999"):
		var d [7]byte
		s.digitsAt(i+2, d[:])
		return s.propose(i, j, DEA, (int(d[0]+d[2]+d[4])+2*int(d[1]+d[3]+d[5]))%10 == int(d[6]))
	}
	return 0
}

func inString(set string, c byte) bool {
	for k := range len(set) {
		if set[k] == c {
			return true
		}
	}
	return false
}

// nino tells prefixes that are given out.
func nino(a, b, last byte) bool {
	switch string([]byte{a, b}) {
	case "BG", "GB", "KN", "NK", "NT", "TN", "ZZ":
		return false
	}
	return !inString("DFIQUV", a) && !inString("DFIQUVO", b) && last >= 'A' && last <= 'D'
}

// ninoSpaced tries "AB 12 34 56 C" and "AB 123456 C".
func (s *scan) ninoSpaced(i int) int {
	j := 0
	switch {
	case s.like(i, "AA 99 99 99 A"):
		j = i + 13
	case s.like(i, "AA 999999 A"):
		j = i + 11
	}
	if j == 0 || s.kind(j)&(isWord|isHigh) != 0 || i > 0 && s.t[i-1] == '-' {
		return 0
	}
	return s.propose(i, j, NINO, nino(s.t[i], s.t[i+1], s.t[j-1]))
}

// spanish checks n digits from p against the letter at end; lead is what stands for the first letter.
func (s *scan) spanish(p, end, n, lead int) bool {
	v := lead
	for k := range n {
		v = v*10 + int(s.t[p+k]-'0')
	}
	return "TRWAGMYFPDXBNJZSQVHLCKE"[v%23] == s.t[end]
}

func (s *scan) nric(i int) bool {
	var d [7]byte
	s.digitsAt(i+1, d[:])
	sum := weighted(d[:], "2765432")
	switch s.t[i] {
	case 'S':
		return "JZIHGFEDCBA"[sum%11] == s.t[i+8]
	case 'T':
		return "JZIHGFEDCBA"[(sum+4)%11] == s.t[i+8]
	case 'F':
		return "XWUTRQPNMLK"[sum%11] == s.t[i+8]
	case 'G':
		return "XWUTRQPNMLK"[(sum+4)%11] == s.t[i+8]
	}
	return "KLJNPQRTUWX"[(sum+3)%11] == s.t[i+8] || "XWUTRQPNJLK"[(sum+3)%11] == s.t[i+8]
}

// inPAN: the fourth letter tells a kind of holder; without a word only that of a person counts.
func (s *scan) inPAN(i, j int) int {
	ok := inString("ABCFGHJLPT", s.t[i+3])
	if ok && s.t[i+3] != 'P' && !s.context(i, j, INPAN) {
		return 0
	}
	return s.propose(i, j, INPAN, ok)
}

const mbiLetters = "ACDEFGHJKMNPQRTUVWXY"

// mbi tries 11 signs, with dashes behind the fourth and seventh or without.
func (s *scan) mbi(i int) int {
	p := i
	for k := range 11 {
		if (k == 4 || k == 7) && s.at(p) == '-' {
			p++
		}
		c := s.at(p)
		letter, digit := inString(mbiLetters, c), kinds[c]&isDigit != 0
		ok := digit
		switch k {
		case 0:
			ok = digit && c != '0'
		case 1, 4, 7, 8:
			ok = letter
		case 2, 5:
			ok = letter || digit
		}
		if !ok {
			return 0
		}
		p++
	}
	if s.kind(p)&(isWord|isHigh) != 0 || s.at(p) == '-' || p-i == 12 {
		return 0
	}
	return s.propose(i, p, MBI, true)
}

// hetu tries a Finnish id at i, of 11 bytes.
func (s *scan) hetu(i, j int) int {
	if !inString("-+ABCDEFUVWXY", s.at(i+6)) {
		return 0
	}
	var d [9]byte
	s.digitsAt(i, d[:6])
	s.digitsAt(i+7, d[6:])
	ok := day(two(d[:]), two(d[2:])) && two(d[6:])*10+int(d[8]) >= 2 && "0123456789ABCDEFHJKLMNPRSTUVWXY"[decimal(d[:])%31] == s.at(i+10)
	return s.propose(i, j, FIID, ok)
}

// corsican is a French id whose department is 2A or 2B, which count as 19 and 18.
func (s *scan) corsican(i, j int) int {
	var d [15]byte
	for k := range d {
		switch c := s.t[i+k]; {
		case kinds[c]&isDigit != 0:
			d[k] = c - '0'
		case k == 6 && c == 'A':
			d[5], d[6] = 1, 9
		case k == 6 && c == 'B':
			d[5], d[6] = 1, 8
		default:
			return 0
		}
	}
	return s.propose(i, j, NIR, frNIR(d[:]))
}

// fiscaleOdd are the values of 0 to 9, or A to J, at odd places, then of K to Z.
var fiscaleOdd = [26]uint8{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}

// fiscale tries an Italian id. Its digits may be letters, where two people had the same.
func (s *scan) fiscale(i, j int) int {
	sum := 0
	for k := range 16 {
		c := s.t[i+k]
		v := int(c - 'A')
		switch k {
		case 6, 7, 9, 10, 12, 13, 14:
			if kinds[c]&isDigit == 0 && !inString("LMNPQRSTUV", c) {
				return 0
			}
		}
		if kinds[c]&isDigit != 0 {
			v = int(c - '0')
		}
		switch {
		case k == 15:
		case k%2 == 0:
			sum += int(fiscaleOdd[v])
		default:
			sum += v
		}
	}
	ok := inString("ABCDEHLMPRST", s.t[i+8]) && int(s.t[i+15]-'A') == sum%26
	return s.propose(i, j, Fiscale, ok)
}

// vin tries 17 letters and digits; a check digit is asked for by itself and not near a word.
func (s *scan) vin(i, j int) int {
	const value = "12345678.12345.7.923456789" // of A to Z; none of I, O, Q
	const weights = "\x08\x07\x06\x05\x04\x03\x02\x0a\x00\x09\x08\x07\x06\x05\x04\x03\x02"
	sum, letters, digits := 0, 0, 0
	for k := range 17 {
		c := s.t[i+k]
		v := int(c - '0')
		if kinds[c]&isDigit == 0 {
			if c = c &^ 0x20; value[c-'A'] == '.' {
				return 0
			}
			v = int(value[c-'A'] - '0')
			letters++
		} else {
			digits++
		}
		sum += v * int(weights[k])
	}
	if letters < 2 || digits < 5 || s.decimals(i) || s.t[i] == '0' && s.t[i+1]|0x20 == 'x' {
		return 0
	}
	check := byte('0' + sum%11)
	if sum%11 == 10 {
		check = 'X'
	}
	// Without a word: capitals, and digits where the serial number has them.
	ok := s.t[i+8]&^0x20 == check&^0x20 && s.t[i+8]|0x20 == check|0x20
	if ok && !s.context(i, j, VIN) && (kinds[s.t[i]]&isLow != 0 || kinds[s.t[j-1]]&kinds[s.t[j-2]]&kinds[s.t[j-3]]&isDigit == 0 || letters < 3) {
		return 0
	}
	return s.propose(i, j, VIN, ok)
}

func (s *scan) cn(i, j int) int {
	var d [17]byte
	s.digitsAt(i, d[:])
	return s.propose(i, j, CNID, cnID(d[:], s.t[i+17]))
}

// curp tries a Mexican id: its last sign is a check digit.
func (s *scan) curp(i, j int) int {
	var d [6]byte
	s.digitsAt(i+4, d[:])
	sum := 0
	for k := range 17 {
		c := s.t[i+k]
		v := int(c - '0')
		if kinds[c]&isUp != 0 {
			if v = int(c-'A') + 10; c > 'N' {
				v++ // Ñ stands between N and O
			}
		}
		sum += v * (18 - k)
	}
	ok := day(two(d[4:]), two(d[2:])) && inString("HMX", s.t[i+10]) && (10-sum%10)%10 == int(s.t[i+17]-'0')
	return s.propose(i, j, CURP, ok)
}

// mac tries six bytes of hex with colons between, from i.
func (s *scan) mac(i int) int {
	sep := s.at(i + 2)
	zero, ones := true, true
	for k := range 6 {
		a, b := s.at(i+3*k), s.at(i+3*k+1)
		if !isHex(a) || !isHex(b) || k < 5 && s.at(i+3*k+2) != sep {
			return 0
		}
		zero = zero && a == '0' && b == '0'
		ones = ones && a|0x20 == 'f' && b|0x20 == 'f'
	}
	end := i + 17
	if s.kind(end)&(isWord|isHigh) != 0 || s.at(end) == sep || s.before(i) == sep || zero || ones {
		return 0
	}
	s.add(i, end, MAC, 0.85)
	return end
}
