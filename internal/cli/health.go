package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

func (a *app) healthCmd() *cobra.Command {
	var file string
	var live bool
	c := &cobra.Command{
		Use:   "health [--config FILE] [--live]",
		Short: "Ask the server on this machine whether it is ready",
		Long: `Ask the server on this machine whether it is ready, for HEALTHCHECK of a container and for
monitors without an HTTP client. Status 0: ready. Status 1: not, or no answer in five seconds.

Where it listens, and over TLS which certificate it must show, stands in operator.json of
its data directory.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := &server.Config{Data: a.data}
			if file != "" {
				var err error
				if cfg, err = server.ReadConfig(file); err != nil {
					return &exitError{exitUsage, err}
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			said, err := askHealth(ctx, cfg, live)
			if err != nil {
				return err
			}
			a.printf("%s\n", inline(said))
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration of the server; none: the data directory that --data names")
	c.Flags().BoolVar(&live, "live", false, "only whether the process answers: what doesn't work needs no restart")
	return c
}

// askHealth asks /readyz, or /healthz, of the server that the configuration describes.
func askHealth(ctx context.Context, cfg *server.Config, live bool) (string, error) {
	o, err := server.ReadOperator(cfg.DataDir())
	if err != nil {
		return "", fmt.Errorf("it has not started, or another user runs it: %w", err)
	}
	way, err := o.Transport()
	if err != nil {
		return "", err
	}
	path := map[bool]string{true: "/healthz", false: "/readyz"}[live]
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: way}).Do(req)
	if err != nil {
		return "", fmt.Errorf("it does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // its status is what counts
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("not ready: %s", notReady(b, resp.Status))
	}
	if live {
		return "it answers", nil
	}
	return "ready", nil
}

// notReady names the checks that failed.
func notReady(body []byte, status string) string {
	var doc struct {
		Checks []struct {
			Name string
			OK   bool
		}
	}
	var names []string
	if json.Unmarshal(body, &doc) == nil {
		for _, c := range doc.Checks {
			if !c.OK {
				names = append(names, c.Name)
			}
		}
	}
	if len(names) == 0 {
		return "it answers " + status
	}
	return strings.Join(names, ", ")
}
