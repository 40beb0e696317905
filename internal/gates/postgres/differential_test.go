package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/postgres"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// An arena is two databases made alike, one behind a gate and one without.
type arena struct {
	t     testing.TB
	a     *authority
	watch postgres.Watch
	sides [2]*side
}

// A side is one database, how a session to it is opened, and its administrator.
type side struct {
	name, dsn string
	admin     *pgconn.PgConn
	clean     string // what the database says when nothing happened
}

const (
	gated = iota
	alone
)

func newArena(t testing.TB) *arena {
	t.Helper()
	x := &arena{t: t, a: &authority{t: t, cut: make(chan struct{})}}
	c := server(t)
	root, err := pgconn.Connect(t.Context(), c.DSN("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close(context.Background())
	for i, name := range []string{"differential_gated", "differential_alone"} {
		for _, q := range []string{"drop database if exists " + name + " with (force)", "create database " + name + " strategy file_copy", "alter database " + name + " set search_path = play, public"} {
			if _, err := root.Exec(t.Context(), q).ReadAll(); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
		s := &side{name: name, dsn: c.DSN("postgres", name)}
		if s.admin, err = pgconn.Connect(t.Context(), s.dsn); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.admin.Close(context.Background()) })
		s.reset(t)
		s.clean = s.effects(t)
		x.sides[i] = s
	}
	x.sides[gated].dsn = x.serve(t, x.sides[gated].name)
	return x
}

// serve runs a gate that is looked into.
func (x *arena) serve(t testing.TB, database string) string {
	t.Helper()
	g, err := postgres.New(postgres.Config{
		Name: "differential", Authority: x.a, Classifier: classifier, Grace: time.Second,
		Upstream: postgres.Upstream{
			Host: server(t).Host, Port: server(t).Port, User: "postgres", Database: database, Plain: true,
			Password: func(context.Context) ([]byte, error) { return []byte(upstreamPassword), nil },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- gate.Serve(ctx, l, g.WatchedConfig(&x.watch)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error("serving:", err)
		}
	})
	return fmt.Sprintf("postgres://agent:%s@%s/%s?sslmode=disable", agentToken, l.Addr(), database)
}

func (s *side) reset(t testing.TB) {
	t.Helper()
	if _, err := s.admin.Exec(context.Background(), "set search_path = play, public; set client_min_messages = error; "+strings.Join(playground, "; ")).ReadAll(); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
}

// effects is everything a session can leave behind in the database. It waits
// until the sessions have ended.
func (s *side) effects(t testing.TB) string {
	t.Helper()
	for range 2000 {
		if s.ask(t, "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'") == "0" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return s.ask(t, effectsQuery)
}

// effectsQuery shows tables with their rows, the sequence, every relation, function and comment.
const effectsQuery = `
select 'rows', n.nspname || '.' || relname, query_to_xml('select * from ' || c.oid::regclass || ' x order by x::text', true, true, '')::text from pg_class c join pg_namespace n on n.oid = relnamespace where relkind = 'r' and nspname in ('play', 'other', 'public')
union all select 'sequence', last_value::text, is_called::text from play.seq
union all select 'relation', nspname || '.' || relname || ' ' || relkind::text, coalesce(case when relkind = 'v' then pg_get_viewdef(c.oid) end || obj_description(c.oid, 'pg_class'), '') from pg_class c join pg_namespace n on n.oid = relnamespace where nspname in ('play', 'other', 'public')
union all select 'function', proname, prosrc from pg_proc join pg_namespace n on n.oid = pronamespace where nspname in ('play', 'other', 'public')
union all select 'prepared', gid, '' from pg_prepared_xacts where database = current_database()
union all select 'setting', unnest(setconfig), '' from pg_db_role_setting where setdatabase = (select oid from pg_database where datname = current_database())
order by 1, 2, 3`

func (s *side) ask(t testing.TB, q string) string {
	t.Helper()
	res, err := s.admin.Exec(context.Background(), q).ReadAll()
	if err != nil {
		t.Fatalf("%s: %s: %v", s.name, q, err)
	}
	var out []string
	for _, r := range res[0].Rows {
		var row []string
		for _, v := range r {
			row = append(row, string(v))
		}
		out = append(out, strings.Join(row, "|"))
	}
	return strings.Join(out, "\n")
}

// An answer is what a client heard after one batch.
type answer struct {
	lines   []string
	refusal string // the gate's own words, when it refused by itself
	ended   bool   // the connection ended
	silent  bool   // nothing more came although something was awaited
	copied  bool   // COPY data was asked for
}

func (a answer) String() string {
	s := strings.Join(a.lines, ", ")
	if a.refusal != "" {
		s += " (" + a.refusal + ")"
	}
	if a.ended {
		s += " END"
	}
	if a.silent {
		s += " SILENCE"
	}
	return s
}

// A player plays a stream in one session.
type player struct {
	conn net.Conn
	f    *pgproto3.Frontend
}

func dialPlayer(dsn string) (*player, error) {
	cfg, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["application_name"] = "differential"
	c, err := pgconn.ConnectConfig(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	h, err := c.Hijack()
	if err != nil {
		return nil, err
	}
	return &player{h.Conn, h.Frontend}, nil
}

// patience is how long a client waits for an answer that must come.
const patience = 5 * time.Second

// play sends one batch, and what of it is COPY data only when it is asked for.
func (p *player) play(m messages) (a answer) {
	ask := slices.IndexFunc(m, func(x pgproto3.FrontendMessage) bool {
		switch x.(type) {
		case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail:
			return true
		}
		return false
	})
	var data messages
	if ask >= 0 {
		m, data = m[:ask], m[ask:]
	}
	awaited := 0
	for _, x := range m {
		p.f.Send(x)
		switch x.(type) {
		case *pgproto3.Query, *pgproto3.Sync:
			awaited++
		}
	}
	_, simple := m[len(m)-1].(*pgproto3.Query)
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	if p.f.Flush() != nil {
		a.ended = true
		return a
	}
	for awaited > 0 {
		x, err := p.f.Receive()
		if err != nil {
			var timeout net.Error
			a.silent = errors.As(err, &timeout) && timeout.Timeout()
			a.ended = !a.silent
			return a
		}
		a.hear(x)
		switch x.(type) {
		case *pgproto3.ReadyForQuery:
			awaited--
		case *pgproto3.CopyInResponse:
			if data == nil {
				data = messages{&pgproto3.CopyFail{Message: "no data"}}
				if !simple {
					data = append(data, sync_)
				}
			}
			a.copied = true
			for _, x := range data {
				p.f.Send(x)
			}
			if p.f.Flush() != nil {
				a.ended = true
				return a
			}
			// How many Syncs the server took for COPY's is not for us to know.
			if awaited > 1 {
				_ = p.conn.SetDeadline(time.Now().Add(patience / 20))
			}
		}
	}
	return a
}

// hear notes a message by what a client can tell of it. Objects' numbers differ
// between databases, and the gate withholds what errors quote.
func (a *answer) hear(x pgproto3.BackendMessage) {
	line := ""
	switch x := x.(type) {
	case *pgproto3.ErrorResponse:
		line = x.Severity + " " + x.Code
		if words, ours := strings.CutPrefix(x.Message, "assent: "); ours || x.Severity == "FATAL" {
			if a.refusal == "" {
				a.refusal = words
			}
		}
	case *pgproto3.NoticeResponse:
		line = "notice " + x.Severity + " " + x.Code
	case *pgproto3.CommandComplete:
		line = "tag " + string(x.CommandTag)
	case *pgproto3.RowDescription:
		for _, f := range x.Fields {
			line += fmt.Sprintf(" %s:%d:%d", f.Name, f.DataTypeOID, f.Format)
		}
		line = "columns" + line
	case *pgproto3.DataRow:
		for _, v := range x.Values {
			if v == nil {
				line += "|NULL"
				continue
			}
			line += "|" + string(v)
		}
		line = "row " + line
	case *pgproto3.CopyData:
		line = "copy " + string(x.Data)
	case *pgproto3.ParameterStatus:
		line = "parameter " + x.Name + "=" + x.Value
	case *pgproto3.NotificationResponse:
		line = "notification " + x.Channel + " " + x.Payload
	case *pgproto3.ReadyForQuery:
		line = "ready " + string(x.TxStatus)
	case *pgproto3.ParameterDescription:
		line = fmt.Sprint("parameters ", x.ParameterOIDs)
	default:
		line = strings.TrimPrefix(fmt.Sprintf("%T", x), "*pgproto3.")
	}
	a.lines = append(a.lines, line)
}

// session asks what the session is, as a gate's look does.
func (p *player) session() []string {
	var out []string
	for _, q := range postgres.SessionQueries {
		a := p.play(messages{parse("_assent", q), bind("_assent", "_assent"), execute("_assent", 0), &pgproto3.Close{ObjectType: 'P', Name: "_assent"}, &pgproto3.Close{ObjectType: 'S', Name: "_assent"}, sync_})
		for _, l := range a.lines {
			if v, is := strings.CutPrefix(l, "row |"); is {
				out = append(out, v)
			}
		}
	}
	return out
}

func (p *player) leave() {
	p.f.Send(&pgproto3.Terminate{})
	_ = p.f.Flush()
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	for {
		if _, err := p.f.Receive(); err != nil {
			break
		}
	}
	_ = p.conn.Close()
}

// A finding is what must not be, in few words first.
type finding struct{ what, detail string }

// performance is one stream through the gate.
type performance struct {
	answers []answer
	looks   []postgres.Beliefs
}

// perform plays a stream in a session of one side. often: the gate is looked
// into before every batch, else at the end only.
func (x *arena) perform(side int, script []messages, often bool) (out performance, session []string, err error) {
	s := x.sides[side]
	p, err := dialPlayer(s.dsn)
	if err != nil {
		return out, nil, err
	}
	defer p.leave()
	x.watch.Taken()
	ended := false
	status := byte('I')
	for _, m := range script {
		if often && side == gated {
			x.watch.Look()
		}
		a := p.play(m)
		out.answers = append(out.answers, a)
		if ended = a.ended || a.silent; ended {
			break
		}
		if n := len(a.lines); n > 0 {
			status = a.lines[n-1][len(a.lines[n-1])-1]
		}
	}
	if ended || status == 'E' {
		out.looks = x.watch.Taken()
		return out, nil, nil
	}
	if side == alone {
		return out, p.session(), nil
	}
	x.watch.Look()
	p.play(messages{sync_})
	out.looks = x.watch.Taken()
	if n := len(out.looks); n > 0 && out.looks[n-1].Err == nil {
		session = out.looks[n-1].Session
	}
	return out, session, nil
}

// same plays a stream on both sides, with everything allowed, and compares what the
// client heard, what the session is and what is left behind. why says where an explained difference ended the comparison.
func (x *arena) same(script []messages) (f *finding, why string) {
	x.t.Helper()
	x.a.decide = nil
	mine, session, err := x.perform(gated, script, false)
	if err != nil {
		return &finding{"no session", err.Error()}, ""
	}
	theirs, other, err := x.perform(alone, script, false)
	if err != nil {
		x.t.Fatal(err)
	}
	var left [2]string
	for i, s := range x.sides {
		if left[i] = s.effects(x.t); left[i] != s.clean {
			s.reset(x.t)
		}
	}
	if f := wrong(mine.looks); f != nil {
		return f, ""
	}
	for i, a := range mine.answers {
		if i >= len(theirs.answers) {
			break
		}
		b := theirs.answers[i]
		if a.String() == b.String() {
			continue
		}
		if why := explained(script[:i+1], a, b); why != "" {
			return nil, why
		}
		return &finding{"the client hears another answer", fmt.Sprintf("batch %d: %s\n  gate:  %s\n  alone: %s", i, show(script[i:i+1]), a, b)}, ""
	}
	if session != nil && other != nil && !slices.Equal(session, other) {
		return &finding{"the session is another", fmt.Sprintf("gate:  %q\n  alone: %q", session, other)}, ""
	}
	if left[0] != left[1] {
		return &finding{"other effects", fmt.Sprintf("gate:  %s\n  alone: %s", left[0], left[1])}, ""
	}
	return nil, ""
}

func wrong(looks []postgres.Beliefs) *finding {
	for _, l := range looks {
		if len(l.Wrong) > 0 {
			return &finding{"the gate believes what is not", strings.Join(l.Wrong, "; ")}
		}
	}
	return nil
}

// explained says why the gate may answer a batch otherwise than the server, and
// "" where it may not: a request with a part that is refused is refused as a whole.
func explained(script []messages, mine, theirs answer) string {
	said := strings.ToLower(show(script))
	has := func(a answer, code string) bool { return slices.Contains(a.lines, "ERROR "+code) }
	words := mine.refusal
	switch {
	case mine.silent:
	case mine.ended && theirs.ended:
		return "both end the connection"
	case strings.HasPrefix(words, "the gate knows no such"):
		// The server knows none either, or fails before it comes to it.
		if has(mine, "26000") && has(theirs, "26000") || has(mine, "34000") && has(theirs, "34000") {
			return words
		}
		// A cursor can be run as a portal and a portal fetched from: not here.
		if has(mine, "34000") && (strings.HasSuffix(words, "portal") && strings.Contains(said, "declare") || strings.HasSuffix(words, "cursor") && strings.Contains(said, "bind(")) {
			return words + " (of that kind)"
		}
		// The protocol cannot bind what SQL prepared, and DEALLOCATE ALL spares the unnamed statement: not here.
		if has(mine, "26000") && (strings.Contains(said, "prepare ") || strings.Contains(said, "deallocate all") || strings.Contains(said, "discard all")) {
			return words + " (of that kind)"
		}
		if slices.ContainsFunc(theirs.lines, func(l string) bool { return strings.HasPrefix(l, "ERROR") }) {
			return words + " (and another error of the server's)"
		}
	case words == "the server cannot say which columns this COPY has":
		if slices.ContainsFunc(theirs.lines, func(l string) bool { return strings.HasPrefix(l, "ERROR") }) {
			return words
		}
	case strings.HasPrefix(words, "current transaction is aborted"),
		strings.Contains(words, " is pinned to "), strings.Contains(words, " left the value this gate depends on"),
		strings.HasPrefix(words, "the gate cannot mask a COPY with these options"):
		return words
	}
	return ""
}

// readsAndSettings is the policy of the second mode: whatever changes anything
// beyond the session is denied.
func readsAndSettings(_ context.Context, a *action.Action, _ func(gate.Held)) error {
	for _, k := range a.Kinds {
		switch k {
		case action.DataRead, action.DataExport, action.ConfigChange, action.PrivilegeChange, action.IdentityChange:
			continue
		case action.SchemaChange:
			if s := strings.ToLower(a.Statement); strings.HasPrefix(s, "create temp ") && !strings.Contains(s, ";") || a.Verb == "discard" {
				continue
			}
		}
		return &gate.Denied{Status: gate.StatusDenied, Reason: "it would change something"}
	}
	return nil
}

// harmless plays a stream under the policy that denies changes. None may have an
// effect, and the gate's beliefs must be the server's at each idle point.
func (x *arena) harmless(script []messages) *finding {
	x.t.Helper()
	x.a.decide = readsAndSettings
	out, _, err := x.perform(gated, script, true)
	if err != nil {
		return &finding{"no session", err.Error()}
	}
	s := x.sides[gated]
	if left := s.effects(x.t); left != s.clean {
		s.reset(x.t)
		return &finding{"BYPASS: it had an effect", left}
	}
	if f := wrong(out.looks); f != nil {
		return f
	}
	for i, a := range out.answers {
		if a.silent {
			return &finding{"the gate is silent", fmt.Sprintf("batch %d: %s", i, show(script[i:i+1]))}
		}
	}
	return nil
}

// show writes a script as a line of the desync corpus.
func show(script []messages) string {
	var out []string
	for _, m := range script {
		var parts []string
		for _, x := range m {
			parts = append(parts, showMessage(x))
		}
		out = append(out, "{"+strings.Join(parts, ", ")+"}")
	}
	return "[]messages{" + strings.Join(out, ", ") + "}"
}

func showMessage(x pgproto3.FrontendMessage) string {
	switch x := x.(type) {
	case *pgproto3.Query:
		return fmt.Sprintf("query(%q)", x.String)
	case *pgproto3.Parse:
		return fmt.Sprintf("parse(%q, %q)", x.Name, x.Query)
	case *pgproto3.Bind:
		return fmt.Sprintf("bind(%q, %q)", x.DestinationPortal, x.PreparedStatement)
	case *pgproto3.Execute:
		return fmt.Sprintf("execute(%q, %d)", x.Portal, x.MaxRows)
	case *pgproto3.Sync:
		return "sync_"
	case *pgproto3.Flush:
		return "flush_"
	case *pgproto3.Describe:
		return fmt.Sprintf("&pgproto3.Describe{ObjectType: %q, Name: %q}", x.ObjectType, x.Name)
	case *pgproto3.Close:
		return fmt.Sprintf("&pgproto3.Close{ObjectType: %q, Name: %q}", x.ObjectType, x.Name)
	case *pgproto3.CopyData:
		return fmt.Sprintf("&pgproto3.CopyData{Data: []byte(%q)}", x.Data)
	case *pgproto3.CopyFail:
		return fmt.Sprintf("&pgproto3.CopyFail{Message: %q}", x.Message)
	}
	return fmt.Sprintf("&%s{}", strings.TrimPrefix(fmt.Sprintf("%T", x), "*"))
}

// shrink removes what a finding does not need: batches, then messages.
func shrink(script []messages, still func([]messages) bool) []messages {
	for tries := 0; tries < 200; {
		smaller := false
		for i := len(script) - 1; i >= 0 && tries < 200; i-- {
			tries++
			if c := slices.Delete(slices.Clone(script), i, i+1); len(c) > 0 && still(c) {
				script, smaller = c, true
			}
		}
		for i := range script {
			for j := len(script[i]) - 1; j >= 0 && tries < 200; j-- {
				c := slices.Clone(script)
				c[i] = slices.Delete(slices.Clone(script[i]), j, j+1)
				if !waits(c[i]) {
					continue
				}
				tries++
				if still(c) {
					script, smaller = c, true
				}
			}
		}
		if !smaller {
			break
		}
	}
	return script
}

// waits reports whether a batch ends where a client may wait.
func waits(m messages) bool {
	for i := len(m) - 1; i >= 0; i-- {
		switch m[i].(type) {
		case *pgproto3.Query, *pgproto3.Sync:
			return true
		case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail:
			continue
		}
		return false
	}
	return false
}

// try plays one stream in each mode, and reports whether all was well.
func (x *arena) try(script []messages, explained func(string)) bool {
	x.t.Helper()
	bad := x.harmless(script)
	if f := bad; f != nil {
		small := shrink(script, func(s []messages) bool { g := x.harmless(s); return g != nil && g.what == f.what })
		x.t.Errorf("deny: %s: %s\n%s", f.what, x.harmless(small).or(f), show(small))
	}
	f, why := x.same(script)
	if f != nil {
		small := shrink(script, func(s []messages) bool { g, _ := x.same(s); return g != nil && g.what == f.what })
		g, _ := x.same(small)
		x.t.Errorf("same: %s: %s\n%s", f.what, g.or(f), show(small))
	}
	explained(why)
	return bad == nil && f == nil
}

// or is what the smaller stream shows, unless it does not show it again.
func (f *finding) or(g *finding) string {
	if f == nil {
		return g.detail
	}
	return f.detail
}

// choices are pseudo-random bytes.
func choices(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, 20+r.IntN(200))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestDifferential plays pseudo-random streams for a while, the same ones each
// time: 100 of them, or for as long as ASSENT_DIFFERENTIAL says, new ones.
func TestDifferential(t *testing.T) {
	x := newArena(t)
	first, last, until := uint64(1), uint64(100), time.Now().Add(time.Hour)
	if s := os.Getenv("ASSENT_DIFFERENTIAL"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		first, last, until = uint64(time.Now().UnixNano()), ^uint64(0), time.Now().Add(d)
	}
	why := map[string]int{}
	n, findings := 0, 0
	for seed := first; seed <= last && time.Now().Before(until) && findings < 8; seed++ {
		if !x.try((&generator{tape: &tape{b: choices(seed)}}).stream(), func(w string) { why[w]++ }) {
			findings++
			t.Logf("seed %d", seed)
		}
		n++
	}
	t.Logf("%d streams; the comparison ended early for %v", n, why)
}

// FuzzDifferential takes the choices of the stream from the fuzzer.
func FuzzDifferential(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(choices(seed))
	}
	x := newArena(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		x.t, x.a.t = t, t
		x.try((&generator{tape: &tape{b: b[:min(len(b), 400)]}}).stream(), func(string) {})
	})
}
