package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/notify"
)

// A press is what Slack sends when somebody presses a button, sends a form or
// types our command: the little of it that is looked at.
type press struct {
	Type  string `json:"type"`
	AppID string `json:"api_app_id"`
	Team  struct {
		ID string `json:"id"`
	} `json:"team"`
	User struct {
		ID     string `json:"id"`
		TeamID string `json:"team_id"`
	} `json:"user"`
	TriggerID   string `json:"trigger_id"`
	ResponseURL string `json:"response_url"`
	Container   struct {
		Channel string `json:"channel_id"`
	} `json:"container"`
	Actions []struct {
		ID    string `json:"action_id"`
		Value string `json:"value"`
	} `json:"actions"`
	View struct {
		Callback string `json:"callback_id"`
		Private  string `json:"private_metadata"`
		State    struct {
			Values map[string]map[string]struct {
				Value string `json:"value"`
			} `json:"values"`
		} `json:"state"`
	} `json:"view"`
	text string // of a command
}

const (
	typeButtons = "block_actions"
	typeForm    = "view_submission"
	typeCommand = "slash_command" // ours: Slack sends these in a form of their own
)

// Errors of what comes in. They say nothing of what is here.
var (
	errUnreadable = errors.New("this can't be read")
	errElsewhere  = errors.New("this is for another app or workspace")
	errGuest      = errors.New("the account is of another workspace")
)

// parsePress reads an interaction's JSON.
func parsePress(b []byte) (*press, error) {
	p := &press{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, errUnreadable
	}
	if p.Type == typeCommand {
		return nil, errUnreadable
	}
	return p, nil
}

// parseCommand reads what was typed behind our command.
func parseCommand(v url.Values) *press {
	p := &press{Type: typeCommand, AppID: v.Get("api_app_id"), ResponseURL: v.Get("response_url"), TriggerID: v.Get("trigger_id"), text: v.Get("text")}
	p.Team.ID, p.User.ID, p.User.TeamID, p.Container.Channel = v.Get("team_id"), v.Get("user_id"), v.Get("team_id"), v.Get("channel_id")
	return p
}

// whose refuses what isn't for this app, from this workspace, by an account of it.
func (c *Channel) whose(p *press) error {
	switch {
	case p.AppID != c.o.AppID || p.Team.ID != c.o.Team:
		return errElsewhere
	case p.User.TeamID != c.o.Team || !userID.MatchString(p.User.ID):
		return errGuest
	}
	return nil
}

// workTime is how long one press may take, once Slack has heard that it came.
const workTime = 30 * time.Second

// accept works on a press on its own, so that Slack hears at once that it came.
// false: too many are being worked on.
func (c *Channel) accept(ctx context.Context, p *press) bool {
	select {
	case c.slots <- struct{}{}:
	default:
		return false
	}
	c.work.Go(func() {
		defer func() { <-c.slots }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTime)
		defer cancel()
		if says := c.deal(ctx, p); says != "" {
			c.tell(ctx, p, says)
		}
	})
	return true
}

// deal does what was asked, and gives the words for the one who asked; "": the card says it.
func (c *Channel) deal(ctx context.Context, p *press) string {
	if err := c.whose(p); err != nil {
		return "Only accounts of this workspace answer here. Nothing was decided."
	}
	switch p.Type {
	case typeButtons:
		if len(p.Actions) != 1 {
			return "One button at a time. Nothing was decided."
		}
		return c.pressed(ctx, p, p.Actions[0].ID, p.Actions[0].Value)
	case typeForm:
		return c.formed(ctx, p)
	case typeCommand:
		return c.command(ctx, p)
	}
	return ""
}

func (c *Channel) pressed(ctx context.Context, p *press, id, value string) string {
	if id == pressOpen {
		return ""
	}
	a, ok := parseAnswer(value)
	if !ok {
		return "That button is of another time, so nothing was decided. Open the card in the console."
	}
	account := c.account(p.User.ID)
	switch id {
	case pressApprove:
		_, err := c.o.Desk.Answer(ctx, notify.Press{Account: account, Channel: "slack", Approval: a.Approval, Digest: a.Digest, Version: a.Version, Decision: approval.Approve})
		return c.words(ctx, err, a.Approval)
	case pressDeny, pressAsk:
		_, may, err := c.o.Desk.View(ctx, account, a.Approval)
		var level approval.ErrAssurance
		if errors.As(may, &level) && id == pressAsk { // a question needs none
			may = nil
		}
		if err = errors.Join(err, may); err != nil { // no form for what would be refused
			return c.words(ctx, err, a.Approval)
		}
		return c.words(ctx, c.form(ctx, p, id, a), a.Approval)
	}
	return "That button does nothing any more. Open the card in the console."
}

// A form is what its answer has to come back with.
type form struct {
	Answer  string `json:"a"`
	Channel string `json:"c"`
}

const (
	fieldText = "text"
	maxTyped  = 2_000
)

// form asks for a reason or a question.
func (c *Channel) form(ctx context.Context, p *press, id string, a answer) error {
	api, err := c.api(ctx)
	if err != nil {
		return err
	}
	private, err := json.Marshal(form{a.String(), p.Container.Channel})
	if err != nil {
		return err
	}
	title, label, hint := "Deny", "Why?", "The asker and the log are told."
	if id == pressAsk {
		title, label, hint = "Ask a question", "What do you want to know?", "The asker's side is asked; the approval keeps waiting."
	}
	in := slack.NewPlainTextInputBlockElement(nil, fieldText).WithMultiline(true).WithMaxLength(maxTyped)
	view := slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: id, PrivateMetadata: string(private), Title: plain(title, 24), Submit: plain(title, 24), Close: plain("Cancel", 24),
		Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewInputBlock(fieldText, plain(label, maxNamed), plain(hint, maxNamed), in)}},
	}
	if _, err = api.OpenViewContext(ctx, p.TriggerID, view); err != nil {
		return fmt.Errorf("opening a form: %w", c.failed("", err))
	}
	return nil
}

func (c *Channel) formed(ctx context.Context, p *press) string {
	var f form
	if err := json.Unmarshal([]byte(p.View.Private), &f); err != nil {
		return ""
	}
	p.Container.Channel = f.Channel
	a, ok := parseAnswer(f.Answer)
	if !ok {
		return "That form is of another time, so nothing was decided. Open the card in the console."
	}
	account, text := c.account(p.User.ID), p.View.State.Values[fieldText][fieldText].Value
	var err error
	switch p.View.Callback {
	case pressDeny:
		_, err = c.o.Desk.Answer(ctx, notify.Press{Account: account, Channel: "slack", Approval: a.Approval, Digest: a.Digest, Version: a.Version, Decision: approval.Deny, Reason: text})
	case pressAsk:
		_, err = c.o.Desk.Ask(ctx, account, "slack", a.Approval, text)
	default:
		return "That form does nothing any more. Open the card in the console."
	}
	return c.words(ctx, err, a.Approval)
}

// words says what became of an answer; "" when the card will say it.
func (c *Channel) words(ctx context.Context, err error, id string) string {
	var r *notify.Refusal
	switch {
	case err == nil:
		return ""
	case errors.As(err, &r) && r.Unlinked:
		return escape.Replace(r.Says) + " Then type `/assent link CODE` here, with the code it shows."
	case errors.As(err, &r) && r.Link:
		return escape.Replace(r.Says) + " " + c.page("/approvals/"+id)
	case errors.As(err, &r):
		return escape.Replace(r.Says)
	}
	c.o.Logger.ErrorContext(ctx, "taking an answer from Slack", "channel", c.o.Name, "approval", id, "err", sayable(err))
	return "That didn't work, and it is not certain that anything was decided: look at the card, or in the console. " + c.page("/approvals/"+id)
}

// page is a link to the console; path is ours or an approval's id that Slack brought back.
func (c *Channel) page(path string) string {
	clean := strings.Map(func(r rune) rune {
		if r == '/' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, path)
	return "<" + c.console(clean) + "|See in console>"
}

// tell says something to the one who pressed, and to nobody else.
func (c *Channel) tell(ctx context.Context, p *press, says string) {
	var err error
	if c.ours(p.ResponseURL) {
		err = slack.PostWebhookCustomHTTPContext(ctx, p.ResponseURL, c.http, &slack.WebhookMessage{Text: says, ResponseType: slack.ResponseTypeEphemeral})
	} else if p.Container.Channel != "" && userID.MatchString(p.User.ID) {
		var api *slack.Client
		if api, err = c.api(ctx); err == nil {
			_, err = api.PostEphemeralContext(ctx, p.Container.Channel, p.User.ID, slack.MsgOptionText(says, false), quiet)
		}
	}
	if err != nil {
		c.o.Logger.WarnContext(ctx, "telling somebody in Slack what became of their press", "channel", c.o.Name, "err", sayable(err))
	}
}

// ours says whether an address to answer at is Slack's: nothing is sent elsewhere.
func (c *Channel) ours(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return false
	}
	api, err := url.Parse(c.o.API)
	if err != nil {
		return false
	}
	switch api.Host {
	case "slack.com", "slack-gov.com":
		return u.Scheme == "https" && u.Host == "hooks."+api.Host
	}
	return u.Scheme == api.Scheme && u.Host == api.Host
}
