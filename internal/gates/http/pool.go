package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// What a check takes when its route doesn't say.
const (
	checkEvery = 10 * time.Second
	checkTime  = 3 * time.Second
)

// A pool is the upstreams of a route.
type pool struct {
	route *Route
	ups   []*upstream
	next  atomic.Uint32 // who is asked first, where several have as much to do
}

// An upstream is one address of a route.
type upstream struct {
	url   *url.URL
	route *Route
	open  atomic.Int64 // requests that have not been answered whole

	mu  sync.Mutex
	err error // why it isn't asked; owned by mu
}

func newPool(r *Route) *pool {
	p := &pool{route: r}
	for _, u := range r.Upstreams {
		p.ups = append(p.ups, &upstream{url: u, route: r})
	}
	return p
}

func (u *upstream) sick() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

func (u *upstream) found(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.err = err
}

// pick is the upstream with the least to do of those that answer; nil: none does.
func (p *pool) pick() *upstream {
	var best *upstream
	first := int(p.next.Add(1))
	for i := range p.ups {
		u := p.ups[(first+i)%len(p.ups)]
		if u.sick() != nil {
			continue
		}
		if best == nil || u.open.Load() < best.open.Load() {
			best = u
		}
	}
	return best
}

// run checks the upstreams until ctx ends.
func (p *pool) run(ctx context.Context) {
	h := p.route.Health
	if h == nil {
		return
	}
	every := h.Every
	if every == 0 {
		every = checkEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		p.check(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check asks all upstreams at once.
func (p *pool) check(ctx context.Context) {
	var work sync.WaitGroup
	for _, u := range p.ups {
		work.Go(func() {
			if err := u.ask(ctx); ctx.Err() == nil {
				u.found(err)
			}
		})
	}
	work.Wait()
}

// ask is one check. It carries the route's credential and follows nothing.
func (u *upstream) ask(ctx context.Context) error {
	h := u.route.Health
	limit := h.Timeout
	if limit == 0 {
		limit = checkTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.url.Scheme+"://"+u.url.Host+h.Path, nil)
	if err != nil {
		return err
	}
	if u.route.Headers != nil {
		own, err := u.route.Headers(ctx)
		if err != nil {
			return err
		}
		for name, values := range own {
			req.Header[name] = values
		}
	}
	resp, err := u.route.Transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	if h.Status == resp.StatusCode || h.Status == 0 && resp.StatusCode >= 200 && resp.StatusCode < 400 {
		return nil
	}
	return fmt.Errorf("%s answered %d", h.Path, resp.StatusCode)
}

// state is why no upstream of the route is asked; nil while one is.
func (p *pool) state() error {
	var errs []error
	for _, u := range p.ups {
		err := u.sick()
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", u.url.Host, err))
	}
	return fmt.Errorf("route %s: %w", p.route.Name, errors.Join(errs...))
}

// RoundTrip sends a request of the route to the upstream with the least to do. The
// request names the first: what was approved doesn't depend on which one it is.
func (p *pool) RoundTrip(req *http.Request) (*http.Response, error) {
	u := p.pick()
	if u == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no upstream of the route answers")}
	}
	if first := p.ups[0]; u != first {
		to := *req.URL
		to.Scheme, to.Host = u.url.Scheme, u.url.Host
		if req = req.WithContext(req.Context()); req.Host == first.url.Host {
			req.Host = ""
		}
		req.URL = &to
	}
	return u.send(req)
}

// send counts a request until its answer was read, and has the answer lead nowhere else.
func (u *upstream) send(req *http.Request) (*http.Response, error) {
	u.open.Add(1)
	resp, err := u.route.Transport.RoundTrip(req)
	if err != nil {
		u.open.Add(-1)
		var dial *net.OpError
		if u.route.Health != nil && errors.As(err, &dial) && dial.Op == "dial" {
			u.found(err) // until the next check: others are asked meanwhile
		}
		return nil, err
	}
	u.route.bind(resp, u.url)
	done := sync.OnceFunc(func() { u.open.Add(-1) })
	if both, is := resp.Body.(io.ReadWriteCloser); is { // another protocol from here on
		resp.Body = &countedBoth{both, done}
	} else {
		resp.Body = &counted{resp.Body, done}
	}
	return resp, nil
}

type counted struct {
	io.ReadCloser
	done func()
}

func (c *counted) Close() error {
	c.done()
	return c.ReadCloser.Close()
}

type countedBoth struct {
	io.ReadWriteCloser
	done func()
}

func (c *countedBoth) Close() error {
	c.done()
	return c.ReadWriteCloser.Close()
}
