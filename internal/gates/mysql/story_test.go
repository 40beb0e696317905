package mysql_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	sqldriver "github.com/go-sql-driver/mysql"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/gates/mysql"
)

const plantedEmail = "mira.planted@example.com"

// serve runs a gate in front of the real server and returns its address.
func serve(t *testing.T, a gate.Authority, change func(*mysql.Config)) string {
	t.Helper()
	g := newGate(t, "127.0.0.1:"+strconv.Itoa(server(t).Port), a, change)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// open connects the Go driver; params as in its DSN.
func open(t *testing.T, addr, params string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/shop?%s", gatetest.User, gatetest.Token, addr, params))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// hidden masks the planted address wherever it stands.
func hidden() *gatetest.Authority {
	return &gatetest.Authority{Mask: func(v []byte) []byte {
		return bytes.ReplaceAll(v, []byte(plantedEmail), []byte("***"))
	}}
}

func customers(t *testing.T) {
	direct(t, "DROP VIEW IF EXISTS contacts", "DROP TABLE IF EXISTS customers",
		"CREATE TABLE customers (id int PRIMARY KEY, email varchar(100), born date, seen datetime(6), at time, score double, total decimal(10,2), big bigint unsigned, note blob, doc json, small tinyint, f float, y year, b bit(4))",
		"INSERT INTO customers VALUES (1, '"+plantedEmail+"', '1990-02-03', '2024-05-06 07:08:09.123456', '-12:13:14', 1.5, 12.34, 18446744073709551615, 'raw "+plantedEmail+"', '{\"mail\": \""+plantedEmail+"\"}', -3, 0.25, 1999, b'1010'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
		"CREATE VIEW contacts AS SELECT id, email AS contact FROM customers")
}

// Every type passes the gate as the server sends it, in both protocols, and what is masked is masked in both.
func TestRowsInBothProtocols(t *testing.T) {
	customers(t)
	read := func(db *sql.DB, prepared bool) [][]string {
		q := "SELECT * FROM customers ORDER BY id"
		var rows *sql.Rows
		var err error
		if prepared {
			st, perr := db.Prepare(q + " LIMIT ?")
			if perr != nil {
				t.Fatal(perr)
			}
			defer st.Close()
			rows, err = st.Query(10)
		} else {
			rows, err = db.Query(q)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		names, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		var out [][]string
		for rows.Next() {
			values := make([]sql.NullString, len(names))
			dest := make([]any, len(names))
			for i := range values {
				dest[i] = &values[i]
			}
			if err := rows.Scan(dest...); err != nil {
				t.Fatal(err)
			}
			var row []string
			for _, v := range values {
				row = append(row, fmt.Sprintf("%v:%q", v.Valid, v.String))
			}
			out = append(out, row)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	beside, err := sql.Open("mysql", fmt.Sprintf("app:%s@tcp(127.0.0.1:%d)/shop", realPassword, server(t).Port))
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	for _, prepared := range []bool{false, true} {
		want := read(beside, prepared)
		if got := read(open(t, serve(t, &gatetest.Authority{}, nil), ""), prepared); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("prepared %v: through the gate %v, beside it %v", prepared, got, want)
		}
		got := read(open(t, serve(t, hidden(), nil), ""), prepared)
		for i, row := range want {
			for j := range row {
				if w := strings.ReplaceAll(row[j], plantedEmail, "***"); got[i][j] != w {
					t.Errorf("prepared %v, masked: %s where %s is expected", prepared, got[i][j], w)
				}
			}
		}
	}
}

// What is asked about a statement: kinds, columns with their sources, through a view too.
func TestWhatIsAsked(t *testing.T) {
	customers(t)
	a := &gatetest.Authority{}
	db := open(t, serve(t, a, func(c *mysql.Config) {
		c.Class = func(source string) string {
			if strings.HasSuffix(source, "customers.email") {
				return "email"
			}
			return ""
		}
	}), "")
	for _, q := range []string{"SELECT contact FROM contacts WHERE id = 1", "SELECT * FROM contacts", "SELECT upper(contact), reverse(contact) FROM contacts WHERE contact LIKE 'm%'"} {
		rows, err := db.Query(q)
		if err != nil {
			t.Fatal(err)
		}
		drain(t, rows)
	}
	asked := a.Actions()
	if len(asked) != 3 {
		t.Fatalf("asked about %d", len(asked))
	}
	for i, act := range asked {
		if !slices.Equal(act.Kinds, []action.Kind{action.DataRead}) {
			t.Errorf("%s: kinds %v", act.Statement, act.Kinds)
		}
		c := act.Columns[len(act.Columns)-1]
		if !slices.Contains(c.Sources, "shop.customers.email") {
			t.Errorf("%s: %s comes from %v", act.Statement, c.Name, c.Sources)
		}
		if i == 2 && (!c.Turned || !act.Data.Inferred || !slices.Contains(act.Data.InferredOf, "email")) {
			t.Errorf("%s: turned %v, inferred %v of %v", act.Statement, c.Turned, act.Data.Inferred, act.Data.InferredOf)
		}
	}
}

// What the gate refuses by itself, and what it asks about as unknown: the bypass corpus runs by classify/mysql; these
// are the protocol's.
func TestRefused(t *testing.T) {
	customers(t)
	a := &gatetest.Authority{Decide: func(_ context.Context, act *action.Action, _ func(gate.Held)) error {
		if slices.Equal(act.Kinds, []action.Kind{action.DataRead}) {
			return nil
		}
		return &gate.Denied{Status: gate.StatusDenied, Reason: "only reads here"}
	}}
	addr := serve(t, a, nil)
	db := open(t, addr, "multiStatements=true&allowAllFiles=true")
	for q, want := range map[string]string{
		"SELECT 1; DROP TABLE customers":                             "only reads",
		"LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE customers":  "LOAD DATA LOCAL",
		"PREPARE s FROM 'DROP TABLE customers'":                      "PREPARE",
		"EXECUTE IMMEDIATE 'DROP TABLE customers'":                   "PREPARE",
		"SET sql_mode = 'ANSI_QUOTES'":                               "SQL mode",
		"SET sql_mode = concat(@@sql_mode, ',NO_BACKSLASH_ESCAPES')": "SQL mode",
		"SET NAMES gbk":                   "UTF-8",
		"SET character_set_client = sjis": "UTF-8",
		"SELECT /*!50000 1 */":            "only reads",
		"SELECT /*M!100000 1 */":          "only reads",
		"SELECT * FROM customers INTO OUTFILE '/tmp/assent-never'": "only reads",
		"SELECT sleep(0)":                 "only reads",
		"CALL nothing()":                  "only reads",
		"SET GLOBAL max_connections = 10": "only reads",
		"SET STATEMENT sql_mode='ANSI_QUOTES' FOR SELECT \"id\" FROM shop": "only reads",
		"SELECT '\xff'": "UTF-8",
	} {
		_, err := db.Exec(q)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", q, err, want)
		}
	}
	var n int
	if err := db.QueryRow("SELECT count(*) FROM customers").Scan(&n); err != nil || n != 2 {
		t.Errorf("the session does not live on: %d, %v", n, err)
	}
	if _, err := open(t, addr, "charset=gbk").Exec("SELECT 1"); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("charset=gbk: %v", err)
	}
	wrong, err := sql.Open("mysql", fmt.Sprintf("%s:wrong@tcp(%s)/shop", gatetest.User, addr))
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	nobody, err := sql.Open("mysql", fmt.Sprintf("nobody:%s@tcp(%s)/shop", gatetest.Token, addr))
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	one, two := wrong.Ping(), nobody.Ping()
	if one == nil || two == nil || one.Error() != two.Error() {
		t.Errorf("a wrong token says %v and a wrong user %v", one, two)
	}
}

// Errors of the server keep their number and lose the values that they quote.
func TestErrorsShowNoValues(t *testing.T) {
	customers(t)
	direct(t, "CREATE UNIQUE INDEX one ON customers (email)")
	db := open(t, serve(t, &gatetest.Authority{}, nil), "")
	_, err := db.Exec("INSERT INTO customers (id, email) SELECT 3, email FROM customers WHERE id = 1")
	var my *sqldriver.MySQLError
	if !errors.As(err, &my) || my.Number != 1062 || strings.Contains(my.Message, "planted") {
		t.Errorf("a duplicate: %v", err)
	}
	if _, err := db.Exec("SELECT nothing FROM customers"); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("an unknown column: %v", err)
	}
}

// The session's pins are put right when a server brings others, and found when code changes them.
func TestPinsAreReadBack(t *testing.T) {
	customers(t)
	direct(t, "DROP PROCEDURE IF EXISTS turn", "SET GLOBAL sql_mode = 'ANSI_QUOTES,STRICT_TRANS_TABLES'", "SET GLOBAL init_connect = 'SET NAMES latin1'")
	defer direct(t, "SET GLOBAL sql_mode = DEFAULT", "SET GLOBAL init_connect = ''")
	db := open(t, serve(t, &gatetest.Authority{}, nil), "")
	var mode, s string
	if err := db.QueryRow(`SELECT @@sql_mode, "text"`).Scan(&mode, &s); err != nil || strings.Contains(mode, "ANSI") || s != "text" {
		t.Errorf("mode %q, %q, %v", mode, s, err)
	}
	if _, err := db.Exec("SET sql_mode = 'STRICT_ALL_TABLES'"); err != nil {
		t.Error(err)
	}
}

// Variables carry what was put into them.
func TestVariablesAreFollowed(t *testing.T) {
	customers(t)
	a := &gatetest.Authority{}
	db := open(t, serve(t, a, nil), "")
	for _, q := range []string{"SET @x = (SELECT email FROM customers WHERE id = 1)", "SELECT @x FROM customers"} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	last := a.Actions()[1]
	if !slices.Contains(last.Columns[0].Sources, "shop.customers.email") || !last.Columns[0].Turned {
		t.Errorf("@x comes from %+v", last.Columns)
	}
	// A statement that fails has put the first of its rows in.
	if _, err := db.Exec("SET @x = NULL"); err != nil {
		t.Fatal(err)
	}
	fresh := open(t, serve(t, a, nil), "")
	if _, err := fresh.Exec("SELECT note INTO @y FROM customers"); err == nil {
		t.Error("two rows went into one variable")
	}
	if _, err := fresh.Exec("SELECT @y FROM customers"); err != nil {
		t.Fatal(err)
	}
	all := a.Actions()
	if last = all[len(all)-1]; !slices.Contains(last.Columns[0].Sources, "shop.customers.note") {
		t.Errorf("@y comes from %+v", last.Columns)
	}
	for _, q := range []string{"CREATE TEMPORARY TABLE t1 AS SELECT email AS e FROM customers", "SELECT e FROM t1"} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	all = a.Actions()
	if last = all[len(all)-1]; !slices.Contains(last.Columns[0].Sources, "shop.customers.email") {
		t.Errorf("e comes from %+v", last.Columns)
	}
}

// A write to a table with a trigger runs code, and a call too.
func TestTriggersAndViewsInTheDigest(t *testing.T) {
	customers(t)
	direct(t, "DROP TABLE IF EXISTS watched", "CREATE TABLE watched (id int)", "CREATE TRIGGER w BEFORE INSERT ON watched FOR EACH ROW SET NEW.id = NEW.id + 1")
	a := &gatetest.Authority{}
	db := open(t, serve(t, a, nil), "")
	if _, err := db.Exec("INSERT INTO watched VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	if k := a.Actions()[0].Kinds; !slices.Contains(k, action.Execute) {
		t.Errorf("an insert with a trigger is %v", k)
	}
	read := func() map[string]string {
		rows, err := db.Query("SELECT contact FROM contacts")
		if err != nil {
			t.Fatal(err)
		}
		drain(t, rows)
		all := a.Actions()
		return all[len(all)-1].State
	}
	before := read()
	if _, err := db.Exec("ALTER VIEW contacts AS SELECT id, concat(email) AS contact FROM customers"); err != nil {
		t.Fatal(err)
	}
	if after := read(); after["definitions"] == before["definitions"] || after["definitions"] == "" {
		t.Errorf("the view's definition is not in the state: %v", after)
	}
}

// A held statement is called off by KILL QUERY from another session of the same agent.
func TestKillOfWhatWaits(t *testing.T) {
	customers(t)
	held := make(chan struct{})
	a := &gatetest.Authority{Decide: func(ctx context.Context, act *action.Action, tell func(gate.Held)) error {
		if act.Verb != "update" {
			return nil
		}
		tell(gate.Held{ID: "apr_1", Expires: time.Now().Add(time.Hour)})
		close(held)
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	addr := serve(t, a, nil)
	var tap *tapped
	cfg := sqldriver.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = gatetest.User, gatetest.Token, "tcp", addr, "shop"
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		tap = &tapped{Conn: c}
		return tap, err
	}
	connector, err := sqldriver.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	done := make(chan error, 1)
	go func() { _, err := conn.ExecContext(t.Context(), "UPDATE customers SET score = 1"); done <- err }()
	<-held
	if _, err := open(t, addr, "").Exec("KILL QUERY " + strconv.FormatUint(uint64(tap.id()), 10)); err != nil {
		t.Fatal(err)
	}
	var my *sqldriver.MySQLError
	if err := <-done; !errors.As(err, &my) || my.Number != 1317 {
		t.Errorf("the held statement ended with %v", err)
	}
}

// TLS on both sides, ed25519 upstream, and the token by Debian's own client.
func TestLogins(t *testing.T) {
	customers(t)
	s := server(t)
	pair := pairFor(t)
	secured := func(c *mysql.Config) {
		c.ClientTLS, c.RequireClientTLS = &tls.Config{Certificates: []tls.Certificate{pair}}, true
		c.Upstream.Plain, c.Upstream.TLS = false, &tls.Config{RootCAs: s.Roots}
	}
	if err := sqldriver.RegisterTLSConfig("gate", &tls.Config{RootCAs: poolOf(t, pair), ServerName: "localhost"}); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, &gatetest.Authority{}, secured)
	var n int
	if err := open(t, addr, "tls=gate").QueryRow("SELECT count(*) FROM customers").Scan(&n); err != nil || n != 2 {
		t.Errorf("over TLS: %d, %v", n, err)
	}
	if err := open(t, addr, "tls=false").Ping(); err == nil || !strings.Contains(err.Error(), "requires TLS") {
		t.Errorf("without TLS: %v", err)
	}
	signed := serve(t, &gatetest.Authority{}, func(c *mysql.Config) { c.Upstream.User = "signer" })
	if err := open(t, signed, "").QueryRow("SELECT count(*) FROM customers").Scan(&n); err != nil || n != 2 {
		t.Errorf("by ed25519: %d, %v", n, err)
	}
	refused := serve(t, &gatetest.Authority{}, func(c *mysql.Config) {
		c.Upstream.Password = func(context.Context) ([]byte, error) { return []byte("another"), nil }
	})
	if err := open(t, refused, "").Ping(); err == nil || strings.Contains(err.Error(), "app") {
		t.Errorf("a wrong real credential: %v", err)
	}
	for name, args := range map[string][]string{"tls": {"--ssl", addr}, "plain": {"--skip-ssl", signed}} {
		host, port, _ := net.SplitHostPort(args[1])
		cmd := exec.CommandContext(t.Context(), "mariadb", "--no-defaults", args[0], "--host="+host, "--port="+port, "--user="+gatetest.User, "--password="+gatetest.Token, "--default-character-set=utf8mb4",
			"--batch", "--skip-column-names", "-e", "USE shop; SELECT id FROM customers ORDER BY id; SHOW TABLES LIKE 'cust%'; DESCRIBE customers", "shop")
		out, err := cmd.CombinedOutput()
		if err != nil || !regexp.MustCompile(`(?s)^1\n2\ncustomers\nid\tint`).Match(out) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// Messages longer than one packet, both ways; and more than the gate takes.
func TestLongMessages(t *testing.T) {
	direct(t, "DROP TABLE IF EXISTS longs", "CREATE TABLE longs (id int, v longblob)")
	db := open(t, serve(t, &gatetest.Authority{}, nil), "maxAllowedPacket=67108864")
	for _, n := range []int{1<<24 - 1 - 60, 1<<24 - 1, 1<<24 + 5, 20 << 20} {
		v := bytes.Repeat([]byte("abcdefgh"), n/8+1)[:n]
		if _, err := db.Exec("DELETE FROM longs"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("INSERT INTO longs VALUES (?, ?)", 1, v); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		var got []byte
		if err := db.QueryRow("SELECT v FROM longs").Scan(&got); err != nil || !bytes.Equal(got, v) {
			t.Fatalf("%d bytes: %d come back, %v", n, len(got), err)
		}
	}
	small := open(t, serve(t, &gatetest.Authority{}, func(c *mysql.Config) { c.MaxMessage = 1 << 20 }), "maxAllowedPacket=67108864")
	if _, err := small.Exec("INSERT INTO longs VALUES (?, ?)", 1, make([]byte, 2<<20)); err == nil {
		t.Error("2 MiB passed a gate that takes one")
	}
}

// The server looks a prepared statement's names up in the database in which it was prepared, and so does the gate.
func TestPreparedInAnotherDatabase(t *testing.T) {
	customers(t)
	direct(t, "CREATE DATABASE IF NOT EXISTS other", "DROP TABLE IF EXISTS other.customers", "CREATE TABLE other.customers (id int, email varchar(10))")
	a := &gatetest.Authority{}
	db := open(t, serve(t, a, nil), "")
	st, err := db.Prepare("SELECT email FROM customers WHERE id = ?")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := db.Exec("USE other"); err != nil {
		t.Fatal(err)
	}
	var email string
	if err := st.QueryRow(1).Scan(&email); err != nil || email != plantedEmail {
		t.Fatalf("%q, %v", email, err)
	}
	if act := a.Actions()[0]; !slices.Equal(act.Objects, []string{"shop.customers"}) || act.State["database"] != "shop" {
		t.Errorf("asked about %v in %q", act.Objects, act.State["database"])
	}
	if err := db.QueryRow("SELECT email FROM customers").Scan(&email); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("in the other database: %q, %v", email, err)
	}
}

// Warnings quote values as errors do, and code may raise either with any text.
func TestWarningsShowNoValues(t *testing.T) {
	customers(t)
	direct(t, "DROP PROCEDURE IF EXISTS tell", "DELIMITER //\nCREATE PROCEDURE tell() BEGIN DECLARE m text; SELECT email INTO m FROM customers WHERE id = 1; SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1146, MESSAGE_TEXT = m; END//\nDELIMITER ;")
	db := open(t, serve(t, &gatetest.Authority{}, nil), "")
	if _, err := db.Exec("SELECT email + 0 FROM customers"); err != nil {
		t.Fatal(err)
	}
	var level, text string
	var number int
	if err := db.QueryRow("SHOW WARNINGS").Scan(&level, &number, &text); err != nil || strings.Contains(text, "planted") || number != 1292 {
		t.Errorf("a warning: %d %q, %v", number, text, err)
	}
	if _, err := db.Exec("CALL tell()"); err == nil || strings.Contains(err.Error(), "planted") {
		t.Errorf("an error that code raised: %v", err)
	}
	if err := db.QueryRow("SHOW ERRORS").Scan(&level, &number, &text); err == nil && strings.Contains(text, "planted") {
		t.Errorf("SHOW ERRORS: %q", text)
	}
}

// A generated column is what it is made of.
func TestGeneratedColumns(t *testing.T) {
	direct(t, "DROP TABLE IF EXISTS made", "CREATE TABLE made (id int, email varchar(100), shown varchar(100) AS (email) VIRTUAL, back varchar(100) AS (reverse(email)) STORED)", "INSERT INTO made (id, email) VALUES (1, '"+plantedEmail+"')")
	a := &gatetest.Authority{}
	db := open(t, serve(t, a, nil), "")
	rows, err := db.Query("SELECT shown, back FROM made")
	if err != nil {
		t.Fatal(err)
	}
	drain(t, rows)
	cols := a.Actions()[0].Columns
	if !slices.Contains(cols[0].Sources, "shop.made.email") || cols[0].Turned || !slices.Contains(cols[1].Sources, "shop.made.email") || !cols[1].Turned {
		t.Errorf("asked about %+v", cols)
	}
}

// Where the gate's account may not see triggers, any write may run code.
func TestTriggersThatCannotBeSeen(t *testing.T) {
	direct(t, "DROP TABLE IF EXISTS unseen", "CREATE TABLE unseen (id int)", "CREATE OR REPLACE USER few@'127.0.0.1' IDENTIFIED BY '"+realPassword+"'", "GRANT SELECT, INSERT ON shop.* TO few@'127.0.0.1'")
	for _, sees := range []bool{false, true} {
		if sees {
			direct(t, "GRANT TRIGGER ON shop.unseen TO few@'127.0.0.1'")
		}
		a := &gatetest.Authority{}
		db := open(t, serve(t, a, func(c *mysql.Config) { c.Upstream.User = "few" }), "")
		if _, err := db.Exec("INSERT INTO unseen VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		if k := a.Actions()[0].Kinds; slices.Contains(k, action.Execute) == sees {
			t.Errorf("triggers seen %v: an insert is %v", sees, k)
		}
	}
}

// What was approved is asked again when a view was replaced meanwhile.
func TestReplacedWhileHeld(t *testing.T) {
	customers(t)
	a := &gatetest.Authority{Decide: func(ctx context.Context, act *action.Action, tell func(gate.Held)) error {
		tell(gate.Held{ID: "apr_1", Expires: time.Now().Add(time.Hour)})
		direct(t, "CREATE OR REPLACE VIEW contacts AS SELECT id, note AS contact FROM customers")
		return nil
	}}
	db := open(t, serve(t, a, nil), "")
	if _, err := db.Exec("SELECT contact FROM contacts"); err == nil || !strings.Contains(err.Error(), "changed while it waited") {
		t.Errorf("a view that was replaced: %v", err)
	}
}
