package api

import "sync"

const (
	maxStreams    = 256 // open event streams of everybody together; more are told to come back
	maxOwnStreams = 32  // of one caller: who opens all there are would keep everybody else from hearing anything
)

// openStreams counts them by caller. The zero value is ready.
type openStreams struct {
	mu  sync.Mutex
	all int            // owned by mu
	by  map[string]int // owned by mu
}

// begin reports whether who may open one more; then end must follow.
func (o *openStreams) begin(who string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil {
		o.by = map[string]int{}
	}
	if o.all >= maxStreams || o.by[who] >= maxOwnStreams {
		return false
	}
	o.all++
	o.by[who]++
	return true
}

func (o *openStreams) end(who string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all--
	if o.by[who]--; o.by[who] <= 0 {
		delete(o.by, who)
	}
}
