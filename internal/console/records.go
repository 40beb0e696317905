package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
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
	case audit.TypeUnmask:
		m.Kind, m.Class, text = "unmask", "warn", "looked at a masked "+r.Detail["class"]
	case audit.TypeVault:
		m.Kind, m.Class, text = "vault", "warn", "read the value behind "+r.Detail["token"]
		if r.Detail["event"] == "erase" {
			text = "erased values behind tokens"
		}
	case audit.TypePrompt:
		m.Kind, m.Class, text = "prompt", "info", "told, as its side says: "+r.Detail["text"]
	case audit.TypeTaint:
		m.Kind, m.Class, text = "taint", "warn", "saw "+r.Detail["what"]
	case audit.TypeFinding:
		m.Kind, m.Class, m.Result = "finding", "warn", plural(total(r.Findings), "finding")
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

// recordPage is one record with the proof that it stands in the log.
type recordPage struct {
	Shell
	Index    int64
	Lines    []Line
	Leaf     string // the leaf's hash
	Root     string
	Size     int64
	Proof    []string // hashes, from the leaf up
	Holds    bool
	Keys     string // verifier keys of the log, for the browser to check with
	Provable bool   // the browser may check it itself
	About    string // the approval that it tells of
	Session  string // its page
	Erased   bool   // what is shown is what an erasure left
}

// leafOf reads the record that a path names, exactly as it stands in the log;
// false: it told what is wrong.
func (c *Console) leafOf(w http.ResponseWriter, r *http.Request) (index int64, leaf []byte, head audit.Head, ok bool) {
	index, err := strconv.ParseInt(r.PathValue("index"), 10, 64)
	head, headErr := c.o.Log.Head(r.Context())
	if headErr != nil {
		c.broken(w, r, "reading the log's head", headErr)
		return
	}
	if err != nil || index < 0 || index >= head.Size {
		c.fail(w, r, http.StatusNotFound, "There is no such record.", fmt.Sprintf("The log holds records 0 to %d.", head.Size-1))
		return
	}
	err = c.o.Log.Leaves(r.Context(), index, index+1, func(_ int64, b []byte) error { leaf = slices.Clone(b); return nil })
	if err != nil || leaf == nil {
		c.broken(w, r, "reading a record", fmt.Errorf("record %d: %w", index, err))
		return
	}
	return index, leaf, head, true
}

// serveLeaf is a record's exact bytes, and serveProof its proof under the newest
// checkpoint (C2SP tlog-proof): what a browser, or anybody offline, checks for itself.
func (c *Console) serveLeaf(w http.ResponseWriter, r *http.Request, _ *who) {
	index, leaf, _, ok := c.leafOf(w, r)
	if ok {
		attach(w, "application/json", fmt.Sprintf("record-%d.json", index))
		_, _ = w.Write(leaf)
	}
}

func (c *Console) serveProof(w http.ResponseWriter, r *http.Request, _ *who) {
	index, _, _, ok := c.leafOf(w, r)
	if !ok {
		return
	}
	text, err := c.o.Prove(r.Context(), index)
	if err != nil {
		c.o.Logger.InfoContext(r.Context(), "proving a record", "index", index, "err", err)
		http.Error(w, "No checkpoint covers this record yet; the next one is signed within seconds.", http.StatusConflict)
		return
	}
	attach(w, "text/plain; charset=utf-8", fmt.Sprintf("record-%d.tlog-proof", index))
	_, _ = w.Write(text)
}

// attach makes what is served a file: nothing an agent wrote is ever opened as a page.
func attach(w http.ResponseWriter, kind, name string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}

// showRecord draws a record, and proves it: the inclusion proof is computed
// from the stored tiles and checked against the log's head before it is shown.
func (c *Console) showRecord(w http.ResponseWriter, r *http.Request, p *who) {
	ctx := r.Context()
	index, leaf, head, ok := c.leafOf(w, r)
	if !ok {
		return
	}
	page := recordPage{Shell: c.shellOf(r, p, "audit", "Record "+strconv.FormatInt(index, 10), -1), Index: index, Size: head.Size, Root: tlog.Hash(head.Root).String()}
	page.Lines, _ = statementLines(indent(leaf), nil)
	hash, erased, err := audit.Stands(ctx, c.o.Log, index, leaf)
	if err != nil {
		c.o.Logger.ErrorContext(ctx, "reading the hash of a record", "index", index, "err", err)
	}
	page.Erased = erased
	page.Leaf = hash.String()
	proof, err := tlog.ProveRecord(head.Size, index, tlog.TileHashReader(tlog.Tree{N: head.Size, Hash: tlog.Hash(head.Root)}, tiles{ctx, c.o.Log}))
	if err == nil {
		err = tlog.CheckRecord(proof, head.Size, tlog.Hash(head.Root), index, hash)
	}
	if err != nil {
		c.o.Logger.ErrorContext(ctx, "proving a record", "index", index, "err", err)
	}
	page.Holds = err == nil
	page.Provable = c.o.Prove != nil && c.o.Verifiers != nil
	if page.Provable {
		page.Keys = strings.Join(c.o.Verifiers(), " ")
	}
	var told audit.Record
	if json.Unmarshal(leaf, &told) == nil {
		page.About = told.Approval
		if told.Session != "" {
			page.Session = "/sessions/" + url.PathEscape(told.Session)
		}
	}
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
