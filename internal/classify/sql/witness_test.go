package sql

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/assenthq/assent/internal/pgcluster"
)

// oracle is a private PostgreSQL without background writers, so that whatever
// moves was moved by the statement that just ran.
type oracle struct{ *pgcluster.Cluster }

// settings of the oracle. Nothing but the sessions under test may take
// transaction ids; the server says little, since thousands of errors are expected.
var oracleSettings = map[string]string{
	"autovacuum": "off", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_prepared_transactions": "10",
	"max_logical_replication_workers": "0", "log_min_messages": "panic", "log_min_error_statement": "panic",
	"allow_in_place_tablespaces": "on", "timezone": "PST8PDT", "datestyle": "Postgres, MDY", "jit": "off",
}

// startOracle starts a server that lets every role in from loopback: roles that
// statements make have no password.
func startOracle(t testing.TB) *oracle {
	t.Helper()
	dir, err := os.MkdirTemp("", "assent-oracle-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	hba := filepath.Join(dir, "hba.conf")
	if err := os.WriteFile(hba, []byte("host all all 127.0.0.1/32 trust\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the server runs as another user
		t.Fatal(err)
	}
	settings := map[string]string{"hba_file": hba}
	for k, v := range oracleSettings {
		settings[k] = v
	}
	c, err := pgcluster.Start(context.Background(), pgcluster.Options{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	return &oracle{c}
}

func (o *oracle) connect(t testing.TB, user, db string) *pgconn.PgConn {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	conn, err := pgconn.Connect(ctx, "host=127.0.0.1 sslmode=disable port="+strconv.Itoa(o.Port)+" user='"+user+"' dbname='"+db+"'")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// witness is a second session that sees what the one under test moves, without
// being in its transaction.
type witness struct {
	mu   sync.Mutex
	conn *pgconn.PgConn
}

func newWitness(t testing.TB, o *oracle, db string) *witness {
	w := &witness{conn: o.connect(t, o.User, db)}
	if _, err := w.conn.Exec(context.Background(), "SET lock_timeout = '20ms'").ReadAll(); err != nil {
		t.Fatal(err)
	}
	return w
}

// sight is what can be seen of a server from outside a transaction.
type sight struct {
	xid       int64 // the next transaction id: a write takes one, also inside a transaction that has one, under a savepoint
	sequences string
	advisory  string
	files     string // in the folder of the data directory where a statement may write
}

// moved names what differs between two sights.
func (s sight) moved(later sight) []string {
	var out []string
	if s.xid != later.xid {
		out = append(out, "took a transaction id")
	}
	// "" is unknown: the sequence was locked by the transaction under test.
	if s.sequences != later.sequences && s.sequences != "" && later.sequences != "" {
		out = append(out, "moved a sequence")
	}
	if s.advisory != later.advisory {
		out = append(out, "took or gave up an advisory lock")
	}
	if s.files != later.files {
		out = append(out, "wrote a file")
	}
	return out
}

// look sees the server, and the advisory locks of session pid.
func (w *witness) look(pid uint32) (sight, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	const sequences = `SELECT count(*) || ':' || coalesce(sum(pg_sequence_last_value(oid)), 0) FROM pg_class WHERE relkind = 'S' AND relpersistence <> 't'`
	const rest = `SELECT age('3'::xid),
		(SELECT count(*) || ':' || coalesce(sum(classid::int8 + objid::int8 * 3), 0) FROM pg_locks WHERE locktype = 'advisory' AND pid = %d),
		(SELECT coalesce(string_agg(name, ' '), '') FROM pg_ls_dir('.') AS name WHERE name LIKE 'oracle%%'), (%s)`
	r, err := w.conn.Exec(ctx, fmt.Sprintf(rest, pid, sequences)).ReadAll()
	if err != nil { // a sequence is locked by the transaction under test, or just dropped
		r, err = w.conn.Exec(ctx, fmt.Sprintf(rest, pid, "''")).ReadAll()
	}
	if err != nil {
		return sight{}, fmt.Errorf("looking at the server from outside: %w", err)
	}
	row := r[0].Rows[0]
	xid, err := strconv.ParseInt(string(row[0]), 10, 64)
	return sight{xid: xid, advisory: string(row[1]), files: string(row[2]), sequences: string(row[3])}, err
}

// views returns the definitions of the views among objects, and of those that
// they name, as the session under test would find them.
func (w *witness) views(objects []string, searchPath string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(objects) == 0 {
		return nil, nil
	}
	r := w.conn.ExecParams(context.Background(), `WITH RECURSIVE path AS (SELECT set_config('search_path', $2, true)), v(oid) AS (
			SELECT to_regclass(o)::oid FROM path, unnest($1::text[]) AS o
			UNION SELECT d.refobjid FROM v JOIN pg_rewrite r ON r.ev_class = v.oid JOIN pg_depend d ON d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
		) SELECT pg_get_viewdef(c.oid) FROM v JOIN pg_class c ON c.oid = v.oid WHERE c.relkind = 'v'`,
		[][]byte{[]byte("{" + strings.Join(arrayOf(objects), ",") + "}"), []byte(searchPath)}, nil, nil, nil).Read()
	if r.Err != nil {
		return nil, fmt.Errorf("asking for views: %w", r.Err)
	}
	var out []string
	for _, row := range r.Rows {
		out = append(out, string(row[0]))
	}
	return out, nil
}

// arrayOf writes names as elements of an array literal.
func arrayOf(names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, strconv.Quote(n))
	}
	return out
}

// sessionQuery tells what a session has become. All names are qualified: the
// session may have put anything in front of pg_catalog.
const sessionQuery = `SELECT session_user, current_user, pg_catalog.current_setting('search_path'),
	pg_catalog.concat_ws('|', pg_catalog.current_setting('standard_conforming_strings'), pg_catalog.current_setting('client_encoding'),
		pg_catalog.current_setting('backslash_quote'), pg_catalog.current_setting('transform_null_equals'),
		pg_catalog.current_setting('row_security'), pg_catalog.current_setting('session_replication_role'),
		pg_catalog.current_setting('default_transaction_read_only'), pg_catalog.current_setting('transaction_read_only'),
		pg_catalog.current_setting('check_function_bodies'), pg_catalog.current_setting('temp_tablespaces'),
		pg_catalog.current_setting('default_tablespace'), pg_catalog.current_setting('datestyle')),
	(SELECT pg_catalog.string_agg(p.name, ',' ORDER BY p.name) FROM pg_catalog.pg_prepared_statement() AS p WHERE p.from_sql),
	(SELECT pg_catalog.string_agg(c.name, ',' ORDER BY c.name) FROM pg_catalog.pg_cursor() AS c),
	(SELECT pg_catalog.string_agg(l, ',') FROM pg_catalog.pg_listening_channels() AS l),
	(SELECT pg_catalog.string_agg(r.relname, E'\n') FROM pg_catalog.pg_class AS r
		WHERE r.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() AND r.relkind OPERATOR(pg_catalog.<>) 'i')`

// mood is what a session has become.
type mood struct {
	session, role, searchPath, settings  string
	prepared, cursors, listening, tables string
}

func moodOf(row []string) mood {
	return mood{row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]}
}

// state is what the classifier is told of the session.
func (m mood) state() State {
	st := State{Role: m.role, SearchPath: m.searchPath, ServerVersion: oracleVersion}
	for _, name := range strings.Fields(m.tables) {
		st.Temp = append(st.Temp, Temp{Name: name})
	}
	return st
}

// changed names what differs between two moods and is announced by nothing in
// the statements that ran between them.
func (m mood) changed(later mood, ran []Statement) []string {
	var session, prepared, cursor, listen bool
	for i := range ran {
		s := &ran[i]
		tx := s.Tx.Op != TxNone // ends a transaction, and with it what was set or declared in it
		session = session || tx || len(s.Session) > 0
		prepared = prepared || s.Prepare != nil || s.Deallocate != ""
		cursor = cursor || tx || s.Cursor != nil
		listen = listen || s.Verb == "listen" || s.Verb == "unlisten"
	}
	var out []string
	if !session && (m.session != later.session || m.role != later.role || m.searchPath != later.searchPath || m.settings != later.settings) {
		out = append(out, "changed a setting")
	}
	if !prepared && m.prepared != later.prepared {
		out = append(out, "changed the prepared statements")
	}
	if !cursor && m.cursors != later.cursors {
		out = append(out, "changed the cursors")
	}
	if !listen && m.listening != later.listening {
		out = append(out, "changed what is listened to")
	}
	return out
}
