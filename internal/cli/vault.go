package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/assenthq/assent/client"
)

func (a *app) vaultCmd() *cobra.Command {
	c := group(&cobra.Command{
		Use: "vault", Short: "Values behind tokens, where a policy keeps them: read one back, erase them",
		Long: `Values behind tokens. A mask "tokenize vault" keeps each value it replaced, sealed in the
store. Members of the groups under vault.groups of the configuration read single ones
back, with a reason; each look is a record in the audit log.`,
	})
	c.AddCommand(a.vaultReadCmd(), a.vaultEraseCmd())
	return c
}

func (a *app) vaultReadCmd() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "read TOKEN", Short: "Print the value behind a token, on record", Args: exactly("TOKEN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage(cmd, "reading a value needs --reason: the log keeps it")
			}
			c, err := a.client(false)
			if err != nil {
				return err
			}
			v, err := c.ReadValue(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			a.printf("%s\n", inline(v.Value))
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why you look at it")
	return c
}

func (a *app) vaultEraseCmd() *cobra.Command {
	var what client.Erasure
	var older time.Duration
	c := &cobra.Command{
		Use: "erase", Short: "Erase values for ever: their tokens lead nowhere then", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if older != 0 {
				what.Before = time.Now().Add(-older)
			}
			switch {
			case what.Token == "" && what.Class == "" && what.Actor == "" && older <= 0:
				return usage(cmd, "say which values: --token, --class, --actor or --older-than")
			case what.Reason == "":
				return usage(cmd, "erasing needs --reason: the log keeps it")
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			n, err := c.EraseValues(cmd.Context(), what)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]int64{"erased": n})
			}
			a.printf("%s erased\n", count(int(n), "value", "values"))
			return nil
		},
	}
	c.Flags().StringVar(&what.Token, "token", "", "of this token")
	c.Flags().StringVar(&what.Class, "class", "", "of this class")
	c.Flags().StringVar(&what.Actor, "actor", "", "whose tokens are this actor's, as in agent:worker")
	c.Flags().DurationVar(&older, "older-than", 0, "kept longer ago, as in 720h")
	c.Flags().StringVar(&what.Reason, "reason", "", "why they are erased")
	return c
}
