package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/show"
)

// momentOf is one record as a line: what happened, and how it ended.
func momentOf(r *entry) moment {
	m := moment{Index: r.Index, Key: strconv.FormatInt(r.Index, 10), Time: r.Time, Kind: r.Type, Class: "dim", Result: firstOf(r.Outcome, r.Decision)}
	if r.Traffic {
		m.Index, m.Key = -1, "t"+m.Key
	}
	if len(r.Kinds) > 0 {
		m.Kind = r.Kinds[0]
	}
	text := firstOf(r.Title, strings.TrimSpace(r.Verb+" "+r.Target), r.Resource)
	switch r.Type {
	case audit.TypeRequest:
		m.Class, m.Result = outcomeOf(&r.Record)
		text += rowsOf(r)
	case audit.TypeReview:
		m.Kind, text = "review", firstOf(r.Title, "an answer")
		m.Class = map[string]string{"approve": "ok", "deny": "bad"}[r.Decision]
		m.Result = map[string]string{"approve": "approved", "deny": "denied"}[r.Decision]
	case audit.TypeApproval:
		m.Kind, text = "approval", "it is now "+firstOf(r.Outcome, r.Decision)
		m.Class = stateOf(&approval.Approval{State: approval.State(firstOf(r.Outcome, r.Decision))}).Class
	case audit.TypeStep:
		m.Kind, m.Class, text = r.Decision, "info", "it now asks "+firstOf(r.Detail["asks"], "others")
	case audit.TypeTalk:
		m.Kind, m.Class, text = r.Decision, "info", r.Detail["text"]
	case audit.TypeStarted:
		m.Kind, m.Class, m.Result, text = "grant", "info", "running", firstOf(text, "the grant was used")
	case audit.TypeOutcome:
		m.Kind, m.Class = "outcome", map[string]string{"executed": "ok", "failed": "bad"}[r.Outcome]
		text += rowsOf(r)
	case audit.TypeRefused, audit.TypeAlarm:
		m.Class, m.Result = "bad", r.Type
	}
	if m.Class == "" {
		m.Class = "warn"
	}
	if text == "" {
		text = firstOf(r.Gate, r.Actor, r.Person, r.Type)
	}
	m.Text, m.Result = visible(text, maxTitle), plain(m.Result, 40)
	return m
}

func rowsOf(r *entry) string {
	if r.Rows == nil {
		return ""
	}
	return " · " + plural(*r.Rows, "row")
}

// plural is "1 row", "2 rows".
func plural(n int64, noun string) string { return show.Plural(n, noun) }

// outcomeOf names what was decided about a request. Anything but a plain allow
// or a wait reads as denied.
func outcomeOf(r *audit.Record) (class, name string) {
	switch r.Decision {
	case "allow":
		if n := total(r.Masked); n > 0 {
			return "info", "masked " + thousands(n)
		}
		return "ok", "allowed"
	case "review":
		return "wait", "held"
	}
	return "bad", "denied"
}

func total(m map[string]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

func firstOf(in ...string) string {
	for _, s := range in {
		if s != "" {
			return s
		}
	}
	return ""
}

// recordRow is one record in a table or stream.
type recordRow struct {
	moment
	Who      []Piece
	Type     string
	Resource []Piece
	Approval string
}

const counted = 10_000 // records that are read at once, at most

// recent searches both lanes; whole is false when there was more than the limit.
func (c *Console) recent(ctx context.Context, q audit.Query) (out []entry, whole bool, err error) {
	log, err := c.o.Log.Search(ctx, q)
	if err != nil {
		return nil, false, err
	}
	traffic, whole := c.o.Traffic.search(q)
	return merge(log, traffic, q.Limit), whole && (q.Limit == 0 || len(log) < q.Limit), nil
}

func (c *Console) recordRows(in []entry) []recordRow {
	out := make([]recordRow, len(in))
	for i := range in {
		r := &in[i]
		who := label(firstOf(r.Actor, r.Person, r.Subject))
		if r.Type == audit.TypeReview && r.Person != "" {
			who = label(r.Person)
		}
		if p, ok := c.o.People.Person(r.Person); ok && who == label(r.Person) {
			who = personName(&p)
		}
		out[i] = recordRow{moment: momentOf(r), Who: visible(who, maxTitle), Type: r.Type, Resource: visible(r.Resource, maxTitle), Approval: r.Approval}
	}
	return out
}

// auditPage lists records, the newest first.
type auditPage struct {
	Shell
	Records    []recordRow
	Older      int64 // index before which the next page begins; 0: none
	First      bool
	Checkpoint string
	Query      auditQuery
	Types      []string
}

// auditQuery is what the person searched for.
type auditQuery struct{ Type, Actor, Approval string }

const perPage = 100

func (c *Console) showAudit(w http.ResponseWriter, r *http.Request, p *who) {
	v := r.URL.Query()
	before, _ := strconv.ParseInt(v.Get("before"), 10, 64) // anything but a number means from the newest
	q := auditQuery{v.Get("type"), strings.TrimSpace(v.Get("actor")), strings.TrimSpace(v.Get("approval"))}
	query := audit.Query{Actor: q.Actor, Approval: q.Approval, Before: max(0, before), Limit: perPage + 1}
	if q.Type != "" {
		query.Types = []string{q.Type}
	}
	records, err := c.o.Log.Search(r.Context(), query)
	if err != nil {
		c.broken(w, r, "searching the log", err)
		return
	}
	page := auditPage{
		Shell: c.shellOf(r, p, "audit", "Audit log", -1), First: query.Before == 0, Query: q,
		Types: []string{
			audit.TypeRequest, audit.TypeReview, audit.TypeApproval, audit.TypeStep, audit.TypeTalk, audit.TypeStarted, audit.TypeOutcome, audit.TypeRefused,
			audit.TypeSession, audit.TypePolicy, audit.TypeConfig, audit.TypeToken, audit.TypeKey, audit.TypeAlarm,
		},
	}
	if len(records) > perPage {
		records = records[:perPage]
		page.Older = records[perPage-1].Index
	}
	page.Records = c.recordRows(merge(records, nil, 0))
	if c.o.Checkpoint != nil {
		note, err := c.o.Checkpoint(r.Context())
		if err != nil {
			c.o.Logger.ErrorContext(r.Context(), "reading the checkpoint", "err", err)
		}
		page.Checkpoint = string(note)
	}
	c.page(w, r, http.StatusOK, "audit", page)
}

// recordPage is one record with the proof that it stands in the log.
type recordPage struct {
	Shell
	Index      int64
	Lines      []Line
	Leaf       string // the leaf's hash
	Root       string
	Size       int64
	Proof      []string // hashes, from the leaf up
	Holds      bool
	Checkpoint string
}

// showRecord draws a record, and proves it: the inclusion proof is computed
// from the stored tiles and checked against the log's head before it is shown.
func (c *Console) showRecord(w http.ResponseWriter, r *http.Request, p *who) {
	ctx := r.Context()
	index, err := strconv.ParseInt(r.PathValue("index"), 10, 64)
	head, headErr := c.o.Log.Head(ctx)
	if headErr != nil {
		c.broken(w, r, "reading the log's head", headErr)
		return
	}
	if err != nil || index < 0 || index >= head.Size {
		c.fail(w, r, http.StatusNotFound, "There is no such record.", fmt.Sprintf("The log holds records 0 to %d.", head.Size-1))
		return
	}
	var leaf []byte
	err = c.o.Log.Leaves(ctx, index, index+1, func(_ int64, b []byte) error { leaf = slices.Clone(b); return nil })
	if err != nil || leaf == nil {
		c.broken(w, r, "reading a record", fmt.Errorf("record %d: %w", index, err))
		return
	}
	page := recordPage{Shell: c.shellOf(r, p, "audit", "Record "+strconv.FormatInt(index, 10), -1), Index: index, Size: head.Size, Root: tlog.Hash(head.Root).String()}
	page.Lines, _ = statementLines(indent(leaf), nil)
	hash := tlog.RecordHash(leaf)
	page.Leaf = hash.String()
	proof, err := tlog.ProveRecord(head.Size, index, tlog.TileHashReader(tlog.Tree{N: head.Size, Hash: tlog.Hash(head.Root)}, tiles{ctx, c.o.Log}))
	if err == nil {
		err = tlog.CheckRecord(proof, head.Size, tlog.Hash(head.Root), index, hash)
	}
	if err != nil {
		c.o.Logger.ErrorContext(ctx, "proving a record", "index", index, "err", err)
	}
	page.Holds = err == nil
	for _, h := range proof {
		page.Proof = append(page.Proof, h.String())
	}
	c.page(w, r, http.StatusOK, "record", page)
}

// indent makes a leaf readable; one that isn't JSON is shown as it is.
func indent(leaf []byte) string {
	var v any
	if json.Unmarshal(leaf, &v) != nil {
		return string(leaf)
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return string(leaf)
	}
	return string(b)
}
