package console

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// auditPage lists records, the newest first.
type auditPage struct {
	Shell
	Records    []recordRow
	Older      string // where older ones are; "": there are none
	Export     string // the same search as a file
	First      bool
	Cut        bool // the search gave up before it had looked through everything
	Looked     time.Time
	Checkpoint string
	Query      auditQuery
	Types      []string
}

// auditQuery is what the person searched for.
type auditQuery struct {
	Text, Type, Actor, Person, Resource, Kind, Class, Decision, Approval, Session string

	From, To string // as typed: times in UTC
	Problem  string // what of it can't be understood
}

const (
	perPage   = 100
	scanStep  = 500
	scanMost  = 20_000  // records that a search by text or decision looks through for one page
	exportMax = 100_000 // records of one file
	inputTime = "2006-01-02T15:04"
)

func queryOf(v url.Values) auditQuery {
	get := func(name string) string { return strings.TrimSpace(v.Get(name)) }
	return auditQuery{
		Text: get("text"), Type: get("type"), Actor: prefixed("agent:", get("actor")), Person: prefixed("person:", get("person")), Resource: get("resource"),
		Kind: get("kind"), Class: get("class"), Decision: get("decision"), Approval: get("approval"), Session: get("session"), From: get("from"), To: get("to"),
	}
}

// prefixed lets people leave out what an id begins with.
func prefixed(prefix, id string) string {
	if id == "" || strings.ContainsAny(id, ":|") {
		return id
	}
	return prefix + id
}

func (q *auditQuery) values() url.Values {
	v := url.Values{}
	for name, s := range map[string]string{
		"text": q.Text, "type": q.Type, "actor": q.Actor, "person": q.Person, "resource": q.Resource, "kind": q.Kind, "class": q.Class, "decision": q.Decision,
		"approval": q.Approval, "session": q.Session, "from": q.From, "to": q.To,
	} {
		if s != "" {
			v.Set(name, s)
		}
	}
	return v
}

// More reports whether one of the fields is used that are folded away.
func (q auditQuery) More() bool {
	return q.Resource+q.Kind+q.Class+q.Decision+q.Approval+q.Session+q.From+q.To != ""
}

// Any reports whether anything is left out.
func (q auditQuery) Any() bool { return len(q.values()) > 0 }

// search is the query as the store takes it. Of a time that can't be read nothing
// is found, and the page says so: an empty page must not read as "there is nothing".
func (q *auditQuery) search() audit.Query {
	out := audit.Query{Actor: q.Actor, Person: q.Person, Resource: q.Resource, Kind: q.Kind, Class: q.Class, Approval: q.Approval, Session: q.Session}
	if q.Type != "" {
		out.Types = []string{q.Type}
	}
	read := func(name, s string) time.Time {
		if s == "" {
			return time.Time{}
		}
		t, err := time.Parse(inputTime, s)
		if err != nil {
			q.Problem = fmt.Sprintf("%s is a time such as 2026-03-01T09:30, in UTC.", name)
		}
		return t
	}
	out.Since, out.Until = read("From", q.From), read("To", q.To)
	return out
}

// scans reports whether records must be looked at one by one.
func (q *auditQuery) scans() bool { return q.Text != "" || q.Decision != "" }

func (q *auditQuery) admits(r *audit.Record) bool {
	if q.Decision != "" && r.Decision != q.Decision && r.Outcome != q.Decision {
		return false
	}
	if q.Text == "" {
		return true
	}
	want := strings.ToLower(q.Text)
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), want) }
	if slices.ContainsFunc([]string{r.Title, r.Verb, r.Target, r.Resource, r.Gate, r.About, r.Outcome, r.Digest, r.Grant, r.Policy}, has) || slices.ContainsFunc(r.Rules, has) {
		return true
	}
	for _, v := range r.Detail {
		if has(v) {
			return true
		}
	}
	return false
}

// find calls fn with what matches, newest first, until it has enough; more is the
// index before which the search would go on, 0 when it came to its end.
func (c *Console) find(ctx context.Context, q *auditQuery, before int64, want, most int, fn func(audit.Record)) (more int64, looked time.Time, err error) {
	query := q.search()
	query.Before = max(0, before)
	step := want + 1
	if q.scans() {
		step = scanStep
	}
	found := 0
	for seen := 0; ; {
		query.Limit = min(step, scanStep)
		records, err := c.o.Log.Search(ctx, query)
		if err != nil {
			return 0, looked, err
		}
		for i := range records {
			r := &records[i]
			if found == want {
				return r.Index + 1, looked, nil
			}
			looked = r.Time
			if seen++; q.admits(r) {
				found++
				fn(*r)
			}
			query.Before = r.Index
		}
		switch {
		case len(records) < query.Limit || query.Before == 0:
			return 0, looked, nil
		case seen >= most:
			return query.Before, looked, nil
		}
	}
}

func (c *Console) showAudit(w http.ResponseWriter, r *http.Request, p *who) {
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64) // anything but a number means from the newest
	q := queryOf(r.URL.Query())
	var records []audit.Record
	var more int64
	var looked time.Time
	if q.search(); q.Problem == "" {
		var err error
		if more, looked, err = c.find(r.Context(), &q, before, perPage, scanMost, func(r audit.Record) { records = append(records, r) }); err != nil {
			c.broken(w, r, "searching the log", err)
			return
		}
	}
	v := q.values()
	page := auditPage{
		Shell: c.shellOf(r, p, "audit", "Audit log", -1), First: before <= 0, Query: q, Types: auditTypes(), Records: c.recordRows(merge(records, nil, 0)),
		Export: "/audit/export?" + v.Encode(), Cut: more > 0 && len(records) < perPage, Looked: looked,
	}
	if more > 0 {
		v.Set("before", strconv.FormatInt(more, 10))
		page.Older = "/audit?" + v.Encode()
	}
	if c.o.Checkpoint != nil {
		note, err := c.o.Checkpoint(r.Context())
		if err != nil {
			c.o.Logger.ErrorContext(r.Context(), "reading the checkpoint", "err", err)
		}
		page.Checkpoint = string(note)
	}
	c.page(w, r, http.StatusOK, "audit", page)
}

func auditTypes() []string {
	return []string{
		audit.TypeRequest, audit.TypeReview, audit.TypeApproval, audit.TypeStep, audit.TypeTalk, audit.TypeStarted, audit.TypeOutcome, audit.TypeRefused,
		audit.TypeSession, audit.TypeSignIn, audit.TypePerson, audit.TypeActor, audit.TypePasskey, audit.TypeFreeze, audit.TypeStanding, audit.TypePrompt, audit.TypeTaint, audit.TypeChange, audit.TypeTool, audit.TypeMember, audit.TypeFinding,
		audit.TypePolicy, audit.TypeConfig, audit.TypeToken, audit.TypeNotice, audit.TypeUnmask, audit.TypeVault, audit.TypeKey, audit.TypeFork, audit.TypeEvidence, audit.TypeLink, audit.TypeStart, audit.TypeBeat, audit.TypeStop, audit.TypeSpoolSeal, audit.TypePrune, audit.TypeErase, audit.TypeHold, audit.TypeAlarm,
	}
}

// exportAudit is a search as a file: JSON, one record a line as it stands in the
// log, or CSV for a spreadsheet. A file that was cut ends in a line that says so.
func (c *Console) exportAudit(w http.ResponseWriter, r *http.Request, _ *who) {
	q := queryOf(r.URL.Query())
	if q.search(); q.Problem != "" {
		c.fail(w, r, http.StatusUnprocessableEntity, q.Problem, "Go back and write it so. Nothing was exported.")
		return
	}
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	name, kind := "assent-audit.jsonl", "application/x-ndjson"
	write := jsonLines
	if r.URL.Query().Get("format") == "csv" {
		name, kind, write = "assent-audit.csv", "text/csv; charset=utf-8", csvLines
	}
	attach(w, kind, name)
	b := bufio.NewWriter(&download{c: c, w: w, r: r, stop: stop, looked: time.Now()})
	line, end := write(b)
	more, _, err := c.find(ctx, &q, 0, exportMax, exportMax, func(r audit.Record) { line(&r) })
	switch {
	case ctx.Err() != nil: // nobody is there to be told
	case err != nil:
		c.o.Logger.ErrorContext(r.Context(), "exporting the log", "err", err)
		end("cut: the log could not be read any further; the server's log says why")
	case more > 0:
		end(fmt.Sprintf("cut: there are older records, before index %d; narrow the search by time", more))
	default:
		end("")
	}
	if b.Flush() != nil {
		panic(http.ErrAbortHandler) // half a file must not look like a whole one
	}
}

func jsonLines(w io.Writer) (line func(*audit.Record), end func(string)) {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(true) // as the log itself writes them
	return func(r *audit.Record) { _ = out.Encode(r) }, func(why string) {
		if why != "" {
			_ = out.Encode(map[string]string{"assent": why})
		}
	}
}

func csvLines(w io.Writer) (line func(*audit.Record), end func(string)) {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"index", "time", "type", "actor", "subject", "person", "gate", "resource", "kinds", "title", "decision", "rules", "approval", "outcome", "rows", "session", "digest"})
	return func(r *audit.Record) {
			rows := ""
			if r.Rows != nil {
				rows = strconv.FormatInt(*r.Rows, 10)
			}
			cells := []string{
				strconv.FormatInt(r.Index, 10), r.Time.UTC().Format(time.RFC3339Nano), r.Type, r.Actor, r.Subject, r.Person, r.Gate, r.Resource,
				strings.Join(r.Kinds, " "), r.Title, r.Decision, strings.Join(r.Rules, " "), r.Approval, r.Outcome, rows, r.Session, r.Digest,
			}
			for i := range cells {
				cells[i] = cell(cells[i])
			}
			_ = out.Write(cells)
		}, func(why string) {
			if why != "" {
				_ = out.Write([]string{why})
			}
			out.Flush()
		}
}

// maxCell is what a spreadsheet's cell takes, in bytes.
const maxCell = 32_000

// formula is where a spreadsheet would begin to compute: at a cell's beginning,
// and behind what it takes for the end of one. Where people write decimals with a
// comma that is a semicolon, and our quotes are then none.
var formula = regexp.MustCompile(`(^|[;,|])([\s"']*)([=+@＝＋＠－-])`)

// cell keeps a spreadsheet from taking an agent's words for a formula, or for a row of its own.
func cell(s string) string { return formula.ReplaceAllString(plain(s, maxCell), "$1$2'$3") }
