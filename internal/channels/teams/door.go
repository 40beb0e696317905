package teams

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/notify"
)

const maxBody = 256 << 10 // bytes of an activity; Teams sends far less

// An activity is what the Bot Framework sends, as far as it is read.
type activity struct {
	Type         string `json:"type"`
	ID           string `json:"id"`
	Name         string `json:"name"`
	ChannelID    string `json:"channelId"`
	ServiceURL   string `json:"serviceUrl"`
	Text         string `json:"text"`
	Conversation struct {
		ID       string `json:"id"`
		TenantID string `json:"tenantId"`
	} `json:"conversation"`
	From struct {
		Name   string `json:"name"`
		Object string `json:"aadObjectId"`
	} `json:"from"`
	ChannelData struct {
		Tenant struct {
			ID string `json:"id"`
		} `json:"tenant"`
	} `json:"channelData"`
	Value json.RawMessage `json:"value"`
}

// A press is what somebody pressed on a card.
type press struct {
	Verb     string `json:"verb"`
	ID       string `json:"id"`
	Digest   string `json:"digest"`
	Version  int64  `json:"version"`
	Reason   string `json:"reason"`
	Question string `json:"question"`
}

var errActivity = errors.New("this is no activity of Teams")

// parse reads an activity and, where one was pressed, what.
func parse(body []byte) (a *activity, p *press, err error) {
	a = &activity{}
	if err := json.Unmarshal(body, a); err != nil || a.Type == "" {
		return nil, nil, errActivity
	}
	raw := a.Value
	if a.Type == "invoke" {
		if a.Name != "adaptiveCard/action" {
			return a, nil, nil
		}
		var v struct {
			Action struct {
				Data json.RawMessage `json:"data"`
			} `json:"action"`
		}
		if json.Unmarshal(raw, &v) != nil {
			return nil, nil, errActivity
		}
		raw = v.Action.Data
	}
	if len(raw) == 0 || string(raw) == "null" {
		return a, nil, nil
	}
	p = &press{}
	if json.Unmarshal(raw, p) != nil || p.Verb == "" {
		return nil, nil, errActivity
	}
	return a, p, nil
}

// object is who sent a, in our tenant; "" for anybody else.
func (c *Channel) object(a *activity) string {
	oid := strings.ToLower(a.From.Object)
	tenants := []string{strings.ToLower(a.Conversation.TenantID), strings.ToLower(a.ChannelData.Tenant.ID)}
	named := false
	for _, t := range tenants {
		if t != "" && t != c.o.Tenant {
			return ""
		}
		named = named || t != ""
	}
	if !named || !guid.MatchString(oid) {
		return ""
	}
	return c.o.Tenant + "/" + oid
}

// ServeHTTP takes activities at /messages.
func (c *Channel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/messages" {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "activities are posted here", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "an activity has at most 256 KiB", http.StatusRequestEntityTooLarge)
		return
	}
	a, p, err := parse(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := c.in.check(r.Context(), r.Header.Get("Authorization"), a); err != nil {
		if !errors.Is(err, errToken) {
			c.o.Logger.ErrorContext(r.Context(), "checking a token of the Bot Framework", "err", err)
			http.Error(w, "tokens can't be checked now", http.StatusServiceUnavailable)
			return
		}
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	object := c.object(a)
	if object == "" {
		c.o.Logger.WarnContext(r.Context(), "an activity of another tenant was refused", "channel", c.o.Name)
		http.Error(w, "this deployment listens to one tenant only", http.StatusForbidden)
		return
	}
	again := a.ID == "" || a.Type == "message" && !c.seen.first(a.Conversation.ID+" "+a.ID, c.o.Clock())
	switch {
	case again && a.Type == "message":
		w.WriteHeader(http.StatusOK)
	case p != nil && a.Type == "invoke":
		answer(w, c.press(r.Context(), object, p))
	case p != nil && a.Type == "message":
		c.pressed(r.Context(), a, object, p)
		w.WriteHeader(http.StatusOK)
	case a.Type == "message":
		c.said(r.Context(), a, object)
		w.WriteHeader(http.StatusOK)
	case a.Type == "invoke":
		answer(w, reply{status: http.StatusNotImplemented, says: "This bot doesn't know that."})
	default: // somebody joined, was renamed, …
		w.WriteHeader(http.StatusOK)
	}
}

// A reply is the answer to a press: a card, or words for the one who pressed.
type reply struct {
	status int
	says   string
	card   object
}

func answer(w http.ResponseWriter, r reply) {
	out := object{"statusCode": r.status, "type": "application/vnd.microsoft.activity.message", "value": r.says}
	if r.card != nil {
		out["type"], out["value"] = "application/vnd.microsoft.card.adaptive", r.card
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// press takes one press and draws the card that its presser sees now.
func (c *Channel) press(ctx context.Context, who string, p *press) reply {
	account := c.account(who)
	var now *card.Card
	var err error
	switch p.Verb {
	case "view":
		return c.view(ctx, account, p.ID)
	case "approve", "deny":
		now, err = c.o.Desk.Answer(ctx, notify.Press{
			Account: account, Channel: "teams", Approval: p.ID, Digest: p.Digest, Version: p.Version,
			Decision: map[string]string{"approve": approval.Approve, "deny": approval.Deny}[p.Verb], Reason: p.Reason,
		})
	case "ask":
		now, err = c.o.Desk.Ask(ctx, account, "teams", p.ID, p.Question)
	default:
		return reply{status: http.StatusBadRequest, says: "This bot doesn't know that. Nothing was decided."}
	}
	if err != nil {
		return c.refused(ctx, err)
	}
	return reply{status: http.StatusOK, card: cardOf(now, viewer{known: true, may: &notify.Refusal{Says: "Your answer is recorded."}})}
}

func (c *Channel) view(ctx context.Context, account, id string) reply {
	now, may, err := c.o.Desk.View(ctx, account, id)
	if err != nil {
		return c.refused(ctx, err)
	}
	return reply{status: http.StatusOK, card: cardOf(now, viewer{known: true, may: may})}
}

func (c *Channel) refused(ctx context.Context, err error) reply {
	var r *notify.Refusal
	if errors.As(err, &r) {
		says := r.Says
		if r.Link {
			says += " " + c.o.Desk.PublicURL
		}
		return reply{status: http.StatusOK, says: says}
	}
	c.o.Logger.ErrorContext(ctx, "taking an answer from Teams", "err", err)
	return reply{status: http.StatusInternalServerError, says: "The answer could not be recorded, so nothing was decided. Try again in a moment."}
}

// account is the account of ours that somebody in the tenant has.
func (c *Channel) account(object string) string {
	if a := c.o.People.Account(object); a != "" {
		return a
	}
	return c.o.Name + "|" + object
}

// pressed is a press by a client that can't be answered with a card.
func (c *Channel) pressed(ctx context.Context, a *activity, who string, p *press) {
	r := c.press(ctx, who, p)
	if r.says == "" {
		r.says = "Your answer is recorded."
	}
	c.reply(ctx, a, r.says)
}

// said answers words to the bot.
func (c *Channel) said(ctx context.Context, a *activity, object string) {
	verb, rest, _ := strings.Cut(strings.TrimSpace(withoutMention(a.Text)), " ")
	rest = strings.TrimSpace(rest)
	const help = "link CODE: link this account to you (the console, People, gives the code). why ID: what an approval is about. Cards come by themselves."
	switch {
	case strings.EqualFold(verb, "link") && rest != "":
		whom, err := c.o.People.Offer(ctx, rest, object, a.From.Name)
		if err != nil {
			c.o.Logger.WarnContext(ctx, "a link from Teams was refused", "err", err)
			c.reply(ctx, a, "This could not be linked: the code is unknown, was used, or is older than ten minutes; or the account is linked already. Begin again in the console.")
			return
		}
		c.reply(ctx, a, "Offered to "+whom+". Confirm it in the console; it counts for reviewing a day later.")
	case strings.EqualFold(verb, "why") && rest != "":
		if _, err := c.o.Desk.Person(c.account(object)); err != nil { // strangers hear nothing
			c.reply(ctx, a, c.refused(ctx, err).says)
			return
		}
		now, _, err := c.o.Desk.View(ctx, c.account(object), rest)
		if err != nil {
			c.reply(ctx, a, c.refused(ctx, err).says)
			return
		}
		c.reply(ctx, a, now.State.Says+". "+now.Title+". "+strings.TrimSpace(now.Why+" "+now.Decided)+" "+now.URL)
	default:
		c.reply(ctx, a, help)
	}
}

func (c *Channel) reply(ctx context.Context, a *activity, text string) {
	if err := c.out.reply(ctx, a, text); err != nil {
		c.o.Logger.WarnContext(ctx, "answering in Teams", "err", err)
	}
}

// withoutMention drops "<at>bot</at>" that channels put before a message.
func withoutMention(s string) string {
	for {
		i, j := strings.Index(s, "<at>"), strings.Index(s, "</at>")
		if i < 0 || j < i {
			return s
		}
		s = s[:i] + s[j+len("</at>"):]
	}
}
