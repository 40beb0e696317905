package detect

import "strings"

// Clean reports that no engine finds anything in t, by a walk that is many times
// cheaper than a scan: most values of most tables hold nothing that could even begin
// one. It errs only towards false.
//
// Whatever Scan can find needs one of these, and where there is none it is clean:
//   - '@' for an address, ':' or '=' behind a key, in a URL or in an IPv6 address, a quote
//     behind PASSWORD, an escape, or a byte of 0x80 and up;
//   - seven digits with nothing but separators between them, or three dots among them;
//   - a run of sixteen letters, digits and "_+/-", or of eight with one of the last three,
//     as keys and encoded text are;
//   - a word that leads a value or has the shape of an id.
func Clean(t []byte) bool {
	state, seen := uint64(fresh), uint64(0)
	for rest := t; len(rest) > 0; {
		some := rest[:min(len(rest), 256)]
		rest = rest[len(some):]
		for _, c := range some {
			e := &walks[c]
			state = state&e.keep + e.add
			seen |= state
		}
		if seen&suspect != 0 {
			return false
		}
	}
	return seen&hasLetter == 0 || !leads(t, seen&hasDigit != 0)
}

// The walk counts in lanes of eight bits of one word. A byte keeps the lanes whose
// run goes on, begins the others anew, and adds; a lane that reached its
// threshold sets the bit that says so, and what it does afterwards no longer counts.
const (
	digitLane = 0  // digits in a run of digits and separators, and one
	dotLane   = 8  // dots in it, and one
	wordLane  = 16 // letters, digits and '_' in a run of base64, and nine for each other byte of it

	fresh = 1<<digitLane | 1<<dotLane

	// Flags of single bytes.
	isForeign = 1 << 40
	hasLetter = 1 << 41
	hasDigit  = 1 << 42

	suspect = isForeign | 8<<digitLane | 4<<dotLane | 16<<wordLane
)

// walks is what each byte does to the lanes.
var walks = func() (t [256]struct{ keep, add uint64 }) {
	for c := range 256 {
		b, k, e := byte(c), kinds[c], &t[c]
		digit := k&isDigit != 0
		if digit || isSeparator(b) || b == '+' {
			e.keep |= 0xff<<digitLane | 0xff<<dotLane
		} else {
			e.add |= fresh
		}
		switch {
		case digit:
			e.add += 1<<digitLane | hasDigit
		case b == '.':
			e.add += 1 << dotLane
		case k&(isUp|isLow) != 0:
			e.add |= hasLetter
		}
		switch {
		case k&isB64 == 0:
		case k&isWord != 0:
			e.keep |= 0xff << wordLane
			e.add += 1 << wordLane
		default:
			e.keep |= 0xff << wordLane
			e.add += 9 << wordLane
		}
		if k&isHigh != 0 || k&isMark != 0 && b != '-' && b != '+' && b != '(' || strings.IndexByte("'\"`<", b) >= 0 {
			e.add |= isForeign
		}
	}
	return t
}()

// leads reports a word in t that leads a value or, where t has digits, has the
// shape of an id.
func leads(t []byte, digits bool) bool {
	before := uint8(0)
	for i := 0; i < len(t)-2; i++ {
		k := kinds[t[i]]
		if k&(isUp|isLow) != 0 && (before&(isUp|isLow) == 0 || k&isUp != 0) {
			if _, may := leadPlaces.at(t, i); may {
				return closer(t)
			}
		}
		before = k
	}
	return digits && anId(t)
}

// anId reports a word in t that has the shape of an id: each has a digit, or stands before some.
func anId(t []byte) bool {
	for d := 0; d < len(t); d++ {
		if kinds[t[d]]&isDigit == 0 {
			continue
		}
		i, j, or := d, d, uint8(0)
		for i > 0 && kinds[t[i-1]]&isWord != 0 {
			i--
			or |= kinds[t[i]]
		}
		for j < len(t) && kinds[t[j]]&isWord != 0 {
			or |= kinds[t[j]]
			j++
		}
		switch {
		case idShape(t[i:j], or), j-i == 32 && j < len(t) && t[j] == '-':
			return true
		case i > 2 && t[i-1] == ' ' && kinds[t[i-2]]&kinds[t[i-3]]&isUp != 0:
			return true // a country, and an IBAN's first digits
		}
		d = j
	}
	return false
}

// closer reports a word in t that leads a value or has the shape of an id.
func closer(t []byte) bool {
	s := scans.Get().(*scan)
	defer scans.Put(s)
	s.reset(nil, t, nil)
	s.final = true
	defer s.release()
	for i := 0; i < len(t); i++ {
		j, or := i, uint8(0)
		for j < len(t) && kinds[t[j]]&isWord != 0 {
			or |= kinds[t[j]]
			j++
		}
		if j-i < 2 {
			continue
		}
		if keyword, secret := s.led(i, j); keyword || secret || s.idLike(i, j, or) {
			return true
		}
		i = j
	}
	return false
}
