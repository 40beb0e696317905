package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

func (a *app) tokenCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "token", Short: "Mint, list and revoke credentials"})
	c.AddCommand(a.tokenMintCmd(), a.tokenExchangeCmd(), a.tokenListCmd(), a.tokenRevokeCmd())
	return c
}

func (a *app) tokenMintCmd() *cobra.Command {
	var actor, typ, person, issuer string
	var scopes []string
	var life time.Duration
	c := &cobra.Command{
		Use: "mint --actor NAME | --person NAME --scope review | --provision ISSUER", Args: exactly(),
		Short: "Make a credential; its text is printed once and stored nowhere",
		Long: `Make a credential; its text is printed once and stored nowhere.

An actor's token is the password of user NAME at a database gate, and its bearer
token at the API. It can ask and nothing else: no setting gives it review scope.
A person's token carries the scopes named: review, read, mint, admin.
A provisioning token is for the issuer's SCIM client (docs/scim.md): it says who
has an account there and who is in which of its groups, and nothing else.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if problem := mintProblem(actor, typ, person, issuer, scopes); problem != "" {
				return usage(cmd, "%s", problem)
			}
			r := client.TokenRequest{Kind: "actor", Actors: []string{actorID(actor, typ)}, Life: life}
			if person != "" {
				r = client.TokenRequest{Kind: "person", Subject: "person:" + strings.TrimPrefix(person, "person:"), Scopes: scopes, Life: life}
			}
			if issuer != "" {
				r = client.TokenRequest{Kind: "provision", Subject: issuer, Life: life}
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			secret, t, err := c.CreateToken(cmd.Context(), r)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"token": secret, "info": t})
			}
			a.printf("%s\n", secret)
			return nil
		},
	}
	c.Flags().StringVar(&actor, "actor", "", "actor of the configuration: NAME, or pipeline:NAME, service:NAME")
	c.Flags().StringVar(&typ, "type", "", "type of the actor, where its name doesn't say: agent (unless set), pipeline or service")
	c.Flags().StringVar(&person, "person", "", "person of the configuration")
	c.Flags().StringVar(&issuer, "provision", "", "issuer with scim: true, whose accounts and groups it provisions")
	c.Flags().StringSliceVar(&scopes, "scope", nil, "scope of a person's token: review, read, mint (tokens for one's own actors), admin")
	c.Flags().DurationVar(&life, "ttl", 8*time.Hour, "how long it is good for")
	return c
}

// mintProblem says what is wrong with the flags of mint, "" if nothing is.
func mintProblem(actor, typ, person, issuer string, scopes []string) string {
	switch {
	case (actor == "") == (person == "") && issuer == "" || issuer != "" && (actor != "" || person != ""):
		return "name one of --actor, --person and --provision"
	case issuer != "" && len(scopes) > 0:
		return "a provisioning token takes no --scope: it provisions, and nothing else"
	case actor != "" && len(scopes) > 0:
		return "an actor's token takes no --scope: it can ask, and nothing else"
	case typ != "" && typ != "agent" && typ != "pipeline" && typ != "service":
		return fmt.Sprintf("--type %q: it is agent, pipeline or service", typ)
	case person != "" && len(scopes) == 0:
		return "a person's token needs --scope: review, read, mint or admin"
	}
	for _, s := range scopes {
		if s != "review" && s != "read" && s != "mint" && s != "admin" {
			return fmt.Sprintf("--scope %q: it is review, read, mint or admin", s)
		}
	}
	return ""
}

func (a *app) tokenListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Credentials, without their secrets", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			list, err := c.Tokens(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for _, t := range list {
				state := "expires in " + span(time.Until(t.Expires))
				if !t.Revoked.IsZero() {
					state = "revoked"
				} else if time.Now().After(t.Expires) {
					state = "expired"
				}
				_, _ = w.Write([]byte(strings.Join([]string{t.ID, t.Kind, inline(strings.Join(parties(t), " for ")), strings.Join(t.Scopes, ","), state}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
}

func (a *app) tokenRevokeCmd() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "End a credential and its open connections at once", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			if err := c.RevokeToken(cmd.Context(), args[0]); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"revoked": args[0]})
			}
			a.printf("%s is revoked\n", inline(args[0]))
			return nil
		},
	}
}

// parties are whom a token speaks for, the acting one first.
func parties(t client.Token) []string {
	out := slices.Clone(t.Actors)
	if t.Subject != "" {
		out = append(out, t.Subject)
	}
	return out
}

// actorID is the id of an actor named with its type or without.
func actorID(name, typ string) string {
	if t, _, typed := strings.Cut(name, ":"); typed && (typ == "" || t == typ) {
		return name
	}
	return cmp.Or(typ, "agent") + ":" + name
}
