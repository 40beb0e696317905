package server

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/assenthq/assent/internal/channels/teams"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/people"
)

// A TeamsConfig is a bot in one tenant of Microsoft Teams.
type TeamsConfig struct {
	AppID      string   `yaml:"app_id" doc:"Application id of the bot's registration: a GUID."`
	Tenant     string   `yaml:"tenant" doc:"Tenant whose people count: a GUID. Nobody else's do."`
	Secret     Secret   `yaml:"secret" doc:"Client secret of the registration."`
	ServiceURL string   `yaml:"service_url" doc:"Where cards are posted; government and regional clouds have their own." default:"https://smba.trafficmanager.net/teams/"`
	Hosts      []string `yaml:"hosts" doc:"Further hosts of the service that may be answered."`
	Metadata   string   `yaml:"metadata" doc:"OpenID metadata of the Bot Framework; government clouds have their own." default:"https://login.botframework.com/v1/.well-known/openidconfiguration"`
	TokenURL   string   `yaml:"token_url" doc:"Where the bot gets its tokens. Unset: the tenant's at login.microsoftonline.com."`
}

var guidForm = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

func (k *checker) teams(at string, c *TeamsConfig) {
	if !guidForm.MatchString(c.AppID) {
		k.fail(at+".app_id", "is no GUID", "copy the application (client) id of the bot's registration in Entra")
	}
	if !guidForm.MatchString(c.Tenant) {
		k.fail(at+".tenant", "is no GUID", "copy the directory (tenant) id of the registration in Entra")
	}
	if c.Secret.sources() != 1 {
		k.fail(at+".secret", "names no source, or several", "give one of file, env or command")
	}
	for name, raw := range map[string]string{"service_url": c.ServiceURL, "metadata": c.Metadata, "token_url": c.TokenURL} {
		u, err := url.Parse(raw)
		if raw != "" && (err != nil || u.Host == "" || u.Scheme != "https" && !loopbackHost(u.Hostname())) {
			k.fail(at+"."+name, "is not an https URL", "write it as Microsoft's documentation does, or leave it out")
		}
	}
}

func loopbackHost(h string) bool { return h == "localhost" || h == "127.0.0.1" || h == "::1" }

// inTeams joins people and their objects in the tenant.
type inTeams struct {
	s       *Server
	channel string
	url     string
}

func (t inTeams) Account(object string) string { return t.s.dir.ByObject(object) }

func (t inTeams) Object(person string) string {
	if linked := t.s.accountsOf(t.channel, person); len(linked) == 1 {
		return strings.TrimPrefix(linked[0], t.channel+"|")
	}
	if objects := t.s.dir.Objects(person); len(objects) == 1 {
		return objects[0]
	}
	return ""
}

func (t inTeams) Offer(ctx context.Context, code, object, name string) (string, error) {
	return t.s.offer(ctx, code, people.Claims{Issuer: t.channel, URL: t.url, Subject: object, Name: name})
}

func (s *Server) makeTeams(c *ChannelConfig) (notify.Channel, http.Handler, error) {
	t := c.Teams
	ch, err := teams.New(teams.Options{
		Name: c.Name, AppID: t.AppID, Tenant: t.Tenant, ServiceURL: t.ServiceURL, Hosts: t.Hosts, Metadata: t.Metadata, TokenURL: t.TokenURL,
		Secret: func(ctx context.Context) ([]byte, error) { return t.Secret.Read(ctx, s.cfg) },
		Desk:   s.desk(), People: inTeams{s, c.Name, c.accounts()}, Logger: s.log,
	})
	return ch, ch, err
}
