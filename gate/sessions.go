package gate

import (
	"context"
	"sync"
	"time"
)

// Sessions keeps a Session open between requests that come without a connection
// of their own (HTTP, hooks, commands): one for each credential and each name that
// its client gives to a session. The name is a claim, and separates nothing but sessions.
type Sessions struct {
	authority Authority
	idle      time.Duration

	mu   sync.Mutex
	open map[sessionKey]*lease // owned by mu
	shut bool                  // owned by mu
}

type sessionKey struct{ credential, gate, name string }

// maxSessionsEach bounds the names one credential may give to sessions at the
// same time; past it they share one.
const maxSessionsEach = 100

type lease struct {
	session Session
	users   int         // owned by Sessions.mu
	timer   *time.Timer // closes it when nobody uses it
	ready   chan struct{}
	err     error // owned by who makes it until ready is closed
}

// NewSessions returns an empty pool. A session that nobody used for idle is closed.
func NewSessions(a Authority, idle time.Duration) *Sessions {
	return &Sessions{authority: a, idle: idle, open: map[sessionKey]*lease{}}
}

// Open checks bearer ("": the connection's own certificate) and returns the session of its
// credential, a new one if there is none yet. release must be called once, when the caller no longer
// uses the session; it does not close it. Errors mean that nobody came in.
func (p *Sessions) Open(ctx context.Context, bearer string, from Peer, name string) (s Session, credential string, release func(), err error) {
	v, err := p.authority.Bearer(ctx, bearer)
	if err != nil {
		return nil, "", nil, err
	}
	for {
		l, mine := p.take(sessionKey{v.Credential, from.Gate, name})
		if l == nil {
			return nil, "", nil, ErrClosed
		}
		if mine {
			l.session, l.err = p.authority.Login(ctx, v, from)
			close(l.ready)
		}
		select {
		case <-l.ready:
		case <-ctx.Done():
			p.release(l)
			return nil, "", nil, ctx.Err()
		}
		if l.err != nil {
			p.drop(l)
			p.release(l)
			if mine {
				return nil, "", nil, l.err
			}
			continue // whoever made it failed for reasons of their own
		}
		select {
		case <-l.session.Cut():
			p.drop(l)
			p.release(l)
			if mine {
				return nil, "", nil, ErrCut
			}
			continue
		default:
		}
		var once sync.Once
		return l.session, v.Credential, func() { once.Do(func() { p.release(l) }) }, nil
	}
}

// take returns the lease of k, and whether the caller must fill it.
func (p *Sessions) take(k sessionKey) (l *lease, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return nil, false
	}
	l = p.open[k]
	if l == nil {
		n := 0
		for other := range p.open {
			if other.credential == k.credential && other.gate == k.gate {
				n++
			}
		}
		if n >= maxSessionsEach {
			k.name = ""
			l = p.open[k]
		}
	}
	if l == nil {
		l, mine = &lease{ready: make(chan struct{})}, true
		p.open[k] = l
	}
	l.users++
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	return l, mine
}

func (p *Sessions) release(l *lease) {
	p.mu.Lock()
	l.users--
	end := l.users == 0 && !p.holds(l)
	if l.users == 0 && !end {
		l.timer = time.AfterFunc(p.idle, func() { p.expire(l) })
	}
	p.mu.Unlock()
	if end {
		l.close()
	}
}

// holds says that l can still be found. p.mu is held.
func (p *Sessions) holds(l *lease) bool {
	for _, other := range p.open {
		if other == l {
			return true
		}
	}
	return false
}

func (p *Sessions) expire(l *lease) {
	p.mu.Lock()
	if l.users > 0 {
		p.mu.Unlock()
		return
	}
	held := p.remove(l)
	p.mu.Unlock()
	if held {
		l.close()
	}
}

// drop takes l out, so that the next request makes another.
func (p *Sessions) drop(l *lease) {
	p.mu.Lock()
	p.remove(l)
	p.mu.Unlock()
}

// remove takes l out and says whether it was there. p.mu is held.
func (p *Sessions) remove(l *lease) bool {
	for k, other := range p.open {
		if other == l {
			delete(p.open, k)
			return true
		}
	}
	return false
}

func (l *lease) close() {
	<-l.ready
	if l.err == nil && l.session != nil {
		l.session.Close()
	}
}

// Close closes every session that nobody uses, and the others once they are released.
func (p *Sessions) Close() {
	p.mu.Lock()
	p.shut = true
	var idle []*lease
	for k, l := range p.open {
		delete(p.open, k)
		if l.timer != nil {
			l.timer.Stop()
		}
		if l.users == 0 {
			idle = append(idle, l)
		}
	}
	p.mu.Unlock()
	for _, l := range idle {
		l.close()
	}
}
