package enforce

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/trail"
)

// bookOf is what is known of who acts; nil where nobody keeps it.
func (e *Enforcer) bookOf(asker *identity.Asker) *trail.Book {
	if e.o.Trail == nil {
		return nil
	}
	return e.o.Trail.Book(trail.Who{Person: ledgerKey(asker), Actor: asker.Chain[0].ID})
}

// Prompt takes in what an agent was told to do, in a session that its side names so (name).
func (e *Enforcer) Prompt(ctx context.Context, asker *identity.Asker, name, text string) error {
	s := &session{e: e, asker: asker, seen: e.newSeen(asker)}
	return s.Prompted(ctx, name, text)
}

// Prompted takes in what the agent of this session was told to do.
func (s *session) Prompted(ctx context.Context, session, text string) error {
	if s.seen.book == nil {
		return errors.New("taking in a prompt: nobody keeps them")
	}
	return s.seen.book.Prompt(ctx, session, text, *s.record("", nil))
}

// lead finds what led to j's action, and what its actor has seen lately.
func (e *Enforcer) lead(ctx context.Context, j *judgement) {
	b, in := j.seen.book, &j.input
	j.lead, j.names = nil, ""
	if b == nil {
		return
	}
	c := &j.action.Claims
	if j.lead = b.Lead(ctx, j.where.Gate, c.Session, c.Parent); j.lead != nil {
		j.names = b.Means(j.lead.Session, j.lead.Prompt, j.action)
		switch j.names {
		case "yes":
			in.IntentTarget = policy.Yes
		case "no":
			in.IntentTarget = policy.No
		}
	}
	j.taint = b.Taint(j.now, trail.Outbound(j.action))
	in.SawSensitive, in.SawUntrusted = tri(j.taint.Known, j.taint.Sensitive), tri(j.taint.Known, j.taint.Untrusted)
	in.Tainted = max(in.SawSensitive, in.SawUntrusted) // unknown < no < yes
	if in.Tainted == policy.Yes {
		in.Seen = j.taint.Says()
	}
}

func tri(known bool, s *approval.Saw) policy.Tri {
	switch {
	case s != nil:
		return policy.Yes
	case known:
		return policy.No
	}
	return policy.DontKnow
}

// leadOf is what people are told led to j's action.
func (j *judgement) leadOf() *approval.Lead {
	var l approval.Lead
	if j.lead != nil {
		l = *j.lead
	}
	for _, s := range []*approval.Saw{j.taint.Sensitive, j.taint.Untrusted} {
		if s != nil {
			l.Saw = append(l.Saw, *s)
		}
	}
	l.Names = j.names
	if l.Session == "" && l.By == nil && l.Saw == nil {
		return nil
	}
	return &l
}

// named gives j's action the name by which its records and those of what it leads to say that it is this one.
func (j *judgement) named() string {
	if j.act == "" {
		j.act = "act_" + randomID()
	}
	return j.act
}

// Begun notes that the action runs out of sight, and may lead to others.
func (p *permit) Begun(run, name string) {
	b, j := p.seen.book, p.j
	if b == nil {
		return
	}
	p.begun = true
	session, from := j.action.Claims.Session, []approval.LedBy(nil)
	if j.lead != nil {
		session, from = j.lead.Session, j.lead.By
	}
	b.Begin(j.where.Gate, run, name, session, approval.LedBy{ID: j.named(), Title: cut(j.title, 300)}, from)
}

// Returned takes in the texts of an answer, as the system gave them: an id in one stands for what the
// prompt calls by its name.
func (p *permit) Returned(texts [][]byte) {
	if p.seen.book != nil && p.j.lead != nil && p.j.lead.Session != "" {
		p.seen.book.Returned(p.j.lead.Session, texts)
	}
}

// bare are the classes that methods leave as they are, and secrets: where one was
// found there may be more that nobody can find.
func bare(methods map[string]string) (set classSet) {
	for i, class := range ledgerClasses {
		if i > 0 && (methods[class] == "" || slices.Contains(detect.GroupOf(detect.Class(class)), "secret")) {
			set.put(i)
		}
	}
	return set
}

// look notes, before anything of an answer flows, that its actor is about to see
// what matters: classed values that were not masked, and secrets. ended: whatever was to
// come has come, also where nobody counted it.
func (p *permit) look(now time.Time, ended bool) error {
	flowed := p.rows+p.bytes > 0
	if p.seen.eyes == nil || !flowed && !ended && len(p.text) == 0 {
		return nil
	}
	set := p.classes()
	if flowed {
		set.join(p.j.stated)
	} else {
		set.drop(p.j.classes)
	}
	for c := range p.text {
		set.join(setOf(c))
	}
	set.keep(p.bare)
	secret := (flowed || ended) && slices.Contains(p.j.action.Kinds, action.SecretAccess)
	if set.empty() && !secret || p.seen.eyes.Sees(approval.SawSensitive, now) {
		return nil
	}
	var classes []string
	for i := range set.all {
		classes = append(classes, ledgerClasses[i])
	}
	if secret {
		classes = append(classes, "a secret")
	}
	return p.see(approval.SawSensitive, p.j.action.Verb+" on "+p.j.on()+" with "+strings.Join(classes, ", "), now)
}

// show is look, with an error for the gate.
func (p *permit) show(now time.Time) error {
	if p.look(now, false) != nil {
		return &gate.Denied{Status: gate.StatusNobody, Reason: "what is read can't be noted, so nothing may pass", Hint: "try again later; the server's own log says what is wrong"}
	}
	return nil
}

// see notes what the actor sees. When it returns nil, that is durable.
func (p *permit) see(kind, what string, now time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	saw := approval.Saw{Kind: kind, What: cut(what, 300), Act: p.j.act}
	if saw.Act == "" && p.j.asked != 0 {
		saw.Act = "traffic " + strconv.FormatInt(p.j.asked, 10)
	}
	err := p.seen.eyes.See(ctx, saw, now)
	if err != nil {
		p.e.o.Logger.Error("what an actor sees can't be noted", "gate", p.j.where.Gate, "err", err)
		p.seen.eyes.Feared(saw, now)
	}
	return err
}

func (j *judgement) on() string {
	if j.target != "" {
		return j.target
	}
	return j.action.Resource.URN
}

// over notes at the end what the action brought, and that it no longer leads to others.
func (p *permit) over(o gate.Outcome) {
	if p.seen.eyes == nil {
		return
	}
	now := p.e.o.Now()
	if o.State != gate.NotRun {
		_ = p.look(now, true) // it can't be held back any more; the memory has it
		if o.Untrusted != "" && !p.seen.eyes.Sees(approval.SawUntrusted, now) {
			_ = p.see(approval.SawUntrusted, o.Untrusted+": "+p.j.action.Verb+" "+p.j.on(), now)
		}
	}
	if p.begun {
		p.seen.book.End(p.j.act)
	}
}
