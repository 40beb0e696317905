package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
)

// An effect is what using a relation does besides, and why.
type effect struct {
	kinds    []action.Kind
	why      []string
	routines []uint32
}

// An expression is evaluated by the server when rows are read or written.
type expression struct{ what, text string }

// A trigger runs a function when rows change, or on a definition.
type trigger struct {
	name, definition string
	function         uint32
	events           int // bits of pg_trigger.tgtype
}

// What a statement does to rows, as bits of pg_trigger.tgtype.
const (
	inserts   = 1 << 2
	deletes   = 1 << 3
	updates   = 1 << 4
	truncates = 1 << 5
)

// eventsOf says what a statement may do to the rows of the tables it writes.
func eventsOf(st *sql.Statement) int {
	switch st.Verb {
	case "insert":
		return inserts | updates // ON CONFLICT
	case "copy":
		return inserts
	case "update":
		return inserts | updates | deletes // a row may move to another partition
	case "delete":
		return deletes
	case "truncate":
		return truncates
	}
	return inserts | updates | deletes | truncates
}

// A rule changes what a write does.
type rule struct{ name, definition string }

// add notes what a part of a definition does beyond reading.
func (e *effect) add(what string, st *sql.Statement) {
	e.routines = append(e.routines, st.Routines...)
	if st.ReadOnly() {
		return
	}
	for _, k := range st.Kinds {
		if k != action.DataRead { // to evaluate it is no read of its own
			e.kinds = append(e.kinds, k)
		}
	}
	for _, w := range st.Why {
		e.why = append(e.why, what+": "+w)
	}
}

// effects notes what reading and writing r does besides, but for what a view's own query does.
func (s *snapshot) effects(r *relation) {
	if r.kind == 'f' {
		r.reading.kinds = append(r.reading.kinds, action.NetFetch)
		r.reading.why = append(r.reading.why, "foreign table "+r.name()+" leaves through server "+r.server)
	}
	if r.security {
		for _, p := range r.policies {
			r.reading.add(p.what+" of "+r.name(), s.classify("SELECT "+p.text+" FROM "+quoted(r)))
		}
	}
	for _, c := range r.checks {
		r.checking.add(c.what+" of "+r.name(), s.classify("SELECT "+c.text+" FROM "+quoted(r)))
	}
	for _, c := range r.columns {
		if t := s.types[c.typ]; t != nil && !t.harmless {
			r.checking.kinds = append(r.checking.kinds, action.Execute)
			r.checking.why = append(r.checking.why, "column "+r.name()+"."+c.name+": "+t.why())
		}
	}
	if r.kind == 'f' {
		r.writing.kinds = append(r.writing.kinds, action.DataExport)
		r.writing.why = append(r.writing.why, "what is written to foreign table "+r.name()+" leaves through server "+r.server)
	}
	for _, u := range r.rules {
		r.writing.kinds = append(r.writing.kinds, action.Execute)
		r.writing.why = append(r.writing.why, "rule "+u.name+" of "+r.name()+" does something else as well, or instead")
	}
}

// fires notes a trigger, unless its function is built in or vouched for.
func (s *snapshot) fires(e *effect, t trigger, what string) {
	f := s.code[t.function]
	switch {
	case f == nil && t.function < firstUserType:
		return
	case f == nil:
		e.kinds = append(e.kinds, action.Execute, action.Unknown)
		e.why = append(e.why, what+" runs a function that the gate can't see")
		return
	}
	e.routines = append(e.routines, f.oid)
	if !s.vouched(f.name()) {
		e.kinds = append(e.kinds, action.Execute)
		e.why = append(e.why, what+" runs "+f.name()+" ("+f.traits()+")")
	}
}

// stand adds what stands behind the relations and functions of a statement: what they
// do besides, and a digest of the definitions.
func (s *snapshot) stand(p *planned, st *sql.Statement, named []*relation) error {
	d := digest{s: s, seen: map[any]bool{}}
	d.functions(st.Routines)
	for _, id := range st.Routines {
		for _, w := range st.Why {
			if f := s.code[id]; f != nil && strings.HasPrefix(w, f.name()+" (") {
				p.why = append(p.why, w)
			}
		}
	}
	reads := &planned{} // what a definition names, it does not read
	if st.Explain != nil || slices.ContainsFunc(st.Kinds, func(k action.Kind) bool { return k != action.SchemaChange && k != action.PrivilegeChange }) {
		reads = p
	}
	for _, r := range named {
		if err := s.read(reads, &d, r, 0); err != nil {
			return err
		}
	}
	var written []*relation
	for _, o := range st.Writes {
		if r := s.resolve(o, st.SearchPath()); r != nil {
			written = append(written, r)
		}
	}
	if st.Verb == "refresh materialized view" {
		for _, r := range named {
			p.take(&d, &r.reading)
		}
	}
	events := eventsOf(st)
	for i := 0; i < len(written); i++ {
		if i > maxBehind {
			return errTooMuch
		}
		r := written[i]
		p.take(&d, &r.writing)
		if events&(inserts|updates) != 0 {
			p.take(&d, &r.checking)
		}
		var fired effect
		for _, t := range r.triggers {
			if t.events&events != 0 {
				s.fires(&fired, t, "trigger "+t.name+" of "+r.name())
			}
		}
		p.take(&d, &fired)
		d.written(r)
		if len(r.cascades) > 0 {
			events |= updates | deletes // ON DELETE SET NULL, CASCADE
		}
		for _, next := range [][]*relation{r.children, r.cascades, r.under} { // a write to a view is one to its tables
			for _, n := range next {
				if err := s.workOut(n, 0); err != nil {
					return err
				}
				if !slices.Contains(written, n) {
					written = append(written, n)
				}
			}
		}
	}
	if slices.Contains(st.Kinds, action.SchemaChange) {
		var e effect
		for _, t := range s.events {
			s.fires(&e, t, "event trigger "+t.name)
		}
		p.take(&d, &e)
	}
	var err error
	p.definitions, err = d.sum()
	return err
}

func (p *planned) take(d *digest, e *effect) {
	p.kinds = append(p.kinds, e.kinds...)
	p.why = append(p.why, e.why...)
	d.functions(e.routines)
}

// read adds what reading r does, through views down to tables and their partitions.
// Rows of a materialized view are stored: reading them runs nothing.
func (s *snapshot) read(p *planned, d *digest, r *relation, depth int) error {
	if err := s.workOut(r, depth); err != nil {
		return err
	}
	if d.seen[r] {
		return nil
	}
	d.read(r)
	if r.kind != 'm' {
		p.take(d, &r.reading)
	}
	next := r.children
	switch r.kind {
	case 'v':
		next = r.under
	case 'm':
		return nil
	}
	for _, n := range next {
		if err := s.read(p, d, n, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// maxBehind bounds what may stand behind one statement.
const maxBehind = 10_000

var errTooMuch = errors.New("too many definitions behind one statement")

// wrote marks a relation whose rows change.
type wrote struct{ r *relation }

// A digest collects definitions. What code names in its text is followed: a
// function that an approved one calls may not be replaced either.
type digest struct {
	s     *snapshot
	seen  map[any]bool // *relation, wrote and *function
	lines []string
	more  []*function
}

func (d *digest) line(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *digest) functions(ids []uint32) {
	for _, id := range ids {
		if f := d.s.code[id]; f != nil {
			d.more = append(d.more, f)
		}
	}
}

func (d *digest) read(r *relation) {
	d.seen[r] = true
	if r.view != "" {
		d.line("view %q %q", r.name(), r.view)
	}
	if r.kind == 'f' {
		d.line("foreign table %q %q %q", r.name(), r.server, r.options)
	}
	for _, e := range r.policies {
		d.line("policy %q %t %q %q", r.name(), r.security, e.what, e.text)
	}
}

func (d *digest) written(r *relation) {
	if d.seen[wrote{r}] {
		return
	}
	d.seen[wrote{r}] = true
	for _, e := range r.checks {
		d.line("check %q %q %q", r.name(), e.what, e.text)
	}
	for _, t := range r.triggers {
		d.line("trigger %q %q %q", r.name(), t.name, t.definition)
	}
	for _, u := range r.rules {
		d.line("rule %q %q %q", r.name(), u.name, u.definition)
	}
}

// sum returns "" where nothing but plain tables was met.
func (d *digest) sum() (string, error) {
	for i := 0; i < len(d.more); i++ {
		if len(d.more) > maxBehind || len(d.lines) > maxBehind {
			return "", errTooMuch
		}
		f := d.more[i]
		if d.seen[f] {
			continue
		}
		d.seen[f] = true
		d.line("function %d %x", f.oid, f.hash)
		d.functions(f.parts)
		for _, word := range f.words {
			d.more = append(d.more, d.s.functions[word]...)
			for _, r := range d.s.bare[word] {
				if d.seen[r] && d.seen[wrote{r}] {
					continue
				}
				d.read(r)
				d.written(r)
				for _, t := range r.triggers {
					d.functions([]uint32{t.function})
				}
			}
		}
	}
	if len(d.lines) == 0 {
		return "", nil
	}
	slices.Sort(d.lines)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(d.lines), "\n")))
	return hex.EncodeToString(sum[:]), nil
}
