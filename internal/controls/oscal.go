package controls

import (
	"crypto/sha1" //nolint:gosec // names by RFC 9562 section 5.5 are made of it; it guards nothing
	"fmt"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/show"
)

// OSCALVersion is the version of NIST's Open Security Controls Assessment Language
// whose assessment results OSCAL gives.
const OSCALVersion = "1.1.2"

const (
	assentNS   = "https://github.com/assenthq/assent"
	methodTest = "TEST"
	examine    = "EXAMINE"
)

// Assessment is a document of assessment results: what we use of the model, by its names.
type Assessment struct {
	Results assessmentResults `json:"assessment-results"`
}

type assessmentResults struct {
	UUID       string         `json:"uuid"`
	Metadata   oscalMetadata  `json:"metadata"`
	Plan       oscalHref      `json:"import-ap"`
	Results    []oscalResult  `json:"results"`
	BackMatter *oscalResource `json:"back-matter,omitempty"`
}

type oscalMetadata struct {
	Title    string      `json:"title"`
	Modified time.Time   `json:"last-modified"`
	Version  string      `json:"version"`
	OSCAL    string      `json:"oscal-version"`
	Props    []oscalProp `json:"props,omitempty"`
	Remarks  string      `json:"remarks,omitempty"`
}

type oscalHref struct {
	Href    string `json:"href"`
	Remarks string `json:"remarks,omitempty"`
}

type oscalResource struct {
	Resources []struct {
		UUID        string `json:"uuid"`
		Title       string `json:"title"`
		Description string `json:"description"`
	} `json:"resources"`
}

type oscalProp struct {
	Name  string `json:"name"`
	NS    string `json:"ns"`
	Value string `json:"value"`
}

type oscalResult struct {
	UUID         string        `json:"uuid"`
	Title        string        `json:"title"`
	Description  string        `json:"description"`
	Start        time.Time     `json:"start"`
	End          *time.Time    `json:"end,omitempty"`
	Props        []oscalProp   `json:"props,omitempty"`
	Reviewed     oscalReviewed `json:"reviewed-controls"`
	Observations []oscalObs    `json:"observations,omitempty"`
	Findings     []oscalFound  `json:"findings,omitempty"`
}

type oscalReviewed struct {
	Selections []oscalSelection `json:"control-selections"`
}

type oscalSelection struct {
	Description string           `json:"description"`
	Include     []oscalControlID `json:"include-controls"`
}

type oscalControlID struct {
	ID string `json:"control-id"`
}

type oscalObs struct {
	UUID        string          `json:"uuid"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Props       []oscalProp     `json:"props,omitempty"`
	Methods     []string        `json:"methods"`
	Evidence    []oscalEvidence `json:"relevant-evidence,omitempty"`
	Collected   time.Time       `json:"collected"`
	Remarks     string          `json:"remarks,omitempty"`
}

type oscalEvidence struct {
	Description string      `json:"description"`
	Props       []oscalProp `json:"props,omitempty"`
}

type oscalFound struct {
	UUID        string            `json:"uuid"`
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Target      oscalTarget       `json:"target"`
	Related     []oscalRelatedObs `json:"related-observations,omitempty"`
}

type oscalTarget struct {
	Type   string      `json:"type"`
	ID     string      `json:"target-id"`
	Status oscalStatus `json:"status"`
}

type oscalStatus struct {
	State   string `json:"state"`
	Reason  string `json:"reason"`
	Remarks string `json:"remarks"`
}

type oscalRelatedObs struct {
	UUID string `json:"observation-uuid"`
}

// OSCAL is the result as NIST's assessment results, written at the time now by a version of
// Assent. Each control has an observation with the searches behind its claim, each kind of
// exception one with its records. A control with exceptions has a finding, as not satisfied; none
// is ever called satisfied. Foreign text stands in properties only, never where markup counts.
func (r *Result) OSCAL(now time.Time, software string) *Assessment {
	now = now.UTC().Truncate(time.Second)
	w := &oscalWriter{r: r, space: fmt.Sprintf("%s %d %d %s", r.Source, r.First, r.End, r.To.UTC().Format(time.RFC3339Nano)), collected: r.To.UTC()}
	if r.To.IsZero() {
		w.collected = now
	}
	start, end := r.From.UTC(), r.To.UTC()
	if r.Records == 0 {
		start, end = now, now
	}
	out := oscalResult{
		UUID: w.uuid("result"), Title: "What the log shows of controls", Start: start, End: &end,
		Description: "Records of Assent's log held against a table of controls: for each the records behind its claim, and exceptions. It was made by a program; whether a control is met is for the auditor to say.",
		Props:       w.about(), Reviewed: w.reviewed(),
	}
	out.Observations, out.Findings = w.observations(), w.findings()
	plan := w.uuid("plan")
	back := &oscalResource{}
	back.Resources = append(back.Resources, struct {
		UUID        string `json:"uuid"`
		Title       string `json:"title"`
		Description string `json:"description"`
	}{plan, "Table of controls", "The table that assent evidence controls works by: docs/controls.md of the version named in the metadata. It stands in the place of an assessment plan."})
	return &Assessment{assessmentResults{
		UUID: w.uuid("document " + now.Format(time.RFC3339)),
		Metadata: oscalMetadata{
			Title: "Assent: assessment results", Modified: now, Version: now.Format("20060102T150405Z"), OSCAL: OSCALVersion,
			Props: []oscalProp{prop("software", "assent "+software)},
		},
		Plan: oscalHref{Href: "#" + plan}, Results: []oscalResult{out}, BackMatter: back,
	}}
}

type oscalWriter struct {
	r         *Result
	space     string
	collected time.Time
}

// uuid names a part of this result: the same records give the same names (RFC 9562 section 5.5).
func (w *oscalWriter) uuid(name string) string {
	sum := sha1.Sum([]byte(assentNS + "\n" + w.space + "\n" + name)) //nolint:gosec // as the import says
	sum[6], sum[8] = sum[6]&0x0f|0x50, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// prop is a property of our own, whose value is one line without blanks around it.
func prop(name, value string) oscalProp {
	if value = strings.TrimSpace(show.Plain(value, 400)); value == "" {
		value = "none"
	}
	return oscalProp{name, assentNS, value}
}

func (w *oscalWriter) about() []oscalProp {
	r := w.r
	props := []oscalProp{
		prop("source", r.Source), prop("records", fmt.Sprint(r.Records)), prop("traffic", fmt.Sprint(r.Traffic)),
		prop("not-judged", fmt.Sprint(r.Earlier)), prop("exceptions", fmt.Sprint(r.Count())),
	}
	if r.Records > 0 {
		props = append(props, prop("first-record", fmt.Sprint(r.First)), prop("last-record", fmt.Sprint(r.End-1)))
	}
	if len(r.Verified) == 0 {
		return append(props, prop("verified", "no: the records are as the data directory has them"))
	}
	for _, l := range r.Verified {
		props = append(props, prop("verified", l))
	}
	return props
}

// controlID is how catalogues write it: ac-2.
func controlID(c *Control) string { return strings.ToLower(c.ID) }

func (w *oscalWriter) reviewed() (out oscalReviewed) {
	for i := range w.r.Controls {
		c := &w.r.Controls[i].Control
		if n := len(out.Selections); n == 0 || out.Selections[n-1].Description != c.Framework {
			out.Selections = append(out.Selections, oscalSelection{Description: c.Framework})
		}
		s := &out.Selections[len(out.Selections)-1]
		s.Include = append(s.Include, oscalControlID{controlID(c)})
	}
	return out
}

func (w *oscalWriter) observations() (out []oscalObs) {
	done := map[Test]bool{}
	for i := range w.r.Controls {
		c := &w.r.Controls[i]
		o := oscalObs{
			UUID: w.uuid("control " + c.ID), Title: c.ID + ": " + c.Name, Description: c.Claim, Methods: []string{examine}, Collected: w.collected,
			Props: []oscalProp{prop("control", controlID(&c.Control)), prop("found", c.Verdict())}, Remarks: "Not in the log: " + c.Silent,
		}
		for k := range c.Queries {
			q := &c.Queries[k]
			o.Evidence = append(o.Evidence, oscalEvidence{q.Says, []oscalProp{prop("records", fmt.Sprint(c.Records[k])), prop("search", q.Command())}})
		}
		out = append(out, o)
		for k, t := range c.Tests {
			if !done[t] {
				done[t] = true
				out = append(out, w.test(t, c.Found[k]))
			}
		}
	}
	return out
}

// test is the observation that a kind of exception was looked for.
func (w *oscalWriter) test(t Test, found int64) oscalObs {
	o := oscalObs{
		UUID: w.uuid("test " + string(t)), Title: string(t), Description: "Looked for: " + t.Says() + ".", Methods: []string{methodTest}, Collected: w.collected,
		Props: []oscalProp{prop("exceptions", fmt.Sprint(found))},
	}
	for i := range w.r.Exceptions {
		e := &w.r.Exceptions[i]
		if e.Test != t {
			continue
		}
		lane := "log"
		if e.Lane != "" {
			lane = "traffic"
		}
		ev := oscalEvidence{fmt.Sprintf("Record %d of the %s.", e.Index, lane), []oscalProp{prop("what", e.What), prop("time", e.Time.UTC().Format(time.RFC3339Nano))}}
		for _, p := range []struct{ name, value string }{{"actor", e.Actor}, {"person", e.Person}, {"resource", e.Resource}, {"approval", e.Approval}} {
			if p.value != "" {
				ev.Props = append(ev.Props, prop(p.name, p.value))
			}
		}
		o.Evidence = append(o.Evidence, ev)
	}
	return o
}

func (w *oscalWriter) findings() (out []oscalFound) {
	for i := range w.r.Controls {
		c := &w.r.Controls[i]
		if c.Exceptions == 0 {
			continue
		}
		f := oscalFound{
			UUID: w.uuid("finding " + c.ID), Title: c.ID + ": exceptions", Description: "Exceptions: " + c.Verdict() + ".",
			Target: oscalTarget{"statement-id", controlID(&c.Control), oscalStatus{
				"not-satisfied", "other", "Exceptions were found by a program. Whether they count against the control is for the auditor to say.",
			}},
			Related: []oscalRelatedObs{{w.uuid("control " + c.ID)}},
		}
		if c.Framework == NIST {
			f.Target.ID += "_smt"
		}
		for k, t := range c.Tests {
			if c.Found[k] > 0 {
				f.Related = append(f.Related, oscalRelatedObs{w.uuid("test " + string(t))})
			}
		}
		out = append(out, f)
	}
	return out
}
