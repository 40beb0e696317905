package detect

import (
	"strings"
	"unsafe"

	"github.com/nyaruka/phonenumbers"
)

// A number is digits with separators between groups, as people write them.
type number struct {
	start  int
	d      [24]byte
	end    [24]int  // offset after each digit
	group  [24]bool // this digit ends a group
	n      int
	sizes  [20]uint8 // digits in each group
	seps   [20]byte  // separator before each group
	groups int
	plus   bool // begins with '+' or '('
}

// parse reads a number from i. A separator is one of " -./()", or two of them.
func (s *scan) parse(i int, num *number) {
	num.start = i
	p := i
	for p < i+2 && (s.at(p) == '+' || s.at(p) == '(') {
		num.plus = true
		p++
	}
	sep := byte(0)
	for num.n < len(num.d) && num.groups < len(num.sizes) {
		size := uint8(0)
		for num.n < len(num.d) && s.kind(p)&isDigit != 0 {
			num.d[num.n], num.end[num.n] = s.t[p]-'0', p+1
			num.n++
			p++
			size++
		}
		if size == 0 {
			break
		}
		num.group[num.n-1] = true
		num.sizes[num.groups], num.seps[num.groups] = size, sep
		num.groups++
		if num.n == len(num.d) && s.kind(p)&isDigit != 0 {
			num.group[num.n-1] = false
		}
		sep = s.at(p)
		if !isSeparator(sep) {
			break
		}
		p++
		if c := s.at(p); isSeparator(c) && c != sep {
			if sep == ' ' && c == '-' && s.kind(p+1)&isDigit != 0 {
				break // a number below zero
			}
			p++
		}
	}
	// A letter right behind makes the last group a part of a word.
	if num.n > 0 && s.kind(num.end[num.n-1])&isWord != 0 {
		num.group[num.n-1] = false
	}
}

func isSeparator(c byte) bool {
	return c == ' ' || c == '-' || c == '.' || c == '/' || c == '(' || c == ')'
}

// numeric tries the classes made of digits on the number at i.
func (s *scan) numeric(i int) int {
	if s.decimals(i) {
		return 0
	}
	if i >= 2 && (s.t[i-1] == '.' || s.t[i-1] == '*') && s.t[i-2] == '[' && s.like(i, "9999.9999.") {
		return 0 // the weights of a character: [.4181.0033.0002]
	}
	num := &s.num
	*num = number{}
	s.parse(i, num)
	if num.n < 4 {
		return 0
	}
	if next := s.ip4(num); next > 0 {
		return next
	}
	if next := s.lettered(num); next > 0 {
		return next
	}
	if num.n >= 9 {
		if next := s.judged(num); next > 0 {
			return next
		}
	}
	return s.phone(num)
}

// decimals reports what stands behind the point of a number, as 0.25 and .25, or in the middle of a
// dotted number.
func (s *scan) decimals(i int) bool {
	if i == 0 || s.t[i-1] != '.' {
		return false
	}
	return i == 1 || kinds[s.t[i-2]]&isDigit != 0 || strings.IndexByte(" \t\n[(,;=+-", s.t[i-2]) >= 0
}

// lettered tries numbers with letters at an end: "131052-308T", "12345678-Z", "RX-3668289".
func (s *scan) lettered(num *number) int {
	i := num.start
	switch {
	case num.plus:
	case num.groups >= 2 && num.sizes[0] == 6 && num.sizes[1] == 3 && num.seps[1] == '-' && s.kind(i+10)&isUp != 0 && s.kind(i+11)&(isWord|isHigh) == 0:
		return s.hetu(i, i+11)
	case num.n == 8 && num.groups == 1 && s.at(i+8) == '-' && s.kind(i+9)&isUp != 0 && s.kind(i+10)&(isWord|isHigh) == 0:
		return s.propose(i, i+10, NIF, s.spanish(i, i+9, 8, 0))
	case num.n <= 10 && num.groups == 1 && num.group[num.n-1] && i >= 3 && s.t[i-1] == '-' && s.t[i-2] == 'X' && s.t[i-3] == 'R' && (i == 3 || kinds[s.t[i-4]]&(isWord|isHigh) == 0):
		s.add(i-3, num.end[num.n-1], Prescription, 0.7)
		return num.end[num.n-1]
	}
	return 0
}

// weakly are words that speak of telephones and of much else: a number near one must be valid and in groups.
const weakly = " call cell contact callback dial "

// phone tries numbers written internationally, the American way, or in context.
// A candidate is verified against the numbering plans, which allocates.
func (s *scan) phone(num *number) int {
	n := 0
	for k := min(num.n, 15); k >= 7 && n == 0; k-- {
		if num.group[k-1] {
			n = k
		}
	}
	if n == 0 || dated(num) || num.stamp() || num.measured(n) {
		return 0
	}
	end := num.end[n-1]
	if !s.closed(num.start, end) {
		return 0
	}
	american := num.groups >= 3 && phoneGroups(num) && !(num.seps[1] == ' ' && !num.plus && s.rowed(num.start, end))
	plus := s.t[num.start] == '+' && kinds[s.before(num.start)]&isWord == 0 && s.before(num.start) != '+'
	context := s.context(num.start, end, Phone)
	if !plus && !american && !context && !(num.groups > 1 && s.near(num.start, -1, weakly)) {
		return 0
	}
	region := "US"
	text := unsafe.String(&s.t[num.start], end-num.start)
	if parsed, err := phonenumbers.Parse(text, region); err == nil && phonenumbers.IsValidNumber(parsed) {
		s.add(num.start, end, Phone, 0.9)
		return end
	}
	if !(plus && n >= 9 && num.groups > 1 && (num.groups > 2 || num.seps[1] != '.')) && !(context && s.nearBy(num.start, end, Phone)) {
		return 0
	}
	s.add(num.start, end, Phone, 0.5)
	return end
}

// measured reports what is dotted or slashed as no telephone number is: +123456.234,
// +192.168.0.1, 14.0.0.104835, 8/-1/5/50/0/0; and 22222222222.
func (num *number) measured(n int) bool {
	dots, slashes, ones, groups := 0, 0, 0, 0
	for at := 0; groups < num.groups && at < n; groups++ {
		at += int(num.sizes[groups])
		if num.sizes[groups] == 1 {
			ones++
		}
		switch num.seps[groups] {
		case '.':
			dots++
		case '/':
			slashes++
		}
	}
	// +61.287654321 is how registries write telephones.
	decimal := num.plus && groups == 2 && dots == 1 && (num.d[0] == 0 || num.sizes[0] > 3 || num.sizes[1] < 8)
	octets := num.plus && groups == 4 && dots == 3 && num.sizes[1] <= 3 && num.sizes[2] <= 3 && num.sizes[3] <= 3
	nought := num.plus && num.d[0] == 0 && (num.d[1] == 0 || num.sizes[0] == 1)
	return decimal || octets || nought || longest(num.d[:n], 0) >= 8 || groups > 3 && dots == groups-1 && ones > 1 || slashes > 3
}

// closed reports that each bracket in [start, end) that closes was opened there and each that opens is
// closed: "35, 403-419 (2003)" is of a list of literature.
func (s *scan) closed(start, end int) bool {
	open := 0
	for _, c := range s.t[start:end] {
		switch c {
		case '(':
			open++
		case ')':
			if open--; open < 0 && s.before(start) != '(' {
				return false
			}
		}
	}
	return open <= 0
}

// phoneGroups reports 3-3-4 digits, with a 1 before them or not.
func phoneGroups(num *number) bool {
	g := 0
	if num.sizes[0] == 1 && num.d[0] == 1 && num.groups >= 4 {
		g = 1
	}
	if num.seps[g+1] == '.' && num.seps[g+2] != '.' || num.seps[g+1] == ' ' && num.seps[g+2] == '.' && !num.plus {
		return false // a clause of a law, two decimals
	}
	return num.sizes[g] == 3 && num.sizes[g+1] == 3 && num.sizes[g+2] == 4
}

// dated reports 2026-01-15, 15.01.2026 and 2007-2009, the postal code 02110-1301
// and CVE-2026-113003, which are no telephone numbers.
func dated(num *number) bool {
	a, b, c := num.sizes[0], num.sizes[1], num.sizes[2]
	if num.groups < 2 || num.plus {
		return false
	}
	year := func(at int) bool { return num.d[at] == 2 && num.d[at+1] == 0 || num.d[at] == 1 && num.d[at+1] == 9 }
	if num.seps[1] == '-' && (a == 5 && b == 4 || a == 4 && b == 4 && year(0) && year(4) || a == 4 && b > 4 && num.groups == 2 && year(0)) {
		return true
	}
	return num.groups >= 3 && num.seps[1] == num.seps[2] && (a == 4 && b <= 2 && c <= 2 || a <= 2 && b <= 2 && c == 4)
}

// ip6 tries an address that begins with a word before a colon. Eight groups, or
// "::" after a prefix that is given out; loopback and multicast are no finding.
func (s *scan) ip6(i int) int {
	if isHex(s.t[i]) && isHex(s.at(i+1)) && s.at(i+2) == ':' {
		if next := s.mac(i); next > 0 {
			return next
		}
	}
	if i >= 3 && s.t[i-1] == ':' && isHex(s.t[i-2]) && isHex(s.t[i-3]) && (i == 3 || kinds[s.t[i-4]]&isWord == 0) {
		return 0 // a fingerprint of more bytes
	}
	p, groups, gap, size, pairs := i, 0, -1, 0, 0
	for p-i < 46 {
		c := s.at(p)
		if c == ':' {
			if size == 0 && gap >= 0 {
				return 0
			}
			if size > 0 {
				groups++
			}
			if size == 2 {
				pairs++
			}
			if s.at(p+1) == ':' {
				if gap >= 0 {
					return 0
				}
				gap = groups
				p++
			}
			size = 0
			if gap != groups && !isHex(s.at(p+1)) {
				break
			}
		} else if isHex(c) {
			size++
		} else {
			break
		}
		if size > 4 {
			return 0
		}
		p++
	}
	if size > 0 {
		groups++
	}
	if s.kind(p)&isWord != 0 || groups > 8 || pairs >= 7 && size == 2 || gap < 0 && groups != 8 || gap >= 0 && (groups > 7 || !s.prefix6(i)) {
		return 0
	}
	s.add(i, p, IP, 0.9)
	return p
}

// prefix6 reports a global unicast, unique local or link-local prefix.
func (s *scan) prefix6(i int) bool {
	for k := range 4 {
		if !isHex(s.at(i + k)) {
			return false
		}
	}
	a, b, c := s.t[i], s.t[i+1]|0x20, s.t[i+2]|0x20
	return a == '2' || a == '3' || a|0x20 == 'f' && (b == 'c' || b == 'd' || b == 'e' && (c == '8' || c == '9' || c == 'a' || c == 'b'))
}

func isHex(c byte) bool { return hexValue(c) >= 0 }

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// ibanLengths are the countries of the SWIFT registry with the length of their numbers.
const ibanLengths = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27" +
	"GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20" +
	"MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30"

func ibanLength(a, b byte) int {
	for k := 0; k+3 < len(ibanLengths); k += 4 {
		if ibanLengths[k] == a&^0x20 && ibanLengths[k+1] == b&^0x20 {
			return int(ibanLengths[k+2]-'0')*10 + int(ibanLengths[k+3]-'0')
		}
	}
	return 0
}

// hexLower reports letters that are all of a to f, some of them behind the country: sums
// and UUIDs are written so.
func hexLower(d []byte) bool {
	behind := false
	for k, c := range d {
		if kinds[c]&isDigit == 0 {
			if c < 'a' || c > 'f' {
				return false
			}
			behind = behind || k >= 2
		}
	}
	return behind
}

// iban tries an account number of ISO 13616, with single spaces or dashes in it.
func (s *scan) iban(i int) int {
	want := ibanLength(s.t[i], s.t[i+1])
	if want == 0 {
		return 0
	}
	var d [34]byte
	p, n, dashes := i, 0, 0
	for n < want {
		c := s.at(p)
		switch {
		case kinds[c]&(isDigit|isUp|isLow) != 0:
			d[n] = c
			n++
		case c == '-' && n%4 == 0 && dashes == n/4-1: // between all groups or none: UUIDs have some
			dashes++
		case c == ' ' && n%4 == 0 && n > 0:
		default:
			return 0
		}
		p++
	}
	if s.kind(p)&isWord != 0 {
		return 0
	}
	rest := 0
	for k := range want {
		c := d[(k+4)%want]
		if kinds[c]&isDigit != 0 {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c|0x20-'a') + 10) % 97
		}
	}
	switch {
	case rest == 1 && !hexLower(d[:want]):
		s.add(i, p, IBAN, 1)
	case s.context(i, p, IBAN):
		s.add(i, p, IBAN, 0.5)
	default:
		return 0
	}
	return p
}
