package cli

import (
	"errors"

	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

func (a *app) policyCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "policy", Short: "Check and test policy packs"})
	c.AddCommand(a.policyApplyCmd(), a.policyCheckCmd(), a.policyTestCmd(), a.policyFmtCmd(), a.policySchemaCmd(), a.policySuggestCmd(), a.policyExplainCmd(), a.policyDiffCmd(), a.policyPacksCmd(), a.policyReplayCmd(), &cobra.Command{
		Use: "reference", Short: "Print docs/policy-reference.md: every key and variable", Args: exactly(),
		RunE: func(*cobra.Command, []string) error { a.printf("%s", policy.Reference()); return nil },
	})
	return c
}

func (a *app) policyCheckCmd() *cobra.Command {
	var strict bool
	var config string
	c := &cobra.Command{
		Use: "check [--config FILE] [PACK|DIR...]", Short: "Load packs as serve does, and say what is wrong with them",
		Long: `Load packs as serve does, and say what is wrong with them. With --config the
packs that it names are checked, unless others are given, and whether the people
whom each rule asks for are there: a rule whose reviewers can't be found denies
everything that it holds.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case config != "":
				return a.checkWith(config, args, strict)
			case len(args) == 0:
				return usage(cmd, "PACK or DIR is missing")
			}
			return a.report(policy.Check(args, strict))
		},
	}
	c.Flags().StringVar(&config, "config", "", "configuration whose people review")
	c.Flags().BoolVar(&strict, "strict", false, "warnings are errors: a rule that no test reaches, a shadow mode that ended")
	return c
}

func (a *app) policyTestCmd() *cobra.Command {
	var strict, cover bool
	var mutate string
	c := &cobra.Command{
		Use: "test PACK|DIR...", Short: "Run the tests that stand in the packs", Args: atLeast("PACK or DIR"),
		Long: `Run the tests that stand in the packs, each against its own pack alone.

--mutate changes the rules one at a time and expects some test to fail: each rule is
dropped (--mutate=rules stops there), each condition negated, each number moved by
one, each line of match left out, each verdict, mask and count made weaker. What no
test notices is named with its place.
--cover shows which conditions of each rule the tests saw true, false and unknown.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			t := policy.Trials{Strict: strict, Cover: cover}
			switch mutate {
			case "":
			case "rules":
				t.Mutate = policy.MutateRules
			case "all":
				t.Mutate = policy.MutateEverything
			default:
				return usage(cmd, "--mutate=%s: it is rules or all", mutate)
			}
			return a.report(policy.Try(args, t))
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "warnings are errors: a rule that no test reaches, a shadow mode that ended")
	c.Flags().StringVar(&mutate, "mutate", "", "change rules one at a time and expect some test to fail: rules drops them, all changes each in every way")
	c.Flags().Lookup("mutate").NoOptDefVal = "all"
	c.Flags().BoolVar(&cover, "cover", false, "show which conditions the tests saw true, false and unknown")
	return c
}

// checkWith checks packs beside the people of a configuration.
func (a *app) checkWith(file string, packs []string, strict bool) error {
	cfg, err := server.ReadConfig(file)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	var set *policy.Set
	if len(packs) > 0 {
		set, err = policy.LoadPaths(packs, policy.Options{Targets: cfg.Targets()})
	} else {
		set, err = server.LoadPolicy(cfg, policy.Options{})
	}
	var list policy.Errors
	switch {
	case errors.As(err, &list):
		return a.report(policy.Report{Errors: list})
	case err != nil:
		return &exitError{exitUsage, err}
	}
	r := set.Report(strict, false)
	errs, warnings, err := server.CheckReviewers(cfg, set)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if strict {
		errs, warnings = append(errs, warnings...), nil
	}
	r.Errors, r.Warnings = append(r.Errors, errs...), append(r.Warnings, warnings...)
	r.OK = r.OK && len(errs) == 0
	return a.report(r)
}

func (a *app) report(r policy.Report) error {
	if a.json {
		b, err := r.JSON()
		if err != nil {
			return err
		}
		a.printf("%s\n", b)
	} else {
		a.printf("%s", r.Human())
	}
	if !r.OK {
		return &exitError{exitUsage, errors.New("the packs are not in order")}
	}
	return nil
}
