package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
)

const (
	qualityDays  = 30 * 24 * time.Hour
	qualityMost  = 10_000          // reviews looked at, the newest
	qualityFresh = 2 * time.Second // what is read again when somebody asks
	qualityEvery = time.Minute     // and when nobody does
)

// quality keeps how people review, read from the log now and then.
type quality struct {
	mu   sync.Mutex
	list []approval.Reviewer // owned by mu
	read time.Time           // owned by mu
}

// reviewers reads the log again when what is known is older than two seconds.
func (s *Server) reviewers(ctx context.Context) ([]approval.Reviewer, error) {
	s.quality.mu.Lock()
	defer s.quality.mu.Unlock()
	now := time.Now()
	if now.Sub(s.quality.read) < qualityFresh {
		return s.quality.list, nil
	}
	found, err := s.store.Search(ctx, audit.Query{Types: []string{audit.TypeReview, audit.TypeCanary}, Since: now.Add(-qualityDays), Limit: qualityMost})
	if err != nil {
		return nil, fmt.Errorf("reading reviews: %w", err)
	}
	s.quality.list, s.quality.read = approval.Quality(found), now
	return s.quality.list, nil
}

// nudge is what a person hears who seems to approve without reading; "" else. It
// knows what was read last and waits for nothing: it is asked within transactions.
func (s *Server) nudge(person string) string {
	if !s.quality.mu.TryLock() {
		return ""
	}
	defer s.quality.mu.Unlock()
	for i := range s.quality.list {
		if r := &s.quality.list[i]; r.Person == person {
			return r.Stamps()
		}
	}
	return ""
}

// stamps says whose approvals cost a seat more; nil where the configuration doesn't ask.
func (s *Server) stamps() func(person string) bool {
	if !s.cfg.Limits.RubberStampSeat {
		return nil
	}
	return func(person string) bool { return s.nudge(person) != "" }
}

func (s *Server) qualityLoop(ctx context.Context) {
	tick := time.NewTicker(qualityEvery)
	defer tick.Stop()
	for {
		if _, err := s.reviewers(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "how people review isn't known", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
