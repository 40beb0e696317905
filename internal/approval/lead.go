package approval

import (
	"slices"
	"time"
)

// A Lead is what led to an action, as far as anybody knows. Prompt and session are the
// asker's words and prove nothing; Saw is what Assent observed. All text in it is masked.
type Lead struct {
	Session string  `json:",omitempty"` // as the asker's side names it
	Prompt  *Prompt `json:",omitempty"` // the newest of the session before the action
	By      []LedBy `json:",omitempty"` // what it came from, the first one first
	Saw     []Saw   `json:",omitempty"` // by the actor, or another of the same person, lately
	Names   string  `json:",omitempty"` // whether the prompt names the target: "yes", "no"; "": nobody can tell
}

// A Prompt is what an agent was told to do, as its side tells.
type Prompt struct {
	Hash string // keyed, of the whole text
	Text string // masked, and its beginning only where Cut
	Cut  bool   `json:",omitempty"`
	Time time.Time
	// Whole is the text as it was told, where this process took it in; it is compared, and never kept.
	Whole string `json:"-"`
}

// How it is known that one action led to another.
const (
	Stated = "stated" // the asker's side says so
	Seen   = "seen"   // it was the only one under way for this actor
)

// LedBy is an action that runs elsewhere (a command, a tool call) and led to another.
type LedBy struct {
	ID    string // "act_…", which its own records bear
	Title string // masked
	How   string // Stated or Seen
}

// A Saw is why an actor counts as tainted.
type Saw struct {
	What  string    // "read public.customers with aws-key", "web page"
	Kind  string    // SawSensitive or SawUntrusted
	Actor string    // who saw it
	Act   string    `json:",omitempty"` // what brought it: an action's id, or its place in the traffic lane
	Time  time.Time // when last
	Until time.Time // it counts
}

// What an actor can have seen.
const (
	SawSensitive = "sensitive" // classed values that were not masked, or secrets
	SawUntrusted = "untrusted" // content that others wrote
)

// with is what led to several actions of one asker: of what the asker says the first's.
func (l *Lead) with(o *Lead) *Lead {
	switch {
	case o == nil:
		return l
	case l == nil:
		c := *o
		c.Names, c.Saw = "", slices.Clone(o.Saw) // it names one of several targets
		return &c
	}
	for _, s := range o.Saw {
		if at := slices.IndexFunc(l.Saw, func(had Saw) bool { return had.Kind == s.Kind }); at < 0 {
			l.Saw = append(l.Saw, s)
		} else if s.Until.After(l.Saw[at].Until) {
			l.Saw[at] = s
		}
	}
	return l
}
