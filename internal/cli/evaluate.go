package cli

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/assenthq/assent/internal/accuracy"
	"github.com/assenthq/assent/internal/detect"
	"github.com/spf13/cobra"
)

func (a *app) detectCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "detect", Short: "How sensitive data is found, and how well"})
	c.AddCommand(&cobra.Command{
		Use: "classes", Short: "Print docs/classes.md: every class, its form, check, words and examples", Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			a.printf("%s", detect.Reference())
			return nil
		},
	})
	c.AddCommand(a.evaluateCmd(), a.explainCmd())
	return c
}

// An evaluation is one run of assent detect evaluate.
type evaluation struct {
	finder
	a        *app
	offsets  string
	mapFile  string
	found    []string
	foundMap string
	errors   int
	reveal   bool

	labels *accuracy.Map
	report *accuracy.Report
	rng    *rand.Rand
	picked map[pickKey]*pick
}

func (a *app) evaluateCmd() *cobra.Command {
	e := &evaluation{a: a}
	c := &cobra.Command{
		Use:   "evaluate FILE...",
		Short: "Precision and recall over labelled texts",
		Long: `Find sensitive data in labelled texts, and tell how well: precision, recall, F1
and F2 for each class and overall, by the whole span (strict) and by a span that
shares a byte with the label (overlap).

A file has a JSON object a line ("-" is standard input):

  {"text":"Call 415 555 2671","spans":[{"start":5,"end":17,"class":"phone"}]}

Offsets count characters, or bytes of UTF-8 with --offsets bytes. With --map the
classes are labels of a data set, and a YAML file says what they stand for:

  labels:
    EMAIL_ADDRESS: email
    API_KEY: group:secret           # any class of that group
    TAX_ID: [tax-id, us-ssn]        # either
  left_out:
    AGE: no class                   # and why
    DATE: few are birth dates
  optional:
    DATE: date-of-birth             # found or not, neither right nor wrong

--errors N shows up to N misses and N wrong findings of each class, drawn at
random, by place; --reveal shows the text around them too.

With --found, findings of another detector are measured instead: a file for each
file, line for line the same texts, with what it found as spans.`,
		Args: atLeast("FILE"),
		RunE: func(c *cobra.Command, args []string) error { return e.run(c, args) },
	}
	f := c.Flags()
	f.StringVar(&e.offsets, "offsets", string(accuracy.Runes), "what offsets count: runes or bytes")
	f.StringVar(&e.mapFile, "map", "", "YAML file that says which classes the labels stand for")
	f.StringArrayVar(&e.found, "found", nil, "findings of another detector, a file for each FILE")
	f.StringVar(&e.foundMap, "found-map", "", "YAML file that says which classes its labels stand for (default: that of --map)")
	f.IntVar(&e.errors, "errors", 0, "show so many misses and wrong findings of each class")
	e.flags(c, true)
	f.BoolVar(&e.reveal, "reveal", false, "show the text of what --errors shows")
	return c
}

func (e *evaluation) run(c *cobra.Command, args []string) error {
	switch {
	case e.offsets != string(accuracy.Runes) && e.offsets != string(accuracy.Bytes):
		return usage(c, "--offsets %q: it is runes or bytes", e.offsets)
	case len(e.found) > 0 && len(e.found) != len(args):
		return usage(c, "%s of --found for %s", count(len(e.found), "file", "files"), count(len(args), "FILE", "FILEs"))
	case e.errors < 0:
		return usage(c, "--errors %d: 0 or more", e.errors)
	}
	var err error
	if e.labels, err = readMap(e.mapFile); err != nil {
		return &exitError{exitUsage, err}
	}
	theirs := e.labels
	if e.foundMap != "" {
		if theirs, err = readMap(e.foundMap); err != nil {
			return &exitError{exitUsage, err}
		}
	}
	if e.labels != nil {
		if none := e.labels.Unknown(); len(none) > 0 {
			fmt.Fprintf(e.a.err, "note: this edition has none of these classes that the map names: %s\n", inline(strings.Join(none, ", ")))
		}
	}
	engine, err := e.engine()
	if err != nil {
		return err
	}
	e.report = accuracy.NewReport(e.labels)
	e.rng, e.picked = rand.New(rand.NewPCG(1, 1)), map[pickKey]*pick{} //nolint:gosec // the same choice each time is what is wanted
	for i, file := range args {
		find := func(_ int, t *accuracy.Text) ([]detect.Finding, error) { return engine.ScanString(t.Text, nil), nil }
		if len(e.found) > 0 {
			if find, err = e.others(e.found[i], theirs); err != nil {
				return &exitError{exitUsage, fmt.Errorf("%s: %w", e.found[i], err)}
			}
		}
		if err := e.file(file, find); err != nil {
			return &exitError{exitUsage, fmt.Errorf("%s: %w", file, err)}
		}
	}
	if e.a.json {
		return e.a.printJSON(e.report.Summary())
	}
	return e.print(e.report.Summary())
}

func readMap(file string) (*accuracy.Map, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	m, err := accuracy.ReadMap(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

func (e *evaluation) read(file string, f func(line int, t *accuracy.Text) error) error {
	r := e.a.in
	if file != "-" {
		open, err := os.Open(file)
		if err != nil {
			return err
		}
		defer func() { _ = open.Close() }()
		r = open
	}
	return accuracy.Read(r, accuracy.Offsets(e.offsets), f)
}

// others reads what another detector found.
func (e *evaluation) others(file string, theirs *accuracy.Map) (func(int, *accuracy.Text) ([]detect.Finding, error), error) {
	type seen struct {
		text  string
		found []detect.Finding
	}
	byLine := map[int]seen{}
	err := e.read(file, func(line int, t *accuracy.Text) error {
		found, err := theirs.Findings(t)
		byLine[line] = seen{t.Text, found}
		return err
	})
	return func(line int, t *accuracy.Text) ([]detect.Finding, error) {
		s, ok := byLine[line]
		if !ok || s.text != t.Text {
			return nil, fmt.Errorf("line %d of %s is another text", line, file)
		}
		return s.found, nil
	}, err
}

func (e *evaluation) file(file string, find func(int, *accuracy.Text) ([]detect.Finding, error)) error {
	var errs []accuracy.Error
	return e.read(file, func(line int, t *accuracy.Text) error {
		found, err := find(line, t)
		if err != nil {
			return err
		}
		if errs, err = e.report.Add(t, found, errs[:0]); err != nil {
			return err
		}
		if e.errors > 0 {
			for _, one := range errs {
				e.pick(file, line, t.Text, one)
			}
		}
		return nil
	})
}

type pickKey struct {
	row    string
	missed bool
}

// A pick is a random choice of errors of one kind.
type pick struct {
	seen  int
	lines []string
}

// pick keeps one error among those to be shown, each with the same chance.
func (e *evaluation) pick(file string, line int, text string, one accuracy.Error) {
	key := pickKey{one.Row, one.Missed}
	p := e.picked[key]
	if p == nil {
		p = &pick{}
		e.picked[key] = p
	}
	p.seen++
	at := len(p.lines)
	if at == e.errors {
		if at = e.rng.IntN(p.seen); at >= e.errors {
			return
		}
	} else {
		p.lines = append(p.lines, "")
	}
	near := ""
	if one.Near != "" {
		near = " (found there: " + inline(one.Near) + ")"
		if !one.Missed {
			near = " (labelled there: " + inline(one.Near) + ")"
		}
	}
	shown := ""
	if e.reveal {
		from, to := max(0, one.Start-40), min(len(text), one.End+40)
		shown = "  " + inline(text[from:one.Start]) + "«" + inline(text[one.Start:one.End]) + "»" + inline(text[one.End:to])
	}
	p.lines[at] = fmt.Sprintf("%s:%d: bytes %d to %d, %s%s%s", inline(file), line, one.Start, one.End, inline(one.Class), near, shown)
}

func (e *evaluation) print(s accuracy.Summary) error {
	w := tabwriter.NewWriter(e.a.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\t\t\tstrict\t\t\t\toverlap\t\t\t\t")
	fmt.Fprintln(w, "class\tlabelled\tfound\tP\tR\tF1\tF2\tP\tR\tF1\tF2\t")
	line := func(r accuracy.Row) {
		fmt.Fprintf(w, "%s\t%d\t%d\t", inline(r.Class), r.Labelled, r.Found)
		for _, f := range []accuracy.Figures{r.Strict, r.Overlap} {
			fmt.Fprintf(w, "%.3f\t%.3f\t%.3f\t%.3f\t", f.Precision, f.Recall, f.F1, f.F2)
		}
		fmt.Fprintln(w)
	}
	for _, r := range s.Rows {
		line(r)
	}
	line(s.All)
	if len(s.LeftOut) > 0 {
		line(s.AllLeft)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(e.a.out, "\n%s, %s; %.3f of what has a class was found at least in part, as whatever class; %s where nothing is labelled\n",
		count(s.Texts, "text", "texts"), size(s.Bytes), s.Any, count(s.Unlabelled, "finding", "findings"))
	for _, l := range s.LeftOut {
		fmt.Fprintf(e.a.out, "left out: %s, %d: %s\n", inline(l.Label), l.Count, inline(l.Why))
	}
	return e.printErrors()
}

func (e *evaluation) printErrors() error {
	keys := make([]pickKey, 0, len(e.picked))
	for k := range e.picked {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b pickKey) int {
		if a.row == b.row && a.missed {
			return -1
		}
		return cmp.Compare(a.row, b.row)
	})
	var err error
	for _, k := range keys {
		p, what := e.picked[k], "wrong"
		if k.missed {
			what = "missed"
		}
		_, one := fmt.Fprintf(e.a.out, "\n%s %s: %d, of which %d\n", inline(k.row), what, p.seen, len(p.lines))
		err = errors.Join(err, one)
		slices.Sort(p.lines)
		for _, l := range p.lines {
			_, one = fmt.Fprintln(e.a.out, "  "+l)
			err = errors.Join(err, one)
		}
	}
	return err
}
