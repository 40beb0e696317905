package approval

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
)

// MaxItems is how many actions one plan may list.
const MaxItems = 50

// An Item is one action of a plan as people are shown it. What runs is an approval
// of its own: it is used once, ends by itself, and can't be answered apart from the plan.
type Item struct {
	Approval  string // the item's own
	Digest    action.Digest
	Kinds     []action.Kind
	Verb      string
	Target    string
	Title     string
	Statement string // masked
	Masked    []Span
	Resource  action.Resource
	Data      action.Data
	Masks     map[string]string
	RowLimit  action.Count
	Preview   *action.Preview
	Reason    string
	Repeats   int          `json:",omitempty"` // recent denials of the same action or shape
	Risk      *policy.Risk `json:",omitempty"`
}

// Why a plan can't be asked for, or part of one not be answered.
var (
	ErrTwice = errors.New("the same action stands in the plan twice, and each is used once: ask for the second by itself")
	ErrPart  = errors.New("it is one item of a plan: all of the plan is answered, or none")
)

// An ItemError says which item of a plan it is about.
type ItemError struct {
	Item int // from 1
	Err  error
}

func (e *ItemError) Error() string { return fmt.Sprintf("item %d: %v", e.Item, e.Err) }

// Unwrap is what is wrong with the item.
func (e *ItemError) Unwrap() error { return e.Err }

// Waiting says that people have not decided yet.
func (a *Approval) Waiting() bool { return a.State == Pending || a.State == Planned }

// Places are the resources that a is about.
func (a *Approval) Places() []string {
	if len(a.Items) == 0 {
		return []string{a.Resource.URN}
	}
	var out []string
	for i := range a.Items {
		if urn := a.Items[i].Resource.URN; !slices.Contains(out, urn) {
			out = append(out, urn)
		}
	}
	return out
}

// planDigest is what a review of a plan is bound to: every item, their order and their number.
func planDigest(salt action.Salt, items []Item) action.Digest {
	digests := make([][32]byte, len(items))
	for i := range items {
		digests[i] = items[i].Digest
	}
	return evidence.PlanDigest(salt, digests)
}

// AskPlan holds several actions of one asker until people decide about all of them
// at once. The same plan asked again finds the one that is pending or approved. An
// *ItemError names the item that is wrong; then nothing is held.
func (e *Engine) AskPlan(ctx context.Context, qs []*Question) (a *Approval, existing bool, err error) {
	fresh, items, err := e.holdPlan(qs)
	if err != nil {
		return nil, false, fmt.Errorf("asking for approval of a plan: %w", err)
	}
	err = e.update(ctx, fresh.ID, func(tx Tx) ([]Event, error) {
		if err := tx.Soon(ctx, func(tx Tx) {
			for _, part := range append([]*Approval{fresh}, items...) {
				e.foresee(ctx, tx, part)
			}
		}); err != nil {
			return nil, err
		}
		found, err := e.find(ctx, tx, fresh)
		if err != nil {
			return nil, err
		}
		if found != nil {
			a, existing = found, true
			return e.again(ctx, tx, found, &Question{})
		}
		a, existing = fresh, false
		return []Event{fresh.event()}, e.createPlan(ctx, tx, fresh, items, qs)
	})
	if err != nil {
		return nil, false, fmt.Errorf("asking for approval of a plan: %w", err)
	}
	e.poke()
	return a, existing, nil
}

// holdPlan makes the approvals of a plan and of its items, not yet stored.
func (e *Engine) holdPlan(qs []*Question) (*Approval, []*Approval, error) {
	if len(qs) == 0 || len(qs) > MaxItems {
		return nil, nil, fmt.Errorf("a plan has 1 to %d items, this one has %d", MaxItems, len(qs))
	}
	items, seen := make([]*Approval, 0, len(qs)), map[string]bool{}
	for i, q := range qs {
		item, err := e.hold(q)
		switch {
		case err != nil:
		case i > 0 && (!sameAsker(&q.Asker, &qs[0].Asker) || q.Gate != qs[0].Gate):
			err = ErrNotAsker
		case seen[item.Match]:
			err = ErrTwice
		}
		if err != nil {
			return nil, nil, &ItemError{Item: i + 1, Err: err}
		}
		seen[item.Match] = true
		items = append(items, item)
	}
	return e.whole(items), items, nil
}

// whole is the card of a plan: of everything that its items are, the gravest.
func (e *Engine) whole(items []*Approval) *Approval {
	first := items[0]
	a := &Approval{
		ID: newID("apr_"), Version: 1, Revision: 1, State: Pending, Salt: action.NewSalt(),
		Created: first.Created, Expires: first.Expires, Window: first.Window, Asker: first.Asker,
		Verb: "plan", Title: fmt.Sprintf("plan of %d actions", len(items)),
		Resource: first.Resource, Data: action.Data{ClassesKnown: true, Rows: action.KnownCount(0), Bytes: action.KnownCount(0)},
		Claims: first.Claims, Policy: first.Policy, Gate: first.Gate,
	}
	if len(items) == 1 {
		a.Title = "plan of 1 action"
	}
	match := hmac.New(sha256.New, e.o.MatchKey)
	match.Write([]byte("assent-plan/1\x00"))
	var reasons []string
	for i, item := range items {
		item.State, item.Plan, item.Position = Planned, a.ID, i+1
		match.Write([]byte(item.Match + "\n"))
		if item.Expires.Before(a.Expires) {
			a.Expires = item.Expires
		}
		a.Window = min(a.Window, item.Window)
		a.take(item)
		if r := item.Reason; r != "" && !slices.Contains(reasons, r) {
			reasons = append(reasons, r)
		}
		a.Items = append(a.Items, Item{
			Approval: item.ID, Digest: item.Digest, Kinds: item.Kinds, Verb: item.Verb, Target: item.Target, Title: item.Title,
			Statement: item.Statement, Masked: item.Masked, Resource: item.Resource, Data: item.Data,
			Masks: item.Masks, RowLimit: item.RowLimit, Preview: item.Preview, Reason: item.Reason, Risk: item.Risk,
		})
	}
	for _, item := range items {
		item.Created, item.Expires, item.Window = a.Created, a.Expires, a.Window
	}
	a.Reason = strings.Join(reasons, "; ")
	a.Match = fmt.Sprintf("%x", match.Sum(nil))
	a.Digest = planDigest(a.Salt, a.Items)
	return a
}

// take adds an item to what a plan says of itself.
func (a *Approval) take(item *Approval) {
	a.Kinds = union(a.Kinds, item.Kinds)
	slices.Sort(a.Kinds)
	a.Show = union(a.Show, item.Show)
	a.Lead = a.Lead.with(item.Lead)
	for i := range item.Requirements {
		r := &item.Requirements[i]
		if !slices.ContainsFunc(a.Requirements, func(o policy.Requirement) bool { return sameAsk(&o, r) }) {
			a.Requirements = append(a.Requirements, *r)
		}
	}
	for _, h := range item.Rules {
		if !slices.ContainsFunc(a.Rules, func(o policy.Hit) bool { return o.Rule == h.Rule && o.Pack == h.Pack && o.Then == h.Then }) {
			a.Rules = append(a.Rules, h)
		}
	}
	a.OpenTransaction = a.OpenTransaction || item.OpenTransaction
	sum(&a.Data, &item.Data)
	if a.Resource.URN != item.Resource.URN {
		a.Resource.Type, a.Resource.URN, a.Resource.Labels = "plan", "plan:several", nil
	}
	if env := item.Resource.Env; a.Resource.Env == "" || env == "prod" || env == "production" {
		a.Resource.Env = env
	}
}

// sameAsk says that two requirements ask the same of people.
func sameAsk(a, b *policy.Requirement) bool {
	x, y := *a, *b
	x.Reason, y.Reason = "", ""
	return reflect.DeepEqual(x, y)
}

func union[T comparable](a, b []T) []T {
	out := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// add counts both; what is unknown of one is unknown of the sum.
func add(a, b action.Count) action.Count {
	if !a.Known || !b.Known {
		return action.Count{}
	}
	return action.KnownCount(a.N + b.N)
}

// sum adds what is known of one more item's data.
func sum(d, of *action.Data) {
	d.Rows, d.Bytes = add(d.Rows, of.Rows), add(d.Bytes, of.Bytes)
	d.Classes, d.Groups = union(d.Classes, of.Classes), union(d.Groups, of.Groups)
	slices.Sort(d.Classes)
	slices.Sort(d.Groups)
	d.ClassesKnown = d.ClassesKnown && of.ClassesKnown
	d.Unscanned, d.Inferred = d.Unscanned || of.Unscanned, d.Inferred || of.Inferred
	d.Computed, d.Aggregated = d.Computed || of.Computed, d.Aggregated || of.Aggregated
	for class, n := range of.Findings {
		if d.Findings == nil {
			d.Findings = map[string]int64{}
		}
		d.Findings[class] += n
	}
	if d.DestinationTrust == "" || of.DestinationTrust == "external" {
		d.Destination, d.DestinationTrust = of.Destination, of.DestinationTrust
	}
}

// createPlan stores a plan with its items. All of it is there, or nothing.
func (e *Engine) createPlan(ctx context.Context, tx Tx, a *Approval, items []*Approval, qs []*Question) error {
	for i, item := range items {
		if err := e.pastOf(ctx, tx, a, item); err != nil {
			return &ItemError{Item: i + 1, Err: err}
		}
		a.Items[i].Repeats = item.Repeats
	}
	if err := e.create(ctx, tx, a, &Question{Record: planRecord(a)}, items...); err != nil {
		return err
	}
	for i, item := range items {
		item.Excluded = a.Excluded
		if stop, err := e.stopped(ctx, tx, item); err != nil {
			return err
		} else if stop != nil {
			return &ItemError{Item: i + 1, Err: stop}
		}
		row, err := e.seal(item)
		if err != nil {
			return err
		}
		if err := tx.InsertApproval(ctx, row); err != nil {
			return err
		}
		if err := e.o.Log.Append(ctx, tx, ofPlan(requestRecord(item, qs[i]), item)); err != nil {
			return err
		}
	}
	return nil
}

// pastOf notes the recent denials of an item: they count for all of the plan.
func (e *Engine) pastOf(ctx context.Context, tx Tx, a, item *Approval) error {
	if err := e.denials(ctx, tx, item); err != nil {
		return err
	}
	a.Repeats = max(a.Repeats, item.Repeats)
	if d := item.Denial; d != nil && (a.Denial == nil || d.Time.After(a.Denial.Time)) {
		a.Denial = d
	}
	return nil
}

// planRecord lists what a plan binds, so that its digest can be computed from the log.
func planRecord(a *Approval) *audit.Record {
	return &audit.Record{Type: audit.TypeRequest, Decision: policy.Review.String(), Detail: a.bound()}
}

// bound is what the digest of a plan is made of.
func (a *Approval) bound() map[string]string {
	items := make([]string, len(a.Items))
	for i := range a.Items {
		items[i] = a.Items[i].Approval + " " + a.Items[i].Digest.String()
	}
	return map[string]string{"plan_salt": hex.EncodeToString(a.Salt[:]), "plan_items": strings.Join(items, "\n")}
}

// ofPlan says in an item's record where it belongs.
func ofPlan(r *audit.Record, item *Approval) *audit.Record {
	if item.Plan != "" {
		if r.Detail == nil {
			r.Detail = map[string]string{}
		}
		r.Detail["plan"], r.Detail["plan_item"] = item.Plan, strconv.Itoa(item.Position)
	}
	return r
}
