package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/policy"
	"github.com/spf13/cobra"
)

// A classified is the answer for one text.
type classified struct {
	ID      string   `json:"id"`
	Kinds   []string `json:"kinds"`
	Verdict string   `json:"verdict"`
	Why     []string `json:"why"`
}

func (a *app) classifyCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "classify", Short: "What would Assent make of this statement?"})
	c.AddCommand(a.classifySQLCmd(), a.classifyShellCmd(), a.classifyAWSCmd())
	return c
}

func (a *app) classifySQLCmd() *cobra.Command {
	var o classifyFlags
	c := &cobra.Command{
		Use:   "sql [STATEMENT...]",
		Short: "Kinds, verdict and reasons of SQL statements",
		Long: `Say which kinds of effect each statement has, what policy would answer, and why.

Statements are arguments, or JSON lines with "sql" (and "id") on standard input.
The verdict is that of the built-in pack, or of --policy, for an agent's action
whose rows are not known unless the statement bounds them. Nothing is run.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.classifier(cmd, o)
			if err != nil {
				return err
			}
			cl.sql = sql.New(sql.Options{CacheEntries: -1})
			if len(args) > 0 {
				for _, text := range args {
					if err := a.printClassified(text, cl.classify("", text)); err != nil {
						return err
					}
				}
				return nil
			}
			return a.classifyLines(`{"sql":"SELECT 1"}`, `"sql" (and "id")`, func(line []byte) (string, classified, bool) {
				var l struct {
					ID  string  `json:"id"`
					SQL *string `json:"sql"`
				}
				if err := json.Unmarshal(line, &l); err != nil || l.SQL == nil {
					return "", classified{}, false
				}
				return *l.SQL, cl.classify(l.ID, *l.SQL), true
			})
		},
	}
	o.bind(c)
	return c
}

// classifyFlags say by which packs and for whom a text is decided.
type classifyFlags struct {
	packs      []string
	env, actor string
}

func (o *classifyFlags) bind(c *cobra.Command) {
	c.Flags().StringSliceVar(&o.packs, "policy", nil, "packs to decide by instead of the built-in one")
	c.Flags().StringVar(&o.env, "env", "prod", "environment of the resource")
	c.Flags().StringVar(&o.actor, "actor", "agent", "type of the actor: agent, pipeline, service or human")
}

func (a *app) classifier(cmd *cobra.Command, o classifyFlags) (*classifier, error) {
	if o.actor != "agent" && o.actor != "pipeline" && o.actor != "service" && o.actor != "human" {
		return nil, usage(cmd, "--actor %q: it is agent, pipeline, service or human", o.actor)
	}
	set, err := a.packs(o.packs)
	if err != nil {
		return nil, err
	}
	d, err := (&finder{names: "on"}).engine()
	if err != nil {
		return nil, err
	}
	return &classifier{set: set, detect: d, env: o.env, actor: o.actor}, nil
}

func (a *app) packs(paths []string) (*policy.Set, error) {
	var set *policy.Set
	var err error
	if len(paths) == 0 {
		set, err = policy.Default(policy.Options{})
	} else {
		set, err = policy.LoadPaths(paths, policy.Options{})
	}
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return set, nil
}

const maxLine = 16 << 20

// classifyLines classifies JSON lines of standard input. one says false where a line isn't what it wants.
func (a *app) classifyLines(example, wants string, one func(line []byte) (string, classified, bool)) error {
	if isTerminal(a.in) {
		fmt.Fprintf(a.err, "reading JSON lines like %s; end with Ctrl-D\n", example)
	}
	in := bufio.NewScanner(a.in)
	in.Buffer(nil, maxLine)
	n := 1
	for ; in.Scan(); n++ {
		if strings.TrimSpace(in.Text()) == "" {
			continue
		}
		text, c, ok := one(in.Bytes())
		if !ok {
			return failf(exitUsage, `standard input, line %d: want a JSON object with %s`, n, wants)
		}
		if err := a.printClassified(text, c); err != nil {
			return err
		}
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return failf(exitUsage, "standard input, line %d: longer than %d MiB", n, maxLine>>20)
	} else if err != nil {
		return fmt.Errorf("reading standard input: %w", err)
	}
	return nil
}

func (a *app) printClassified(text string, c classified) error {
	if a.json {
		return a.printLine(c)
	}
	kinds := strings.Join(c.Kinds, " + ")
	if kinds == "" {
		kinds = "no effect"
	}
	a.printf("%-7s %s\n", c.Verdict, kinds)
	if first, _, _ := strings.Cut(strings.TrimSpace(text), "\n"); first != "" {
		a.printf("        %s\n", clip(inline(first), 100))
	}
	for _, w := range c.Why {
		a.printf("        - %s\n", inline(w))
	}
	return nil
}

// clip cuts s to n characters.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// classifier decides texts as a gate would, with nothing known but the text.
type classifier struct {
	sql        *sql.Classifier
	set        *policy.Set
	detect     *detect.Engine
	env, actor string
}

// classify takes the worst verdict of a text's statements.
func (c *classifier) classify(id, text string) classified {
	res := c.sql.Classify(text, sql.State{Database: "db", Role: "app"})
	out := classified{ID: id, Kinds: []string{}, Why: []string{}}
	worst := policy.Allow
	for i := range res.Statements {
		st := &res.Statements[i]
		v, why := c.decide(st, text)
		worst = min(worst, v)
		for _, k := range st.Kinds {
			if !slices.Contains(out.Kinds, string(k)) {
				out.Kinds = append(out.Kinds, string(k))
			}
		}
		for _, w := range why {
			if !slices.Contains(out.Why, w) {
				out.Why = append(out.Why, w)
			}
		}
	}
	slices.Sort(out.Kinds)
	out.Verdict = worst.String()
	return out
}

func (c *classifier) decide(st *sql.Statement, text string) (policy.Verdict, []string) {
	why := slices.Clone(st.Why)
	if st.Harmless != "" {
		return policy.Allow, append(why, "harmless: "+st.Harmless)
	}
	a := &action.Action{
		Kinds: st.Kinds, Verb: st.Verb, Target: st.Target, Title: st.Title, Shape: st.Shape, Reversible: st.Reversible,
		Resource: action.Resource{URN: "postgres:example/db", Type: "postgres", Env: c.env},
		Objects:  st.Objects, Columns: st.Columns, Statement: st.Text(text), Payload: []byte(text),
		Subject: "person:someone", Actors: []action.Link{{ID: c.actor + ":someone", Type: c.actor}},
		Data: action.Data{Rows: st.Limit, Inferred: len(st.Inferred) > 0 && c.classed(st.Inferred), Destination: "client"},
	}
	c.findData(a)
	in := policy.Input{Action: a, SubjectID: a.Subject, ActorID: a.Actors[0].ID, ActorType: c.actor, ActorOwner: a.Subject, Time: time.Now()}
	in.Weigh()
	d := c.set.Explain(&in)
	for _, h := range d.Rules {
		why = append(why, fmt.Sprintf("%s: rule %s of pack %s", h.Then, h.Rule, h.Pack))
	}
	return d.Verdict, why
}

func (c *classifier) findData(a *action.Action) {
	var found []detect.Class
	for _, f := range c.detect.ScanString(a.Statement, nil) {
		found = append(found, f.Class)
	}
	for _, col := range a.Columns {
		if class, _ := c.detect.Column(col.Name, col.Sources); class != "" {
			found = append(found, class)
		}
	}
	for _, f := range found {
		if !slices.Contains(a.Data.Classes, string(f)) {
			a.Data.Classes = append(a.Data.Classes, string(f))
		}
	}
	slices.Sort(a.Data.Classes)
	a.Data.Groups = detect.Groups(found)
}

// classed reports whether any of the columns has a class.
func (c *classifier) classed(columns []string) bool {
	for _, col := range columns {
		_, name, _ := strings.Cut(col, ".")
		if class, _ := c.detect.Column(name, []string{col}); class != "" {
			return true
		}
	}
	return false
}
