package mcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A pipe carries whole messages to one server and back.
type pipe interface {
	send(msg []byte) error
	receive() ([]byte, error) // called by one goroutine
	close()
}

// maxLoose is how many messages that belong to no request wait for somebody to listen.
const maxLoose = 256

// local is a conversation with a server at the other end of a pipe. Where several
// clients share the server, ids are made its own.
type local struct {
	start  func() (pipe, error)
	shared bool
	ended  func() // called once the server has ended by itself; may be nil

	mu      sync.Mutex
	p       pipe                    // owned by mu; nil: not started
	waiting map[string]*localStream // owned by mu: requests, by id
	tokens  map[string]*localStream // owned by mu: the same, by progress token
	loose   chan event              // made with p
	over    chan struct{}           // closed when p has ended
	n       int                     // owned by mu: ids given
	rest    time.Duration           // after which a shared server ends that nobody uses
	timer   *time.Timer             // owned by mu
	renamed map[string]*localStream // owned by mu: by the id that the client gave, where shared
}

// localStream is what comes back to one request.
type localStream struct {
	u     *local
	key   string
	id    []byte // that the client gave; nil: as it is
	token string
	in    chan event
	gone  chan struct{} // closed when nobody reads any more
	once  sync.Once
}

var errEnded = errors.New("the server has ended")

func (u *local) running() (pipe, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.p != nil {
		return u.p, nil
	}
	p, err := u.start()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotStarted, err)
	}
	u.p, u.waiting, u.tokens, u.renamed = p, map[string]*localStream{}, map[string]*localStream{}, map[string]*localStream{}
	u.loose, u.over = make(chan event, maxLoose), make(chan struct{})
	go u.read(p, u.over)
	return p, nil
}

func (u *local) post(_ context.Context, msg []byte, m *message, _ http.Header) (stream, error) {
	p, err := u.running()
	if err != nil {
		return nil, err
	}
	if !m.request() {
		return nil, u.tell(p, msg, m)
	}
	s := &localStream{u: u, key: m.key, in: make(chan event, 16), gone: make(chan struct{})}
	if t := member(member(m.params, "_meta"), "progressToken"); t != nil {
		s.token = string(t)
	}
	u.mu.Lock()
	if u.shared {
		u.n++
		s.id, s.key = m.id, "sa"+strconv.Itoa(u.n)
		msg = m.rename([]byte(`"a` + strconv.Itoa(u.n) + `"`))
		u.renamed[m.key] = s
	}
	if u.timer != nil {
		u.timer.Stop()
	}
	u.waiting[s.key] = s
	if s.token != "" {
		u.tokens[s.token] = s
	}
	u.mu.Unlock()
	if err := p.send(compact(msg)); err != nil {
		s.close()
		return nil, fmt.Errorf("writing to the server: %w", err)
	}
	return s, nil
}

// tell sends what has no answer.
func (u *local) tell(p pipe, msg []byte, m *message) error {
	if u.shared && m.method == "notifications/cancelled" {
		key, err := idKey(member(m.params, "requestId"))
		u.mu.Lock()
		s := u.renamed[key]
		u.mu.Unlock()
		if err != nil || s == nil {
			return nil
		}
		msg = object("jsonrpc", "2.0", "method", m.method, "params", object("requestId", s.key[1:]))
	}
	return p.send(compact(msg))
}

// read takes what the server sends to whom it is for, until it ends.
func (u *local) read(p pipe, over chan struct{}) {
	for {
		b, err := p.receive()
		if err != nil {
			break
		}
		u.deliver(b, over)
	}
	u.mu.Lock()
	if u.p == p {
		u.p = nil
	}
	u.mu.Unlock()
	close(over)
	p.close()
	if u.ended != nil {
		u.ended()
	}
}

func (u *local) deliver(b []byte, over chan struct{}) {
	var to *localStream
	m, err := read(b)
	u.mu.Lock()
	switch {
	case err != nil:
	case m.response():
		if to = u.waiting[m.key]; to != nil && to.id != nil {
			b = m.rename(to.id)
		}
	case m.method == "notifications/progress":
		to = u.tokens[string(member(m.params, "progressToken"))]
	}
	loose := u.loose
	u.mu.Unlock()
	if to != nil {
		select {
		case to.in <- event{data: b}:
		case <-to.gone:
		case <-over:
		}
		return
	}
	select {
	case loose <- event{data: b}:
	default: // nobody listens
		select {
		case <-loose:
		default:
		}
		select {
		case loose <- event{data: b}:
		default:
		}
	}
}

func (s *localStream) next() (event, error) {
	select {
	case e := <-s.in:
		return e, nil
	default:
	}
	s.u.mu.Lock()
	loose, over := s.u.loose, s.u.over
	s.u.mu.Unlock()
	select {
	case e := <-s.in:
		return e, nil
	case e := <-loose: // nobody else may be there to hear it
		return e, nil
	case <-over:
		select { // its last words
		case e := <-s.in:
			return e, nil
		default:
			return event{}, errEnded
		}
	}
}

func (s *localStream) status() int { return 0 }

func (s *localStream) close() {
	s.once.Do(func() { close(s.gone) })
	s.u.mu.Lock()
	defer s.u.mu.Unlock()
	if s.u.waiting[s.key] == s {
		delete(s.u.waiting, s.key)
	}
	if s.u.tokens[s.token] == s {
		delete(s.u.tokens, s.token)
	}
	for key, other := range s.u.renamed {
		if other == s {
			delete(s.u.renamed, key)
		}
	}
	if s.u.shared && len(s.u.waiting) == 0 {
		if s.u.timer != nil {
			s.u.timer.Stop()
		}
		s.u.timer = time.AfterFunc(s.u.rest, func() { s.u.end(context.Background()) })
	}
}

// listen brings what belongs to no request.
func (u *local) listen(ctx context.Context, _ string, _ http.Header) (stream, error) {
	if _, err := u.running(); err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return &looseStream{ctx: ctx, in: u.loose, over: u.over}, nil
}

type looseStream struct {
	ctx  context.Context
	in   chan event
	over chan struct{}
}

func (s *looseStream) next() (event, error) {
	select {
	case e := <-s.in:
		return e, nil
	case <-s.over:
		return event{}, errEnded
	case <-s.ctx.Done():
		return event{}, io.EOF
	}
}
func (s *looseStream) status() int { return http.StatusOK }
func (s *looseStream) close()      {}

func (u *local) end(context.Context) {
	u.mu.Lock()
	p := u.p
	u.mu.Unlock()
	if p != nil {
		p.close()
	}
}
