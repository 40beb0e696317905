package postgres

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/assenthq/assent/gate"
)

// A Watch looks into the sessions of a gate: at an idle point it compares what the
// codec believes with what the server says on that very session.
type Watch struct {
	mu      sync.Mutex
	wanted  bool
	results []Beliefs
}

// Beliefs are what one look found.
type Beliefs struct {
	Wrong   []string // the gate believes other than the server says
	Unknown []string // the server has what the gate does not know
	Session []string // what the server says of the session
	Err     error
}

// Look makes the next request of any session be preceded by a look.
func (w *Watch) Look() {
	w.mu.Lock()
	w.wanted = true
	w.mu.Unlock()
}

// Taken returns what was found since it was called last.
func (w *Watch) Taken() []Beliefs {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.results
	w.results, w.wanted = nil, false
	return out
}

// WatchedConfig is g's configuration with w looking into its sessions.
func (g *Gate) WatchedConfig(w *Watch) gate.Config {
	cfg := g.Config()
	cfg.New = func() gate.Codec { return &watched{newCodec(g), w} }
	return cfg
}

type watched struct {
	*codec
	w *Watch
}

func (w *watched) ReadRequest(conn *gate.Conn) (*gate.Request, error) {
	w.w.mu.Lock()
	wanted := w.w.wanted
	w.w.wanted = false
	w.w.mu.Unlock()
	// Nothing can be asked in a transaction that failed, nor while the server skips to a Sync.
	if wanted && w.status != failed && w.skip == skipNothing {
		b := w.beliefs(conn)
		w.w.mu.Lock()
		w.w.results = append(w.w.results, b)
		w.w.mu.Unlock()
		if b.Err != nil {
			return nil, b.Err
		}
	}
	return w.codec.ReadRequest(conn)
}

// SessionQueries say what a session is, each with one value.
var SessionQueries = []string{
	"SHOW role", "SHOW session_authorization", "SHOW search_path",
	"SELECT coalesce(pg_catalog.string_agg(name || chr(31) || statement || chr(31) || from_sql::text, chr(30) ORDER BY name COLLATE \"C\"), '') FROM pg_catalog.pg_prepared_statements WHERE name <> '_assent'",
	"SELECT coalesce(pg_catalog.string_agg(name || chr(31) || statement || chr(31) || is_holdable::text || is_binary::text || is_scrollable::text, chr(30) ORDER BY name COLLATE \"C\"), '') FROM pg_catalog.pg_cursors WHERE name <> '_assent'",
	"SELECT coalesce(pg_catalog.string_agg(name || '=' || setting, chr(30) ORDER BY name COLLATE \"C\"), '') FROM pg_catalog.pg_settings WHERE source = 'session' OR name IN ('client_encoding', 'standard_conforming_strings', 'transaction_isolation', 'transaction_read_only')",
	"SELECT coalesce(pg_catalog.string_agg(c, chr(30)), '') FROM pg_catalog.pg_listening_channels() c",
	"SELECT coalesce(pg_catalog.string_agg(relname || chr(31) || relkind::text, chr(30) ORDER BY relname COLLATE \"C\"), '') FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relkind IN ('r', 'v')",
}

func (c *codec) beliefs(conn *gate.Conn) (b Beliefs) {
	known, role, auth, path := c.known, c.role, c.auth, c.searchPath
	if b.Session, b.Err = c.show(conn, SessionQueries...); b.Err != nil {
		return b
	}
	if known && (role != b.Session[0] || auth != b.Session[1] || path != b.Session[2]) {
		b.Wrong = append(b.Wrong, fmt.Sprintf("role %q authorization %q path %q; the server says %q", role, auth, path, b.Session[:3]))
	}
	// What the next statement would do first.
	if b.Err = c.settle(conn); b.Err != nil {
		return b
	}
	for _, p := range parts(b.Session[3]) {
		switch have := c.prepared[p[0]]; {
		case have == nil:
			b.Unknown = append(b.Unknown, fmt.Sprintf("statement %q", p[0]))
		case have.text != p[1] && !(have.bySQL && strings.Contains(p[1], have.text)) || have.bySQL != (p[2] == "true"): // the server keeps the whole message a PREPARE came in
			b.Wrong = append(b.Wrong, fmt.Sprintf("statement %q is %q; the server says %q", p[0], have.text, p[1]))
		}
	}
	for _, p := range parts(b.Session[4]) {
		po, cur := c.portals[p[0]], c.cursors[p[0]]
		switch {
		case po == nil && cur == nil:
			b.Unknown = append(b.Unknown, fmt.Sprintf("portal %q", p[0]))
		case po != nil && cur != nil:
			b.Wrong = append(b.Wrong, fmt.Sprintf("%q is a portal and a cursor", p[0]))
		case po != nil && po.run.runs == "" && po.run.text != p[1]:
			b.Wrong = append(b.Wrong, fmt.Sprintf("portal %q is %q; the server says %q", p[0], po.run.text, p[1]))
		case cur != nil && len(cur.inner.Columns) > 0 && strings.HasPrefix(cur.inner.Columns[0].Name, "t70") && !strings.Contains(strings.ToLower(p[1]), cur.inner.Columns[0].Name): // generated columns are tagged
			b.Wrong = append(b.Wrong, fmt.Sprintf("cursor %q reads %v; the server says %q", p[0], cur.inner.Columns, p[1]))
		}
	}
	return b
}

func parts(s string) (out [][]string) {
	if s == "" {
		return nil
	}
	for _, p := range strings.Split(s, "\x1e") {
		out = append(out, strings.Split(p, "\x1f"))
	}
	return slices.Clip(out)
}
