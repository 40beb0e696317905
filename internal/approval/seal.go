package approval

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
)

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

func newID(prefix string) string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (Go 1.24)
	for i := range b {
		b[i] = crockford[b[i]&31]
	}
	return prefix + string(b)
}

// mac seals body. The label keeps a row of one table from passing as one of another.
func (e *Engine) mac(label string, body []byte) []byte { return seal(e.o.SealKey, label, body) }

func seal(key []byte, label string, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(label + "\x00"))
	h.Write(body)
	return h.Sum(nil)
}

const (
	sealApproval = "assent-approval/1"
	sealReview   = "assent-review/1"
	sealRelation = "assent-relation/1"
)

// due is when something has to happen to a by itself; zero: never.
func (a *Approval) due() time.Time {
	if a.Plan != "" {
		return time.Time{} // it ends with its plan
	}
	next := a.ends()
	if a.State == Pending {
		for _, s := range a.Steps {
			if s.Done.IsZero() && s.At.Before(next) {
				next = s.At
			}
		}
	}
	return next
}

// ends is when a has to leave its state by itself; zero: never.
func (a *Approval) ends() time.Time {
	switch a.State {
	case Pending, Planned:
		return a.Expires
	case Approved:
		return a.Decided.Add(a.Window)
	}
	return time.Time{}
}

func (a *Approval) actor() string { return a.Asker.Chain[0].ID }

// behind is the person whom the action is for, or else who owns its actor.
func (a *Approval) behind() string {
	if a.Asker.Subject.ID != "" {
		return a.Asker.Subject.ID
	}
	return a.Asker.Chain[0].Owner
}

func (e *Engine) seal(a *Approval) (Row, error) {
	body, err := json.Marshal(a)
	if err != nil {
		return Row{}, fmt.Errorf("sealing approval %s: %w", a.ID, err)
	}
	r := a.columns()
	r.Body, r.MAC = body, e.mac(sealApproval, body)
	return r, nil
}

func (a *Approval) columns() Row {
	return Row{
		ID: a.ID, Revision: a.Revision, State: a.State, Match: a.Match, Shape: a.Shape,
		Actor: a.actor(), Credential: a.Asker.Credential, Person: a.behind(),
		Created: a.Created, Decided: a.Decided, Due: a.due(),
	}
}

// unseal believes a row only whole: a good MAC over the body, and columns that say the same.
func (e *Engine) unseal(r Row) (*Approval, error) { return unseal(e.o.SealKey, r) }

func unseal(key []byte, r Row) (*Approval, error) {
	if !hmac.Equal(r.MAC, seal(key, sealApproval, r.Body)) {
		return nil, fmt.Errorf("approval %s: %w", r.ID, ErrTampered)
	}
	var a Approval
	if err := json.Unmarshal(r.Body, &a); err != nil || len(a.Asker.Chain) == 0 {
		return nil, fmt.Errorf("approval %s has no readable body: %w", r.ID, ErrTampered)
	}
	if !a.columns().same(r) {
		return nil, fmt.Errorf("approval %s: columns differ from the body: %w", r.ID, ErrTampered)
	}
	return &a, nil
}

func (r Row) same(o Row) bool {
	return r.ID == o.ID && r.Revision == o.Revision && r.State == o.State && r.Match == o.Match &&
		r.Shape == o.Shape && r.Actor == o.Actor && r.Credential == o.Credential && r.Person == o.Person &&
		r.Created.Equal(o.Created) && r.Decided.Equal(o.Decided) && r.Due.Equal(o.Due)
}

// load reads an approval with its reviews, all seals checked.
func (e *Engine) load(ctx context.Context, tx Tx, id string) (*Approval, error) {
	row, err := tx.ApprovalByID(ctx, id)
	if err != nil {
		return nil, err
	}
	return e.open(ctx, tx, row)
}

func (e *Engine) open(ctx context.Context, tx Tx, row Row) (*Approval, error) {
	reviews, err := tx.ReviewsOf(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	return e.openWith(ctx, tx, row, reviews)
}

// reviewsOf reads the reviews of many approvals at once.
func reviewsOf(ctx context.Context, tx Tx, rows []Row) (map[string][]ReviewRow, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	found, err := tx.ReviewsOf(ctx, ids...)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]ReviewRow, len(found))
	for _, r := range found {
		out[r.Approval] = append(out[r.Approval], r)
	}
	return out, nil
}

// openWith is open with the reviews of the row.
func (e *Engine) openWith(ctx context.Context, tx Tx, row Row, reviews []ReviewRow) (*Approval, error) {
	a, err := e.unseal(row)
	if err != nil {
		return nil, err
	}
	for _, row := range reviews {
		r, err := e.unsealReview(row)
		if err != nil {
			return nil, err
		}
		if r.Approval != a.ID || r.Digest != a.Digest {
			return nil, fmt.Errorf("review %s is of another action: %w", r.ID, ErrTampered)
		}
		if err := e.prove(ctx, tx, a, r); err != nil {
			return nil, err
		}
		a.Reviews = append(a.Reviews, *r)
	}
	return a, nil
}

// save writes a over the row it was read from.
func (e *Engine) save(ctx context.Context, tx Tx, a *Approval, from State) error {
	a.Revision++
	row, err := e.seal(a)
	if err != nil {
		return err
	}
	return tx.SwapApproval(ctx, from, a.Revision-1, row)
}

func (e *Engine) sealReview(r *Review) (ReviewRow, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return ReviewRow{}, fmt.Errorf("sealing review %s: %w", r.ID, err)
	}
	r.MAC = e.mac(sealReview, body)
	return ReviewRow{ID: r.ID, Approval: r.Approval, Person: r.Person, Body: body, MAC: r.MAC}, nil
}

func (e *Engine) unsealReview(row ReviewRow) (*Review, error) { return unsealReview(e.o.SealKey, row) }

func unsealReview(key []byte, row ReviewRow) (*Review, error) {
	if !hmac.Equal(row.MAC, seal(key, sealReview, row.Body)) {
		return nil, fmt.Errorf("review %s: %w", row.ID, ErrTampered)
	}
	var r Review
	if err := json.Unmarshal(row.Body, &r); err != nil {
		return nil, fmt.Errorf("review %s has no readable body: %w", row.ID, ErrTampered)
	}
	if r.ID != row.ID || r.Approval != row.Approval || r.Person != row.Person {
		return nil, fmt.Errorf("review %s: columns differ from the body: %w", row.ID, ErrTampered)
	}
	r.MAC = row.MAC
	return &r, nil
}

func (e *Engine) sealRelation(r RelationRow) []byte {
	return RelationMAC(e.o.SealKey, r.Actor, r.Person, r.Why, r.Seen.UnixMicro())
}
