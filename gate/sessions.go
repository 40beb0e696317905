package gate

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/identity"
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

	proofs map[[sha256.Size]byte]proof // owned by mu
}

// A proof is what a token, by its SHA-256, was found to be a moment ago.
type proof struct {
	verifier Verifier
	until    time.Time
	lease    *lease // that it opened: once it is cut, nothing is remembered
}

// A token is looked up again when it was not for proofLife. What ends it in the meantime cuts
// its session, as it cuts a connection; maxProofs bounds what is remembered.
const (
	proofLife = 5 * time.Second
	maxProofs = 10_000
)

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
	return &Sessions{authority: a, idle: idle, open: map[sessionKey]*lease{}, proofs: map[[sha256.Size]byte]proof{}}
}

// Open checks bearer ("": the connection's own certificate) and returns the session of its
// credential, a new one if there is none yet. release must be called once, when the caller no longer
// uses the session; it does not close it. Errors mean that nobody came in.
func (p *Sessions) Open(ctx context.Context, bearer string, from Peer, name string) (s Session, credential string, release func(), err error) {
	// A certificate is part of what is proved, and is looked at each time.
	key, remember := sha256.Sum256([]byte(bearer)), bearer != "" && len(identity.Certificates(ctx)) == 0
	if remember {
		if v, is := p.remembered(key); is {
			s, release, _, err := p.lease(ctx, v, from, name)
			return s, v.Credential, release, err
		}
	}
	v, err := p.authority.Bearer(ctx, bearer)
	if err != nil {
		return nil, "", nil, err
	}
	s, release, l, err := p.lease(ctx, v, from, name)
	if err != nil {
		return nil, "", nil, err
	}
	if remember {
		p.remember(key, proof{v, time.Now().Add(proofLife), l})
	}
	return s, v.Credential, release, nil
}

// OpenProved is Open for a credential that the caller has seen proved itself, by a signature.
func (p *Sessions) OpenProved(ctx context.Context, v Verifier, from Peer, name string) (s Session, release func(), err error) {
	s, release, _, err = p.lease(ctx, v, from, name)
	return s, release, err
}

func (p *Sessions) remembered(key [sha256.Size]byte) (Verifier, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, is := p.proofs[key]
	if !is {
		return Verifier{}, false
	}
	select {
	case <-k.lease.session.Cut():
	default:
		if time.Now().Before(k.until) {
			return k.verifier, true
		}
	}
	delete(p.proofs, key)
	return Verifier{}, false
}

func (p *Sessions) remember(key [sha256.Size]byte, k proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.proofs) >= maxProofs {
		clear(p.proofs)
	}
	p.proofs[key] = k
}

// lease returns the session of a credential, a new one if there is none yet.
func (p *Sessions) lease(ctx context.Context, v Verifier, from Peer, name string) (Session, func(), *lease, error) {
	for {
		l, mine := p.take(sessionKey{v.Credential, from.Gate, name})
		if l == nil {
			return nil, nil, nil, ErrClosed
		}
		if mine {
			l.session, l.err = p.authority.Login(ctx, v, from)
			close(l.ready)
		}
		select {
		case <-l.ready:
		case <-ctx.Done():
			p.release(l)
			return nil, nil, nil, ctx.Err()
		}
		if l.err != nil {
			p.drop(l)
			p.release(l)
			if mine {
				return nil, nil, nil, l.err
			}
			continue // whoever made it failed for reasons of their own
		}
		select {
		case <-l.session.Cut():
			p.drop(l)
			p.release(l)
			if mine {
				return nil, nil, nil, ErrCut
			}
			continue
		default:
		}
		var once sync.Once
		return l.session, func() { once.Do(func() { p.release(l) }) }, l, nil
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
