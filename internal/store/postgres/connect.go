package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/assenthq/assent/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

var schemaName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`)

// session is set on every connection: a process that is stopped or has vanished
// with the head locked is cut off by the server, and holds up the others only so long.
var session = map[string]string{
	"application_name":                    "assent",
	"client_encoding":                     "UTF8",
	"timezone":                            "UTC",
	"idle_in_transaction_session_timeout": "4000",
	"lock_timeout":                        "8000",
	"statement_timeout":                   "10000",
	"client_connection_check_interval":    "2000",
	"tcp_keepalives_idle":                 "2",
	"tcp_keepalives_interval":             "1",
	"tcp_keepalives_count":                "3",
	"tcp_user_timeout":                    "5000",
	// Plans are made while tables are small and kept while they grow: reading a whole
	// table is never the way. Its price would have plans compiled, which takes longer still.
	"enable_seqscan": "off",
	"jit":            "off",
}

// CheckURL errs unless u names a PostgreSQL database, without a password and
// under TLS that checks the server, or on this machine.
func CheckURL(u string) error {
	_, err := parse(u)
	return err
}

func parse(text string) (*pgxpool.Config, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("the store's URL is not of the form postgres://user@host:port/database") // the text may hold a secret
	}
	q := u.Query()
	if _, has := u.User.Password(); has || q.Has("password") {
		return nil, errors.New("the store's URL holds a password: name its source under store.password instead")
	}
	if q.Get("sslmode") == "" && !isLocal(u.Hostname()) && !isLocal(q.Get("host")) {
		q.Set("sslmode", "verify-full")
		u.RawQuery = q.Encode()
	}
	c, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, errors.New("the store's URL can't be read: see the parameters of a libpq connection URI")
	}
	hosts := []struct {
		name string
		tls  bool
	}{{c.ConnConfig.Host, verified(c.ConnConfig.TLSConfig != nil && !c.ConnConfig.TLSConfig.InsecureSkipVerify, c.ConnConfig.TLSConfig != nil && c.ConnConfig.TLSConfig.ServerName != "")}}
	for _, f := range c.ConnConfig.Fallbacks {
		hosts = append(hosts, struct {
			name string
			tls  bool
		}{f.Host, f.TLSConfig != nil && verified(!f.TLSConfig.InsecureSkipVerify, f.TLSConfig.ServerName != "")})
	}
	for _, h := range hosts {
		if !h.tls && !isLocal(h.name) {
			return nil, fmt.Errorf("the store's URL would let %s be reached without checking who answers: use sslmode=verify-full, with sslrootcert= if the certificate is your own", h.name)
		}
	}
	return c, nil
}

func verified(chain, name bool) bool { return chain && name }

// isLocal reports whether host is this machine: a socket's directory or loopback.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}

// configure prepares connecting; it connects nowhere yet.
func (s *Store) configure() error {
	c, err := parse(s.o.URL)
	if err != nil {
		return err
	}
	if !schemaName.MatchString(s.o.Schema) {
		return fmt.Errorf("%q is no name for a schema: use lower-case letters, digits and _", s.o.Schema)
	}
	cc := c.ConnConfig
	for k, v := range session {
		cc.RuntimeParams[k] = v
	}
	cc.RuntimeParams["search_path"] = s.o.Schema
	cc.ConnectTimeout = 5 * time.Second
	cc.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // the primary, of several hosts
	cc.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}}).DialContext
	password := func(ctx context.Context, cc *pgx.ConnConfig) error {
		if s.o.Password == nil {
			return nil
		}
		p, err := s.o.Password(ctx)
		cc.Password = string(p)
		return err
	}
	s.connect = func(ctx context.Context) (*pgx.Conn, error) {
		own := cc.Copy()
		if err := password(ctx, own); err != nil {
			return nil, err
		}
		conn, err := pgx.ConnectConfig(ctx, own)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		if err := durable(ctx, conn); err != nil {
			return nil, errors.Join(err, closeConn(conn))
		}
		return conn, nil
	}
	c.MaxConns, c.MinConns = poolSize, 1
	c.BeforeConnect = password
	c.MaxConnIdleTime = 5 * time.Minute
	c.PingTimeout = 5 * time.Second
	s.pool, err = pgxpool.NewWithConfig(context.Background(), c)
	return err
}

// durable refuses a server whose commits are not.
func durable(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var version int
	var fsync, pages, commit, encoding string
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync'),
		current_setting('full_page_writes'), current_setting('synchronous_commit'), current_setting('server_encoding')`).
		Scan(&version, &fsync, &pages, &commit, &encoding)
	switch {
	case err != nil:
		return fmt.Errorf("asking the server for its settings: %w", err)
	case version < 140000:
		return fmt.Errorf("the server is PostgreSQL %d: 14 or newer is needed", version/10000)
	case fsync != "on" || pages != "on":
		return fmt.Errorf("the server runs with fsync=%s and full_page_writes=%s: commits would not be durable; turn both on", fsync, pages)
	case commit != "on" && commit != "remote_apply":
		return fmt.Errorf("sessions run with synchronous_commit=%s: commits would not be durable; set it to on, for this role at least", commit)
	}
	return nil
}

// migrate makes the schema and brings its tables up to date. Where they are,
// it needs no right to change them.
func (s *Store) migrate(ctx context.Context, conn *pgx.Conn) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*conn.Config())
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	newest, err := s.version(ctx, db)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	if err := store.Known(migrations, newest); err != nil {
		return err
	}
	if sources := p.ListSources(); newest == sources[len(sources)-1].Version {
		return nil
	}
	// One migrates, the others wait. The lock is the session's: it ends with db.
	if _, err := db.ExecContext(ctx, "SELECT pg_advisory_lock(hashtext('assent migration'), hashtext($1))", s.o.Schema); err != nil {
		return fmt.Errorf("waiting for another node to migrate tables: %w", err)
	}
	if _, err := db.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+s.o.Schema); err != nil {
		return fmt.Errorf("making the schema %s: %w (have its owner make it, or grant CREATE on the database)", s.o.Schema, err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrating tables: %w (the first start, and the first after an upgrade, need the schema's owner)", err)
	}
	return nil
}

// version is that of the tables; 0: there are none.
func (s *Store) version(ctx context.Context, db *sql.DB) (n int64, err error) {
	var there bool
	if err := db.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", s.o.Schema+".goose_db_version").Scan(&there); err != nil || !there {
		return 0, err
	}
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&n)
	return n, err
}
