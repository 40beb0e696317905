package postgres_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/postgres"
	"github.com/jackc/pgx/v5/pgconn"
)

// An arena is two databases made alike, one behind a gate and one without.
type arena struct {
	t     testing.TB
	a     *ledger
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
	x := &arena{t: t, a: &ledger{authority: &authority{t: t, cut: make(chan struct{})}}}
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

// A finding is what must not be, in few words first.
type finding struct{ what, detail string }

// performance is one stream through the gate.
type performance struct {
	answers []answer
	looks   []postgres.Beliefs
	ran     []string // tags of the writes that ran, committed or not
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
	if side == gated {
		out.ran = strings.Fields(s.ask(x.t, "select distinct objid from pg_locks where locktype = 'advisory' and objid > 7000 and database = (select oid from pg_database where datname = current_database())"))
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
	case strings.HasPrefix(words, "the server cannot say which columns this COPY has"), // asked before it runs
		strings.HasPrefix(words, "what this portal means changed"),
		strings.HasPrefix(words, "what this name means is known only when"),
		strings.HasPrefix(words, "current transaction is aborted"),
		strings.Contains(words, " is pinned to "), strings.Contains(words, " left the value this gate depends on"),
		strings.HasPrefix(words, "the gate cannot mask"):
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
	if len(out.ran) > 0 {
		return &finding{"BYPASS: it ran, and was rolled back", strings.Join(out.ran, " ")}
	}
	return out.sound(script)
}

// sound are the beliefs, and that an answer came to every batch.
func (out *performance) sound(script []messages) *finding {
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

// exactly plays a stream under a policy that allows some of its changes, each by its
// exact payload. What ran, committed or not, must be among what was permitted and was not
// told to have been left out.
func (x *arena) exactly(script []messages) *finding {
	x.t.Helper()
	x.a.decide = func(ctx context.Context, a *action.Action, held func(gate.Held)) error {
		if err := readsAndSettings(ctx, a, held); err == nil || sha256.Sum256(a.Payload)[0]%2 == 0 {
			return nil
		}
		return &gate.Denied{Status: gate.StatusDenied, Reason: "it was not approved"}
	}
	x.a.forget()
	out, _, err := x.perform(gated, script, true)
	if err != nil {
		return &finding{"no session", err.Error()}
	}
	s := x.sides[gated]
	left := s.effects(x.t)
	ran := append(out.ran, strings.Fields(s.ask(x.t, "select distinct tag from play.ran"))...)
	if left != s.clean {
		s.reset(x.t)
	}
	for _, tag := range ran {
		if !x.a.permitted(tag) {
			return &finding{"BYPASS: it ran without its permit", tag}
		}
	}
	return out.sound(script)
}

// try plays one stream in each mode, and reports whether all was well.
func (x *arena) try(script []messages, explained func(string)) bool {
	x.t.Helper()
	bad := x.harmless(script)
	if f := bad; f != nil {
		small := shrink(script, func(s []messages) bool { g := x.harmless(s); return g != nil && g.what == f.what })
		x.t.Errorf("deny: %s: %s\n%s", f.what, x.harmless(small).or(f), show(small))
	}
	if f := x.exactly(script); f != nil {
		bad = f
		small := shrink(script, func(s []messages) bool { g := x.exactly(s); return g != nil && g.what == f.what })
		x.t.Errorf("exactly: %s: %s\n%s", f.what, x.exactly(small).or(f), show(small))
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
// time: 60 of them, or for as long as ASSENT_DIFFERENTIAL says, new ones.
func TestDifferential(t *testing.T) {
	x := newArena(t)
	first, last, until := uint64(1), uint64(60), time.Now().Add(time.Hour)
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

// A ledger remembers how each permit ended.
type ledger struct {
	*authority
	entriesMu sync.Mutex
	entries   []*entry
}

type entry struct {
	verb, text string
	outcome    gate.OutcomeState
}

func (l *ledger) Login(ctx context.Context, v gate.Verifier, from gate.Peer) (gate.Session, error) {
	s, err := l.authority.Login(ctx, v, from)
	return &ledgerSession{s, l}, err
}

func (l *ledger) forget() {
	l.entriesMu.Lock()
	l.entries = nil
	l.entriesMu.Unlock()
}

// permitted reports whether something that runs the write with this tag was
// permitted and ran. PREPARE runs nothing.
func (l *ledger) permitted(tag string) bool {
	l.entriesMu.Lock()
	defer l.entriesMu.Unlock()
	return slices.ContainsFunc(l.entries, func(e *entry) bool {
		return strings.Contains(e.text, tag) && e.outcome != gate.NotRun && (e.verb != "prepare" || strings.Contains(e.text, ";"))
	})
}

type ledgerSession struct {
	gate.Session
	l *ledger
}

func (s *ledgerSession) Enforce(ctx context.Context, a *action.Action, h gate.Hooks) (gate.Permit, error) {
	p, err := s.Session.Enforce(ctx, a, h)
	if err != nil {
		return nil, err
	}
	e := &entry{verb: a.Verb, text: a.Statement}
	s.l.entriesMu.Lock()
	s.l.entries = append(s.l.entries, e)
	s.l.entriesMu.Unlock()
	return &ledgerPermit{p, s.l, e}, nil
}

type ledgerPermit struct {
	gate.Permit
	l *ledger
	e *entry
}

func (p *ledgerPermit) Done(o gate.Outcome) {
	p.l.entriesMu.Lock()
	p.e.outcome = o.State
	p.l.entriesMu.Unlock()
	p.Permit.Done(o)
}
