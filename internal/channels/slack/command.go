package slack

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/slack-go/slack"

	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/people"
	"github.com/assenthq/assent/internal/show"
)

const usage = "`/assent inbox`: what waits for you. `/assent why ID`: why it waits, or what became of it. `/assent link CODE`: say that this account is yours, with a code from the console (Settings, People)."

// command does what was typed behind /assent.
func (c *Channel) command(ctx context.Context, p *press) string {
	verb, rest, _ := strings.Cut(strings.TrimSpace(p.text), " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "inbox":
		return c.inbox(ctx, p)
	case "why":
		return c.why(ctx, p, rest)
	case "link":
		return c.link(ctx, p, rest)
	}
	return usage
}

// mostListed bounds the inbox.
const mostListed = 15

func (c *Channel) inbox(ctx context.Context, p *press) string {
	cards, err := c.o.Desk.Inbox(ctx, c.account(p.User.ID))
	if err != nil {
		return c.words(ctx, err, "")
	}
	if len(cards) == 0 {
		return "Nothing waits for you."
	}
	var s strings.Builder
	for i, k := range cards {
		if i == mostListed {
			_, _ = fmt.Fprintf(&s, "and %s\n", c.page("/approvals"))
			break
		}
		_, _ = fmt.Fprintf(&s, "• %s · <%s|%s> · %s for %s, until %s\n", k.Risk.Name, k.URL, label(k.Title), neutral(k.Who), neutral(k.For), date(k.Expires))
	}
	return cut(s.String(), maxText)
}

// label is text within a link: a bar or a bracket would end it.
func label(s string) string {
	return strings.NewReplacer("|", "∣", "\n", " ").Replace(neutral(cut(s, 80)))
}

func (c *Channel) why(ctx context.Context, p *press, id string) string {
	account := c.account(p.User.ID)
	if _, err := c.o.Desk.Person(account); err != nil {
		return c.words(ctx, err, id)
	}
	k, may, err := c.o.Desk.View(ctx, account, id)
	if err != nil {
		return c.words(ctx, err, id)
	}
	s := fmt.Sprintf("<%s|%s>: %s.", k.URL, label(k.Title), neutral(k.State.Says))
	if k.Decided != "" {
		s += " " + neutral(k.Decided) + "."
	}
	if k.Why != "" {
		s += " Held because: " + neutral(k.Why) + "."
	}
	for _, r := range k.Reviews {
		if r.Reason != "" {
			s += fmt.Sprintf(" %s: %s.", neutral(r.Name), neutral(r.Reason))
		}
	}
	var r *notify.Refusal
	if k.Pending && errors.As(may, &r) {
		s += " " + escape.Replace(r.Says)
	}
	return cut(s, maxText)
}

var linkCode = regexp.MustCompile(`lnk_[0-9a-z]{24}`)

// link offers this account to whoever made the code in the console. They confirm it there.
func (c *Channel) link(ctx context.Context, p *press, text string) string {
	code := linkCode.FindString(text)
	if code == "" {
		return "Open the console, Settings, People, Link another account: it shows a code of the form lnk_… for `/assent link CODE`. Give it to nobody."
	}
	name, err := c.resident(ctx, p.User.ID)
	if err != nil {
		c.o.Logger.WarnContext(ctx, "linking an account of Slack", "channel", c.o.Name, "err", sayable(err))
		return "Slack doesn't say that this is a member's account of this workspace, so it can't be linked."
	}
	whom, err := c.o.Offer(ctx, code, people.Claims{Issuer: c.o.Name, URL: Accounts(c.o.Team), Subject: c.o.Team + "/" + p.User.ID, Name: name, AuthTime: c.o.Clock()})
	switch {
	case errors.Is(err, people.ErrUnknown):
		return "Nobody waits for that code: it is used up, older than ten minutes, or mistyped. Make another one in the console."
	case errors.Is(err, people.ErrRefused):
		return "That can't be linked: " + neutral(err.Error()) + "."
	case err != nil:
		c.o.Logger.ErrorContext(ctx, "linking an account of Slack", "channel", c.o.Name, "err", err)
		return "That didn't work. Nothing was linked."
	}
	return fmt.Sprintf("This account says that it belongs to %s. Now confirm it in the console (Settings, People). A day later you can answer here. If you are not %s: somebody else gave you their code, so tell them.", neutral(whom), neutral(whom))
}

// resident is the name of a person's account of this very workspace; apps, the
// deactivated and guests of other workspaces are none.
func (c *Channel) resident(ctx context.Context, user string) (string, error) {
	api, err := c.api(ctx)
	if err != nil {
		return "", err
	}
	u, err := api.GetUserInfoContext(ctx, user)
	if err != nil {
		return "", c.failed("", err)
	}
	if u.ID != user || u.TeamID != c.o.Team || u.Deleted || u.IsBot || u.IsStranger || u.IsUltraRestricted {
		return "", errGuest
	}
	return show.Plain(name(u), maxNamed), nil
}

func name(u *slack.User) string {
	for _, n := range []string{u.Profile.RealName, u.RealName, u.Name} {
		if n != "" {
			return n
		}
	}
	return u.ID
}
