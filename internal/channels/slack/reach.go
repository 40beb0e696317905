package slack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/slack-go/slack"
)

// Reach asks Slack whether the app can do its work, for assent doctor: the token
// is of this workspace, has every scope, and the places are there.
func (c *Channel) Reach(ctx context.Context, places []string) error {
	token, err := c.bot.get(ctx)
	if err != nil {
		return err
	}
	var given string
	api := slack.New(token, slack.OptionAPIURL(c.o.API), slack.OptionHTTPClient(c.http), slack.OptionOnResponseHeaders(func(_ string, h http.Header) { given = h.Get("X-OAuth-Scopes") }))
	who, err := api.AuthTestContext(ctx)
	if err != nil {
		return c.failed("", err)
	}
	var errs []error
	if who.TeamID != c.o.Team {
		errs = append(errs, fmt.Errorf("the bot token is of workspace %s, and team is %s", who.TeamID, c.o.Team))
	}
	has := strings.Split(strings.ReplaceAll(given, " ", ""), ",")
	for _, s := range Scopes {
		if !slices.Contains(has, s) {
			errs = append(errs, fmt.Errorf("the bot has no scope %s: update the app from assent slack manifest and install it again", s))
		}
	}
	for _, p := range places {
		if strings.HasPrefix(p, "#") {
			if _, err := c.place(ctx, api, p); err != nil {
				errs = append(errs, c.failed("", err))
			}
		}
	}
	return errors.Join(errs...)
}
