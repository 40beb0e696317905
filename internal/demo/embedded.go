package demo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgtype"
	wire "github.com/jeroenrinzema/psql-wire"
	"github.com/jeroenrinzema/psql-wire/codes"
	pgerror "github.com/jeroenrinzema/psql-wire/errors"
	"github.com/jeroenrinzema/psql-wire/pkg/buffer"
	"github.com/jeroenrinzema/psql-wire/pkg/types"
	"github.com/xdg-go/scram"
	_ "modernc.org/sqlite" // the database/sql driver behind the embedded server
)

// embedded is a database that speaks the PostgreSQL protocol over SQLite, for
// machines without PostgreSQL. It takes SCRAM-SHA-256 logins only, as the gate demands.
type embedded struct {
	db     *sql.DB
	server *wire.Server
	addr   net.Addr
	done   sync.WaitGroup
}

// definitions are what PostgreSQL prints of views and expressions: the story's tables have none.
var definitions = regexp.MustCompile(`pg_catalog\.pg_get_\w+\([^()]*\)`)

// catalogueQuery writes one of the gate's questions to the catalogue as SQLite has it. The one by
// which it asks whether anything changed has one answer: nothing does. A plan's rows are counted.
func catalogueQuery(text string) string {
	switch explained, is := strings.CutPrefix(text, "EXPLAIN (FORMAT JSON) "); {
	case is:
		return `SELECT '[{"Plan": {"Plan Rows": ' || count(*) || '}}]' FROM (` + explained + ")"
	case strings.Contains(text, "pg_catalog.hashtextextended("):
		return "SELECT 'unchanged'"
	case strings.HasPrefix(text, "SELECT pg_catalog.set_config("):
		return "SELECT ''"
	}
	return strings.ReplaceAll(definitions.ReplaceAllString(text, "NULL"), "pg_catalog.", "")
}

// catalogueSQL is as much of PostgreSQL's catalogue as a gate reads: which columns the tables have.
var catalogueSQL = []string{
	"CREATE TABLE pg_namespace (oid int, nspname text)",
	"CREATE TABLE pg_class (oid int, relname text, relnamespace int, relkind text, relpersistence text, relrowsecurity int)",
	"CREATE TABLE pg_attribute (attrelid int, attname text, attnum int, atttypid int, attisdropped int, attgenerated text)",
	"CREATE TABLE pg_attrdef (adrelid int, adnum int, adbin text)",
	"CREATE TABLE pg_inherits (inhrelid int, inhparent int)",
	"CREATE TABLE pg_foreign_table (ftrelid int, ftserver int, ftoptions text)",
	"CREATE TABLE pg_foreign_server (oid int, srvname text, srvoptions text)",
	"CREATE TABLE pg_depend (classid int, objid int, objsubid int, refclassid int, refobjid int, deptype text)",
	"CREATE TABLE pg_extension (oid int, extname text)",
	"CREATE TABLE pg_type (oid int, typname text, typnamespace int, typtype text, typbasetype int, typelem int, typrelid int)",
	"CREATE TABLE pg_constraint (conname text, contype text, contypid int, conrelid int, confrelid int, confdeltype text, confupdtype text, conbin text)",
	"CREATE TABLE pg_proc (oid int, proname text, pronamespace int, proowner int, prolang int, prokind text, provolatile text, prosecdef int, pronargdefaults int, provariadic int, proargtypes text)",
	"CREATE TABLE pg_language (oid int, lanname text)",
	"CREATE TABLE pg_aggregate (aggfnoid int, aggtransfn int, aggfinalfn int, aggcombinefn int, aggmtransfn int, aggminvtransfn int, aggmfinalfn int)",
	"CREATE TABLE pg_operator (oid int, oprname text, oprnamespace int, oprleft int, oprright int, oprcode int)",
	"CREATE TABLE pg_cast (oid int, castsource int, casttarget int, castfunc int, castcontext text)",
	"CREATE TABLE pg_rewrite (oid int, rulename text, ev_class int, ev_enabled text)",
	"CREATE TABLE pg_trigger (oid int, tgrelid int, tgname text, tgfoid int, tgtype int, tgenabled text, tgisinternal int)",
	"CREATE TABLE pg_event_trigger (evtname text, evtevent text, evtfoid int, evtenabled text)",
	"CREATE TABLE pg_policy (polrelid int, polname text, polqual text, polwithcheck text)",
	"CREATE TABLE pg_index (indrelid int, indexprs text, indpred text)",
	"INSERT INTO pg_namespace VALUES (2200, 'public')",
	"INSERT INTO pg_class SELECT 16384 + rowid, name, 2200, 'r', 'p', 0 FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'pg~_%' ESCAPE '~'",
	"INSERT INTO pg_attribute SELECT c.oid, i.name, i.cid + 1, CASE WHEN i.type LIKE '%INT%' THEN 20 WHEN i.type IN ('REAL', 'NUMERIC') THEN 701 ELSE 25 END, 0, '' FROM pg_class c, pragma_table_info(c.relname) i",
}

func startEmbedded(ctx context.Context, file, user, password string) (*embedded, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)")
	if err != nil {
		return nil, fmt.Errorf("opening the embedded database: %w", err)
	}
	for _, stmt := range append(strings.Split(seedSQL(embeddedDialect), ";\n"), catalogueSQL...) {
		if _, err := db.ExecContext(ctx, stmt); err != nil {
			return nil, fmt.Errorf("filling the embedded database: %w", err)
		}
	}
	e := &embedded{db: db}
	auth, err := scramOnly(user, password)
	if err != nil {
		return nil, err
	}
	e.server, err = wire.NewServer(e.parse, wire.SessionAuthStrategy(auth), wire.Logger(slog.New(slog.DiscardHandler)),
		wire.GlobalParameters(wire.Parameters{"standard_conforming_strings": "on", "client_encoding": "UTF8"}))
	if err != nil {
		return nil, fmt.Errorf("starting the embedded database: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the embedded database: %w", err)
	}
	e.addr = l.Addr()
	e.done.Go(func() { _ = e.server.Serve(l) })
	return e, nil
}

func (e *embedded) stop() {
	_ = e.server.Close()
	e.done.Wait()
	_ = e.db.Close()
}

// parse runs one statement on SQLite. The story's SQL means the same in both;
// what the gate asks of the catalogue finds tables of the same names.
func (e *embedded) parse(ctx context.Context, q wire.Query) (wire.PreparedStatements, error) {
	text := strings.TrimRight(strings.TrimSpace(q.Query), "; \n")
	text = catalogueQuery(text)
	verb := strings.ToUpper(strings.SplitN(text+" ", " ", 2)[0])
	switch verb {
	case "":
		return wire.Prepared(wire.NewStatement(func(_ context.Context, w wire.DataWriter, _ []wire.Parameter) error { return w.Empty() })), nil
	case "BEGIN", "COMMIT", "ROLLBACK", "SET", "DEALLOCATE", "DISCARD":
		return wire.Prepared(wire.NewStatement(func(_ context.Context, w wire.DataWriter, _ []wire.Parameter) error { return w.Complete(verb) })), nil
	case "SHOW":
		return show(ctx, strings.ToLower(strings.TrimSpace(text[len("SHOW"):])))
	case "SELECT", "WITH", "VALUES":
		return e.query(ctx, text)
	case "INSERT", "UPDATE", "DELETE":
		return wire.Prepared(wire.NewStatement(func(ctx context.Context, w wire.DataWriter, ps []wire.Parameter) error {
			res, err := e.db.ExecContext(ctx, text, arguments(ps)...)
			if err != nil {
				return sqlError(err)
			}
			n, _ := res.RowsAffected()
			tag := fmt.Sprintf("%s %d", verb, n)
			if verb == "INSERT" {
				tag = fmt.Sprintf("INSERT 0 %d", n)
			}
			return w.Complete(tag)
		}, wire.WithParameters(wire.ParseParameters(text)))), nil
	}
	return nil, pgerror.WithCode(fmt.Errorf("the embedded demo database does not know %s; install PostgreSQL for the real thing", verb), codes.FeatureNotSupported)
}

// show answers the settings that the gate reads back to know the session's state.
func show(ctx context.Context, name string) (wire.PreparedStatements, error) {
	value, ok := map[string]string{
		"role": "none", "session_authorization": wire.AuthenticatedUsername(ctx), "search_path": `"$user", public`,
		"standard_conforming_strings": "on", "client_encoding": "UTF8", "server_version": "15.0", "transaction_isolation": "serializable",
	}[name]
	if !ok {
		return nil, pgerror.WithCode(errors.New("the embedded demo database does not know this setting"), codes.UndefinedObject)
	}
	return wire.Prepared(wire.NewStatement(func(_ context.Context, w wire.DataWriter, _ []wire.Parameter) error {
		if err := w.Row([]any{value}); err != nil {
			return err
		}
		return w.Complete("SHOW")
	}, wire.WithColumns(wire.Columns{{Name: name, Oid: pgtype.TextOID, Width: -1}}))), nil
}

func (e *embedded) query(ctx context.Context, text string) (wire.PreparedStatements, error) {
	cols, err := e.columns(ctx, text)
	if err != nil {
		return nil, sqlError(err)
	}
	run := func(ctx context.Context, w wire.DataWriter, ps []wire.Parameter) error {
		rows, err := e.db.QueryContext(ctx, text, arguments(ps)...)
		if err != nil {
			return sqlError(err)
		}
		defer func() { _ = rows.Close() }()
		n := 0
		for ; rows.Next(); n++ {
			values := make([]any, len(cols))
			into := make([]any, len(cols))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				return sqlError(err)
			}
			for i, v := range values {
				if cols[i].Oid == pgtype.TextOID && v != nil {
					values[i] = fmt.Sprint(v)
				}
			}
			if err := w.Row(values); err != nil {
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return sqlError(err)
		}
		return w.Complete(fmt.Sprintf("SELECT %d", n))
	}
	return wire.Prepared(wire.NewStatement(run, wire.WithColumns(cols), wire.WithParameters(wire.ParseParameters(text)))), nil
}

// columns asks SQLite for names and declared types; an expression has none, so its first value tells.
func (e *embedded) columns(ctx context.Context, text string) (wire.Columns, error) {
	args := make([]any, len(wire.ParseParameters(text)))
	rows, err := e.db.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	declared, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	first := make([]any, len(declared))
	into := make([]any, len(declared))
	for i := range first {
		into[i] = &first[i]
	}
	if rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
	}
	out := make(wire.Columns, len(declared))
	for i, c := range declared {
		oid := uint32(pgtype.TextOID)
		_, number := first[i].(int64)
		if number || strings.HasPrefix(strings.ToUpper(c.DatabaseTypeName()), "INT") {
			oid = pgtype.Int8OID
		}
		out[i] = wire.Column{Name: c.Name(), Oid: oid, Width: -1}
	}
	return out, rows.Err()
}

func arguments(ps []wire.Parameter) []any {
	out := make([]any, len(ps))
	for i, p := range ps {
		if v := p.Value(); v != nil {
			out[i] = string(v)
		}
	}
	return out
}

// sqlError gives SQLite's words the SQLSTATE that fits most of them.
func sqlError(err error) error { return pgerror.WithCode(err, codes.Syntax) }

// scramOnly is a login by SCRAM-SHA-256 (RFC 5802, RFC 7677): nothing else is offered.
func scramOnly(user, password string) (wire.AuthStrategy, error) {
	client, err := scram.SHA256.NewClient(user, password, "")
	if err != nil {
		return nil, fmt.Errorf("preparing the embedded database's login: %w", err)
	}
	var salt [16]byte
	_, _ = rand.Read(salt[:])
	keys, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt[:]), Iters: 4096})
	if err != nil {
		return nil, fmt.Errorf("preparing the embedded database's login: %w", err)
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return keys, nil })
	if err != nil {
		return nil, fmt.Errorf("preparing the embedded database's login: %w", err)
	}
	return func(ctx context.Context, w *buffer.Writer, r *buffer.Reader) (context.Context, error) {
		if wire.AuthenticatedUsername(ctx) != user {
			return ctx, errors.New("unknown user")
		}
		return ctx, scramExchange(server.NewConversation(), w, r)
	}, nil
}

const (
	authSASL         = 10
	authSASLContinue = 11
	authSASLFinal    = 12
)

func scramExchange(conv *scram.ServerConversation, w *buffer.Writer, r *buffer.Reader) error {
	if err := sendAuth(w, authSASL, "SCRAM-SHA-256\x00\x00"); err != nil {
		return err
	}
	if t, _, err := r.ReadTypedMsg(); err != nil || t != types.ClientPassword {
		return errors.New("a SASL answer was expected")
	}
	mechanism, err := r.GetString()
	if err != nil || mechanism != "SCRAM-SHA-256" {
		return errors.New("only SCRAM-SHA-256 is offered")
	}
	n, err := r.GetUint32()
	if err != nil {
		return err
	}
	first, err := r.GetBytes(int(n))
	if err != nil {
		return err
	}
	challenge, err := conv.Step(string(first))
	if err != nil {
		return err
	}
	if err := sendAuth(w, authSASLContinue, challenge); err != nil {
		return err
	}
	t, _, err := r.ReadTypedMsg()
	if err != nil || t != types.ClientPassword {
		return errors.New("a SASL answer was expected")
	}
	proof, err := r.GetBytes(len(r.Msg))
	if err != nil {
		return err
	}
	final, err := conv.Step(string(proof))
	if err != nil || !conv.Valid() {
		return errors.New("the login was refused")
	}
	if err := sendAuth(w, authSASLFinal, final); err != nil {
		return err
	}
	return sendAuth(w, 0, "")
}

func sendAuth(w *buffer.Writer, kind int32, data string) error {
	w.Start(types.ServerAuth)
	w.AddInt32(kind)
	if data != "" {
		w.AddBytes([]byte(data))
	}
	return w.End()
}

func newPassword() string {
	var b [24]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
