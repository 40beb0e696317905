package postgres

import (
	"errors"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
	"github.com/assenthq/assent/internal/classify/uses"
)

// planned is what a statement means in a snapshot, beyond its text. It is shared
// and must not be changed.
type planned struct {
	columns     []action.Column // with everything behind their sources
	inferred    []string        // what steers the outcome, with everything behind it
	uses        uses.Uses       // what it does with classed columns besides showing them
	kinds       []action.Kind   // all of them, sorted
	definitions string          // digest of what the names stand for; "" where they are tables and no more
	why         []string        // what the catalogue adds, for people
}

// Bounds of what a snapshot works out: statements remembered, and views over views.
const (
	maxPlans     = 16 << 10
	catalogDepth = 12
)

// planned works out what st means in s. It is a pure function of the two, and for
// a statement that the classifier keeps it is remembered: asked again it costs a lookup, without a lock.
func (s *snapshot) planned(st *sql.Statement, class func(string) string) (*planned, error) {
	if p, is := s.plans.Load(st); is {
		return p.(*planned), nil
	}
	s.mu.Lock()
	p, err := s.plan(st, class)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if st.Execute == "" && (st.Cursor == nil || st.Cursor.Op == sql.CursorDeclare) { // those are made anew each time
		if s.held.Add(1) > maxPlans {
			s.plans.Clear()
			s.held.Store(1)
		}
		s.plans.Store(st, p)
	}
	return p, nil
}

func (s *snapshot) plan(st *sql.Statement, class func(string) string) (*planned, error) {
	var named []*relation
	for _, o := range st.Objects {
		if r := s.resolve(o, st.SearchPath()); r != nil && !slices.Contains(named, r) {
			named = append(named, r)
		}
	}
	columns := st.Columns
	if st.Cursor != nil && st.Cursor.Op == sql.CursorDeclare { // what FETCH will return is the query's
		columns = st.Cursor.Inner.Columns
	}
	p := &planned{columns: slices.Clone(columns), kinds: slices.Clone(st.Kinds)}
	var err error
	for i, c := range p.columns {
		if p.columns[i].Sources, err = s.expand(c.Sources, named, 0); err != nil {
			return nil, err
		}
		p.columns[i].Turned = s.turned(c, named, st.Objects)
	}
	if p.inferred, err = s.expand(st.Inferred, named, 0); err != nil {
		return nil, err
	}
	p.uses = uses.Of(p.columns, p.inferred, class)
	if err := s.stand(p, st, named); err != nil {
		return nil, err
	}
	slices.Sort(p.kinds)
	p.kinds = slices.Compact(p.kinds)
	slices.Sort(p.why)
	p.why = slices.Compact(p.why)
	return p, nil
}

// workOut follows the columns of r to what they hold: a view's through its
// definition, a generated one through its expression, and in a family of tables
// each to its namesakes above and below, whose rows are the same.
func (s *snapshot) workOut(r *relation, depth int) error {
	if depth > catalogDepth {
		return errors.New("views are nested too deep")
	}
	if r.ready.Load() {
		return nil
	}
	if r.walking {
		return errors.New("views that read each other")
	}
	r.walking = true
	defer func() { r.walking = false }()
	r.from, r.under, r.reading, r.writing, r.checking = make(map[string]flow, len(r.columns)), nil, effect{}, effect{}, effect{}
	s.effects(r)
	work := s.workOutTable
	if r.view != "" {
		work = func(r *relation) error { return s.workOutView(r, depth) }
	}
	if err := work(r); err != nil {
		return err
	}
	r.ready.Store(true)
	return nil
}

func (s *snapshot) workOutTable(r *relation) error {
	relatives := append(family(r, up), family(r, down)...)
	for _, c := range r.columns {
		var f flow
		for _, k := range relatives {
			if k != r && slices.ContainsFunc(k.columns, func(o column) bool { return o.name == c.name }) {
				f.sources = append(f.sources, k.name()+"."+c.name)
			}
		}
		if c.generated != "" {
			st := s.classify("SELECT " + c.generated + " FROM " + quoted(r))
			if len(st.Columns) != 1 {
				return errors.New("a generated column that is not understood")
			}
			// Its own table is not expanded: a generated column can't use another one.
			f.sources, f.derived, f.turned = append(f.sources, st.Columns[0].Sources...), true, st.Columns[0].Turned && s.holdsText(r, st.Columns[0].Sources)
		}
		// A tsvector is text cut into words and sorted: 123-45-6789 lies in it as '-45':2 '-6789':3 '123':1.
		f.turned = f.turned || c.typ == tsvector || c.typ == tsvectors
		if f.sources != nil || f.turned {
			r.from[c.name] = f
		}
	}
	return nil
}

// workOutView notes where the columns of a view come from: its definition is classified as
// any other query. What does not come out column by column comes from everywhere in it.
func (s *snapshot) workOutView(r *relation, depth int) error {
	st := s.classify(r.view)
	r.reading.add("view "+r.name(), st)
	for _, o := range st.Objects {
		if u := s.resolve(o, st.SearchPath()); u != nil {
			r.under = append(r.under, u)
		}
	}
	var all []string
	agree := len(st.Columns) == len(r.columns)
	for _, c := range st.Columns {
		all = append(all, c.Sources...)
	}
	if !agree {
		for _, o := range st.Objects {
			all = append(all, o+".*")
		}
	}
	for i, c := range r.columns {
		f := flow{sources: all, derived: !agree || st.Columns[i].Derived}
		turned := !agree && slices.ContainsFunc(st.Columns, func(c action.Column) bool { return c.Turned })
		if agree {
			f.sources, turned = st.Columns[i].Sources, st.Columns[i].Turned
		}
		expanded, err := s.expand(f.sources, r.under, depth)
		if err != nil {
			return err
		}
		f.turned = s.turned(action.Column{Sources: f.sources, Turned: turned}, r.under, nil)
		for _, u := range r.under {
			for _, source := range f.sources {
				f.derived = f.derived || u.from[source[strings.LastIndexByte(source, '.')+1:]].derived
			}
		}
		f.sources = expanded
		r.from[c.name] = f
	}
	return nil
}

// tsvector and its array, by number.
const tsvector, tsvectors = 3614, 3643

func quoted(r *relation) string { return ident(r.schema) + "." + ident(r.base) }

func ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
