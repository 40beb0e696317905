package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/recording"
	"github.com/spf13/cobra"
)

func (a *app) recordingsCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "recordings", Short: "What terminals at SSH gates showed"})
	c.AddCommand(
		&cobra.Command{
			Use: "list", Short: "Every recording, newest first", Args: exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error { return a.listRecordings(cmd.Context()) },
		},
		&cobra.Command{
			Use: "verify ID", Short: "Hold a recording's file against what the log says of it", Args: exactly("ID"),
			RunE: func(cmd *cobra.Command, args []string) error { return a.verifyRecording(cmd.Context(), args[0]) },
		},
		&cobra.Command{
			Use: "get ID", Short: "Write a recording to standard output, as asciicast version 2", Args: exactly("ID"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.cast(cmd.Context(), args[0], func(r io.Reader) error {
					_, err := io.Copy(a.out, r)
					return err
				})
			},
		},
		a.playCmd(),
	)
	return c
}

func (a *app) playCmd() *cobra.Command {
	var speed float64
	var idle time.Duration
	var follow bool
	c := &cobra.Command{
		Use: "play ID", Short: "Show a recording as it was", Args: exactly("ID"),
		Long: `Show a recording as it was, without long pauses.

What it held that could act on the terminal it is watched on (titles, links, the
clipboard, questions that a terminal answers) is left out. Interrupt to stop.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if speed <= 0 || speed > 1000 {
				return usage(cmd, "--speed is a number above 0, at most 1000")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			err := a.play(ctx, args[0], speed, idle, follow)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with a terminal that is still open, as it goes on")
	c.Flags().Float64Var(&speed, "speed", 1, "how many times as fast")
	c.Flags().DurationVar(&idle, "idle", 2*time.Second, "longest pause")
	return c
}

func (a *app) play(ctx context.Context, id string, speed float64, idle time.Duration, follow bool) error {
	if !follow {
		return a.cast(ctx, id, func(r io.Reader) error { return recording.Play(ctx, r, a.out, speed, idle) })
	}
	c, err := a.client(true)
	if err != nil {
		return err
	}
	return recording.Play(ctx, &follower{ctx: ctx, client: c, id: id}, a.out, speed, idle)
}

// A follower reads a recording until the log says that it has ended.
type follower struct {
	ctx    context.Context
	client *client.Client
	id     string
	at     int64
	part   io.ReadCloser
	ended  bool
}

const followEvery = 500 * time.Millisecond

func (f *follower) Read(b []byte) (int, error) {
	for {
		if f.part == nil {
			if f.ended {
				return 0, io.EOF
			}
			// Asked before what is there is read: what comes after the end is none.
			r, err := f.client.Recording(f.ctx, f.id)
			if err != nil {
				return 0, err
			}
			f.ended = r.Intact != nil
			if f.part, err = f.client.Cast(f.ctx, f.id, f.at); err != nil {
				return 0, err
			}
		}
		n, err := f.part.Read(b)
		f.at += int64(n)
		if err != nil {
			_ = f.part.Close()
			f.part = nil
		}
		switch {
		case n > 0:
			return n, nil
		case err != nil && !errors.Is(err, io.EOF):
			return 0, err
		case err != nil && !f.ended:
			t := time.NewTimer(followEvery)
			select {
			case <-t.C:
			case <-f.ctx.Done():
				t.Stop()
				return 0, f.ctx.Err()
			}
		}
	}
}

// cast hands the recording to use.
func (a *app) cast(ctx context.Context, id string, use func(io.Reader) error) error {
	c, err := a.client(true)
	if err != nil {
		return err
	}
	r, err := c.Cast(ctx, id, 0)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return use(r)
}

func (a *app) listRecordings(ctx context.Context) error {
	c, err := a.client(true)
	if err != nil {
		return err
	}
	list, err := c.Recordings(ctx)
	if err != nil {
		return err
	}
	if a.json {
		if list == nil {
			list = []client.Recording{}
		}
		return a.printJSON(list)
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	for _, r := range list {
		what := "a shell"
		if r.Command != "" {
			what = inline(r.Command)
		}
		_, _ = fmt.Fprintln(w, strings.Join([]string{inline(r.ID), r.Began.Local().Format(time.DateTime), inline(r.Actor), inline(r.User) + " on " + inline(r.Resource), what}, "\t"))
	}
	return w.Flush()
}

func (a *app) verifyRecording(ctx context.Context, id string) error {
	c, err := a.client(true)
	if err != nil {
		return err
	}
	r, err := c.Recording(ctx, id)
	if err != nil {
		return err
	}
	if a.json {
		if err := a.printJSON(r); err != nil {
			return err
		}
	}
	switch {
	case r.Intact == nil:
		return failf(exitFailed, "the log doesn't say yet what %s was when it ended: it goes on, or nobody had to approve it", inline(id))
	case !*r.Intact:
		return failf(exitFailed, "NOT INTACT: %s is %s, and the log says %s; keep the file, it is evidence", inline(id), inline(r.SHA256), inline(r.LoggedSHA256))
	case !a.json:
		a.printf("%s is what the log says: %s\n", inline(id), inline(r.SHA256))
	}
	return nil
}
