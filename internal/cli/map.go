package cli

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	httpmap "github.com/assenthq/assent/internal/classify/http"
	mcpmap "github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/webwire"
	"github.com/spf13/cobra"
)

func (a *app) mapCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "map", Short: "Draft and check mappings of HTTP APIs and of MCP tools"})
	c.AddCommand(a.mapOpenAPICmd(), a.mapMCPCmd(), a.mapCheckCmd())
	return c
}

func (a *app) mapMCPCmd() *cobra.Command {
	return &cobra.Command{
		Use: "mcp FILE", Short: "Draft what the tools of an MCP server do", Args: exactly("FILE"),
		Long: `Draft the tools: block of an MCP server from what it answered to tools/list, and
print it. FILE is that answer, or an array of definitions.

Each row says in a comment from what it was guessed: words of names and descriptions,
names of arguments. It is a draft, to be read and corrected by people who know the
server. What is not understood gets no row: it stays tool.call, which is held.`,
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return &exitError{exitUsage, err}
			}
			draft, err := mcpmap.DraftYAML(data)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			a.printf("%s", draft)
			return nil
		},
	}
}

func (a *app) mapOpenAPICmd() *cobra.Command {
	return &cobra.Command{
		Use: "openapi FILE", Short: "Draft a mapping from an OpenAPI document", Args: exactly("FILE"),
		Long: `Draft a mapping from an OpenAPI document (3.0, 3.1, or Swagger 2.0), and print it.

Each row says in a comment from what it was guessed: methods, words in paths and
names, names of properties. It is a draft, to be read and corrected by people who
know the API. Nothing is fetched; references to other files are left out.`,
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return &exitError{exitUsage, err}
			}
			draft, err := httpmap.Draft(data, filepath.Base(args[0]))
			if err != nil {
				return &exitError{exitUsage, err}
			}
			a.printf("%s", draft)
			return nil
		},
	}
}

func (a *app) mapCheckCmd() *cobra.Command {
	var headers []string
	var data string
	c := &cobra.Command{
		Use: "check FILE [-- METHOD PATH]", Short: "Check a mapping, and say what a request becomes",
		Long: `Check a mapping as serve does. With a method and a path (and query), say which
row the request fits, what it becomes, and which other rows fit its path.
Without --data its body counts as one that was not read.`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usage(c, "FILE is missing")
			case len(args) != 1 && len(args) != 3:
				return usage(c, "want FILE alone, or FILE -- METHOD PATH")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := httpmap.Load(args[0])
			var mistakes httpmap.Errors
			if errors.As(err, &mistakes) {
				return failf(exitUsage, "%s\n  problems: %d", mistakes, len(mistakes))
			}
			if err != nil {
				return &exitError{exitUsage, err}
			}
			if len(args) == 1 {
				a.printf("%s: %d rows, no problems\n", args[0], m.Len())
				return nil
			}
			h := http.Header{}
			for _, line := range headers {
				name, v, ok := strings.Cut(line, ":")
				if !ok {
					return usage(cmd, "--header %q: want 'Name: value'", line)
				}
				h.Add(strings.TrimSpace(name), strings.TrimSpace(v))
			}
			var body []byte
			if cmd.Flags().Changed("data") {
				if body = []byte(data); strings.HasPrefix(data, "@") {
					if body, err = os.ReadFile(data[1:]); err != nil {
						return &exitError{exitUsage, err}
					}
				}
			}
			r, err := http.NewRequest(args[1], "http://host"+args[2], nil)
			if err != nil || !strings.HasPrefix(args[2], "/") {
				return usage(cmd, "%q is no path", args[2])
			}
			r.RequestURI = args[2]
			if err := webwire.Target(r, webwire.Rules{}); err != nil {
				a.printf("refused: %s (a route's own rules may take it)\n", strings.TrimPrefix(err.Error(), "ambiguous request: "))
				return nil
			}
			path, query, _ := strings.Cut(args[2], "?")
			for i, line := range m.Explain(args[1], path, query, h, body) {
				if i > 0 {
					line = "  " + line
				}
				fmt.Fprintln(a.out, line)
			}
			return nil
		},
	}
	c.Flags().StringArrayVar(&headers, "header", nil, "a header of the request, 'Name: value'")
	c.Flags().StringVar(&data, "data", "", "its body, or @FILE")
	return c
}
