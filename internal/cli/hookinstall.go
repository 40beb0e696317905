package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/hookfiles"
	"github.com/spf13/cobra"
)

// hookPlaces is where the settings of this machine's agents stand.
func hookPlaces() (hookfiles.Places, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return hookfiles.Places{}, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return hookfiles.Places{}, err
	}
	return hookfiles.Places{Home: home, Project: dir, Getenv: os.Getenv}, nil
}

// A hookFile is one file of settings that a command is about.
type hookFile struct {
	agent, scope string
	dry          bool
	path, within string
}

func (f *hookFile) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.scope, "scope", "user", "whose settings: user, project (this directory) or managed (the machine's)")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "change nothing, and print what the file would be")
}

func (f *hookFile) find(c *cobra.Command, name string) error {
	if !slices.Contains(hookfiles.Agents(), name) {
		return usage(c, "there is no agent %q; known are %s", name, strings.Join(hookfiles.Agents(), ", "))
	}
	p, err := hookPlaces()
	if err != nil {
		return err
	}
	f.agent = name
	if f.path, err = p.Path(name, f.scope); err != nil {
		return &exitError{exitUsage, err}
	}
	if f.scope == "project" {
		f.within = p.Project
	}
	return nil
}

func (a *app) hookInstallCmd() *cobra.Command {
	var f hookFile
	var tokenFile, wait, headless string
	c := &cobra.Command{
		Use: "install AGENT", Short: "Put the hook into an agent's settings: claude-code, codex, cursor or gemini", Args: exactly("AGENT"),
		Long: `Put the hook into an agent's settings, for every tool. What else stands there stays,
byte for byte; a copy of the file as it was is kept beside it. A hook that fails
is a no wherever the agent has a setting for that. Doing it again changes nothing.

  assent hook install claude-code --token-file ~/.config/assent/agent.token
  sudo assent hook install claude-code --scope managed --token-file /etc/assent/agent.token`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.find(cmd, args[0]); err != nil {
				return err
			}
			flags, err := hookCommandFlags(cmd, a.url, tokenFile, wait, headless)
			if err != nil {
				return err
			}
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("finding assent itself: %w", err)
			}
			command, err := hookfiles.Command(program, f.agent, flags)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			change, err := hookfiles.Put(f.agent, f.path, f.within, command, f.dry)
			if err != nil {
				return err
			}
			if b, err := os.ReadFile(tokenFile); tokenFile != "" && (err != nil || len(bytes.TrimSpace(b)) == 0) {
				_, _ = fmt.Fprintf(a.err, "note: %s holds no credential yet: until it does, the hook denies everything\n", tokenFile)
			}
			return a.printHookChange(&f, change, tokenFile == "")
		},
	}
	f.flags(c)
	c.Flags().StringVar(&tokenFile, "token-file", "", "file with the agent's credential (default: $ASSENT_TOKEN where the agent runs)")
	c.Flags().StringVar(&wait, "wait", "", "how long a call is held while people decide (default 570s)")
	c.Flags().StringVar(&headless, "headless", "", "deny, or defer (Claude Code): what a run without a person at it hears of a call that waits")
	return c
}

// hookCommandFlags are the flags that the installed command has.
func hookCommandFlags(c *cobra.Command, url, tokenFile, wait, headless string) ([]string, error) {
	var flags []string
	if url != "" {
		flags = append(flags, "--url", url)
	}
	if tokenFile != "" {
		path, err := filepath.Abs(tokenFile)
		if err != nil {
			return nil, err
		}
		flags = append(flags, "--token-file", path)
	}
	if wait != "" {
		flags = append(flags, "--wait", wait)
	}
	if headless != "" {
		flags = append(flags, "--headless", headless)
	}
	h := hooking{app: &app{}, agent: c.Name()}
	if err := h.flags(flags, true); err != nil {
		return nil, usage(c, "%v", err)
	}
	return flags, nil
}

func (a *app) hookUninstallCmd() *cobra.Command {
	var f hookFile
	c := &cobra.Command{
		Use: "uninstall AGENT", Short: "Take the hook out of an agent's settings", Args: exactly("AGENT"),
		Long: `Take the hook out of an agent's settings. A file that nobody edited since is as it was
before; of any other only the hook goes.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.find(cmd, args[0]); err != nil {
				return err
			}
			change, err := hookfiles.Take(f.agent, f.path, f.within, f.dry)
			if err != nil {
				return err
			}
			switch {
			case f.dry:
				a.printf("%s", change.After)
			case !change.Changed:
				a.printf("%s has no hook of Assent\n", change.Path)
			default:
				a.printf("the hook is out of %s: %s's tool calls are no longer asked about\n", change.Path, f.agent)
			}
			return nil
		},
	}
	f.flags(c)
	return c
}

func (a *app) printHookChange(f *hookFile, c hookfiles.Change, byEnvironment bool) error {
	switch {
	case f.dry:
		a.printf("%s", c.After)
		return nil
	case !c.Changed:
		a.printf("%s has the hook already\n", c.Path)
		return nil
	}
	a.printf("the hook is in %s: %s asks before each tool call from its next session on\n", c.Path, f.agent)
	if c.Backup != "" {
		a.printf("  the file as it was: %s\n", c.Backup)
	}
	a.printf("  undo: assent hook uninstall %s --scope %s\n", f.agent, f.scope)
	if byEnvironment {
		a.printf("  it needs ASSENT_TOKEN (and ASSENT_URL) where the agent runs, or install it with --token-file\n")
	}
	switch f.agent {
	case "codex":
		a.printf("  Codex runs it once you trust it there: open codex and look at /hooks\n")
	case "cursor":
		a.printf("  switch third-party hooks off in Cursor, or calls are asked about twice\n")
	}
	a.printf("  assent doctor says whether it can fail closed\n")
	return nil
}

// examineHooks says which coding agents are here, and whether they ask.
func examineHooks(ctx context.Context) []finding {
	p, err := hookPlaces()
	if err != nil {
		return nil
	}
	var out []finding
	for _, f := range hookfiles.Examine(ctx, p, nil, nil) {
		out = append(out, finding{"coding agents: " + f.What, f.State, f.Remedy})
	}
	return out
}
