package mysql_test

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
)

// peekSetup makes what a preview could set off, if it ran what it looks at.
var peekSetup = []string{
	"DROP DATABASE IF EXISTS peek", "CREATE DATABASE peek",
	"CREATE TABLE peek.t (id int PRIMARY KEY, n int, name varchar(20))", "INSERT INTO peek.t SELECT seq, seq % 5, concat('x', seq) FROM seq_1_to_50",
	"CREATE TABLE peek.u (id int)", "INSERT INTO peek.u SELECT seq FROM seq_1_to_20 UNION ALL SELECT seq FROM seq_1_to_20",
	"CREATE TABLE peek.child (id int, FOREIGN KEY (id) REFERENCES peek.t (id) ON DELETE CASCADE)", "INSERT INTO peek.child SELECT seq FROM seq_1_to_7",
	"CREATE TABLE peek.touched (n int) ENGINE = MyISAM", "INSERT INTO peek.touched VALUES (0)", // which no rollback takes back
	"DELIMITER //\nCREATE FUNCTION peek.evil(i int) RETURNS int DETERMINISTIC BEGIN UPDATE peek.touched SET n = n + 1; RETURN i; END //",
	"CREATE TABLE peek.fired (id int, n int)", "INSERT INTO peek.fired VALUES (1, 1)",
	"CREATE TRIGGER peek.fires BEFORE UPDATE ON peek.fired FOR EACH ROW SET NEW.n = peek.evil(NEW.n)",
	"CREATE VIEW peek.calls AS SELECT id, peek.evil(id) AS e FROM peek.t", "CREATE VIEW peek.deep AS SELECT id FROM peek.calls WHERE e > 0",
	"CREATE VIEW peek.plain AS SELECT id, n FROM peek.t WHERE n < 4", "CREATE SEQUENCE peek.s",
	"CREATE TABLE peek.isam (id int) ENGINE = MyISAM", "INSERT INTO peek.isam VALUES (1), (2)", "CREATE TABLE peek.keyed (id int PRIMARY KEY)",
}

// peeks are statements with what their preview may say: a beginning of its text, or
// "no: " and a part of why there is none; behind "/" whether it binds.
var peeks = []struct{ statement, want string }{
	{"update t set n = 1 where id <= 18", "would change at most 18 rows of peek.t/binds"},
	{"delete from t where n = 3", "would delete 10 rows of peek.t; foreign keys change rows of child with them, which are not counted/binds"},
	{"delete from u where id > 2 order by id limit 5", "would delete 5 rows of peek.u/binds"},
	{"delete u from u join t on t.id = u.id where t.n = 1", "would delete at most 8 rows of peek.u/binds"},
	{"update t join u on u.id = t.id set t.n = u.id, u.id = 3", "would change at most 80 rows of peek.t and peek.u/binds"},
	{"insert into u select id + 100 from t", "would add 50 rows to peek.u/binds"},
	{"insert into t (id, n) select a.id, b.id from t a join u b on a.id = b.id where a.id > 100", "would add 0 rows to peek.t/binds"},
	{"insert into u values (1), (2)", "would add 2 rows to peek.u/binds"},
	{"insert into keyed values (1), (2) on duplicate key update id = 7", "would add at most 2 rows to peek.keyed/binds"},
	{"insert into keyed select id from u on duplicate key update keyed.id = 7", "would add at most 40 rows to peek.keyed/free"},
	{"replace into keyed values (1), (2)", "would add 2 rows to peek.keyed; rows with the same keys are removed before/free"},
	{"delete from isam", "would delete 2 rows of peek.isam/free"},
	{"delete from u where id in (select id from plain)", "would delete 32 rows of peek.u/binds"},
	{"select * from t", "reads about "},
	{"select * from t where id = 3", "reads about 1 row"},
	{"select * from plain limit 3", "reads about 3 rows"},
	{"truncate u", "would empty 1 table with 40 rows/free"},
	{"drop table t, u", "would drop 2 tables with 90 rows/free"},
	{"drop view plain", "would drop 1 view/free"},
	{"drop database peek", "would drop database peek with "},
	{"update fired set n = 2", "would change at most 1 row of peek.fired; what its triggers do is not counted/binds"},
	{"update t set n = peek.evil(1) where id = 2", "would change at most 1 row of peek.t/binds"}, // counting doesn't call it

	{"select peek.evil(1)", "no: run code"},
	{"delete from t where id = peek.evil(1)", "no: run code"},
	{"delete from t where id in (select e from calls)", "no: run code"},
	{"select * from calls", "no: run code"},
	{"select * from deep", "no: run code"},
	{"insert into u select nextval(s) from t", "no: "},
	{"insert into u select next value for s from t", "no: "},
	{"delete from t where sleep(30)", "no: run code"},
	{"delete from t where get_lock('peek', 1)", "no: run code"},
	{"delete from t where (@a := id) > 0", "no: "},
	{"delete from t where id = @a", "no: variables"},
	{"delete from t where id = last_insert_id()", "no: only this session"},
	{"delete from t where id in (select id from u for update)", "no: lock"},
	{"delete from plain where id = 1", "would delete 1 row of peek.plain/free"},
	{"delete from t where (select count(*) from t a, t b, t c, t d, t e, t f where a.n + b.n + c.n + d.n + e.n + f.n + t.n < 0) > 0", "no: too long"},
	{"call peek.nothing()", "no: "},
	{"alter table t drop column n", "no: "},
	{"load data infile '/x' into table t", "no: "},
	{"create table made select * from t", "no: "},
	{"delete from mysql.global_priv", "no: "},
}

func denyAll(context.Context, *action.Action, func(gate.Held)) error {
	return &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
}

func binds(p action.Preview) string { return map[bool]string{true: "/binds", false: "/free"}[p.Binds] }

// What a preview looks at never happens: no row, no sequence, no lock, whatever stands behind the names.
func TestPreviewHasNoEffect(t *testing.T) {
	direct(t, peekSetup...)
	state := func() string {
		return direct(t, "SELECT concat_ws(' ', (SELECT n FROM peek.touched), (SELECT next_not_cached_value FROM peek.s), (SELECT count(*) FROM peek.t), (SELECT count(*) FROM peek.u), (SELECT sum(n) FROM peek.fired), (SELECT count(*) FROM information_schema.tables WHERE table_schema = 'peek'))")
	}
	before := state()
	a := &gatetest.Authority{Look: true, Decide: denyAll}
	db := open(t, serve(t, a, nil), "")
	if _, err := db.Exec("USE peek"); err != nil {
		t.Fatal(err)
	}
	for _, p := range peeks {
		n := len(a.Previews())
		if _, err := db.Exec(p.statement); err == nil || len(a.Previews()) != n+1 {
			t.Fatalf("%s: %v", p.statement, err)
		}
		got := a.Previews()[n]
		if got.Time.IsZero() {
			t.Errorf("%s: nobody says when it was looked at", p.statement)
		}
		switch no, isNo := strings.CutPrefix(p.want, "no: "); {
		case isNo && (got.Text != "" || got.Rows.Known || !strings.Contains(got.Why, no)):
			t.Errorf("%s: shown as %q (%q); want none, because %q", p.statement, got.Text, got.Why, no)
		case !isNo && (!strings.HasPrefix(got.Text, strings.Split(p.want, "/")[0]) || strings.Contains(p.want, "/") && !strings.HasSuffix(p.want, binds(got))):
			t.Errorf("%s: shown as %q (%q)%s; want %q", p.statement, got.Text, got.Why, binds(got), p.want)
		}
		if now := state(); now != before {
			t.Errorf("%s: its preview changed something: %s, was %s", p.statement, now, before)
			before = now
		}
	}
}

// A preview means what the statement means in this session: its database, settings and parameters; and it says
// nothing where only the session sees the rows.
func TestPreviewMeansTheSame(t *testing.T) {
	direct(t, "DROP DATABASE IF EXISTS same", "DROP DATABASE IF EXISTS same_other", "CREATE DATABASE same CHARACTER SET utf8mb4", "CREATE DATABASE same_other",
		"CREATE TABLE same.t (id int, at timestamp, name varchar(20) COLLATE utf8mb4_general_ci, score double, price decimal(10, 2), small tinyint unsigned)",
		"SET time_zone = '+00:00'; INSERT INTO same.t SELECT seq, '2026-01-01 23:30:00', concat('Name', seq), seq / 10, seq / 4, 200 FROM same.seq_1_to_7",
		"CREATE TABLE same_other.t (id int)")
	a := &gatetest.Authority{Look: true, Decide: func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
		if slices.Contains(a.Kinds, action.DataDelete) {
			return denyAll(t.Context(), a, nil)
		}
		return nil
	}}
	addr := serve(t, a, nil)
	db := open(t, addr, "time_zone=%27%2B00%3A00%27")
	run := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	look := func(want, query string, args ...any) {
		t.Helper()
		n := len(a.Previews())
		if _, err := db.Exec(query, args...); err == nil || len(a.Previews()) == n {
			t.Fatalf("%s: %v", query, err)
		}
		if p := a.Previews()[len(a.Previews())-1]; !strings.Contains(p.Text+"/"+p.Why, want) {
			t.Errorf("%s: shown as %q (%q), want %q", query, p.Text, p.Why, want)
		}
	}
	run("USE same_other")
	look("would delete 0 rows of same_other.t", "delete from t")
	run("USE same")
	look("would delete 7 rows of same.t", "delete from t")
	look("would delete 7 rows", "delete from t where at < '2026-01-02'")
	run("SET time_zone = '+01:00'")
	look("would delete 0 rows", "delete from t where at < '2026-01-02'")
	run("SET time_zone = '+00:00'")
	look("would delete 7 rows", "delete from t where name like 'name%'")
	look("would delete 0 rows", "delete from t where binary name like 'name%'")
	look("would delete 2 rows", "delete from t where name in (?, ?)", "name1", "NAME2")
	look("would delete 0 rows", "delete from t where name in (?, ?)", "it's", `o\\n`)
	look("would delete 2 rows", "delete from t where score = ? or id = ? or id = ?", 0.3, 1, -2)
	look("would delete 7 rows", "delete from t where small = ? and id > ?", uint8(200), -1)
	look("would delete 0 rows", "delete from t where name = ?", nil)
	look("would delete 2 rows", "delete from t where id > ? order by id limit 2", 3)
	// What is only here isn't counted.
	run("SET autocommit = 0")
	run("update t set id = id + 100")
	look("only it sees", "delete from t where id < 5")
	run("ROLLBACK")
	look("would delete 4 rows", "delete from t where id < 5")
	run("SET autocommit = 1")
	run("CREATE TEMPORARY TABLE t2 (id int)")
	look("only this session sees", "delete from t2")
	run("SET sql_auto_is_null = 1")
	look("sql_auto_is_null", "delete from t where id is null")
}

// A statement approved under one time zone or collation is another one under the next.
func TestMeaningIsInTheDigest(t *testing.T) {
	direct(t, "CREATE TABLE IF NOT EXISTS meant (at timestamp)")
	a := &gatetest.Authority{}
	db := open(t, serve(t, a, nil), "")
	digests := map[action.Digest]string{}
	for _, set := range []string{"SET time_zone = '+00:00'", "SET time_zone = '+13:00'", "SET collation_connection = 'utf8mb4_bin'", "SET sql_auto_is_null = 1"} {
		if _, err := db.Exec(set); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("DELETE FROM meant WHERE at < '2026-01-02'"); err != nil {
			t.Fatal(err)
		}
		asked := a.Actions()
		d, err := asked[len(asked)-1].Digest(action.Salt{})
		if err != nil {
			t.Fatal(err)
		}
		if before, is := digests[d]; is {
			t.Errorf("%s: the same digest as under %s", set, before)
		}
		digests[d] = set
	}
}

// bounded are scripts whose writes may change so many rows, and where they are stopped.
var bounded = []struct {
	name   string
	script []string
	rows   int64
	stops  string // part of the error; "": none
}{
	{"update", []string{"update t set n = 1 where id <= 3"}, 3, ""},
	{"update, past", []string{"update t set n = 1 where id <= 4"}, 3, "more rows than were approved"},
	{"what is already so", []string{"update t set n = 0"}, 0, ""},
	{"delete", []string{"delete from t where id <= 3"}, 3, ""},
	{"delete, past", []string{"delete from t"}, 9, "more rows than were approved"},
	{"several tables, past", []string{"update t join o on o.id = t.id set t.n = 1, o.n = 1"}, 19, "more rows than were approved"},
	{"several tables", []string{"delete t, o from t join o on o.id = t.id"}, 20, ""},
	{"insert", []string{"insert into t values (11, 1), (12, 1)"}, 2, ""},
	{"insert select, past", []string{"insert into t select id + 100, n from t"}, 9, "more rows than were approved"},
	{"on duplicate key", []string{"insert into t values (1, 5), (2, 5) on duplicate key update n = 7"}, 2, ""},
	{"on duplicate key, past", []string{"insert into t values (1, 5), (2, 5) on duplicate key update n = 7"}, 1, "more rows than were approved"},
	{"on duplicate key of a query", []string{"insert into t select id, 1 from o on duplicate key update n = 7"}, 10, "counts a row twice"},
	{"replace, past", []string{"replace into t values (1, 5), (2, 5)"}, 3, "more rows than were approved"},
	{"replace", []string{"replace into t values (1, 5), (2, 5)"}, 4, ""},
	{"returning", []string{"delete from t where id <= 3 returning id"}, 3, "can't be taken back"},
	{"it fails", []string{"insert into t values (1, 1)"}, 3, ""},
	{"it fails in the middle", []string{"insert into t values (77, 1), (1, 1)"}, 3, ""},
	{"in a transaction", []string{"begin", "update t set n = 1 where id <= 3", "commit"}, 3, ""},
	{"in a transaction, past", []string{"begin", "update t set n = 1 where id = 1", "update t set n = 1", "commit"}, 3, "more rows than were approved"},
	{"in a transaction, past, and rolled back", []string{"begin", "update t set n = 1 where id = 1", "update t set n = 2", "rollback"}, 3, "more rows than were approved"},
	{"autocommit off", []string{"set autocommit = 0", "update t set n = 1 where id <= 3", "commit"}, 3, ""},
	{"autocommit off, past", []string{"set autocommit = 0", "update t set n = 1", "commit"}, 3, "more rows than were approved"},
	{"autocommit off, and rolled back", []string{"set autocommit = 0", "update t set n = 1 where id <= 3", "rollback"}, 3, ""},
	{"savepoints of its own", []string{"begin", "savepoint a", "update t set n = 1 where id <= 3", "rollback to a", "commit"}, 3, ""},
	{"completion_type", []string{"set completion_type = 'CHAIN'", "update t set n = 1 where id <= 3"}, 3, ""},
	{"a table that keeps its rows", []string{"delete from kept"}, 9, "keeps its rows"},
	{"a temporary table", []string{"create temporary table o (id int, n int)", "insert into o values (1, 1)"}, 9, "only this session sees it"},
	{"locked tables", []string{"lock tables t write", "update t set n = 1 where id <= 3", "unlock tables"}, 3, "LOCK TABLES"},
	{"a definition", []string{"truncate t"}, 3, "can't be taken back"},
	{"a procedure", []string{"call wipe()"}, 30, "can't be taken back"},
	{"code in a comment", []string{"delete from t /*!99999 where id = 1 */"}, 1, "can't be taken back"},
}

// What a client hears of a write that the gate ran in a transaction of its own is what the
// server says without the gate; past its bound nothing is left of it.
func TestBound(t *testing.T) {
	setup := []string{
		"DROP DATABASE IF EXISTS bounds", "CREATE DATABASE bounds", "CREATE TABLE bounds.t (id int PRIMARY KEY, n int NOT NULL)", "INSERT INTO bounds.t SELECT seq, 0 FROM seq_1_to_10",
		"CREATE TABLE bounds.o (id int, n int NOT NULL)", "INSERT INTO bounds.o SELECT seq, 0 FROM seq_1_to_10", "CREATE TABLE bounds.kept (id int) ENGINE = MyISAM", "INSERT INTO bounds.kept VALUES (1)",
		"DELIMITER //\nCREATE PROCEDURE bounds.wipe() BEGIN DELETE FROM bounds.t; COMMIT; END //",
	}
	state := func() string {
		return direct(t, "SELECT concat((SELECT coalesce(group_concat(id, ':', n ORDER BY id), '') FROM bounds.t), '/', (SELECT coalesce(group_concat(id, ':', n ORDER BY id), '') FROM bounds.o), '/', (SELECT count(*) FROM bounds.kept))")
	}
	play := func(db *sql.DB, script []string, prepared bool) (said []string) {
		for _, q := range append([]string{"use bounds"}, script...) {
			exec := func() (sql.Result, error) { return db.Exec(q) }
			if prepared && strings.ContainsAny(q[:1], "udri") && !strings.HasPrefix(q, "use") && !strings.HasPrefix(q, "unlock") && !strings.HasPrefix(q, "rollback") {
				st, err := db.Prepare(q)
				if err != nil {
					said = append(said, err.Error())
					continue
				}
				defer st.Close()
				exec = func() (sql.Result, error) { return st.Exec() }
			}
			res, err := exec()
			if err != nil {
				said = append(said, strings.ReplaceAll(err.Error(), "Duplicate entry '1' for key 'PRIMARY'", "Duplicate entry (withheld)"))
				continue
			}
			n, _ := res.RowsAffected()
			id, _ := res.LastInsertId()
			said = append(said, strconv.FormatInt(n, 10)+" "+strconv.FormatInt(id, 10))
		}
		return said
	}
	for _, b := range bounded {
		for _, prepared := range []bool{false, true} {
			t.Run(b.name+map[bool]string{true: ", prepared", false: ""}[prepared], func(t *testing.T) {
				direct(t, setup...)
				before := state()
				a := &gatetest.Authority{Bound: func(a *action.Action) int64 {
					if slices.ContainsFunc(a.Kinds, func(k action.Kind) bool { return k == action.ConfigChange || k == action.SchemaChange }) {
						return -1
					}
					return b.rows
				}}
				db := open(t, serve(t, a, nil), "")
				said := play(db, b.script, prepared)
				got := state()
				if b.stops != "" {
					if !strings.Contains(strings.Join(said, "\n"), b.stops) {
						t.Errorf("through the gate: %q", said)
					}
					kept := before
					if b.name == "in a transaction, past" { // what was in it before is
						kept = strings.Replace(before, "1:0", "1:1", 1)
					}
					if got != kept {
						t.Errorf("the tables are %s, they were %s", got, before)
					}
					return
				}
				direct(t, setup...)
				beside := play(openDirect(t), b.script, prepared)
				if !slices.Equal(said, beside) || got != state() {
					t.Errorf("through the gate %q, without it %q; the tables are %s, without it %s", said, beside, got, state())
				}
				// The session is in no transaction that it doesn't know of.
				if b.name != "autocommit off" {
					var in int
					if err := db.QueryRow("SELECT @@in_transaction").Scan(&in); err == nil && in != 0 {
						t.Error("the session is left in a transaction")
					}
				}
			})
		}
	}
}

// A deadlock ends a transaction without the server's flags saying so: what comes after it is
// kept to its bound all the same.
func TestBoundBehindADeadlock(t *testing.T) {
	direct(t, "DROP TABLE IF EXISTS locked", "CREATE TABLE locked (id int PRIMARY KEY, n int NOT NULL)", "INSERT INTO locked SELECT seq, 0 FROM seq_1_to_100")
	a := &gatetest.Authority{}
	db, other := open(t, serve(t, a, nil), ""), openDirect(t)
	for _, step := range []struct {
		db *sql.DB
		q  string
	}{{db, "BEGIN"}, {other, "BEGIN"}, {other, "UPDATE locked SET n = 1 WHERE id > 50"}, {db, "UPDATE locked SET n = 2 WHERE id = 1"}} {
		if _, err := step.db.Exec(step.q); err != nil {
			t.Fatal(err)
		}
	}
	waits := make(chan error, 1)
	go func() {
		_, err := db.Exec("UPDATE locked SET n = 2 WHERE id = 100")
		waits <- err
	}()
	for direct(t, "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'") == "0" {
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := other.Exec("UPDATE locked SET n = 1 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; err == nil || !strings.Contains(err.Error(), "1213") {
		t.Fatalf("no deadlock: %v", err)
	}
	if _, err := other.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	a.Bound = func(*action.Action) int64 { return 3 }
	_, err := db.Exec("UPDATE locked SET n = 9")
	if err == nil || !strings.Contains(err.Error(), "more rows") {
		t.Errorf("past its bound: %v", err)
	}
	if n := direct(t, "SELECT count(*) FROM locked WHERE n = 9"); n != "0" {
		t.Errorf("%s rows were changed, 3 may be", n)
	}
}
