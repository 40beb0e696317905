package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/habit"
	"github.com/assenthq/assent/internal/trail"
)

// trailLog is where the trail records prompts and finds them.
type trailLog struct{ s *Server }

func (l trailLog) Record(ctx context.Context, recs ...*audit.Record) error {
	return l.s.record(ctx, recs...)
}

func (l trailLog) Search(ctx context.Context, q audit.Query) ([]audit.Record, error) {
	return l.s.store.Search(ctx, q)
}

// makeTrail reads what actors have seen. While it can't be read, every taint is unknown.
func (s *Server) makeTrail(k *keys) error {
	h := hmac.New(sha256.New, k.match)
	h.Write([]byte("assent-prompts/1"))
	var err error
	if s.trail, err = trail.New(trail.Options{
		Box: s.box, Log: trailLog{s}, Key: h.Sum(nil), Mask: s.masked, Window: s.cfg.Limits.Taint, Shared: s.shared != nil, Logger: s.log,
	}); err != nil {
		return err
	}
	if err := s.trail.Load(context.Background()); err != nil {
		s.log.Error("what actors have seen can't be read; every taint is unknown", "err", err)
	}
	h = hmac.New(sha256.New, k.match)
	h.Write([]byte("assent-habits/1"))
	s.habits, err = habit.New(habit.Options{Box: s.box, Key: h.Sum(nil), Logger: s.log})
	return err
}
