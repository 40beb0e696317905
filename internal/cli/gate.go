package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/enrol"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

func (a *app) gateCmd() *cobra.Command {
	var file, token string
	c := &cobra.Command{
		Use:   "gate --config gate.yaml",
		Short: "Run gates beside their systems, linked to a control plane elsewhere",
		Long: `Run the gates of a configuration beside the systems they guard. The configuration names
the control plane (control: host:port) and has gates, with the credentials for the systems,
and nothing else that decides: policy, people and approvals are the control plane's.

The first time it needs a token, which an administrator makes with assent gate token
NAME: --token-file, or ASSENT_ENROL_TOKEN. The certificate it gets for it is renewed by itself.

Without the control plane, reads that policy allows go on for ten seconds; everything else is
refused at once, and after that reads too. What ran is kept here until it is taken over.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := server.ReadConfig(file)
			if errors.Is(err, fs.ErrNotExist) && !cmd.Flags().Changed("config") {
				return failf(exitUsage, "there is no %s here: --config names one (docs/remote-gates.md)", file)
			}
			if err != nil {
				return &exitError{exitUsage, err}
			}
			if cfg.Control == "" {
				return failf(exitUsage, "%s has no control: the address of a control plane's remote.listen; assent serve runs a whole deployment", file)
			}
			if cmd.Flags().Changed("data") {
				if cfg.Data, err = filepath.Abs(a.data); err != nil {
					return fmt.Errorf("--data: %w", err)
				}
			}
			return a.gate(cmd.Context(), cfg, token)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "gate.yaml", "configuration file")
	c.Flags().StringVar(&token, "token-file", "", "file that holds the enrolment token (default $ASSENT_ENROL_TOKEN); used where there is no certificate yet")
	c.AddCommand(a.gateTokenCmd(), a.gateListCmd(), a.gateEndCmd())
	return c
}

func (a *app) gate(ctx context.Context, cfg *server.Config, tokenFile string) error {
	log := a.logger(cfg)
	data := cfg.DataDir()
	if err := os.MkdirAll(data, 0o700); err != nil {
		return notStarted(err)
	}
	h, err := enrol.OpenHolder(filepath.Join(data, "certificate"))
	if err != nil {
		return err
	}
	if err := enrolWith(ctx, h, cfg.Control, tokenFile); err != nil {
		return err
	}
	name := h.Leaf().Subject.CommonName
	g, err := server.NewGateProcess(cfg, name, func(ctx context.Context) (net.Conn, error) { return h.Dial(ctx, cfg.Control, enrol.Gate) }, log)
	if err != nil {
		return notStarted(err)
	}
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	go h.Run(run, cfg.Control, enrol.Gate, log)
	go func() {
		select {
		case <-run.Done():
		case <-g.Open():
			log.Info("ready", "process", name, "gates", g.GateAddrs(), "monitors", g.URL())
		}
	}()
	return g.Run(ctx)
}

// enrolWith uses a token, from a file that others can't read or from the environment, where the
// certificate that is held came by none or another.
func enrolWith(ctx context.Context, h *enrol.Holder, control, file string) error {
	text := os.Getenv("ASSENT_ENROL_TOKEN")
	if file != "" {
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) && h.Leaf() != nil { // used, and removed
			return nil
		}
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("--token-file: %w", err)}
		}
		if info.Mode().Perm()&0o077 != 0 {
			return failf(exitUsage, "--token-file: others can read %s: chmod 600 it", file)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("--token-file: %w", err)}
		}
		text = string(b)
	}
	if strings.TrimSpace(text) == "" {
		if h.Leaf() != nil {
			return nil
		}
		return failf(exitUsage, "this process is not enrolled: an administrator makes a token with assent gate token NAME; give it with --token-file or ASSENT_ENROL_TOKEN")
	}
	t, err := enrol.ParseToken(text)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if !h.Needs(t) {
		return nil
	}
	return h.Enrol(ctx, control, enrol.Gate, t)
}

func (a *app) gateTokenCmd() *cobra.Command {
	var life time.Duration
	c := &cobra.Command{
		Use: "token NAME", Short: "Make a token with which the gate process NAME enrols, once", Args: exactly("NAME"),
		Long: `Make a token with which one gate process enrols, once. NAME is what gates of the
configuration say under at. Enrolling anew under a name leaves the certificates of before
behind: the process that had them is cut off.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.client(true)
			if err != nil {
				return err
			}
			token, until, err := cl.InviteMember(cmd.Context(), "gate", args[0], life)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"token": token, "expires": until})
			}
			a.printf("%s\n", token)
			return nil
		},
	}
	c.Flags().DurationVar(&life, "ttl", time.Hour, "how long it may wait to be used")
	return c
}

func (a *app) gateListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Gate processes, and whether they are there", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.client(true)
			if err != nil {
				return err
			}
			list, err := cl.Members(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for _, p := range list {
				if p.Role != "gate" {
					continue
				}
				_, _ = w.Write([]byte(strings.Join([]string{inline(p.Name), processState(p), inline(strings.Join(p.Gates, ", ")), inline(p.From), inline(p.Version)}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
}

func processState(p client.Member) string {
	switch {
	case !p.Linked.IsZero():
		return "here for " + span(time.Since(p.Linked))
	case p.State == "enrolled":
		return "away"
	case p.State == "expired":
		return "its token was not used in time"
	}
	return p.State
}

func (a *app) gateEndCmd() *cobra.Command {
	return &cobra.Command{
		Use: "end NAME", Short: "End a gate process: its certificates are worthless, and its link is cut, at once", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.client(true)
			if err != nil {
				return err
			}
			if err := cl.EndMember(cmd.Context(), "gate", args[0]); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"ended": args[0]})
			}
			a.printf("%s is ended\n", inline(args[0]))
			return nil
		},
	}
}
