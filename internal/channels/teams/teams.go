// Package teams shows approvals in Microsoft Teams as Adaptive Cards, and takes
// answers from people there whom their tenant vouches for.
//
// What comes in is believed only under a token of the Bot Framework for our app,
// from our tenant, of a person in it; a card's content never: what was shown is
// compared with what is stored. There is no well-kept library for Go: this is
// the Bot Framework's REST API by hand (Connector 3.0).
package teams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/notify"
)

// Options says what a Channel works with. All without a default are needed.
type Options struct {
	Name   string
	AppID  string // of the bot's registration, a GUID
	Tenant string // the one tenant whose people count, a GUID
	Secret func(ctx context.Context) ([]byte, error)
	Desk   *notify.Desk
	People People

	// ServiceURL is where cards are posted: https://smba.trafficmanager.net/teams/.
	ServiceURL string
	// Hosts are those that may be answered: a token of ours is sent there.
	Hosts []string
	// Metadata and TokenURL are Microsoft's unless set.
	Metadata string
	TokenURL string
	HTTP     *http.Client
	Clock    func() time.Time
	Logger   *slog.Logger
}

// People joins people and their objects in the tenant, as "tenant/object id" in lower case.
type People interface {
	// Account is the account of ours that an object has, "" when nobody knows it.
	Account(object string) string
	// Object is the object of a person, "" when nobody knows it.
	Object(person string) string
	// Offer says that the account of object belongs to who made the code.
	Offer(ctx context.Context, code, object, name string) (whom string, err error)
}

// A Channel is a bot in one tenant.
type Channel struct {
	o     Options
	in    *verifier
	out   *connector
	mu    sync.Mutex
	chats map[string]string // person → conversation
	seen  recent
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// New refuses what can't work.
func New(o Options) (*Channel, error) {
	o.AppID, o.Tenant = strings.ToLower(o.AppID), strings.ToLower(o.Tenant)
	if !guid.MatchString(o.AppID) || !guid.MatchString(o.Tenant) {
		return nil, errors.New("teams: app_id and tenant are GUIDs, as the app's registration shows them")
	}
	if o.Secret == nil || o.Desk == nil || o.People == nil {
		return nil, errors.New("teams: a secret, a desk and people are needed")
	}
	def := func(s *string, to string) {
		if *s == "" {
			*s = to
		}
	}
	def(&o.ServiceURL, "https://smba.trafficmanager.net/teams/")
	def(&o.Metadata, "https://login.botframework.com/v1/.well-known/openidconfiguration")
	def(&o.TokenURL, "https://login.microsoftonline.com/"+o.Tenant+"/oauth2/v2.0/token")
	o.ServiceURL = strings.TrimSuffix(o.ServiceURL, "/") + "/"
	at, err := url.Parse(o.ServiceURL)
	if err != nil || at.Host == "" {
		return nil, fmt.Errorf("teams: service_url %q is no URL", o.ServiceURL)
	}
	if !slices.Contains(o.Hosts, at.Host) {
		o.Hosts = append(slices.Clone(o.Hosts), at.Host)
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: 15 * time.Second}
	}
	client := *o.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("a redirect is not followed") }
	o.HTTP = &client
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Channel{o: o, in: newVerifier(&o), out: &connector{o: &o}, chats: map[string]string{}, seen: recent{at: map[string]time.Time{}}}, nil
}

// Name is the channel's name in the configuration.
func (c *Channel) Name() string { return c.o.Name }

// A ref is where a card is.
type ref struct {
	Conversation string `json:"c"`
	Activity     string `json:"a"`
}

// Post shows m in a conversation, or in the chat with "person:ID". Teams can't be
// searched by key: where an attempt broke off, a second card may appear; the first
// one is brought up to date as soon as somebody looks at it or presses.
func (c *Channel) Post(ctx context.Context, place, _ string, m *notify.Message) (string, error) {
	conversation := place
	if strings.HasPrefix(place, "person:") {
		var err error
		if conversation, err = c.chat(ctx, place); err != nil {
			return "", err
		}
	}
	id, err := c.out.post(ctx, conversation, c.activity(m))
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(ref{conversation, id})
	return string(b), err
}

// Update shows m in place of what was posted; people are told of reminders below it.
func (c *Channel) Update(ctx context.Context, _, at string, m *notify.Message) error {
	var r ref
	if err := json.Unmarshal([]byte(at), &r); err != nil || r.Conversation == "" {
		return fmt.Errorf("a reference that isn't ours: %w", notify.ErrNever)
	}
	if err := c.out.put(ctx, r.Conversation, r.Activity, c.activity(m)); err != nil {
		return err
	}
	if m.Card != nil && m.Card.Pending && (m.What == notify.Reminded || m.What == notify.Escalated) {
		_, err := c.out.post(ctx, r.Conversation, map[string]any{"type": "message", "replyToId": r.Activity, "textFormat": "plain", "text": nudge(m)})
		return err
	}
	return nil
}

func nudge(m *notify.Message) string {
	if m.What == notify.Escalated {
		return "Nobody has answered yet, so further people are asked: " + m.Card.Asks + ". " + m.Card.URL
	}
	return "Still waiting for " + m.Card.Asks + ". " + m.Card.URL
}

func (c *Channel) activity(m *notify.Message) map[string]any {
	if m.Card != nil {
		return attached(cardOf(m.Card, nobody), m.Card.Title)
	}
	return attached(noticeOf(m.Notice, c.o.Desk.PublicURL), m.Notice.Title)
}

func attached(card map[string]any, summary string) map[string]any {
	return map[string]any{
		"type": "message", "summary": summary,
		"attachments": []any{map[string]any{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}},
	}
}

// chat is the conversation with one person.
func (c *Channel) chat(ctx context.Context, person string) (string, error) {
	c.mu.Lock()
	id := c.chats[person]
	c.mu.Unlock()
	if id != "" {
		return id, nil
	}
	object := c.o.People.Object(person)
	_, oid, ok := strings.Cut(object, "/")
	if !ok {
		return "", fmt.Errorf("%s has no account in Teams that is known here: %w", person, notify.ErrNever)
	}
	id, err := c.out.open(ctx, oid)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chats[person] = id
	return id, nil
}

// recent remembers activities that were taken, for as long as their token could come again.
type recent struct {
	mu sync.Mutex
	at map[string]time.Time // owned by mu
}

const (
	rememberFor = time.Hour
	rememberMax = 20_000
)

// first says that id is new. When too many are remembered, nothing is.
func (r *recent) first(id string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, seen := r.at[id]; seen && now.Sub(t) < rememberFor {
		return false
	}
	if len(r.at) >= rememberMax {
		for k, t := range r.at {
			if now.Sub(t) >= rememberFor {
				delete(r.at, k)
			}
		}
	}
	if len(r.at) >= rememberMax {
		return false
	}
	r.at[id] = now
	return true
}
