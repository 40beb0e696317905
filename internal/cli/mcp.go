package cli

import "github.com/spf13/cobra"

func (a *app) mcpCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "mcp", Short: "Tools for agents that speak MCP"})
	a.pipeMCP(c)
	c.AddCommand(a.mcpServeCmd())
	return c
}
