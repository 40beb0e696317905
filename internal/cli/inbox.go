package cli

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/assenthq/assent/client"
)

func (a *app) inboxCmd() *cobra.Command {
	return &cobra.Command{
		Use: "inbox", Short: "What waits for people, live, to be read and answered here", Args: exactly(),
		Long: `Show what waits for people, the gravest first, and keep it current.

  j k        move            a  approve        enter  open in the console
  space b    read            d  deny           /      filter
  r          read again      q  ask            ?      help, Q or ctrl+c leave

An answer is bound to what is shown: its digest and version. What is critical,
or needs more than a token, is answered in the console, where enter leads.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, ok := a.out.(*os.File)
			in, isFile := a.in.(*os.File)
			if !ok || !isFile || !term.IsTerminal(out.Fd()) || !term.IsTerminal(in.Fd()) {
				return usage(cmd, "an inbox needs a terminal: assent list prints the same")
			}
			c, err := a.client(false)
			if err != nil {
				return err
			}
			m := newInbox(cmd.Context(), c, a.loggedIn)
			p := tea.NewProgram(m, tea.WithContext(cmd.Context()), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
			ctx, stop := context.WithCancel(cmd.Context())
			var work sync.WaitGroup
			work.Go(func() { follow(ctx, c, p) })
			_, err = p.Run()
			stop()
			work.Wait()
			if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, tea.ErrInterrupted) {
				return nil
			}
			return err
		},
	}
}

// Messages of the inbox.
type (
	listed struct {
		all  []*client.Approval
		more bool
		err  error
	}
	opened struct {
		p   *client.Approval
		err error
	}
	answered struct {
		what string
		p    *client.Approval
		err  error
	}
	changed struct{}          // somewhere: read again
	cut     struct{ on bool } // the stream of changes
	tick    struct{}
)

// gather is how long changes are gathered before the list is read again.
const gather = 150 * time.Millisecond

// follow tells the inbox of changes until ctx ends. Many changes at once make
// it read once.
func follow(ctx context.Context, c *client.Client, p *tea.Program) {
	news := make(chan struct{}, 1)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-news:
			}
			p.Send(changed{})
			select {
			case <-ctx.Done():
				return
			case <-time.After(gather):
			}
		}
	})
	err := c.Tail(ctx, client.TailOptions{From: -1}, func(e client.Event) error {
		if e.Approval != nil {
			select {
			case news <- struct{}{}:
			default:
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		p.Send(cut{true})
	}
	work.Wait()
}
