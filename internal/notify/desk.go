package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/show"
)

// Reviewing is the part of the engine that takes answers.
type Reviewing interface {
	Get(ctx context.Context, id string) (*approval.Approval, error)
	List(ctx context.Context, f approval.Filter) ([]*approval.Approval, error)
	Progress(a *approval.Approval) []approval.Seat
	Answer(ctx context.Context, in approval.Answer) (*approval.Approval, error)
	MayReview(a *approval.Approval, p *identity.Person, assurance string) error
	Question(ctx context.Context, id string, by identity.Person, text, channel string) (*approval.Approval, error)
}

// People finds who an account leads to.
type People interface {
	Person(id string) (identity.Person, bool)
}

// A Desk takes what people press in chats. The channel has checked that the
// press comes from the chat and whose it is there; everything else is read anew.
type Desk struct {
	Reviews   Reviewing
	People    People
	Mask      func(string) string // masks sensitive values in what people say
	PublicURL string
}

// A Press is an answer given in a chat. All but the account is what the card said.
type Press struct {
	Account  string // "slack|T1/U1": checked by the channel
	Channel  string // "slack", "teams"
	Approval string
	Digest   string
	Version  int64
	Decision string // approval.Approve or approval.Deny
	Reason   string
}

// maxReason bounds a reason, in bytes.
const maxReason = 2_000

// A Refusal is an answer that decided nothing, in words for the one who pressed.
type Refusal struct {
	Says     string
	Link     bool // the console is where it can be done
	Unlinked bool // nobody knows the account
	Err      error
}

func (r *Refusal) Error() string { return r.Says }
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(says string) error { return &Refusal{Says: says} }

// Person is who an account leads to. An account that nobody linked is nobody's.
func (d *Desk) Person(account string) (identity.Person, error) {
	p, ok := d.People.Person(account)
	if !ok {
		return p, &Refusal{Says: "Nobody here knows this account yet, so nothing was decided. Link it: open the console, People, Link an account.", Link: true, Unlinked: true}
	}
	return p, nil
}

// Answer records a press. Its error is a *Refusal wherever the person can do something about it.
func (d *Desk) Answer(ctx context.Context, in Press) (*card.Card, error) {
	p, err := d.Person(in.Account)
	if err != nil {
		return nil, err
	}
	in.Reason = strings.TrimSpace(in.Reason)
	digest, err := action.ParseDigest(in.Digest)
	switch {
	case err != nil || in.Version <= 0 || in.Approval == "":
		return nil, refuse("The answer didn't say what was shown, so nothing was decided. Open it in the console.")
	case in.Decision != approval.Approve && in.Decision != approval.Deny:
		return nil, refuse("An answer is approve or deny. Nothing was decided.")
	case in.Decision == approval.Deny && in.Reason == "":
		return nil, refuse("A denial needs a reason: the asker and the log are told it.")
	case len(in.Reason) > maxReason || !utf8.ValidString(in.Reason):
		return nil, refuse("The reason is too long: 2,000 bytes at most.")
	}
	a, err := d.Reviews.Get(ctx, in.Approval)
	if err != nil {
		return nil, d.words(err)
	}
	c := card.Of(a, d.Reviews.Progress(a), d.PublicURL)
	if in.Decision == approval.Approve && c.Pending && !c.Chat() {
		return nil, &Refusal{Says: Elsewhere(c), Link: true}
	}
	answer := approval.Answer{
		Approval: in.Approval, Person: p, Decision: in.Decision, Reason: d.mask(in.Reason), Channel: in.Channel, Assurance: "chat", Digest: digest, Version: in.Version,
	}
	if a, err = d.Reviews.Answer(ctx, answer); err != nil {
		return nil, d.words(err)
	}
	return card.Of(a, d.Reviews.Progress(a), d.PublicURL), nil
}

// Ask asks the asker's side a question.
func (d *Desk) Ask(ctx context.Context, account, channel, id, text string) (*card.Card, error) {
	p, err := d.Person(account)
	if err != nil {
		return nil, err
	}
	a, err := d.Reviews.Question(ctx, id, p, d.mask(text), channel)
	if err != nil {
		return nil, d.words(err)
	}
	return card.Of(a, d.Reviews.Progress(a), d.PublicURL), nil
}

// View is the card as one account may see it, and why its person may not answer; nil: they may.
func (d *Desk) View(ctx context.Context, account, id string) (c *card.Card, may error, err error) {
	a, err := d.Reviews.Get(ctx, id)
	if err != nil {
		return nil, nil, d.words(err)
	}
	c = card.Of(a, d.Reviews.Progress(a), d.PublicURL)
	p, err := d.Person(account)
	if err != nil {
		return c, err, nil
	}
	if err := d.Reviews.MayReview(a, &p, "chat"); err != nil {
		return c, d.words(err), nil
	}
	return c, nil, nil
}

func (d *Desk) mask(s string) string {
	if d.Mask == nil || s == "" {
		return s
	}
	return d.Mask(s)
}

// Elsewhere says why a click in a chat may not approve c; "" where it may.
func Elsewhere(c *card.Card) string {
	switch {
	case c.Chat():
		return ""
	case !c.Whole():
		return "It is too long to be shown whole here, and nobody approves what nobody could read. Open it in the console."
	case c.Risk.Class == "crit":
		return "It is critical: it is approved in the console, where all of it can be seen."
	}
	return fmt.Sprintf("This review has to be given with assurance %q: a click in a chat is not enough. Open it in the console.", c.Assurance)
}

// words says what an error of the engine means for the one who pressed. What it
// doesn't know is our fault, and still no.
func (d *Desk) words(err error) error {
	var excluded approval.ErrExcluded
	var level approval.ErrAssurance
	var says string
	var link bool
	switch {
	case errors.As(err, &excluded):
		says = "You can't review this: " + show.Plain(excluded.Why, maxReason) + "."
	case errors.As(err, &level):
		says, link = fmt.Sprintf("This review has to be given with assurance %q: a click in a chat is not enough. Open it in the console.", level.Need), true
	case errors.Is(err, approval.ErrNotEligible):
		says, link = "You are not among those who were asked, or your groups can't be confirmed now: sign in at the console, then press again.", true
	case errors.Is(err, approval.ErrReviewed):
		says = "You have reviewed this. It waits for others."
	case errors.Is(err, approval.ErrDecided):
		says = "This is already decided."
	case errors.Is(err, approval.ErrExpired):
		says = "This has expired: nobody decided in time."
	case errors.Is(err, approval.ErrChanged), errors.Is(err, approval.ErrConflict):
		says, link = "It changed while you were looking. Read it again before you decide.", true
	case errors.Is(err, approval.ErrNotFound):
		says = "There is no such approval any more."
	case errors.Is(err, approval.ErrTooMuch), errors.Is(err, approval.ErrText):
		says = "Nothing was asked: " + err.Error() + "."
	default:
		return fmt.Errorf("taking an answer: %w", err)
	}
	return &Refusal{Says: says, Link: link, Err: err}
}
