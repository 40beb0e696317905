package postgres

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/sql"
)

// Bounds of previews: how long one may take as a whole, one of its queries, one
// wait for a lock, and how many run at a time.
const (
	previewTime  = 4 * time.Second
	previewQuery = 2 * time.Second
	previewLock  = 500 * time.Millisecond
	previewTurns = 4
)

// maxPreviewed is how many tables are counted for one DROP or TRUNCATE.
const maxPreviewed = 20

// Preview finds out what action i would do: for a read what the planner expects, for
// a write how many rows its WHERE finds now. It asks over a connection of the
// gate's own, in a READ ONLY transaction that is rolled back, and only queries that
// are plain reads to the classifier and the catalogue: planning alone runs
// functions that are called immutable, and a rollback takes back no sequence,
// no message and no connection elsewhere.
func (c *codec) Preview(ctx context.Context, _ *gate.Conn, r *gate.Request, i int) action.Preview {
	b, ok := r.State.(*batch)
	if !ok || i >= len(b.actions) {
		return action.Preview{Why: "nothing is known of it", Time: time.Now()}
	}
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	p, err := c.preview(ctx, b, i)
	if err != nil {
		p = action.Preview{Why: previewWhy(errors.Join(ctx.Err(), err))}
	}
	p.Time = time.Now()
	return p
}

// A noPreview says to reviewers why there is none.
type noPreview string

func (n noPreview) Error() string { return string(n) }

// previewWhy is err for reviewers. The server's own words may quote values.
func previewWhy(err error) string {
	var no noPreview
	var code serverCode
	switch {
	case errors.As(err, &no):
		return no.Error()
	case errors.As(err, &code):
		return code.why()
	case errors.Is(err, context.DeadlineExceeded):
		return "it took too long"
	}
	return "the system could not be asked"
}

func (c *codec) preview(ctx context.Context, b *batch, i int) (action.Preview, error) {
	run, portal := b.of(i)
	if run == nil {
		return action.Preview{}, noPreview("nothing is known of it")
	}
	probe, err := c.g.cfg.Classifier.Probe(run.text)
	if err != nil {
		return action.Preview{}, noPreview(err.Error())
	}
	if err := c.previewable(b, i, probe); err != nil {
		return action.Preview{}, err
	}
	s := &preview{c: c, probe: probe, folds: b.actions[i].Data.Aggregated, alone: i == 0 && c.status == idle && !c.unsynced}
	if portal != nil {
		if s.params, s.types, err = c.boundParams(b.actions[i], portal); err != nil {
			return action.Preview{}, err
		}
	}
	p, err := s.find(ctx)
	if err != nil {
		return p, err
	}
	if p.Rows.Known && p.Binds {
		if why, _ := c.unbindable(b); why != "" {
			p.Binds, p.Why = false, "nothing holds it to that: "+why
		}
	}
	return p, nil
}

// of returns the run of action i, with the portal that it is bound to in the extended protocol.
func (b *batch) of(i int) (*run, *portal) {
	for s := range b.steps {
		step := &b.steps[s]
		for j := range step.runs {
			if step.runs[j].action == i {
				return &step.runs[j], nil
			}
		}
		if step.kind == stepBind && step.portal.run.action == i {
			return &step.portal.run, step.portal
		}
	}
	return nil, nil
}

// previewable errs where another connection would see something else than this session.
func (c *codec) previewable(b *batch, i int, probe *sql.Probe) error {
	switch {
	case b.actions[i].State["after"] != "":
		return noPreview("what it means depends on a statement before it in the same message")
	case c.auth != c.g.cfg.Upstream.User:
		return noPreview("the session runs under another authorization than the gate's")
	}
	for _, o := range b.actions[i].Objects {
		if c.ofThisSession(o) {
			return noPreview("it uses a temporary relation, which only this session sees")
		}
	}
	if probe.Op == sql.ProbeRead {
		return nil // an estimate
	}
	if c.touched || c.unsynced {
		return noPreview("its open transaction has changes that only it sees")
	}
	for _, a := range b.actions[:i] {
		if !onlyReads(a.Kinds) {
			return noPreview("a statement before it in the same message changes what it would find")
		}
	}
	return nil
}

func (c *codec) ofThisSession(object string) bool {
	if strings.HasPrefix(object, "pg_temp") {
		return true
	}
	return slices.ContainsFunc(c.temp, func(t sql.Temp) bool {
		return strings.TrimPrefix(t.Name, "pg_temp.") == object
	})
}

// boundParams returns what the client bound, from the bytes that were judged.
func (c *codec) boundParams(a *action.Action, po *portal) ([]param, []uint32, error) {
	if len(a.Payload) <= len(po.run.text) {
		return nil, nil, noPreview("its parameters are not known")
	}
	w := walker{b: a.Payload[len(po.run.text)+1:]}
	params, ok := readParams(&w, nil)
	if !ok {
		return nil, nil, noPreview("its parameters are not known")
	}
	return params, po.types, nil
}

// A preview is one look at the system.
type preview struct {
	c      *codec
	probe  *sql.Probe
	params []param
	types  []uint32 // of params; 0: as the server infers
	folds  bool     // it aggregates what is classed
	alone  bool     // in no transaction, which might see other rows
	q      *asker
}

func (s *preview) find(ctx context.Context) (action.Preview, error) {
	out := action.Preview{By: "PostgreSQL, over a connection of the gate's own"}
	if s.probe.Op == sql.ProbeInsert && s.probe.Query == "" {
		out.By = "the gate, from the statement"
	}
	// The catalogue is asked anew: what stands behind a name may have changed this moment.
	s.c.g.catalog.forget()
	now, err := s.c.g.catalog.current(ctx, s.c.database)
	if err != nil {
		return out, err
	}
	if s.q, err = s.c.g.ask(ctx, s.c.database); err != nil {
		return out, err
	}
	defer s.q.close()
	if err := s.q.begin(); err != nil {
		return out, err
	}
	if s.probe.Query != "" {
		if err := s.plain(now, s.probe.Query); err != nil {
			return out, err
		}
	}
	switch s.probe.Op {
	case sql.ProbeRead:
		return s.read(out, now)
	case sql.ProbeTruncate, sql.ProbeDrop:
		return s.objects(out, now)
	}
	return s.write(out, now)
}

// plain errs unless text is a plain read, to the classifier and to the catalogue.
func (s *preview) plain(now *snapshot, text string) error {
	state := s.c.sqlState()
	state.Catalog = now
	res := s.c.g.cfg.Classifier.Classify(text, state)
	if len(res.Statements) != 1 || res.ParseError {
		return noPreview("it is not understood")
	}
	st := &res.Statements[0]
	p, err := now.planned(st, nil)
	if err != nil {
		return err
	}
	for _, k := range p.kinds {
		switch k {
		case action.DataRead:
		case action.Execute, action.Unknown:
			return noPreview("finding out could run code: a function, operator, type or policy that is not known to be harmless")
		case action.NetFetch:
			return noPreview("finding out would ask another system")
		default:
			return noPreview("finding out would do more than read")
		}
	}
	return nil
}

// read tells what the planner expects of a read.
func (s *preview) read(out action.Preview, now *snapshot) (action.Preview, error) {
	if err := s.enter(); err != nil {
		return out, err
	}
	plan, err := s.q.value("EXPLAIN (FORMAT JSON) "+s.probe.Query, s.params, s.types, nil)
	if err != nil {
		return out, err
	}
	n, ok := plannedRows(plan)
	if !ok {
		return out, noPreview("the plan is not understood")
	}
	out.Estimate = action.KnownCount(n)
	out.Text = "reads about " + action.KnownCount(n).Of("row")
	s.groups(&out, now)
	return out, nil
}

// write counts the rows that a write would find.
func (s *preview) write(out action.Preview, now *snapshot) (action.Preview, error) {
	also, err := s.behind(now)
	if err != nil {
		return out, err
	}
	n := s.probe.Rows
	if s.probe.Query != "" {
		if err := s.enter(); err != nil {
			return out, err
		}
		if n, err = s.count(s.probe.Query, s.probe.Params); err != nil {
			return out, err
		}
	}
	out.Rows, out.Objects, out.Binds = n, action.KnownCount(1), true
	does := map[sql.ProbeOp]string{sql.ProbeUpdate: "would change ", sql.ProbeDelete: "would delete ", sql.ProbeInsert: "would add "}[s.probe.Op]
	if s.probe.AtMost {
		does += "at most "
	}
	where := " of "
	if s.probe.Op == sql.ProbeInsert {
		where = " to "
	}
	out.Text = does + n.Of("row") + where + short(s.probe.Target) + also
	return out, nil
}

// behind says what a write does to other tables, which nobody counts: foreign
// keys that cascade, and triggers. A rule may do something else altogether.
func (s *preview) behind(now *snapshot) (string, error) {
	rel := now.resolve(s.probe.Target, s.path())
	if rel == nil {
		return "", noPreview("its table is not in the catalogue")
	}
	oid := strconv.FormatUint(uint64(rel.oid), 10)
	does := "'a'::\"char\""
	switch s.probe.Op {
	case sql.ProbeDelete:
		does = "f.confdeltype"
	case sql.ProbeUpdate:
		does = "f.confupdtype"
	}
	rows, err := s.q.rows("SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_rewrite WHERE ev_class = t.oid AND ev_type <> '1'), " +
		"(SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger WHERE tgrelid = t.oid AND NOT tgisinternal AND tgenabled <> 'D'), " +
		"(SELECT pg_catalog.string_agg(DISTINCT o.relname, ', ') FROM pg_catalog.pg_constraint f JOIN pg_catalog.pg_class o ON o.oid = f.conrelid WHERE f.confrelid = t.oid AND f.contype = 'f' AND " + does + " IN ('c', 'n', 'd')) FROM pg_catalog.pg_class t WHERE t.oid = " + oid)
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || len(rows[0]) != 3 {
		return "", noPreview("its table is not in the catalogue")
	}
	if string(rows[0][0]) != "0" {
		return "", noPreview("a rule makes something else of it")
	}
	also := ""
	if rows[0][2] != nil {
		also += "; foreign keys change rows of " + short(string(rows[0][2])) + " with them, which are not counted"
	}
	if string(rows[0][1]) != "0" {
		also += "; what its triggers do is not counted"
	}
	return also, nil
}

// objects tells what DROP and TRUNCATE would take away.
func (s *preview) objects(out action.Preview, now *snapshot) (action.Preview, error) {
	names := s.probe.Objects
	if len(names) > maxPreviewed {
		names = names[:maxPreviewed]
	}
	countable := s.probe.Op == sql.ProbeTruncate || s.probe.Kind == "table"
	n := int64(len(s.probe.Objects))
	out.Objects = action.KnownCount(n)
	out.Text = "would empty " + action.KnownCount(n).Of("table")
	if s.probe.Op == sql.ProbeDrop {
		out.Text = "would drop " + action.KnownCount(n).Of(s.probe.Kind)
		out.Destroys, out.Creates, out.Changes = action.KnownCount(n), action.KnownCount(0), action.KnownCount(0)
	}
	if s.probe.Cascade {
		out.Objects, out.Destroys = action.Count{}, action.Count{}
		out.Text += ", and what depends on " + map[bool]string{true: "it", false: "them"}[n == 1]
	}
	switch {
	case !countable:
		return out, nil
	case len(names) < len(s.probe.Objects) || s.probe.Cascade:
		out.Why = "their rows are not counted"
		return out, nil
	}
	total, err := s.total(now, names)
	if err != nil {
		out.Why = "their rows are not counted: " + previewWhy(err)
		return out, nil
	}
	out.Rows = action.KnownCount(total)
	out.Text += " with " + action.KnownCount(total).Of("row")
	out.Why = "nothing holds it to that number of rows"
	return out, nil
}

const countOf = "SELECT pg_catalog.count(*) FROM "

func (s *preview) total(now *snapshot, names []string) (total int64, err error) {
	for _, name := range names {
		if err := s.plain(now, countOf+name); err != nil {
			return 0, err
		}
	}
	if err := s.enter(); err != nil {
		return 0, err
	}
	for _, name := range names {
		text := countOf + name
		n, err := s.count(text, nil)
		if err != nil {
			return 0, err
		}
		total += n.N
	}
	return total, nil
}

func (s *preview) count(text string, used []int) (action.Count, error) {
	v, err := s.q.value(text, s.params, s.types, used)
	if err != nil {
		return action.Count{}, err
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return action.Count{}, noPreview("the count is not understood")
	}
	return action.KnownCount(n), nil
}

// enter makes names and values mean what they mean in the client's session.
func (s *preview) enter() error {
	set := make([]string, 0, 8)
	for _, name := range []string{"DateStyle", "IntervalStyle", "TimeZone"} {
		if v, is := s.c.reported[name]; is {
			set = append(set, "pg_catalog.set_config("+literal(name)+", "+literal(v)+", true)")
		}
	}
	set = append(set, "pg_catalog.set_config('search_path', "+literal(s.c.searchPath)+", true)")
	text := "SELECT " + strings.Join(set, ", ")
	if s.c.role != "" && s.c.role != "none" {
		text += "; SET LOCAL ROLE " + sql.QuoteIdent(s.c.role)
	}
	_, err := s.q.rows(text)
	return err
}

func (s *preview) path() []string {
	res := s.c.g.cfg.Classifier.Classify("SELECT 1", s.c.sqlState())
	return res.Statements[0].SearchPath()
}

// short keeps names that an agent may have chosen on a card's line.
func short(name string) string {
	if utf8.RuneCountInString(name) > 120 {
		return string([]rune(name)[:120]) + "…"
	}
	return name
}
