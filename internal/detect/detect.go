// Package detect answers, for text or for typed columns: which classes of
// sensitive data are here, where, and how sure.
//
// It is one hand-written pass. Blocks of 64 bytes become bits, one for each kind
// of byte; what runs, numbers, names and marks need is picked from the bits, and
// only there a step looks at the text. A candidate's score is its base, changed by
// a validator (Luhn, mod 97, CRC-32…), by whole words near it and by the name of
// its column. Bytes of 0x80 and up, escapes, base64 and hex are decoded up to three
// levels deep, with offsets mapped back to the input. A build with GOEXPERIMENT=simd
// makes the bits with AVX-512 or AVX2, and finds the same.
//
// With a model (Options.Names), names and addresses are read too, after all else.
//
// It never keeps, logs or returns an error with a value it found. It does not
// unpack compressed data, but for what is short and inside base64.
package detect

import (
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"github.com/assenthq/assent/internal/names"
)

// A Class is one kind of sensitive value: "email", "card", "us-ssn", …
type Class string

// Classes that other packages name. docs/classes.md lists all.
const (
	Email       Class = "email"
	Card        Class = "card"
	USSSN       Class = "us-ssn"
	IBAN        Class = "iban"
	Phone       Class = "phone"
	IP          Class = "ip"
	AWSKey      Class = "aws-key"
	GitHubToken Class = "github-token"
	JWT         Class = "jwt"
	PEM         Class = "pem"
	DSNPassword Class = "dsn-password"
	// Sensitive is the class of a column or key whose name says it is secret or
	// personal without telling which of the others.
	Sensitive Class = "sensitive"

	Person       Class = "person"
	Address      Class = "address"
	DateOfBirth  Class = "date-of-birth"
	Organisation Class = "organisation"
	Place        Class = "place"
	Diagnosis    Class = "diagnosis"
	Drug         Class = "drug"
)

// A Finding is one value found: bytes [Start, End) of the input.
type Finding struct {
	Start, End int
	Class      Class
	Score      float32 // 0 to 1
}

// Options configure an Engine. The zero value works.
type Options struct {
	// Off lists classes that are not looked for.
	Off []Class
	// Columns is the deployment's catalogue: "table.column" or
	// "schema.table.column", in any case, to class.
	Columns map[string]Class
	// Names is the model that finds names of people, places, addresses, diseases and
	// drugs; nil for none. AllNames asks for organisations too.
	Names    *names.Model
	AllNames bool
	// Detectors are the deployment's own.
	Detectors []Detector
}

// An Engine finds sensitive values. It is safe for concurrent use.
type Engine struct {
	off       map[Class]bool
	catalogue map[string]Class
	version   string
	model     *names.Model
	all       bool
	plain     *Engine // without the model
	own       []*own

	mu    sync.RWMutex
	names map[string]verdict // guarded by mu
}

var scans = sync.Pool{New: func() any { return new(scan) }}

// New returns an engine. An unknown class in o is an error.
func New(o Options) (*Engine, error) {
	e := &Engine{off: map[Class]bool{}, catalogue: map[string]Class{}, names: map[string]verdict{}}
	if len(o.Detectors) > MaxDetectors {
		return nil, fmt.Errorf("%d detectors: at most %d are taken", len(o.Detectors), MaxDetectors)
	}
	for i, d := range o.Detectors {
		u, err := compile(d)
		if err != nil {
			return nil, &DetectorError{i, err}
		}
		e.own = append(e.own, u)
	}
	for _, c := range o.Off {
		if !e.Has(c) {
			return nil, fmt.Errorf("switching off class %q: no such class", c)
		}
		e.off[c] = true
	}
	for name, c := range o.Columns {
		if !e.Has(c) {
			return nil, fmt.Errorf("catalogue column %q: no such class %q", name, c)
		}
		if !strings.Contains(name, ".") {
			return nil, fmt.Errorf("catalogue column %q: want table.column", name)
		}
		e.catalogue[strings.ToLower(name)] = c
	}
	e.version = versionOf(o)
	if o.Names != nil {
		e.model, e.all = o.Names, o.AllNames
		o.Names = nil
		plain, err := New(o)
		if err != nil {
			return nil, err
		}
		plain.version, e.plain = e.version, plain
	}
	return e, nil
}

// Version names the edition of the detectors and their configuration. It is
// part of the policy bundle's digest: a change of either is a change of policy.
func (e *Engine) Version() string { return e.version }

// shortText is how long a text is at most for which Clean costs less than skim.
const shortText = 96

// Scan appends the findings in text to dst, sorted and non-overlapping. It
// allocates nothing beyond dst, except to verify a telephone number.
func (e *Engine) Scan(text []byte, dst []Finding) []Finding {
	if len(text) <= shortText && e.Clean(text) {
		return dst
	}
	return e.scanAll(text, dst)
}

func (e *Engine) scanAll(text []byte, dst []Finding) []Finding {
	s := scans.Get().(*scan)
	s.reset(e, text, dst)
	s.final = true
	s.steps()
	s.readNames(len(text))
	s.takeOwn()
	out := s.out
	s.release()
	scans.Put(s)
	return out
}

// Findings are those of one text, in memory that is used again after Free.
type Findings struct{ List []Finding }

var findings = sync.Pool{New: func() any { return new(Findings) }}

// Find is Scan without an allocation, for a caller that soon has done with the findings.
func (e *Engine) Find(text []byte) *Findings {
	f := findings.Get().(*Findings)
	f.List = e.Scan(text, f.List[:0])
	return f
}

// FindString is Find for a string.
func (e *Engine) FindString(text string) *Findings {
	return e.Find(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// Free gives the memory of f back; f must not be used after it.
func (f *Findings) Free() {
	if cap(f.List) <= 256 {
		findings.Put(f)
	}
}

// ScanString is Scan for a string.
func (e *Engine) ScanString(text string, dst []Finding) []Finding {
	// Scan only reads its input.
	return e.Scan(unsafe.Slice(unsafe.StringData(text), len(text)), dst)
}

// Value judges one typed value as a whole, given the class its column is known
// to have ("" when none). It returns the class of the whole value and how sure
// that is; "" means that the value as a whole is nothing known, though parts of
// it may be. A value that does not look like its column's class keeps that
// class with a score of 0.5.
func (e *Engine) Value(v []byte, prior Class) (Class, float32) {
	var few [8]Finding
	found := e.Scan(v, few[:0])
	start, end := trimSpace(v)
	for _, f := range found {
		if f.Start <= start && f.End >= end && (prior == "" || prior == f.Class) {
			return f.Class, f.Score
		}
	}
	if prior != "" && !e.off[prior] {
		return prior, 0.5
	}
	return "", 0
}

func trimSpace(v []byte) (start, end int) {
	end = len(v)
	for start < end && v[start] <= ' ' {
		start++
	}
	for end > start && v[end-1] <= ' ' {
		end--
	}
	return start, end
}
