package cli

import (
	"strings"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

// passkeysCmd lists passkeys. They are registered and used in the console: a
// command holds only a token.
func (a *app) passkeysCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "passkeys", Short: "Your passkeys (an administrator's credential shows everybody's)", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			keys, err := c.Passkeys(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(keys)
			}
			if len(keys) == 0 {
				a.printf("no passkeys: one is registered in the console, under Settings\n")
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for i := range keys {
				k := &keys[i]
				_, _ = w.Write([]byte(strings.Join([]string{k.ID, inline(k.Person.ID), inline(k.Name), passkeyState(k, time.Now()), "bound by " + inline(k.BoundBy)}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
	c.AddCommand(a.passkeyRevokeCmd())
	return c
}

func passkeyState(k *client.Passkey, now time.Time) string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked " + k.Revoked.Local().Format(time.DateTime)
	case now.Before(k.CountsFrom):
		return "counts from " + k.CountsFrom.Local().Format(time.DateTime)
	}
	return "counts"
}

func (a *app) passkeyRevokeCmd() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "revoke ID", Short: "End a passkey for good, for one that was lost or stolen", Args: exactly("ID"),
		Long: `End a passkey for good, for one that was lost or stolen. What was approved with it
and has not run yet no longer runs. A new one is registered in the console.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			if err := c.RevokePasskey(cmd.Context(), args[0], reason); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"revoked": args[0]})
			}
			a.printf("passkey %s is revoked\n", inline(args[0]))
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; kept in the log")
	return c
}
