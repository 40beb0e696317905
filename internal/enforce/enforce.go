// Package enforce composes detection, policy, people, grants and the log into
// one decision for each action, and is the authority behind every gate and the API.
//
// It promises that a record is written before anything may run, durably for
// everything but a harmless read; that what was approved is decided again when it
// runs; and that an error anywhere is a refusal that tells the agent nothing
// about the inside.
package enforce

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/decisionpoint"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/habit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/trace"
	"github.com/assenthq/assent/internal/trail"
)

// Approvals is what the enforcer asks of the approval engine.
type Approvals interface {
	Ask(ctx context.Context, q *approval.Question) (*approval.Approval, bool, error)
	AskPlan(ctx context.Context, qs []*approval.Question) (*approval.Approval, bool, error)
	Plant(ctx context.Context, q *approval.Question, id string) (*approval.Approval, error)
	Wait(ctx context.Context, id string) (*approval.Approval, error)
	Get(ctx context.Context, id string) (*approval.Approval, error)
	Gone(ctx context.Context, id string, gone bool) error
	Use(ctx context.Context, id string, u approval.Use) (*approval.Used, error)
	UseEmergency(ctx context.Context, q *approval.Question, u approval.Use, allowed approval.Allowance) (*approval.Used, error)
	UseStanding(ctx context.Context, q *approval.Question, u approval.Use) (*approval.Used, error)
	Finish(ctx context.Context, id string, o approval.Outcome) error
}

// Recorder writes records of the decision lane; they are durable when it returns nil.
type Recorder interface {
	Record(ctx context.Context, recs ...*audit.Record) error
}

// Spool is the traffic lane: written when Append returns, durable within 50 ms.
type Spool interface {
	Append(rec *audit.Record) (seq int64, err error)
	AppendLike(rec *audit.Record, f *audit.Form) (seq int64, err error)
}

// Ledger adds up what a person's actors have read, and what actors have done.
type Ledger interface {
	AddRows(ctx context.Context, subject, class, resource string, at time.Time, rows, bytes int64) error
	SumRows(ctx context.Context, subject, resource string, since time.Time) (rows, bytes map[string]int64, err error)
}

// Options are the parts an Enforcer is made of. All but Trail, Freezes and Metrics are needed.
type Options struct {
	Credentials Credentials
	Policy      *policy.Holder
	Detect      *detect.Engine
	Masker      *mask.Masker
	Approvals   Approvals
	Record      Recorder
	Spool       Spool
	Ledger      Ledger
	Emergency   Emergencies   // nil: there are none
	Freezes     Freezes       // nil: nothing can be frozen
	Trail       *trail.Trail  // nil: nobody knows what led to what, nor what actors have seen
	Habits      *habit.Memory // nil: nobody knows what is new to an actor
	Tracer      *trace.Tracer // nil: nobody watches by spans
	Points      []*decisionpoint.Point
	Facts       *facts.Writer // nil: nobody keeps what decisions were made from
	PublicURL   string
	// Matched is told of each action that rules with notify matched, once a rule. It
	// must not wait. nil: nobody is told.
	Matched func(Matched)
	// Serving errs while this process may not let anything pass: it is cut off from
	// what stops it, such as a freeze or a revocation. nil: it always may.
	Serving func() error
	// Shared says that other processes write the ledger too.
	Shared bool
	// ReadsOnly says that nothing but harmless reads is decided here: see Behind.
	// Credentials, Approvals and Record are nobody's then.
	ReadsOnly bool
	// ExportAfterRows is how many rows a person's agents may read from one
	// resource in an hour before a read counts as an export too.
	ExportAfterRows int64
	// ExportAfterRowsOf is the same for rows with a class in them.
	ExportAfterRowsOf map[string]int64
	Now               func() time.Time
	Logger            *slog.Logger
	Metrics           Metrics
	Seen              func(*identity.Asker) // told of each session that opens; may be nil
}

// Metrics counts decisions; labels come from closed lists only.
type Metrics interface {
	Decided(gate, verdict string, took time.Duration)
	Masked(class string, n int64)
	Consulted(point, answer string, took time.Duration)
}

// An Enforcer decides. It is safe for concurrent use.
type Enforcer struct {
	o      Options
	rates  *rates
	ledger *ledger
	limits atomic.Pointer[ledgerLimits]
	export atomic.Pointer[exportAfter] // what limits was made of

	mu       sync.Mutex
	sessions map[*session]struct{} // owned by mu

	waiting waiting
}

// New returns an Enforcer.
func New(o Options) (*Enforcer, error) {
	if o.Policy == nil || o.Detect == nil || o.Masker == nil || o.Spool == nil || o.Ledger == nil || o.Logger == nil || !o.ReadsOnly && (o.Approvals == nil || o.Record == nil) {
		return nil, errors.New("enforce: a part is missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Serving == nil {
		o.Serving = func() error { return nil }
	}
	e := &Enforcer{o: o, rates: newRates(o.Now, o.Ledger, o.Shared, o.Logger), ledger: newLedger(o.Ledger, o.Now, o.ExportAfterRows, o.Shared), sessions: map[*session]struct{}{}}
	if err := e.SetExportAfter(o.ExportAfterRows, o.ExportAfterRowsOf); err != nil {
		return nil, err
	}
	return e, nil
}

// SetExportAfter has other limits hold from now on for what a person's agents may
// read in an hour before a read counts as an export too.
func (e *Enforcer) SetExportAfter(all int64, of map[string]int64) error {
	limits := ledgerLimits{0: all}
	for class, rows := range of {
		i := ledgerIndex(class)
		if i <= 0 || rows <= 0 {
			return fmt.Errorf("enforce: a limit of %d rows of class %q", rows, class)
		}
		if limits[i] == 0 || rows < limits[i] { // classes that are counted together have one limit
			limits[i] = rows
		}
	}
	e.limits.Store(&limits)
	e.export.Store(&exportAfter{all, maps.Clone(of)})
	return nil
}

type exportAfter struct {
	all int64
	of  map[string]int64
}

// ExportAfter is what SetExportAfter was given last.
func (e *Enforcer) ExportAfter() (all int64, of map[string]int64) {
	x := e.export.Load()
	return x.all, maps.Clone(x.of)
}

// CutCredential ends every open session of a credential, and returns how many there were.
func (e *Enforcer) CutCredential(id string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for s := range e.sessions {
		if s.asker.Credential == id {
			s.cutNow()
			n++
		}
	}
	return n
}

// Where says at which gate and of which kind of action a judgement was made.
type Where struct {
	Gate    string
	Session string
	System  string // what several gates may stand before; "" is the action's resource
}

// A judgement is an action with everything found out about it.
type judgement struct {
	action    *action.Action
	asker     *identity.Asker
	where     Where
	now       time.Time // when it was judged
	input     policy.Input
	decision  policy.Decision
	statement string // masked
	title     string // masked
	target    string // masked
	spans     []mask.Span
	findings  map[string]int64
	account   *account // of this person and system; nil: not looked for yet
	classes   classSet // in the columns of an answer
	reads     reads
	asExport  bool // a read that the ledger made an export
	seen      *seen
	home      *permit        // where this judgement lives; nil: no session made it
	rec       audit.Record   // of a harmless read; others have one of their own
	asked     int64          // number of that record in the spool; 0: it is not there
	stop      *freeze.Stop   // not nil: it is frozen, and decision says deny
	lead      *approval.Lead // what led to it; nil: nobody knows
	names     string         // whether its prompt names what it is about
	taint     trail.Taint
	act       string // how records name it; "": they don't
	habit     habit.Act
	stated    classSet // in the answer, as the gate says
	preview   *action.Preview
	look      func(context.Context) action.Preview // nil: nobody can
	points    []decisionpoint.Answer               // of those asked; none: none was
	trace     *trace.Trace                         // nil: nothing is traced
}

// judge finds the data, asks policy and changes nothing.
func (e *Enforcer) judge(ctx context.Context, a *action.Action, asker *identity.Asker, w Where) (*judgement, error) {
	j := &judgement{action: a, asker: asker, where: w, now: e.o.Now(), seen: e.newSeen(asker)}
	if err := e.judgeInto(ctx, j); err != nil {
		return nil, err
	}
	return j, nil
}

// judgeInto is judge for a judgement that has its action, asker, place, time and seen,
// and whose memory is used again.
func (e *Enforcer) judgeInto(ctx context.Context, j *judgement) error {
	a, asker := j.action, j.asker
	a.Subject, a.Actors = asker.Subject.ID, j.seen.links
	if len(a.Kinds) == 0 {
		return errors.New("an action without kinds")
	}
	if err := e.findData(ctx, j); err != nil {
		return err
	}
	now := j.now
	actor := &asker.Chain[0]
	hour, day := e.rates.count(ctx, actor.ID, now)
	j.input = policy.Input{
		Action: a, SubjectID: asker.Subject.ID, SubjectGroups: asker.Subject.Groups,
		ActorID: actor.ID, ActorType: actor.Type, ActorOwner: actor.Owner, ActorModel: actor.Model, ActorTrust: actor.Trust,
		Time: now, Rate1h: hour, Rate24h: day,
	}
	if j.account != nil {
		j.reads = reads{j.account, now}
		j.input.Read = &j.reads
	}
	e.lead(ctx, j)
	e.novel(ctx, j)
	j.input.Weigh()
	set := e.o.Policy.Current()
	if set == nil {
		return errors.New("no policy is loaded")
	}
	set.Decide(&j.input, &j.decision)
	if j.decision.Verdict != policy.Allow {
		j.decision = set.Explain(&j.input) // reasons are for people and the log; what flows needs none
	}
	if j.stop = e.frozen(asker, a.Resource.URN, j.where.Gate); j.stop != nil {
		j.decision = stopped(j.decision)
	}
	return nil
}

// findData scans the request itself and asks the catalogue about its columns.
func (e *Enforcer) findData(ctx context.Context, j *judgement) error {
	a := j.action
	var statement *mask.Alike
	var payload *detect.Alike
	if j.home != nil {
		statement, payload = &j.home.statements, &j.home.payloads
	}
	j.statement, j.spans, j.findings = mask.MaskStatementLike(a.Statement, e.o.Detect, statement)
	j.title, j.target = j.seen.title(a.Title, e.o.Detect), j.seen.title(a.Target, e.o.Detect)
	e.payloadFindings(j, payload)
	a.Data.Findings = j.findings
	facts := j.seen.factsOf(a.Columns, e.o.Detect)
	j.classes = facts.set
	j.classes.join(allRows)
	for _, c := range a.Data.Classes {
		j.stated.join(setOf(c))
	}
	if len(j.findings) > 0 || len(a.Data.Classes) > 0 { // a gate may know more than we can see
		classes := map[string]bool{}
		for _, c := range slices.Concat(a.Data.Classes, facts.classes) {
			classes[c] = true
		}
		for c := range j.findings {
			classes[c] = true
		}
		facts.classes = sorted(classes)
		facts.groups = groupsOf(facts.classes)
	}
	a.Data.Classes, a.Data.Groups = facts.classes, facts.groups
	// What a reply will hold is not known before it came: the list is a lower
	// bound unless the action brings nothing back, or a gate has looked into all there is.
	stated := a.Data.ClassesKnown && (j.home != nil || slices.Contains(j.asker.Scopes, identity.ScopeGate))
	brings := slices.Contains(a.Kinds, action.DataRead) || slices.Contains(a.Kinds, action.DataExport)
	a.Data.ClassesKnown = (stated || !brings) && !a.Data.Unscanned
	if !slices.Contains(a.Kinds, action.DataRead) {
		return nil
	}
	var err error
	if j.account, err = e.accountOf(ctx, j, j.now); err != nil {
		return err
	}
	if _, over := j.account.over(j.classes, e.limits.Load(), false, j.now); over && !slices.Contains(a.Kinds, action.DataExport) {
		a.Kinds = append(slices.Clone(a.Kinds), action.DataExport)
		slices.Sort(a.Kinds)
		j.asExport = true
	}
	return nil
}

// accountOf finds what this person's actors read from the system an action is about.
func (e *Enforcer) accountOf(ctx context.Context, j *judgement, now time.Time) (*account, error) {
	system := j.where.System
	if system == "" {
		system = j.action.Resource.URN
	}
	return e.ledger.account(ctx, j.seen.reader, system, now)
}

// ledgerKey is the person behind the actor, so that twenty tokens are one reader.
func ledgerKey(asker *identity.Asker) string {
	if asker.Subject.ID != "" {
		return asker.Subject.ID
	}
	if o := asker.Chain[0].Owner; o != "" {
		return o
	}
	return asker.Chain[0].ID
}

// payloadFindings scans the bytes that go upstream, where they are not the
// statement itself: parameters stand there. The larger number of each class counts.
func (e *Enforcer) payloadFindings(j *judgement, like *detect.Alike) {
	a := j.action
	if string(a.Payload) == a.Statement {
		return
	}
	found := e.o.Detect.FindAlike(a.Payload, like)
	defer found.Free()
	counts := map[string]int64(nil)
	for _, f := range found.List {
		if counts == nil {
			counts = map[string]int64{}
		}
		counts[string(f.Class)]++
	}
	for class, n := range counts {
		if j.findings == nil {
			j.findings = map[string]int64{}
		}
		j.findings[class] = max(j.findings[class], n)
	}
}

func groupsOf(classes []string) []string {
	out := map[string]bool{}
	for _, c := range classes {
		for _, g := range detect.GroupOf(detect.Class(c)) {
			out[g] = true
		}
	}
	return sorted(out)
}

func sorted(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// enforce decides and, for a review, waits. It is what every path goes through.
func (e *Enforcer) enforce(ctx context.Context, j *judgement, h gate.Hooks) (p *permit, err error) {
	defer e.recovered(j, &p, &err)
	if err := e.begin(ctx, j); err != nil {
		return nil, err
	}
	if err := e.rated(j); err != nil {
		return nil, err
	}
	e.settle(ctx, j, h.Preview)
	e.decided(j)
	switch j.decision.Verdict {
	case policy.Allow:
		e.note(j, facts.Facts{})
		return e.allow(ctx, j)
	case policy.Review:
		return e.review(ctx, j, h.Held)
	default:
		e.note(j, facts.Facts{})
		return nil, e.deny(ctx, j)
	}
}

// flow is enforce for what policy allows as it stands. Otherwise it returns nil, and did nothing.
func (e *Enforcer) flow(ctx context.Context, j *judgement) (p *permit, err error) {
	defer e.recovered(j, &p, &err)
	if err := e.begin(ctx, j); err != nil {
		return nil, err
	}
	if j.decision.Verdict != policy.Allow || j.unheld() || e.outside(j.action) || e.o.ReadsOnly && !j.flowsBeside() {
		j.seen.giveBack(j.home)
		return nil, nil
	}
	if err := e.rated(j); err != nil {
		return nil, err
	}
	e.decided(j)
	e.note(j, facts.Facts{})
	return e.allow(ctx, j)
}

// begin judges, if anything may be decided at all.
func (e *Enforcer) begin(ctx context.Context, j *judgement) error {
	j.now = e.o.Now()
	err := e.o.Serving()
	if err == nil {
		err = e.judgeInto(ctx, j)
	}
	if err != nil {
		e.o.Logger.Error("no decision", "gate", j.where.Gate, "err", err)
		return undecided()
	}
	return nil
}

// rated counts j among what its actor asks.
func (e *Enforcer) rated(j *judgement) error {
	if err := e.rates.add(j.asker.Chain[0].ID, j.now); err != nil {
		e.o.Logger.Error("no decision", "gate", j.where.Gate, "err", err)
		return undecided()
	}
	return nil
}

// recovered turns a panic while deciding into a refusal.
func (e *Enforcer) recovered(j *judgement, p **permit, err *error) {
	if r := recover(); r != nil {
		e.o.Logger.Error("deciding panicked", "gate", j.where.Gate, "panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
		*p, *err = nil, undecided()
	}
}

func undecided() *gate.Denied {
	return &gate.Denied{Status: gate.StatusNobody, Reason: "no decision could be reached, so the answer is no", Hint: "try again later; the server's own log says what is wrong"}
}

// allow records the request and gives a permit. Harmless reads go to the spool.
func (e *Enforcer) allow(ctx context.Context, j *judgement) (*permit, error) {
	if why, hint := j.pastLimit(); why != "" {
		rec := e.request(j)
		rec.Decision, rec.Detail["refused"] = "deny", why
		if err := e.o.Record.Record(ctx, rec); err != nil {
			return nil, e.unwritable(err)
		}
		return nil, &gate.Denied{Status: gate.StatusDenied, Reason: why, Hint: hint}
	}
	var err error
	if harmless(j.action.Kinds) {
		f := &j.home.asked
		f.Details = e.fill(&j.rec, j, f.Details[:0])
		j.asked, err = e.o.Spool.AppendLike(&j.rec, f)
	} else {
		err = e.o.Record.Record(ctx, e.request(j))
	}
	if err != nil {
		return nil, e.unwritable(err)
	}
	return e.permit(j, "", j.decision.RowLimit, j.decision.Masks), nil
}

// boundable says that a row limit can be held: rows that come back are counted
// before they pass, and a number that was observed was compared already.
func boundable(a *action.Action) bool {
	if a.Data.Rows.Known {
		return true
	}
	for _, k := range a.Kinds {
		if k != action.DataRead && k != action.DataExport {
			return false
		}
	}
	return true
}

// harmless says that an action only reads: the traffic lane is enough for its record.
func harmless(kinds []action.Kind) bool {
	for _, k := range kinds {
		if k != action.DataRead {
			return false
		}
	}
	return true
}

func (e *Enforcer) unwritable(err error) error {
	e.o.Logger.Error("the log can't be written, nothing runs", "err", err)
	return &gate.Denied{Status: gate.StatusNobody, Reason: "the audit log can't be written, so nothing may run", Hint: "an operator must look: assent doctor"}
}

func (e *Enforcer) deny(ctx context.Context, j *judgement) error {
	if err := e.o.Record.Record(ctx, e.request(j)); err != nil {
		return e.unwritable(err)
	}
	if j.stop != nil {
		return frozenAnswer(j.stop)
	}
	if silent := j.unanswered(); silent != nil {
		return silent
	}
	return &gate.Denied{Status: gate.StatusDenied, Reason: "denied by " + ruleNames(j.decision), Hint: "nobody can approve this as it stands; ask for something the policy permits, or talk to its owner"}
}

// ruleNames tells the agent which rule decided, and no value that made it match.
func ruleNames(d policy.Decision) string {
	for _, h := range d.Rules {
		if h.Then == d.Verdict.String() || d.Verdict == policy.Deny && h.Then == "deny" {
			if h.Pack == policy.OutsidePack {
				return "decision point " + h.Rule
			}
			return fmt.Sprintf("rule %s of pack %s", h.Rule, h.Pack)
		}
	}
	return "default: no rule permits it"
}

// review holds the action until people decide, then decides again and uses the approval.
func (e *Enforcer) review(ctx context.Context, j *judgement, held func(gate.Held)) (*permit, error) {
	own := *j.action // what people are asked about outlives the request
	own.Payload = slices.Clone(own.Payload)
	j.action, j.input.Action = &own, &own
	if len(j.statement) > maxHeld {
		e.note(j, facts.Facts{Outcome: facts.Refused})
		return nil, e.tooLong(ctx, j)
	}
	if p, err := e.emergency(ctx, j); p != nil || err != nil {
		e.note(j, facts.Facts{Outcome: facts.Emergency})
		return p, err
	}
	if p, err := e.standing(ctx, j); p != nil || err != nil {
		e.note(j, facts.Facts{Outcome: facts.Standing})
		return p, err
	}
	a, err := e.ask(ctx, j)
	if err != nil {
		return nil, e.explain(ctx, j, err)
	}
	if a.Waiting() {
		leave, over := e.waiting.enter(a.ID, j.action.Statement), e.holds(j, a.ID)
		a, err = e.wait(ctx, j, a, held)
		leave()
		over(a)
		if err != nil {
			return nil, err
		}
	}
	if a.State != approval.Approved {
		if stop := e.frozen(j.asker, j.action.Resource.URN, j.where.Gate); stop != nil {
			return nil, frozenAnswer(stop)
		}
		return nil, e.refusal(a)
	}
	return e.use(ctx, j, a.ID)
}

// maxHeld is how many bytes of text, parameters among it, may wait for people. Nobody
// reads more, and each copy of a card would be as long.
const maxHeld = 4 << 20

func (e *Enforcer) tooLong(ctx context.Context, j *judgement) error {
	rec := e.request(j)
	rec.Decision, rec.Detail["refused"] = "deny", "it is too long for anybody to read"
	if err := e.o.Record.Record(ctx, rec); err != nil {
		return e.unwritable(err)
	}
	return &gate.Denied{Status: gate.StatusDenied, Reason: "people must approve this, and it is too long for anybody to read", Hint: "ask for it in parts of at most 4 MiB"}
}

func (e *Enforcer) ask(ctx context.Context, j *judgement) (*approval.Approval, error) {
	a, existing, err := e.o.Approvals.Ask(ctx, e.question(j))
	if err == nil {
		e.note(j, facts.Facts{Ask: a.ID, Joined: existing})
	} else {
		e.note(j, facts.Facts{Outcome: facts.Refused})
	}
	if err == nil && existing && a.AskerGone {
		err = e.o.Approvals.Gone(ctx, a.ID, false)
	}
	return a, err
}

func (e *Enforcer) question(j *judgement) *approval.Question {
	risk := policy.RiskOf(&j.input)
	return &approval.Question{
		Action: j.action, Asker: *j.asker, Decision: &j.decision,
		Statement: j.statement, Title: j.title, Target: j.target, Masked: spans(j.spans),
		Gate: j.where.Gate, OpenTransaction: j.action.Locks, Preview: j.preview, Lead: j.leadOf(), Risk: &risk, Record: e.request(j),
	}
}

// explain turns a refusal of the engine into an answer; it has a record when people couldn't be asked.
func (e *Enforcer) explain(ctx context.Context, j *judgement, err error) error {
	var limit *approval.CapError
	var nobody *approval.UnsatisfiableError
	var frozen *approval.FrozenError
	d := &gate.Denied{Status: gate.StatusDenied}
	switch {
	case errors.As(err, &limit):
		d.Reason, d.Hint = tooMany(limit), "wait for answers, or withdraw some"
	case errors.As(err, &nobody):
		d.Reason, d.Hint = nobody.ForAsker()
	case errors.As(err, &frozen):
		d.Reason, d.Hint = frozen.Error(), "ask "+frozen.Who
	case errors.Is(err, approval.ErrNoHuman):
		d.Reason, d.Hint = "there is no person behind this actor, so nobody can be asked", "its owner must be named in the configuration"
	default:
		e.o.Logger.Error("asking people failed", "gate", j.where.Gate, "err", err)
		return undecided()
	}
	rec := e.request(j)
	rec.Decision = "deny"
	rec.Detail["refused"] = d.Reason
	if nobody != nil {
		rec.Detail["refused"] = nobody.Error() // the log names who denied; the asker isn't told
		e.o.Logger.Warn("an action can't be approved by anybody", "gate", j.where.Gate, "rule", nobody.Rule, "err", nobody)
	}
	if err := e.o.Record.Record(ctx, rec); err != nil {
		return e.unwritable(err)
	}
	return d
}

// tooMany says which cap was reached, in numbers that its owner set.
func tooMany(c *approval.CapError) string {
	switch {
	case c.Bytes > 0:
		return fmt.Sprintf("the actions that wait for people on behalf of the same person would take more than %d MiB", c.Bytes>>20)
	case c.Person != "":
		return fmt.Sprintf("%d actions on behalf of the same person are already waiting for people, the most there may be", c.Cap)
	}
	return fmt.Sprintf("%d of this actor's actions are already waiting for people, the most there may be", c.Cap)
}

// wait parks until the approval is decided, the wait budget ends or the client
// leaves. What it does before and after stands in functions of its own: where
// thousands wait, each parked stack is as large as its frames.
func (e *Enforcer) wait(ctx context.Context, j *judgement, a *approval.Approval, held func(gate.Held)) (*approval.Approval, error) {
	until := e.waitsUntil(j, a)
	if held != nil {
		e.tell(a, until, held)
	}
	if !until.Before(a.Expires) {
		until = until.Add(time.Second) // expiry itself answers first
	}
	wctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	got, err := e.o.Approvals.Wait(wctx, a.ID)
	if err != nil {
		return nil, e.unanswered(ctx, wctx, a, err)
	}
	return got, nil
}

// waitsUntil is the end of the shortest wait budget, or of the approval.
func (e *Enforcer) waitsUntil(j *judgement, a *approval.Approval) time.Time {
	until := a.Expires
	for _, budget := range append([]time.Duration{j.action.Wait}, waits(a)...) {
		if t := e.o.Now().Add(budget); budget > 0 && t.Before(until) {
			until = t
		}
	}
	return until
}

func (e *Enforcer) tell(a *approval.Approval, until time.Time, held func(gate.Held)) {
	held(gate.Held{ID: a.ID, URL: e.link(a.ID), Who: a.Asks(), Expires: a.Expires, Until: until})
}

// unanswered says why a wait (wctx, within the request's ctx) ended without an answer.
func (e *Enforcer) unanswered(ctx, wctx context.Context, a *approval.Approval, err error) error {
	switch {
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), gate.ErrComesBack):
		// The client left. Its approval stays and says so; our own context is gone already.
		if err := e.o.Approvals.Gone(context.WithoutCancel(ctx), a.ID, true); err != nil {
			e.o.Logger.Error("marking an approval whose asker left", "approval", a.ID, "err", err)
		}
		return ctx.Err()
	case wctx.Err() != nil:
		return &gate.Denied{Status: gate.StatusPending, ID: a.ID, URL: e.link(a.ID), Reason: "still waiting for " + a.Asks(), Hint: "the same action asked again finds this approval"}
	}
	e.o.Logger.Error("waiting for an approval", "approval", a.ID, "err", err)
	return undecided()
}

func waits(a *approval.Approval) []time.Duration {
	var out []time.Duration
	for _, r := range a.Requirements {
		out = append(out, r.Wait)
	}
	return out
}

// refusal says how an approval ended when it wasn't approved.
func (e *Enforcer) refusal(a *approval.Approval) error {
	d := &gate.Denied{ID: a.ID, URL: e.link(a.ID)}
	switch a.State {
	case approval.Denied:
		d.Status, d.Reason, d.Hint = gate.StatusDenied, "a reviewer denied it", "asked again within the hour it needs one reviewer more"
	case approval.Expired:
		d.Status, d.Reason, d.Hint = gate.StatusExpired, "nobody decided in time", "ask again when reviewers are there"
	case approval.Withdrawn:
		d.Status, d.Reason = gate.StatusDenied, "it was withdrawn"
	default:
		d.Status, d.Reason = gate.StatusDenied, "its approval was used already: it is "+string(a.State)
	}
	return d
}

// use turns the approval into a running action: once. Its error is for the asker.
func (e *Enforcer) use(ctx context.Context, j *judgement, id string) (*permit, error) {
	p, err := e.take(ctx, j, id)
	var denied *gate.Denied
	if err == nil || errors.As(err, &denied) {
		return p, err
	}
	return nil, &gate.Denied{Status: gate.StatusNobody, ID: id, URL: e.link(id), Reason: "the approval could not be used, so the answer is no"}
}

// take decides again and takes the single use of an approval. Its error is a
// gate.Denied where policy changed, else the engine's own.
func (e *Enforcer) take(ctx context.Context, j *judgement, id string) (*permit, error) {
	var again *judgement
	maxRows := int64(-1)
	if j.decision.RowLimit.Known {
		maxRows = j.decision.RowLimit.N
	}
	used, err := e.o.Approvals.Use(ctx, id, approval.Use{
		Action: j.action, Asker: *j.asker, MaxRows: maxRows,
		Recheck: func(ctx context.Context, a *approval.Approval) error {
			var err error
			again, err = e.recheck(ctx, j, a)
			return err
		},
	})
	if err != nil {
		var changed *ChangedError
		if errors.As(err, &changed) {
			return nil, &gate.Denied{Status: gate.StatusDenied, ID: id, URL: e.link(id), Reason: changed.Error(), Hint: "ask again: people decide on what holds now"}
		}
		e.o.Logger.Error("using an approval", "approval", id, "err", err)
		return nil, err
	}
	return e.granted(again, used), nil
}

// granted is the permit of an action whose grant was minted.
func (e *Enforcer) granted(again *judgement, used *approval.Used) *permit {
	limit := again.decision.RowLimit
	if used.MaxRows >= 0 && (!limit.Known || used.MaxRows < limit.N) {
		limit = action.KnownCount(used.MaxRows) // what reviewers approved and the grant says
	}
	again.decision.RowLimit = limit
	again.decision.Masks = policy.StricterMasks(again.decision.Masks, used.Masks)
	p := e.permit(again, used.Approval.ID, limit, again.decision.Masks)
	p.grant, p.grantID = used.Grant, used.GrantID
	return p
}

// A ChangedError says that what was approved no longer holds when it would run.
type ChangedError struct{ What string }

func (e *ChangedError) Error() string { return e.What + " since it was approved" }

// recheck asks policy again. What was approved must still be what policy asks people about.
func (e *Enforcer) recheck(ctx context.Context, j *judgement, a *approval.Approval) (*judgement, error) {
	if !j.asker.Expires.IsZero() && !e.o.Now().Before(j.asker.Expires) {
		return nil, &ChangedError{"the credential expired"}
	}
	again, err := e.judge(ctx, j.action, j.asker, j.where)
	if err != nil {
		return nil, err
	}
	again.act, again.trace = j.act, j.trace
	if again.stop != nil {
		return nil, &ChangedError{"it was frozen"}
	}
	e.settle(ctx, again, j.look)
	if err := again.grown(a); err != nil {
		return nil, err
	}
	if !masksAtLeast(again.decision.Masks, a.Masks) {
		return nil, &ChangedError{"the policy masks other data"}
	}
	switch again.decision.Verdict {
	case policy.Allow:
		return again, nil
	case policy.Review:
		if sameRequirements(again.decision.Requirements, a.Requirements) {
			return again, nil
		}
		return nil, &ChangedError{"the policy asks for other reviewers"}
	}
	return nil, &ChangedError{"the policy denies it"}
}

// masksAtLeast holds when every mask that reviewers were shown still stands. More
// of them are fine; whether another method would be as strict is for people to say.
func masksAtLeast(now, shown map[string]string) bool {
	for class, method := range shown {
		if now[class] != method {
			return false
		}
	}
	return true
}

// sameRequirements holds when every requirement of now was among those the
// reviewers met. After a denial they met one seat more, which a rule that names
// no From got one for.
func sameRequirements(now, met []policy.Requirement) bool {
	for _, n := range now {
		ok := false
		for _, m := range met {
			ok = ok || n.Rule == m.Rule && n.Pack == m.Pack && n.Count <= m.Count && (len(n.From) == 0 || slices.Equal(n.From, m.From)) && slices.Equal(n.AllOf, m.AllOf) && slices.Equal(n.AnyOf, m.AnyOf) && n.Assurance == m.Assurance && n.Issuers == m.Issuers && n.Reciprocal == m.Reciprocal
		}
		if !ok {
			return false
		}
	}
	return true
}

func (e *Enforcer) link(id string) string {
	return strings.TrimSuffix(e.o.PublicURL, "/") + "/approvals/" + id
}

func spans(in []mask.Span) []approval.Span {
	out := make([]approval.Span, len(in))
	for i, s := range in {
		out[i] = approval.Span{Start: s.Start, End: s.End, Class: s.Class}
	}
	return out
}
