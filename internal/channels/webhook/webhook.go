// Package webhook tells other systems of approvals: one signed POST for each
// change, as Standard Webhooks and CloudEvents have it, or in the words of
// PagerDuty, ServiceNow and Jira.
//
// It promises that what is sent is what a card shows, never a secret or an
// unmasked value; that a redelivery has the same id; that nothing is sent to
// addresses that no receiver has any business at (see guard), or on to where a
// redirect leads. Nothing that a receiver answers decides anything.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/notify"
)

const (
	patience  = 15 * time.Second // of one call
	maxAnswer = 64 << 10         // bytes of an answer that are read
	maxWait   = time.Hour        // that a receiver may ask for
)

// Options say where to and how; URL and PublicURL are needed.
type Options struct {
	Name      string
	URL       string
	Format    string   // of Formats; "": cloudevents
	Secrets   [][]byte // that sign, newest first: whsec_… or whsk_…
	User      string   // with Key: basic authentication
	Key       string   // routing key, token or password, as the format has it
	Private   bool     // the receiver may be on a private network, and without TLS
	CA        []byte   // authorities of its certificate, PEM; nil: the system's
	PublicURL string
	Clock     func() time.Time // nil: time.Now
}

// A Channel is one receiver. It is safe for concurrent use.
type Channel struct {
	o      Options
	format format
	keys   Signers
	http   *http.Client
}

// New checks the options and calls nobody.
func New(o Options) (*Channel, error) {
	c := &Channel{o: o}
	if c.o.Format == "" {
		c.o.Format = CloudEvents
	}
	if c.o.Clock == nil {
		c.o.Clock = time.Now
	}
	var ok bool
	if c.format, ok = formats[c.o.Format]; !ok {
		return nil, fmt.Errorf("format %q is none of %s", o.Format, strings.Join(Formats(), ", "))
	}
	if c.o.URL == "" {
		c.o.URL = c.format.url
	}
	if err := CheckURL(c.o.URL, o.Private); err != nil {
		return nil, err
	}
	var err error
	if c.keys, err = NewSigners(o.Secrets); err != nil {
		return nil, err
	}
	if need := c.format.needs; need == "secrets" && len(c.keys) == 0 || need == "key" && o.Key == "" {
		return nil, fmt.Errorf("format %s needs %s: the receiver could not tell us from anybody else", c.o.Format, need)
	}
	if strings.ContainsFunc(o.User+o.Key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errors.New("user or key has a control character in it")
	}
	if c.http, err = NewClient(o.Private, o.CA); err != nil {
		return nil, err
	}
	return c, nil
}

// NewClient calls receivers, and never where a redirect leads. private: they may be
// on a private network; those of a cloud's metadata are never called. ca is PEM; nil: the system's.
func NewClient(private bool, ca []byte) (*http.Client, error) {
	t := &http.Transport{
		DialContext: guard{private: private}.dialer().DialContext, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
		ResponseHeaderTimeout: patience, MaxConnsPerHost: 16, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if ca != nil {
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("ca holds no certificate in PEM form")
		}
	}
	return &http.Client{Transport: t, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// CheckURL refuses what could not be meant.
func CheckURL(raw string, private bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("url is not https://host/path") // what it is may hold a secret
	case u.Scheme != "https" && (u.Scheme != "http" || !private):
		return errors.New("url is not https: what is told there would cross networks in clear (private: true allows http)")
	case u.User != nil || u.Fragment != "":
		return errors.New("url has a user or a fragment in it: name credentials by user: and key:")
	}
	return nil
}

// Name is the channel's name in the configuration.
func (c *Channel) Name() string { return c.o.Name }

// Post sends the first event of key. The key is the reference.
func (c *Channel) Post(ctx context.Context, place, key string, m *notify.Message) (string, error) {
	return key, c.Update(ctx, place, key, m)
}

// Update sends the news of ref.
func (c *Channel) Update(ctx context.Context, place, ref string, m *notify.Message) error {
	ev := eventOf(place, ref, c.o.PublicURL, m)
	body, err := c.format.body(ev, c.o.Key)
	if err != nil {
		return fmt.Errorf("writing the event: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the url can't be called")
	}
	req.Header.Set("User-Agent", "Assent-Webhook/1")
	req.Header.Set("Content-Type", c.format.media)
	c.keys.Sign(req.Header, ev.ID, c.o.Clock(), body)
	c.format.authorize(req, c.o.User, c.o.Key)
	resp, err := c.http.Do(req)
	if err != nil {
		return without(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil && resp.StatusCode < 300 && c.format.check != nil {
		return errors.New("the answer broke off")
	}
	if err := c.judge(resp); err != nil {
		return err
	}
	if c.format.check != nil {
		return c.format.check(answer)
	}
	return nil
}

// without takes the address out of an error: it may hold a secret.
func without(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("calling the receiver: %w", err)
}

// judge says what a status means. What the receiver writes beside it is nobody's to read.
func (c *Channel) judge(resp *http.Response) error {
	s := resp.StatusCode
	switch {
	case s >= 200 && s < 300:
		return nil
	case s == http.StatusGone:
		return fmt.Errorf("the receiver answered 410, it wants no more: %w", notify.ErrNever)
	case s >= 300 && s < 400:
		return fmt.Errorf("the receiver answered %d: redirects are not followed, configure where it leads", s)
	}
	err := fmt.Errorf("the receiver answered %d", s)
	if s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable {
		return notify.Later(err, c.wait(resp.Header.Get("Retry-After")))
	}
	return err
}

// wait reads Retry-After: seconds, or a date.
func (c *Channel) wait(v string) time.Duration {
	d := time.Duration(0)
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		d = time.Duration(s) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		d = t.Sub(c.o.Clock())
	}
	return min(max(d, 0), maxWait)
}
