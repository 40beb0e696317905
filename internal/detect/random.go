package detect

import (
	"bytes"
	"hash/crc32"
	"math"
)

// crc62 reports whether the last six characters are the CRC-32 of what stands
// before them, in base 62, as GitHub and npm make their tokens.
func crc62(t []byte) bool {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if len(t) < 7 {
		return false
	}
	at := len(t) - 6
	sum := crc32.ChecksumIEEE(t[:at])
	for k := len(t) - 1; k >= at; k-- {
		if t[k] != digits[sum%62] {
			return false
		}
		sum /= 62
	}
	return true
}

// nLogN is n·log₂n for the counts that occur.
var nLogN = func() (t [512]float32) {
	for n := 2; n < len(t); n++ {
		t[n] = float32(float64(n) * math.Log2(float64(n)))
	}
	return t
}()

// entropy returns the bits of a byte of v, as often as each occurs in it. It
// looks at the first 511 bytes.
func entropy(v []byte) float32 {
	v = v[:min(len(v), len(nLogN)-1)]
	if len(v) == 0 {
		return 0
	}
	var count [256]uint16
	for _, c := range v {
		count[c]++
	}
	sum := float32(0)
	for _, c := range v {
		sum += nLogN[count[c]]
		count[c] = 0
	}
	return (nLogN[len(v)] - sum) / float32(len(v))
}

// longest returns the longest run of bytes that each differ by step from the one before.
func longest(v []byte, step byte) int {
	n, most := 0, 0
	for k := 1; k < len(v); k++ {
		if n++; v[k] != v[k-1]+step {
			n = 0
		}
		most = max(most, n)
	}
	return most
}

// filled reports what stands for a value without being one: XXXXXXXX, 00000000.
func filled(v []byte) bool {
	n := longest(v, 0)
	return n >= 8 || n >= 4 && n*2 > len(v)
}

// sequence reports what is counted or spelt out: abcdefgh, 01234567.
func sequence(v []byte) bool { return longest(v, 1) >= 8 }

// example reports a value that documents show: it says so itself.
func example(v []byte) bool {
	return bytes.Contains(v, []byte("EXAMPLE")) || bytes.Contains(v, []byte("example")) || bytes.Contains(v, []byte("FAKE"))
}

// surprise is, for each pair of letters, how many bits one costs after the other,
// as counted over the identifiers of Go's source and English documentation.
const surprise = "" +
	"6544765859634385834365766835563667368367467446376867" +
	"3756366359445736855456887945542667378566466446566668" +
	"4643555869845375633476757946554268399456459445587769" +
	"4656265449856435834557787826752777387566378455486868" +
	"5545555988744245954485979535553666465655356646376677" +
	"4666265537755546763557676837642677397377378755567848" +
	"2566377839765733974647887947443538486676478733668978" +
	"6644756868644254934444578937563665496467448344577879" +
	"5554566557655666545515665637552668396656369544567859" +
	"5746377439656755764248685837662674398567469345587758" +
	"5455556849744364843387869736552566499546546645655687" +
	"2655366438756446844667568745454476488657537653646468" +
	"4655566757653453753465666636562665477556477667666564"

// Below these costs a byte, text is words or code. Half a bit lower only one in
// a thousand random values falls.
const (
	wordsShort = 3.6 // of fewer than 16 bytes
	wordsLong  = 3.85
)

// cost is what a byte of v costs a reader who knows words: about three bits in
// words, five in what was drawn at random.
func cost(v []byte) float32 {
	sum, n := 0, 0
	for k := 1; k < len(v); k++ {
		a, b := kinds[v[k-1]]&(isDigit|isUp|isLow), kinds[v[k]]&(isDigit|isUp|isLow)
		if a == 0 || b == 0 {
			continue
		}
		n++
		switch {
		case a == isDigit && b == isDigit:
			sum += 3
		case a == isDigit:
			sum += 6
		case b == isDigit, a == isLow && b == isUp:
			sum += 4
		default:
			sum += int(surprise[int(v[k-1]|0x20-'a')*26+int(v[k]|0x20-'a')] - '0')
		}
	}
	if n == 0 {
		return 0
	}
	return float32(sum) / float32(n)
}

// random reports a value that was drawn and not written: enough different
// bytes, no sequence, and no words. strict asks for more, where nothing else
// speaks for a secret.
func random(v []byte, strict bool) bool {
	or, digits, letters := uint8(0), 0, 0
	for _, c := range v {
		or |= kinds[c]
		switch {
		case kinds[c]&isDigit != 0:
			digits++
		case kinds[c]&(isUp|isLow) != 0:
			letters++
		}
	}
	if letters+digits < len(v)*2/3 || filled(v) || sequence(v) || letters == 0 {
		return false
	}
	if digits == 0 && (strict || len(v) < 20 || or&(isUp|isLow) != isUp|isLow) {
		return false
	}
	bits := entropy(v)
	if hexOnly(v) {
		return len(v) >= 16 && digits >= len(v)/6 && bits >= 2.8
	}
	if bits < 3 || strict && bits < 3.5 && len(v) >= 12 {
		return false
	}
	least := float32(wordsLong)
	if len(v) < 16 {
		least = wordsShort
	}
	if strict {
		least += 0.25
	}
	return cost(v) >= least
}

// hexOnly reports hex digits, with dashes as a UUID has them.
func hexOnly(v []byte) bool {
	for _, c := range v {
		if !isHex(c) && c != '-' {
			return false
		}
	}
	return true
}
