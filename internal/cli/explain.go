package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/detect"
	"github.com/spf13/cobra"
)

func (a *app) explainCmd() *cobra.Command {
	var f finder
	c := &cobra.Command{
		Use:   "explain TEXT|FILE:OFFSET|-",
		Short: "Why something is found, or is not",
		Long: `Say why a text, or what is at an offset of a file, is found as sensitive or is not:
which classes were tried, what their form and check are, whether words near it spoke
of them, how sure that makes it, and what would make it surer. Each would is tried,
by the same detectors.

  assent detect explain '4111 1111 1111 1112'
  assent detect explain app.log:2913         an offset in bytes, as assent scan --json prints it
  assent detect explain - < mail.txt`,
		Args: exactly("TEXT or FILE:OFFSET"),
		RunE: func(_ *cobra.Command, args []string) error {
			text, at, err := a.explained(args[0])
			if err != nil {
				return &exitError{exitUsage, err}
			}
			e, err := f.engine()
			if err != nil {
				return err
			}
			x := e.Explain(text, at)
			if a.json {
				return a.printJSON(explanationOf(&x))
			}
			a.explain(&x, at)
			return nil
		},
	}
	f.flags(c, true)
	return c
}

// maxExplained is how much of a text or file is read for an explanation.
const maxExplained = 1 << 20

// explained is the text that is meant, and the offset in it, -1 for all.
func (a *app) explained(arg string) ([]byte, int, error) {
	if arg == "-" {
		b, err := io.ReadAll(io.LimitReader(a.in, maxExplained))
		return b, -1, err
	}
	name, offset, ok := cutLast(arg, ":")
	at, err := strconv.ParseInt(offset, 10, 64)
	if !ok || err != nil || at < 0 {
		return []byte(arg), -1, nil
	}
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return []byte(arg), -1, nil // a text with a colon in it
	}
	if err != nil {
		return nil, 0, fmt.Errorf("opening what to explain: %w", err)
	}
	defer func() { _ = f.Close() }()
	from := max(0, at-maxExplained/2)
	b, err := io.ReadAll(io.NewSectionReader(f, from, maxExplained))
	if err != nil {
		return nil, 0, fmt.Errorf("reading what to explain: %w", err)
	}
	if int(at-from) >= len(b) {
		return nil, 0, fmt.Errorf("%s has no byte %d", name, at)
	}
	return b, int(at - from), nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// explain prints an explanation for people. at: only what is there; -1: all.
func (a *app) explain(x *detect.Explanation, at int) {
	here := func(start, end int) bool { return at < 0 || start < x.End && x.Start < end }
	any, told := false, map[string]bool{}
	for _, c := range x.Candidates {
		if !here(c.Start, c.End) {
			continue
		}
		any = true
		a.printf("%s (%s), bytes %d to %d: %s", c.Class, strings.Join(detect.GroupOf(c.Class), ", "), c.Start, c.End, c.Outcome)
		if c.Score > 0 {
			a.printf(", confidence %.2f", c.Score)
		}
		a.printf("\n")
		if !told[string(c.Class)] {
			told[string(c.Class)] = true
			a.about(c.Class)
		}
		if c.Decoded {
			a.printf("  it stands in what was decoded\n")
		}
		switch c.Context {
		case "spoke":
			a.printf("  words near it speak of it\n")
		case "silent":
			a.printf("  no word near it speaks of it\n")
		}
	}
	switch {
	case x.Clean:
		a.printf("nothing found: nothing in it could begin a value\n")
	case !any:
		a.printf("nothing found: no class that was tried has this form, or passes its check\n")
	}
	for _, w := range x.Woulds {
		if told[w.What+string(w.Class)] {
			continue
		}
		told[w.What+string(w.Class)] = true
		a.printf("%s: %s, confidence %.2f\n", w.What, w.Class, w.Score)
		if !told[string(w.Class)] {
			a.about(w.Class)
		}
		told[string(w.Class)] = true
		if !told["name "+string(w.Class)] {
			told["name "+string(w.Class)] = true
			if names := detect.NamesOf(w.Class); len(names) > 0 {
				a.printf("  a column or member called “%s” makes it one of them, whatever it looks like\n", names[0])
			}
		}
	}
}

func (a *app) about(c detect.Class) {
	form, check, source := detect.About(c)
	for _, line := range []struct{ name, text string }{{"form", form}, {"check", check}, {"after", source}} {
		if line.text != "" {
			a.printf("  %-6s %s\n", line.name, line.text)
		}
	}
}

// explanationJSON is what --json prints. docs/cli.md names its members.
type explanationJSON struct {
	Findings   []explainedJSON `json:"findings"`
	Candidates []explainedJSON `json:"candidates"`
	Woulds     []wouldJSON     `json:"woulds"`
}

type explainedJSON struct {
	Start      int          `json:"start"`
	End        int          `json:"end"`
	Class      detect.Class `json:"class"`
	Confidence float64      `json:"confidence"`
	Outcome    string       `json:"outcome,omitempty"`
	Context    string       `json:"context,omitempty"`
	Decoded    bool         `json:"decoded,omitempty"`
	Form       string       `json:"form,omitempty"`
	Check      string       `json:"check,omitempty"`
}

type wouldJSON struct {
	What       string       `json:"what"`
	Class      detect.Class `json:"class"`
	Confidence float64      `json:"confidence"`
}

func explanationOf(x *detect.Explanation) *explanationJSON {
	out := &explanationJSON{Findings: []explainedJSON{}, Candidates: []explainedJSON{}, Woulds: []wouldJSON{}}
	for _, f := range x.Findings {
		out.Findings = append(out.Findings, explainedJSON{Start: f.Start, End: f.End, Class: f.Class, Confidence: rounded(f.Score)})
	}
	for _, c := range x.Candidates {
		form, check, _ := detect.About(c.Class)
		out.Candidates = append(out.Candidates, explainedJSON{c.Start, c.End, c.Class, rounded(c.Score), c.Outcome, c.Context, c.Decoded, form, check})
	}
	for _, w := range x.Woulds {
		out.Woulds = append(out.Woulds, wouldJSON{w.What, w.Class, rounded(w.Score)})
	}
	return out
}
