package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/notify"
	entries "github.com/assenthq/assent/internal/sealed"
)

// Channels tell people, and other systems, beside the console.
type Channels interface {
	States(ctx context.Context) ([]notify.ChannelState, error)
	Deliveries(ctx context.Context) ([]notify.Delivery, error)
	Replay(ctx context.Context, id, by string) error
	Test(ctx context.Context, channel, by string) ([]notify.Tested, error)
}

// A ChannelView is how one channel is doing.
type ChannelView struct {
	Name    string   `json:"name"`
	Places  []string `json:"places" doc:"Where its routes lead"`
	Failing int      `json:"failing" doc:"Deliveries that failed and are tried again"`
	Dead    int      `json:"dead" doc:"Deliveries that are tried no more, until one is replayed"`
	Error   string   `json:"error,omitempty" doc:"Of the one that fails longest"`
}

// ChannelList is every channel of the configuration.
type ChannelList struct {
	Channels []ChannelView `json:"channels"`
}

type channelsOut struct{ Body ChannelList }

func (s *server) listChannels(ctx context.Context, _ *nothing) (*channelsOut, error) {
	out := &channelsOut{Body: ChannelList{Channels: []ChannelView{}}}
	if s.Channels == nil {
		return out, nil
	}
	all, err := s.Channels.States(ctx)
	for _, c := range all {
		if c.Places == nil {
			c.Places = []string{}
		}
		out.Body.Channels = append(out.Body.Channels, ChannelView(c))
	}
	return out, err
}

// A DeliveryView is a card or notice that could not be told.
type DeliveryView struct {
	ID       string    `json:"id"`
	Channel  string    `json:"channel"`
	Place    string    `json:"place"`
	Approval string    `json:"approval,omitempty"`
	Notice   string    `json:"notice,omitempty" doc:"Kind of notice, where it is no approval"`
	Error    string    `json:"error"`
	Tries    int       `json:"tries"`
	Dead     bool      `json:"dead"`
	Failing  time.Time `json:"failing_since,omitzero"`
	Due      time.Time `json:"due,omitzero" doc:"When it is tried again"`
}

// DeliveryList is what could not be told, the oldest first.
type DeliveryList struct {
	Deliveries []DeliveryView `json:"deliveries"`
}

type listDeliveriesIn struct {
	Dead bool `query:"dead" doc:"Those alone that are tried no more"`
}

type deliveriesOut struct{ Body DeliveryList }

func (s *server) listDeliveries(ctx context.Context, in *listDeliveriesIn) (*deliveriesOut, error) {
	out := &deliveriesOut{Body: DeliveryList{Deliveries: []DeliveryView{}}}
	if s.Channels == nil {
		return out, nil
	}
	all, err := s.Channels.Deliveries(ctx)
	for i := range all {
		if d := &all[i]; d.Dead || !in.Dead {
			out.Body.Deliveries = append(out.Body.Deliveries, DeliveryView{
				ID: d.ID, Channel: d.Channel, Place: d.Place, Approval: d.Approval, Notice: d.Notice, Error: d.Error, Tries: d.Tries, Dead: d.Dead, Failing: d.Failing, Due: d.Due,
			})
		}
	}
	return out, err
}

type replayIn struct {
	ID string `path:"id" maxLength:"64" pattern:"^[0-9a-z]+$"`
}

func (s *server) replayDelivery(ctx context.Context, in *replayIn) (*nothing, error) {
	err := entries.ErrNotFound
	if s.Channels != nil {
		err = s.Channels.Replay(ctx, in.ID, nameOf(callerOf(ctx)))
	}
	switch {
	case errors.Is(err, entries.ErrNotFound):
		return nil, problem(http.StatusNotFound, "not-found", "There is no such delivery.")
	case errors.Is(err, notify.ErrNotDead):
		return nil, problem(http.StatusConflict, "not-dead", "This delivery is not dead: it was told, or is tried again by itself.")
	case errors.Is(err, entries.ErrConflict):
		return nil, problem(http.StatusConflict, "changed", "It changed at the same time. Look again.")
	}
	return nil, err
}

type testChannelIn struct {
	Name string `path:"name" maxLength:"64"`
}

// A TestResult is what came of a test, place by place.
type TestResult struct {
	Results []TestedPlace `json:"results"`
}

// A TestedPlace is one place of a channel.
type TestedPlace struct {
	Place string `json:"place"`
	Error string `json:"error,omitempty" doc:"Why it could not be told"`
}

type testOut struct{ Body TestResult }

func (s *server) testChannel(ctx context.Context, in *testChannelIn) (*testOut, error) {
	var found []notify.Tested
	err := notify.ErrNoChannel
	if s.Channels != nil {
		by := ""
		if c := callerOf(ctx); c.Person != nil {
			by = c.Person.ID
		}
		found, err = s.Channels.Test(ctx, in.Name, by)
	}
	if errors.Is(err, notify.ErrNoChannel) {
		return nil, problem(http.StatusNotFound, "not-found", "The configuration has no channel of that name.")
	}
	out := &testOut{Body: TestResult{Results: []TestedPlace{}}}
	for _, t := range found {
		out.Body.Results = append(out.Body.Results, TestedPlace(t))
	}
	return out, err
}
