package approval

import (
	"sync"
	"time"
)

// overMemory is how long an end is remembered: longer than rules let an approval
// wait and be used.
const overMemory = 48 * time.Hour

// over are the approvals that were used or ended while this process ran. Rows and
// the log's columns can be put back by whoever writes to the database, until the
// log is verified next; what this process saw can't.
type over struct {
	mu    sync.Mutex
	ids   map[string]struct{} // owned by mu, as is what follows
	order []ended             // oldest first
}

type ended struct {
	id string
	at time.Time
}

func (o *over) add(id string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids == nil {
		o.ids = map[string]struct{}{}
	}
	for len(o.order) > 0 && now.Sub(o.order[0].at) > overMemory {
		delete(o.ids, o.order[0].id)
		o.order = o.order[1:]
	}
	if _, there := o.ids[id]; there {
		return
	}
	o.ids[id] = struct{}{}
	o.order = append(o.order, ended{id, now})
}

func (o *over) has(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, is := o.ids[id]
	return is
}

// publish tells of changes that are durable, and remembers what ended.
func (e *Engine) publish(events []Event) {
	for _, ev := range events {
		switch ev.State {
		case Executing, Executed, Failed, Unknown, Denied, Expired, Withdrawn:
			e.over.add(ev.ID, e.now())
		}
	}
	e.hub.publish(events...)
}
