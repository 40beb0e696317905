// Package webpush tells people of approvals in their browsers, by Web Push
// (RFC 8030), while no page of the console is open.
//
// It promises that what is said is encrypted to the browser (RFC 8291), so that no
// push service reads it; that it is sent to push services on a list only, whatever
// address a browser named; and that nothing is decided by it: a notification
// leads to the console. It can't see whether anybody looked.
package webpush

import (
	"context"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	push "github.com/SherClockHolmes/webpush-go"

	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/show"
)

// services are where the browsers of the day have their messages sent. A leading dot stands for any host below.
var services = []string{"fcm.googleapis.com", ".push.services.mozilla.com", ".notify.windows.com", ".push.apple.com"}

// Options say what a Channel works with. Name, Contact, Secret, PublicURL and Box are needed.
type Options struct {
	Name    string
	Contact string // whom a push service writes to if messages are a nuisance: mailto: or https: (RFC 8292 section 2.1)
	// Services are further push services, as host or .domain; with http:// before it one on this machine.
	Services  []string
	Secret    []byte // at least 32 bytes, the same on all nodes: the signing key comes from it
	PublicURL string
	Box       *sealed.Box
	Known     func(person string) bool // nil: everybody is
	Client    *http.Client             // nil: one of its own
	Clock     func() time.Time
	Logger    *slog.Logger
}

// A Channel sends to browsers. It is safe for concurrent use.
type Channel struct {
	o               Options
	public, private string // of VAPID (RFC 8292), base64url
	services        []string
}

// New checks the options and calls nobody.
func New(o Options) (*Channel, error) {
	if u, err := url.Parse(o.Contact); err != nil || u.Scheme != "mailto" && u.Scheme != "https" {
		return nil, fmt.Errorf("contact %q is neither mailto:… nor https://…", o.Contact)
	}
	for _, s := range o.Services {
		if host := strings.TrimPrefix(strings.TrimPrefix(s, "http://"), "."); host == "" || strings.ContainsAny(host, "/@?# ") {
			return nil, fmt.Errorf("push service %q is no host", s)
		}
		if host, local := strings.CutPrefix(s, "http://"); local && !strings.HasPrefix(host, "127.0.0.1:") {
			return nil, fmt.Errorf("push service %q: in clear only on this machine (http://127.0.0.1:PORT)", s)
		}
	}
	c := &Channel{o: o, services: slices.Concat(services, o.Services)}
	if c.o.Clock == nil {
		c.o.Clock = time.Now
	}
	if c.o.Logger == nil {
		c.o.Logger = slog.New(slog.DiscardHandler)
	}
	if c.o.Client == nil {
		c.o.Client = &http.Client{Timeout: 15 * time.Second}
	}
	own := *c.o.Client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.o.Client = &own
	if len(o.Secret) == 0 { // only checked
		return c, nil
	}
	return c, c.derive()
}

// derive makes the signing key: the same from the same secret, on each node and after each start.
func (c *Channel) derive() error {
	for i := range 8 { // a scalar past the group's order is one in 2³²
		b, err := hkdf.Key(sha256.New, c.o.Secret, nil, "assent web push key/"+strconv.Itoa(i), 32)
		if err != nil {
			return fmt.Errorf("deriving the key of web push: %w", err)
		}
		key, err := ecdh.P256().NewPrivateKey(b)
		if err != nil {
			continue
		}
		c.private = base64.RawURLEncoding.EncodeToString(key.Bytes())
		c.public = base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes())
		return nil
	}
	return errors.New("deriving the key of web push: no scalar fits")
}

// Name is the channel's.
func (c *Channel) Name() string { return c.o.Name }

// Key is the public key that browsers subscribe with, base64url.
func (c *Channel) Key() string { return c.public }

// A note is what the console's worker shows.
type note struct {
	Title  string `json:"title"`
	Body   string `json:"body"`
	Tag    string `json:"tag"`  // replaces what has the same
	Path   string `json:"path"` // of the console
	Silent bool   `json:"silent,omitempty"`
	Stay   bool   `json:"stay,omitempty"` // until somebody looks
}

// Bounds of what is shown, in bytes: a message is 4 KiB at most (RFC 8291 section 4).
const (
	maxTitle = 180
	maxBody  = 600
)

// Post shows m in each browser of a person.
func (c *Channel) Post(ctx context.Context, place, key string, m *notify.Message) (string, error) {
	return key, c.tell(ctx, place, c.noteOf(key, m), m)
}

// Update shows what became of it in place of what ref is: aloud only where an answer is asked again.
func (c *Channel) Update(ctx context.Context, place, ref string, m *notify.Message) error {
	n := c.noteOf(ref, m)
	switch {
	case m.Card == nil, m.Card.Pending && m.What == notify.Changed:
		return nil
	case !m.Card.Pending:
		if m.Was == m.Card.State.Name {
			return nil
		}
		n.Silent, n.Stay = true, false
	}
	return c.tell(ctx, place, n, m)
}

func (c *Channel) noteOf(key string, m *notify.Message) *note {
	n := &note{Tag: tag(key)}
	if m.Notice != nil {
		n.Title, n.Body, n.Path, n.Stay = show.Plain(m.Notice.Title, maxTitle), show.Plain(m.Notice.Text, maxBody), m.Notice.Path, m.Notice.Grave
		return n
	}
	k := m.Card
	n.Path = "/approvals/" + url.PathEscape(k.ID)
	n.Title = show.Plain(k.Title, maxTitle)
	n.Stay = k.Risk.Class == "crit"
	says := k.Risk.Name + ". " + k.Who + " for " + k.For + ". Your answer is asked."
	switch {
	case !k.Pending:
		says = k.State.Says + "."
		if k.Decided != "" {
			says = k.Decided + ". " + says
		}
	case m.What == notify.Reminded:
		says = "Still waiting: " + says
	case m.What == notify.Escalated:
		says = "Further people are asked. " + says
	}
	n.Body = show.Plain(says, maxBody)
	return n
}

// tag names a notification, and the message while a push service keeps it (RFC 8030 section 5.4).
func tag(key string) string {
	sum := sha256.Sum256([]byte("assent-push/1 " + key))
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

// tell sends n to all browsers of a person. One that takes it is enough.
func (c *Channel) tell(ctx context.Context, place string, n *note, m *notify.Message) error {
	if !strings.HasPrefix(place, "person:") {
		return fmt.Errorf("%w: browsers are told person by person: write reviewers", notify.ErrNever)
	}
	if c.o.Known != nil && !c.o.Known(place) {
		return fmt.Errorf("%w: this person is no longer here", notify.ErrNever)
	}
	all, err := c.of(ctx, place)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("%w: no browser of this person is to be told", notify.ErrNever)
	}
	told := false
	var failed error
	for _, s := range all {
		switch err := c.send(ctx, &s.Value, n, m.Card); {
		case err == nil:
			told = true
		case errors.Is(err, notify.ErrNever):
			failed = errors.Join(failed, err, c.forget(ctx, s, "its push service no longer knows it"))
		default:
			failed = errors.Join(failed, err)
		}
	}
	if told {
		return nil
	}
	return failed
}

// life is how long a push service keeps what it can't deliver.
const life = 4 * time.Hour

func (c *Channel) send(ctx context.Context, s *subscription, n *note, k *card.Card) error {
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("writing a push message: %w", err)
	}
	o := &push.Options{
		HTTPClient: c.o.Client, Subscriber: strings.TrimPrefix(c.o.Contact, "mailto:"), Topic: n.Tag, TTL: int(life.Seconds()), Urgency: push.UrgencyNormal,
		VAPIDPublicKey: c.public, VAPIDPrivateKey: c.private, VapidExpiration: c.o.Clock().Add(time.Hour), RecordSize: 3072,
	}
	if k != nil {
		if left := k.Expires.Sub(c.o.Clock()); k.Pending && left < life {
			o.TTL = max(0, int(left.Seconds()))
		}
		if k.Risk.Class == "crit" || k.Risk.Class == "high" {
			o.Urgency = push.UrgencyHigh
		}
	}
	if err := c.takes(s.Endpoint); err != nil { // the list may have changed
		return err
	}
	resp, err := push.SendNotificationWithContext(ctx, body, &push.Subscription{Endpoint: s.Endpoint, Keys: push.Keys{P256dh: s.Key, Auth: s.Auth}}, o)
	if err != nil {
		return errors.New("the push service can't be reached") // the error names the endpoint, which is a secret
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Errorf("%w: the browser has given up its subscription", notify.ErrNever)
	case code == http.StatusTooManyRequests || code/100 == 5:
		wait, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return notify.Later(fmt.Errorf("the push service answers %d", code), time.Duration(min(max(wait, 5), 3600))*time.Second)
	default:
		return fmt.Errorf("%w: the push service answers %d", notify.ErrNever, code)
	}
}

// takes refuses addresses that are no push service on the list.
func (c *Channel) takes(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%w: no address of a push service", notify.ErrNever)
	}
	for _, s := range c.services {
		if host, local := strings.CutPrefix(s, "http://"); local {
			if u.Scheme == "http" && u.Host == host {
				return nil
			}
			continue
		}
		if u.Scheme != "https" || u.Port() != "" && u.Port() != "443" {
			continue
		}
		if h := strings.ToLower(u.Hostname()); h == s || strings.HasPrefix(s, ".") && strings.HasSuffix(h, s) {
			return nil
		}
	}
	return fmt.Errorf("%w: its push service is on no list: name it under services, if it is one", notify.ErrNever)
}
