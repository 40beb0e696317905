package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/calm"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/people"
)

// makeChannel makes one of the configuration's channels: the explicit table of
// them. handler answers what is called in from outside; nil: nothing is.
func (s *Server) makeChannel(c *ChannelConfig) (ch notify.Channel, handler http.Handler, err error) {
	switch {
	case c.Slack != nil:
		return s.makeSlack(c)
	case c.Teams != nil:
		return s.makeTeams(c)
	}
	if c.Webhook != nil {
		return s.makeWebhook(c)
	}
	if c.Email != nil {
		return s.makeEmail(c)
	}
	if c.Push != nil {
		ch, err := s.makePush(c)
		return ch, nil, err
	}
	return nil, nil, fmt.Errorf("channel %s: there is no such kind of channel", c.Name)
}

// makeChannels makes all of them, and what keeps their cards true.
func (s *Server) makeChannels(k *keys) error {
	s.pushSecret = k.api
	var err error
	if s.calm, err = calm.Open(context.Background(), s.box, nil, s.log); err != nil {
		return err
	}
	var all []notify.Channel
	s.doors = map[string]http.Handler{}
	for i := range s.cfg.Channels {
		c := &s.cfg.Channels[i]
		ch, door, err := s.makeChannel(c)
		if err != nil {
			return err
		}
		all = append(all, ch)
		if r, ok := ch.(interface{ Run(context.Context) }); ok {
			s.runs = append(s.runs, r.Run)
		}
		if door != nil {
			s.doors["/channels/"+c.Name+"/"] = http.StripPrefix("/channels/"+strings.TrimSuffix(c.Name, "/"), door)
		}
	}
	s.notify, err = notify.New(notify.Options{
		Approvals: s.engine, Box: s.box, Channels: all, Routes: s.cfg.routes(), Targets: s.cfg.targets(), PublicURL: s.cfg.PublicURL,
		Node: s.node(), Shared: s.shared != nil, Quiet: s.quiet, Logger: s.log,
		Observe: s.channelMetrics(),
	})
	if err == nil && len(all) > 0 {
		s.tellNotices()
	}
	return err
}

// offer says that an account in a chat belongs to whoever made the code in the
// console; they still have to confirm. It tells whom.
func (s *Server) offer(ctx context.Context, code string, claims people.Claims) (string, error) {
	if _, err := s.dir.LookAtLink(ctx, code); err != nil { // before anything is remembered of a stranger
		return "", err
	}
	p, err := s.dir.SignedIn(ctx, claims)
	if err != nil {
		return "", err
	}
	p.Account = claims.Account()
	l, err := s.dir.OfferLink(ctx, code, &p)
	if err != nil {
		return "", err
	}
	return l.Name, nil
}

// accountsOf are a person's accounts in one chat.
func (s *Server) accountsOf(channel, person string) []string {
	var out []string
	for _, a := range s.dir.Accounts() {
		if a.Person == person && a.Left.IsZero() && strings.HasPrefix(a.ID, channel+"|") {
			out = append(out, a.ID)
		}
	}
	return out
}

// quiet is until when nobody writes to a person about a version of an approval.
func (s *Server) quiet(person, approval string, version int64, grave bool) time.Time {
	hours, aside := s.calm.Quiet(person, grave), s.calm.Snoozed(person, approval, version)
	if aside.After(hours) {
		return aside
	}
	return hours
}

// desk takes answers from chats.
func (s *Server) desk() *notify.Desk {
	return &notify.Desk{Reviews: s.engine, People: s.dir, Mask: s.masked, PublicURL: s.cfg.PublicURL}
}
