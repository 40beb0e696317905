package policy

import (
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/assenthq/assent/action"
)

// A kindSet is a set of kinds as bits, in the order of action.Kinds.
type kindSet uint32

const (
	kindCount           = 24
	everyKind           = kindSet(1)<<(kindCount+1) - 1
	noKind      kindSet = 1 << kindCount       // an action that has no kinds
	kindUnknown kindSet = 1 << (kindCount - 1) // action.Unknown
)

// kindBit is k's bit. What is not on the list is unknown.
func kindBit(k action.Kind) kindSet {
	switch k {
	case action.DataRead:
		return 1 << 0
	case action.DataWrite:
		return 1 << 1
	case action.DataDelete:
		return 1 << 2
	case action.DataExport:
		return 1 << 3
	case action.SchemaChange:
		return 1 << 4
	case action.PrivilegeChange:
		return 1 << 5
	case action.IdentityChange:
		return 1 << 6
	case action.SecretAccess:
		return 1 << 7
	case action.Execute:
		return 1 << 8
	case action.CodeChange:
		return 1 << 9
	case action.Deploy:
		return 1 << 10
	case action.InfraCreate:
		return 1 << 11
	case action.InfraChange:
		return 1 << 12
	case action.InfraDestroy:
		return 1 << 13
	case action.NetworkChange:
		return 1 << 14
	case action.NetFetch:
		return 1 << 15
	case action.MessageSend:
		return 1 << 16
	case action.Payment:
		return 1 << 17
	case action.LLMCall:
		return 1 << 18
	case action.ToolCall:
		return 1 << 19
	case action.SessionOpen:
		return 1 << 20
	case action.AuditChange:
		return 1 << 21
	case action.ConfigChange:
		return 1 << 22
	}
	return kindUnknown
}

func kindsOf(a *action.Action) kindSet {
	if len(a.Kinds) == 0 {
		return noKind
	}
	var set kindSet
	for _, k := range a.Kinds {
		set |= kindBit(k)
	}
	return set
}

// An index finds the rules that may match: by kind, then environment, then the
// literal beginning of a resource pattern.
type index [kindCount + 1]kindIndex

type kindIndex struct {
	all    []*rule // for an action whose environment or resource nobody knows
	anyEnv bucket
	byEnv  map[string]*bucket
	merged bool // the rules for any environment stand in each of byEnv too
}

// mergedEnvs is how many environments have the rules for any of them besides their
// own: one lookup finds all, at the price of memory.
const mergedEnvs = 8

type bucket struct {
	rules    []*rule // without a resource pattern, or with one that begins with a wildcard
	byPrefix map[string][]*rule
	lengths  []int // of those prefixes, each once: a lookup for a length nobody has is saved
}

func (s *Set) build() {
	s.defaults = newDefaults(s.options)
	s.masks = newMaskSets()
	s.index, s.maskRules, s.byName = index{}, nil, make(map[[2]string]*rule, len(s.rules))
	for _, r := range s.rules {
		r.prepare()
		s.byName[[2]string{r.pack, r.id}] = r
		if r.then == thenMask {
			r.maskID = s.masks.intern(r.masks)
		}
		if r.mode == off {
			continue
		}
		if r.then == thenMask {
			s.maskRules = append(s.maskRules, r)
		}
		for set := r.kinds; set != 0; set &= set - 1 {
			s.index[bits.TrailingZeros32(uint32(set))].add(r)
		}
	}
	for i := range s.index {
		s.index[i].merge()
	}
}

func (k *kindIndex) add(r *rule) {
	k.all = append(k.all, r)
	env := r.line("env")
	if env == nil {
		k.anyEnv.add(r)
		return
	}
	if k.byEnv == nil {
		k.byEnv = map[string]*bucket{}
	}
	for _, e := range env.values {
		if k.byEnv[e] == nil {
			k.byEnv[e] = &bucket{}
		}
		k.byEnv[e].add(r)
	}
}

func (k *kindIndex) merge() {
	if k.merged = len(k.byEnv) <= mergedEnvs; !k.merged {
		return
	}
	for _, r := range k.all {
		if r.line("env") == nil {
			for _, b := range k.byEnv {
				b.add(r)
			}
		}
	}
}

// prepare finds what is left to ask of a rule that the index found: not the
// environment, and not the resource where the whole pattern is the prefix that it
// was found by.
func (r *rule) prepare() {
	r.rest, r.test = nil, nil
	for _, l := range r.lines {
		found := l.name == "env" || l.name == "resource" && len(l.values) == 1 && l.values[0] == commonPrefix(l.values)+"*" && l.values[0] != "*"
		if !found {
			r.rest = append(r.rest, l)
		}
	}
	if r.when != nil {
		r.test = r.when.test
	}
}

func (b *bucket) add(r *rule) {
	prefix := ""
	if res := r.line("resource"); res != nil {
		prefix = commonPrefix(res.values)
	}
	if prefix == "" {
		b.rules = append(b.rules, r)
		return
	}
	if b.byPrefix == nil {
		b.byPrefix = map[string][]*rule{}
	}
	b.byPrefix[prefix] = append(b.byPrefix[prefix], r)
	if !slices.Contains(b.lengths, len(prefix)) {
		b.lengths = append(b.lengths, len(prefix))
	}
}

func (r *rule) line(name string) *line {
	for i := range r.lines {
		if r.lines[i].name == name {
			return &r.lines[i]
		}
	}
	return nil
}

// commonPrefix is what every URN that one of the patterns matches begins with,
// up to and with a separator.
func commonPrefix(patterns []string) string {
	out := ""
	for i, p := range patterns {
		if star := slices.IndexFunc([]byte(p), func(c byte) bool { return c == '*' || c == '?' }); star >= 0 {
			p = p[:star]
		}
		if i > 0 {
			n := 0
			for n < len(p) && n < len(out) && p[n] == out[n] {
				n++
			}
			p = p[:n]
		}
		out = p
	}
	return out[:strings.LastIndexAny(out, ":/")+1]
}

func separator(c byte) bool { return c == ':' || c == '/' }

// tally is what one decision has gathered so far.
type tally struct {
	kinds                 kindSet
	denied, held, covered kindSet // covered: a rule lets it through, or people may
	allowed               kindSet
	limits                [kindCount]int64 // row bound of each allowed kind; MaxInt64: none
	mask                  maskID
	sees                  *Input // what rules that don't mask are asked with
}

// Decide judges in into d, whose memory it uses again. It allocates nothing
// once d has grown to its size. d.Reason stays empty until RenderReason.
func (s *Set) Decide(in *Input, d *Decision) {
	d.Reset()
	if s == nil { // a Holder that never held a policy
		d.Rules = append(d.Rules, Hit{Rule: RuleDefault, Then: Deny.String()})
		return
	}
	d.Bundle, d.set = s.bundle, s
	if in == nil || in.Action == nil {
		d.Rules = append(d.Rules, s.defaults.hits[Deny])
		return
	}
	t := tally{kinds: kindsOf(in.Action), sees: s.narrow(in, d)}
	for set := t.kinds; set != 0; set &= set - 1 {
		k := bits.TrailingZeros32(uint32(set))
		s.visit(&s.index[k], kindSet(1)<<k, in, d, &t)
	}
	s.conclude(in, d, &t)
}

func (s *Set) visit(k *kindIndex, bit kindSet, in *Input, d *Decision, t *tally) {
	env, urn := in.Action.Resource.Env, in.Action.Resource.URN
	if env == "" || urn == "" {
		s.judge(k.all, false, bit, in, d, t)
		return
	}
	b := k.byEnv[env]
	if b != nil {
		s.visitBucket(b, bit, in, d, t)
	}
	if b == nil || !k.merged {
		s.visitBucket(&k.anyEnv, bit, in, d, t)
	}
}

func (s *Set) visitBucket(b *bucket, bit kindSet, in *Input, d *Decision, t *tally) {
	s.judge(b.rules, true, bit, in, d, t)
	urn := in.Action.Resource.URN
	for _, n := range b.lengths {
		if n <= len(urn) && separator(urn[n-1]) {
			s.judge(b.byPrefix[urn[:n]], true, bit, in, d, t)
		}
	}
}

// judge evaluates rules once, at the first of the action's kinds that they cover. Of
// those that were found by environment and resource only the rest is asked.
func (s *Set) judge(rules []*rule, found bool, bit kindSet, in *Input, d *Decision, t *tally) {
	for _, r := range rules {
		covers := r.kinds & t.kinds
		if covers&-covers != bit {
			continue
		}
		sees := t.sees
		if r.then == thenMask {
			sees = in
		}
		lines := r.lines
		if found {
			lines = r.rest
		}
		if !r.match(lines, sees) {
			continue
		}
		if r.mode == shadow && r.watching(in) {
			d.Shadow = append(d.Shadow, r.hit)
			continue
		}
		s.apply(r, covers, in, d, t)
	}
}

// matches is where unknown is decided: it restricts and never permits.
func (r *rule) matches(in *Input) bool { return r.match(r.lines, in) }

func (r *rule) match(lines []line, in *Input) bool {
	if len(lines) > 0 {
		if m := holds(lines, in); m == No || m == DontKnow && r.then == thenAllow {
			return false
		}
	}
	if r.test == nil {
		return true
	}
	w := r.test(in, "")
	return w == Yes || w == DontKnow && r.then != thenAllow
}

// watching says whether r is recorded only. When its shadow mode ends a
// restricting rule acts; a permitting one never begins to permit by itself,
// because nobody would be looking on that day.
func (r *rule) watching(in *Input) bool {
	return r.mode == shadow && (r.then == thenAllow || !in.Time.IsZero() && in.Time.Before(r.until))
}

func (s *Set) apply(r *rule, covers kindSet, in *Input, d *Decision, t *tally) {
	hit := &r.hit
	switch r.then {
	case thenDeny:
		if r.unless == nil || !in.Action.Claims.BreakGlass {
			t.denied |= covers
			break
		}
		hit = &r.excused
		t.held |= covers
		if !r.raises {
			t.covered |= covers
		}
		d.Requirements = append(d.Requirements, *r.unless)
	case thenReview:
		t.held |= covers
		if !r.claims && !r.raises { // what tightens what others permit doesn't lift the default deny
			t.covered |= covers
		}
		d.Requirements = append(d.Requirements, *r.approval)
	case thenAllow:
		t.permit(covers, r)
	case thenMask:
		t.mask = s.masks.union(t.mask, r.maskID)
	}
	d.Rules = append(d.Rules, *hit)
	d.Show = appendNew(d.Show, r.show)
	d.Notify = appendNew(d.Notify, r.notify)
}

func (t *tally) permit(covers kindSet, r *rule) {
	limit := int64(math.MaxInt64)
	if r.when != nil && r.when.rowLimit >= 0 {
		limit = r.when.rowLimit
	}
	for set := covers; set != 0; set &= set - 1 {
		k := bits.TrailingZeros32(uint32(set))
		if t.allowed&(kindSet(1)<<k) == 0 || limit > t.limits[k] {
			t.limits[k] = limit
		}
	}
	t.allowed |= covers
	t.covered |= covers
}

func (s *Set) conclude(in *Input, d *Decision, t *tally) {
	d.Verdict = Allow
	if t.held != 0 {
		d.Verdict = Review
	}
	if t.denied != 0 {
		d.Verdict = Deny
	}
	if open := t.kinds &^ (t.covered | t.denied); open != 0 {
		s.fallBack(open, in, d)
	}
	if d.Verdict != Review {
		d.Requirements = d.Requirements[:0]
	}
	if d.Verdict != Deny {
		limit := int64(math.MaxInt64)
		for set := t.allowed; set != 0; set &= set - 1 {
			limit = min(limit, t.limits[bits.TrailingZeros32(uint32(set))])
		}
		if limit != math.MaxInt64 {
			d.RowLimit = action.KnownCount(limit)
		}
	}
	d.Masks = s.masks.of(t.mask)
	sortHits(d.Rules)
	sortHits(d.Shadow)
	sortRequirements(d.Requirements)
	sortWords(d.Show)
	sortWords(d.Notify)
}

// fallBack judges the kinds that no rule speaks for.
func (s *Set) fallBack(open kindSet, in *Input, d *Decision) {
	if open == noKind && in.Harmless != "" {
		d.Rules = append(d.Rules, s.defaults.harmless)
		return
	}
	v := s.defaults.verdict(in.Action.Resource.Env)
	if open&(kindUnknown|noKind) != 0 {
		v = min(v, Review) // what nobody understood is never permitted outright
		if v == Review && len(s.defaults.review.From) == 0 {
			v = Deny
		}
	}
	d.Rules = append(d.Rules, s.defaults.hits[v])
	if v == Review {
		d.Requirements = append(d.Requirements, s.defaults.review)
	}
	d.Verdict = min(d.Verdict, v)
}

// Notifies are whom the rule of h tells; it is not to be written to.
func (d *Decision) Notifies(h *Hit) []string {
	if d.set == nil {
		return nil
	}
	if r := d.set.byName[[2]string{h.Pack, h.Rule}]; r != nil {
		return r.notify
	}
	return nil
}

func appendNew(list, more []string) []string {
	for _, s := range more {
		if !contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// Order never matters to a verdict. These give its parts one order too, without
// allocating: there are a handful of each.

func sortHits(h []Hit) {
	for i := 1; i < len(h); i++ {
		for j := i; j > 0 && hitBefore(&h[j], &h[j-1]); j-- {
			h[j], h[j-1] = h[j-1], h[j]
		}
	}
}

func hitBefore(a, b *Hit) bool {
	if x, y := strictness(a.Then), strictness(b.Then); x != y {
		return x < y
	}
	if (a.Pack == "") != (b.Pack == "") {
		return b.Pack == "" // the default comes after the rules of its verdict
	}
	return a.Pack < b.Pack || a.Pack == b.Pack && a.Rule < b.Rule
}

func strictness(then string) int {
	switch then {
	case "deny":
		return 0
	case "review":
		return 1
	case "allow":
		return 2
	}
	return 3
}

func sortRequirements(q []Requirement) {
	for i := 1; i < len(q); i++ {
		for j := i; j > 0 && (q[j].Pack < q[j-1].Pack || q[j].Pack == q[j-1].Pack && q[j].Rule < q[j-1].Rule); j-- {
			q[j], q[j-1] = q[j-1], q[j]
		}
	}
}

func sortWords(w []string) {
	for i := 1; i < len(w); i++ {
		for j := i; j > 0 && w[j] < w[j-1]; j-- {
			w[j], w[j-1] = w[j-1], w[j]
		}
	}
}

// A maskID names one combination of masks; 0 is none.
type maskID int

// maskSets keeps each combination once, so that decisions share maps instead
// of making them. It is safe for concurrent use: readers load a snapshot,
// writers replace it.
type maskSets struct{ current *atomic.Pointer[maskTable] }

type maskTable struct {
	sets   []map[string]string
	unions map[[2]maskID]maskID
}

func newMaskSets() maskSets {
	m := maskSets{current: &atomic.Pointer[maskTable]{}}
	m.current.Store(&maskTable{sets: []map[string]string{nil}})
	return m
}

func (m maskSets) of(id maskID) map[string]string { return m.current.Load().sets[id] }

// union is the id of both, the strictest method of each class winning.
func (m maskSets) union(a, b maskID) maskID {
	if a == b || b == 0 {
		return a
	}
	if a == 0 {
		return b
	}
	if id, ok := m.current.Load().unions[[2]maskID{a, b}]; ok {
		return id
	}
	both := map[string]string{}
	for _, id := range []maskID{a, b} {
		for class, method := range m.of(id) {
			both[class] = stricter(both[class], method)
		}
	}
	id := m.intern(both)
	m.update(func(t *maskTable) {
		unions := make(map[[2]maskID]maskID, len(t.unions)+1)
		for k, v := range t.unions {
			unions[k] = v
		}
		unions[[2]maskID{a, b}] = id
		t.unions = unions
	})
	return id
}

// intern is the id of a combination. There are at most as many as classes have methods.
func (m maskSets) intern(set map[string]string) (id maskID) {
	m.update(func(t *maskTable) {
		for i, known := range t.sets {
			if mapsEqual(known, set) {
				id = maskID(i)
				return
			}
		}
		id = maskID(len(t.sets))
		t.sets = append(t.sets[:len(t.sets):len(t.sets)], set)
	})
	return id
}

func (m maskSets) update(change func(*maskTable)) {
	for {
		old := m.current.Load()
		next := *old
		change(&next)
		if m.current.CompareAndSwap(old, &next) {
			return
		}
	}
}

func mapsEqual(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}
