package detect

import (
	"bytes"
	"slices"
	"strings"
)

// An Explanation says why something in a text was found, or was not.
type Explanation struct {
	Findings   []Finding
	Candidates []Candidate
	// Clean: nothing in the text could even begin a value, so that nothing was tried.
	Clean bool
	// Start and End are of what the Woulds are about.
	Start, End int
	Woulds     []Would
}

// A Candidate is what the detectors tried, as they told it to the scan, and what became of it.
type Candidate struct {
	Start, End int
	Class      Class
	Score      float32
	Outcome    string // "found", or why not
	Decoded    bool   // it stood in what was decoded or unpacked
	// Context: "" where no word near it was asked for, "spoke" or "silent".
	Context string
}

// A Would is a change with which something would be found, or found more surely. It
// was tried, by the same scan.
type Would struct {
	What  string
	Class Class
	Score float32
}

// What becomes of a candidate.
const (
	Found    = "found"
	Weak     = "not sure enough"
	Off      = "its class is switched off"
	Joined   = "part of what was found"
	maxUnit  = 256 // bytes that Woulds are about
	maxTried = 16 << 10
)

// A trace is what a scan tells of itself. A scan without one tells nothing, at the cost of a comparison.
type trace struct {
	tried   []Candidate
	context []Candidate // asked for, by place and class
	decoded bool
}

func (t *trace) add(start, end int, class Class, score float32) {
	if start < end {
		t.tried = append(t.tried, Candidate{Start: start, End: end, Class: class, Score: score, Decoded: t.decoded})
	}
}

func (t *trace) asked(start, end int, class Class, spoke bool) {
	how := "silent"
	if spoke {
		how = "spoke"
	}
	t.context = append(t.context, Candidate{Start: start, End: end, Class: class, Context: how})
}

// Explain says why what is in a text was found or not. at is the offset that it is asked for, or
// -1: of the text as a whole. Of a long text, only what is near at counts.
func (e *Engine) Explain(text []byte, at int) Explanation {
	base := 0
	if len(text) > 2*maxTried {
		base = max(0, min(at, len(text))-maxTried)
		text = text[base:min(len(text), base+2*maxTried)]
		at = max(at-base, -1)
	}
	x := e.explain(text, at)
	for i := range x.Findings {
		x.Findings[i].Start += base
		x.Findings[i].End += base
	}
	for i := range x.Candidates {
		x.Candidates[i].Start += base
		x.Candidates[i].End += base
	}
	x.Start, x.End = x.Start+base, x.End+base
	return x
}

func (e *Engine) explain(text []byte, at int) (x Explanation) {
	t := &trace{}
	s := new(scan)
	s.reset(e, text, nil)
	s.final, s.trace = true, t
	x.Clean = e.Clean(text)
	if !x.Clean {
		s.steps()
		s.readNames(len(text))
		s.takeOwn()
	}
	x.Findings = slices.Clone(s.out)
	for _, c := range t.tried {
		c.Outcome = e.outcome(&c, x.Findings)
		c.Context = t.heard(&c)
		x.Candidates = append(x.Candidates, c)
	}
	for _, c := range t.context { // asked for, and nothing came of it
		if !slices.ContainsFunc(x.Candidates, func(o Candidate) bool { return o.Class == c.Class && o.Start < c.End && c.Start < o.End }) {
			c.Outcome = Weak
			x.Candidates = append(x.Candidates, c)
		}
	}
	x.Start, x.End = unit(text, at)
	x.Woulds = e.woulds(text, x.Start, x.End, x.Findings)
	s.release()
	return x
}

func (e *Engine) outcome(c *Candidate, found []Finding) string {
	for _, f := range found {
		if f.Start <= c.Start && f.End >= c.End {
			if f.Class == c.Class && f.Start == c.Start && f.End == c.End {
				return Found
			}
			return Joined
		}
	}
	if e.off[c.Class] {
		return Off
	}
	return Weak
}

// heard says what the words near a candidate said.
func (t *trace) heard(c *Candidate) string {
	how := ""
	for _, a := range t.context {
		if a.Class == c.Class && a.Start < c.End && c.Start < a.End && how != "spoke" {
			how = a.Context
		}
	}
	return how
}

// unit is what a person means by an offset: the word there, with what numbers have between their groups.
func unit(text []byte, at int) (start, end int) {
	if at < 0 || at >= len(text) {
		start, end = trimSpace(text)
		return start, min(end, start+maxUnit)
	}
	part := func(i int) bool {
		if i < 0 || i >= len(text) || text[i] < ' ' {
			return false
		}
		if text[i] != ' ' {
			return true
		}
		return i > 0 && i+1 < len(text) && kinds[text[i-1]]&isDigit != 0 && kinds[text[i+1]]&isDigit != 0
	}
	if !part(at) {
		return at, at
	}
	start, end = at, at+1
	for part(start-1) && at-start < maxUnit/2 {
		start--
	}
	for part(end) && end-at < maxUnit/2 {
		end++
	}
	return start, end
}

// woulds tries what is often missing: a word near it, another check character, nothing beside it.
func (e *Engine) woulds(text []byte, start, end int, found []Finding) []Would {
	if start >= end {
		return nil
	}
	w := &wishes{e: e, best: map[Class]float32{}}
	for _, f := range found {
		if f.Start < end && start < f.End {
			w.best[f.Class] = max(w.best[f.Class], f.Score)
		}
	}
	value := text[start:end]
	core := bytes.Trim(value, `"'<>()[]{},;:=`+"`")
	w.try("with nothing beside it", core, 0, len(core))
	for i := range table {
		word, _, _ := strings.Cut(strings.TrimSpace(table[i].words), " ")
		if word == "" {
			continue
		}
		with := slices.Concat(text[:start], []byte(word+" "), text[start:])
		w.only = table[i].class
		w.try("with the word “"+word+"” before it", with, start+len(word)+1, end+len(word)+1)
	}
	w.only = ""
	e.otherEnds(w, text, start, end)
	return w.list
}

// otherEnds tries other last characters: a check that fails would then pass.
func (e *Engine) otherEnds(w *wishes, text []byte, start, end int) {
	last := end - 1
	for last > start && kinds[text[last]]&(isDigit|isUp|isLow) == 0 {
		last--
	}
	var all string
	switch k := kinds[text[last]]; {
	case k&isDigit != 0:
		all = "0123456789"
	case k&isUp != 0:
		all = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	default:
		return
	}
	with := slices.Clone(text)
	for _, c := range []byte(all) {
		if c != text[last] {
			with[last] = c
			w.try("if its check held: another last character would do", with, start, end)
		}
	}
}

// wishes collects what would raise a score.
type wishes struct {
	e    *Engine
	best map[Class]float32
	only Class // "": any
	list []Would
}

// try scans a text, and takes what it finds in [start, end) that is surer than all before.
func (w *wishes) try(what string, text []byte, start, end int) {
	for _, f := range w.e.Scan(text, nil) {
		if f.Start >= end || f.End <= start || f.Score <= w.best[f.Class] || w.only != "" && f.Class != w.only {
			continue
		}
		if w.only == "" {
			w.best[f.Class] = f.Score
		}
		w.list = append(w.list, Would{what, f.Class, f.Score})
	}
}

// About is what the table says of a class: its form, its check, and where the rule is from.
func About(c Class) (form, check, source string) {
	i, ok := byClass[c]
	if !ok {
		return "", "", ""
	}
	return table[i].format, table[i].check, table[i].source
}

// NamesOf are names of columns and members that say a class, the first of them surely.
func NamesOf(c Class) []string {
	i, ok := byClass[c]
	if !ok {
		return nil
	}
	var out []string
	for _, n := range strings.Split(table[i].names, ",") {
		n = strings.TrimRight(strings.TrimSpace(n), "0123456789.")
		if n = strings.TrimSpace(n); n != "" {
			out = append(out, n)
		}
	}
	return out
}
