package facts

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/policy"
)

// The tuples of a row: what many actions have in common stands in a block once.
// To keep a further variable, append a field at the end of a tuple, both ways, or a
// column (column.go). A field that older blocks lack reads as its zero value, which
// must be the unknown one. Count version up then.
const (
	dictWhat    = iota // kinds, resource, verb, shape, classes: also what a block is sorted by
	dictWho            // the asker
	dictAim            // target and destination
	dictClaims         // session, ticket, length of the reason
	dictFound          // findings
	dictDecided        // what was decided
	dictClass          // names of classes
	dictCount
)

// fields of a tuple: text with its length before it, lists with theirs, numbers as varints.
type fields []byte

func (f fields) text(s string) fields {
	return append(binary.AppendUvarint(f, uint64(len(s))), s...)
}
func (f fields) number(n uint64) fields { return binary.AppendUvarint(f, n) }

func (f fields) flags(list ...bool) fields {
	n := uint64(0)
	for i, is := range list {
		if is {
			n |= 1 << i
		}
	}
	return f.number(n)
}

func (f fields) list(l []string) fields {
	f = f.number(uint64(len(l)))
	for _, s := range l {
		f = f.text(s)
	}
	return f
}

var errFields = errors.New("a tuple that is none")

// parser reads fields. Past the end everything is zero: what older blocks don't have.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) number() uint64 {
	if len(p.b) == 0 {
		return 0
	}
	n, size := binary.Uvarint(p.b)
	if size <= 0 {
		p.b, p.bad = nil, true
		return 0
	}
	p.b = p.b[size:]
	return n
}

func (p *parser) text() string { return string(p.bytes()) }

func (p *parser) bytes() []byte {
	n := p.number()
	if n > uint64(len(p.b)) {
		p.b, p.bad = nil, true
		return nil
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

func (p *parser) list() []string {
	n := p.number()
	if n == 0 {
		return nil
	}
	if n > uint64(len(p.b)) { // each takes a byte at least
		p.b, p.bad = nil, true
		return nil
	}
	l := make([]string, n)
	for i := range l {
		l[i] = p.text()
	}
	return l
}

func bit(flags uint64, i int) bool { return flags&(1<<i) != 0 }

// what is everything about the action that is not of one run of it.
type what struct {
	action  action.Action
	gate    string
	why     string // harmless
	cleaned Inexact
}

// readWhat is appendWhat the other way round.
func readWhat(b []byte) (w what, err error) {
	p := parser{b: b}
	a := &w.action
	for _, k := range p.list() {
		a.Kinds = append(a.Kinds, action.Kind(k))
	}
	a.Resource.URN = p.text()
	if bit(p.number(), 0) {
		w.cleaned = ResourceCleaned
	}
	a.Resource.Type, a.Resource.Env = p.text(), p.text()
	labels := p.list()
	if len(labels)%2 != 0 {
		return w, errFields
	}
	for i := 0; i < len(labels); i += 2 {
		if a.Resource.Labels == nil {
			a.Resource.Labels = map[string]string{}
		}
		a.Resource.Labels[labels[i]] = labels[i+1]
	}
	a.Verb, a.Shape, w.gate, w.why = p.text(), p.text(), p.text(), p.text()
	f := p.number()
	d := &a.Data
	a.Reversible, a.Routine, d.ClassesKnown, d.Unscanned = bit(f, 0), bit(f, 1), bit(f, 2), bit(f, 3)
	d.Inferred, d.Computed, d.Aggregated = bit(f, 4), bit(f, 5), bit(f, 6)
	d.Classes, d.Groups, d.InferredOf, d.ComputedOf, d.AggregatedOf = p.list(), p.list(), p.list(), p.list(), p.list()
	d.DestinationTrust = p.text()
	return w, p.err()
}

func (p *parser) err() error {
	if p.bad {
		return errFields
	}
	return nil
}

// appendWhat writes the resource as it is: see cleaner.
func appendWhat(f fields, in *policy.Input, labels []byte, gate string) fields {
	a := in.Action
	d := &a.Data
	f = f.number(uint64(len(a.Kinds)))
	for _, k := range a.Kinds {
		f = f.text(string(k))
	}
	f = f.text(a.Resource.URN).number(0).text(a.Resource.Type).text(a.Resource.Env)
	f = append(f, labels...)
	f = f.text(a.Verb).text(a.Shape).text(gate).text(in.Harmless)
	f = f.flags(a.Reversible, a.Routine, d.ClassesKnown, d.Unscanned, d.Inferred, d.Computed, d.Aggregated)
	return f.list(d.Classes).list(d.Groups).list(d.InferredOf).list(d.ComputedOf).list(d.AggregatedOf).text(d.DestinationTrust)
}

// pairs is a map as a list, sorted by key.
func pairs(m map[string]string) fields {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	f := fields(nil).number(uint64(2 * len(keys)))
	for _, k := range keys {
		f = f.text(k).text(m[k])
	}
	return f
}

type who struct {
	subject                        string
	groups                         []string
	id, typ, owner, model, trusted string
	links                          []action.Link
}

func appendWho(f fields, in *policy.Input) fields {
	f = f.text(in.SubjectID).list(in.SubjectGroups)
	f = f.text(in.ActorID).text(in.ActorType).text(in.ActorOwner).text(in.ActorModel).text(in.ActorTrust)
	f = f.number(uint64(len(in.Action.Actors)))
	for i := range in.Action.Actors {
		f = f.text(in.Action.Actors[i].ID)
	}
	return f
}

func readWho(b []byte) (w who, err error) {
	p := parser{b: b}
	w.subject, w.groups = p.text(), p.list()
	w.id, w.typ, w.owner, w.model, w.trusted = p.text(), p.text(), p.text(), p.text(), p.text()
	for _, id := range p.list() {
		w.links = append(w.links, action.Link{ID: id})
	}
	return w, p.err()
}

type aim struct {
	target, destination string
	cleaned             Inexact
}

func appendAim(f fields, in *policy.Input) fields {
	return f.text(in.Action.Target).text(in.Action.Data.Destination).number(0)
}

func readAim(b []byte) (a aim, err error) {
	p := parser{b: b}
	a.target, a.destination = p.text(), p.text()
	f := p.number()
	if bit(f, 0) {
		a.cleaned |= TargetCleaned
	}
	if bit(f, 1) {
		a.cleaned |= DestinationCleaned
	}
	return a, p.err()
}

type claims struct {
	session, ticket string
	reason          int // characters
	breakGlass      bool
	cleaned         Inexact
}

// longestReason is the longest that is told apart.
const longestReason = 1 << 16

func appendClaims(f fields, in *policy.Input) fields {
	c := &in.Action.Claims
	n := len(c.Reason)
	if n > 0 {
		n = min(utf8.RuneCountInString(c.Reason[:min(n, 4*longestReason)]), longestReason)
	}
	return f.text(c.Session).text(c.Ticket).number(uint64(n)).flags(c.BreakGlass).number(0)
}

func readClaims(b []byte) (c claims, err error) {
	p := parser{b: b}
	c.session, c.ticket = p.text(), p.text()
	n := p.number()
	c.breakGlass = bit(p.number(), 0)
	f := p.number()
	if n > longestReason {
		return c, errFields
	}
	if c.reason = int(n); n > 0 {
		c.cleaned |= ReasonLength
	}
	if bit(f, 0) {
		c.cleaned |= SessionCleaned
	}
	if bit(f, 1) {
		c.cleaned |= TicketCleaned
	}
	return c, p.err()
}

// appendFound writes findings: nothing for none, which may be unknown.
func appendFound(f fields, found map[string]int64) fields {
	if found == nil {
		return f
	}
	var few [8]Count
	list := few[:0]
	for class, n := range found {
		list = append(list, Count{class, n})
	}
	slices.SortFunc(list, func(a, b Count) int { return cmp.Compare(a.Class, b.Class) })
	f = f.number(1)
	f = f.number(uint64(len(list)))
	for _, c := range list {
		f = f.text(c.Class).number(zigzag(c.Rows))
	}
	return f
}

func readFound(b []byte) (map[string]int64, error) {
	p := parser{b: b}
	if p.number() == 0 {
		return nil, p.err()
	}
	n := p.number()
	if n > uint64(len(p.b)) {
		return nil, errFields
	}
	out := make(map[string]int64, n)
	for range n {
		class := p.text()
		out[class] = unzigzag(p.number())
	}
	return out, p.err()
}

// decided is the part of a decision that is kept.
type decided struct {
	verdict       policy.Verdict
	frozen        bool
	bundle        string
	rules, shadow []Rule
	asked, masks  []string
	limit         int64
	outside       policy.Verdict
	others        []string
}

func appendDecided(f fields, d *policy.Decision, about *Facts, masks []byte) fields {
	f = f.number(uint64(d.Verdict)).flags(about.Frozen).text(d.Bundle)
	f = appendHits(appendHits(f, d.Rules), d.Shadow)
	f = f.list(Groups(d.Requirements, nil))
	f = append(f, masks...)
	f = f.number(number(d.RowLimit.N, d.RowLimit.Known))
	outside, others := policy.Allow, []string(nil)
	for _, o := range about.Outside {
		outside = min(outside, o.Verdict)
		others = Groups([]policy.Requirement{{From: o.From}}, others)
	}
	return f.number(uint64(policy.Allow - outside)).list(others)
}

func appendHits(f fields, hits []policy.Hit) fields {
	f = f.number(uint64(3 * len(hits)))
	for i := range hits {
		f = f.text(hits[i].Then).text(hits[i].Pack).text(hits[i].Rule)
	}
	return f
}

// Groups appends the groups whose people may answer qs, each once and sorted.
func Groups(qs []policy.Requirement, to []string) []string {
	add := func(g string) {
		if i, is := slices.BinarySearch(to, g); !is {
			to = slices.Insert(to, i, g)
		}
	}
	for i := range qs {
		for _, g := range qs[i].From {
			add(g)
		}
		for _, seats := range [][]policy.Seats{qs[i].AllOf, qs[i].AnyOf} {
			for _, s := range seats {
				add(s.Group)
			}
		}
	}
	return to
}

func readDecided(b []byte) (d decided, err error) {
	p := parser{b: b}
	v := p.number()
	if v > uint64(policy.Allow) {
		return d, errFields
	}
	d.verdict, d.frozen, d.bundle = policy.Verdict(v), bit(p.number(), 0), p.text()
	var bad [2]bool
	d.rules, bad[0] = rulesOf(p.list())
	d.shadow, bad[1] = rulesOf(p.list())
	d.asked = p.list()
	masks := p.list()
	if bad[0] || bad[1] || len(masks)%2 != 0 {
		return d, errFields
	}
	for i := 0; i < len(masks); i += 2 {
		d.masks = append(d.masks, masks[i]+"="+masks[i+1])
	}
	d.limit = -1
	if c := count(p.number()); c.Known {
		d.limit = c.N
	}
	loose := p.number()
	if loose > uint64(policy.Allow) {
		return d, errFields
	}
	d.outside, d.others = policy.Allow-policy.Verdict(loose), p.list()
	return d, p.err()
}

func rulesOf(l []string) (out []Rule, bad bool) {
	if len(l)%3 != 0 {
		return nil, true
	}
	for i := 0; i < len(l); i += 3 {
		out = append(out, Rule{l[i], l[i+1], l[i+2]})
	}
	return out, false
}

// moment is a time in milliseconds; 0 is unknown.
func moment(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return zigzag(t.UnixMilli()) + 1
}
