package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
)

type stateOf = approval.State

const executing = approval.Executing

const approvalColumns = "id, revision, state, match, shape, actor, credential, person, created, decided, due, body, mac"

func approvalArgs(r *approval.Row) []any {
	return []any{
		raw(r.ID), r.Revision, raw(r.State), raw(r.Match), raw(r.Shape), raw(r.Actor), raw(r.Credential), raw(r.Person),
		micros(r.Created), micros(r.Decided), micros(r.Due), blob(r.Body), blob(r.MAC),
	}
}

// blob is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// InsertApproval implements approval.Approvals.
func (tx *Tx) InsertApproval(_ context.Context, r approval.Row) error {
	tx.wrote(approvals)
	n, err := int64(0), short(r.ID, r.Match, r.Shape, r.Actor, r.Person)
	if err == nil {
		n, err = tx.exec("INSERT INTO approval ("+approvalColumns+
			") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING", approvalArgs(&r)...)
	}
	if err == nil && n != 1 {
		err = errors.New("there is one")
	}
	if err != nil {
		return fmt.Errorf("storing approval %s: %w", r.ID, err)
	}
	return nil
}

// SwapApproval implements approval.Approvals.
func (tx *Tx) SwapApproval(_ context.Context, from approval.State, revision int64, r approval.Row) error {
	tx.wrote(approvals)
	n, err := int64(1), short(r.Match, r.Shape, r.Actor, r.Person)
	args := append(approvalArgs(&r), raw(from), revision)
	at, sure := tx.known.approvals[r.ID]
	switch {
	case err != nil:
	case sure && at != version{from, revision}:
		n = 0
	case sure:
		err = tx.later(once(swapApproval), args...)
	default:
		n, err = tx.exec(swapApproval, args...)
	}
	if err != nil {
		return fmt.Errorf("storing approval %s: %w", r.ID, err)
	}
	if n != 1 {
		return approval.ErrConflict
	}
	tx.saw([]approval.Row{r})
	return nil
}

const swapApproval = `UPDATE approval SET revision = $2, state = $3, match = $4, shape = $5, actor = $6, credential = $7, person = $8,
	created = $9, decided = $10, due = $11, body = $12, mac = $13 WHERE id = $1 AND state = $14 AND revision = $15`

func (tx *Tx) approvals(tail string, args ...any) (out []approval.Row, err error) {
	err = tx.ask(approvalsQuestion(&out, tail, args...))
	tx.saw(out)
	return out, err
}

// saw remembers at which version rows are.
func (tx *Tx) saw(rows []approval.Row) {
	for i := range rows {
		tx.known.approvals[rows[i].ID] = version{rows[i].State, rows[i].Revision}
	}
}

func approvalsQuestion(out *[]approval.Row, tail string, args ...any) question {
	return question{approvals, "SELECT " + approvalColumns + " FROM approval" + tail, args, func(rows pgx.Row) error {
		var r approval.Row
		var created, decided, due int64
		err := rows.Scan(str(&r.ID), &r.Revision, str((*string)(&r.State)), str(&r.Match), str(&r.Shape), str(&r.Actor), str(&r.Credential), str(&r.Person),
			&created, &decided, &due, &r.Body, &r.MAC)
		r.Created, r.Decided, r.Due = fromMicros(created), fromMicros(decided), fromMicros(due)
		*out = append(*out, r)
		return err
	}}
}

// ApprovalByID implements approval.Approvals. The reviews come along, and in a
// transaction that writes what the log says of it.
func (tx *Tx) ApprovalByID(_ context.Context, id string) (approval.Row, error) {
	var rows []approval.Row
	q := approvalsQuestion(&rows, " WHERE id = $1", raw(id))
	next := []question{q, reviewsQuestion(nil, []string{id})}
	if tx.writes {
		next = append(next, leavesQuestion(nil, becameOf, column(id), raws(becameTypes)))
	}
	err := tx.along(next...)
	if err == nil {
		err = tx.ask(q)
	}
	if err != nil {
		return approval.Row{}, fmt.Errorf("reading approval %s: %w", id, err)
	}
	if len(rows) == 0 {
		return approval.Row{}, approval.ErrNotFound
	}
	tx.saw(rows)
	return rows[0], nil
}

// ListApprovals implements approval.Approvals.
func (tx *Tx) ListApprovals(_ context.Context, s approval.Selection) ([]approval.Row, error) {
	var w where
	if len(s.States) == 1 { // so that an index gives the order
		w.add("state = $?", raw(s.States[0]))
	} else if len(s.States) > 1 {
		w.add("state = ANY($?)", raws(s.States))
	}
	for _, c := range []struct{ column, to string }{{"actor", s.Actor}, {"match", s.Match}, {"shape", s.Shape}} {
		if c.to != "" {
			w.add(c.column+" = $?", raw(c.to))
		}
	}
	if !s.Created.IsZero() {
		w.add("created >= $?", micros(s.Created))
	}
	if !s.Decided.IsZero() {
		w.add("decided >= $?", micros(s.Decided))
	}
	if !s.Due.IsZero() {
		w.add("due > 0 AND due <= $?", micros(s.Due))
	}
	if s.Behind != (approval.Place{}) {
		w.add("(created, id) < ($?, ", micros(s.Behind.Created))
		w.extend("$?)", raw(s.Behind.ID))
	}
	order := " ORDER BY created DESC, id DESC"
	if s.SoonestFirst {
		order = " ORDER BY due, id"
	}
	rows, err := tx.approvals(w.String()+order+w.limit(s.Limit), w.args...)
	if err != nil {
		return nil, fmt.Errorf("listing approvals: %w", err)
	}
	return rows, nil
}

// CountPending implements approval.Approvals.
func (tx *Tx) CountPending(_ context.Context, actor string) (n int, err error) {
	query, args := "SELECT count(*) FROM approval WHERE state = 'pending'", []any(nil)
	if actor != "" {
		query, args = query+" AND actor = $1", []any{raw(actor)}
	}
	if _, err = tx.oneOf(approvals, query, args, &n); err != nil {
		return 0, fmt.Errorf("counting pending approvals: %w", err)
	}
	return n, nil
}

// PendingOf implements approval.Approvals.
func (tx *Tx) PendingOf(_ context.Context, person string) (n int, bytes int64, err error) {
	_, err = tx.oneOf(approvals, "SELECT count(*) FILTER (WHERE state = 'pending'), coalesce(sum(length(body)), 0)::bigint FROM approval WHERE state IN ('pending', 'planned') AND person = $1",
		[]any{raw(person)}, &n, &bytes)
	if err != nil {
		return 0, 0, fmt.Errorf("counting what waits for %s: %w", person, err)
	}
	return n, bytes, nil
}

// InsertReview implements approval.Reviews.
func (tx *Tx) InsertReview(_ context.Context, r approval.ReviewRow) error {
	tx.wrote(reviews)
	n, err := int64(1), short(r.ID, r.Approval, r.Person)
	args := []any{raw(r.ID), raw(r.Approval), raw(r.Person), blob(r.Body), blob(r.MAC)}
	those, sure := tx.known.reviewers[r.Approval]
	switch {
	case err != nil:
	case sure && those[r.Person]:
		n = 0
	case sure:
		err = tx.later(insertReview, args...)
		those[r.Person] = true
	default:
		n, err = tx.exec(insertReview+" ON CONFLICT DO NOTHING", args...)
	}
	if err == nil && n != 1 {
		err = errors.New("there is one of this person, or of this id")
	}
	if err != nil {
		return fmt.Errorf("storing review %s: %w", r.ID, err)
	}
	return nil
}

const insertReview = "INSERT INTO review (id, approval, person, body, mac) VALUES ($1, $2, $3, $4, $5)"

// ReviewsOf implements approval.Reviews; the reviews come in the order they were made.
func (tx *Tx) ReviewsOf(_ context.Context, ids ...string) (out []approval.ReviewRow, err error) {
	if err := tx.ask(reviewsQuestion(&out, ids)); err != nil {
		return nil, fmt.Errorf("reading reviews of %s: %w", strings.Join(ids, ", "), err)
	}
	if tx.foreseen != nil {
		return nil, nil
	}
	for _, id := range ids {
		tx.known.reviewers[id] = map[string]bool{}
	}
	for i := range out {
		tx.known.reviewers[out[i].Approval][out[i].Person] = true
	}
	return out, nil
}

func reviewsQuestion(out *[]approval.ReviewRow, ids []string) question {
	return question{reviews, "SELECT id, approval, person, body, mac FROM review WHERE approval = ANY($1) ORDER BY n", []any{raws(ids)}, func(rows pgx.Row) error {
		var r approval.ReviewRow
		err := rows.Scan(str(&r.ID), str(&r.Approval), str(&r.Person), &r.Body, &r.MAC)
		*out = append(*out, r)
		return err
	}}
}

// PutRelation implements approval.Reviews.
func (tx *Tx) PutRelation(_ context.Context, r approval.RelationRow) error {
	tx.wrote(relations)
	err := short(r.Actor, r.Person, r.Why)
	if err == nil {
		err = tx.later(`INSERT INTO relation (actor, person, why, seen, mac) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (actor, person, why) DO UPDATE SET seen = excluded.seen, mac = excluded.mac`,
			raw(r.Actor), raw(r.Person), raw(r.Why), micros(r.Seen), blob(r.MAC))
	}
	if err != nil {
		return fmt.Errorf("storing a relation of %s: %w", r.Actor, err)
	}
	return nil
}

// RelationsOf implements approval.Reviews.
func (tx *Tx) RelationsOf(_ context.Context, actor string, since time.Time) (out []approval.RelationRow, err error) {
	err = tx.ask(question{
		relations, "SELECT actor, person, why, seen, mac FROM relation WHERE actor = $1 AND seen >= $2",
		[]any{raw(actor), micros(since)},
		func(rows pgx.Row) error {
			var r approval.RelationRow
			var seen int64
			err := rows.Scan(str(&r.Actor), str(&r.Person), str(&r.Why), &seen, &r.MAC)
			r.Seen = fromMicros(seen)
			out = append(out, r)
			return err
		},
	})
	if err != nil {
		return nil, fmt.Errorf("reading relations of %s: %w", actor, err)
	}
	return out, nil
}

// PutToken implements identity.TokenTx.
func (tx *Tx) PutToken(_ context.Context, r identity.TokenRow) error {
	err := short(r.ID, r.User)
	if err == nil {
		err = tx.later(`INSERT INTO token (id, user_name, body, mac) VALUES ($1, $2, $3, $4)
			ON CONFLICT (id) DO UPDATE SET user_name = excluded.user_name, body = excluded.body, mac = excluded.mac`,
			raw(r.ID), raw(r.User), blob(r.Body), blob(r.MAC))
	}
	if err != nil {
		return fmt.Errorf("storing token %s: %w", r.ID, err)
	}
	return nil
}

// TokenByID implements identity.TokenTx.
func (tx *Tx) TokenByID(_ context.Context, id string) (identity.TokenRow, error) {
	rows, err := tx.tokens(" WHERE id = $1", raw(id))
	if err == nil && len(rows) == 0 {
		return identity.TokenRow{}, identity.ErrNoToken
	}
	if err != nil {
		return identity.TokenRow{}, err
	}
	return rows[0], nil
}

// TokensByUser implements identity.TokenTx.
func (tx *Tx) TokensByUser(_ context.Context, user string) ([]identity.TokenRow, error) {
	return tx.tokens(" WHERE user_name = $1", raw(user))
}

// ListTokens implements identity.TokenTx.
func (tx *Tx) ListTokens(context.Context) ([]identity.TokenRow, error) { return tx.tokens("") }

func (tx *Tx) tokens(cond string, args ...any) (out []identity.TokenRow, err error) {
	err = tx.query("SELECT id, user_name, body, mac FROM token"+cond+" ORDER BY n", args, func(rows pgx.Row) error {
		var r identity.TokenRow
		err := rows.Scan(str(&r.ID), str(&r.User), &r.Body, &r.MAC)
		out = append(out, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading tokens: %w", err)
	}
	return out, nil
}

// PutSealed implements sealed.Rows.
func (tx *Tx) PutSealed(_ context.Context, r sealed.Row, from int64) error {
	tx.wrote(sealeds)
	n, err := int64(1), short(r.Kind, r.ID, r.Key)
	args := []any{raw(r.Kind), raw(r.ID), r.Revision, raw(r.Key), micros(r.Due), blob(r.Body), blob(r.MAC)}
	at, sure := tx.known.sealed[r.About()]
	switch {
	case err != nil:
	case sure && at != from:
		n = 0
	case sure && from == 0:
		err = tx.later(insertSealed, args...)
	case sure:
		err = tx.later(once(swapSealed), append(args, from)...)
	case from == 0:
		n, err = tx.exec(insertSealed+" ON CONFLICT DO NOTHING", args...)
	default:
		n, err = tx.exec(swapSealed, append(args, from)...)
	}
	if err != nil {
		return fmt.Errorf("storing %s: %w", r.About(), err)
	}
	if n != 1 {
		return sealed.ErrConflict
	}
	tx.known.sealed[r.About()] = r.Revision
	return nil
}

const (
	insertSealed = "INSERT INTO sealed (kind, id, revision, key, due, body, mac) VALUES ($1, $2, $3, $4, $5, $6, $7)"
	swapSealed   = "UPDATE sealed SET revision = $3, key = $4, due = $5, body = $6, mac = $7 WHERE kind = $1 AND id = $2 AND revision = $8"
)

// SealedByID implements sealed.Rows. What the log says of its revision comes along.
func (tx *Tx) SealedByID(_ context.Context, kind, id string) (sealed.Row, error) {
	q := sealedQuestion(nil, " WHERE kind = $1 AND id = $2", raw(kind), raw(id))
	err := tx.along(q, question{of: records, query: revisionOf, args: []any{column(kind + "/" + id)}})
	var rows []sealed.Row
	if err == nil {
		rows, err = tx.sealed(" WHERE kind = $1 AND id = $2", raw(kind), raw(id))
	}
	if err != nil {
		return sealed.Row{}, fmt.Errorf("reading %s/%s: %w", kind, id, err)
	}
	if tx.foreseen != nil {
		return sealed.Row{}, sealed.ErrNotFound
	}
	about := sealed.Row{Kind: kind, ID: id}
	if len(rows) == 0 {
		tx.known.sealed[about.About()] = 0
		return sealed.Row{}, sealed.ErrNotFound
	}
	tx.known.sealed[about.About()] = rows[0].Revision
	return rows[0], nil
}

// ListSealed implements sealed.Rows.
func (tx *Tx) ListSealed(_ context.Context, s sealed.Selection) ([]sealed.Row, error) {
	var w where
	w.add("kind = $?", raw(s.Kind))
	if s.Key != "" {
		w.add("key = $? AND key <> ''", raw(s.Key))
	}
	if !s.Due.IsZero() {
		w.add("due > 0 AND due <= $?", micros(s.Due))
	}
	if s.After != "" {
		w.add("id > $?", raw(s.After))
	}
	rows, err := tx.sealed(w.String()+" ORDER BY id"+w.limit(s.Limit), w.args...)
	if err != nil {
		return nil, fmt.Errorf("listing sealed rows of kind %s: %w", s.Kind, err)
	}
	return rows, nil
}

func (tx *Tx) sealed(tail string, args ...any) (out []sealed.Row, err error) {
	err = tx.ask(sealedQuestion(&out, tail, args...))
	return out, err
}

func sealedQuestion(out *[]sealed.Row, tail string, args ...any) question {
	return question{sealeds, "SELECT kind, id, revision, key, due, body, mac FROM sealed" + tail, args, func(rows pgx.Row) error {
		var r sealed.Row
		var due int64
		err := rows.Scan(str(&r.Kind), str(&r.ID), &r.Revision, str(&r.Key), &due, &r.Body, &r.MAC)
		r.Due = fromMicros(due)
		*out = append(*out, r)
		return err
	}}
}
