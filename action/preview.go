package action

import "time"

// A Preview is what an action would do, found without doing it. What nobody
// found out is unknown. Its figures are for reviewers and the log: an agent that
// heard them could ask its way to what it may not read.
type Preview struct {
	Rows     Count // rows it would change, counted
	Estimate Count // rows, as the system guesses: it decides nothing and bounds nothing
	Objects  Count // objects it would touch
	Creates  Count // objects it would create, change, destroy
	Changes  Count
	Destroys Count
	// SmallestGroup is how many rows stand behind the least of the aggregates it
	// would show, counted; 0: it would show none.
	SmallestGroup Count

	Binds bool   // the gate holds the action to Rows while it runs
	Text  string // "would change 18 rows of customers": never a value of the data
	Why   string // why there is no preview, or why it binds nothing
	// Claimed says that nobody of ours found out: a program on the asker's machine
	// says so. People are told as much, and it changes no decision.
	Claimed bool `json:",omitempty"`

	By   string    // who found out: "counted by PostgreSQL over a connection of the gate's own"
	Time time.Time // when; zero: nobody looked
}

// Bound is how many rows the action may change if people agree to what p
// shows; unknown when p binds nothing.
func (p *Preview) Bound() Count {
	if p == nil || !p.Binds {
		return Count{}
	}
	return p.Rows
}

// Exceeds says in what p goes beyond what people were shown, or that it can no
// longer be told; "" when it doesn't. What binds is held while it runs, so it
// need not be told again.
func (p *Preview) Exceeds(shown *Preview) string {
	if shown == nil {
		return ""
	}
	for _, c := range []struct {
		what       string
		now, shown Count
	}{
		{"the number of rows it would change", p.Rows, shown.Rows},
		{"the number of objects it would touch", p.Objects, shown.Objects},
		{"the number of objects it would create", p.Creates, shown.Creates},
		{"the number of objects it would change", p.Changes, shown.Changes},
		{"the number of objects it would destroy", p.Destroys, shown.Destroys},
	} {
		switch {
		case !c.shown.Known:
		case c.now.Known && c.now.N > c.shown.N:
			return c.what + " grew"
		case !c.now.Known && !shown.Binds:
			return c.what + " can no longer be told"
		}
	}
	switch now, was := p.SmallestGroup, shown.SmallestGroup; {
	case !was.Known:
	case !now.Known:
		return "the number of rows behind its smallest group can no longer be told"
	case now.N < was.N || was.N == 0 && now.N > 0:
		return "its smallest group became smaller"
	}
	return ""
}

// Describe is p in one line for reviewers and the log.
func (p *Preview) Describe() string {
	switch {
	case p == nil:
		return "no preview: nobody looked"
	case p.Claimed && p.Text != "":
		return "claimed by " + p.By + ": " + p.Text
	case p.Text == "":
		return "no preview: " + p.Why
	case p.Why != "":
		return p.Text + " (" + p.Why + ")"
	}
	return p.Text
}
