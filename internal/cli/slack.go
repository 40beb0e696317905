package cli

import (
	"fmt"
	"net/url"
	"regexp"

	"github.com/assenthq/assent/internal/channels/slack"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

var channelName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (a *app) slackCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "slack", Short: "Set up Slack"}
	var config, channel, public string
	var socket bool
	manifest := &cobra.Command{
		Use: "manifest", Short: "Print the manifest to make the Slack app from", Args: exactly(),
		Long: `Prints the app manifest, in YAML, that is pasted at api.slack.com/apps (docs/slack.md).
It holds no secret. The public URL is the configuration's unless --url gives it.`,
		RunE: func(*cobra.Command, []string) error {
			if public == "" {
				cfg, err := server.ReadConfig(config)
				if err != nil {
					return fmt.Errorf("%w\n  or give the public URL by --url https://…", err)
				}
				public = cfg.PublicURL
			}
			u, err := url.Parse(public)
			if err != nil || u.Host == "" || u.Scheme != "https" && !socket {
				return fmt.Errorf("%q is no https URL, and Slack calls no other: give one by --url, or use --socket", public)
			}
			if !channelName.MatchString(channel) {
				return fmt.Errorf("%q is no channel's name: lower-case letters, digits, '.', '_' and '-'", channel)
			}
			a.printf("%s", slack.Manifest(public, channel, socket))
			return nil
		},
	}
	manifest.Flags().StringVar(&config, "config", "assent.yaml", "configuration file")
	manifest.Flags().StringVar(&channel, "channel", "slack", "name of the channel in the configuration")
	manifest.Flags().StringVar(&public, "url", "", "how Slack reaches this server: https://assent.example.com")
	manifest.Flags().BoolVar(&socket, "socket", false, "Socket Mode: Slack needs no way to this server")
	cmd.AddCommand(manifest)
	return cmd
}
