package cli

import (
	"strings"

	"github.com/assenthq/assent/internal/policy"
	"github.com/spf13/cobra"
)

func (a *app) policyDiffCmd() *cobra.Command {
	return &cobra.Command{
		Use: "diff OLD NEW", Short: "What another policy decides otherwise, rule by rule", Args: exactly("OLD", "NEW"),
		Long: `Say which rules mean something else in NEW than in OLD, each a pack, a directory or
builtin:NAME: what was added, removed and changed, who may approve it, and for which
kinds and environments it became looser. Text, order and layout don't count.

A change is called stricter only where its form shows that nothing more can pass: what
nobody can tell is called looser. Changed conditions are tried on actions, and one that
shows the direction is printed in the words of given:. both: looser for some, stricter
for others; unsure: nothing tried was looser, and not every case was tried. assent policy replay says what it does to recorded
actions. Status 1: something may be looser; 2: a pack doesn't load; 0: neither.`,
		RunE: func(_ *cobra.Command, args []string) error {
			var sets [2]*policy.Set
			for i, path := range args {
				set, err := policy.LoadPaths([]string{path}, policy.Options{})
				if err != nil {
					return &exitError{exitUsage, err}
				}
				sets[i] = set
			}
			changes := policy.Compare(sets[0], sets[1])
			looser := 0
			for i := range changes {
				if changes[i].Direction.MayLoosen() {
					looser++
				}
				if !a.json {
					a.printChanged(&changes[i])
				}
			}
			if a.json {
				if err := a.printJSON(append([]policy.RuleChange{}, changes...)); err != nil {
					return err
				}
			} else if len(changes) == 0 {
				a.printf("no rule means anything else\n")
			}
			if looser > 0 {
				return failf(exitFailed, "%s let more pass", count(looser, "change may", "changes may"))
			}
			return nil
		},
	}
}

func (a *app) printChanged(c *policy.RuleChange) {
	mark := map[string]string{"added": "+", "removed": "-", "changed": "±"}[c.What]
	style := faint
	switch c.Direction {
	case policy.Looser, policy.Both:
		style = alarm
	case policy.Unsure:
		style = warning
	case policy.Stricter:
		style = fine
	}
	a.printf("%s %s  %s  %s for %s\n", mark, a.look(style, string(c.Direction)), inline(c.Rule), c.Then, inline(c.Where()))
	for _, p := range c.Parts {
		a.printf("    %s (%s)\n", p.Key, p.Direction)
		for _, side := range [][2]string{{"-", p.Before}, {"+", p.After}} {
			if side[1] != "" {
				a.printf("      %s %s\n", side[0], inline(side[1]))
			}
		}
		for _, s := range p.Shown {
			word := "no longer matches"
			if s.Now {
				word = "matches now"
			}
			a.printf("      %s %s: %s before, %s after\n", word, inline(s.Given), s.Before, s.After)
		}
		if p.Tried != "" {
			a.printf("      %s\n", a.look(faint, p.Tried))
		}
	}
	before, after := strings.Join(c.Before, "; "), strings.Join(c.After, "; ")
	switch {
	case before != "" && after == "":
		a.printf("    asked %s\n", inline(before))
	case after != "":
		a.printf("    asks %s\n", inline(after))
	}
}
