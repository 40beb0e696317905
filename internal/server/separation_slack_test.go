package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/channels/slack"
	"github.com/assenthq/assent/internal/channels/slack/slacktest"
	"github.com/assenthq/assent/internal/people"
)

// slackUser is the account of a configured person.
func slackUser(id string) string {
	return "U" + strings.ToUpper(strings.NewReplacer("-", "", "_", "", ":", "").Replace(id))
}

func slackAccount(id string) string { return "chat|" + slacktest.Team + "/" + slackUser(id) }

// inSlack is the account that a hand has in Slack: the configured one, or one
// that they link now.
func (x *site) inSlack(hand string) string {
	x.t.Helper()
	_, id, _ := strings.Cut(strings.NewReplacer("person:", "|", "corp|", "|").Replace(hand), "|")
	user := slackUser(id)
	account := slackAccount(id)
	if _, known := x.Server.dir.Person(account); !known {
		_, code, err := x.Server.dir.BeginLink(x.t.Context(), x.found(hand))
		x.must(err)
		_, err = x.Server.offer(x.t.Context(), code, people.Claims{Issuer: "chat", URL: slack.Accounts(slacktest.Team), Subject: slacktest.Team + "/" + user, Name: id})
		x.must(err)
		for _, l := range x.Server.dir.Links() {
			if l.Account == account && l.State == "offered" {
				_, err := x.Server.dir.ConfirmLink(x.t.Context(), l.ID, x.found(hand))
				x.must(err)
			}
		}
	}
	x.slack.Join(slacktest.User{ID: user, Name: id})
	return user
}

// bySlack presses Approve as Slack would tell of it, and waits for what becomes of it.
func (x *site) bySlack(hand string, a *approval.Approval) error {
	x.t.Helper()
	user := x.inSlack(hand)
	value := a.ID + " " + a.Digest.String() + " " + strconv.FormatInt(a.Version, 10)
	payload, err := json.Marshal(x.slack.Action(user, &slacktest.Message{Channel: "C0OPS", TS: "1.1"}, "assent:approve", value))
	x.must(err)
	body := url.Values{"payload": {string(payload)}}.Encode()
	told := func() (out []string) {
		for _, m := range x.slack.Messages("C0OPS") {
			if m.Only == user {
				out = append(out, m.Text)
			}
		}
		return out
	}
	before := len(told())
	x.slack.App = x.URL() + "/channels/chat"
	status, err := x.slack.Deliver("/interactive", body, slacktest.Sign(slacktest.Signing, time.Now(), body))
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("the door: %d %w", status, errors.Join(err))
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if says := told(); len(says) > before {
			return errors.New(says[before])
		}
		if now := x.now(a.ID); len(now.Reviews) > len(a.Reviews) {
			return nil
		}
	}
	return errors.New("nothing became of it")
}

// configured tells whether a hand is a configured person's.
func (x *site) configured(hand string) bool {
	x.t.Helper()
	return (folk{x.Server}).configured(x.found(hand).ID)
}
