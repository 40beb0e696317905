package api

import (
	"net/http"
	"sync"
	"time"
)

const (
	paceBurst = 64 << 20 // bytes that a caller may send at once
	paceRate  = 8 << 20  // and each second from then on
	paceLeast = 64 << 10 // what a request counts as, however short it is
	maxPaced  = 10_000   // callers remembered
)

// paces keeps callers from using up the machine: a bucket of bytes each.
type paces struct {
	mu   sync.Mutex
	left map[string]bucket // guarded by mu
}

type bucket struct {
	bytes float64
	at    time.Time
}

// spend takes n bytes of who's, or says when there will be as many.
func (p *paces) spend(who string, n int, now time.Time) *Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == nil || len(p.left) >= maxPaced {
		p.forget(now)
	}
	b, known := p.left[who]
	if !known {
		b = bucket{paceBurst, now}
	}
	b.bytes = min(paceBurst, b.bytes+now.Sub(b.at).Seconds()*paceRate)
	b.at = now
	cost := float64(max(n, paceLeast))
	if cost > b.bytes {
		p.left[who] = b
		out := problem(http.StatusTooManyRequests, "too-fast", "This caller sends more than is looked into at once. Try again after a while.")
		out.retryAfter = time.Duration((cost-b.bytes)/paceRate*float64(time.Second)) + time.Millisecond
		return out
	}
	b.bytes -= cost
	p.left[who] = b
	return nil
}

// forget drops buckets that are full again.
func (p *paces) forget(now time.Time) {
	kept := map[string]bucket{}
	for who, b := range p.left {
		if b.bytes+now.Sub(b.at).Seconds()*paceRate < paceBurst {
			kept[who] = b
		}
	}
	if len(kept) >= maxPaced {
		clear(kept) // a flood of callers: each begins anew
	}
	p.left = kept
}
