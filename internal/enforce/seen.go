package enforce

import (
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/habit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/trail"
)

// seen is what one session has worked out about statements that come again. All
// of it is a function of its key, so a hit changes no answer. Lists are known by
// their first element: a gate hands out the same list for the same statement and
// never changes it.
type seen struct {
	links  []action.Link
	chain  []string    // their ids
	reader string      // ledgerKey
	book   *trail.Book // nil: nobody keeps one
	eyes   Eyes        // book, or who keeps it elsewhere; nil: nobody does
	habits *habit.Book // nil: nobody keeps them

	mu      sync.Mutex // guards what follows
	titles  map[string]string
	acts    map[actKey]habit.Act
	columns map[*action.Column]columnFacts
	rows    map[*gate.Column]*openRows
	masks   uintptr // identity of the methods that set was made of, which holder keeps alive
	holder  map[string]string
	set     *mask.Set
	bare    classSet // that set leaves as they are
	spare   *permit  // done, and free for the next action
}

// columnFacts are the classes that output columns are known to have, and their groups.
type columnFacts struct {
	n               int
	classes, groups []string
	set             classSet
}

// openRows is a result set that is masked, or was and may be opened again.
type openRows struct {
	n    int
	set  *mask.Set
	rows *mask.Rows
	busy bool
}

// maxSeen bounds each of the maps.
const maxSeen = 512

func (e *Enforcer) newSeen(asker *identity.Asker) *seen {
	s := &seen{
		links: asker.Links(), reader: ledgerKey(asker), book: e.bookOf(asker),
		titles: map[string]string{}, columns: map[*action.Column]columnFacts{}, rows: map[*gate.Column]*openRows{}, acts: map[actKey]habit.Act{},
	}
	if e.o.Habits != nil {
		s.habits = e.o.Habits.Book(asker.Chain[0].ID)
	}
	if s.book != nil {
		s.eyes = s.book
	}
	for _, l := range s.links {
		s.chain = append(s.chain, l.ID)
	}
	return s
}

func remember[K comparable, V any](m map[K]V, k K, v V) {
	if len(m) >= maxSeen {
		clear(m)
	}
	m[k] = v
}

// title is t masked.
func (s *seen) title(t string, e *detect.Engine) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if masked, is := s.titles[t]; is {
		return masked
	}
	masked, _, _ := mask.MaskStatement(t, e)
	remember(s.titles, t, masked)
	return masked
}

// factsOf says what the catalogue and the names of columns tell.
func (s *seen) factsOf(columns []action.Column, e *detect.Engine) columnFacts {
	if len(columns) == 0 {
		return columnFacts{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, is := s.columns[&columns[0]]; is && f.n == len(columns) {
		return f
	}
	classes := map[string]bool{}
	for _, c := range columns {
		if class, _ := e.Column(c.Name, c.Sources); class != "" {
			classes[string(class)] = true
		}
	}
	f := columnFacts{n: len(columns), classes: sorted(classes)}
	f.groups = groupsOf(f.classes)
	for _, c := range f.classes {
		f.set.join(setOf(c))
	}
	remember(s.columns, &columns[0], f)
	return f
}

// setOf is the mask set of methods for actor, and the classes that it leaves as they are.
func (s *seen) setOf(m *mask.Masker, actor string, methods map[string]string) (*mask.Set, classSet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id := reflect.ValueOf(methods).Pointer(); s.set == nil || s.masks != id {
		s.set, s.masks, s.holder, s.bare = m.For(actor, methods), id, methods, bare(methods)
	}
	return s.set, s.bare
}

// open opens a result set of columns under set.
func (s *seen) open(set *mask.Set, columns []gate.Column) *openRows {
	if len(columns) == 0 {
		return &openRows{rows: set.Rows(nil)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.rows[&columns[0]]; o != nil && o.n == len(columns) && o.set == set && !o.busy {
		o.busy = true
		o.rows.Reset()
		return o
	}
	cols := make([]mask.Column, len(columns))
	for i, c := range columns {
		cols[i] = mask.Column{Name: c.Name, Type: c.Type, Binary: c.Binary, Sources: c.Sources, Derived: c.Derived, Turned: c.Turned}
	}
	o := &openRows{n: len(columns), set: set, rows: set.Rows(cols), busy: true}
	remember(s.rows, &columns[0], o)
	return o
}

// take hands out the spare permit, or a new one.
func (s *seen) take() *permit {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.spare
	s.spare = nil
	if p == nil {
		p = &permit{text: map[string]int64{}}
	}
	return p
}

// giveBack makes p the spare permit, unless people were asked: an approval may still refer to what is in it.
func (s *seen) giveBack(p *permit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range p.open {
		o.busy = false
	}
	p.open = p.open[:0]
	if p.approval == "" {
		s.spare = p
	}
}

// took writes a duration. Those below a millisecond are written once for all.
func took(d time.Duration) string {
	d = d.Round(time.Microsecond)
	if d < 0 || d >= time.Millisecond {
		return d.String()
	}
	return shortTimes()[d.Microseconds()]
}

var shortTimes = sync.OnceValue(func() []string {
	out := make([]string, 1000)
	out[0] = "0s"
	for i := 1; i < len(out); i++ {
		out[i] = strconv.Itoa(i) + "µs"
	}
	return out
})
