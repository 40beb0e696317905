// Package facts keeps what each decision was made from and what was decided, in
// columns on disk beside the log, so that another policy can be asked about it
// later: see Writer, Dir and internal/replay.
//
// It promises that every variable of the policy reference is kept, or said not to
// be; that a damaged block is an error that names its place; and that what could
// not be kept is counted. It is no evidence: the log is. Files are not synced for
// each action, and who may write them may write others.
//
// No payload, statement or value of a column is ever kept, and of the asker's
// reason only its length. What an asker may have chosen (target, destination,
// resource, session, ticket) is kept without queries and credentials of URLs,
// without what the detectors know, and cut at 512 bytes: Record.Inexact says where.
// Who reads a file learns who asked for what, where and when, and what was said to it.
package facts

import (
	"time"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/policy"
)

// An Outcome is what became of an action that people had to be asked about.
type Outcome uint8

// Outcomes. The zero value: nobody had to be asked, or it isn't known.
const (
	NoOutcome Outcome = iota
	Approved
	Denied
	Expired
	Withdrawn
	Refused   // nobody could be asked
	Standing  // a standing grant covered it: nobody was asked
	Emergency // somebody had broken the glass: nobody was asked
	Evaluated // a question over the API what policy would say: nobody was asked
	outcomes
)

func (o Outcome) String() string {
	if o >= outcomes {
		return "unknown"
	}
	return [...]string{"", "approved", "denied", "expired", "withdrawn", "refused", "standing", "emergency", "evaluated"}[o]
}

// Inexact says what of a record is not as policy saw it.
type Inexact uint8

// What may be inexact.
const (
	ResourceCleaned Inexact = 1 << iota
	TargetCleaned
	DestinationCleaned
	SessionCleaned
	TicketCleaned
	ReasonLength // the reason has its length, and none of its words
)

// A Record is one action as it was decided. It and all it refers to is valid until
// the next one; its text may be kept.
type Record struct {
	Input   policy.Input // Action set; Seen and what no rule reads is not
	Verdict policy.Verdict
	Rules   []Rule // that matched, most restrictive first
	Shadow  []Rule
	Bundle  string
	Asked   []string // groups whose people could answer, sorted, each once
	Masks   []string // "class=method", sorted
	Limit   int64    // rows; -1: none
	Gate    string

	Outside policy.Verdict // strictest of what decision points said; Allow where none was asked
	Others  []string       // groups that they asked for

	Frozen  bool // a freeze said no, whatever policy said
	Joined  bool // it found an approval that already waited: nobody was asked again
	Inexact Inexact
	Outcome Outcome
	Took    time.Duration // of people to answer

	// Who and What number the asker and the kind of action among those of this
	// block: equal numbers of one block are equal. Block counts blocks from 0.
	Block, Who, What int
}

// Outside is what a decision point of others said; it may only tighten.
type Outside struct {
	Verdict policy.Verdict
	From    []string
}

// A Rule is a rule that matched.
type Rule struct{ Then, Pack, Name string }

// Prompted says that people were asked anew.
func (r *Record) Prompted() bool {
	return r.Verdict == policy.Review && !r.Frozen && !r.Joined && r.Outcome < Refused
}

// A Count is how many rows of a class somebody read; the class "all" is all of them.
type Count struct {
	Class string
	Rows  int64
}

// Counts are policy.Reads that can be written down.
type Counts interface {
	policy.Reads
	// Counts appends every class that was read at all.
	Counts(to []Count) []Count
}

// reads are those of a record.
type reads struct{ list []Count }

func (r *reads) Rows(class string) int64 {
	if class != "all" {
		class = string(detect.Counted(detect.Class(class)))
	}
	for i := range r.list {
		if r.list[i].Class == class {
			return r.list[i].Rows
		}
	}
	return 0
}

func (r *reads) Counts(to []Count) []Count { return append(to, r.list...) }
