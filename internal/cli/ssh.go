package cli

import (
	"strings"

	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
	gossh "golang.org/x/crypto/ssh"
)

func (a *app) sshCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "ssh", Short: "The SSH gate's own key"})
	c.AddCommand(a.sshHostKeyCmd())
	return c
}

func (a *app) sshHostKeyCmd() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "hostkey [--data DIR | --config FILE]",
		Short: "Print the key that the ssh gates prove themselves with",
		Long: `Print the public key and its fingerprint, for known_hosts of the machines that
agents run on. It is read from the key directory of this machine, and made there
when there is none yet.`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			cfg := &server.Config{Data: a.data}
			if file != "" {
				var err error
				if cfg, err = server.ReadConfig(file); err != nil {
					return &exitError{exitUsage, err}
				}
			}
			key, err := server.SSHHostKey(cfg)
			if err != nil {
				return failf(exitUsage, "%w (--data or --config names a deployment on this machine)", err)
			}
			line, print := strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key))), gossh.FingerprintSHA256(key)
			if a.json {
				return a.printJSON(map[string]any{"key": line, "fingerprint": print})
			}
			a.printf("%s\n%s\n", print, line)
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration of the deployment; none: what --data names")
	return c
}
