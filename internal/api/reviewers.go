package api

import (
	"context"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// ReviewerView is how one person reviews, from the last 30 days' records.
type ReviewerView struct {
	Person   string       `json:"person"`
	Name     string       `json:"name,omitempty"`
	Reviews  int          `json:"reviews"`
	Approved int          `json:"approved"`
	Fast     int          `json:"fast" doc:"Approvals within three seconds of the asking, or of the same person's review before"`
	Median   float64      `json:"median_seconds" doc:"From then to the review"`
	P90      float64      `json:"p90_seconds" doc:"Nine of ten took no longer"`
	Canaries int          `json:"canaries,omitempty" doc:"Holds that nobody asked for, which they answered"`
	Missed   int          `json:"canaries_approved,omitempty"`
	Hours    []int        `json:"by_hour" doc:"Reviews by hour of the day, UTC"`
	Stamps   string       `json:"stamps,omitempty" doc:"Why it looks as if nothing was read"`
	Pairs    []ReviewPair `json:"pairs,omitempty" doc:"With whom they approve each other's actions"`
}

// A ReviewPair are two people who approve each other's actions.
type ReviewPair struct {
	With   string `json:"with"`
	Given  int    `json:"given"`
	Gotten int    `json:"gotten"`
}

// Reviewers are those who reviewed lately, the fastest first.
type Reviewers struct {
	Reviewers []ReviewerView `json:"reviewers"`
}

type reviewersOut struct{ Body Reviewers }

func (s *server) reviewerQuality(ctx context.Context, _ *nothing) (*reviewersOut, error) {
	found, err := s.Quality(ctx)
	if err != nil {
		return nil, err
	}
	out := &reviewersOut{Body: Reviewers{Reviewers: []ReviewerView{}}}
	c := callerOf(ctx)
	for i := range found {
		if !c.Has(identity.ScopeAdmin) && (c.Person == nil || found[i].Person != c.Person.ID) {
			continue // one's own
		}
		out.Body.Reviewers = append(out.Body.Reviewers, s.reviewerView(&found[i]))
	}
	return out, nil
}

func (s *server) reviewerView(r *approval.Reviewer) ReviewerView {
	v := ReviewerView{
		Person: r.Person, Reviews: r.Reviews, Approved: r.Approved, Fast: r.Fast,
		Median: float64(r.Median/time.Millisecond) / 1000, Stamps: r.Stamps(),
		P90: float64(r.P90/time.Millisecond) / 1000, Canaries: r.Canaries, Missed: r.Missed, Hours: r.Hours[:],
	}
	if p, ok := s.Directory.Person(r.Person); ok {
		v.Name = p.Name
	}
	for _, p := range r.Pairs {
		v.Pairs = append(v.Pairs, ReviewPair(p))
	}
	return v
}
