package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/policy"
	"github.com/spf13/cobra"
)

func (a *app) policyPacksCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "packs", Short: "Packs to start from, which are part of this program", Args: exactly(),
		Long: `List the packs that are part of this program: what each is for and whom it asks.
The configuration takes them by name, beside files and directories of one's own:

  policy: ["builtin:databases", "builtin:secrets", ./mine]

The groups that they ask are those of the configuration's groups:; assent policy
check --config FILE says which of them are missing.`,
		RunE: func(*cobra.Command, []string) error { return a.listStarters() },
	}
	c.AddCommand(&cobra.Command{
		Use: "show NAME", Short: "Print a pack's YAML, to read, or to copy and change", Args: exactly("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := policy.Builtin(strings.TrimPrefix(args[0], policy.BuiltinScheme))
			if err != nil {
				return &exitError{exitUsage, err}
			}
			a.printf("%s", text)
			return nil
		},
	})
	return c
}

func (a *app) listStarters() error {
	var all []*policy.Starter
	for _, name := range policy.StarterNames() {
		s, err := policy.ReadStarter(name)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	if a.json {
		b, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			return fmt.Errorf("writing the packs: %w", err)
		}
		a.printf("%s\n", b)
		return nil
	}
	for i, s := range all {
		if i > 0 {
			a.printf("\n")
		}
		a.printf("%s%s  %d rules, %d tests, asks %s\n", policy.BuiltinScheme, s.Name, len(s.Rules), s.Tests, strings.Join(s.Groups, ", "))
		for line := range slices.Values(wrapped(s.About, 96)) {
			a.printf("  %s\n", line)
		}
	}
	return nil
}

// wrapped breaks text at spaces into lines of at most n characters, where words allow.
func wrapped(text string, n int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > n {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
