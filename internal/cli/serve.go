package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/server"
	"github.com/assenthq/assent/internal/store"
	"github.com/spf13/cobra"
)

func (a *app) serveCmd() *cobra.Command {
	var file string
	var signin []string
	c := &cobra.Command{
		Use:   "serve --config assent.yaml",
		Short: "Run gates, console and API",
		Long: `Run gates, console and API from one configuration and one data directory.

SIGHUP reloads the policy packs: all of them, or the last good ones stay.
SIGINT and SIGTERM stop: what runs may end, what waits is found again later.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := server.ReadConfig(file)
			if errors.Is(err, fs.ErrNotExist) && !cmd.Flags().Changed("config") {
				return failf(exitUsage, "there is no %s here: --config names one; assent demo needs none", file)
			}
			if err != nil {
				return &exitError{exitUsage, err}
			}
			if cfg.Control != "" {
				return failf(exitUsage, "%s has control: and is a gate process's: assent gate --config %s", file, file)
			}
			if cmd.Flags().Changed("data") {
				if cfg.Data, err = filepath.Abs(a.data); err != nil {
					return fmt.Errorf("--data: %w", err)
				}
			}
			return a.serve(cmd.Context(), cfg, signin)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "assent.yaml", "configuration file")
	c.Flags().StringSliceVar(&signin, "sign-in", nil, "print a one-time sign-in link for this person once the console is up")
	return c
}

// headroom is heap that nothing uses and nothing backs with memory: the garbage collector waits
// until as much again was allocated. Without it a server whose live heap is small collects hundreds of
// times a second under load, and spends a sixth of its time so.
const headroom = 64 << 20

func (a *app) serve(ctx context.Context, cfg *server.Config, signin []string) error {
	start := time.Now()
	room := make([]byte, headroom)
	defer runtime.KeepAlive(room)
	log := a.logger(cfg)
	s, err := server.New(ctx, cfg, log)
	if err != nil {
		return notStarted(err)
	}
	if err := s.Start(ctx); err != nil {
		_ = s.Close(context.WithoutCancel(ctx))
		return notStarted(err)
	}
	// The line a supervisor or a test waits for.
	log.Info("ready", "console", s.URL(), "gates", s.GateAddrs(), "after", time.Since(start).Round(time.Microsecond).String())
	admin, err := s.AdminLink(ctx)
	if err != nil {
		_ = s.Close(context.WithoutCancel(ctx))
		return err
	}
	if admin != "" {
		a.printf("nobody administers this deployment yet. Who signs in by this link becomes its first administrator (once, within ten minutes): %s\n", admin)
	}
	for _, p := range signin {
		if len(cfg.Issuers) > 0 {
			_ = s.Close(context.WithoutCancel(ctx))
			return failf(exitUsage, "--sign-in: people sign in through issuers here: a link would be a way around them")
		}
		link := s.SignInLink("person:" + p)
		if link == "" {
			_ = s.Close(context.WithoutCancel(ctx))
			return failf(exitUsage, "--sign-in: there is no person %q in the configuration", p)
		}
		// To the terminal of whoever started it, never to the log.
		a.printf("sign in as %s (once, within ten minutes): %s\n", p, link)
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-s.Stopped():
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			// Whoever watches /readyz sees why; then the process ends, so that a supervisor starts it anew.
			select {
			case <-time.After(3 * time.Second):
			case <-ctx.Done():
			}
			return errors.Join(fmt.Errorf("this node stopped serving: %w", s.Lost()), s.Close(stop))
		case <-hup:
			if err := s.ReloadPolicy(ctx); err != nil {
				fmt.Fprintln(a.err, "assent: the policy was not reloaded; the last good one stays:", err)
			}
		case <-ctx.Done():
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			log.Info("stopping")
			return s.Close(stop)
		}
	}
}

// notStarted adds what to try to the errors that people meet first.
func notStarted(err error) error {
	var packs policy.Errors
	var pack *policy.Error
	switch {
	case errors.As(err, &packs), errors.As(err, &pack), errors.Is(err, fs.ErrNotExist): // a file that the configuration names
		return &exitError{exitUsage, err}
	case errors.Is(err, store.ErrInUse):
		return fmt.Errorf("%w\n  stop that one first, or give this one its own directory: data: in the configuration, or --data", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w\n  name a directory that this user may write: data: in the configuration, or --data", err)
	}
	return err
}

func (a *app) logger(cfg *server.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Log.Level)) // checked when the configuration was read
	o := &slog.HandlerOptions{Level: level}
	if cfg.Log.Format == "text" {
		return slog.New(slog.NewTextHandler(a.err, o))
	}
	return slog.New(slog.NewJSONHandler(a.err, o))
}
