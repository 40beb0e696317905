package cli

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

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
	c.AddCommand(a.keysRotateCmd(), a.keysMakeCmd())
	return c
}

func (a *app) keysMakeCmd() *cobra.Command {
	var file, out, public string
	var gates []string
	c := &cobra.Command{
		Use:   "make --public-url URL --out DIR | --config FILE [--out DIR]",
		Short: "Make the keys of a new deployment, where its nodes can't",
		Long: `Make the keys that a new deployment needs, for nodes that mount them and can't write
them, such as a Secret of Kubernetes. A server makes its own where it may.

The log is named by the host of the public URL. The directory is --out, or keys: of the
configuration; it must not hold anything. --for makes what gates of that type need too. Keep a
copy where the deployment's database isn't: without them nothing in it opens again.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var cfg *server.Config
			var err error
			switch {
			case (file == "") == (public == ""):
				return usage(cmd, "either --public-url or --config")
			case file != "":
				cfg, err = server.ReadConfig(file)
			case out == "":
				return usage(cmd, "--out is missing")
			default:
				cfg, err = server.ParseConfig("--public-url", []byte("public_url: "+strconv.Quote(public)))
			}
			if err != nil {
				return &exitError{exitUsage, err}
			}
			for _, g := range gates {
				if g != "ssh" && g != "egress" {
					return usage(cmd, "--for %s: ssh and egress have keys of their own", g)
				}
				cfg.Gates = append(cfg.Gates, server.GateConfig{Type: g})
			}
			if out != "" {
				if cfg.Keys, err = filepath.Abs(out); err != nil {
					return fmt.Errorf("--out: %w", err)
				}
			}
			m, err := server.MakeKeys(cfg)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(m)
			}
			a.printf("%s: %s\nthe log's public key: %s\n", inline(m.Dir), strings.Join(m.Files, ", "), m.Log)
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration of the deployment")
	c.Flags().StringVar(&public, "public-url", "", "in place of a configuration: its public_url, https://assent.example.com")
	c.Flags().StringSliceVar(&gates, "for", nil, "types of gates that have keys of their own: ssh, egress")
	c.Flags().StringVar(&out, "out", "", "directory to write to")
	return c
}

func (a *app) keysRotateCmd() *cobra.Command {
	var file string
	var overlap time.Duration
	c := &cobra.Command{
		Use:   "rotate [--data DIR | --config FILE]",
		Short: "Give the log another key, handed over by the one before",
		Long: `Make a new key for the log of a deployment that isn't running, and record the
handing over, signed by both keys. Both sign checkpoints for --overlap, then the
former one is removed at the next start. Whoever kept the former public key goes on
verifying with it: assent verify follows the record to the new one.

Witnesses need the new public key before the overlap is over (--log, once for each).
One that was cut off is ended by running it again.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := &server.Config{Data: a.data}
			if file != "" {
				var err error
				if cfg, err = server.ReadConfig(file); err != nil {
					return &exitError{exitUsage, err}
				}
			}
			r, err := server.RotateLogKey(cmd.Context(), cfg, overlap)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(r)
			}
			a.printf("from: %s\nto: %s\nboth sign until %s\n", r.From, r.To, r.Until.Format(time.RFC3339))
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration of the deployment; none: what --data names")
	c.Flags().DurationVar(&overlap, "overlap", 30*24*time.Hour, "how long both keys sign")
	return c
}
