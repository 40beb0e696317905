package detect

import "strings"

// A numbering is one way a class writes its numbers: n digits, the groups that
// are usual, and the check.
type numbering struct {
	class Class
	n     int
	usual string // "3.3.3-2|3-3-3": digits in each group, and what stands between
	check func([]byte) bool
}

// numberings are judged all for each number; what scores best is found.
var numberings = []numbering{
	{USITIN, 9, "3-2-4", usITIN},
	{CASIN, 9, "3 3 3|3-3-3", caSIN},
	{NHS, 10, "3 3 4|3-3-4", ukNHS},
	{Aadhaar, 12, "4 4 4|4-4-4", inAadhaar},
	{TFN, 9, "3 3 3", auTFN},
	{AUMed, 10, "4 5 1|4-5-1", auMedicare},
	{AUMed, 11, "4 5 1 1|4 5 2", auMedicare},
	{ABN, 11, "2 3 3 3", auABN},
	{SteuerID, 11, "2 3 3 3", deTaxID},
	{NIR, 15, "1 2 2 2 3 3 2|13 2", frNIR},
	{PESEL, 11, "", plPESEL},
	{BSN, 9, "4.2.3|3.3.3", nlBSN},
	{CPF, 11, "3.3.3-2|3.3.3/2", brCPF},
	{CNPJ, 14, "2.3.3/4-2", brCNPJ},
	{RRN, 13, "6-7", krRRN},
	{ZAID, 13, "6 4 3|6 4 2 1", zaID},
	{SEID, 10, "6-4", seID},
	{SEID, 12, "8-4", seID},
	{DKID, 10, "6-4|6 4", dkID},
	{NOID, 11, "6 5", noID},
	{TRID, 11, "", trID},
	{AHV, 13, "3.4.4.2", chAHV},
	{BENR, 11, "2.2.2-3.2|6-3-2|6 3 2", beNR},
	{PTNIF, 9, "3 3 3", ptNIF},
	{CNID, 18, "", cnDigits},
	{Routing, 9, "", usRouting},
	{NPI, 10, "", npi},
	{IMEI, 15, "2-6-6-1|2 6 6 1", imei},
	{TaxID, 9, "2-7", employer},
}

// A way is a usual writing, made ready.
type way struct {
	groups int
	sizes  [8]uint8
	seps   [8]byte // before each group
}

// A judge is a numbering, made ready.
type judge struct {
	numbering
	row  uint8 // in the table
	info *info
	ways []way
}

var judges = func() []judge {
	out := make([]judge, len(numberings))
	for i, n := range numberings {
		row := byClass[n.class]
		out[i] = judge{numbering: n, row: uint8(row), info: &table[row], ways: waysOf(n.usual)}
	}
	return out
}()

func waysOf(usual string) (out []way) {
	for _, u := range strings.Split(usual, "|") {
		if u == "" {
			continue
		}
		var w way
		for k := 0; k < len(u); w.groups++ {
			if k > 0 {
				w.seps[w.groups] = u[k]
				k++
			}
			for ; k < len(u) && kinds[u[k]]&isDigit != 0; k++ {
				w.sizes[w.groups] = w.sizes[w.groups]*10 + u[k] - '0'
			}
		}
		out = append(out, w)
	}
	return out
}

// rows of classes that are judged by functions of their own.
var (
	rowSSN   = byClass[USSSN]
	rowCard  = byClass[Card]
	rowPhone = byClass[Phone]
)

// A guess is the best of what a number may be.
type guess struct {
	end   int
	class Class
	score float32
	rank  float32 // score, less what a far word takes from it
	far   uint8   // of the word that spoke of it; 0: it needed none
}

func (g *guess) offer(end int, class Class, score float32, far uint8) {
	rank := score - float32(far)/256
	if score >= threshold && (rank > g.rank || rank == g.rank && end > g.end) {
		*g = guess{end, class, score, rank, far}
	}
}

// ways of writing a number of n digits.
type writing uint8

const (
	scattered writing = iota // in groups that are not usual, of one separator
	plainly                  // without separators
	usually
	not
)

// writtenAs tells how the first n digits of a number are put.
func (num *number) writtenAs(j *judge) writing {
	if !num.group[j.n-1] {
		return not
	}
	if int(num.sizes[0]) == j.n {
		return plainly
	}
	for k := range j.ways {
		if num.is(&j.ways[k]) {
			return usually
		}
	}
	sep := num.seps[1]
	for g, at := 0, 0; at < j.n; g++ {
		if g > 0 && num.seps[g] != sep {
			return not
		}
		at += int(num.sizes[g])
	}
	return scattered
}

// dumped reports that [start, end) is a part of a name with dots, goes on in four digits of hex, as what computers print does,
// or in a word behind a dash, as in UUIDs, or stands behind a number, as in the outline of a picture.
func (s *scan) dumped(start, end int) bool {
	if start >= 2 && (s.t[start-1] == ' ' && kinds[s.t[start-2]]&isDigit != 0 || s.t[start-1] == '.' && kinds[s.t[start-2]]&isWord != 0) {
		return true
	}
	if start >= 2 && s.t[start-1] == '-' && kinds[s.t[start-2]]&isWord != 0 || s.at(end) == '-' && s.kind(end+1)&isWord != 0 {
		return true
	}
	if start >= 5 && s.t[start-1] == ' ' && s.hexGroup(start-5) {
		return true
	}
	return s.at(end) == ' ' && s.hexGroup(end+1)
}

func (s *scan) hexGroup(p int) bool {
	for k := range 4 {
		if !isHex(s.at(p + k)) {
			return false
		}
	}
	return s.kind(p+4)&isWord == 0
}

func (num *number) is(w *way) bool {
	for g := range w.groups {
		if g >= num.groups || num.sizes[g] != w.sizes[g] || num.seps[g] != w.seps[g] {
			return false
		}
	}
	return true
}

// silence is what is heard before anything is listened to.
var silence heard

// judgeNumber tries all that a number may be by its digits.
func (s *scan) judgeNumber(num *number) guess {
	var g guess
	h := &silence
	listened := false
	for k := range judges {
		j := &judges[k]
		if num.n < j.n {
			continue
		}
		as := num.writtenAs(j)
		if as == not || s.e.off[j.class] {
			continue
		}
		if !listened {
			h = &s.listen(num.start, num.end[min(num.n, 19)-1]).heard
			listened = true
		}
		end, far, d := num.end[j.n-1], h[j.row], num.d[:j.n]
		ok := j.check(d)
		if s.trace != nil && (ok || far > 0) {
			s.trace.asked(num.start, end, j.class, far > 0)
		}
		switch {
		case ok && far > 0:
			g.offer(end, j.class, max(j.info.near, j.info.shaped), far)
		case ok && as == usually && !s.dumped(num.start, end):
			g.offer(end, j.class, j.info.shaped, 0)
		case ok && as == plainly && !num.strokes():
			g.offer(end, j.class, j.info.alone, 0)
		case far > 0 && far <= 32 && as != scattered:
			g.offer(end, j.class, j.info.wrong, far)
		}
	}
	if num.n >= 9 && !num.plus {
		if !listened {
			h = &s.listen(num.start, num.end[min(num.n, 19)-1]).heard
		}
		if !s.e.off[USSSN] {
			s.ssn(num, h, &g)
		}
		if !s.e.off[Card] || s.trace != nil {
			s.card(num, h, &g)
		}
	}
	if far := h[rowPhone]; far > 0 && far < 12 && g.class != "" && g.class != Card && (g.far == 0 || g.far > far) {
		if end := s.phone(num); end > 0 {
			return guess{end: end, class: Phone}
		}
	}
	return g
}
