package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/channels/email"
	"github.com/assenthq/assent/internal/channels/slack"
	"github.com/assenthq/assent/internal/notify"
)

// A ChannelConfig is one way to people beside the console. Exactly one of its kinds is set.
type ChannelConfig struct {
	Name   string        `yaml:"name" doc:"Short name of the channel; what is called in from outside comes to PUBLIC_URL/channels/NAME/."`
	Slack  *SlackConfig  `yaml:"slack" doc:"Slack (docs/slack.md)."`
	Teams  *TeamsConfig  `yaml:"teams" doc:"Microsoft Teams (docs/teams.md)."`
	Routes []RouteConfig `yaml:"routes" doc:"What is told where. None: nothing."`

	Places []string `yaml:"places" doc:"Further places that a policy may name under notify (docs/channels.md); those of routes it may name too."`

	Email   *EmailConfig   `yaml:"email" doc:"Mail, with a link to where it is decided (docs/email.md)."`
	Webhook *WebhookConfig `yaml:"webhook" doc:"Another system, told by signed POSTs (docs/webhooks.md)."`
	Push    *PushConfig    `yaml:"push" doc:"People's browsers, while no page of the console is open (docs/push.md)."`
}

// A RouteConfig sends what fits to one place. Empty fields fit everything.
type RouteConfig struct {
	To        string   `yaml:"to" doc:"Place, as the channel names it (docs/channels.md); reviewers: each person who may answer, one by one."`
	Kinds     []string `yaml:"kinds" doc:"Kinds of action, such as data.export."`
	Rules     []string `yaml:"rules" doc:"Rules that hold it."`
	Groups    []string `yaml:"groups" doc:"Groups that are asked, without group:."`
	Envs      []string `yaml:"envs" doc:"Environments of the resource."`
	Resources []string `yaml:"resources" doc:"Patterns of the resource's URN: * and ? stand for anything but a slash."`
	Risk      string   `yaml:"risk" doc:"Lowest risk: high or critical."`
	Notices   []string `yaml:"notices" doc:"What else is told there: emergency, freeze, alarm."`
}

func (r *RouteConfig) route(channel string) notify.Route {
	out := notify.Route{Channel: channel, Place: r.To, Kinds: r.Kinds, Rules: r.Rules, Envs: r.Envs, Resources: r.Resources, Risk: r.Risk, Notices: r.Notices}
	for _, g := range r.Groups {
		out.Groups = append(out.Groups, "group:"+strings.TrimPrefix(g, "group:"))
	}
	return out
}

// routes are those of all channels.
func (c *Config) routes() []notify.Route {
	var out []notify.Route
	for i := range c.Channels {
		for j := range c.Channels[i].Routes {
			out = append(out, c.Channels[i].Routes[j].route(c.Channels[i].Name))
		}
	}
	return out
}

// targets are the places that policy may name under notify: slack:PLACE, and
// slack:NAME for all places of the channel of that name. A place that two
// channels of a kind have is both.
func (c *Config) targets() map[string][]notify.Target {
	out := map[string][]notify.Target{}
	add := func(name string, t notify.Target) {
		if !slices.Contains(out[name], t) {
			out[name] = append(out[name], t)
		}
	}
	for i := range c.Channels {
		ch := &c.Channels[i]
		places := slices.Clone(ch.Places)
		for j := range ch.Routes {
			places = append(places, ch.Routes[j].To)
		}
		for _, kind := range ch.kinds() {
			for _, p := range places {
				if p != notify.Reviewers && p != "" {
					add(kind+":"+p, notify.Target{Channel: ch.Name, Place: p})
					add(kind+":"+ch.Name, notify.Target{Channel: ch.Name, Place: p})
				}
			}
		}
	}
	return out
}

// Targets names them, sorted; never nil.
func (c *Config) Targets() []string {
	return slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(c.targets()))))
}

// accountURLs are the issuers of accounts: those that people sign in through, and
// chats, each by the name of its channel. An account of a chat is in no group by itself.
func (c *Config) accountURLs() map[string]string {
	out := c.issuerURLs()
	for i := range c.Channels {
		if url := c.Channels[i].accounts(); url != "" {
			out[c.Channels[i].Name] = url
		}
	}
	return out
}

// accounts is what a chat whose people can be linked calls itself; "" for other channels.
func (c *ChannelConfig) accounts() string {
	switch {
	case c.Slack != nil:
		return slack.Accounts(c.Slack.Team)
	case c.Teams != nil:
		return "msteams://" + strings.ToLower(c.Teams.Tenant)
	}
	return ""
}

// kinds names the kinds of channel that are set.
func (c *ChannelConfig) kinds() []string {
	var out []string
	if c.Slack != nil {
		out = append(out, "slack")
	}
	if c.Teams != nil {
		out = append(out, "teams")
	}
	if c.Webhook != nil {
		out = append(out, "webhook")
	}
	if c.Email != nil {
		out = append(out, "email")
	}
	if c.Push != nil {
		out = append(out, "push")
	}
	return out
}

// channels checks the channels of the configuration.
func (k *checker) channels(c *Config) {
	names := map[string]bool{}
	for i := range c.Channels {
		at, ch := fmt.Sprintf("$.channels[%d]", i), &c.Channels[i]
		if !name.MatchString(ch.Name) {
			k.fail(at+".name", fmt.Sprintf("%q is not a short name", ch.Name), "use lower-case letters, digits, '.', '_' and '-'")
		}
		if names[ch.Name] {
			k.fail(at+".name", fmt.Sprintf("%q stands twice", ch.Name), "give each channel its own name")
		}
		names[ch.Name] = true
		if ch.accounts() != "" && c.issuerURLs()[ch.Name] != "" {
			k.fail(at+".name", fmt.Sprintf("%q is the name of an issuer too", ch.Name), "give it another name: accounts are NAME|id")
		}
		if n := len(ch.kinds()); n != 1 {
			k.fail(at, fmt.Sprintf("names %d kinds of channel", n), "give exactly one of slack, teams, email, webhook, push")
		}
		if ch.Slack != nil {
			k.slack(at+".slack", ch.Slack)
		}
		if ch.Teams != nil {
			k.teams(at+".teams", ch.Teams)
		}
		if ch.Webhook != nil {
			k.webhook(at+".webhook", ch.Webhook)
		}
		if ch.Email != nil {
			k.email(at+".email", c, ch)
		}
		if ch.Push != nil {
			k.push(at+".push", c, ch)
		}
		for j, p := range ch.Places {
			if at := fmt.Sprintf("%s.places[%d]", at, j); p == "" || p == notify.Reviewers {
				k.fail(at, fmt.Sprintf("%q is no place that policy may name", p), "write a place as this channel names it, such as \"#incidents\"")
			} else if ch.Email != nil {
				if err := email.CheckPlace(p); err != nil {
					k.fail(at, err.Error(), "docs/email.md says what a place is")
				}
			}
		}
		for j := range ch.Routes {
			r := ch.Routes[j].route(ch.Name)
			at := fmt.Sprintf("%s.routes[%d]", at, j)
			if r.Place == "" {
				k.fail(at+".to", "is missing", "say where: a place of this channel, or reviewers")
			}
			if err := r.Check(); err != nil {
				k.fail(at, err.Error(), "docs/channels.md lists what a route may say")
			}
		}
	}
}
