package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/assenthq/assent/internal/channels/slack"
	"github.com/assenthq/assent/internal/notify"
)

// A SlackConfig is an app in one workspace of Slack.
type SlackConfig struct {
	Team          string  `yaml:"team" doc:"Id of the workspace: T… (docs/slack.md says where it is). Its accounts are NAME|TEAM/USER."`
	AppID         string  `yaml:"app_id" doc:"Id of the app: A…"`
	BotToken      Secret  `yaml:"bot_token" doc:"Bot token: xoxb-…"`
	SigningSecret *Secret `yaml:"signing_secret" doc:"Signing secret, where Slack reaches this server by HTTP."`
	AppToken      *Secret `yaml:"app_token" doc:"App-level token, xapp-…, where it doesn't: Socket Mode."`
	API           string  `yaml:"api" doc:"Where Slack's methods are; GovSlack has https://slack-gov.com/api/." default:"https://slack.com/api/"`
}

func (k *checker) slack(at string, c *SlackConfig) {
	if err := slack.Check(c.Team, c.AppID); err != nil {
		k.fail(at, err.Error(), "docs/slack.md says where the ids of workspace and app are")
	}
	if c.BotToken.sources() != 1 {
		k.fail(at+".bot_token", "names no source, or several", "give one of file, env or command")
	}
	if (c.SigningSecret == nil) == (c.AppToken == nil) {
		k.fail(at, "needs signing_secret or app_token, and not both", "signing_secret where Slack can call this server, app_token (Socket Mode) where it can't")
	}
	for key, s := range map[string]*Secret{"signing_secret": c.SigningSecret, "app_token": c.AppToken} {
		if s != nil && s.sources() != 1 {
			k.fail(at+"."+key, "names no source, or several", "give one of file, env or command")
		}
	}
	if u, err := url.Parse(c.API); c.API != "" && (err != nil || u.Host == "" || u.Path == "" || u.Path[len(u.Path)-1] != '/' || u.Scheme != "https" && !loopbackHost(u.Hostname())) {
		k.fail(at+".api", "is not an https URL that ends in a slash", "leave it out, unless the workspace is GovSlack's")
	}
}

// ReachChannels asks the services of channels, for assent doctor: what keeps
// cards from getting there, by the channel's name.
func ReachChannels(ctx context.Context, cfg *Config) map[string]error {
	out := map[string]error{}
	for i := range cfg.Channels {
		c := &cfg.Channels[i]
		if c.Slack == nil {
			continue
		}
		s := &Server{cfg: cfg, log: slog.New(slog.DiscardHandler)}
		ch, _, err := s.makeSlack(c)
		if k, ok := ch.(*slack.Channel); ok && err == nil {
			var places []string
			for _, r := range c.Routes {
				places = append(places, r.To)
			}
			err = k.Reach(ctx, places)
		}
		out[c.Name] = err
	}
	return out
}

func (s *Server) makeSlack(c *ChannelConfig) (notify.Channel, http.Handler, error) {
	k := c.Slack
	read := func(from *Secret) slack.Secret {
		if from == nil {
			return nil
		}
		return func(ctx context.Context) ([]byte, error) { return from.Read(ctx, s.cfg) }
	}
	ch, err := slack.New(slack.Options{
		Name: c.Name, Team: k.Team, AppID: k.AppID, PublicURL: s.cfg.PublicURL, Bot: read(&k.BotToken), Signing: read(k.SigningSecret), App: read(k.AppToken), API: k.API,
		Desk: s.desk(), Offer: s.offer, Accounts: func(person string) []string { return s.accountsOf(c.Name, person) }, Logger: s.log,
	})
	if err != nil || k.SigningSecret == nil {
		return ch, nil, err
	}
	return ch, ch, nil
}
