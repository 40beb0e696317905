package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/scan"
)

// lineFindings prints a line a finding, for people.
type lineFindings struct{ a *app }

func (p *lineFindings) Finding(f *scan.Finding) error {
	value := ""
	if f.Value != nil {
		value = "  " + inline(string(f.Value))
	}
	_, err := fmt.Fprintf(p.a.out, "%s:%d:%d: %s (%s) %.2f%s\n", inline(f.File), f.Line, f.Col, f.Class, strings.Join(detect.GroupOf(f.Class), ", "), f.Score, value)
	return err
}

func (*lineFindings) Note(*scan.Note) error { return nil }

// jsonFindings prints an object a line.
type jsonFindings struct{ a *app }

// findingJSON is that object. docs/scan.md lists its members.
type findingJSON struct {
	File        string       `json:"file"`
	Start       int64        `json:"start"`
	End         int64        `json:"end"`
	Line        int          `json:"line"`
	Column      int          `json:"column"`
	Class       detect.Class `json:"class"`
	Group       string       `json:"group"`
	Groups      []string     `json:"groups"`
	Confidence  float64      `json:"confidence"`
	Fingerprint string       `json:"fingerprint,omitempty"`
	Value       *string      `json:"value,omitempty"`
}

func (p *jsonFindings) Finding(f *scan.Finding) error {
	out := findingJSON{
		File: f.File, Start: f.Start, End: f.End, Line: f.Line, Column: f.Col, Class: f.Class,
		Group: scan.Group(f.Class), Groups: detect.GroupOf(f.Class), Confidence: rounded(f.Score), Fingerprint: f.Print,
	}
	if f.Value != nil {
		v := string(f.Value)
		out.Value = &v
	}
	return p.a.printLine(out)
}

func (*jsonFindings) Note(*scan.Note) error { return nil }

func rounded(score float32) float64 { return math.Round(float64(score)*100) / 100 }

// sarifFindings prints one document of SARIF 2.1.0, result after result as they are found.
type sarifFindings struct {
	a     *app
	n     int
	rules []detect.Class
	notes []sarifNote
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifNote struct {
	Level    string       `json:"level"`
	Message  sarifText    `json:"message"`
	Location []sarifPlace `json:"locations,omitempty"`
}

type sarifPlace struct {
	Physical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region *sarifRegion `json:"region,omitempty"`
	} `json:"physicalLocation"`
}

type sarifRegion struct {
	StartLine   int      `json:"startLine"`
	StartColumn int      `json:"startColumn"`
	EndLine     int      `json:"endLine"`
	EndColumn   int      `json:"endColumn"`
	ByteOffset  int64    `json:"byteOffset"`
	ByteLength  int64    `json:"byteLength"`
	Snippet     *sarifAs `json:"snippet,omitempty"`
}

type sarifAs struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID     string            `json:"ruleId"`
	Level      string            `json:"level"`
	Message    sarifText         `json:"message"`
	Locations  []sarifPlace      `json:"locations"`
	Prints     map[string]string `json:"partialFingerprints,omitempty"`
	Properties map[string]any    `json:"properties"`
}

type sarifRule struct {
	ID         string         `json:"id"`
	Short      sarifText      `json:"shortDescription"`
	Properties map[string]any `json:"properties"`
}

func newSARIF(a *app) *sarifFindings { return &sarifFindings{a: a} }

// place is where something lies. A member of an archive is told as the archive.
func (p *sarifFindings) place(file string) (at sarifPlace) {
	file, _, _ = strings.Cut(file, "!")
	u := url.URL{Path: filepath.ToSlash(filepath.Clean(file))}
	at.Physical.Artifact.URI = u.String()
	return at
}

func (p *sarifFindings) Finding(f *scan.Finding) error {
	at := p.place(f.File)
	if _, member, in := strings.Cut(f.File, "!"); !in || member == "" {
		at.Physical.Region = &sarifRegion{f.Line, f.Col, f.EndLine, f.EndCol, f.Start, f.End - f.Start, nil}
		if f.Value != nil {
			at.Physical.Region.Snippet = &sarifAs{string(f.Value)}
		}
	}
	r := sarifResult{
		RuleID: string(f.Class), Level: levelOf(f.Class), Locations: []sarifPlace{at},
		Message:    sarifText{fmt.Sprintf("A value of class %s (%s), at %s:%d:%d.", f.Class, strings.Join(detect.GroupOf(f.Class), ", "), f.File, f.Line, f.Col)},
		Properties: map[string]any{"confidence": rounded(f.Score)},
	}
	if f.Print != "" {
		r.Prints = map[string]string{"assent/v1": f.Print}
	}
	if !slices.Contains(p.rules, f.Class) {
		p.rules = append(p.rules, f.Class)
	}
	if p.n++; p.n == 1 {
		p.begin()
	} else {
		p.a.printf(",\n")
	}
	return p.print(r)
}

func (p *sarifFindings) begin() {
	p.a.printf("%s", `{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0","runs":[{"columnKind":"unicodeCodePoints","results":[`+"\n")
}

func (p *sarifFindings) print(v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = fmt.Fprint(p.a.out, asciiControls(string(b)))
	}
	return err
}

func (p *sarifFindings) Note(n *scan.Note) error {
	if n.Lost && len(p.notes) < 1000 {
		p.notes = append(p.notes, sarifNote{"error", sarifText{n.File + ": " + n.Why}, []sarifPlace{p.place(n.File)}})
	}
	return nil
}

// end closes the document.
func (p *sarifFindings) end(sum *scan.Sum) error {
	if p.n == 0 {
		p.begin()
	}
	rules := []sarifRule{}
	for _, c := range p.rules {
		rules = append(rules, sarifRule{string(c), sarifText{"A value of class " + string(c)}, map[string]any{"tags": append([]string{"security"}, detect.GroupOf(c)...)}})
	}
	p.a.printf("%s", "\n],\"tool\":{\"driver\":")
	if err := p.print(map[string]any{"name": "assent", "version": Version(), "rules": rules}); err != nil {
		return err
	}
	p.a.printf("%s", "},\"invocations\":[")
	if err := p.print(map[string]any{"executionSuccessful": sum.Lost == 0, "toolExecutionNotifications": append([]sarifNote{}, p.notes...)}); err != nil {
		return err
	}
	p.a.printf("]}]}\n")
	return nil
}

// levelOf is how grave a class is, for those who sort by it.
func levelOf(c detect.Class) string {
	if g := scan.Group(c); g == detect.Secret || g == detect.PCI {
		return "error"
	}
	return "warning"
}
