package approval

import (
	"context"
	"sync"
)

// A hub wakes those who wait for an approval and tells subscribers of changes.
// It carries hints only: what is true is read from the store.
type hub struct {
	mu     sync.Mutex
	topics map[string]*topic        // owned by mu
	subs   map[*subscriber]struct{} // owned by mu
}

type topic struct {
	changed chan struct{} // closed at the next change
	waiting int
}

// join returns a channel that is closed when id changes next. leave must be called once.
func (h *hub) join(id string) (changed <-chan struct{}, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[id]
	if t == nil {
		if h.topics == nil {
			h.topics = map[string]*topic{}
		}
		t = &topic{changed: make(chan struct{})}
		h.topics[id] = t
	}
	t.waiting++
	return t.changed, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if t.waiting--; t.waiting == 0 && h.topics[id] == t {
			delete(h.topics, id)
		}
	}
}

func (h *hub) publish(events ...Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ev := range events {
		if t := h.topics[ev.ID]; t != nil {
			close(t.changed)
			delete(h.topics, ev.ID)
		}
		if ev.Plan != "" {
			continue
		}
		for s := range h.subs {
			s.push(ev)
		}
	}
}

// A subscriber that is slow gets only the newest event of each approval.
type subscriber struct {
	mu     sync.Mutex
	order  []string         // owned by mu
	newest map[string]Event // owned by mu
	wake   chan struct{}
}

func (s *subscriber) push(ev Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, there := s.newest[ev.ID]
	if !there {
		s.order = append(s.order, ev.ID)
	}
	if there && old.Version > ev.Version { // two commits told in the wrong order
		return
	}
	s.newest[ev.ID] = ev
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscriber) pop() (Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == 0 {
		return Event{}, false
	}
	id := s.order[0]
	s.order = s.order[1:]
	ev := s.newest[id]
	delete(s.newest, id)
	return ev, true
}

func (s *subscriber) run(ctx context.Context, out chan<- Event) {
	defer close(out)
	for {
		ev, ok := s.pop()
		if !ok {
			select {
			case <-s.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case out <- ev:
		case <-ctx.Done():
			return
		}
	}
}

// Subscribe tells of every change from now on, until ctx ends and the channel
// is closed. A slow reader never blocks the engine: it gets the newest event
// of each approval instead of all of them.
func (e *Engine) Subscribe(ctx context.Context) <-chan Event {
	s := &subscriber{newest: map[string]Event{}, wake: make(chan struct{}, 1)}
	out := make(chan Event)
	e.hub.mu.Lock()
	if e.hub.subs == nil {
		e.hub.subs = map[*subscriber]struct{}{}
	}
	e.hub.subs[s] = struct{}{}
	e.hub.mu.Unlock()
	go func() {
		s.run(ctx, out)
		e.hub.mu.Lock()
		delete(e.hub.subs, s)
		e.hub.mu.Unlock()
	}()
	return out
}
