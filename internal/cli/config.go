package cli

import (
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

func (a *app) configCmd() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check a configuration, or print the reference of all its keys"}
	c.AddCommand(
		&cobra.Command{
			Use: "check FILE", Short: "Read a configuration as serve does, and say what is wrong with it", Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error {
				cfg, err := server.ReadConfig(args[0])
				if err != nil {
					return &exitError{exitUsage, err}
				}
				a.printf("%s: good (%d gates, %d people, %d actors)\n", args[0], len(cfg.Gates), len(cfg.People), len(cfg.Actors))
				return nil
			},
		},
		&cobra.Command{
			Use: "reference", Short: "Print docs/configuration.md", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				a.printf("%s", server.ConfigReference())
				return nil
			},
		},
	)
	return c
}
