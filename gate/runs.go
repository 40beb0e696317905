package gate

import (
	"crypto/rand"
	"sync"
	"time"
)

// Runs keeps permits whose action runs outside of the gate's sight (a command, a tool
// of a coding agent), until whoever runs it tells how it ended. What nobody tells of in
// time ends as Unknown.
type Runs struct {
	longest time.Duration

	mu   sync.Mutex
	open map[string]*run // owned by mu
	shut bool            // owned by mu
}

type run struct {
	credential string
	name       string
	release    func()
	timer      *time.Timer
	began      time.Time

	mu     sync.Mutex // a permit is used by one goroutine at a time
	permit Permit
	ended  bool
}

// NewRuns returns an empty list. A run may last longest.
func NewRuns(longest time.Duration) *Runs {
	return &Runs{longest: longest, open: map[string]*run{}}
}

// Begin takes over p and returns the id of the run, a secret of its credential. name finds it again
// where the id can't be carried (a tool call's own id); "" for none. release
// is called once the run ended; it may be nil.
func (r *Runs) Begin(credential, name string, p Permit, release func()) string {
	one := &run{credential: credential, name: name, release: release, permit: p, began: time.Now()}
	id := "run_" + rand.Text()
	r.mu.Lock()
	if r.shut {
		r.mu.Unlock()
		one.end(Outcome{State: NotRun})
		return id
	}
	if b, is := p.(Begun); is {
		b.Begun(id, name)
	}
	r.open[id] = one
	one.timer = time.AfterFunc(r.longest, func() { r.finish(id, one, Outcome{State: Unknown, Code: "not told"}) })
	r.mu.Unlock()
	return id
}

// Find returns the id of the run that a credential named so; "" when there is none.
func (r *Runs) Find(credential, name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, one := range r.open {
		if name != "" && one.credential == credential && one.name == name {
			return id
		}
	}
	return ""
}

// Use calls f with the permit of a run that is under way, to mask what it shows.
// false: the credential has no such run.
func (r *Runs) Use(credential, id string, f func(Permit)) bool {
	one := r.get(credential, id)
	if one == nil {
		return false
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.ended {
		return false
	}
	f(one.permit)
	return true
}

// End completes a run. false: the credential has no such run, or it had ended.
func (r *Runs) End(credential, id string, o Outcome) bool {
	one := r.get(credential, id)
	return one != nil && r.finish(id, one, o)
}

func (r *Runs) get(credential, id string) *run {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.open[id]; one != nil && one.credential == credential {
		return one
	}
	return nil
}

func (r *Runs) finish(id string, one *run, o Outcome) bool {
	r.mu.Lock()
	delete(r.open, id)
	r.mu.Unlock()
	one.timer.Stop()
	return one.end(o)
}

func (one *run) end(o Outcome) bool {
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.ended {
		return false
	}
	one.ended = true
	if o.Duration == 0 {
		o.Duration = time.Since(one.began)
	}
	one.permit.Done(o)
	if one.release != nil {
		one.release()
	}
	return true
}

// Close ends every run as Unknown: whoever runs it can no longer tell.
func (r *Runs) Close() {
	r.mu.Lock()
	r.shut = true
	open := r.open
	r.open = map[string]*run{}
	r.mu.Unlock()
	for _, one := range open {
		one.timer.Stop()
		one.end(Outcome{State: Unknown, Code: "not told"})
	}
}
