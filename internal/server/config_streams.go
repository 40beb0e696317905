package server

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/channels/webhook"
	"github.com/assenthq/assent/internal/stream"
)

// A StreamConfig hands the audit log on while it is written (docs/streams.md).
type StreamConfig struct {
	Name    string               `yaml:"name" doc:"Short name. How far it came is kept under it."`
	Lanes   []string             `yaml:"lanes" doc:"What is sent: decisions, which is the log itself, and traffic, which is every allowed action that was harmless, and outcomes." default:"decisions"`
	From    string               `yaml:"from" doc:"Where a new stream begins: now, or beginning." default:"now"`
	Syslog  *SyslogConfig        `yaml:"syslog" doc:"A receiver of RFC 5424 over TLS."`
	Webhook *StreamWebhookConfig `yaml:"webhook" doc:"A receiver of batches over HTTP."`
	OTLP    *OTLPConfig          `yaml:"otlp" doc:"A receiver of OpenTelemetry's logs over HTTP."`
}

// A SyslogConfig is a receiver of syslog.
type SyslogConfig struct {
	Address  string   `yaml:"address" doc:"host:port; 6514 is usual."`
	TLS      string   `yaml:"tls" doc:"verify-full, or off (loopback only)." default:"verify-full"`
	CA       string   `yaml:"ca" doc:"Certificate authorities that may sign the receiver's certificate (PEM). Unset: the system's."`
	Identity *KeyPair `yaml:"identity" doc:"Certificate that is shown to the receiver, where it asks for one."`
	Facility int      `yaml:"facility" doc:"Facility, 1 to 23 (RFC 5424): 13 is log audit, 10 security." default:"13"`
	Limit    int      `yaml:"limit" doc:"Most bytes of one message that the receiver takes; of a longer one its head and hash are sent. Some cut at 8192, and a record may have 65535." default:"8192"`
}

// A StreamWebhookConfig is a receiver of batches.
type StreamWebhookConfig struct {
	URL     string            `yaml:"url" doc:"Where to: https, and never followed to where it redirects."`
	Format  string            `yaml:"format" doc:"cloudevents, a batch in JSON, or lines, a JSON object each." default:"cloudevents"`
	Secrets []Secret          `yaml:"secrets" doc:"What signs, newest first, as Standard Webhooks has it: whsec_ and base64, or whsk_ and an Ed25519 key."`
	Headers map[string]Secret `yaml:"headers" doc:"Headers with a credential that the receiver asks for, such as Authorization."`
	Private bool              `yaml:"private" doc:"The receiver is on a private network or this machine. Unset: such addresses are refused; those of cloud metadata always are."`
	CA      string            `yaml:"ca" doc:"Certificate authorities that may sign the receiver's certificate (PEM). Unset: the system's."`
}

// An OTLPConfig is a receiver of OpenTelemetry's protocol.
type OTLPConfig struct {
	URL     string            `yaml:"url" doc:"Whole address, such as https://collector.example.com:4318/v1/logs, or /v1/traces for spans."`
	Headers map[string]Secret `yaml:"headers" doc:"Headers with a credential that the receiver asks for."`
	Private bool              `yaml:"private" doc:"The receiver is on a private network or this machine."`
	CA      string            `yaml:"ca" doc:"Certificate authorities that may sign the receiver's certificate (PEM). Unset: the system's."`
}

func (k *checker) streams(c *Config) {
	names := map[string]bool{}
	for i := range c.Streams {
		at, s := fmt.Sprintf("$.streams[%d]", i), &c.Streams[i]
		if !name.MatchString(s.Name) {
			k.fail(at+".name", fmt.Sprintf("%q is not a short name", s.Name), "use lower-case letters, digits, '.', '_' and '-'")
		}
		if names[s.Name] {
			k.fail(at+".name", fmt.Sprintf("%q stands twice", s.Name), "give each stream its own name")
		}
		names[s.Name] = true
		for j, lane := range s.Lanes {
			if lane != stream.Decisions && lane != stream.Traffic {
				k.fail(fmt.Sprintf("%s.lanes[%d]", at, j), fmt.Sprintf("%q is no lane", lane), "write decisions or traffic")
			}
			if slices.Contains(s.Lanes[:j], lane) {
				k.fail(fmt.Sprintf("%s.lanes[%d]", at, j), fmt.Sprintf("%q stands twice", lane), "name each lane once")
			}
		}
		if s.From != "" && s.From != "now" && s.From != "beginning" {
			k.fail(at+".from", fmt.Sprintf("%q is no place to begin", s.From), "write now or beginning")
		}
		kinds := 0
		if s.Syslog != nil {
			kinds++
			k.syslog(at+".syslog", s.Syslog)
		}
		if s.Webhook != nil {
			kinds++
			k.streamWebhook(at+".webhook", s.Webhook)
		}
		if s.OTLP != nil {
			kinds++
			k.receiver(at+".otlp", s.OTLP.URL, s.OTLP.Private)
			k.headers(at+".otlp.headers", s.OTLP.Headers)
		}
		if kinds != 1 {
			k.fail(at, fmt.Sprintf("names %d kinds of receiver", kinds), "give exactly one of syslog, webhook, otlp")
		}
	}
}

func (k *checker) syslog(at string, s *SyslogConfig) {
	host, _, err := net.SplitHostPort(s.Address)
	if err != nil {
		k.fail(at+".address", fmt.Sprintf("%q is no address", s.Address), "write host:port, for example siem.example.com:6514")
	}
	switch ip := net.ParseIP(host); {
	case s.TLS != "" && s.TLS != "verify-full" && s.TLS != "off":
		k.fail(at+".tls", fmt.Sprintf("%q is neither verify-full nor off", s.TLS), "leave it out: records cross networks")
	case s.TLS == "off" && err == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()):
		k.fail(at+".tls", "is off for a receiver beyond loopback", "remove it, or run a relay on this machine: records name who did what")
	}
	if s.Facility < 0 || s.Facility > 23 {
		k.fail(at+".facility", fmt.Sprintf("%d is none", s.Facility), "write 1 to 23; 13 is log audit")
	}
	if s.Limit != 0 && s.Limit < 2048 {
		k.fail(at+".limit", fmt.Sprintf("%d bytes are too few", s.Limit), "every receiver takes 2048")
	}
	if s.Identity != nil && (s.Identity.Cert == "" || s.Identity.Key == "") {
		k.fail(at+".identity", "is half of a pair", "name cert and key")
	}
}

func (k *checker) streamWebhook(at string, w *StreamWebhookConfig) {
	k.receiver(at, w.URL, w.Private)
	if w.Format != "" && w.Format != "cloudevents" && w.Format != "lines" {
		k.fail(at+".format", fmt.Sprintf("%q is no format", w.Format), "write cloudevents or lines")
	}
	for i := range w.Secrets {
		if n := w.Secrets[i].sources(); n != 1 {
			k.fail(fmt.Sprintf("%s.secrets[%d]", at, i), fmt.Sprintf("names %d sources", n), "give one of file, env or command")
		}
	}
	k.headers(at+".headers", w.Headers)
	if len(w.Secrets)+len(w.Headers) == 0 {
		k.fail(at+".secrets", "are missing", "the receiver tells us from others by the signature: name where a whsec_ secret is, or give it a header with a credential")
	}
}

func (k *checker) receiver(at, url string, private bool) {
	if err := webhook.CheckURL(url, private); err != nil {
		k.fail(at+".url", strings.TrimPrefix(err.Error(), "url "), "write where the receiver listens, as https://host/path")
	}
}

func (k *checker) headers(at string, h map[string]Secret) {
	for header, s := range h {
		if header == "" || strings.ContainsAny(header, " :\r\n\t") {
			k.fail(at, fmt.Sprintf("%q is no header's name", header), "write one such as Authorization")
		}
		if n := s.sources(); n != 1 {
			k.fail(at+"."+header, fmt.Sprintf("names %d sources", n), "give one of file, env or command")
		}
	}
}
