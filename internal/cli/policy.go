package cli

import (
	"errors"

	"github.com/assenthq/assent/internal/policy"
	"github.com/spf13/cobra"
)

func (a *app) policyCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "policy", Short: "Check and test policy packs"})
	c.AddCommand(a.policyCheckCmd(), a.policyTestCmd(), &cobra.Command{
		Use: "reference", Short: "Print docs/policy-reference.md: every key and variable", Args: exactly(),
		RunE: func(*cobra.Command, []string) error { a.printf("%s", policy.Reference()); return nil },
	})
	return c
}

func (a *app) policyCheckCmd() *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use: "check PACK|DIR...", Short: "Load packs as serve does, and say what is wrong with them", Args: atLeast("PACK or DIR"),
		RunE: func(_ *cobra.Command, args []string) error { return a.report(policy.Check(args, strict)) },
	}
	c.Flags().BoolVar(&strict, "strict", false, "warnings (a rule that no test reaches) are errors")
	return c
}

func (a *app) policyTestCmd() *cobra.Command {
	var strict, mutate bool
	c := &cobra.Command{
		Use: "test PACK|DIR...", Short: "Run the tests that stand in the packs", Args: atLeast("PACK or DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			if mutate {
				return a.report(policy.CheckMutants(args, strict))
			}
			return a.report(policy.Check(args, strict))
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "warnings (a rule that no test reaches) are errors")
	c.Flags().BoolVar(&mutate, "mutate", false, "drop each rule in turn and expect some test to fail")
	return c
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
