package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assenthq/assent/client"
)

const maxTokenFile = 16 << 10

func (a *app) tokenExchangeCmd() *cobra.Command {
	var actor, subject, acting string
	var life time.Duration
	c := &cobra.Command{
		Use: "exchange --actor agent:NAME | --subject-token-file FILE", Args: exactly(),
		Short: "Get an actor's short-lived token for a credential (RFC 8693)",
		Long: `Get an actor's short-lived token for a credential (RFC 8693).

Without --subject-token-file it is made from ASSENT_TOKEN, a person's token with
scope mint, for an actor of theirs. The file holds a workload's own token (of GitHub
Actions, GitLab, Kubernetes, SPIFFE, …), or with --actor-token-file the token of the
actor whose task is taken over; - is standard input.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			x := client.Exchange{Actor: actor, Life: life, SubjectType: client.TypeJWT}
			var err error
			if x.Subject, err = a.readToken(subject); err != nil {
				return err
			}
			if x.ActorToken, err = a.readToken(acting); err != nil {
				return err
			}
			switch {
			case subject == "" && (actor == "" || acting != ""):
				return usage(cmd, "name --actor, or --subject-token-file")
			case strings.HasPrefix(x.Subject, "ast_"):
				x.SubjectType = client.TypeAccessToken
			}
			c, err := a.exchanger(subject == "")
			if err != nil {
				return err
			}
			got, err := c.Exchange(cmd.Context(), x)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"token": got.Token, "username": got.Username, "expires_in": got.ExpiresIn})
			}
			a.printf("%s\n", got.Token)
			return nil
		},
	}
	c.Flags().StringVar(&actor, "actor", "", "actor the token is for: agent:NAME")
	c.Flags().StringVar(&subject, "subject-token-file", "", "file with the token to exchange")
	c.Flags().StringVar(&acting, "actor-token-file", "", "file with the token of the actor that takes the task over")
	c.Flags().DurationVar(&life, "ttl", 0, "how long it is good for, at most what would be given")
	return c
}

// exchanger is a client; a workload has no other credential than the token it shows.
func (a *app) exchanger(own bool) (*client.Client, error) {
	if own {
		return a.client(false)
	}
	url := a.url
	if url == "" {
		url = os.Getenv("ASSENT_URL")
	}
	if url == "" {
		url = "http://127.0.0.1:8720"
	}
	c, err := client.New(url, "", nil)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return c, nil
}

// readToken reads a token from a file or standard input: on the command line others could see it.
func (a *app) readToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	in := a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("reading a token: %w", err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxTokenFile+1))
	if err != nil || len(b) > maxTokenFile {
		return "", failf(exitFailed, "reading a token: %s is no token", file)
	}
	return strings.TrimSpace(string(b)), nil
}
