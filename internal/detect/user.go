package detect

import (
	"bytes"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// A Detector is one that a deployment adds: values of a regular expression.
type Detector struct {
	// Class is a class there is, or one of the deployment's own: group/name, such as
	// pii/employee-id or hr/badge.
	Class Class
	// Regex is in the syntax of Go (RE2). A match has at most MaxMatch bytes.
	Regex string
	// Keywords: when there are any, one must stand near, as a whole word in any case.
	Keywords []string
	// Context are words that make a value surer where they stand near.
	Context []string
	// Columns are words of names of columns and keys that hold such values.
	Columns []string
	// Validator is the name of a check: see Validators. "": none.
	Validator string
	// Score is how sure a match is, from 0.5 to 1; 0 stands for 0.8.
	Score float32
	// Slow allows a regex that has no literal and no run to look for first.
	Slow bool
}

const (
	MaxMatch     = 256  // bytes of a value of a detector
	MaxDetectors = 200  // detectors of a deployment
	maxPattern   = 1024 // bytes of a regex
	maxProgram   = 2048 // instructions of one
	leastAnchor  = 3    // bytes of a literal
	leastRun     = 4    // characters of a run
)

// Validators are the checks that a detector may name: of the digits of a value,
// or of its letters and digits.
func Validators() []string { return []string{"luhn", "mod97", "mod11", "verhoeff"} }

// An own detector is one made ready.
type own struct {
	Detector
	re       *regexp.Regexp
	literals []string // one of them is in every match; in lower case where fold
	fold     bool
	set      *[256]bool // of the run that is in every match, where there are no literals
	run      int
	keywords string // " a b "
	context  string
	columns  []string
}

// OwnClass takes a class of a deployment's own apart: group/name.
func OwnClass(c Class) (group, name string, ok bool) {
	group, name, ok = strings.Cut(string(c), "/")
	return group, name, ok && ownWord(group) && ownWord(name)
}

func ownWord(s string) bool {
	if len(s) < 2 || len(s) > 40 || !isLower(s[0]) || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !isLower(s[i]) && kinds[s[i]]&isDigit == 0 && s[i] != '-' {
			return false
		}
	}
	return true
}

// OwnGroup is the name of a group of a deployment's own: "hr/*".
func OwnGroup(group string) string { return group + "/*" }

// A DetectorError says which detector of Options can't be taken.
type DetectorError struct {
	Index int
	Err   error
}

func (e *DetectorError) Error() string { return fmt.Sprintf("detector %d: %v", e.Index+1, e.Err) }
func (e *DetectorError) Unwrap() error { return e.Err }

// compile makes a detector ready, or says what is wrong with it and what to do.
func compile(d Detector) (*own, error) {
	if !d.Class.Valid() {
		return nil, fmt.Errorf("class %q: no such class: name one of docs/classes.md, or group/name in lower case, such as pii/employee-id", d.Class)
	}
	if d.Validator != "" && !slices.Contains(Validators(), d.Validator) {
		return nil, fmt.Errorf("validator %q: write one of %s", d.Validator, strings.Join(Validators(), ", "))
	}
	if d.Score != 0 && (d.Score < threshold || d.Score > 1) {
		return nil, fmt.Errorf("score %v: write one from 0.5 to 1", d.Score)
	}
	if d.Score == 0 {
		d.Score = 0.8
	}
	u := &own{Detector: d, keywords: wordList(d.Keywords), context: wordList(d.Context)}
	for _, w := range slices.Concat(d.Keywords, d.Context) {
		if !plainWord(w) {
			return nil, fmt.Errorf("word %q: keywords and context are words of letters, one each", w)
		}
	}
	for _, c := range d.Columns {
		words := splitWords(c)
		if strings.TrimSpace(words) == "" {
			return nil, fmt.Errorf("column %q: has no letters", c)
		}
		u.columns = append(u.columns, words)
	}
	if len(d.Regex) > maxPattern {
		return nil, fmt.Errorf("regex: %d bytes long, at most %d are taken: make two detectors of it", len(d.Regex), maxPattern)
	}
	tree, err := syntax.Parse(d.Regex, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("regex: %w: the syntax is that of RE2, without backreferences and lookaround", err)
	}
	tree = tree.Simplify()
	switch n := shortest(tree); {
	case n == 0:
		return nil, fmt.Errorf("regex: it matches nothing at all as well: ask for a character at least")
	case n > MaxMatch:
		return nil, fmt.Errorf("regex: it matches %d bytes at least, and a value has at most %d", n, MaxMatch)
	}
	prog, err := syntax.Compile(tree)
	if err != nil || len(prog.Inst) > maxProgram {
		return nil, fmt.Errorf("regex: it is of %d steps, at most %d are taken: repeat less", len(prog.Inst), maxProgram)
	}
	if u.re, err = regexp.Compile(d.Regex); err != nil {
		return nil, fmt.Errorf("regex: %w", err)
	}
	a := anchorOf(tree)
	switch {
	case len(a.literals) > 0:
		u.literals, u.fold = a.literals, a.fold
	case a.run >= leastRun:
		u.set, u.run = a.set, a.run
	case !d.Slow:
		return nil, fmt.Errorf("regex: no text of %d bytes and no run of %d characters is in every match, so that it would be tried everywhere: add one, or write slow: true", leastAnchor, leastRun)
	}
	return u, nil
}

// plainWord reports what near can listen for: letters only.
func plainWord(w string) bool {
	if len(w) < 2 || len(w) > 16 {
		return false
	}
	for i := range len(w) {
		if kinds[w[i]]&(isUp|isLow) == 0 {
			return false
		}
	}
	return true
}

func wordList(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return " " + strings.ToLower(strings.Join(words, " ")) + " "
}

// An anchor is what every match has in it.
type anchor struct {
	literals []string
	fold     bool
	set      *[256]bool
	run      int
}

// worth orders anchors: long literals, then long runs.
func (a anchor) worth() int {
	if len(a.literals) > 0 {
		least := len(a.literals[0])
		for _, l := range a.literals {
			least = min(least, len(l))
		}
		return 1000 + least*8 - len(a.literals)
	}
	return a.run
}

// anchorOf finds the best that every match of the tree contains; worth 0 when there is none.
func anchorOf(re *syntax.Regexp) anchor {
	switch re.Op {
	case syntax.OpLiteral:
		text := string(re.Rune)
		if len(text) < leastAnchor {
			return anchor{}
		}
		if re.Flags&syntax.FoldCase == 0 {
			return anchor{literals: []string{text}}
		}
		for i := range len(text) {
			if text[i] >= 0x80 {
				return anchor{}
			}
		}
		// Letters whose other case is beyond ASCII would be missed.
		if strings.ContainsAny(strings.ToLower(text), "ks") {
			return anchor{}
		}
		return anchor{literals: []string{strings.ToLower(text)}, fold: true}
	case syntax.OpCapture, syntax.OpPlus:
		return anchorOf(re.Sub[0])
	case syntax.OpConcat:
		return bestOf(re.Sub)
	case syntax.OpAlternate:
		var all anchor
		for i, sub := range re.Sub {
			a := anchorOf(sub)
			if len(a.literals) == 0 || i > 0 && a.fold != all.fold {
				return anchor{}
			}
			all.literals, all.fold = append(all.literals, a.literals...), a.fold
		}
		return all
	}
	return anchor{}
}

// bestOf finds the best anchor of parts that stand one behind the other: of one
// of them, or a run over several.
func bestOf(parts []*syntax.Regexp) (best anchor) {
	var set *[256]bool
	n := 0
	flush := func() {
		if a := (anchor{set: set, run: n}); set != nil && a.worth() > best.worth() {
			best = a
		}
		set, n = nil, 0
	}
	for _, p := range parts {
		if a := anchorOf(p); a.worth() > best.worth() {
			best = a
		}
		of := p
		if p.Op == syntax.OpPlus {
			of = p.Sub[0]
		}
		if of.Op != syntax.OpCharClass {
			flush()
			continue
		}
		in, ok := ascii(of)
		if !ok || set != nil && *set != *in {
			flush()
		}
		if ok {
			set = in
			n++
		}
		if p.Op == syntax.OpPlus {
			// A run goes on behind it only with the same characters.
			continue
		}
	}
	flush()
	return best
}

// ascii returns a class of ASCII as a set, where it is narrow enough to be worth looking for.
func ascii(re *syntax.Regexp) (*[256]bool, bool) {
	var set [256]bool
	size := 0
	for i := 0; i+1 < len(re.Rune); i += 2 {
		if re.Rune[i+1] >= 0x80 {
			return nil, false
		}
		for c := re.Rune[i]; c <= re.Rune[i+1]; c++ {
			set[c] = true
			size++
		}
	}
	return &set, size <= 40
}

// shortest returns the least length of a match.
func shortest(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpCapture, syntax.OpPlus:
		return shortest(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min * shortest(re.Sub[0])
	case syntax.OpConcat:
		n := 0
		for _, sub := range re.Sub {
			n += shortest(sub)
		}
		return n
	case syntax.OpAlternate:
		n := MaxMatch
		for _, sub := range re.Sub {
			n = min(n, shortest(sub))
		}
		return n
	case syntax.OpNoMatch:
		return 1
	}
	return 0
}

// valid runs the detector's check over a match.
func (u *own) valid(v []byte) bool {
	var digits [MaxMatch]byte
	n := 0
	for _, c := range v {
		switch {
		case kinds[c]&isDigit != 0:
			digits[n] = c - '0'
			n++
		case u.Validator == "mod97" && kinds[c]&(isUp|isLow) != 0:
			digits[n] = c | 0x20 - 'a' + 10
			n++
		}
	}
	d := digits[:n]
	switch u.Validator {
	case "luhn":
		return Luhn(d)
	case "mod97":
		return mod97(d)
	case "mod11":
		return mod11(d)
	case "verhoeff":
		return verhoeff(d)
	}
	return true
}

// mod97 is ISO 7064 MOD 97-10 with the check digits at the end; letters count from 10.
func mod97(d []byte) bool {
	rest := 0
	for _, v := range d {
		if v > 9 {
			rest = rest*100 + int(v)
		} else {
			rest = rest*10 + int(v)
		}
		rest %= 97
	}
	return len(d) > 2 && rest == 1
}

// mod11 is the sum of the digits weighted from the right by 1, 2, 3… and divisible by eleven.
func mod11(d []byte) bool {
	sum := 0
	for i, v := range d {
		sum += int(v) * (len(d) - i)
	}
	return len(d) > 1 && sum%11 == 0
}

// anchored reports whether a literal or run is in t[lo:hi].
func (u *own) anchored(t []byte, lo, hi int) bool {
	switch {
	case u.set != nil:
		for p, n := lo, 0; p < hi; p++ {
			if n++; !u.set[t[p]] {
				n = 0
			}
			if n >= u.run {
				return true
			}
		}
		return false
	case len(u.literals) == 0:
		return true // slow
	}
	for _, l := range u.literals {
		part := t[lo:hi]
		if !u.fold {
			if bytes.Contains(part, []byte(l)) {
				return true
			}
			continue
		}
		for p := 0; p+len(l) <= len(part); p++ {
			if part[p]|0x20 == l[0]|0x20 && strings.EqualFold(string(part[p:p+len(l)]), l) {
				return true
			}
		}
	}
	return false
}
