package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

// A finding of the doctor. OK is "ok", "problem" or "unknown": what could not be checked is said.
type finding struct {
	What   string `json:"what"`
	State  string `json:"state"`
	Remedy string `json:"remedy,omitempty"`
}

func (a *app) doctorCmd() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "doctor", Short: "Look at configuration, data directory and running server, and say what to do", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			found := a.examine(cmd.Context(), file)
			bad := 0
			for _, f := range found {
				if f.State == "problem" {
					bad++
				}
			}
			if a.json {
				if err := a.printJSON(found); err != nil {
					return err
				}
			} else {
				for _, f := range found {
					a.printf("%-8s %s\n", f.State, inline(f.What))
					if f.Remedy != "" {
						a.printf("         %s\n", inline(f.Remedy))
					}
				}
			}
			if bad > 0 {
				return failf(exitFailed, "%s", count(bad, "problem", "problems"))
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file to check as well")
	return c
}

func (a *app) examine(ctx context.Context, file string) []finding {
	var out []finding
	add := func(state, remedy, format string, args ...any) {
		out = append(out, finding{fmt.Sprintf(format, args...), state, remedy})
	}
	if file != "" {
		if cfg, err := server.ReadConfig(file); err != nil {
			add("problem", "", "configuration: %s", strings.NewReplacer("\n  ", ": ", "\n", "; ").Replace(err.Error()))
		} else {
			add("ok", "", "configuration %s: %s", file, contents(cfg))
			out = append(out, a.examinePeople(cfg)...)
			out = append(out, examineReviewers(cfg)...)
			for _, o := range server.Oversights(cfg) {
				out = append(out, finding{o.What, "problem", o.Remedy})
			}
			out = append(out, examineIssuers(ctx, cfg)...)
			out = append(out, examineChannels(ctx, cfg)...)
			out = append(out, examineEgress(ctx, cfg)...)
		}
	}
	out = append(out, a.examineData()...)
	out = append(out, a.examineServer(ctx)...)
	out = append(out, examineHooks(ctx)...)
	if _, err := pgcluster.Find(); err != nil {
		add("ok", "install PostgreSQL to see the demo with the real one", "the demo uses its embedded database here")
	}
	add("unknown", "make sure by network rules and by rotating old credentials that agents have no other way to the systems behind the gates", "whether agents can reach the systems without Assent can't be checked from here")
	return out
}

func (a *app) examinePeople(cfg *server.Config) []finding {
	var out []finding
	for _, actor := range cfg.Actors {
		if actor.Owner == "" {
			out = append(out, finding{"actor " + actor.ID + " has no owner: it may do only what policy allows outright", "problem", "name the person behind it: owner: in the configuration"})
		}
	}
	return out
}

// examineReviewers says whose rules ask for people who aren't there.
func examineReviewers(cfg *server.Config) []finding {
	set, err := server.LoadPolicy(cfg, policy.Options{})
	if err != nil {
		return []finding{{"policy: " + err.Error(), "problem", "assent policy check says where"}}
	}
	errs, warnings, err := server.CheckReviewers(cfg, set)
	if err != nil {
		return []finding{{"reviewers: " + err.Error(), "problem", "assent config check says where"}}
	}
	var out []finding
	for _, e := range append(errs, warnings...) {
		out = append(out, finding{e.Msg, "problem", e.Remedy})
	}
	if len(out) == 0 {
		out = append(out, finding{"every rule finds the people it asks for", "ok", ""})
	}
	return out
}

// examineIssuers says through which issuers nobody can sign in now.
func examineIssuers(ctx context.Context, cfg *server.Config) (out []finding) {
	for name, err := range server.ReachIssuers(ctx, cfg) {
		f := finding{"people can sign in through " + name, "ok", ""}
		if err != nil {
			f = finding{err.Error(), "problem", "until it answers nobody new signs in through it"}
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b finding) int { return strings.Compare(a.What, b.What) })
	return out
}

// examineChannels says which chats don't take cards.
func examineChannels(ctx context.Context, cfg *server.Config) (out []finding) {
	for name, err := range server.ReachChannels(ctx, cfg) {
		f := finding{"channel " + name + " takes cards", "ok", ""}
		if err != nil {
			f = finding{"channel " + name + ": " + err.Error(), "problem", "until then approvals are in the console alone"}
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b finding) int { return strings.Compare(a.What, b.What) })
	return out
}

func (a *app) examineData() []finding {
	info, err := os.Stat(a.data)
	if err != nil {
		return []finding{{"data directory " + a.data + " is not there", "unknown", "assent serve makes it at its first start; another one is named with --data"}}
	}
	var out []finding
	if info.Mode().Perm()&0o077 != 0 {
		out = append(out, finding{"others may look into the data directory " + a.data, "problem", "chmod 700 " + a.data})
	}
	files, _ := filepath.Glob(filepath.Join(a.data, "keys", "*"))
	for _, f := range append(files, filepath.Join(a.data, "operator.json")) {
		if i, err := os.Stat(f); err == nil && i.Mode().Perm()&0o077 != 0 {
			out = append(out, finding{"others may read " + f, "problem", "chmod 600 it and consider it known: rotate"})
		}
	}
	if len(out) == 0 {
		out = append(out, finding{"data directory " + a.data + " and its keys are its owner's alone", "ok", ""})
	}
	return out
}

func (a *app) examineServer(ctx context.Context) []finding {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := a.client(true)
	if err != nil {
		return []finding{{"no server to ask", "unknown", "start one with assent serve, or name one (--url or ASSENT_URL) with a token in ASSENT_TOKEN"}}
	}
	var ready *client.Readiness
	if ready, err = c.Ready(ctx); err != nil {
		return []finding{{"the server does not answer: " + err.Error(), "problem", "is assent serve running? --url names another"}}
	}
	var out []finding
	for _, check := range ready.Checks {
		f := finding{"server: " + check.Name, "ok", ""}
		if !check.OK {
			f.State, f.Remedy = "problem", server.RemedyOf(check.Name)
		}
		out = append(out, f)
	}
	out = append(out, examineConnectors(ctx, c)...)
	return append(out, examineTools(ctx, c)...)
}

// examineConnectors says which connectors are away.
func examineConnectors(ctx context.Context, c *client.Client) (out []finding) {
	list, err := c.Connectors(ctx)
	if err != nil {
		return nil // a server without them, or a credential that may not ask
	}
	for i := range list {
		switch e := &list[i]; e.State {
		case "connected":
			out = append(out, finding{"connector " + e.Name + " is connected, and serves " + strings.Join(e.Serves, ", "), "ok", ""})
		case "enrolled":
			out = append(out, finding{"connector " + e.Name + " is away: nothing is reached through it", "problem", "start assent connector where its systems are, and read what it prints; if it is gone for good: assent connector revoke " + e.Name})
		}
	}
	return out
}

// examineTools says which tools of MCP servers wait for an administrator.
func examineTools(ctx context.Context, c *client.Client) (out []finding) {
	tools, unsound, err := c.Tools(ctx, "")
	if err != nil || len(tools)+len(unsound) == 0 {
		return nil // a server without them, or a credential that may not ask
	}
	for i := range tools {
		if t := &tools[i]; t.Held != nil {
			out = append(out, finding{
				fmt.Sprintf("the tool %s of %s is held: %s", t.Name, t.Server, strings.Join(t.Held.Why, "; ")), "problem",
				"assent tools diff shows what its server lists now; assent tools release asks to rely on it",
			})
		}
	}
	for _, id := range unsound {
		out = append(out, finding{"the tool " + id + " was changed in the store outside Assent, and is held", "problem", "find out who writes to the store: assent verify checks the log"})
	}
	if len(out) == 0 {
		out = append(out, finding{count(len(tools), "tool", "tools") + " of MCP servers, all as pinned", "ok", ""})
	}
	return out
}
