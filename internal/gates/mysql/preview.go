package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	classify "github.com/assenthq/assent/internal/classify/mysql"
)

// Bounds of previews: how long one may take as a whole, one of its queries, one
// wait for a lock, and how many run at a time.
const (
	previewTime  = 4 * time.Second
	previewQuery = 2 * time.Second
	previewLock  = time.Second // the least that servers take
	previewTurns = 4
)

// maxPreviewed is how many tables are counted for one DROP or TRUNCATE.
const maxPreviewed = 20

// Preview finds out what the action would do: for a read what the planner expects, for
// a write how many rows its WHERE finds now. It asks over a connection of the gate's
// own, in a READ ONLY transaction, and only queries that are plain reads to the
// classifier and the catalogue.
func (c *codec) Preview(ctx context.Context, _ *gate.Conn, r *gate.Request, _ int) action.Preview {
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	uncertain := c.uncertain
	p, err := c.preview(ctx, r.State.(*ask))
	c.uncertain = uncertain // of the request, not of what was asked about it
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
	var server *serverError
	switch {
	case errors.As(err, &no):
		return no.Error()
	case errors.As(err, &server):
		switch server.number {
		case 1969, 3024:
			return "counting took too long"
		case 1205:
			return "a lock was in the way"
		case 1044, 1142, 1143:
			return "the gate's account may not read what would have to be counted"
		case 1792:
			return "finding out would write"
		}
		return fmt.Sprintf("the system refused with error %d (%s)", server.number, server.state)
	case errors.Is(err, context.DeadlineExceeded):
		return "it took too long"
	}
	return "the system could not be asked"
}

func (c *codec) preview(ctx context.Context, k *ask) (action.Preview, error) {
	if k.st == nil {
		return action.Preview{}, noPreview("nothing is known of it")
	}
	params := make([]string, len(k.values))
	for i, v := range k.values {
		if params[i] = literalOf(v, k.types[i]); params[i] == "" {
			return action.Preview{}, noPreview("a parameter can't be written down")
		}
	}
	meaning := c.meaning()
	meaning.Database = k.database
	probe, err := c.g.cfg.Classifier.Probe(k.text, meaning, params)
	if err != nil {
		return action.Preview{}, noPreview(err.Error())
	}
	for _, t := range c.temp {
		if slices.Contains(k.st.Objects, t.Name) {
			return action.Preview{}, noPreview("it uses a temporary table, which only this session sees")
		}
	}
	switch {
	case c.means.nullIsLast == "1":
		return action.Preview{}, noPreview("under sql_auto_is_null it finds what this session inserted last")
	case c.touched && probe.Op != classify.ProbeRead:
		return action.Preview{}, noPreview("its open transaction has changes that only it sees")
	}
	s := &preview{c: c, k: k, probe: probe}
	if s.q, err = c.asker(ctx, k.database); err != nil {
		return action.Preview{}, err
	}
	defer s.q.end()
	p, err := s.find(ctx)
	if err != nil {
		return p, err
	}
	if p.Binds {
		if why, _ := c.unbindable(k); why != "" {
			p.Binds, p.Why = false, "nothing holds it to that: "+why
		}
	}
	return p, nil
}

// literalOf writes a parameter as a literal of the same type; "" where that can't be done.
// Text is escaped as the gate's own connections read it, without NO_BACKSLASH_ESCAPES.
func literalOf(v []byte, typ uint16) string {
	s := string(v)
	switch t := byte(typ); {
	case v == nil:
		return "NULL"
	case t == typeDate:
		return "DATE " + literal(s)
	case t == typeDatetime || t == typeTimestamp:
		return "TIMESTAMP " + literal(s)
	case t == typeTime:
		return "TIME " + literal(s)
	case t == typeFloat || t == typeDouble:
		if strings.ContainsAny(s, "NI") { // not a number, infinite
			return ""
		}
		if !strings.Contains(s, "e") {
			s += "e0"
		}
		return "(" + s + ")"
	case !textual(t):
		if strings.HasPrefix(s, "-") {
			return "(" + s + ")"
		}
		return s
	case t == typeDecimal || t == typeNewDecimal:
		if s == "" || strings.Trim(s, "0123456789.") != "" {
			return ""
		}
		return s
	case !utf8.Valid(v) || t == typeGeometry || t == typeBit:
		return ""
	case t >= typeTinyBlob && t <= typeBlob:
		return "_binary " + literal(s)
	}
	return literal(s)
}

// An asker is a connection for one preview: what names and values mean in it they mean in the session.
type asker struct {
	g   *Gate
	own *control
}

// asker opens a connection for one preview, when it is its turn.
func (c *codec) asker(ctx context.Context, database string) (*asker, error) {
	select {
	case c.g.previews <- struct{}{}:
	case <-ctx.Done():
		return nil, noPreview("too many previews were under way")
	}
	own, err := c.g.control(ctx)
	if err != nil {
		<-c.g.previews
		return nil, fmt.Errorf("asking for a preview: %w", err)
	}
	q := &asker{c.g, own}
	limit := "SET SESSION max_execution_time = " + strconv.FormatInt(previewQuery.Milliseconds(), 10)
	if c.mariadb {
		limit = "SET SESSION max_statement_time = " + strconv.FormatFloat(previewQuery.Seconds(), 'f', -1, 64)
	}
	wait := strconv.FormatFloat(previewLock.Seconds(), 'f', 0, 64)
	begin := []string{
		"SET NAMES utf8mb4", "SET SESSION sql_mode = " + literal(c.mode), limit,
		"SET SESSION time_zone = " + literal(c.means.timeZone) + ", collation_connection = " + literal(c.means.collation) + ", lock_wait_timeout = " + wait + ", innodb_lock_wait_timeout = " + wait,
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION READ ONLY",
	}
	if database != "" {
		begin = slices.Insert(begin, 1, "USE `"+strings.ReplaceAll(database, "`", "``")+"`")
	}
	for _, text := range begin {
		if _, err := own.query(ctx, text); err != nil {
			q.end()
			return nil, err
		}
	}
	return q, nil
}

// end closes the connection, and with it whatever hung on it.
func (q *asker) end() {
	q.own.close()
	<-q.g.previews
}

// number asks for one.
func (q *asker) number(ctx context.Context, text string) (action.Count, error) {
	rows, err := q.own.query(ctx, text)
	if err != nil {
		return action.Count{}, err
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return action.Count{}, errRow
	}
	n, err := strconv.ParseInt(string(rows[0][0]), 10, 64)
	if err != nil || n < 0 {
		return action.Count{}, noPreview("the count is not understood")
	}
	return action.KnownCount(n), nil
}

// A preview is one look at the system.
type preview struct {
	c     *codec
	k     *ask
	probe *classify.Probe
	q     *asker
}

func (s *preview) find(ctx context.Context) (action.Preview, error) {
	out := action.Preview{By: map[bool]string{true: "MariaDB", false: "MySQL"}[s.c.mariadb] + ", over a connection of the gate's own"}
	if s.probe.Rows.Known {
		out.By = "the gate, from the statement"
	}
	// The catalogue is asked anew: what stands behind a name may have changed this moment.
	s.c.g.catalog.forget()
	if s.probe.Query != "" {
		if err := s.plain(s.probe.Query); err != nil {
			return out, err
		}
	}
	switch s.probe.Op {
	case classify.ProbeRead:
		return s.read(ctx, out)
	case classify.ProbeTruncate, classify.ProbeDrop:
		return s.objects(ctx, out)
	}
	return s.write(ctx, out)
}

// plain errs unless text is a plain read.
func (s *preview) plain(text string) error {
	st := s.c.classify(text, s.k.database)
	switch {
	case s.c.uncertain:
		return noPreview("the catalogue could not be read")
	case st.Has(action.Execute) || st.Has(action.Unknown):
		return noPreview("finding out could run code: a function, a view or something else that is not known to be harmless")
	case st.Has(action.NetFetch):
		return noPreview("finding out would ask another system")
	case !st.ReadOnly():
		return noPreview("finding out would do more than read")
	}
	return nil
}

// read tells what the planner expects of a read.
func (s *preview) read(ctx context.Context, out action.Preview) (action.Preview, error) {
	rows, err := s.q.own.query(ctx, "EXPLAIN FORMAT=TRADITIONAL "+s.probe.Query)
	if err != nil {
		return out, err
	}
	n, ok := planned(rows)
	if !ok {
		return out, noPreview("the plan is not understood")
	}
	if limit := s.k.st.Limit; limit.Known {
		n = min(n, limit.N)
	}
	out.Estimate = action.KnownCount(n)
	out.Text = "reads about " + action.KnownCount(n).Of("row")
	return out, nil
}

// planned is how many rows a plan expects of the queries that are not part of another
// one: for each the product of what its tables hold of them. MySQL tells twelve columns
// of a table, with how many per cent of its rows a condition leaves, MariaDB ten.
func planned(rows [][][]byte) (int64, bool) {
	const id, kind = 0, 1
	var order []string
	queries := map[string]float64{}
	for _, row := range rows {
		at := map[int]int{10: 8, 12: 9}[len(row)]
		if at == 0 {
			return 0, false
		}
		if !slices.Contains([]string{"SIMPLE", "PRIMARY", "UNION"}, string(row[kind])) {
			continue
		}
		n := 1.0
		if len(row[at]) > 0 {
			var err error
			if n, err = strconv.ParseFloat(string(row[at]), 64); err != nil {
				return 0, false
			}
		}
		if len(row) == 12 && len(row[10]) > 0 {
			share, err := strconv.ParseFloat(string(row[10]), 64)
			if err != nil {
				return 0, false
			}
			n *= share / 100
		}
		which := string(row[id])
		if _, is := queries[which]; !is {
			order, queries[which] = append(order, which), 1
		}
		queries[which] *= n
	}
	sum := 0.0
	for _, which := range order {
		sum += queries[which]
	}
	if !(sum >= 0 && sum < 1<<53) {
		return 0, false
	}
	return int64(sum), true
}

// write counts the rows that a write would find.
func (s *preview) write(ctx context.Context, out action.Preview) (action.Preview, error) {
	also, err := s.behind(ctx)
	if err != nil {
		return out, err
	}
	n := s.probe.Rows
	if s.probe.Query != "" {
		if n, err = s.q.number(ctx, s.probe.Query); err != nil {
			return out, err
		}
	}
	n.N *= s.probe.Times
	out.Objects = action.KnownCount(int64(len(s.probe.Targets)))
	does := map[classify.ProbeOp]string{
		classify.ProbeUpdate: "would change ", classify.ProbeDelete: "would delete ", classify.ProbeInsert: "would add ", classify.ProbeReplace: "would add ",
	}[s.probe.Op]
	if s.probe.AtMost {
		does += "at most "
	}
	of := " of "
	if s.probe.Op == classify.ProbeInsert || s.probe.Op == classify.ProbeReplace {
		of = " to "
	}
	out.Text = does + n.Of("row") + of + s.targets() + also
	if s.probe.Op == classify.ProbeReplace {
		out.Text += "; rows with the same keys are removed before, and are not counted"
		return out, nil
	}
	out.Rows, out.Binds = n, true
	return out, nil
}

func (s *preview) targets() string {
	var names []string
	for _, t := range s.probe.Targets {
		names = append(names, short(t))
	}
	return strings.Join(names, " and ")
}

// behind says what a write does to other tables, which nobody counts: foreign
// keys that cascade, and triggers.
func (s *preview) behind(ctx context.Context) (string, error) {
	does := ""
	switch s.probe.Op {
	case classify.ProbeDelete, classify.ProbeReplace:
		does = "DELETE_RULE"
	case classify.ProbeUpdate:
		does = "UPDATE_RULE"
	}
	also := ""
	for _, t := range s.probe.Targets {
		schema, name, is := strings.Cut(t, ".")
		if !is {
			return "", noPreview("it names no table of a database")
		}
		if does != "" {
			rows, err := s.q.own.query(ctx, "SELECT DISTINCT TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE UNIQUE_CONSTRAINT_SCHEMA = "+literal(schema)+
				" AND REFERENCED_TABLE_NAME = "+literal(name)+" AND "+does+" IN ('CASCADE', 'SET NULL', 'SET DEFAULT') ORDER BY TABLE_NAME")
			if err != nil {
				return "", err
			}
			var others []string
			for _, row := range rows {
				others = append(others, string(bytes.Join(row, nil)))
			}
			if len(others) > 0 {
				also += "; foreign keys change rows of " + short(strings.Join(others, ", ")) + " with them, which are not counted"
			}
		}
		if s.c.g.catalog.Triggers(t) {
			also += "; what its triggers do is not counted"
		}
	}
	return also, nil
}

// objects tells what DROP and TRUNCATE would take away.
func (s *preview) objects(ctx context.Context, out action.Preview) (action.Preview, error) {
	names := s.probe.Targets
	if s.probe.Kind == "database" {
		n, err := s.q.number(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = "+literal(names[0]))
		if err != nil {
			return out, err
		}
		out.Objects, out.Destroys, out.Creates, out.Changes = n, n, action.KnownCount(0), action.KnownCount(0)
		out.Text = "would drop database " + short(names[0]) + " with " + n.Of("table")
		return out, nil
	}
	n := int64(len(names))
	out.Objects = action.KnownCount(n)
	out.Text = "would empty " + action.KnownCount(n).Of("table")
	if s.probe.Op == classify.ProbeDrop {
		out.Text = "would drop " + action.KnownCount(n).Of(s.probe.Kind)
		out.Destroys, out.Creates, out.Changes = action.KnownCount(n), action.KnownCount(0), action.KnownCount(0)
	}
	switch {
	case s.probe.Kind != "table":
		return out, nil
	case n > maxPreviewed:
		out.Why = "their rows are not counted"
		return out, nil
	}
	total := int64(0)
	for _, name := range names {
		text := "SELECT COUNT(*) FROM " + quoted(name)
		err := s.plain(text)
		var n action.Count
		if err == nil {
			n, err = s.q.number(ctx, text)
		}
		if err != nil {
			out.Why = "their rows are not counted: " + previewWhy(err)
			return out, nil
		}
		total += n.N
	}
	out.Rows = action.KnownCount(total)
	out.Text += " with " + action.KnownCount(total).Of("row")
	out.Why = "nothing holds it to that number of rows"
	return out, nil
}

// short keeps names that an agent may have chosen on a card's line.
func short(name string) string {
	if utf8.RuneCountInString(name) > 120 {
		return string([]rune(name)[:120]) + "…"
	}
	return name
}

var _ gate.Previewer = (*codec)(nil)
