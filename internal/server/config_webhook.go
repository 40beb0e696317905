package server

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"

	"github.com/assenthq/assent/internal/channels/webhook"
	"github.com/assenthq/assent/internal/notify"
)

// A WebhookConfig tells another system (docs/webhooks.md).
type WebhookConfig struct {
	URL     string   `yaml:"url" doc:"Where to: https, and never followed to where it redirects. PagerDuty's is known."`
	Format  string   `yaml:"format" doc:"How: cloudevents (signed), pagerduty, servicenow or jira." default:"cloudevents"`
	Secrets []Secret `yaml:"secrets" doc:"What signs, newest first: whsec_ and base64, or whsk_ and an Ed25519 key. Two while one is replaced."`
	User    string   `yaml:"user" doc:"User of basic authentication, with key as the password."`
	Key     *Secret  `yaml:"key" doc:"PagerDuty's routing key, Jira's webhook token, otherwise password or bearer token."`
	Private bool     `yaml:"private" doc:"The receiver is on a private network or this machine. Unset: such addresses are refused; those of cloud metadata always are."`
	CA      string   `yaml:"ca" doc:"Certificate authorities that may sign the receiver's certificate (PEM). Unset: the system's."`
}

func (s *Server) makeWebhook(c *ChannelConfig) (notify.Channel, http.Handler, error) {
	ch, err := webhookOf(context.Background(), s.cfg, c)
	if err != nil {
		return nil, nil, fmt.Errorf("channel %s: %w", c.Name, err)
	}
	return ch, nil, nil
}

func webhookOf(ctx context.Context, cfg *Config, c *ChannelConfig) (*webhook.Channel, error) {
	w := c.Webhook
	o := webhook.Options{Name: c.Name, URL: w.URL, Format: w.Format, User: w.User, Private: w.Private, PublicURL: cfg.PublicURL}
	for i := range w.Secrets {
		b, err := w.Secrets[i].Read(ctx, cfg)
		if err != nil {
			return nil, err
		}
		o.Secrets = append(o.Secrets, b)
	}
	if w.Key != nil {
		b, err := w.Key.Read(ctx, cfg)
		if err != nil {
			return nil, err
		}
		o.Key = string(b)
	}
	if w.CA != "" {
		var err error
		if o.CA, err = os.ReadFile(cfg.path(w.CA)); err != nil {
			return nil, err
		}
	}
	return webhook.New(o)
}

func (k *checker) webhook(at string, w *WebhookConfig) {
	if w.Format != "" && !slices.Contains(webhook.Formats(), w.Format) {
		k.fail(at+".format", fmt.Sprintf("%q is no format", w.Format), fmt.Sprintf("write one of %v", webhook.Formats()))
	}
	if w.URL == "" && w.Format != "pagerduty" {
		k.fail(at+".url", "is missing", "write where the receiver listens, as https://…")
	}
	for i := range w.Secrets {
		if w.Secrets[i].sources() != 1 {
			k.fail(fmt.Sprintf("%s.secrets[%d]", at, i), fmt.Sprintf("names %d sources", w.Secrets[i].sources()), "give one of file, env or command")
		}
	}
	if w.Key != nil && w.Key.sources() != 1 {
		k.fail(at+".key", fmt.Sprintf("names %d sources", w.Key.sources()), "give one of file, env or command")
	}
	switch signed := w.Format == "" || w.Format == webhook.CloudEvents; {
	case signed && len(w.Secrets) == 0:
		k.fail(at+".secrets", "are missing", "the receiver tells us from others by the signature: name where a whsec_ secret is")
	case !signed && w.Key == nil:
		k.fail(at+".key", "is missing", "docs/webhooks.md says what it is for "+w.Format)
	}
}
