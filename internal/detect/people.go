package detect

import (
	"fmt"

	"github.com/assenthq/assent/internal/names"
)

// byKind are the classes of what the model finds.
var byKind = [names.Kinds]Class{
	names.Person: Person, names.Place: Place, names.Address: Address,
	names.Organisation: Organisation, names.Diagnosis: Diagnosis, names.Drug: Drug,
}

// askedFor are those that are looked for only where Options.AllNames says so: much that
// isn't about anybody has them.
var askedFor = [names.Kinds]bool{names.Organisation: true}

// ParseNames reads the word of a configuration: "off", "on" or "all", which asks for organisations
// too. The model is the one in file, or that of the program for "".
func (o *Options) ParseNames(word, file string) (err error) {
	switch word {
	case "off":
		return nil
	case "on", "", "all":
		o.AllNames = word == "all"
		o.Names, err = names.Open(file)
		return err
	}
	return fmt.Errorf("names %q: it is on, off or all", word)
}

// reading is what a scan needs to read names. Text is read in segments, which depend on
// nothing but the text before them, once all else in them is decided.
type reading struct {
	at    int // text before it was read
	text  names.Text
	spans []names.Span
}

// Clean is like the function of this name, for this engine.
func (e *Engine) Clean(t []byte) bool {
	for _, u := range e.own {
		if u.anchored(t, 0, len(t)) {
			return false
		}
	}
	return Clean(t) && (e.model == nil || !names.Possible(t))
}

// For returns an engine that finds what e finds of the given classes, with less work where
// those are none that take the model. It says the same of columns, and has the same version.
func (e *Engine) For(classes func(Class) bool) *Engine {
	if e.model == nil {
		return e
	}
	for k, c := range byKind {
		if c != "" && classes(c) && !e.off[c] && (e.all || !askedFor[k]) {
			return e
		}
	}
	return e.plain
}

// readNames reads the segments that end before safe, and returns how far it came:
// no name that begins before it is still to be found.
func (s *scan) readNames(safe int) int {
	if s.e.model == nil || s.depth > 0 {
		return safe
	}
	if s.read == nil {
		s.read = new(reading)
	}
	r := s.read
	for r.at < len(s.t) {
		n := names.Segment(s.t[r.at:], s.final)
		if n == 0 || r.at+n > safe {
			break
		}
		r.spans = s.e.model.Find(s.t[r.at:r.at+n], &r.text, r.spans[:0])
		for _, p := range r.spans {
			if s.e.all || !askedFor[p.Kind] {
				s.addName(r.at+p.Start, r.at+p.End, byKind[p.Kind], p.Score)
			}
		}
		r.at += n
	}
	return min(safe, r.at)
}

// addName takes what of [start, end) is no other finding already: those are surer.
func (s *scan) addName(start, end int, class Class, score float32) {
	at := len(s.out)
	for at > s.lo && s.out[at-1].End > start {
		at--
	}
	for at < len(s.out) && s.out[at].Start < end && start < end {
		old := s.out[at]
		if old.Start > start {
			n := len(s.out)
			s.addPart(start, old.Start, class, score)
			at += len(s.out) - n
		}
		start = max(start, old.End)
		at++
	}
	s.addPart(start, end, class, score)
}

// addPart takes a part of a name, unless nothing that could be read is in it.
func (s *scan) addPart(start, end int, class Class, score float32) {
	for start < end && kinds[s.t[start]]&(isWord|isHigh) == 0 {
		start++
	}
	for start < end && kinds[s.t[end-1]]&(isWord|isHigh) == 0 && s.t[end-1] != '.' {
		end--
	}
	for p := start; p < end; p++ {
		if kinds[s.t[p]]&(isUp|isLow|isHigh) != 0 {
			s.add(start, end, class, score)
			return
		}
	}
}
