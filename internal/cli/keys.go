package cli

import (
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

func (a *app) keysCmd() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "keys [--data DIR | --config FILE]",
		Short: "The public key of a deployment's log, to be kept elsewhere",
		Long: `Print the public key that a deployment's log is signed with, as a C2SP verifier key.

Auditors, witnesses and assent verify --key take it. Keep it where whoever runs
the deployment can't change it: a key that lies beside the log proves little.`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			cfg := &server.Config{Data: a.data}
			if file != "" {
				var err error
				if cfg, err = server.ReadConfig(file); err != nil {
					return &exitError{exitUsage, err}
				}
			}
			key, err := server.Verifier(cfg)
			if err != nil {
				return failf(exitUsage, "%w (--data names another data directory)", err)
			}
			if a.json {
				return a.printJSON(map[string]string{"log": key})
			}
			a.printf("%s\n", key)
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration of the deployment; none: what --data names")
	return c
}
