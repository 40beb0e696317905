package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

// A Tx is one transaction. It implements what the log, the approvals and the
// credentials ask of it, and must not be kept.
type Tx struct{ *statements }

// exec runs a statement without rows. Neither it nor query passes on the end
// of the caller's context: an interrupted write makes SQLite roll back the whole
// group, and an interrupted read could cost the pool its connection.
func (tx *Tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx = context.WithoutCancel(ctx)
	st, err := tx.statement(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// query calls scan for each row.
func (tx *Tx) query(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) (err error) {
	ctx = context.WithoutCancel(ctx)
	st, err := tx.statement(ctx, query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// one reads a single row into dest; found is false when there is none.
func (tx *Tx) one(ctx context.Context, query string, args []any, dest ...any) (found bool, err error) {
	err = tx.query(ctx, query, args, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(dest...)
	})
	return found, err
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// Head implements audit.Tx.
func (tx *Tx) Head(ctx context.Context) (h audit.Head, err error) {
	var root []byte
	var last int64
	found, err := tx.one(ctx, "SELECT size, root, last FROM log_head WHERE one = 1", nil, &h.Size, &root, &last)
	if err != nil {
		return h, fmt.Errorf("reading the log's head: %w", err)
	}
	if found && (len(root) != len(h.Root) || h.Size < 1) {
		return h, errors.New("reading the log's head: it has no root")
	}
	copy(h.Root[:], root)
	h.Last = fromMicros(last)
	return h, nil
}

// SwapHead implements audit.Tx.
func (tx *Tx) SwapHead(ctx context.Context, old, next audit.Head) error {
	query := "UPDATE log_head SET size = $1, root = $2, last = $3 WHERE one = 1 AND size = $4"
	args := []any{next.Size, next.Root[:], micros(next.Last), old.Size}
	if old.Size == 0 {
		query, args = "INSERT INTO log_head (one, size, root, last) VALUES (1, $1, $2, $3)", args[:3]
	}
	n, err := tx.exec(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("moving the log's head: %w", err)
	}
	if n != 1 {
		return fmt.Errorf("moving the log's head: it is not at %d", old.Size)
	}
	return nil
}

// InsertRecord implements audit.Tx.
func (tx *Tx) InsertRecord(ctx context.Context, index int64, leaf []byte, r *audit.Record) error {
	_, err := tx.exec(ctx, `INSERT INTO log_record (idx, time, type, actor, person, approval, resource, session, kinds, about, revision, leaf)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		index, micros(r.Time), r.Type, r.Actor, r.Person, r.Approval, r.Resource, r.Session, audit.KindsColumn(r.Kinds), r.About, r.Revision, leaf)
	if err != nil {
		return fmt.Errorf("storing record %d: %w", index, err)
	}
	return nil
}

// Tile implements audit.Tx.
func (tx *Tx) Tile(ctx context.Context, level int, n int64) (hashes []byte, err error) {
	_, err = tx.one(ctx, "SELECT hashes FROM log_tile WHERE level = $1 AND n = $2", []any{level, n}, &hashes)
	if err != nil {
		return nil, fmt.Errorf("reading tile %d/%d: %w", level, n, err)
	}
	return hashes, nil
}

// PutTile implements audit.Tx.
func (tx *Tx) PutTile(ctx context.Context, level int, n int64, hashes []byte) error {
	_, err := tx.exec(ctx, `INSERT INTO log_tile (level, n, hashes) VALUES ($1, $2, $3)
		ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes`, level, n, hashes)
	if err != nil {
		return fmt.Errorf("storing tile %d/%d: %w", level, n, err)
	}
	return nil
}

const approvalColumns = "id, revision, state, match, shape, actor, credential, created, decided, due, body, mac, person"

func approvalArgs(r *approval.Row) []any {
	return []any{
		r.ID, r.Revision, string(r.State), r.Match, r.Shape, r.Actor, r.Credential,
		micros(r.Created), micros(r.Decided), micros(r.Due), r.Body, r.MAC, r.Person,
	}
}

// InsertApproval implements approval.Approvals.
func (tx *Tx) InsertApproval(ctx context.Context, r approval.Row) error {
	_, err := tx.exec(ctx, "INSERT INTO approval ("+approvalColumns+
		") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)", approvalArgs(&r)...)
	if err != nil {
		return fmt.Errorf("storing approval %s: %w", r.ID, err)
	}
	return nil
}

// SwapApproval implements approval.Approvals.
func (tx *Tx) SwapApproval(ctx context.Context, from approval.State, revision int64, r approval.Row) error {
	n, err := tx.exec(ctx, `UPDATE approval SET revision = $2, state = $3, match = $4, shape = $5, actor = $6, credential = $7,
		created = $8, decided = $9, due = $10, body = $11, mac = $12, person = $13 WHERE id = $1 AND state = $14 AND revision = $15`,
		append(approvalArgs(&r), string(from), revision)...)
	if err != nil {
		return fmt.Errorf("storing approval %s: %w", r.ID, err)
	}
	if n != 1 {
		return approval.ErrConflict
	}
	return nil
}

func scanApproval(rows *sql.Rows) (r approval.Row, err error) {
	var created, decided, due int64
	err = rows.Scan(&r.ID, &r.Revision, &r.State, &r.Match, &r.Shape, &r.Actor, &r.Credential,
		&created, &decided, &due, &r.Body, &r.MAC, &r.Person)
	r.Created, r.Decided, r.Due = fromMicros(created), fromMicros(decided), fromMicros(due)
	return r, err
}

// ApprovalByID implements approval.Approvals.
func (tx *Tx) ApprovalByID(ctx context.Context, id string) (r approval.Row, err error) {
	err = tx.query(ctx, "SELECT "+approvalColumns+" FROM approval WHERE id = $1", []any{id}, func(rows *sql.Rows) (err error) {
		r, err = scanApproval(rows)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("reading approval %s: %w", id, err)
	}
	if r.ID == "" {
		return r, approval.ErrNotFound
	}
	return r, nil
}

// ListApprovals implements approval.Approvals.
func (tx *Tx) ListApprovals(ctx context.Context, s approval.Selection) (out []approval.Row, err error) {
	var w where
	if len(s.States) > 0 {
		states := make([]any, len(s.States))
		for i, st := range s.States {
			states[i] = string(st)
		}
		w.in("state", states)
	}
	w.equal("actor", s.Actor)
	w.equal("match", s.Match)
	w.equal("shape", s.Shape)
	w.since("created", s.Created)
	w.since("decided", s.Decided)
	if !s.Due.IsZero() {
		w.add("due > 0 AND due <= ?", micros(s.Due))
	}
	if s.Behind != (approval.Place{}) {
		w.add("(created, id) < (?, ?)", micros(s.Behind.Created), s.Behind.ID)
	}
	order := " ORDER BY created DESC, id DESC"
	if s.SoonestFirst {
		order = " ORDER BY due, id"
	}
	query := "SELECT " + approvalColumns + " FROM approval" + w.String() + order + w.limit(s.Limit)
	err = tx.query(ctx, query, w.args, func(rows *sql.Rows) error {
		r, err := scanApproval(rows)
		out = append(out, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing approvals: %w", err)
	}
	return out, nil
}

// CountPending implements approval.Approvals.
func (tx *Tx) CountPending(ctx context.Context, actor string) (n int, err error) {
	query, args := "SELECT count(*) FROM approval WHERE state = 'pending'", []any(nil)
	if actor != "" {
		query, args = query+" AND actor = $1", []any{actor}
	}
	_, err = tx.one(ctx, query, args, &n)
	if err != nil {
		return 0, fmt.Errorf("counting pending approvals: %w", err)
	}
	return n, nil
}

// PendingOf implements approval.Approvals.
func (tx *Tx) PendingOf(ctx context.Context, person string) (n int, bytes int64, err error) {
	_, err = tx.one(ctx, "SELECT count(*) FILTER (WHERE state = 'pending'), coalesce(sum(length(body)), 0) FROM approval WHERE state IN ('pending', 'planned') AND person = $1",
		[]any{person}, &n, &bytes)
	if err != nil {
		return 0, 0, fmt.Errorf("counting what waits for %s: %w", person, err)
	}
	return n, bytes, nil
}

// Reviewed implements approval.Approvals.
func (tx *Tx) Reviewed(ctx context.Context, id string) (out []string, err error) {
	err = tx.query(ctx, "SELECT leaf FROM log_record WHERE approval = $1 AND approval <> '' AND type = $2 ORDER BY idx",
		[]any{id, audit.TypeReview}, func(rows *sql.Rows) error {
			var leaf []byte
			if err := rows.Scan(&leaf); err != nil {
				return err
			}
			r, err := decodeRecord(leaf)
			out = append(out, r.Detail["review"])
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("looking for the reviews of %s: %w", id, err)
	}
	return out, nil
}

// Reached implements approval.Approvals.
func (tx *Tx) Reached(ctx context.Context, id string) (out []approval.State, err error) {
	err = tx.query(ctx, "SELECT leaf FROM log_record WHERE approval = $1 AND approval <> '' AND type IN ($2, $3) ORDER BY idx",
		[]any{id, audit.TypeApproval, audit.TypeStarted}, func(rows *sql.Rows) error {
			var leaf []byte
			if err := rows.Scan(&leaf); err != nil {
				return err
			}
			r, err := decodeRecord(leaf)
			state := approval.State(r.Decision)
			if r.Type == audit.TypeStarted {
				state = approval.Executing
			}
			out = append(out, state)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("looking for what became of %s: %w", id, err)
	}
	return out, nil
}

// TokenRevoked reports whether the log says that a credential was revoked.
func (tx *Tx) TokenRevoked(ctx context.Context, id string) (found bool, err error) {
	err = tx.query(ctx, "SELECT leaf FROM log_record WHERE type = 'token.changed' AND json_extract(CAST(leaf AS TEXT), '$.detail.token') = $1",
		[]any{id}, func(rows *sql.Rows) error {
			var leaf []byte
			if err := rows.Scan(&leaf); err != nil {
				return err
			}
			r, err := decodeRecord(leaf)
			found = found || r.Detail["what"] == "revoked"
			return err
		})
	if err != nil {
		return false, fmt.Errorf("looking for the end of token %s: %w", id, err)
	}
	return found, nil
}

// InsertReview implements approval.Reviews.
func (tx *Tx) InsertReview(ctx context.Context, r approval.ReviewRow) error {
	_, err := tx.exec(ctx, "INSERT INTO review (id, approval, person, body, mac) VALUES ($1, $2, $3, $4, $5)",
		r.ID, r.Approval, r.Person, r.Body, r.MAC)
	if err != nil {
		return fmt.Errorf("storing review %s: %w", r.ID, err)
	}
	return nil
}

// ReviewsOf implements approval.Reviews; the reviews come in the order they were made.
func (tx *Tx) ReviewsOf(ctx context.Context, ids ...string) (out []approval.ReviewRow, err error) {
	err = tx.query(ctx, "SELECT id, approval, person, body, mac FROM review WHERE approval IN (SELECT value FROM json_each($1)) ORDER BY rowid", []any{list(ids)},
		func(rows *sql.Rows) error {
			var r approval.ReviewRow
			err := rows.Scan(&r.ID, &r.Approval, &r.Person, &r.Body, &r.MAC)
			out = append(out, r)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("reading reviews of %s: %w", strings.Join(ids, ", "), err)
	}
	return out, nil
}

// list is strings as json_each takes them, so that one statement serves any number.
func list(of []string) string {
	b, _ := json.Marshal(of) // strings: it can't fail
	return string(b)
}

// Soon implements approval.Tx: everything is near.
func (tx *Tx) Soon(context.Context, func(approval.Tx)) error { return nil }

// PutRelation implements approval.Reviews.
func (tx *Tx) PutRelation(ctx context.Context, r approval.RelationRow) error {
	_, err := tx.exec(ctx, `INSERT INTO relation (actor, person, why, seen, mac) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (actor, person, why) DO UPDATE SET seen = excluded.seen, mac = excluded.mac`,
		r.Actor, r.Person, r.Why, micros(r.Seen), r.MAC)
	if err != nil {
		return fmt.Errorf("storing a relation of %s: %w", r.Actor, err)
	}
	return nil
}

// RelationsOf implements approval.Reviews.
func (tx *Tx) RelationsOf(ctx context.Context, actor string, since time.Time) (out []approval.RelationRow, err error) {
	err = tx.query(ctx, "SELECT actor, person, why, seen, mac FROM relation WHERE actor = $1 AND seen >= $2",
		[]any{actor, micros(since)}, func(rows *sql.Rows) error {
			var r approval.RelationRow
			var seen int64
			err := rows.Scan(&r.Actor, &r.Person, &r.Why, &seen, &r.MAC)
			r.Seen = fromMicros(seen)
			out = append(out, r)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("reading relations of %s: %w", actor, err)
	}
	return out, nil
}

// PutToken implements identity.TokenTx.
func (tx *Tx) PutToken(ctx context.Context, r identity.TokenRow) error {
	_, err := tx.exec(ctx, `INSERT INTO token (id, user_name, body, mac) VALUES ($1, $2, $3, $4)
		ON CONFLICT (id) DO UPDATE SET user_name = excluded.user_name, body = excluded.body, mac = excluded.mac`,
		r.ID, r.User, r.Body, r.MAC)
	if err != nil {
		return fmt.Errorf("storing token %s: %w", r.ID, err)
	}
	return nil
}

// TokenByID implements identity.TokenTx.
func (tx *Tx) TokenByID(ctx context.Context, id string) (identity.TokenRow, error) {
	rows, err := tx.tokens(ctx, " WHERE id = $1", id)
	if err == nil && len(rows) == 0 {
		return identity.TokenRow{}, identity.ErrNoToken
	}
	if err != nil {
		return identity.TokenRow{}, err
	}
	return rows[0], nil
}

// TokensByUser implements identity.TokenTx.
func (tx *Tx) TokensByUser(ctx context.Context, user string) ([]identity.TokenRow, error) {
	return tx.tokens(ctx, " WHERE user_name = $1", user)
}

// ListTokens implements identity.TokenTx.
func (tx *Tx) ListTokens(ctx context.Context) ([]identity.TokenRow, error) { return tx.tokens(ctx, "") }

func (tx *Tx) tokens(ctx context.Context, cond string, args ...any) (out []identity.TokenRow, err error) {
	err = tx.query(ctx, "SELECT id, user_name, body, mac FROM token"+cond+" ORDER BY rowid", args, func(rows *sql.Rows) error {
		var r identity.TokenRow
		err := rows.Scan(&r.ID, &r.User, &r.Body, &r.MAC)
		out = append(out, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading tokens: %w", err)
	}
	return out, nil
}

// A where collects conditions with their arguments.
type where struct {
	conds []string
	args  []any
}

func (w *where) add(cond string, args ...any) {
	w.conds, w.args = append(w.conds, cond), append(w.args, args...)
}

func (w *where) equal(column, to string) {
	if to != "" {
		w.add(column+" = ?", to)
	}
}

// equalIndexed is equal for a column whose index leaves out the empty string:
// the query must say so for SQLite to use it.
func (w *where) equalIndexed(column, to string) {
	if to != "" {
		w.add(column+" = ? AND "+column+" <> ''", to)
	}
}

func (w *where) since(column string, t time.Time) {
	if !t.IsZero() {
		w.add(column+" >= ?", micros(t))
	}
}

func (w *where) in(column string, values []any) {
	w.add(column+" IN ("+strings.TrimSuffix(strings.Repeat("?,", len(values)), ",")+")", values...)
}

func (w *where) String() string {
	if len(w.conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conds, " AND ")
}

func (w *where) limit(n int) string {
	if n <= 0 {
		return ""
	}
	w.args = append(w.args, n)
	return " LIMIT ?"
}

func decodeRecord(leaf []byte) (r audit.Record, err error) {
	if err := json.Unmarshal(leaf, &r); err != nil {
		return r, fmt.Errorf("a stored record is not readable: %w", err)
	}
	return r, nil
}
