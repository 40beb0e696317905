// Package notify tells people where they are: it shows each approval as a card
// on the channels that its routes name, keeps every card true until it is over,
// and takes answers back from those that have a way to give one.
//
// What is to be told is kept as sealed rows, one for each card at each place: a
// restart or another node goes on where this one stopped, and the log says who
// was told what and when. Nothing here decides: an answer goes to the engine
// under the person's own account, and a lost channel loses no approval.
package notify

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/sealed"
)

// A Channel is one configured way to people: a Slack workspace, a mail server, a webhook.
// It is safe for concurrent use.
type Channel interface {
	// Name is the channel's name in the configuration.
	Name() string
	// Post shows m at place for the first time and returns a reference to it. key names
	// this delivery for ever: where an attempt broke off, Post is called with the same key
	// again, and a channel that can find what it posted under it returns that instead.
	Post(ctx context.Context, place, key string, m *Message) (ref string, err error)
	// Update shows m in place of what ref is. A channel that can't replace tells the news,
	// though not of a Digest, which is counted again each half minute.
	Update(ctx context.Context, place, ref string, m *Message) error
}

// What a message is for.
const (
	Asked     = "asked"     // somebody's answer is wanted
	Changed   = "changed"   // the card changed: a review, a question, a decision, its end
	Reminded  = "reminded"  // nobody answered yet
	Escalated = "escalated" // further people are asked
	Noticed   = "noticed"   // something that is no approval
)

// Digest is the kind of a notice that counts approvals which are too many to be told one by one.
const Digest = "digest"

// A Message is what a channel shows.
type Message struct {
	What   string
	Card   *card.Card // of an approval
	Was    string     // name of the card's state as the place shows it so far; "": nothing
	Notice *Notice    // of anything else
	next   time.Time  // when a digest is counted again
	Again  bool       // of Post: an attempt under this key was made before, and what it posted may be there
}

// Since is when what m shows began: nothing was posted about it earlier.
func (m *Message) Since() time.Time {
	if m.Card != nil {
		return m.Card.Created
	}
	return m.Notice.Time
}

// A Notice tells of something that waits for nobody's answer here: the glass was
// broken, something was frozen, the log could not be verified.
type Notice struct {
	ID    string // unique for ever; told once to each place
	Kind  string // what routes name: "emergency", "freeze", "alarm", "digest", "rule"
	Title string // fit to be shown, as are the others
	Text  string
	Path  string // of the console's page about it
	Grave bool
	Time  time.Time
}

// A laterError is a failure that goes away: a rate limit, a server that is down.
type laterError struct {
	err   error
	after time.Duration
}

func (e *laterError) Error() string { return e.err.Error() }
func (e *laterError) Unwrap() error { return e.err }

// Later has a delivery tried again no sooner than after; any other error is tried again too, on our own schedule.
func Later(err error, after time.Duration) error { return &laterError{err, after} }

// ErrNever marks an error that no further attempt would mend: the place is gone,
// the credential was revoked. The delivery is dead until somebody replays it.
var ErrNever = errors.New("it will not work")

// Approvals is the part of the engine that is told about.
type Approvals interface {
	Get(ctx context.Context, id string) (*approval.Approval, error)
	List(ctx context.Context, f approval.Filter) ([]*approval.Approval, error)
	Subscribe(ctx context.Context) <-chan approval.Event
	Progress(a *approval.Approval) []approval.Seat
}

// Options says what a Dispatcher works with; all but Clock, Logger and Observe are needed.
type Options struct {
	Approvals Approvals
	Box       *sealed.Box
	Channels  []Channel
	Routes    []Route
	Targets   map[string][]Target // what policy may name under notify, such as "slack:#incidents"
	PublicURL string
	Node      string // names this process in its claims
	Shared    bool   // other nodes tell from the same rows
	// Quiet is until when nobody writes to a person about a version of an approval, or
	// about anything ("" and 0); zero: anybody may. nil: nobody is spared.
	Quiet   func(person, approval string, version int64, grave bool) time.Time
	Clock   func() time.Time
	Logger  *slog.Logger
	Observe func(channel, result string) // hears of every attempt: Told, Failed or Dead; may be nil
}

// A Route sends what fits to one place of one channel. Empty fields fit everything.
type Route struct {
	Channel, Place string
	// Place "reviewers" is each person who may answer, as "person:ID".

	Kinds     []string // of the action
	Rules     []string // that hold it
	Groups    []string // that are asked, as "group:owners"
	Envs      []string
	Resources []string // URN patterns of path.Match
	Risk      string   // "high": high and critical; "critical"
	Notices   []string // kinds of notices; a route that names none gets none
}
