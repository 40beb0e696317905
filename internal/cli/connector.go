package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/connector"
	"github.com/spf13/cobra"
)

func (a *app) connectorCmd() *cobra.Command {
	var control, systems []string
	var o connector.Options
	var tokenFile string
	c := &cobra.Command{
		Use:   "connector --control HOST:PORT --system NAME=HOST:PORT",
		Short: "Let gates reach systems in this network, by a connection that goes out from it",
		Long: `Run a connector beside systems that the server can't dial. It dials out to the
server's connectors: listener and carries what gates open through it, to the
addresses given here and to no others. It decides nothing, and listens nowhere.

The first start takes a one-time token (assent connector token NAME --system …,
on the server); after that the certificate in --dir is enough, and renews itself.

  assent connector --control assent.example.com:8730 --system orders-db=10.0.0.5:5432 --token-file token`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(control) == 0 || len(systems) == 0 {
				return usage(cmd, "a connector needs --control and at least one --system NAME=HOST:PORT")
			}
			var err error
			if o.Systems, err = systemsOf(systems); err != nil {
				return usage(cmd, "%v", err)
			}
			if o.Token, err = connectorToken(o.Token, tokenFile); err != nil {
				return err
			}
			return a.connector(cmd, o, control)
		},
	}
	c.Flags().StringArrayVar(&control, "control", nil, "HOST:PORT of the server's connectors: listener; repeated for each replica")
	c.Flags().StringArrayVar(&systems, "system", nil, "NAME=HOST:PORT of a system here (repeatable)")
	c.Flags().StringVar(&o.Token, "token", "", "one-time token; --token-file and ASSENT_CONNECTOR_TOKEN keep it from lists of processes")
	c.Flags().StringVar(&tokenFile, "token-file", "", "file with the one-time token")
	c.Flags().StringVar(&o.Dir, "dir", "./assent-connector", "directory of its key and certificate; one process at a time")
	c.Flags().IntVar(&o.Streams, "streams", 1024, "connections that may be open at once")
	c.AddCommand(a.connectorTokenCmd(), a.connectorListCmd(), a.connectorRevokeCmd())
	return c
}

func systemsOf(list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, text := range list {
		name, target, ok := strings.Cut(text, "=")
		if _, _, err := net.SplitHostPort(target); !ok || err != nil {
			return nil, fmt.Errorf("--system %s: write NAME=HOST:PORT", text)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("--system %s stands twice: one system has one address", name)
		}
		out[name] = target
	}
	return out, nil
}

func connectorToken(token, file string) (string, error) {
	switch {
	case token != "":
		return token, nil
	case file != "":
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	return os.Getenv("ASSENT_CONNECTOR_TOKEN"), nil
}

func (a *app) connector(cmd *cobra.Command, o connector.Options, control []string) error {
	o.Logger = slog.New(slog.NewJSONHandler(a.err, nil))
	o.Program = Version()
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return err
	}
	o.Dir = dir
	var all []*connector.Connector
	for _, o.Control = range control {
		c, err := connector.New(o)
		if err != nil {
			return &exitError{exitUsage, err}
		}
		all = append(all, c)
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	// One of them enrols; the others find its certificate in the directory.
	if err := all[0].EnrolUntil(ctx); err != nil {
		return connectorEnd(err)
	}
	ended := make(chan error, len(all))
	for i, c := range all {
		if i > 0 {
			if err := c.Reload(); err != nil {
				return err
			}
		}
		go func() { ended <- c.Run(ctx) }()
	}
	for range all { // the first that is refused ends the others
		err = errors.Join(err, <-ended)
		cancel()
	}
	return connectorEnd(err)
}

func connectorEnd(err error) error {
	if errors.Is(err, connector.ErrRefused) {
		return &exitError{exitDenied, err}
	}
	return err
}

func (a *app) connectorTokenCmd() *cobra.Command {
	var systems []string
	var life time.Duration
	c := &cobra.Command{
		Use: "token NAME", Short: "Make a one-time token by which a connector enrols", Args: exactly("NAME"),
		Long: `Make a one-time token by which a connector enrols under NAME, for these systems
and no others. It is shown once. A connector that enrols takes the place of the
former one of its name, so each machine has a name of its own.

  assent connector token vpc-1 --system orders-db --system crm`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(systems) == 0 {
				return usage(cmd, "name the systems that it may serve: --system NAME, as via in the configuration has them")
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			token, err := c.InviteConnector(cmd.Context(), args[0], systems, life)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"name": args[0], "token": token})
			}
			a.printf("%s\n", token)
			fmt.Fprintf(a.err, "it works once, within %s, where the systems are:\n  assent connector --control HOST:PORT", span(life))
			for _, s := range systems {
				fmt.Fprintf(a.err, " --system %s=HOST:PORT", inline(s))
			}
			fmt.Fprintln(a.err, " --token-file FILE")
			return nil
		},
	}
	c.Flags().StringArrayVar(&systems, "system", nil, "name of a system that it may serve (repeatable)")
	c.Flags().DurationVar(&life, "for", time.Hour, "time in which it must be used, 720h at most")
	return c
}

func (a *app) connectorListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Connectors, and which are here", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			list, err := c.Connectors(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(slices.Concat([]client.Connector{}, list))
			}
			if len(list) == 0 {
				a.printf("no connector is enrolled\n")
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for i := range list {
				e := &list[i]
				more, serves := "", e.Systems
				if e.State == "connected" {
					more, serves = "from "+inline(e.From)+" for "+span(time.Since(e.Since))+", "+count(int(e.Streams), "stream", "streams"), e.Serves
				}
				_, _ = w.Write([]byte(strings.Join([]string{inline(e.Name), e.State, inline(strings.Join(serves, ",")), more}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
}

func (a *app) connectorRevokeCmd() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End a connector, its unused tokens and all that is open through it, at once", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			if err := c.RevokeConnector(cmd.Context(), args[0]); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"revoked": args[0]})
			}
			a.printf("%s is revoked\n", inline(args[0]))
			return nil
		},
	}
}
