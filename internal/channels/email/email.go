// Package email tells people of approvals by mail: one to each, with a link to
// where it is decided, and what came of it in the same thread.
//
// It promises that no mail decides anything: there is a link and no button, and
// who follows it signs in. Nothing is fetched from elsewhere to show a mail, and
// nothing that an agent wrote becomes a header, an address or markup.
package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/show"
)

// How the connection is encrypted.
const (
	StartTLS = "starttls" // begun in clear, and nothing is said before it is encrypted
	Implicit = "implicit" // from the first byte
	Off      = "off"      // to this machine only
)

// Options say which server takes mail; Server, From and PublicURL are needed.
type Options struct {
	Name      string
	Server    string // host:port
	TLS       string // "": starttls
	CA        []byte // authorities of the server's certificate, PEM; nil: the system's
	User      string // "": none is needed
	Password  string
	From      string // "Assent <assent@example.com>"
	PublicURL string
	// Address is a person's own, "" where none is known.
	Address func(person string) string
	Clock   func() time.Time // nil: time.Now
}

// A Channel is one mail server. It is safe for concurrent use.
type Channel struct {
	o       Options
	from    *mail.Address
	host    string // of ours, in message ids
	options []gomail.Option
	server  string
}

// New checks the options and calls nobody.
func New(o Options) (*Channel, error) {
	c := &Channel{o: o}
	if c.o.Clock == nil {
		c.o.Clock = time.Now
	}
	host, port, err := net.SplitHostPort(o.Server)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || host == "" || n == 0 {
		return nil, fmt.Errorf("server %q is not host:port", o.Server)
	}
	c.server = host
	if c.from, err = mail.ParseAddress(o.From); err != nil {
		return nil, fmt.Errorf("from %q is no address: write Assent <assent@example.com>", o.From)
	}
	u, err := url.Parse(o.PublicURL)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("public URL %q has no host", o.PublicURL)
	}
	if c.host = u.Hostname(); net.ParseIP(c.host) != nil || !strings.Contains(c.host, ".") {
		_, c.host, _ = strings.Cut(c.from.Address, "@") // a message id wants a name of ours
	}
	conf := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if o.CA != nil {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("ca holds no certificate in PEM form")
		}
	}
	c.options = []gomail.Option{gomail.WithPort(int(n)), gomail.WithTimeout(15 * time.Second), gomail.WithTLSConfig(conf)}
	switch o.TLS {
	case "", StartTLS:
		c.options = append(c.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case Implicit:
		c.options = append(c.options, gomail.WithSSL())
	case Off:
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, errors.New("tls off is for a server on this machine: what is told would cross networks in clear")
		}
		if o.User != "" {
			return nil, errors.New("a password is sent over TLS only")
		}
		c.options = append(c.options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		return nil, fmt.Errorf("tls %q is none of %s, %s, %s", o.TLS, StartTLS, Implicit, Off)
	}
	if o.User != "" {
		c.options = append(c.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(o.User), gomail.WithPassword(o.Password))
	}
	_, err = gomail.NewClient(host, c.options...)
	return c, err
}

// Name is the channel's name in the configuration.
func (c *Channel) Name() string { return c.o.Name }

// Post sends the mail that begins a thread. Its id follows from key: sent twice, it is one mail.
func (c *Channel) Post(ctx context.Context, place, key string, m *notify.Message) (string, error) {
	return key, c.send(ctx, place, key, "", m)
}

// Update sends what people have to know: that they are still asked, and how it
// ended. Other changes are in the console.
func (c *Channel) Update(ctx context.Context, place, ref string, m *notify.Message) error {
	part := follow(m)
	if part == "" {
		return nil
	}
	return c.send(ctx, place, ref, part, m)
}

// follow names the mail of a thread that m is worth, "" for none. Was is what
// the thread tells already.
func follow(m *notify.Message) string {
	switch c := m.Card; {
	case c == nil:
		return ""
	case c.Pending && (m.What == notify.Reminded || m.What == notify.Escalated):
		return m.What + strconv.Itoa(len(c.Steps))
	case c.Pending || m.Was == c.State.Name:
		return ""
	case m.Was == "" || m.Was == waiting || c.State.Name == "failed" || c.State.Name == "unknown":
		return strings.ReplaceAll(c.State.Name, " ", "-")
	}
	return ""
}

const waiting = "waiting" // the state's name on a card

func (c *Channel) send(ctx context.Context, place, key, part string, m *notify.Message) error {
	to, err := c.address(place)
	if err != nil {
		return err
	}
	msg, err := c.compose(to, key, part, m)
	if err != nil {
		return err
	}
	client, err := gomail.NewClient(c.server, c.options...)
	if err != nil {
		return fmt.Errorf("making the connection: %w", err)
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return c.judge(err)
	}
	return nil
}

// address is where a place is: a person's own, or the place itself.
func (c *Channel) address(place string) (*mail.Address, error) {
	text := place
	if strings.HasPrefix(place, "person:") || strings.Contains(place, "|") {
		if text = ""; c.o.Address != nil {
			text = c.o.Address(place)
		}
		if text == "" {
			return nil, fmt.Errorf("no address is known of %s: email: under people: names it, or an issuer with scope email that has verified it: %w", show.Plain(place, 100), notify.ErrNever)
		}
	}
	a, err := mail.ParseAddress(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no address: %w", show.Plain(text, 100), notify.ErrNever)
	}
	return a, nil
}

// CheckPlace says whether a route may lead to place.
func CheckPlace(place string) error {
	if place == notify.Reviewers {
		return nil
	}
	if _, err := mail.ParseAddress(place); err != nil {
		return fmt.Errorf("%q is no address: write reviewers, or people@example.com", place)
	}
	return nil
}

// judge says whether trying again can help. What the server says is its own
// text, made fit to be shown.
func (c *Channel) judge(err error) error {
	said := errors.New(show.Plain(err.Error(), 250))
	var s *gomail.SendError
	if !errors.As(err, &s) {
		return fmt.Errorf("mail server: %w", said)
	}
	switch {
	case s.Reason == gomail.ErrSMTPRcptTo && s.ErrorCode() >= 500:
		return fmt.Errorf("the mail server refuses the address: %w: %w", said, notify.ErrNever)
	case s.IsTemp():
		return notify.Later(fmt.Errorf("mail server: %w", said), time.Minute)
	}
	return fmt.Errorf("mail server: %w", said)
}
