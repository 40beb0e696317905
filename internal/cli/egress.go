package cli

import (
	"context"
	"net"
	"os"
	"time"

	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

func (a *app) egressCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "egress", Short: "The authority of the egress gate"})
	c.AddCommand(a.egressCACmd())
	return c
}

func (a *app) egressCACmd() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "ca [--data DIR | --config FILE]",
		Short: "Print the certificates that programs behind the egress gate trust",
		Long: `Print the certificates (PEM) of the authority that the egress gate signs with, for
the trust store of machines whose programs assent run does not start: the one of
now and the next one, which is good for half a year at least. They are public;
the server tells them too, at /v1/ca.

Their key is in the key directory of this machine, and made there when there is
none yet. Whoever has it can pass for any host before those who trust it.`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			cfg := &server.Config{Data: a.data}
			if file != "" {
				var err error
				if cfg, err = server.ReadConfig(file); err != nil {
					return &exitError{exitUsage, err}
				}
			}
			text, err := server.EgressCA(cfg)
			if err != nil {
				return failf(exitUsage, "%w (--data or --config names a deployment on this machine)", err)
			}
			if a.json {
				return a.printJSON(map[string]any{"ca": string(text)})
			}
			a.printf("%s", text)
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration of the deployment; none: what --data names")
	return c
}

// examineEgress says whether a listed host can be reached past the gate from here, as far
// as a connection tells. Inside assent run that is a problem; elsewhere nobody knows
// whether agents run here.
func examineEgress(ctx context.Context, cfg *server.Config) []finding {
	hosts := server.EgressHosts(cfg)
	if len(hosts) == 0 {
		return nil
	}
	const remedy = "let the network stop it: docs/egress.md has rules for that"
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var out []finding
	led := os.Getenv("ASSENT_SESSION") != ""
	if led && os.Getenv("HTTPS_PROXY") == "" {
		out = append(out, finding{"HTTPS_PROXY is not set in this run: programs go straight out", "problem", "start them with assent run"})
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", hosts[0]) // no proxy: a dialer knows none
	switch {
	case err != nil:
		return append(out, finding{hosts[0] + " can't be reached from here without the egress gate", "ok", ""})
	case led:
		out = append(out, finding{hosts[0] + " answers without the egress gate: what runs here can go around it", "problem", remedy})
	default:
		out = append(out, finding{hosts[0] + " answers here without the egress gate", "unknown", "where agents run it must not: ask there, with assent run -- assent doctor --config FILE; " + remedy})
	}
	_ = conn.Close()
	return out
}
