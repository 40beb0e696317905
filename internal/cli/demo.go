package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/assenthq/assent/internal/demo"
	"github.com/spf13/cobra"
)

func (a *app) demoCmd() *cobra.Command {
	var o demo.Options
	var open bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play the main job for real, on loopback, with nothing to configure",
		Long: `An agent goes to work on a database at 3 a.m.: it reads orders, reads customers
(masked), exports the whole customer table (held until you approve it in the
console or with assent approve), and tries to grant itself a role (denied).

The database is a temporary PostgreSQL where its binaries are installed, else an
embedded one that speaks its protocol; the first line says which.
ASSENT_DEMO_DATABASE=embedded takes the embedded one in any case.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out = a.out
			o.Colour = isTerminal(a.out)
			o.Embedded = os.Getenv("ASSENT_DEMO_DATABASE") == "embedded"
			if open {
				o.Open = openBrowser
			}
			err := demo.Run(cmd.Context(), o)
			if err != nil && cmd.Context().Err() != nil {
				return &exitError{exitFailed, errors.New("interrupted")}
			}
			return err
		},
	}
	c.Flags().BoolVar(&o.Auto, "auto", false, "play it unattended, with a second identity as reviewer")
	c.Flags().BoolVar(&open, "open", false, "open the console in a browser")
	c.Flags().StringVar(&o.Data, "data", "", "keep what it wrote in this directory")
	c.Flags().StringVar(&o.Listen, "listen", "", "address of the console (default 127.0.0.1:8720, or a free port)")
	c.Flags().DurationVar(&o.Wait, "wait", 0, "how long to wait for your decision (default: until the approval expires)")
	return c
}

// openBrowser starts the desktop's browser; it returns once that was started.
func openBrowser(url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("opening a browser: %w", err)
	}
	// The link works once, so that its standing in a process list for a moment is no key to anything.
	cmd := exec.Command(path, args...)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("opening a browser: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	return nil
}

// isTerminal says whether people look at w, and have not asked for plain text (NO_COLOR).
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
