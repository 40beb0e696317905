package detect

// Checks of numbers. Each takes digits from 0 to 9, not ASCII, as many as its class has.

// weighted is the sum of each digit by its weight.
func weighted(d []byte, weights string) int {
	sum := 0
	for i := range weights {
		sum += int(d[i]) * int(weights[i]-'0')
	}
	return sum
}

func two(d []byte) int { return int(d[0])*10 + int(d[1]) }

// decimal reads digits as a number; up to 18 of them.
func decimal(d []byte) int64 {
	v := int64(0)
	for _, c := range d {
		v = v*10 + int64(c)
	}
	return v
}

// same reports digits that are all alike, which pass many checks and are nobody's.
func same(d []byte) bool {
	for _, c := range d {
		if c != d[0] {
			return false
		}
	}
	return true
}

// day reports a day and month that there are; a leap day counts.
func day(d, m int) bool {
	return m >= 1 && m <= 12 && d >= 1 && d <= 31 && (d <= 30 || m != 4 && m != 6 && m != 9 && m != 11) && (d <= 29 || m != 2)
}

// usSSN: no area 000, 666 or 9xx, no group 00, no serial 0000.
func usSSN(d []byte) bool {
	area := int(d[0])*100 + two(d[1:])
	return area != 0 && area != 666 && area < 900 && two(d[3:]) != 0 && d[5]|d[6]|d[7]|d[8] != 0
}

func usITIN(d []byte) bool {
	g := two(d[3:])
	return d[0] == 9 && (g >= 50 && g <= 65 || g >= 70 && g <= 88 || g >= 90 && g <= 92 || g >= 94)
}

func caSIN(d []byte) bool { return d[0] != 0 && d[0] != 8 && Luhn(d) && !same(d) }

func ukNHS(d []byte) bool {
	sum := 0
	for i, c := range d[:9] {
		sum += int(c) * (10 - i)
	}
	check := 11 - sum%11
	return check%11 == int(d[9]) && check != 10 && !same(d)
}

// verhoeffMul, verhoeffTurn: the dihedral group of order 10, and the permutation that
// the scheme applies once more for each place.
const (
	verhoeffMul  = "0123456789123406789523401789563401289567401239567859876043216598710432765982104387659321049876543210"
	verhoeffTurn = "1576283094"
)

func verhoeff(d []byte) bool {
	c := 0
	for i := range d {
		v := int(d[len(d)-1-i])
		for range i % 8 {
			v = int(verhoeffTurn[v] - '0')
		}
		c = int(verhoeffMul[c*10+v] - '0')
	}
	return c == 0
}

func inAadhaar(d []byte) bool { return d[0] >= 2 && verhoeff(d) && !same(d) }

func auTFN(d []byte) bool { // the weight of the last but one is 9, of the last 10
	return (weighted(d, "14375869")+int(d[8])*10)%11 == 0 && !same(d)
}

func auMedicare(d []byte) bool {
	return d[0] >= 2 && d[0] <= 6 && weighted(d, "13791379")%10 == int(d[8]) && d[9] != 0
}

func auABN(d []byte) bool {
	sum := (int(d[0]) - 1) * 10
	for i, c := range d[1:] {
		sum += int(c) * (2*i + 1)
	}
	return d[0] != 0 && sum%89 == 0
}

// mod1110 is ISO 7064 MOD 11,10.
func mod1110(d []byte) bool {
	p := 10
	for _, c := range d[:len(d)-1] {
		s := (int(c) + p) % 10
		if s == 0 {
			s = 10
		}
		p = s * 2 % 11
	}
	return (11-p)%10 == int(d[len(d)-1])
}

// deTaxID: among the first ten digits one stands twice or three times, all others once at most.
func deTaxID(d []byte) bool {
	var count [10]uint8
	for _, c := range d[:10] {
		count[c]++
	}
	twice := 0
	for _, n := range count {
		if n > 3 {
			return false
		}
		if n > 1 {
			twice++
		}
	}
	return d[0] != 0 && twice == 1 && mod1110(d)
}

func frNIR(d []byte) bool {
	m := two(d[3:])
	return (d[0] >= 1 && d[0] <= 4 || d[0] == 7 || d[0] == 8) && (m >= 1 && m <= 12 || m >= 20 && m <= 42 || m >= 50) &&
		97-decimal(d[:13])%97 == decimal(d[13:])
}

func plPESEL(d []byte) bool {
	m := two(d[2:]) % 20
	return day(two(d[4:]), m) && (weighted(d, "1379137913")+int(d[10]))%10 == 0
}

func nlBSN(d []byte) bool {
	return (weighted(d, "98765432")-int(d[8]))%11 == 0 && !same(d) && (d[0] != 0 || d[1] != 0)
}

// brazil checks two digits behind n, with weights that rise from the right to top and begin again.
func brazil(d []byte, n, top int) bool {
	for k := n; k < n+2; k++ {
		sum := 0
		for i := range k {
			sum += int(d[i]) * (2 + (k-1-i)%(top-1))
		}
		check := 11 - sum%11
		if check > 9 {
			check = 0
		}
		if check != int(d[k]) {
			return false
		}
	}
	return !same(d)
}

func brCPF(d []byte) bool  { return brazil(d, 9, 11) }
func brCNPJ(d []byte) bool { return brazil(d, 12, 9) }

func krRRN(d []byte) bool {
	return day(two(d[4:]), two(d[2:])) && d[6] >= 1 && d[6] <= 8 && (11-weighted(d, "234567892345")%11)%10 == int(d[12])
}

func zaID(d []byte) bool { return day(two(d[4:]), two(d[2:])) && d[10] <= 2 && Luhn(d) }

func seID(d []byte) bool {
	if len(d) == 12 {
		c := two(d)
		return c >= 18 && c <= 20 && seID(d[2:])
	}
	n := two(d[4:])
	return (day(n, two(d[2:])) || day(n-60, two(d[2:]))) && Luhn(d)
}

func dkID(d []byte) bool { return day(two(d), two(d[2:])) && weighted(d, "4327654321")%11 == 0 }

func noID(d []byte) bool {
	n, m := two(d), two(d[2:])
	return (day(n, m) || day(n-40, m) || day(n, m-40)) && weighted(d, "3761894521")%11 == 0 && weighted(d, "54327654321")%11 == 0
}

func trID(d []byte) bool {
	odd := int(d[0]) + int(d[2]) + int(d[4]) + int(d[6]) + int(d[8])
	even := int(d[1]) + int(d[3]) + int(d[5]) + int(d[7])
	return d[0] != 0 && ((odd*7-even)%10+10)%10 == int(d[9]) && (odd+even+int(d[9]))%10 == int(d[10])
}

func chAHV(d []byte) bool {
	return d[0] == 7 && d[1] == 5 && d[2] == 6 && (10-weighted(d, "131313131313")%10)%10 == int(d[12])
}

func beNR(d []byte) bool {
	m := two(d[2:])
	m %= 20
	rest := decimal(d[9:])
	born := decimal(d[:9])
	return (m == 0 || day(max(two(d[4:]), 1), m)) && (97-born%97 == rest || 97-(2_000_000_000+born)%97 == rest)
}

func ptNIF(d []byte) bool {
	check := 11 - weighted(d, "98765432")%11
	if check > 9 {
		check = 0
	}
	return d[0] != 0 && d[0] != 4 && check == int(d[8]) && !same(d)
}

// cnID: d has 17 digits; check is the last sign.
func cnID(d []byte, check byte) bool {
	sum := 0
	for i, c := range d[:17] {
		sum += int(c) << (17 - i) % 11
	}
	y := two(d[6:])
	return d[0] >= 1 && d[0] <= 8 && (y == 19 || y == 20 || y == 18) && day(two(d[12:]), two(d[10:])) && "10X98765432"[sum%11] == check
}

func cnDigits(d []byte) bool { return cnID(d, d[17]+'0') }

func usRouting(d []byte) bool {
	p := two(d)
	return (p <= 12 || p >= 21 && p <= 32 || p >= 61 && p <= 72 || p == 80) && weighted(d, "371371371")%10 == 0 && !same(d)
}

// npi is Luhn over 80840 and the digits.
func npi(d []byte) bool {
	full := [15]byte{8, 0, 8, 4, 0}
	copy(full[5:], d)
	return (d[0] == 1 || d[0] == 2) && Luhn(full[:])
}

func imei(d []byte) bool { return Luhn(d) && !same(d) }

func employer(d []byte) bool { return !same(d) }
