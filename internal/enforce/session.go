package enforce

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/trace"
	"github.com/assenthq/assent/internal/trail"
)

// Credentials looks up the stored half of an agent's credential.
type Credentials interface {
	// ByUser returns the newest valid credential of a user name at a gate.
	ByUser(ctx context.Context, user string) (gate.Verifier, error)
	// ByToken checks a token presented whole, "" for the connection's own
	// certificate, and returns the id of the credential, of an actor's alone.
	ByToken(ctx context.Context, token string) (id string, err error)
	// ByID returns who a credential belongs to; it errs when the credential was revoked or has expired.
	ByID(ctx context.Context, id string) (*identity.Asker, error)
}

// Gate is the authority of one gate: it knows the resource behind it. system names
// what is behind: gates before one system add up what is read through them.
func (e *Enforcer) Gate(name string, res action.Resource, system string) gate.Authority {
	return &authority{e: e, name: name, res: res, system: system}
}

type authority struct {
	e    *Enforcer
	name string
	res  action.Resource

	system string
}

func (t *authority) Verifier(ctx context.Context, user string) (gate.Verifier, error) {
	return t.e.o.Credentials.ByUser(ctx, user)
}

// Bearer checks a token that was presented whole.
func (t *authority) Bearer(ctx context.Context, token string) (gate.Verifier, error) {
	id, err := t.e.o.Credentials.ByToken(ctx, token)
	if err != nil {
		return gate.Verifier{}, err
	}
	return gate.Verifier{Credential: id, Proved: true}, nil
}

// Login opens a session. The credential is read again: what was revoked since the proof began is refused.
func (t *authority) Login(ctx context.Context, v gate.Verifier, from gate.Peer) (gate.Session, error) {
	asker, err := t.e.o.Credentials.ByID(ctx, v.Credential)
	if err != nil {
		return nil, fmt.Errorf("opening a session: %w", err)
	}
	if len(asker.Chain) == 0 {
		return nil, errors.New("opening a session: the credential names no actor")
	}
	if stop := t.e.frozen(asker, t.res.URN, t.name); stop != nil {
		return nil, frozenAnswer(stop)
	}
	s := &session{certificates: identity.Certificates(ctx), seen: t.e.newSeen(asker), e: t.e, asker: asker, gate: t.name, res: t.res, system: t.system, id: "ses_" + randomID(), cut: make(chan struct{})}
	s.claims.Session, s.claims.Parent = trail.Client(from.Client)
	if _, err := t.e.o.Spool.Append(s.record(audit.TypeSession, map[string]string{"event": "opened", "from": from.Address, "credential": asker.Credential})); err != nil {
		return nil, t.e.unwritable(err)
	}
	if t.e.o.Seen != nil {
		t.e.o.Seen(asker)
	}
	if !asker.Expires.IsZero() {
		s.timer = time.AfterFunc(time.Until(asker.Expires), s.cutNow)
	}
	t.e.mu.Lock()
	t.e.sessions[s] = struct{}{}
	t.e.mu.Unlock()
	if !t.e.stands(ctx, asker.Credential, s.certificates) { // ended since the look above, and nobody saw this session
		s.cutNow()
	}
	if t.e.frozen(asker, t.res.URN, t.name) != nil { // since the look above, and CutFrozen didn't see it
		s.cutNow()
	}
	return s, nil
}

func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// A session is one connection of an agent.
type session struct {
	seen  *seen
	e     *Enforcer
	asker *identity.Asker
	gate  string
	res   action.Resource
	id    string

	system string
	timer  *time.Timer
	claims action.Claims // what the client says of itself

	certificates []*x509.Certificate // the client's own first; nil: none was shown

	once sync.Once
	cut  chan struct{}
	shut sync.Once
}

func (s *session) Describe(a *action.Action) {
	env, labels := s.res.Env, s.res.Labels
	if a.Resource.URN == "" {
		a.Resource.URN = s.res.URN
	}
	a.Resource.Type, a.Resource.Env, a.Resource.Labels = s.res.Type, env, labels
	a.Subject, a.Actors = s.asker.Subject.ID, s.seen.links
	if a.Data.Destination == "" {
		a.Data.Destination, a.Data.DestinationTrust = "client", "internal"
	}
}

func (s *session) Enforce(ctx context.Context, a *action.Action, h gate.Hooks) (gate.Permit, error) {
	j, err := s.judgement(a)
	if err != nil {
		return nil, err
	}
	t := s.traced(j) // j is another action's once this one is over
	p, err := s.e.enforce(ctx, j, h)
	if err != nil {
		s.e.refused(t, err)
		return nil, err
	}
	return p, nil
}

// Flow permits an action that policy allows as it stands, and does nothing otherwise.
func (s *session) Flow(ctx context.Context, a *action.Action) (gate.Permit, error) {
	j, err := s.judgement(a)
	if err != nil {
		return nil, err
	}
	t := s.traced(j)
	p, err := s.e.flow(ctx, j)
	if err != nil {
		s.e.refused(t, err)
	}
	if p == nil || err != nil {
		return nil, err
	}
	return p, nil
}

// Foresee tells what a decision of a would mask as things stand. Nothing is decided or recorded.
func (s *session) Foresee(ctx context.Context, a *action.Action) (map[string]string, error) {
	own := *a
	own.Kinds, own.Data.Classes = slices.Clone(a.Kinds), slices.Clone(a.Data.Classes)
	j, err := s.e.judge(ctx, &own, s.asker, Where{Gate: s.gate, Session: s.id, System: s.system})
	if err != nil {
		return nil, fmt.Errorf("looking ahead: %w", err)
	}
	return maps.Clone(j.decision.Masks), nil
}

// judgement begins one: in memory that the session uses again.
func (s *session) judgement(a *action.Action) (*judgement, error) {
	select {
	case <-s.cut:
		if stop := s.e.frozen(s.asker, s.res.URN, s.gate); stop != nil {
			return nil, frozenAnswer(stop)
		}
		return nil, &gate.Denied{Status: gate.StatusDenied, Reason: "the credential was revoked or has expired", Hint: "ask for a new one"}
	default:
	}
	if a.Claims.Session == "" && a.Claims.Parent == "" {
		a.Claims.Session, a.Claims.Parent = s.claims.Session, s.claims.Parent
	}
	home := s.seen.take()
	j := &home.judged
	*j = judgement{action: a, asker: s.asker, where: Where{Gate: s.gate, Session: s.id, System: s.system}, seen: s.seen, home: home, decision: j.decision, rec: j.rec}
	return j, nil
}

func (s *session) Refused(_ context.Context, detail string) {
	if _, err := s.e.o.Spool.Append(s.record(audit.TypeRefused, map[string]string{"what": cut(detail, 500)})); err != nil {
		s.e.o.Logger.Error("recording a refusal", "gate", s.gate, "err", err)
	}
}

func (s *session) record(typ string, detail map[string]string) *audit.Record {
	r := &audit.Record{Type: typ, Subject: s.asker.Subject.ID, Gate: s.gate, Session: s.id, Resource: s.res.URN, Env: s.res.Env, Detail: detail}
	for i, l := range s.asker.Links() {
		if i == 0 {
			r.Actor = l.ID
		}
		r.Chain = append(r.Chain, l.ID)
	}
	return r
}

func (s *session) Cut() <-chan struct{} { return s.cut }

func (s *session) cutNow() { s.once.Do(func() { close(s.cut) }) }

func (s *session) Close() {
	s.shut.Do(func() {
		if s.timer != nil {
			s.timer.Stop()
		}
		s.e.mu.Lock()
		delete(s.e.sessions, s)
		s.e.mu.Unlock()
		if _, err := s.e.o.Spool.Append(s.record(audit.TypeSession, map[string]string{"event": "closed"})); err != nil {
			s.e.o.Logger.Error("recording the end of a session", "gate", s.gate, "err", err)
		}
	})
}

// A permit lets one action run once. Its methods are called by one goroutine
// at a time. A session uses a permit again once it is done, if no person had to
// be asked: it is only held by the gate that it was given to.
type permit struct {
	e        *Enforcer
	judged   judgement // what j is, where the session made it
	j        *judgement
	seen     *seen
	set      *mask.Set
	approval string
	grant    string
	grantID  string
	limit    int64                                // rows; -1: none
	span     *trace.Span                          // of what runs upstream; nil: nothing is traced
	bare     classSet                             // that it doesn't mask
	begun    bool                                 // it runs out of sight
	told     func(gate.Outcome, map[string]int64) // who decided elsewhere; nil: it was decided here

	rows  int64
	bytes int64 // of rows
	paid  int64 // rows that the ledger was told of: see weight
	open  []*openRows
	text  map[string]int64
	done  atomic.Bool
	rec   audit.Record // of the outcome
	count int64        // rows of the outcome
	asked audit.Form   // of the request's record
	ended audit.Form   // of the outcome's
	noted *facts.Form  // of what decisions were made from; nil: nothing yet that comes again and again

	statements mask.Alike   // those judged here, one after the other
	payloads   detect.Alike // and theirs
}

func (e *Enforcer) permit(j *judgement, id string, limit action.Count, masks map[string]string) *permit {
	p := j.home
	if p == nil || id != "" {
		p = &permit{text: map[string]int64{}}
	}
	clear(p.text)
	p.e, p.j, p.seen, p.approval, p.limit, p.rows, p.bytes, p.paid, p.begun, p.told = e, j, j.seen, id, -1, 0, 0, 0, false, nil
	p.span = e.upstream(j)
	p.set, p.bare = j.seen.setOf(e.o.Masker, j.asker.Chain[0].ID, masks)
	p.done.Store(false)
	if limit.Known {
		p.limit = limit.N
	}
	return p
}

func (p *permit) Rows(columns []gate.Column) gate.Rows {
	o := p.seen.open(p.set, columns)
	p.open = append(p.open, o)
	return o.rows
}

func (p *permit) Text(b []byte) []byte {
	out, counts := p.set.TextCounted(b)
	for c, n := range counts {
		p.text[c] += n
	}
	if len(counts) > 0 && (p.look(p.e.o.Now(), false) != nil || p.keep() != nil) {
		return []byte("[not shown: what is read can't be noted]")
	}
	return out
}

// Count trips before rows are passed on: at the bound of a permitting rule, and
// where reads add up to an export that nobody decided.
func (p *permit) Count(rows, bytes int64) error {
	p.rows, p.bytes = p.rows+rows, p.bytes+bytes
	owed := weight(p.rows, p.bytes) - p.paid
	p.paid += owed
	now := p.e.o.Now()
	if p.keep() != nil {
		return &gate.Denied{Status: gate.StatusNobody, Reason: "what tokens stand for can't be kept, so nothing may pass", Hint: "try again later; the server's own log says what is wrong"}
	}
	if err := p.charge(owed, bytes, now); err != nil {
		p.e.o.Logger.Error("rows can't be counted, so they don't pass", "gate", p.j.where.Gate, "err", err)
		return &gate.Denied{Status: gate.StatusNobody, Reason: "what is read can't be counted, so nothing may pass", Hint: "try again later; the server's own log says what is wrong"}
	}
	if p.limit >= 0 && p.rows > p.limit {
		if p.approval != "" {
			return &gate.Denied{Status: gate.StatusLimit, Reason: fmt.Sprintf("it was approved for %d rows at most, and there are more", p.limit), Hint: "ask for fewer rows, or again and say why more are needed"}
		}
		return &gate.Denied{Status: gate.StatusLimit, Reason: "the row limit of this permission is reached", Hint: "ask for it as an export, which people can approve"}
	}
	if p.approval != "" || !p.reading() {
		return p.show(now)
	}
	if _, over := p.j.account.over(p.classes(), p.e.limits.Load(), true, now); over {
		return &gate.Denied{Status: gate.StatusLimit, Reason: "this much reading is an export, and nobody approved one", Hint: "run it again: it is then asked for as an export"}
	}
	return p.show(now)
}

// keep writes the values of the tokens made so far, where policy keeps them.
func (p *permit) keep() error {
	if !p.set.Keeps() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := p.set.Keep(ctx)
	if err != nil {
		p.e.o.Logger.Error("values of tokens can't be kept", "gate", p.j.where.Gate, "err", err)
	}
	return err
}

// rowWeight is how many bytes of an answer count as one row of it at least.
const rowWeight = 512

// weight is what an answer counts for in the ledger: its rows, or the rows that its
// bytes would make. string_agg or json_agg puts a table into one row.
func weight(rows, bytes int64) int64 { return max(rows, bytes/rowWeight) }

// charge adds to the ledger at once, not at the end: statements that run side by
// side add up too.
func (p *permit) charge(rows, bytes int64, now time.Time) (err error) {
	if p.j.account == nil { // nothing was read when it was judged
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if p.j.account, err = p.e.accountOf(ctx, p.j, now); err != nil {
			return err
		}
	}
	return p.e.ledger.add(p.j.account, p.classes(), rows, bytes, now)
}

// classes are those of the answer: of its columns as they were judged, and
// whatever its values have shown so far.
func (p *permit) classes() classSet {
	set := p.j.classes
	set.join(allRows)
	for _, o := range p.open {
		for c := range o.rows.Counts() {
			set.join(setOf(c))
		}
	}
	return set
}

// reading says that the action was judged as a read and not as an export.
func (p *permit) reading() bool {
	read := false
	for _, k := range p.j.action.Kinds {
		if k == action.DataExport {
			return false
		}
		read = read || k == action.DataRead
	}
	return read
}

func (p *permit) Bound() int64 { return p.limit }

// Masks is what is masked in what comes back, class to method, for who masks it elsewhere.
func (p *permit) Masks() map[string]string { return maps.Clone(p.j.decision.Masks) }

// Grant is the signed grant of an approved action, "" for one allowed outright.
func (p *permit) Grant() string { return p.grant }

func (p *permit) Done(o gate.Outcome) {
	if p.done.Swap(true) {
		return
	}
	_ = p.keep() // what a gate masked without counting rows
	p.over(o)
	p.learn(o)
	if p.told != nil {
		p.tell(o)
	} else {
		p.finish(o)
	}
	p.seen.giveBack(p)
}

func (p *permit) finish(o gate.Outcome) {
	log := p.e.o.Logger
	masked := p.masked()
	for c, n := range masked {
		p.e.o.Metrics.Masked(c, n)
	}
	p.outcome(o, masked)
	p.traced(o, masked)
	if p.approval == "" {
		if _, err := p.e.o.Spool.AppendLike(&p.rec, &p.ended); err != nil {
			log.Error("recording an outcome", "gate", p.j.where.Gate, "err", err)
		}
		return
	}
	p.rec.Detail = details(p.ended.Details).byName()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	state := map[gate.OutcomeState]approval.State{gate.Executed: approval.Executed, gate.Failed: approval.Failed, gate.NotRun: approval.Failed}[o.State]
	if state == "" {
		state = approval.Unknown
	}
	if err := p.e.o.Approvals.Finish(ctx, p.approval, approval.Outcome{State: state, Code: o.Code, Rows: max(o.Rows, p.rows), Record: &p.rec}); err != nil {
		log.Error("recording the outcome of an approved action", "approval", p.approval, "err", err)
	}
}

// masked is how many values were masked, by class. It adds to p.text, which nobody reads after it.
func (p *permit) masked() map[string]int64 {
	for _, o := range p.open {
		for c, n := range o.rows.Counts() {
			p.text[c] += n
		}
	}
	return p.text
}
