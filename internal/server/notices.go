package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/emergency"
	"github.com/assenthq/assent/internal/enforce"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/show"
)

const (
	noticeTitle = 200  // bytes
	noticeText  = 1000 // bytes
)

// tellNotices has channels told of what is no approval: the glass that is broken,
// what is frozen and let go again. Each node tells, and each place hears it once.
func (s *Server) tellNotices() {
	s.glass.Watch(func(ctx context.Context, e emergency.Event) {
		if n := ofEmergency(&e); n != nil {
			s.tell(ctx, n)
		}
	})
	told := &frozen{since: time.Now(), known: map[string]bool{}}
	s.freezes.OnChange(func() {
		ctx, cancel := context.WithTimeout(context.Background(), frozenTime)
		defer cancel()
		for _, n := range told.news(s.freezes.List(true)) {
			s.tell(ctx, n)
		}
	})
}

// matched has those told whom a rule names.
func (s *Server) matched(m enforce.Matched) {
	if s.notify != nil {
		s.notify.Matched(&notify.Match{Pack: m.Pack, Rule: m.Rule, Verdict: m.Verdict, Actor: m.Actor, Title: m.Title, Resource: m.Resource, To: m.To})
	}
}

func (s *Server) tell(ctx context.Context, n *notify.Notice) {
	if err := s.notify.Notify(ctx, *n); err != nil {
		s.log.ErrorContext(ctx, "telling channels", "kind", n.Kind, "err", err)
	}
}

// ofEmergency is what is told of one; nil: nothing.
func ofEmergency(e *emergency.Event) *notify.Notice {
	who := show.Plain(e.Name, noticeTitle)
	n := &notify.Notice{ID: "emergency/" + e.ID + "/" + e.What, Kind: "emergency", Path: "/emergencies", Grave: true, Time: e.Since}
	switch e.What {
	case emergency.Broken:
		n.Title = fmt.Sprintf("%s broke the glass for %s", who, show.Plain(e.Actor, noticeTitle))
		n.Text = fmt.Sprintf("On %s, until %s, without waiting for anybody. %s says: %s", show.Plain(e.Resource, noticeText), e.Until.UTC().Format("15:04 UTC"), who, show.Plain(e.Reason, noticeText))
	case emergency.Overdue:
		n.Title = fmt.Sprintf("Nobody reviewed the emergency of %s in time", who)
		n.Text = fmt.Sprintf("%s and %s are frozen until it is.", who, show.Plain(e.Actor, noticeTitle))
		n.Time = e.ReviewBy
	case emergency.Reviewed:
		n.Title = fmt.Sprintf("The emergency of %s was reviewed: %s", who, show.Plain(e.Verdict, noticeTitle))
		n.Text, n.Grave, n.Time = show.Plain(e.Note, noticeText), false, e.ReviewedAt
	default:
		return nil
	}
	return n
}

// frozen knows which freezes were told, so that a restart doesn't tell them again.
type frozen struct {
	since time.Time
	mu    sync.Mutex
	known map[string]bool // id, and id/thawed; owned by mu
}

func (f *frozen) news(all []freeze.Entry) (out []*notify.Notice) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := func(id string, at time.Time) bool {
		was := f.known[id]
		f.known[id] = true
		return !was && at.After(f.since.Add(-time.Minute))
	}
	for i := range all {
		e := &all[i]
		what := show.Plain(e.Target.String(), noticeTitle)
		if first(e.ID, e.At) {
			n := &notify.Notice{
				ID: "freeze/" + e.ID, Kind: "freeze", Path: "/control", Grave: true, Time: e.At,
				Title: "Frozen: " + what, Text: fmt.Sprintf("By %s: %s", show.Plain(e.ByName, noticeTitle), show.Plain(e.Reason, noticeText)),
			}
			if e.Finding != "" {
				n.Kind = "alarm"
			}
			out = append(out, n)
		}
		if !e.Thawed.IsZero() && first(e.ID+"/thawed", e.Thawed) {
			out = append(out, &notify.Notice{
				ID: "freeze/" + e.ID + "/thawed", Kind: "freeze", Path: "/control", Time: e.Thawed,
				Title: "Let go again: " + what, Text: "It was frozen for: " + show.Plain(e.Reason, noticeText),
			})
		}
	}
	return out
}
