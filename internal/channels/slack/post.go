package slack

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/assenthq/assent/internal/notify"
)

// keyEvent names the metadata by which a card is found again.
const keyEvent = "assent_card"

// Post implements notify.Channel: one card at a channel ("#name" or its id), or
// in a direct message to a person ("person:ID").
func (c *Channel) Post(ctx context.Context, place, key string, m *notify.Message) (string, error) {
	api, err := c.api(ctx)
	if err != nil {
		return "", err
	}
	at, err := c.place(ctx, api, place)
	if err != nil {
		return "", c.failed(at, err)
	}
	if m.Again {
		ts, err := c.find(ctx, api, at, key, m)
		if err != nil {
			return "", c.failed(at, fmt.Errorf("looking for a card that may be there: %w", err))
		}
		if ts != "" {
			return at + "/" + ts, c.redraw(ctx, api, at, ts, m)
		}
	}
	ts, err := c.send(ctx, at, m, func(o ...slack.MsgOption) (string, error) {
		o = append(o, slack.MsgOptionMetadata(slack.SlackMetadata{EventType: keyEvent, EventPayload: map[string]any{"key": key}}))
		_, ts, err := api.PostMessageContext(ctx, at, o...)
		return ts, err
	})
	if err != nil {
		return "", err
	}
	return at + "/" + ts, nil
}

// Update implements notify.Channel: the card is redrawn where it stands, and a
// reminder besides is a reply below it.
func (c *Channel) Update(ctx context.Context, _, ref string, m *notify.Message) error {
	at, ts, ok := strings.Cut(ref, "/")
	if !ok {
		return fmt.Errorf("%q is no card of Slack: %w", ref, notify.ErrNever)
	}
	api, err := c.api(ctx)
	if err != nil {
		return err
	}
	if err := c.redraw(ctx, api, at, ts, m); err != nil {
		return err
	}
	text := nudge(m)
	if text == "" {
		return nil
	}
	if err := c.turns.take(ctx, at, c.o.Clock()); err != nil {
		return err
	}
	_, _, err = api.PostMessageContext(ctx, at, slack.MsgOptionText(text, false), slack.MsgOptionTS(ts), quiet)
	return c.failed(at, err)
}

// quiet keeps Slack from looking into links and names.
var quiet = slack.MsgOptionCompose(slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(), slack.MsgOptionParse(false))

func (c *Channel) redraw(ctx context.Context, api *slack.Client, at, ts string, m *notify.Message) error {
	_, err := c.send(ctx, "", m, func(o ...slack.MsgOption) (string, error) {
		_, ts, _, err := api.UpdateMessageContext(ctx, at, ts, o...)
		return ts, err
	})
	return err
}

// send draws m and sends it; what Slack can't draw goes as a line that leads to the console.
func (c *Channel) send(ctx context.Context, at string, m *notify.Message, do func(...slack.MsgOption) (string, error)) (string, error) {
	if err := c.turns.take(ctx, at, c.o.Clock()); err != nil {
		return "", err
	}
	text, blocks := c.draw(m)
	ts, err := do(slack.MsgOptionText(text, false), slack.MsgOptionBlocks(blocks...), quiet)
	if undrawn[code(err)] {
		c.o.Logger.ErrorContext(ctx, "Slack can't draw a card: it shows a link in its place", "channel", c.o.Name, "err", err)
		text, blocks = c.bare(m)
		ts, err = do(slack.MsgOptionText(text, false), slack.MsgOptionBlocks(blocks...), quiet)
	}
	return ts, c.failed(at, err)
}

// find looks for a card that an attempt posted which nobody finished.
func (c *Channel) find(ctx context.Context, api *slack.Client, at, key string, m *notify.Message) (string, error) {
	since := m.Since().Add(-time.Minute)
	p := slack.GetConversationHistoryParameters{ChannelID: at, Oldest: strconv.FormatInt(since.Unix(), 10), Limit: 200, IncludeAllMetadata: true}
	for range 50 {
		h, err := api.GetConversationHistoryContext(ctx, &p)
		if err != nil {
			return "", err
		}
		for i := range h.Messages {
			if d := h.Messages[i].Metadata; d.EventType == keyEvent && d.EventPayload["key"] == key {
				return h.Messages[i].Timestamp, nil
			}
		}
		if !h.HasMore || h.ResponseMetaData.NextCursor == "" {
			return "", nil
		}
		p.Cursor = h.ResponseMetaData.NextCursor
	}
	return "", errors.New("10,000 messages since, and it is not among them")
}

// What Slack says, as codes.
var (
	undrawn = map[string]bool{"invalid_blocks": true, "invalid_blocks_format": true, "msg_blocks_too_long": true, "msg_too_long": true}
	gone    = map[string]bool{"is_archived": true, "account_inactive": true, "message_not_found": true, "cant_update_message": true, "user_not_found": true, "user_disabled": true}
	refused = map[string]bool{"invalid_auth": true, "token_revoked": true, "token_expired": true, "not_authed": true}
	remedy  = map[string]string{
		"not_in_channel": "invite the app: /invite it there", "channel_not_found": "give the channel's id, and invite the app there",
		"missing_scope": "reinstall the app from assent slack manifest", "message_not_found": "somebody deleted the card",
	}
)

func code(err error) string {
	var e slack.SlackErrorResponse
	if errors.As(err, &e) {
		return e.Err
	}
	return ""
}

// failed says what an error of Slack's means for whoever tries again.
func (c *Channel) failed(at string, err error) error {
	if err == nil {
		return nil
	}
	var limit *slack.RateLimitedError
	if errors.As(err, &limit) {
		c.turns.wait(at, c.o.Clock().Add(limit.RetryAfter))
		return notify.Later(fmt.Errorf("Slack asks for patience: %w", err), limit.RetryAfter)
	}
	what := code(err)
	if refused[what] {
		c.bot.forget()
	}
	err = fmt.Errorf("Slack: %w", sayable(err))
	if r := remedy[what]; r != "" {
		err = fmt.Errorf("%w (%s)", err, r)
	}
	if gone[what] {
		err = fmt.Errorf("%w: %w", err, notify.ErrNever)
	}
	return err
}

// turns keep to one message a second in each channel, a few at once.
type turns struct {
	mu   sync.Mutex
	next map[string]time.Time // when a channel is even again; owned by mu
}

const (
	every = time.Second
	burst = 10 // messages ahead of that
	idle  = 1000
)

// take waits for nothing: where it is too early, the delivery comes again.
func (t *turns) take(_ context.Context, at string, now time.Time) error {
	if at == "" {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.next[at]
	if next.Before(now) {
		next = now
	}
	if ahead := next.Sub(now); ahead > burst*every {
		return notify.Later(errors.New("one message a second is what a channel of Slack takes"), ahead-burst*every)
	}
	if len(t.next) > idle {
		for k, v := range t.next {
			if v.Before(now) {
				delete(t.next, k)
			}
		}
	}
	t.next[at] = next.Add(every)
	return nil
}

// wait notes that Slack wants none before until.
func (t *turns) wait(at string, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v := until.Add(burst * every); at != "" && t.next[at].Before(v) {
		t.next[at] = v
	}
}

// places remember which conversation a place is.
type places struct {
	mu    sync.Mutex
	known map[string]string
}

var conversation = regexp.MustCompile(`^[CDG][A-Z0-9]{2,20}$`)

func (c *Channel) place(ctx context.Context, api *slack.Client, place string) (string, error) {
	if conversation.MatchString(place) {
		return place, nil
	}
	person := strings.HasPrefix(place, "person:")
	key := place
	if person {
		user, err := c.userOf(place)
		if err != nil {
			return "", err
		}
		key = user
	}
	c.places.mu.Lock()
	at := c.places.known[key]
	c.places.mu.Unlock()
	if at != "" {
		return at, nil
	}
	var err error
	if person {
		at, err = open(ctx, api, key)
	} else {
		at, err = named(ctx, api, strings.TrimPrefix(place, "#"))
	}
	if err != nil {
		return "", err
	}
	c.places.mu.Lock()
	defer c.places.mu.Unlock()
	if c.places.known == nil || len(c.places.known) > idle {
		c.places.known = map[string]string{}
	}
	c.places.known[key] = at
	return at, nil
}

// userOf is the account of a person in this workspace.
func (c *Channel) userOf(person string) (string, error) {
	for _, a := range c.o.Accounts(person) {
		if user, ok := strings.CutPrefix(a, c.o.Name+"|"+c.o.Team+"/"); ok && userID.MatchString(user) {
			return user, nil
		}
	}
	return "", fmt.Errorf("%s has linked no account of this workspace: %w", person, notify.ErrNever)
}

func open(ctx context.Context, api *slack.Client, user string) (string, error) {
	ch, _, _, err := api.OpenConversationContext(ctx, &slack.OpenConversationParameters{Users: []string{user}})
	if err != nil {
		return "", err
	}
	return ch.ID, nil
}

// named finds a channel by name among those that the app was invited to.
func named(ctx context.Context, api *slack.Client, name string) (string, error) {
	p := slack.GetConversationsForUserParameters{Limit: 200, Types: []string{"public_channel", "private_channel"}, ExcludeArchived: true}
	for range 50 {
		list, next, err := api.GetConversationsForUserContext(ctx, &p)
		if err != nil {
			return "", err
		}
		for i := range list {
			if list[i].Name == name {
				return list[i].ID, nil
			}
		}
		if p.Cursor = next; next == "" {
			break
		}
	}
	return "", fmt.Errorf("the app is in no channel #%s: invite it there, or give the channel's id", name)
}
