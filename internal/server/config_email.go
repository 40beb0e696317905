package server

import (
	"context"
	"fmt"
	"net/http"
	"net/mail"
	"os"
	"strings"

	"github.com/assenthq/assent/internal/channels/email"
	"github.com/assenthq/assent/internal/notify"
)

// An EmailConfig is a mail server that takes what people are told (docs/email.md).
type EmailConfig struct {
	Server   string  `yaml:"server" doc:"Mail server, as host:port."`
	TLS      string  `yaml:"tls" doc:"starttls, implicit (from the first byte, mostly port 465), or off for a server on this machine." default:"starttls"`
	CA       string  `yaml:"ca" doc:"Certificate authorities that may sign the server's certificate (PEM). Unset: the system's."`
	User     string  `yaml:"user" doc:"User name, where the server wants one."`
	Password *Secret `yaml:"password" doc:"The password."`
	From     string  `yaml:"from" doc:"Sender: Assent <assent@example.com>."`
}

func (c *Config) emailOptions(ch *ChannelConfig) email.Options {
	e := ch.Email
	return email.Options{Name: ch.Name, Server: e.Server, TLS: e.TLS, User: e.User, From: e.From, PublicURL: c.PublicURL}
}

func (s *Server) makeEmail(c *ChannelConfig) (notify.Channel, http.Handler, error) {
	o, e := s.cfg.emailOptions(c), c.Email
	o.Address = s.dir.Address
	wrong := func(err error) (notify.Channel, http.Handler, error) {
		return nil, nil, fmt.Errorf("channel %s: %w", c.Name, err)
	}
	if e.Password != nil {
		b, err := e.Password.Read(context.Background(), s.cfg)
		if err != nil {
			return wrong(err)
		}
		o.Password = string(b)
	}
	if e.CA != "" {
		var err error
		if o.CA, err = os.ReadFile(s.cfg.path(e.CA)); err != nil {
			return wrong(err)
		}
	}
	ch, err := email.New(o)
	if err != nil {
		return wrong(err)
	}
	return ch, nil, nil
}

func (k *checker) email(at string, c *Config, ch *ChannelConfig) {
	e := ch.Email
	if _, err := email.New(c.emailOptions(ch)); err != nil && c.PublicURL != "" {
		k.fail(at, err.Error(), "docs/email.md has an example")
	}
	switch {
	case (e.User == "") != (e.Password == nil):
		k.fail(at+".password", "and user belong together", "give both, or neither")
	case e.Password != nil && e.Password.sources() != 1:
		k.fail(at+".password", fmt.Sprintf("names %d sources", e.Password.sources()), "give one of file, env or command")
	}
	for i := range ch.Routes {
		if to := ch.Routes[i].To; to != "" {
			if err := email.CheckPlace(to); err != nil {
				k.fail(strings.TrimSuffix(at, ".email")+fmt.Sprintf(".routes[%d].to", i), err.Error(), "reviewers: each person who may answer")
			}
		}
	}
}

// mailAddress checks where a configured person is written to.
func (k *checker) mailAddress(at, text string) {
	if a, err := mail.ParseAddress(text); text != "" && (err != nil || a.Address != text) {
		k.fail(at, fmt.Sprintf("%q is no plain address", text), "for example mira@example.com")
	}
}
