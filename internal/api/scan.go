package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/scan"
)

const (
	maxScan  = 4 << 20 // bytes of a request's body
	maxFound = 10_000  // findings told at once
)

// A Looker finds and masks sensitive values in what callers send. Nothing of that is kept or logged.
type Looker struct {
	Engine *detect.Engine
	// Masks makes the masks of somebody; nil where nothing is masked.
	Masks func(who string, methods map[string]string) *mask.Set
	// Record writes a record of what somebody says that was found elsewhere.
	Record func(context.Context, *audit.Record) error
}

// Content is what a caller sends to be looked into.
type Content struct {
	Text   string `json:"text,omitempty" doc:"Either this or base64"`
	Base64 string `json:"base64,omitempty" doc:"Bytes that are no text: compressed, an archive, any encoding"`
	Name   string `json:"name,omitempty" maxLength:"256" doc:"A file's name, by whose ending the format is told"`
	Format string `json:"format,omitempty" enum:"text,json,csv,tsv,sql" doc:"Where names of columns and members stand; by name and content unless given"`
}

func (c *Content) bytes() ([]byte, error) {
	if c.Text != "" && c.Base64 != "" {
		return nil, badRequest("body", "text or base64, not both")
	}
	if c.Base64 == "" {
		return []byte(c.Text), nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(c.Base64)
	if err != nil {
		return nil, badRequest("body.base64", "not standard base64")
	}
	return b, nil
}

func (c *Content) name() string {
	if c.Name == "" || strings.Contains(c.Name, "!") {
		return "content"
	}
	return c.Name
}

// ScanQuestion is a text to look into.
type ScanQuestion struct {
	Content
	Classes       []string `json:"classes,omitempty" maxItems:"1000" doc:"Only these"`
	Groups        []string `json:"groups,omitempty" maxItems:"100" doc:"Only classes of these: pii, phi, pci, secret"`
	MinConfidence *float64 `json:"min_confidence,omitempty" minimum:"0" maximum:"1" doc:"0.5 unless given"`
}

// A ScanFinding is where a value is, and of what class; never the value.
type ScanFinding struct {
	Member     string   `json:"member,omitempty" doc:"Of an archive, or what was compressed: offsets are in it"`
	Start      int64    `json:"start" doc:"In bytes; of text, in UTF-8"`
	End        int64    `json:"end"`
	Line       int      `json:"line"`
	Column     int      `json:"column"`
	Class      string   `json:"class"`
	Group      string   `json:"group" doc:"The first of pci, phi, secret and pii that the class is in"`
	Groups     []string `json:"groups"`
	Confidence float64  `json:"confidence"`
}

// An Unseen is something that was not looked into.
type Unseen struct {
	Member string `json:"member,omitempty"`
	Why    string `json:"why"`
}

// ScanAnswer is what was found.
type ScanAnswer struct {
	Findings []ScanFinding `json:"findings"`
	Unseen   []Unseen      `json:"unseen" doc:"Where there is any, something may lie in it that was not found"`
	More     bool          `json:"more,omitempty" doc:"There are more findings than are told"`
}

type (
	scanIn  struct{ Body ScanQuestion }
	scanOut struct{ Body ScanAnswer }
)

// answered takes what a scan finds, up to a number.
type answered struct {
	name string
	out  *ScanAnswer
}

func (a *answered) member(file string) string {
	member, _ := strings.CutPrefix(strings.TrimPrefix(file, a.name), "!")
	return member
}

func (a *answered) Finding(f *scan.Finding) error {
	if len(a.out.Findings) >= maxFound {
		a.out.More = true
		return nil
	}
	a.out.Findings = append(a.out.Findings, ScanFinding{
		Member: a.member(f.File), Start: f.Start, End: f.End, Line: f.Line, Column: f.Col,
		Class: string(f.Class), Group: scan.Group(f.Class), Groups: detect.GroupOf(f.Class), Confidence: math.Round(float64(f.Score)*100) / 100,
	})
	return nil
}

func (a *answered) Note(n *scan.Note) error {
	if n.Lost && len(a.out.Unseen) < maxFound {
		a.out.Unseen = append(a.out.Unseen, Unseen{a.member(n.File), n.Why})
	}
	return nil
}

// look waits for room and takes the caller's pace: looking into things is work.
func (s *server) look(ctx context.Context, n int) (end func(), err error) {
	if s.Looker == nil {
		return nil, problem(http.StatusNotFound, "not-found", "This server looks into nothing.")
	}
	if p := s.paces.spend(whoOf(callerOf(ctx)), n, s.Clock()); p != nil {
		return nil, p
	}
	select {
	case s.looking <- struct{}{}:
		return func() { <-s.looking }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// whoOf names who calls, whatever credential it has by now.
func whoOf(c *identity.Caller) string {
	switch {
	case c.Asker != nil && len(c.Asker.Chain) > 0:
		return c.Asker.Chain[len(c.Asker.Chain)-1].ID
	case c.Person != nil:
		return c.Person.ID
	}
	return c.Token
}

func (s *server) scanContent(ctx context.Context, in *scanIn) (*scanOut, error) {
	q := &in.Body
	b, err := q.bytes()
	if err != nil {
		return nil, err
	}
	end, err := s.look(ctx, len(b))
	if err != nil {
		return nil, err
	}
	defer end()
	o := scan.Options{Engine: s.Looker.Engine, Min: 0.5, Groups: q.Groups, Format: scan.Format(q.Format), Workers: 1}
	if q.MinConfidence != nil {
		o.Min = float32(*q.MinConfidence)
	}
	for _, c := range q.Classes {
		o.Classes = append(o.Classes, detect.Class(c))
	}
	scanner, err := scan.New(o)
	if err != nil {
		return nil, badRequest("body", err.Error())
	}
	out := &scanOut{Body: ScanAnswer{Findings: []ScanFinding{}, Unseen: []Unseen{}}}
	if _, err := scanner.Reader(ctx, q.name(), bytes.NewReader(b), &answered{q.name(), &out.Body}); err != nil {
		return nil, err
	}
	return out, nil
}

// MaskQuestion is a text to mask.
type MaskQuestion struct {
	Content
	Masks   map[string]string `json:"masks,omitempty" doc:"Class or group to method: redact, hash, tokenize, format-preserving or partial. Everything is redacted unless given"`
	Columns map[string]string `json:"columns,omitempty" doc:"Of CSV: names of columns that are masked whole, to their class or \"\""`
}

// MaskAnswer is that text, masked.
type MaskAnswer struct {
	Text   string           `json:"text,omitempty"`
	Base64 string           `json:"base64,omitempty" doc:"Instead of text, where the question had it"`
	Masked map[string]int64 `json:"masked" doc:"How many values, by class"`
}

type (
	maskIn  struct{ Body MaskQuestion }
	maskOut struct{ Body MaskAnswer }
)

func (s *server) maskContent(ctx context.Context, in *maskIn) (*maskOut, error) {
	q := &in.Body
	b, err := q.bytes()
	if err != nil {
		return nil, err
	}
	methods, err := methodsOf(q.Masks)
	if err != nil {
		return nil, err
	}
	columns := map[string]detect.Class{}
	for name, class := range q.Columns {
		if class != "" && !detect.Class(class).Valid() {
			return nil, badRequest("body.columns", fmt.Sprintf("there is no class %.64q", class))
		}
		columns[name] = detect.Class(class)
	}
	end, err := s.look(ctx, len(b))
	if err != nil {
		return nil, err
	}
	defer end()
	if s.Looker.Masks == nil {
		return nil, problem(http.StatusNotFound, "not-found", "This server masks nothing.")
	}
	// A name that no gate masks under: what is made here never equals what a gate makes, so that nobody
	// finds out what a masked value is by masking guesses.
	how := scan.Masking{Engine: s.Looker.Engine, Set: s.Looker.Masks("\x00api\x00"+whoOf(callerOf(ctx)), methods), Format: scan.Format(q.Format), Columns: columns}
	var out bytes.Buffer
	counts, err := how.Mask(ctx, q.name(), bytes.NewReader(b), &out)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, badRequest("body", err.Error())
	}
	answer := &maskOut{Body: MaskAnswer{Masked: counts}}
	if q.Base64 != "" {
		answer.Body.Base64 = base64.StdEncoding.EncodeToString(out.Bytes())
	} else {
		answer.Body.Text = out.String()
	}
	return answer, nil
}

// methodsOf checks masks; none is everything redacted.
func methodsOf(in map[string]string) (map[string]string, error) {
	groups := detect.Groups(detect.Classes())
	known := []string{mask.Redact, mask.Hash, mask.Token, mask.Format, mask.Partial}
	for what, method := range in {
		if !detect.Class(what).Valid() && !slices.Contains(groups, what) {
			return nil, badRequest("body.masks", fmt.Sprintf("there is no class or group %.64q", what))
		}
		if !slices.Contains(known, method) {
			return nil, badRequest("body.masks", fmt.Sprintf("%.64q is no method", method))
		}
	}
	if len(in) > 0 {
		return in, nil
	}
	out := map[string]string{}
	for _, g := range groups {
		out[g] = mask.Redact
	}
	return out, nil
}

// FindingsReport is what somebody found in something of theirs, such as a log they follow.
type FindingsReport struct {
	Source  string           `json:"source" minLength:"1" maxLength:"512" doc:"Where: a file's name. A claim"`
	Host    string           `json:"host,omitempty" maxLength:"253" doc:"A claim"`
	Line    int64            `json:"line,omitempty" minimum:"0" doc:"Of the first of them"`
	Classes map[string]int64 `json:"classes" doc:"How many, by class"`
}

type findingsIn struct{ Body FindingsReport }

// reportFindings puts a report into the log, where the console's activity shows it.
func (s *server) reportFindings(ctx context.Context, in *findingsIn) (*nothing, error) {
	r := &in.Body
	all := int64(0)
	for class, n := range r.Classes {
		if !detect.Class(class).Valid() || n < 1 || n > 1<<40 {
			return nil, badRequest("body.classes", fmt.Sprintf("%.64q: a class, and how many", class))
		}
		all += n
	}
	if all == 0 {
		return nil, badRequest("body.classes", "nothing was found")
	}
	if s.Looker == nil || s.Looker.Record == nil {
		return nil, problem(http.StatusNotFound, "not-found", "This server takes no reports.")
	}
	caller := callerOf(ctx)
	if p := s.paces.spend(whoOf(caller), paceBurst/32, s.Clock()); p != nil {
		return nil, p
	}
	source := s.Mask(r.Source)
	rec := &audit.Record{Type: audit.TypeFinding, Target: source, Findings: maps.Clone(r.Classes), Detail: map[string]string{"token": caller.Token}}
	rec.Title = "found " + strings.Join(slices.Sorted(maps.Keys(r.Classes)), ", ") + " in " + plain(source)
	if r.Host != "" {
		rec.Detail["host"] = s.Mask(r.Host)
	}
	if r.Line > 0 {
		rec.Detail["line"] = fmt.Sprint(r.Line)
	}
	switch {
	case caller.Asker != nil:
		rec.Actor, rec.Subject = whoOf(caller), caller.Asker.Subject.ID
	case caller.Person != nil:
		rec.Person = caller.Person.ID
	}
	return nil, s.Looker.Record(ctx, rec)
}

// lookers is how many look at once.
func lookers() chan struct{} { return make(chan struct{}, runtime.GOMAXPROCS(0)) }
