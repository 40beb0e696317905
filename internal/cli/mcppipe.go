package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assenthq/assent/internal/gates/mcp"
)

// pipeMCP makes c, without a subcommand, a client's way to an MCP gate.
func (a *app) pipeMCP(c *cobra.Command) {
	gate, name := os.Getenv("ASSENT_MCP_URL"), ""
	c.Flags().StringVar(&gate, "gate", gate, "address of the MCP gate, such as http://127.0.0.1:8721/mcp (ASSENT_MCP_URL)")
	c.Flags().StringVar(&name, "server", "", "name of the server in the gate's configuration; local for a command unless given")
	c.Use = "mcp [--server NAME] [-- COMMAND [ARGUMENT…]]"
	c.Args = func(cmd *cobra.Command, args []string) error {
		if at := cmd.ArgsLenAtDash(); len(args) > 0 && at != 0 {
			return failf(exitUsage, "there is no command mcp %s; what the gate is put before follows two dashes: assent mcp -- %s", args[0], strings.Join(args, " "))
		}
		return nil
	}
	c.Long = `Join an MCP client that speaks over standard input and output with an MCP gate.

  assent mcp --server NAME       the server that the gate's configuration names so
  assent mcp -- COMMAND          a server that is started here, as this user, with
                                 the gate between it and the client

Each message goes through the gate, as the agent of ASSENT_TOKEN. This process
decides nothing: while the gate can't be reached nothing passes, and requests are
answered by errors.`
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if name == "" && len(args) == 0 {
			return cmd.Help()
		}
		if name == "" {
			name = "local"
		}
		token := os.Getenv("ASSENT_TOKEN")
		switch {
		case gate == "":
			return failf(exitUsage, "no gate: set ASSENT_MCP_URL, or name it with --gate")
		case token == "":
			return failf(exitUsage, "no credential: set ASSENT_TOKEN to an agent's token (assent token mint --actor NAME)")
		}
		t := &mcp.Tunnel{URL: strings.TrimSuffix(gate, "/") + "/" + name, Token: token, Command: args, In: a.in, Out: a.out, Err: a.err}
		return t.Run(cmd.Context())
	}
}
