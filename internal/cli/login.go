package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

// A login is what assent login keeps, for one server.
type login struct {
	Token   string    `json:"token"` // reads, and never reviews
	Person  string    `json:"person"`
	Expires time.Time `json:"expires"`
}

// loginFile is where logins are kept, by server, readable by their owner only.
func loginFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("looking for a place to keep the login: %w", err)
	}
	return filepath.Join(dir, "assent", "logins.json"), nil
}

func readLogins() (map[string]login, error) {
	file, err := loginFile()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]login{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the logins: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s is readable by others: remove it and log in again", file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the logins: %w", err)
	}
	out := map[string]login{}
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("%s can't be read: remove it and log in again", file)
	}
	return out, nil
}

func writeLogins(all map[string]login) error {
	file, err := loginFile()
	if err != nil {
		return err
	}
	for url, l := range all {
		if time.Now().After(l.Expires) {
			delete(all, url)
		}
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("keeping the login: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("keeping the login: %w", err)
	}
	tmp := file + ".new"
	_ = os.Remove(tmp) // left by a crash: its mode may be another
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("keeping the login: %w", err)
	}
	return os.Rename(tmp, file)
}

// stored is the login kept for a server, while it is good.
func stored(url string) (login, bool) {
	all, err := readLogins()
	l, ok := all[url]
	return l, err == nil && ok && time.Now().Before(l.Expires)
}

func (a *app) loginCmd() *cobra.Command {
	var issuer string
	c := &cobra.Command{
		Use: "login", Short: "Sign in to a server by your issuer, to read", Args: exactly(),
		Long: `Sign in to a server by your issuer. It prints an address and a code: open the
address in a browser, sign in there and confirm the code, but only if you began
this login yourself.

What it leaves on this machine reads for eight hours and never reviews: whoever
shares your account here, an agent too, decides nothing by it. Approve in the console.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			url := a.server()
			c, err := client.New(url, "", nil)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			l, err := c.BeginLogin(cmd.Context(), issuer)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.err, "Open %s\nand confirm the code %s (%s). Only if you began this yourself.\n", inline(l.URL), inline(l.UserCode), inline(l.Issuer))
			if l.Complete != "" {
				fmt.Fprintf(a.err, "Or with the code filled in: %s\n", inline(l.Complete))
			}
			got, err := await(cmd, c, l)
			if err != nil {
				return err
			}
			all, err := readLogins()
			if err != nil {
				return err
			}
			all[url] = login{Token: got.Token, Person: got.Person, Expires: got.Expires}
			if err := writeLogins(all); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"person": got.Person, "session": got.Session, "expires": got.Expires, "server": url})
			}
			a.printf("logged in as %s for %s: it reads, and reviews nothing\n", inline(got.Person), span(time.Until(got.Expires)))
			return nil
		},
	}
	c.Flags().StringVar(&issuer, "issuer", "", "which of the server's issuers, when it has several")
	return c
}

var errInterrupted = failf(exitFailed, "interrupted: nobody was logged in")

// await polls until the person confirmed, refused, or the code ran out.
func await(cmd *cobra.Command, c *client.Client, l *client.Login) (*client.LoggedIn, error) {
	wait := time.Duration(max(l.Interval, 1)) * time.Second
	for time.Now().Before(l.Expires) {
		select {
		case <-cmd.Context().Done():
			return nil, errInterrupted
		case <-time.After(wait):
		}
		got, err := c.PollLogin(cmd.Context(), l.Handle, "assent "+Version())
		if cmd.Context().Err() != nil {
			return nil, errInterrupted
		}
		if err != nil {
			return nil, err
		}
		if got.State == "done" {
			return got, nil
		}
	}
	return nil, failf(exitDenied, "nobody confirmed the code in time: log in again")
}

func (a *app) logoutCmd() *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "End the login of this machine", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			url := a.server()
			all, err := readLogins()
			if err != nil {
				return err
			}
			l, ok := all[url]
			if !ok {
				a.printf("nobody is logged in to %s here\n", inline(url))
				return nil
			}
			delete(all, url)
			if err := writeLogins(all); err != nil { // first: whatever the server says, it is gone here
				return err
			}
			c, err := client.New(url, l.Token, nil)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			if err := c.EndSession(cmd.Context(), "self"); err != nil && statusOf(err) != exitDenied && statusOf(err) != exitNotFound {
				return fmt.Errorf("the login is gone from this machine, and the server could not be told: %w", err)
			}
			a.printf("logged out of %s\n", inline(url))
			return nil
		},
	}
}

func (a *app) whoamiCmd() *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Who the server takes you for", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(false)
			if err != nil {
				return err
			}
			who, err := c.WhoAmI(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(who)
			}
			name := who.Kind + " " + who.Credential
			switch {
			case who.Person != nil:
				name = who.Person.ID + " (" + who.Person.Name + ")"
			case len(who.Chain) > 0:
				name = who.Chain[0].ID
			}
			a.printf("%s\nscopes: %s\ngroups: %s\nuntil %s\n", inline(name), inline(strings.Join(who.Scopes, ", ")), inline(strings.Join(who.Groups, ", ")), who.Expires.Local().Format(time.DateTime))
			return nil
		},
	}
}

func (a *app) sessionsCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "sessions", Short: "List and end who is signed in"})
	c.AddCommand(&cobra.Command{
		Use: "list", Short: "Your open sessions; an administrator's credential lists everybody's", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			list, err := c.Sessions(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			if len(list) == 0 {
				a.printf("nobody is signed in\n")
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for _, s := range list {
				how := s.How
				if s.Issuer != "" {
					how += " by " + s.Issuer
				}
				_, _ = w.Write([]byte(strings.Join([]string{inline(s.ID), inline(s.Name), inline(s.Person), inline(how), ago(s.Created, time.Now()), "expires in " + span(time.Until(s.Expires)), inline(s.Agent)}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}, a.endCmd("end ID", "End a session at once, on every replica", "%s has ended\n", (*client.Client).EndSession))
	return c
}
