// Package slack shows approvals in a Slack workspace and takes answers there.
//
// What comes in is believed only as far as Slack signed it (or sent it over a
// socket that we opened with the app's own token), for this app, from this
// workspace, by an account of it: guests of other workspaces are told no. It
// says whose account pressed what; what is true is read from the store. Text of
// agents goes out only in blocks in which Slack reads no markup.
package slack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/people"
)

// API is where Slack's methods are.
const API = "https://slack.com/api/"

// A Secret fetches a credential when it is needed.
type Secret func(ctx context.Context) ([]byte, error)

// Options says what a Channel works with. Signing or App is needed, the rest but
// API, Clock and Logger too.
type Options struct {
	Name      string // of the channel: accounts are NAME|TEAM/USER
	Team      string // id of the workspace
	AppID     string
	PublicURL string // of the console
	Bot       Secret // bot token
	Signing   Secret // signing secret: presses come by HTTP
	App       Secret // app-level token: presses come by Socket Mode
	Desk      *notify.Desk
	// Offer says that an account belongs to whoever made the code in the console, and tells whom.
	Offer func(ctx context.Context, code string, c people.Claims) (string, error)
	// Accounts are a person's accounts in this chat.
	Accounts func(person string) []string
	API      string
	Clock    func() time.Time
	Logger   *slog.Logger
}

// A Channel is one workspace. It is safe for concurrent use.
type Channel struct {
	o      Options
	http   *http.Client
	bot    cached
	sign   cached
	seen   replays
	turns  turns
	places places
	work   sync.WaitGroup // presses being worked on
	slots  chan struct{}  // so many at once
}

var (
	teamID = regexp.MustCompile(`^T[A-Z0-9]{1,20}$`)
	appID  = regexp.MustCompile(`^A[A-Z0-9]{1,20}$`)
	userID = regexp.MustCompile(`^[UW][A-Z0-9]{1,20}$`)
)

// Accounts is how the accounts of a workspace call where they are from.
func Accounts(team string) string { return "slack://" + team }

// Check says what is wrong with a workspace's or an app's id.
func Check(team, app string) error {
	switch {
	case !teamID.MatchString(team):
		return fmt.Errorf("%q is no workspace's id: it begins with T", team)
	case !appID.MatchString(app):
		return fmt.Errorf("%q is no app's id: it begins with A", app)
	}
	return nil
}

// New checks the options; it calls nobody.
func New(o Options) (*Channel, error) {
	if err := Check(o.Team, o.AppID); err != nil {
		return nil, fmt.Errorf("channel %s: %w", o.Name, err)
	}
	switch {
	case o.Name == "" || o.Bot == nil || o.Desk == nil || o.Offer == nil || o.Accounts == nil:
		return nil, errors.New("a Slack channel needs a name, a bot token and a desk")
	case (o.Signing == nil) == (o.App == nil):
		return nil, fmt.Errorf("channel %s: give a signing secret (presses come by HTTP) or an app-level token (Socket Mode)", o.Name)
	}
	if o.API == "" {
		o.API = API
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.PublicURL = strings.TrimSuffix(o.PublicURL, "/")
	return &Channel{
		o: o, http: &http.Client{Timeout: 15 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		bot: cached{read: o.Bot}, sign: cached{read: o.Signing}, seen: replays{at: map[string]time.Time{}}, turns: turns{next: map[string]time.Time{}}, slots: make(chan struct{}, 64),
	}, nil
}

// Name implements notify.Channel.
func (c *Channel) Name() string { return c.o.Name }

// Run keeps the socket open where there is one, until ctx ends and what was
// pressed is dealt with.
func (c *Channel) Run(ctx context.Context) {
	if c.o.App != nil {
		c.listen(ctx)
	}
	<-ctx.Done()
	c.work.Wait()
}

// api is a client with the bot's token as it is now.
func (c *Channel) api(ctx context.Context) (*slack.Client, error) {
	token, err := c.bot.get(ctx)
	if err != nil {
		return nil, err
	}
	return slack.New(token, slack.OptionAPIURL(c.o.API), slack.OptionHTTPClient(c.http)), nil
}

// account is how a user of the workspace is named here.
func (c *Channel) account(user string) string {
	return c.o.Name + "|" + c.o.Team + "/" + user
}

// console says whether a URL is one of the console's pages.
func (c *Channel) console(path string) string { return c.o.PublicURL + path }

const fresh = time.Minute // how long a secret is believed to be the same

// cached is a secret that was read lately.
type cached struct {
	read Secret
	mu   sync.Mutex
	text string
	at   time.Time
}

func (s *cached) get(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text != "" && time.Since(s.at) < fresh {
		return s.text, nil
	}
	b, err := s.read(ctx)
	if err != nil {
		return "", err
	}
	s.text, s.at = string(b), time.Now()
	return s.text, nil
}

// forget has a secret read again: it was refused.
func (s *cached) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = ""
}

// sayable is an error without the URLs that Go's HTTP client puts into it.
func sayable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
