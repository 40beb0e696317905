package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/sql"
)

// known is what a session keeps of statements that it will see again: all of it
// follows from the statement, the catalogue and the session's state, and is
// dropped with any of them.
type known struct {
	at       setting
	epoch    uint64            // another one for each setting
	state    sql.State         // for the classifier
	named    map[string]string // for the digest; shared, never changed
	meaning  string            // for comparison
	texts    map[string]string // texts of simple queries that came more than once
	once     [64]uint64        // hashes of those that came once
	meanings map[*sql.Statement]*meaning
}

// setting is what gives texts their meaning, for comparison.
type setting struct {
	role, auth, searchPath, database string
	reports, temps                   int
	snap                             *snapshot
}

// A meaning is what one statement asks for in one state.
type meaning struct {
	plan   *planned
	ask    action.Action // all but payload, statement and what depends on its place
	why    string        // what the catalogue says of it, as comments below its text
	shown  frame         // the last row description
	fields []field
	from   []gate.Column // of those fields
}

// Bounds of what one session keeps.
const (
	maxKnown     = 128
	maxKnownText = 4 << 10
)

// knows returns what is kept for the session as it is now.
func (c *codec) knows() *known {
	now := setting{c.role, c.auth, c.searchPath, c.database, c.reports, len(c.temp), c.snap}
	k := &c.kept
	if k.meanings != nil && k.at == now {
		return k
	}
	*k = known{at: now, epoch: k.epoch + 1, texts: map[string]string{}, meanings: map[*sql.Statement]*meaning{}}
	k.state, k.named, k.meaning = c.sqlState(), c.actionState(), c.meaningNow()
	return k
}

// classify is what the classifier says of p in k's setting, or said before.
func (c *codec) classify(p *prepared, k *known) *sql.Result {
	if p.found == nil || p.foundAt != k.epoch {
		p.found, p.foundAt = c.g.cfg.Classifier.Classify(p.text, k.state), k.epoch
	}
	return p.found
}

var seed = maphash.MakeSeed()

// text is b as a string, the same one for the same bytes from the third time on.
func (k *known) text(b []byte) string {
	if s, is := k.texts[string(b)]; is {
		return s
	}
	s := string(b)
	if len(s) > maxKnownText {
		return s
	}
	h := maphash.String(seed, s)
	if at := &k.once[h%uint64(len(k.once))]; *at != h {
		*at = h
		return s
	}
	if len(k.texts) >= maxKnown {
		clear(k.texts)
	}
	k.texts[s] = s
	return s
}

// meaningOf works out what st asks for, or remembers it.
func (c *codec) meaningOf(st *sql.Statement) (*meaning, error) {
	if c.snap == nil {
		return nil, errors.New("the catalogue could not be read")
	}
	k := c.knows()
	if m := k.meanings[st]; m != nil {
		return m, nil
	}
	p, err := c.snap.planned(st, c.g.cfg.Class)
	if err != nil {
		return nil, err
	}
	kinds := append(slices.Clone(st.Kinds), p.kinds...)
	if len(kinds) == 0 {
		kinds = append(kinds, action.Unknown)
	}
	slices.Sort(kinds)
	m := &meaning{plan: p, ask: action.Action{
		Kinds: slices.Compact(kinds), Verb: st.Verb, Target: st.Target, Title: st.Title, Shape: st.Shape, Reversible: st.Reversible,
		Objects: st.Objects, Columns: p.columns, State: with(k.named, "definitions", p.definitions),
	}}
	p.uses.Tell(&m.ask.Data)
	// What COPY brings in comes after the decision, so it was not looked at.
	m.ask.Data.Unscanned = st.Copy != nil && !st.Copy.Out
	if st.ReadOnly() && st.Limit.Known {
		m.ask.Data.Rows = st.Limit
	}
	for _, w := range p.why {
		m.why += "\n-- " + strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, w)
	}
	if st.Execute != "" || st.Cursor != nil && st.Cursor.Op != sql.CursorDeclare {
		return m, nil // made anew each time
	}
	if len(k.meanings) >= maxKnown {
		clear(k.meanings)
	}
	k.meanings[st] = m
	return m, nil
}

// with is m with one more entry; m stays as it is.
func with(m map[string]string, name, value string) map[string]string {
	out := maps.Clone(m)
	out[name] = value
	return out
}

// describe makes the action of a statement.
func (c *codec) describe(b *batch, m *meaning, text string, payload []byte) *action.Action {
	a := b.action()
	*a = m.ask
	a.Payload, a.Statement = payload, text+m.why
	if c.reshaped {
		doubt(a, "uncommitted", "definitions of the same transaction")
	}
	if b.shifted {
		// What it means depends on a statement before it that has not run yet.
		doubt(a, "after", "a change of role, search_path or transaction in the same message")
	}
	return a
}

// doubt makes a unknown as well, and says why in its state.
func doubt(a *action.Action, name, why string) {
	if !slices.Contains(a.Kinds, action.Unknown) {
		a.Kinds = append(slices.Clone(a.Kinds), action.Unknown)
	}
	a.State = with(a.State, name, why)
}

// fieldsOf reads a row description, or remembers it.
func (m *meaning) fieldsOf(f frame) ([]field, error) {
	if m != nil && bytes.Equal(f, m.shown) {
		return m.fields, nil
	}
	fields, err := readFields(f)
	if m != nil && err == nil && len(f) <= maxKnownText {
		m.shown, m.fields, m.from = slices.Clone(f), fields, nil
	}
	return fields, err
}

// source says where the columns of run come from, or remembers it.
func (c *codec) source(run *run, fields []field) ([]gate.Column, error) {
	m := run.meaning
	own := m != nil && len(fields) > 0 && len(m.fields) == len(fields) && &m.fields[0] == &fields[0]
	if own && m.from != nil {
		return m.from, nil
	}
	columns, err := c.columns(run, fields)
	if own && err == nil {
		m.from = columns
	}
	return columns, err
}

// withTypes is the state named of an action that runs p, with the types of its parameters.
func (p *prepared) withTypes(named map[string]string) map[string]string {
	if id := reflect.ValueOf(named).Pointer(); p.state == nil || p.of != id {
		p.of, p.named, p.state = id, named, with(named, "parameter_types", fmt.Sprint(p.types))
	}
	return p.state
}

// sqlVersion is server_version_num of what the server reports; 0 where it can't be read.
func sqlVersion(reported string) int {
	var major, minor int
	if n, _ := fmt.Sscanf(reported, "%d.%d", &major, &minor); n < 1 {
		return 0
	}
	return major*10000 + minor
}

// A batch keeps its memory for the next one, unless people were asked about it or
// something of it lives on.

// action returns an empty action.
func (b *batch) action() *action.Action {
	n := len(b.actions)
	if n < cap(b.actions) {
		if a := b.actions[:n+1][n]; a != nil {
			b.actions = b.actions[:n+1]
			return a
		}
	}
	a := &action.Action{}
	b.actions = append(b.actions, a)
	return a
}

// runs returns an empty list of runs for the next step.
func (b *batch) runs() []run {
	if n := len(b.steps); n < cap(b.steps) {
		return b.steps[:n+1][n].runs[:0]
	}
	return nil
}

// maxSpare is how much a batch may hold to be used again, in bytes of messages.
const maxSpare = 16 << 10

// batch returns an empty batch.
func (c *codec) batch() *batch {
	b := c.spare
	c.spare = nil
	if b == nil || b.kept || cap(b.in)+cap(b.raw)+cap(b.payloads) > maxSpare || cap(b.steps) > 64 {
		b = &batch{prepared: map[string]*prepared{}, portals: map[string]*portal{}, cursors: map[string]*cursor{}}
	}
	clear(b.prepared)
	clear(b.portals)
	clear(b.cursors)
	request := b.request
	request.Reset()
	*b = batch{
		in: b.in[:0], raw: b.raw[:0], payloads: b.payloads[:0], steps: b.steps[:0], actions: b.actions[:0], judged: b.judged[:0],
		params: b.params[:0], prepared: b.prepared, portals: b.portals, cursors: b.cursors, request: request,
	}
	c.spare = b
	return b
}

// read reads the next message into b, in place of the one before it: what is
// dropped takes no memory, and what is kept of a message is copied.
func (b *batch) read(conn *gate.Conn, limit int) (frame, error) {
	f, err := readFrame(conn.In, b.in, limit)
	if err != nil {
		return nil, err
	}
	b.in = f
	return f, nil
}

// payload keeps text and tail together, as the digest binds them.
func (b *batch) payload(text string, tail []byte) []byte {
	at := len(b.payloads)
	b.payloads = append(append(append(b.payloads, text...), 0), tail...)
	return b.payloads[at:len(b.payloads):len(b.payloads)]
}
