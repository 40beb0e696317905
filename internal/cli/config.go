package cli

import (
	"strings"

	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

func (a *app) configCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "config", Short: "Check a configuration, or print the reference of all its keys"})
	c.AddCommand(
		&cobra.Command{
			Use: "check FILE", Short: "Read a configuration as serve does, and say what is wrong with it", Args: exactly("FILE"),
			RunE: func(_ *cobra.Command, args []string) error {
				cfg, err := server.ReadConfig(args[0])
				if err != nil {
					return &exitError{exitUsage, err}
				}
				if _, err := server.LoadPolicy(cfg, policy.Options{}); err != nil {
					return &exitError{exitUsage, err}
				}
				if a.json {
					return a.printJSON(map[string]any{"file": args[0], "gates": len(cfg.Gates), "people": len(cfg.People), "actors": len(cfg.Actors)})
				}
				a.printf("%s: good (%s)\n", args[0], contents(cfg))
				return nil
			},
		},
		&cobra.Command{
			Use: "reference", Short: "Print docs/configuration.md", Args: exactly(),
			RunE: func(*cobra.Command, []string) error {
				a.printf("%s", server.ConfigReference())
				return nil
			},
		},
	)
	return c
}

// contents says how much a configuration holds.
func contents(c *server.Config) string {
	return strings.Join([]string{count(len(c.Gates), "gate", "gates"), count(len(c.People), "person", "people"), count(len(c.Actors), "actor", "actors")}, ", ")
}
