package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/assenthq/assent/internal/channels/teams"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

func (a *app) teamsCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "teams", Short: "Set up Microsoft Teams"}
	var config, channel, out string
	pack := &cobra.Command{
		Use: "package", Short: "Write the app package that a Teams administrator uploads", Args: exactly(),
		Long: `Writes the app package of a channel of the configuration: a zip with manifest and
icons that an administrator uploads in Teams (docs/teams.md). It holds no secret.`,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := server.ReadConfig(config)
			if err != nil {
				return err
			}
			app, name := "", ""
			for i := range cfg.Channels {
				c := &cfg.Channels[i]
				if c.Teams == nil || channel != "" && c.Name != channel {
					continue
				}
				if app != "" {
					return fmt.Errorf("%s has several channels of Teams: say which by --channel NAME", config)
				}
				app, name = c.Teams.AppID, c.Name
			}
			if app == "" {
				return fmt.Errorf("%s has no such channel of Teams: add one under channels: (docs/teams.md)", config)
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s is there already: remove it, or write elsewhere by --out FILE", out)
			}
			if err != nil {
				return err
			}
			err = teams.Package(f, teams.App{ID: app, PublicURL: cfg.PublicURL, Version: "1.0.0"})
			if err = errors.Join(err, f.Close()); err != nil {
				return errors.Join(err, os.Remove(out))
			}
			a.printf("%s is the app of channel %s. Its bot's messaging endpoint is %s/channels/%s/messages\n", out, name, cfg.PublicURL, name)
			return nil
		},
	}
	pack.Flags().StringVar(&config, "config", "assent.yaml", "configuration file")
	pack.Flags().StringVar(&channel, "channel", "", "name of the channel, where there are several of Teams")
	pack.Flags().StringVar(&out, "out", "assent-teams.zip", "file to write")
	cmd.AddCommand(pack)
	return cmd
}
