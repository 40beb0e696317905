package emergency

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/sealed"
)

// lookEvery is how long something that nobody told of may go unseen.
const lookEvery = 15 * time.Second

// What an Event tells of.
const (
	Broken = "broken" // the glass was, just now
	Ran    = "ran"    // something did, without waiting
	// Reviewed and Overdue are as the states are.
)

// An Event is the newest of an emergency. What lies between two may be left out.
type Event struct {
	Entry
	Revision int64 // of the row: rises with each change, the same on every node
	What     string
}

// news is what changed, here or on another node, and has not been told yet.
type news struct {
	mu    sync.Mutex
	ids   map[string]bool
	fns   []func(context.Context, Event)
	heard int     // how often something changed
	known []Entry // the last answer of List; nil: it has to be read again
	read  time.Time
	poke  chan struct{}
}

// Watch has fn told, in order and by one goroutine of Run, whenever an emergency
// changes, here or on another node: every node tells of all of them. It is for
// before Run; what stands already is in List.
func (g *Glass) Watch(fn func(context.Context, Event)) {
	g.news.mu.Lock()
	defer g.news.mu.Unlock()
	g.news.fns = append(g.news.fns, fn)
}

// Used is told of a use that Allow counted, once that is durable.
func (g *Glass) Used(id string) { g.o.Box.Told(string(rows) + "/" + id) }

// hear notes that a row changed.
func (g *Glass) hear(id string) {
	g.news.mu.Lock()
	g.news.ids[id], g.news.known = true, nil
	g.news.heard++
	g.news.mu.Unlock()
	select {
	case g.news.poke <- struct{}{}:
	default:
	}
}

// tell tells the watchers what hear noted.
func (g *Glass) tell(ctx context.Context) {
	g.news.mu.Lock()
	var ids []string
	for id := range g.news.ids {
		ids = append(ids, id)
	}
	clear(g.news.ids)
	fns := slices.Clone(g.news.fns)
	g.news.mu.Unlock()
	if len(fns) == 0 {
		return
	}
	for _, id := range ids {
		var e *sealed.Entry[Emergency]
		err := g.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
			e, err = rows.Get(ctx, r, id)
			return err
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			g.o.Logger.ErrorContext(ctx, "reading an emergency that changed", "emergency", id, "err", err)
			if !errors.Is(err, sealed.ErrTampered) { // of that one Sweep tells
				g.news.mu.Lock()
				g.news.ids[id] = true // the next time that Run looks
				g.news.mu.Unlock()
			}
			continue
		}
		for _, fn := range fns {
			fn(ctx, Event{Entry: Entry{id, e.Value}, Revision: e.Revision, What: whatOf(e)})
		}
	}
}

func whatOf(e *sealed.Entry[Emergency]) string {
	switch {
	case e.Value.State != Open:
		return e.Value.State
	case e.Value.Ran > 0:
		return Ran
	}
	return Broken
}

// Known is List from memory: read again after each change that is known here, and
// each 15 seconds.
func (g *Glass) Known(ctx context.Context) ([]Entry, error) {
	g.news.mu.Lock()
	known, heard := g.news.known, g.news.heard
	fresh := known != nil && time.Since(g.news.read) < lookEvery
	g.news.mu.Unlock()
	if fresh {
		return slices.Clone(known), nil
	}
	began := time.Now()
	list, err := g.List(ctx)
	if err != nil {
		return nil, err
	}
	g.news.mu.Lock()
	defer g.news.mu.Unlock()
	if g.news.heard == heard { // nothing changed while it was read
		g.news.known, g.news.read = append([]Entry{}, list...), began
	}
	return list, nil
}

// Counts are how many emergencies run now, wait for their review, and ended in a freeze for lack of one.
func Counts(list []Entry, now time.Time) (open, unreviewed, overdue int) {
	for i := range list {
		switch list[i].State {
		case Open:
			unreviewed++
			if list[i].Running(now) {
				open++
			}
		case Overdue:
			overdue++
		}
	}
	return open, unreviewed, overdue
}

// Running reports whether actions run without waiting at that time.
func (e *Emergency) Running(now time.Time) bool {
	return e.State == Open && !now.Before(e.Since) && now.Before(e.Until)
}
