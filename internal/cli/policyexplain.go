package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// explainFlags say which action is explained, by which packs.
type explainFlags struct {
	input, config string
	record        int64
	said          map[string]*[]string // by key of given:
	one           map[string]*string
}

func (a *app) policyExplainCmd() *cobra.Command {
	o := explainFlags{said: map[string]*[]string{}, one: map[string]*string{}}
	c := &cobra.Command{
		Use:   "explain [--KEY VALUE...] [PACK|DIR...]",
		Short: "Why an action would be allowed, held or denied, rule by rule",
		Long: `Say what policy would answer to an action, and why: each rule that is for its kinds,
with the values that its conditions found, why it matched or did not, and who must
approve. The packs are those given, or those of --config, or the built-in one.

The action is said in the words of given: in a pack's tests, as flags, or as a YAML or
JSON mapping with --input; what isn't said is unknown, but for the time, which is now
then. A rule in shadow mode that matches is marked ◦: it is recorded and doesn't act.

  assent policy explain --kind data.export --env prod --rows 5000 --groups pii packs/
  assent policy explain --input action.json
  assent policy explain --record 4711 packs/

--record takes a decision from the log: what was decided and why, and what these packs
would say to what the log keeps of it. The log keeps no rows, rates or previews; those
are unknown then, and can be said as flags. Where no server answers, the log is read
from the data directory (--data, or that of --config), and the facts that replay uses
are taken where they were kept of that decision and no flag says others.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.policyExplain(cmd, &o, args) },
	}
	f := c.Flags()
	f.StringVar(&o.input, "input", "", "file with the facts, or - for standard input")
	f.StringVar(&o.config, "config", "", "configuration whose packs and defaults decide")
	f.Int64Var(&o.record, "record", -1, "index of a decision in the log")
	for _, g := range policy.GivenFacts() {
		if g.List || g.Mapping {
			o.said[g.Key] = f.StringSlice(g.Key, nil, g.Doc)
		} else {
			o.one[g.Key] = f.String(g.Key, "", g.Doc)
		}
	}
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
	return c
}

func (a *app) policyExplain(cmd *cobra.Command, o *explainFlags, packs []string) error {
	set, err := explainPacks(a, o.config, packs)
	if err != nil {
		return err
	}
	var text strings.Builder
	var rec *client.Record
	home := "" // of a log that was read without a server
	if o.record >= 0 {
		if rec, home, err = a.recordAt(cmd, o); err != nil {
			return err
		}
		text.WriteString(givenOf(rec, func(key string) bool { return cmd.Flags().Changed(strings.ReplaceAll(key, "_", "-")) }))
	}
	said := 0
	for _, g := range policy.GivenFacts() {
		if cmd.Flags().Changed(strings.ReplaceAll(g.Key, "_", "-")) {
			values := []string{}
			if list := o.said[g.Key]; list != nil {
				values = *list
			} else {
				values = append(values, *o.one[g.Key])
			}
			text.WriteString(policy.GivenWords(g.Key, values))
			said++
		}
	}
	var in *policy.Input
	now := time.Now().UTC().Truncate(time.Second)
	switch {
	case o.input != "" && (said > 0 || rec != nil):
		return usage(cmd, "--input says the whole action: leave out the other flags")
	case o.input != "":
		in, err = a.inputOf(o.input, now)
	case text.Len() == 0:
		return usage(cmd, "say which action: --kind data.export --env prod, --input FILE or --record N")
	default:
		in, err = policy.Given("flags", []byte(text.String()), now)
	}
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if len(in.Action.Kinds) == 0 && in.Harmless == "" {
		return usage(cmd, "say of which kind the action is: --kind data.export")
	}
	tell := func(in *policy.Input, kept bool) error {
		x := set.ExplainAll(in)
		if a.json {
			return a.printJSON(explainedPolicy(in, &x, set, rec, kept))
		}
		if rec != nil {
			a.printDecided(rec)
		}
		if kept {
			a.printf("from the facts that were kept of it, rows, rates and previews too\n")
		}
		a.printExplained(in, &x, now, rec != nil)
		return nil
	}
	if home != "" && said == 0 {
		found, err := withFacts(cmd.Context(), server.FactsDir(home), rec, func(in *policy.Input) error { return tell(in, true) })
		if err != nil || found {
			return err
		}
	}
	return tell(in, false)
}

func explainPacks(a *app, config string, packs []string) (*policy.Set, error) {
	if config == "" || len(packs) > 0 {
		return a.packs(packs)
	}
	cfg, err := server.ReadConfig(config)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	set, err := server.LoadPolicy(cfg, policy.Options{})
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return set, nil
}

func (a *app) inputOf(name string, now time.Time) (*policy.Input, error) {
	const most = 1 << 20
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	} else {
		name = "standard input"
	}
	text, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return nil, fmt.Errorf("reading the action: %w", err)
	}
	return policy.Given(name, text, now)
}

// givenOf is what the log keeps of an action, but for what a flag says.
func givenOf(r *client.Record, said func(string) bool) string {
	var b strings.Builder
	add := func(key string, values ...string) {
		if len(values) > 0 && values[0] != "" && !said(key) {
			b.WriteString(policy.GivenWords(key, values))
		}
	}
	add("kind", r.Kinds...)
	add("verb", r.Verb)
	add("target", r.Target)
	add("shape", r.Shape)
	add("resource", r.Resource)
	add("env", r.Env)
	add("subject", r.Subject)
	add("actor", r.Actor)
	add("time", r.Time.UTC().Format("2006-01-02T15:04:05Z07:00"))
	add("session", r.Detail["session"])
	var found []string
	for class, n := range r.Findings {
		found = append(found, class+"="+strconv.FormatInt(n, 10))
	}
	slices.Sort(found)
	add("findings", found...)
	return b.String()
}

// look is a style where out is a terminal, and none elsewhere. No meaning is in a colour alone.
func (a *app) look(s lipgloss.Style, text string) string {
	if !isTerminal(a.out) || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return s.Render(text)
}

func (a *app) printDecided(r *client.Record) {
	a.printf("%s  %s, record %d of %s\n", a.look(decisionStyle(r.Decision), r.Decision), "as it was decided", r.Index, r.Time.UTC().Format("2006-01-02 15:04:05 UTC"))
	a.printf("        by %s\n", inline(strings.Join(r.Rules, ", ")))
	var names []string
	for name := range r.Detail {
		if strings.HasPrefix(name, "rule.") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		a.printf("        %s: %s\n", inline(strings.TrimPrefix(name, "rule.")), inline(r.Detail[name]))
	}
	a.printf("        policy %s\n\n", inline(r.Policy))
}

func (a *app) printExplained(in *policy.Input, x *policy.Explanation, now time.Time, recorded bool) {
	verdict := x.Verdict.String()
	var kinds []string
	for _, k := range in.Action.Kinds {
		kinds = append(kinds, string(k))
	}
	if len(kinds) == 0 {
		kinds = []string{"no effect (" + in.Harmless + ")"}
	}
	a.printf("%s  %s\n", a.look(decisionStyle(verdict), fmt.Sprintf("%-6s", verdict)), inline(strings.Join(kinds, " + ")))
	line := func(name, text string) {
		if text != "" {
			a.printf("  %s %s\n", a.look(faint, fmt.Sprintf("%-8s", name)), inline(text))
		}
	}
	line("because", x.Reason)
	for i := range x.Requirements {
		q := &x.Requirements[i]
		rule := q.Rule
		if q.Pack != "" {
			rule = q.Pack + "/" + rule
		}
		line("asks", q.Asks()+" ("+rule+")")
	}
	line("masks", masksInWords(x.Masks))
	if x.RowLimit.Known {
		line("limit", fmt.Sprintf("%d rows, ended in mid-stream", x.RowLimit.N))
	}
	line("notifies", strings.Join(x.Notify, ", "))
	switch {
	case in.Time.IsZero():
		line("time", "unknown: a shadow mode is taken to have ended")
	case in.Time.Equal(now) && !recorded:
		line("time", "now, "+now.Format(time.RFC3339)+": --time says another")
	}
	line("risk", fmt.Sprintf("%d: %s", x.Risk.Score, x.Risk.Why()))
	a.printf("\n")
	for i := range x.Considered {
		a.printConsidered(&x.Considered[i])
	}
	if x.Elsewhere > 0 {
		a.printf("%s for other kinds\n", count(x.Elsewhere, "rule is", "rules are"))
	}
}

func masksInWords(masks map[string]string) string {
	folded := policy.FoldMasks(masks)
	var parts []string
	for class, method := range folded {
		parts = append(parts, class+" "+method)
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func (a *app) printConsidered(c *policy.Considered) {
	mark, style := "✗", faint
	if c.Matched {
		mark, style = "✓", decisionStyle(c.Then)
	}
	word := fmt.Sprintf("%-6s", c.Then)
	if c.Watches {
		mark, style, word = "◦", faint, "shadow "+c.Then
	}
	place := fmt.Sprintf("%s:%d", c.File, c.Line)
	if len(c.Tags) > 0 {
		place += "  " + strings.Join(c.Tags, " ")
	}
	a.printf("%s %s  %s  %s\n", a.look(style, mark), a.look(style, word), inline(c.Name()), a.look(faint, inline(place)))
	a.printf("    %s\n", inline(c.Why))
	for _, atom := range c.Atoms {
		look := []lipgloss.Style{warning, faint, fine}[atom.Holds]
		a.printf("      %s\n", a.look(look, inline(atom.Value)))
	}
}

// explainedAction is what policy explain prints with --json. docs/cli.md names its members.
type explainedAction struct {
	Verdict    string            `json:"verdict"`
	Reason     string            `json:"reason,omitempty"`
	Bundle     string            `json:"bundle"`
	Time       string            `json:"time"` // RFC 3339, or "unknown"
	Asks       []askedJSON       `json:"asks"`
	Masks      map[string]string `json:"masks"`
	RowLimit   *int64            `json:"row_limit,omitempty"`
	Notify     []string          `json:"notify"`
	Risk       int               `json:"risk"`
	RiskWhy    string            `json:"risk_why"`
	Considered []consideredJSON  `json:"considered"`
	Elsewhere  int               `json:"elsewhere"`
	Record     *client.Record    `json:"record,omitempty"`
	Facts      bool              `json:"facts,omitempty"` // it was decided from the facts that were kept of the record
}

type askedJSON struct {
	Rule string `json:"rule"`
	Asks string `json:"asks"`
}

type consideredJSON struct {
	Rule    string     `json:"rule"`
	Then    string     `json:"then"`
	Mode    string     `json:"mode"`
	File    string     `json:"file"`
	Line    int        `json:"line"`
	Matched bool       `json:"matched"`
	Watches bool       `json:"watches,omitempty"` // it matched in shadow mode: recorded, not enforced
	Why     string     `json:"why"`
	Tags    []string   `json:"tags,omitempty"`
	Atoms   []atomJSON `json:"atoms"`
}

type atomJSON struct {
	Expr  string `json:"expr"`
	Value string `json:"value"`
	Holds string `json:"holds"` // "true", "false" or "unknown"
}

func explainedPolicy(in *policy.Input, x *policy.Explanation, set *policy.Set, rec *client.Record, kept bool) any {
	out := explainedAction{
		Verdict: x.Verdict.String(), Reason: x.Reason, Bundle: set.Bundle(), Time: "unknown", Asks: []askedJSON{}, Masks: x.Masks, Notify: append([]string{}, x.Notify...),
		Risk: x.Risk.Score, RiskWhy: x.Risk.Why(), Considered: []consideredJSON{}, Elsewhere: x.Elsewhere, Record: rec, Facts: kept,
	}
	if !in.Time.IsZero() {
		out.Time = in.Time.UTC().Format(time.RFC3339)
	}
	if out.Masks == nil {
		out.Masks = map[string]string{}
	}
	if x.RowLimit.Known {
		out.RowLimit = &x.RowLimit.N
	}
	for i := range x.Requirements {
		q := &x.Requirements[i]
		h := policy.Hit{Pack: q.Pack, Rule: q.Rule}
		out.Asks = append(out.Asks, askedJSON{h.Name(), q.Asks()})
	}
	for i := range x.Considered {
		c := &x.Considered[i]
		j := consideredJSON{Rule: c.Name(), Then: c.Then, Mode: c.Mode, File: c.File, Line: c.Line, Matched: c.Matched, Watches: c.Watches, Why: c.Why, Tags: c.Tags, Atoms: []atomJSON{}}
		for _, atom := range c.Atoms {
			j.Atoms = append(j.Atoms, atomJSON{atom.Expr, atom.Value, [...]string{"unknown", "false", "true"}[atom.Holds]})
		}
		out.Considered = append(out.Considered, j)
	}
	return out
}
