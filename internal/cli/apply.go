package cli

import (
	"errors"
	"path/filepath"

	"github.com/assenthq/assent/internal/policy"
	"github.com/spf13/cobra"
)

func (a *app) policyApplyCmd() *cobra.Command {
	var unlock []string
	c := &cobra.Command{
		Use: "apply PACK|DIR...", Short: "Ask to put packs in force, in the place of all that are", Args: atLeast("PACK or DIR"),
		Long: `Ask to put packs in force at a running server, in the place of all that are.
They are checked and tested first. From the second administrator on another one must
allow it in the console, where the difference is shown; what was allowed, and only
that, is then applied on every node. What lies on the server's disk stays as it is.

A pack that says locked: true stays as it is, unless --unlock names it: what is then
allowed says so in its title. Relative paths are kept, so that the scopes which the
configuration gives to directories hold for what is applied too.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if r := policy.Check(args, false); !r.OK {
				return errors.Join(a.report(r))
			}
			read, err := policy.ReadPaths(args)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			files := map[string]string{}
			for name, text := range read {
				base := appliedName(name)
				if _, there := files[base]; there {
					return usage(cmd, "two packs are called %s", base)
				}
				files[base] = string(text)
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			ch, err := c.ApplyPolicy(cmd.Context(), files, unlock...)
			if err != nil {
				return err
			}
			return a.printChange(ch)
		},
	}
	c.Flags().StringSliceVar(&unlock, "unlock", nil, "locked packs that may change or go")
	return c
}

// appliedName is how a pack is called where it is applied: by its path, if that is
// one within the directory it is applied from.
func appliedName(name string) string {
	if filepath.IsLocal(name) {
		return filepath.ToSlash(filepath.Clean(name))
	}
	return filepath.Base(name)
}
