package slack

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
)

// Between attempts to open the socket after Slack refused the token.
const reopen = time.Minute

// listen keeps a socket open until ctx ends. What comes over it is Slack's: we
// opened it, with the app's own token.
func (c *Channel) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := c.socket(ctx)
		if ctx.Err() != nil {
			return
		}
		c.o.Logger.ErrorContext(ctx, "Slack's socket is closed: no press is heard until it opens again", "channel", c.o.Name, "err", sayable(err))
		select {
		case <-ctx.Done():
		case <-time.After(reopen):
		}
	}
}

func (c *Channel) socket(ctx context.Context) error {
	app, err := c.o.App(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	api := slack.New("", slack.OptionAppLevelToken(string(app)), slack.OptionAPIURL(c.o.API), slack.OptionHTTPClient(c.http))
	sock := socketmode.New(api, socketmode.OptionDialer(&websocket.Dialer{HandshakeTimeout: 15 * time.Second}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case ev := <-sock.Events:
				c.heard(ctx, sock, ev)
			}
		}
	}()
	err = sock.RunContext(ctx)
	cancel()
	<-done
	return err
}

// heard tells Slack at once that a request came, and works on it.
func (c *Channel) heard(ctx context.Context, sock *socketmode.Client, ev socketmode.Event) {
	if ev.Type == socketmode.EventTypeConnectionError {
		c.o.Logger.WarnContext(ctx, "Slack's socket can't be opened; it is tried again", "channel", c.o.Name)
	}
	if ev.Request == nil {
		return
	}
	var p *press
	var err error
	switch ev.Request.Type {
	case socketmode.RequestTypeInteractive:
		p, err = parsePress(ev.Request.Payload)
	case socketmode.RequestTypeSlashCommands:
		p, err = socketCommand(ev.Request.Payload)
	default:
		if ev.Request.EnvelopeID != "" {
			_ = sock.Ack(*ev.Request)
		}
		return
	}
	if err != nil || errors.Is(c.whose(p), errElsewhere) {
		c.o.Logger.WarnContext(ctx, "refused what came over Slack's socket", "channel", c.o.Name, "err", err)
		_ = sock.Ack(*ev.Request)
		return
	}
	if !c.accept(ctx, p) {
		return // not acknowledged: Slack says that it failed
	}
	if err := sock.Ack(*ev.Request); err != nil {
		c.o.Logger.WarnContext(ctx, "telling Slack that a press came", "channel", c.o.Name, "err", sayable(err))
	}
}

// socketCommand reads a command as it comes over the socket.
func socketCommand(b []byte) (*press, error) {
	var in struct {
		AppID       string `json:"api_app_id"`
		Team        string `json:"team_id"`
		User        string `json:"user_id"`
		Channel     string `json:"channel_id"`
		ResponseURL string `json:"response_url"`
		Text        string `json:"text"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, errUnreadable
	}
	p := &press{Type: typeCommand, AppID: in.AppID, ResponseURL: in.ResponseURL, text: in.Text}
	p.Team.ID, p.User.ID, p.User.TeamID, p.Container.Channel = in.Team, in.User, in.Team, in.Channel
	return p, nil
}
