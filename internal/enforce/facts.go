package enforce

import (
	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/policy"
)

// note keeps what j was decided from, once for each action that was asked for.
func (e *Enforcer) note(j *judgement, f facts.Facts) {
	if len(j.decision.Notify) > 0 && f.Outcome != facts.Evaluated {
		e.matched(j)
	}
	f.Gate, f.Frozen = j.where.Gate, j.stop != nil
	if j.home != nil && j.decision.Verdict != policy.Review { // thousands may wait, and none of them comes again
		if j.home.noted == nil {
			j.home.noted = new(facts.Form)
		}
		f.Form = j.home.noted
	}
	for i := range j.points {
		if p := &j.points[i]; p.Err == nil {
			f.Outside = append(f.Outside, facts.Outside{Verdict: p.Verdict, From: p.From})
		} else {
			f.Outside = append(f.Outside, facts.Outside{Verdict: policy.Deny})
		}
	}
	e.o.Facts.Note(&j.input, &j.decision, f)
}

// Matched is an action that a rule matched which tells somebody. Its words are masked.
type Matched struct {
	Pack, Rule, Verdict, Actor, Title, Resource string
	To                                          []string
}

func (e *Enforcer) matched(j *judgement) {
	if e.o.Matched == nil {
		return
	}
	for i := range j.decision.Rules {
		h := &j.decision.Rules[i]
		if to := j.decision.Notifies(h); len(to) > 0 {
			e.o.Matched(Matched{h.Pack, h.Rule, j.decision.Verdict.String(), j.asker.Chain[0].ID, j.title, j.action.Resource.URN, to})
		}
	}
}

// Counts appends what was read of each class in the last hour, "all" first.
func (r *reads) Counts(to []facts.Count) []facts.Count {
	r.account.mu.Lock()
	defer r.account.mu.Unlock()
	minute := r.now.Unix() / 60
	for i, w := range r.account.read {
		if w == nil {
			continue
		}
		if w.forget(minute); w.sum != 0 {
			class := "all"
			if i > 0 {
				class = ledgerClasses[i]
			}
			to = append(to, facts.Count{Class: class, Rows: w.sum})
		}
	}
	return to
}
