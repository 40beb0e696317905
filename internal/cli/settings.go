package cli

import (
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (a *app) settingsCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "settings", Short: "Limits that may be changed while the server runs", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			list, err := c.Settings(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for _, s := range list {
				from := "as configured"
				if s.Changed {
					from = "configured: " + s.Default
				}
				_, _ = w.Write([]byte(strings.Join([]string{inline(s.Name), inline(s.Value), inline(from), inline(s.Doc)}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
	c.AddCommand(a.settingsSetCmd())
	return c
}

func (a *app) settingsSetCmd() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "set NAME=VALUE...", Short: "Ask for other values; default is the configuration's own", Args: atLeast("NAME=VALUE"),
		Long: `Ask for other values of settings. Of each, less is stricter: that happens at once.
More waits for another administrator in the console.

  assent settings set limits.pending_per_actor=5 --reason "an agent asks too much"
  assent settings set limits.pending_per_actor=default --reason "it is mended"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			set := map[string]string{}
			for _, arg := range args {
				name, value, ok := strings.Cut(arg, "=")
				if !ok || value == "" {
					return usage(cmd, "%q is not NAME=VALUE", arg)
				}
				if !strings.HasPrefix(name, "limits.") {
					name = "limits." + name
				}
				set[name] = value
			}
			if reason == "" {
				return usage(cmd, "changing settings needs --reason: who allows it reads it")
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			ch, err := c.ChangeSettings(cmd.Context(), set, reason)
			if err != nil {
				return err
			}
			return a.printChange(ch)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why")
	return c
}
