package server

import (
	"fmt"
	"strings"

	"github.com/assenthq/assent/internal/channels/webpush"
	"github.com/assenthq/assent/internal/console"
	"github.com/assenthq/assent/internal/notify"
)

// A PushConfig tells people's browsers (docs/push.md).
type PushConfig struct {
	Contact  string   `yaml:"contact" doc:"Whom a push service writes to about our messages: mailto:ops@example.com, or an https address."`
	Services []string `yaml:"services" doc:"Push services besides those of Chrome, Edge, Firefox and Safari: a host, or .domain for all below it."`
}

func (c *Config) pushOptions(ch *ChannelConfig) webpush.Options {
	return webpush.Options{Name: ch.Name, Contact: ch.Push.Contact, Services: ch.Push.Services, PublicURL: c.PublicURL}
}

func (s *Server) makePush(c *ChannelConfig) (notify.Channel, error) {
	o := s.cfg.pushOptions(c)
	o.Secret, o.Box, o.Logger = s.pushSecret, s.box, s.log
	o.Known = func(person string) bool {
		p, ok := s.dir.Person(person)
		return ok && !p.Gone
	}
	ch, err := webpush.New(o)
	if err != nil {
		return nil, fmt.Errorf("channel %s: %w", c.Name, err)
	}
	s.push = ch
	return ch, nil
}

// pushing is the channel that tells browsers, for the console; nil: there is none.
func (s *Server) pushing() console.Push {
	if s.push == nil {
		return nil
	}
	return s.push
}

func (k *checker) push(at string, c *Config, ch *ChannelConfig) {
	if _, err := webpush.New(c.pushOptions(ch)); err != nil {
		k.fail(at, err.Error(), "docs/push.md has an example")
	}
	for i := range ch.Routes {
		if to := ch.Routes[i].To; to != "" && to != notify.Reviewers && !strings.HasPrefix(to, "person:") {
			k.fail(strings.TrimSuffix(at, ".push")+fmt.Sprintf(".routes[%d].to", i), fmt.Sprintf("%q is no person", to), "reviewers: each person who may answer, or person:ID")
		}
	}
	n := 0
	for i := range c.Channels {
		if c.Channels[i].Push != nil {
			n++
		}
	}
	if n > 1 {
		k.fail(at, "there are several channels to browsers", "keep one: a browser subscribes once")
	}
}
