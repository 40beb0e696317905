package cli

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/asktools"
	"github.com/assenthq/assent/internal/identity"
)

func (a *app) mcpServeCmd() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Serve the tools with which an agent asks, over stdio", Args: exactly(),
		Long: `Serve MCP tools on standard input and output: ask for approval, wait for it, list,
explain, withdraw. They call the server of ASSENT_URL as the agent of ASSENT_TOKEN.

Clients that speak HTTP need no such process: the server has the same tools at /mcp.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(false)
			if err != nil {
				return err
			}
			// A server that is away is told to the model with each call.
			me, err := c.WhoAmI(cmd.Context())
			var refused *client.Error
			if errors.As(err, &refused) {
				return err
			}
			if err == nil && me.Kind != identity.KindActor {
				return failf(exitDenied, "these tools are for agents, and ASSENT_TOKEN is no agent's: assent token mint --actor NAME")
			}
			s := asktools.Server(Version(), func(context.Context) (*client.Client, error) { return c, nil })
			err = s.Run(cmd.Context(), patient{&mcp.IOTransport{Reader: io.NopCloser(a.in), Writer: keepOpen{a.out}}})
			if err != nil && cmd.Context().Err() == nil && !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		},
	}
}

// patient is a transport whose input ends only once every request in it is
// answered, so that what a script pipes in is not lost.
type patient struct{ mcp.Transport }

func (p patient) Connect(ctx context.Context) (mcp.Connection, error) {
	c, err := p.Transport.Connect(ctx)
	return &patientConn{Connection: c}, err
}

type patientConn struct {
	mcp.Connection
	asked sync.WaitGroup // requests without an answer yet
}

func (c *patientConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	m, err := c.Connection.Read(ctx)
	if r, ok := m.(*jsonrpc.Request); ok && r.IsCall() {
		c.asked.Add(1)
	}
	if !errors.Is(err, io.EOF) {
		return m, err
	}
	answered := make(chan struct{})
	go func() { c.asked.Wait(); close(answered) }()
	select {
	case <-answered:
	case <-ctx.Done():
	}
	return m, err
}

func (c *patientConn) Write(ctx context.Context, m jsonrpc.Message) error {
	err := c.Connection.Write(ctx, m)
	if _, ok := m.(*jsonrpc.Response); ok {
		c.asked.Done()
	}
	return err
}

// keepOpen is a writer that outlives who closes it.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }
