package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/grant"
)

// grantLife is how long a grant stays valid; the protocol allows ten minutes.
const grantLife = 5 * time.Minute

// Use takes the single use of an approval: re-decision, window, action,
// credential and quorum are checked, the grant is signed and "execution
// started" is on record in the transaction that moves approved to executing.
// Only one of any number of callers gets it. Any error means: do not run.
func (e *Engine) Use(ctx context.Context, id string, u Use) (*Used, error) {
	used, err := e.use(ctx, id, u)
	if err != nil {
		return nil, fmt.Errorf("using approval %s: %w", id, err)
	}
	return used, nil
}

func (e *Engine) use(ctx context.Context, id string, u Use) (*Used, error) {
	if u.Action == nil || u.Recheck == nil {
		return nil, errors.New("a use needs the action and a re-decision")
	}
	seen, err := e.Get(ctx, id)
	if err != nil {
		if errors.Is(err, ErrTampered) {
			err = errors.Join(err, e.alarm(ctx, id, err.Error()))
		}
		return nil, err
	}
	if err := e.fits(seen, &u); err != nil {
		return nil, err
	}
	// The re-decision runs outside the transaction, so that it may read the
	// store; the revision it saw is what the transaction then insists on.
	if err := u.Recheck(ctx, seen); err != nil {
		return nil, e.redecided(ctx, id, err)
	}
	var used *Used
	var no error // the refusal, where what led to it is recorded
	err = e.update(ctx, id, func(tx Tx) (events []Event, err error) {
		used, no = nil, nil
		a, err := e.load(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if a.State == Approved && !e.now().Before(a.ends()) {
			no = ErrExpired
			return e.expire(ctx, tx, a)
		}
		if err := e.fits(a, &u); err != nil {
			return nil, err
		}
		if a.Revision != seen.Revision {
			return nil, ErrConflict
		}
		why, err := e.unsound(ctx, tx, a)
		if err != nil {
			return nil, err
		}
		if why != "" {
			no = fmt.Errorf("%s: %w", why, ErrNotApproved)
			return e.void(ctx, tx, a, why)
		}
		stop, err := e.stopped(ctx, tx, a)
		if err != nil {
			return nil, err
		}
		if stop != nil {
			no = stop
			return e.move(ctx, tx, a, Withdrawn, "", stop.Error())
		}
		if used, err = e.start(ctx, tx, a, &u); err == nil && u.Within != nil {
			err = e.within(ctx, tx, a, u.Within)
		}
		events = []Event{a.event()}
		if a.whole != nil {
			events = append(events, a.whole.event())
		}
		return events, err
	})
	if err = errors.Join(no, err); err != nil {
		return nil, err
	}
	if u.Within == nil {
		e.running.add(id)
	}
	return used, nil
}

// outdated says that a is a row put back as it once was, or that a review of it
// is gone: the log knows what became of it since. "" when the log and the rows agree.
func (e *Engine) outdated(ctx context.Context, tx Tx, a *Approval) (string, error) {
	if (a.Waiting() || a.State == Approved) && e.over.has(a.ID) {
		return "it was used or ended while this server ran, whatever rows and log say now", nil
	}
	given, err := tx.Reviewed(ctx, a.ID)
	if err != nil {
		return "", err
	}
	if !slices.EqualFunc(given, a.Reviews, func(id string, r Review) bool { return id == r.ID }) {
		return fmt.Sprintf("it has %d reviews, and the log says %d", len(a.Reviews), len(given)), nil
	}
	reached, err := tx.Reached(ctx, a.ID)
	if err != nil {
		return "", err
	}
	var want []State
	if !a.Waiting() {
		want = []State{a.State}
	}
	if slices.Equal(reached, want) {
		return "", nil
	}
	if slices.Contains(reached, Executing) {
		return "the log says that it was used already", nil
	}
	return fmt.Sprintf("it is stored as %s, and the log says %s", a.State, reached), nil
}

// unsound says why "approved" is not to be believed; "" when it is.
func (e *Engine) unsound(ctx context.Context, tx Tx, a *Approval) (string, error) {
	// A sealed row can be put back as it once was; the log knows better.
	if why, err := e.outdated(ctx, tx, a); why != "" || err != nil {
		return why, err
	}
	if a.Plan != "" {
		return e.unsoundItem(ctx, tx, a)
	}
	e.exclude(a, e.related(&a.Asker))
	if err := e.reciprocal(ctx, tx, a); err != nil {
		return "", err
	}
	if !e.quorum(a) {
		return "the reviews on record do not fill the quorum", nil
	}
	return "", nil
}

// fits errs unless a is approved, for exactly this action and this credential.
func (e *Engine) fits(a *Approval, u *Use) error {
	switch {
	case a.Canary != "": // whatever its row says
		return fmt.Errorf("%s: %w", canaryOver, ErrNotApproved)
	case a.State == Expired:
		return ErrExpired
	case a.State != Approved:
		return fmt.Errorf("it is %s: %w", a.State, ErrNotApproved)
	case !sameAsker(&a.Asker, &u.Asker):
		return ErrNotAsker
	case len(a.Items) > 0:
		return ErrMismatch // its items run, each by itself
	}
	match, err := u.Action.Match(e.o.MatchKey)
	if err != nil {
		return err
	}
	digest, err := u.Action.Digest(a.Salt)
	if err != nil {
		return err
	}
	if match != a.Match || digest != a.Digest {
		return ErrMismatch
	}
	return nil
}

// redecided withdraws an approval whose re-decision said no. A caller that
// gave up has decided nothing.
func (e *Engine) redecided(ctx context.Context, id string, why error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, err := e.Withdraw(ctx, id, "", "decided again at execution: no longer allowed"); err != nil {
		why = errors.Join(why, err)
	}
	return fmt.Errorf("deciding again: %w", why)
}

// void withdraws an approved approval that doesn't bear looking at: it was put
// back, a review is gone, or a reviewer turned out to be related.
func (e *Engine) void(ctx context.Context, tx Tx, a *Approval, why string) ([]Event, error) {
	events, err := e.move(ctx, tx, a, Withdrawn, "", why)
	if err != nil {
		return nil, err
	}
	alarm := record(audit.TypeAlarm, a)
	alarm.Detail = map[string]string{"what": why}
	return events, e.o.Log.Append(ctx, tx, alarm)
}

// start moves a to executing, with record and grant.
func (e *Engine) start(ctx context.Context, tx Tx, a *Approval, u *Use) (*Used, error) {
	now, bound := e.now(), u.MaxRows
	bounds := a.Bounds()
	if n := bounds.Rows; n.Known && (bound < 0 || n.N < bound) {
		bound = n.N
	}
	if n := a.Preview.Bound(); n.Known && (bound < 0 || n.N < bound) {
		bound = n.N // what reviewers were shown is what they approved
	}
	a.State, a.Started, a.GrantID, a.Node = Executing, now, newID("gnt_"), e.o.Node
	a.Version++
	if err := e.save(ctx, tx, a, Approved); err != nil {
		return nil, err
	}
	r := record(audit.TypeStarted, a)
	r.Grant, r.Session = a.GrantID, u.Session
	r.Decision = string(Executing)
	if err := e.o.Log.Append(ctx, tx, ofPlan(r, a)); err != nil {
		return nil, err
	}
	token, err := e.o.Minter.Mint(e.claims(a, now, bound, r.Index))
	if err != nil {
		return nil, fmt.Errorf("minting the grant: %w", err)
	}
	return &Used{Grant: token, GrantID: a.GrantID, Index: r.Index, MaxRows: bound, Masks: bounds.Masks, Approval: a}, nil
}

// within does what the approval allows where that is a change of our own rows: it
// has happened, and is on record, when the transaction is durable.
func (e *Engine) within(ctx context.Context, tx Tx, a *Approval, do func(context.Context, Tx) error) error {
	if err := do(ctx, tx); err != nil {
		return err
	}
	_, err := e.finish(ctx, tx, a, Outcome{State: Executed, Rows: -1, Record: &audit.Record{Detail: map[string]string{"by": "assent"}}})
	return err
}

// stopped says what freezes a by now, as the store has it in this transaction.
func (e *Engine) stopped(ctx context.Context, tx Tx, a *Approval) (*FrozenError, error) {
	if e.o.Frozen == nil {
		return nil, nil
	}
	who, err := e.o.Frozen(ctx, tx, a)
	if err != nil || who == "" {
		return nil, err
	}
	return &FrozenError{Who: who}, nil
}

func (e *Engine) claims(a *Approval, now time.Time, bound, index int64) grant.Claims {
	c := grant.Claims{
		ID: a.GrantID, Issuer: e.o.Issuer, Audience: a.Resource.URN, Subject: a.Asker.Subject.ID,
		Issued: now, Expires: now.Add(grantLife),
		Digest: a.Digest.String(), MaxRows: bound, Masks: a.Bounds().Masks, Policy: a.Policy, Approval: a.ID,
		LogIndex: index, KeyID: a.Asker.Credential,
	}
	for _, l := range a.Asker.Chain {
		c.Actors = append(c.Actors, l.ID)
	}
	for _, k := range a.Kinds {
		c.Kinds = append(c.Kinds, string(k))
	}
	slices.Sort(c.Kinds)
	for _, v := range a.Reviews {
		c.Reviews = append(c.Reviews, grant.ReviewedBy{
			Person: v.Person, Channel: v.Channel, Assurance: v.Assurance, Time: v.Time,
		})
	}
	return c
}

// Finish records how an executing action ended. It may end once.
func (e *Engine) Finish(ctx context.Context, id string, o Outcome) error {
	if o.State != Executed && o.State != Failed && o.State != Unknown {
		return fmt.Errorf("finishing %s: %q is no outcome", id, o.State)
	}
	// Whatever comes of this: it does not run any more, and Settle may say so.
	defer e.running.remove(id)
	err := e.update(ctx, id, func(tx Tx) ([]Event, error) {
		a, err := e.load(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		return e.finish(ctx, tx, a, o)
	})
	if err != nil {
		return fmt.Errorf("finishing %s: %w", id, err)
	}
	return nil
}

func (e *Engine) finish(ctx context.Context, tx Tx, a *Approval, o Outcome) ([]Event, error) {
	if a.State != Executing {
		return nil, fmt.Errorf("it is %s: %w", a.State, ErrDecided)
	}
	a.State, a.Outcome, a.Rows, a.Ended = o.State, o.Code, max(o.Rows, 0), e.now()
	a.Version++
	if err := e.save(ctx, tx, a, Executing); err != nil {
		return nil, err
	}
	r := o.Record
	if r == nil {
		r = &audit.Record{}
		if o.Rows >= 0 {
			r.Rows = &o.Rows
		}
		r.Detail = map[string]string{
			"code": o.Code, "bytes": strconv.FormatInt(o.Bytes, 10),
			"ms": strconv.FormatInt(o.Duration.Milliseconds(), 10),
		}
	}
	r.Type, r.Grant = audit.TypeOutcome, a.GrantID
	if r.Outcome == "" {
		r.Outcome = string(o.State)
	}
	fill(r, a)
	if err := e.o.Log.Append(ctx, tx, ofPlan(r, a)); err != nil {
		return nil, err
	}
	events, err := e.ended(ctx, tx, a)
	return append([]Event{a.event()}, events...), err
}
