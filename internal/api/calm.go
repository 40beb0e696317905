package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/calm"
)

// A Calm spares people.
type Calm interface {
	Hours(person string) calm.Hours
	SetHours(ctx context.Context, person string, h calm.Hours) error
	Snooze(ctx context.Context, person, approval string, version int64, d time.Duration) error
}

// QuietHours are hours in which nobody writes to you; empty: there are none.
type QuietHours struct {
	From  string `json:"from" maxLength:"5" pattern:"^([0-2][0-9]:[0-5][0-9])?$" doc:"Time of day, such as 22:00; empty: none"`
	To    string `json:"to" maxLength:"5" pattern:"^([0-2][0-9]:[0-5][0-9])?$"`
	Zone  string `json:"zone" maxLength:"64" pattern:"^[A-Za-z0-9_+/-]*$" doc:"Of the IANA database, such as Europe/Berlin"`
	Grave bool   `json:"critical,omitempty" doc:"What is critical comes through"`
}

type (
	quietIn  struct{ Body QuietHours }
	quietOut struct{ Body QuietHours }
	snoozeIn struct {
		ID   string `path:"id" maxLength:"64" pattern:"^apr_[0-9A-Za-z]+$"`
		Body SnoozeRequest
	}
)

// A SnoozeRequest puts an approval aside for you alone.
type SnoozeRequest struct {
	Version int64 `json:"version" minimum:"1" doc:"As you saw it: anything new about it brings it back"`
	Seconds int64 `json:"seconds" minimum:"0" maximum:"14400" doc:"0 takes it up again"`
}

func (s *server) self(ctx context.Context) (string, error) {
	c := callerOf(ctx)
	if c.Person == nil || s.Calm == nil {
		return "", problem(http.StatusForbidden, "scope", "This is for people.")
	}
	return c.Person.ID, nil
}

func (s *server) getQuiet(ctx context.Context, _ *struct{}) (*quietOut, error) {
	me, err := s.self(ctx)
	if err != nil {
		return nil, err
	}
	return &quietOut{Body: QuietHours(s.Calm.Hours(me))}, nil
}

func (s *server) setQuiet(ctx context.Context, in *quietIn) (*quietOut, error) {
	me, err := s.self(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Calm.SetHours(ctx, me, calm.Hours(in.Body)); err != nil {
		return nil, calmProblem(err)
	}
	return s.getQuiet(ctx, nil)
}

func calmProblem(err error) error {
	if errors.Is(err, calm.ErrRefused) {
		return problem(http.StatusUnprocessableEntity, "validation", err.Error())
	}
	return err
}

// snooze hides an approval from one person's list, and from nobody else's.
func (s *server) snooze(ctx context.Context, in *snoozeIn) (*approvalOut, error) {
	me, err := s.self(ctx)
	if err != nil {
		return nil, err
	}
	a, err := s.Approvals.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.Calm.Snooze(ctx, me, a.ID, in.Body.Version, time.Duration(in.Body.Seconds)*time.Second); err != nil {
		return nil, calmProblem(err)
	}
	return &approvalOut{Body: s.view(callerOf(ctx), a)}, nil
}
