package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	sqldriver "github.com/go-sql-driver/mysql"

	"github.com/assenthq/assent/internal/gates/mysql/mariadbtest"
)

var cluster = sync.OnceValues(func() (*mariadbtest.Server, error) {
	return mariadbtest.Start(context.Background(), "SET GLOBAL log_bin_trust_function_creators = 1", "CREATE DATABASE shop CHARACTER SET utf8mb4", "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'app'", "GRANT ALL ON *.* TO app@'127.0.0.1'",
		"USE shop; CREATE TABLE customers (id int PRIMARY KEY, email varchar(100), ssn varchar(20), name varchar(50), doc json)",
		"USE shop; INSERT INTO customers VALUES (1, 'a@example.com', '1', 'a', '{}')", "USE shop; CREATE TABLE t (a int, b text, x int, id int); INSERT INTO t VALUES (1, 'b', 2, 3)",
		"USE shop; CREATE TABLE orders (id int, uid int, total int, cid int); CREATE SEQUENCE seq; CREATE VIEW v AS SELECT email AS contact FROM customers",
		"USE shop;\nDELIMITER //\nCREATE FUNCTION mine(x text) RETURNS int MODIFIES SQL DATA BEGIN INSERT INTO t VALUES (9, 'mine', 9, 9); RETURN 1; END//\nDELIMITER ;")
})

var clusterUsed bool

func TestMain(m *testing.M) {
	_ = sqldriver.SetLogger(quiet{})
	code := m.Run()
	if clusterUsed {
		if s, err := cluster(); err == nil {
			if err := s.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	os.Exit(code)
}

type quiet struct{}

func (quiet) Print(...any) {}

// oracle connects to a real server.
func oracle(t *testing.T) *sql.DB {
	t.Helper()
	clusterUsed = true
	s, err := cluster()
	if err != nil {
		t.Fatal("the tests need a real MariaDB: ", err)
	}
	db, err := sql.Open("mysql", fmt.Sprintf("app:app@tcp(127.0.0.1:%d)/shop?readTimeout=20s&timeout=20s", s.Port))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// oracleSeed is another one each time where somebody looks for what nobody has found (ASSENT_ORACLE).
func oracleSeed() uint64 {
	if os.Getenv("ASSENT_ORACLE") == "" {
		return 11
	}
	return uint64(time.Now().UnixNano())
}

func number(err error) uint16 {
	var my *sqldriver.MySQLError
	if errors.As(err, &my) {
		return my.Number
	}
	return 0
}

// What is on the list of harmless functions is the server's own: it is never a routine that
// somebody made.
func TestHarmlessFunctionsAreTheServersOwn(t *testing.T) {
	db := oracle(t)
	for name := range harmless {
		_, err := db.Exec("SELECT " + name + "()")
		if n := number(err); n == 1305 || n == 1630 { // does not exist
			t.Errorf("%s is none of the server's: %v", name, err)
		}
	}
	if _, err := db.Exec("SELECT nobody_made_this()"); number(err) != 1305 {
		t.Errorf("a function that is not there: %v", err)
	}
}

// A routine under the name of a harmless function is never what a text calls that is not called execute or unknown: with a
// blank before the parenthesis, in quotes, or behind its database's name the server may call it.
func TestRoutinesUnderTheNamesOfFunctions(t *testing.T) {
	db := oracle(t)
	c := New(Options{CacheEntries: -1})
	made := 0
	for name := range harmless {
		if _, err := db.Exec("CREATE FUNCTION shop.`" + name + "`(x int) RETURNS int DETERMINISTIC RETURN 4711"); err != nil {
			continue // a word that can't be one
		}
		made++
		for _, call := range []string{name + "(1)", name + " (1)", name + "/**/(1)", name + "\n(1)", "`" + name + "`(1)", "shop." + name + "(1)", "shop.`" + name + "` (1)"} {
			var got sql.NullString
			err := db.QueryRow("SELECT " + call).Scan(&got)
			if st := c.Classify("SELECT "+call, State{Database: "shop", MariaDB: true}); err == nil && got.String == "4711" && st.ReadOnly() {
				t.Errorf("%s calls somebody's routine, and is called %v (%s)", call, st.Kinds, st.Harmless)
			}
		}
		if _, err := db.Exec("DROP FUNCTION shop.`" + name + "`"); err != nil {
			t.Fatal(err)
		}
	}
	if made < 100 {
		t.Errorf("only %d routines were made", made)
	}
}

// effects is all that a statement may leave behind: the position of the binary log, the server's
// settings, and the files in the directory that it may write to.
func effects(t *testing.T, watch *sql.DB) string {
	t.Helper()
	var file, position, do, ignore, settings string
	if err := watch.QueryRow("SHOW MASTER STATUS").Scan(&file, &position, &do, &ignore); err != nil {
		t.Fatal(err)
	}
	if err := watch.QueryRow("SELECT md5(group_concat(VARIABLE_NAME, '=', GLOBAL_VALUE ORDER BY VARIABLE_NAME)) FROM information_schema.SYSTEM_VARIABLES WHERE VARIABLE_NAME NOT IN ('GTID_BINLOG_POS', 'GTID_CURRENT_POS', 'GTID_BINLOG_STATE', 'TIMESTAMP')").Scan(&settings); err != nil {
		t.Fatal(err)
	}
	return file + position + settings
}

// What is called a read leaves nothing behind on a real server: the corpus, and texts made of pieces of it.
func TestReadsLeaveNothingBehind(t *testing.T) {
	db, watch := oracle(t), oracle(t)
	if _, err := watch.Exec("SET SESSION group_concat_max_len = 10000000"); err != nil {
		t.Fatal(err)
	}
	c := New(Options{CacheEntries: -1})
	_, texts := corpus(t)
	rounds := 4000
	if s := os.Getenv("ASSENT_ORACLE"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	seed := oracleSeed()
	r := rand.New(rand.NewPCG(seed, 1))
	ran, before := 0, effects(t, watch)
	for i := range len(texts) + rounds {
		text := mutated(r, texts)
		if i < len(texts) {
			text = texts[i]
		}
		st := c.Classify(text, State{Database: "shop", MariaDB: true})
		if !st.ReadOnly() || strings.Contains(strings.ToLower(text), "read lock") {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		rows, err := db.QueryContext(ctx, text)
		if err == nil {
			for rows.Next() {
			}
			if err = errors.Join(rows.Err(), rows.Close()); err == nil {
				ran++
			}
		}
		cancel()
		if err == nil || ran%50 == 0 {
			if after := effects(t, watch); after != before {
				t.Fatalf("seed %d: %q is called %v (%s) and left something behind", seed, text, st.Kinds, st.Harmless)
			}
		}
		if _, err := db.Exec("ROLLBACK"); err != nil && number(err) != 0 {
			t.Logf("%q: %v", text, err)
		}
		_, _ = db.Exec("USE shop")
		_, _ = db.Exec("SET autocommit = 1, sql_mode = DEFAULT")
	}
	if ran < 60 {
		t.Errorf("only %d reads ran", ran)
	}
	t.Logf("%d reads ran", ran)
}

// mutated makes a text of pieces of others.
func mutated(r *rand.Rand, texts []string) string {
	pick := func() []string { return strings.Fields(texts[r.IntN(len(texts))]) }
	words := pick()
	for range 1 + r.IntN(3) {
		other := pick()
		at, from := r.IntN(len(words)+1), r.IntN(len(other))
		piece := other[from:min(len(other), from+1+r.IntN(6))]
		switch r.IntN(4) {
		case 0: // in between
			words = append(append(append([]string{}, words[:at]...), piece...), words[at:]...)
		case 1: // instead of the rest
			words = append(append([]string{}, words[:at]...), piece...)
		case 2: // in parentheses
			words = append(append(append(append(append([]string{}, words[:at]...), "("), other...), ")"), words[at:]...)
		default:
			seps := []string{"/**/", "/*! ", "*/", "--", "-- ", "#", "\n", ";", "'", "\"", "`", "\\", "/*M!", "/*", "@", "0x41", "1e1", ".", "\t", "\r"}
			words = append(append(append([]string{}, words[:at]...), seps[r.IntN(len(seps))]), words[at:]...)
		}
	}
	return strings.Join(words, " ")
}

// The lexer reads strings as the server does: where it sees one string after SELECT, the server
// returns that string; and where it sees the end of the text, the server does too.
func TestStringsAreReadAsTheServerReadsThem(t *testing.T) {
	db := oracle(t)
	seed := oracleSeed()
	r := rand.New(rand.NewPCG(seed, 2))
	pieces := []string{"'", "'", "\"", "\"", "\\", "a", "%", "_", "n", "0", "\n", " ", "-- ", "#", "/*", "*/", "é", "`", ";", "''", "\\'", "Z", "/*!", "--"}
	compared := 0
	for range 6000 {
		var b strings.Builder
		b.WriteString("SELECT ")
		q := pieces[r.IntN(4)]
		b.WriteString(q)
		for range r.IntN(8) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		b.WriteString(q)
		if r.IntN(3) == 0 {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		text := b.String()
		tokens, why := lex(text)
		if why != "" || len(tokens) != 2 || tokens[1].kind != tokString {
			continue
		}
		var got string
		if err := db.QueryRow(text).Scan(&got); err != nil {
			t.Errorf("seed %d: %q: the server says %v, and one string is seen here", seed, text, err)
			continue
		}
		compared++
		if got != tokens[1].text {
			t.Errorf("seed %d: %q is %q to the server and %q here", seed, text, got, tokens[1].text)
		}
	}
	if compared < 200 {
		t.Errorf("only %d strings were compared", compared)
	}
}
