package cli

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

func (a *app) awsCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "aws", Short: "Key pairs for gates of AWS"})
	var tokenFile string
	credentials := &cobra.Command{
		Use:   "credentials",
		Short: "Print a short-lived key pair, as credential_process reads it",
		Long: `Print a key pair for the agent whose token is in ASSENT_TOKEN. It works at the
gates of AWS of this server and nowhere else, and ends with the token, within an
hour at most. In ~/.aws/config:

  [profile assent]
  credential_process = assent aws credentials --token-file /path/to/token
  endpoint_url = http://127.0.0.1:7474`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, err := actorToken(tokenFile)
			if err != nil {
				return err
			}
			c, err := client.New(a.server(), token, nil)
			if err != nil {
				return &exitError{exitConfig, err}
			}
			p, err := c.AWSCredentials(cmd.Context())
			if err != nil {
				return notPermitted(cmd.Context(), err)
			}
			return a.printLine(struct {
				Version         int
				AccessKeyID     string `json:"AccessKeyId"`
				SecretAccessKey string
				SessionToken    string
				Expiration      string
			}{1, p.AccessKeyID, p.SecretAccessKey, p.Token, p.Expiration.UTC().Format(time.RFC3339)})
		},
	}
	credentials.Flags().StringVar(&tokenFile, "token-file", "", "file that holds the actor's credential (default $ASSENT_TOKEN)")
	c.AddCommand(credentials)
	return c
}

// cloudVariables lead AWS's SDKs to a gate, with key pairs that they fetch and renew by
// themselves. Other sources of keys are put out of the way: the gate would not take their keys, and the
// program is not to have them.
func cloudVariables(found *client.Environment, name, server, token string, set []string) ([]string, error) {
	var gates []client.EnvironmentGate
	for _, g := range found.Gates {
		if g.Type == "aws" && (name == "" || g.Name == name) {
			gates = append(gates, g)
		}
	}
	switch {
	case len(gates) == 0 && name != "":
		return nil, failf(exitUsage, "the server has no gate of AWS named %q", name)
	case len(gates) != 1: // of several none is meant
		return nil, nil
	}
	g := gates[0]
	host, port, err := net.SplitHostPort(g.Address)
	if err != nil {
		return nil, fmt.Errorf("the address of gate %s: %w", g.Name, err)
	}
	if host, err = where(host, found.URL); err != nil {
		return nil, err
	}
	at := url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}
	if g.TLS {
		at.Scheme = "https"
	}
	out := []string{
		"AWS_ENDPOINT_URL=" + at.String(), "AWS_CONTAINER_CREDENTIALS_FULL_URI=" + strings.TrimSuffix(server, "/") + "/v1/aws/credentials",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN=Bearer " + token, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_CONFIG_FILE=" + os.DevNull,
	}
	out = append(out, awsSources...) // without a value: an empty one would stand for a profile
	if os.Getenv("AWS_REGION") == "" && os.Getenv("AWS_DEFAULT_REGION") == "" && g.Region != "" {
		out = append(out, "AWS_REGION="+g.Region, "AWS_DEFAULT_REGION="+g.Region)
	}
	if i := slices.IndexFunc(set, func(kv string) bool { return strings.HasPrefix(kv, "ASSENT_SESSION=") }); i >= 0 {
		_, session, _ := strings.Cut(set[i], "=")
		out = append(out, "AWS_SDK_UA_APP_ID="+session)
	}
	return out, nil
}

// awsSources are variables, taken out, from which SDKs take keys before they ask a container for some.
var awsSources = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
}
