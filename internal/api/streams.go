package api

import "sync"

// maxOwnStreams is how many event streams one caller may hold open: a hostile
// agent that opens all there are would keep everybody else from hearing anything.
const maxOwnStreams = 32

// openStreams counts them by caller. The zero value is ready.
type openStreams struct {
	mu sync.Mutex
	by map[string]int // owned by mu
}

// begin reports whether who may open one more; then end must follow.
func (o *openStreams) begin(who string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil {
		o.by = map[string]int{}
	}
	if o.by[who] >= maxOwnStreams {
		return false
	}
	o.by[who]++
	return true
}

func (o *openStreams) end(who string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by[who]--; o.by[who] <= 0 {
		delete(o.by, who)
	}
}
