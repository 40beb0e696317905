package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/assenthq/assent/internal/notify"
)

// makeChannel makes one of the configuration's channels: the explicit table of
// them. handler answers what is called in from outside; nil: nothing is.
func (s *Server) makeChannel(c *ChannelConfig) (ch notify.Channel, handler http.Handler, err error) {
	return nil, nil, fmt.Errorf("channel %s: there is no such kind of channel", c.Name)
}

// makeChannels makes all of them, and what keeps their cards true.
func (s *Server) makeChannels() error {
	var all []notify.Channel
	s.doors = map[string]http.Handler{}
	for i := range s.cfg.Channels {
		c := &s.cfg.Channels[i]
		ch, door, err := s.makeChannel(c)
		if err != nil {
			return err
		}
		all = append(all, ch)
		if door != nil {
			s.doors["/channels/"+c.Name+"/"] = http.StripPrefix("/channels/"+strings.TrimSuffix(c.Name, "/"), door)
		}
	}
	var err error
	s.notify, err = notify.New(notify.Options{
		Approvals: s.engine, Box: s.box, Channels: all, Routes: s.cfg.routes(), PublicURL: s.cfg.PublicURL,
		Node: s.node(), Shared: s.shared != nil, Logger: s.log,
	})
	return err
}

// desk takes answers from chats.
func (s *Server) desk() *notify.Desk {
	return &notify.Desk{Reviews: s.engine, People: s.dir, Mask: s.masked, PublicURL: s.cfg.PublicURL}
}
