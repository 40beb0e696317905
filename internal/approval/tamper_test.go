package approval_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

// An editor is an operator with a shell on the machine and the database's file.
func (h *house) edit(query string, args ...any) int64 {
	h.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.dir, "data", "assent.db")+"?_pragma=busy_timeout(10000)")
	must(h.TB, err)
	defer func() { must(h.TB, db.Close()) }()
	res, err := db.Exec(query, args...)
	must(h.TB, err)
	n, err := res.RowsAffected()
	must(h.TB, err)
	return n
}

// columns lists the columns of a table with their types.
func (h *house) columns(table string) (names, types []string) {
	h.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.dir, "data", "assent.db"))
	must(h.TB, err)
	defer func() { must(h.TB, db.Close()) }()
	rows, err := db.Query("SELECT name, type FROM pragma_table_info($1)", table)
	must(h.TB, err)
	defer func() { must(h.TB, rows.Close()) }()
	for rows.Next() {
		var name, kind string
		must(h.TB, rows.Scan(&name, &kind))
		names, types = append(names, name), append(types, kind)
	}
	must(h.TB, rows.Err())
	return names, types
}

// tampered is a house with one approval in each state an operator would like
// to change, and a token.
type tampered struct {
	*house
	tokens *identity.Tokens
	bearer string
	q      map[string]*approval.Question
	ids    map[string]string
}

func newTampered(t *testing.T) *tampered {
	t.Helper()
	h := newHouse(t, nil)
	x := &tampered{house: h, q: map[string]*approval.Question{}, ids: map[string]string{}}
	for _, name := range []string{"pending", "half", "denied", "executing"} {
		x.q[name] = ask(agent("agent:x"), name)
		x.q[name].Action.Shape = name
		x.ids[name] = h.ask(x.q[name]).ID
	}
	h.approve(x.ids["half"], "person:ana")
	_, err := h.review(x.ids["denied"], "person:ana", approval.Deny)
	must(t, err)
	h.approve(x.ids["executing"], "person:ana", "person:ben")
	_, err = h.engine.Use(context.Background(), x.ids["executing"], use(x.q["executing"]))
	must(t, err)
	x.openTokens()
	x.bearer, _, err = x.tokens.Mint(context.Background(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:x"}, TTL: time.Hour, By: "test"})
	must(t, err)
	return x
}

func (x *tampered) openTokens() {
	x.Helper()
	var err error
	x.tokens, err = identity.NewTokens(identity.TokenOptions{
		Store: x.store, Directory: x.town, SealKey: sealKey, Clock: x.clock.now,
		Record: func(ctx context.Context, tx identity.TokenTx, c identity.TokenChange) error {
			return x.log.Append(ctx, tx.(audit.Tx), &audit.Record{Type: audit.TypeToken, Decision: c.What})
		},
	})
	must(x.TB, err)
}

// copy is the same deployment in a directory of its own. x must be closed.
func (x *tampered) copy(t *testing.T) *tampered {
	t.Helper()
	h := *x.house
	h.TB, h.dir = t, t.TempDir()
	must(t, os.CopyFS(h.dir, os.DirFS(x.dir)))
	for _, secret := range []string{"log.key", "grant.key"} { // CopyFS widens modes
		must(t, os.Chmod(filepath.Join(h.dir, secret), 0o600))
	}
	return &tampered{house: &h, bearer: x.bearer, q: x.q, ids: x.ids}
}

// opens reports what became possible that was not: a use, or a token with more power.
func (x *tampered) opens() string {
	for name, id := range x.ids {
		if _, err := x.engine.Use(context.Background(), id, use(x.q[name])); err == nil {
			return name + " was used"
		}
		again, existing, err := x.engine.Ask(context.Background(), x.q[name])
		if err == nil && existing && again.State != approval.Pending {
			return name + " asked again is " + string(again.State)
		}
	}
	c, err := x.tokens.Check(context.Background(), x.bearer)
	if err == nil && (c.Person != nil || c.Asker == nil || c.Asker.Chain[0].ID != "agent:x" || len(c.Scopes) != 1 || c.Has(identity.ScopeReview)) {
		return fmt.Sprintf("the token is now %+v", c)
	}
	return ""
}

// TestEveryColumnOfEveryTable edits each column of each table to values that
// an operator might like, starts the server on it, and tries to get through.
func TestEveryColumnOfEveryTable(t *testing.T) {
	template := newTampered(t)
	must(t, template.store.Close())
	template.edit("DROP INDEX log_record_token") // it takes only JSON, and stops no operator
	values := map[string][]string{
		"TEXT":    {"'approved'", "'pending'", "''", "'person:ben'", "'agent:y'", "'half'"},
		"INTEGER": {"0", "1", "9000000000000000"},
		"BLOB": {
			"zeroblob(32)",
			"CAST(replace(replace(CAST(%[1]s AS TEXT), 'pending', 'approved'), 'denied', 'approved') AS BLOB)",
			"CAST(replace(CAST(%[1]s AS TEXT), '\"Count\":2', '\"Count\":1') AS BLOB)",
			"CAST(replace(CAST(%[1]s AS TEXT), 'executing', 'approved') AS BLOB)",
			"CAST(replace(CAST(%[1]s AS TEXT), '\"deny\"', '\"approve\"') AS BLOB)",
			"CAST(replace(CAST(%[1]s AS TEXT), '[\"act\"]', '[\"review\"]') AS BLOB)",
		},
	}
	cases := 0
	for _, table := range []string{"approval", "review", "sealed", "token", "log_head", "log_record", "log_tile", "ledger", "setting"} {
		names, types := template.columns(table)
		for i, column := range names {
			for _, value := range append(values[types[i]], "(SELECT max(o.%[1]s) FROM %[2]s o)") {
				if strings.Contains(value, "%") {
					value = fmt.Sprintf(value+"%.0[2]s", column, table)
				}
				x := template.copy(t)
				// OR IGNORE: what the schema itself refuses needs no second guard.
				x.edit("UPDATE OR IGNORE " + table + " SET " + column + " = " + value)
				if got := x.reopened(); got != "" {
					t.Errorf("%s.%s = %s: %s", table, column, value, got)
				}
				must(t, os.RemoveAll(x.dir))
				cases++
			}
		}
	}
	t.Logf("%d edits", cases)
	x := template.copy(t) // and without an edit all is in order
	if got := x.reopened(); got != "" {
		t.Errorf("without an edit: %s", got)
	}
	x.open()
	defer func() { must(t, x.store.Close()) }()
	for _, name := range []string{"pending", "half"} {
		x.state(x.ids[name], approval.Pending)
	}
}

// reopened starts a server on x and says what opens.
func (x *tampered) reopened() string {
	x.Helper()
	err := x.start()
	if err != nil {
		return "" // it doesn't even start
	}
	x.openTokens()
	got := x.opens()
	must(x.TB, x.store.Close())
	return got
}

// An approval made approved by hand, and reviews made up for it.
func TestForgedRows(t *testing.T) {
	for name, edits := range map[string][]string{
		"state in column and body": {
			`UPDATE approval SET state = 'approved', body = CAST(replace(CAST(body AS TEXT), '"State":"pending"', '"State":"approved"') AS BLOB)`,
		},
		"a review moved to another approval": {
			`UPDATE review SET approval = (SELECT id FROM approval WHERE shape = 'half') WHERE person = 'person:ben'`,
		},
		"a review copied": {
			`INSERT INTO review SELECT 'rev_' || approval, approval, 'person:cas', body, mac FROM review WHERE person = 'person:ana'`,
		},
		"a review without a seal": {
			`INSERT OR IGNORE INTO review SELECT 'rev_' || id, id, 'person:ben', CAST('{"ID":"rev_forged","Decision":"approve"}' AS BLOB), x'' FROM approval`,
		},
		"the reviews deleted": {`DELETE FROM review`},
		"the denial deleted":  {`DELETE FROM review WHERE CAST(body AS TEXT) LIKE '%deny%'`},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTampered(t)
			for _, e := range edits {
				if x.edit(e) == 0 {
					t.Fatal("the edit changed nothing")
				}
			}
			if got := x.opens(); got != "" {
				t.Error(got)
			}
		})
	}
}

func TestAReviewThatIsGoneVoidsTheApproval(t *testing.T) {
	for name, edit := range map[string]string{
		"deleted":          `DELETE FROM review WHERE person = 'person:ben'`,
		"changed":          `UPDATE review SET body = CAST(replace(CAST(body AS TEXT), 'because', 'just so') AS BLOB) WHERE person = 'person:ben'`,
		"sealed otherwise": `UPDATE review SET mac = zeroblob(32)`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil)
			q := ask(agent("agent:x"), "copy")
			a := h.ask(q)
			h.approve(a.ID, "person:ana", "person:ben")
			h.edit(edit)
			if _, err := h.engine.Use(context.Background(), a.ID, use(q)); err == nil {
				t.Fatal("used")
			}
			if len(h.records(audit.TypeAlarm)) == 0 {
				t.Error("no alarm on record")
			}
			if len(h.records(audit.TypeStarted)) != 0 {
				t.Error("a start is on record")
			}
		})
	}
}

// A column that says something else than the sealed body refuses the row.
func TestAColumnThatDiffersFromTheBody(t *testing.T) {
	h := newHouse(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy"))
	for _, set := range []string{"state = 'denied'", "revision = 7", "match = 'm'", "shape = 's'", "actor = 'agent:y'", "credential = 'c'", "created = 1", "decided = 1", "due = 1", "person = 'p'"} {
		column, _, _ := strings.Cut(set, " ")
		h.edit("CREATE TABLE was AS SELECT " + column + " AS v FROM approval")
		h.edit("UPDATE approval SET " + set)
		_, err := h.engine.Get(context.Background(), a.ID)
		wantErr(t, err, approval.ErrTampered)
		h.edit("UPDATE approval SET " + column + " = (SELECT v FROM was)")
		h.edit("DROP TABLE was")
		h.state(a.ID, approval.Pending)
	}
}

// The row of an approval that was used is put back as it was, seal and all.
func TestAnOldRowPutBackIsNotUsedAgain(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	a := h.ask(q)
	h.approve(a.ID, "person:ana", "person:ben")
	h.edit("CREATE TABLE kept AS SELECT * FROM approval")
	_, err := h.engine.Use(context.Background(), a.ID, use(q))
	must(t, err)
	must(t, h.engine.Finish(context.Background(), a.ID, approval.Outcome{State: approval.Executed}))
	if h.edit("INSERT OR REPLACE INTO approval SELECT * FROM kept") != 1 {
		t.Fatal("the edit changed nothing")
	}
	h.state(a.ID, approval.Approved) // so it says
	_, err = h.engine.Use(context.Background(), a.ID, use(q))
	wantErr(t, err, approval.ErrNotApproved)
	h.state(a.ID, approval.Withdrawn)
	if len(h.records(audit.TypeAlarm)) != 1 {
		t.Error("no alarm on record")
	}
}

// The row is put back, and the log's columns are edited so that no search finds what
// became of it, while the server runs: it runs and is decided no second time.
func TestWhatEndedHereStaysEnded(t *testing.T) {
	for _, forget := range []string{"UPDATE log_record SET approval = '' WHERE idx >= $1", "DELETE FROM log_record WHERE idx >= $1"} {
		h := newHouse(t, nil)
		q, no := ask(agent("agent:x"), "copy"), ask(agent("agent:x"), "no")
		a, b := h.ask(q), h.ask(no)
		h.approve(a.ID, "person:ana", "person:ben")
		h.edit("CREATE TABLE kept AS SELECT * FROM approval")
		head, err := h.store.Head(context.Background())
		must(t, err)
		_, err = h.engine.Use(context.Background(), a.ID, use(q))
		must(t, err)
		must(t, h.engine.Finish(context.Background(), a.ID, approval.Outcome{State: approval.Executed}))
		_, err = h.review(b.ID, "person:ana", approval.Deny)
		must(t, err)
		h.edit("INSERT OR REPLACE INTO approval SELECT * FROM kept")
		h.edit("DELETE FROM review WHERE approval = $1", b.ID)
		h.edit(forget, head.Size)
		_, err = h.engine.Use(context.Background(), a.ID, use(q))
		wantErr(t, err, approval.ErrNotApproved)
		_, err = h.review(b.ID, "person:ben", approval.Approve)
		wantErr(t, err, approval.ErrTampered)
	}
}

// A row that can't be believed must not keep others from expiring.
func TestATamperedRowIsSetAside(t *testing.T) {
	h := newHouse(t, nil)
	bad, good := h.ask(ask(agent("agent:x"), "bad")), h.ask(ask(agent("agent:x"), "good"))
	h.edit(`UPDATE approval SET mac = zeroblob(32), due = 1 WHERE id = $1`, bad.ID)
	h.clock.add(time.Hour)
	must(t, h.engine.Recover(context.Background()))
	h.state(good.ID, approval.Expired)
	if n := h.count(approval.Withdrawn) + h.count(approval.Expired); n != 1 {
		t.Errorf("%d are listed, want the good one", n)
	}
	_, err := h.engine.Get(context.Background(), bad.ID)
	wantErr(t, err, approval.ErrTampered)
	if len(h.records(audit.TypeAlarm)) != 1 {
		t.Error("no alarm on record")
	}
}

// A row put back as it was before people said no, or before its asker took it
// back: nothing opens, whoever reviews it then.
func TestAnOldRowPutBackIsNotDecidedAgain(t *testing.T) {
	for name, end := range map[string]func(h *house, id string) error{
		"approved by one of two": func(h *house, id string) error {
			_, err := h.review(id, "person:ana", approval.Approve)
			return err
		},
		"denied": func(h *house, id string) error { _, err := h.review(id, "person:ana", approval.Deny); return err },
		"withdrawn": func(h *house, id string) error {
			_, err := h.engine.Withdraw(context.Background(), id, "", "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil)
			a := h.ask(ask(agent("agent:x"), "copy"))
			h.edit("CREATE TABLE kept AS SELECT * FROM approval")
			must(t, end(h, a.ID))
			h.edit("DELETE FROM review")
			h.edit("INSERT OR REPLACE INTO approval SELECT * FROM kept")
			h.state(a.ID, approval.Pending) // so it says
			_, err := h.review(a.ID, "person:ben", approval.Approve)
			wantErr(t, err, approval.ErrTampered)
			if len(h.records(audit.TypeAlarm)) != 1 {
				t.Error("no alarm on record")
			}
		})
	}
	t.Run("approved, then withdrawn", func(t *testing.T) {
		h := newHouse(t, nil)
		q := ask(agent("agent:x"), "copy")
		a := h.ask(q)
		h.approve(a.ID, "person:ana", "person:ben")
		h.edit("CREATE TABLE kept AS SELECT * FROM approval")
		_, err := h.engine.Withdraw(context.Background(), a.ID, "", "")
		must(t, err)
		h.edit("INSERT OR REPLACE INTO approval SELECT * FROM kept")
		_, err = h.engine.Use(context.Background(), a.ID, use(q))
		wantErr(t, err, approval.ErrNotApproved)
	})
}
