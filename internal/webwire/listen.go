package webwire

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// lull is how long a request is under way before anybody listens whether its client is still there.
const lull = 50 * time.Millisecond

// past is a deadline that ends a read at once.
var past = time.Unix(1, 0)

// reading is what goes on at the reading side of a Conn.
//
// net/http sets its deadlines anew for each request, most of which never wait for anything, and has a goroutine read
// one byte ahead while a handler runs, to hear whether the client goes away. A system's timer each time, a goroutine's start and
// end, and a read that finds nothing cost as much as a gate's decision. So a deadline is told to the system when a read may wait,
// and one that is near enough stays; and the read ahead begins when the handler has run for a lull.
type reading struct {
	mu      sync.Mutex
	waits   bool               // a read is under way; as all that follows, guarded by mu
	want    time.Time          // when reads are to end; zero: never
	set     time.Time          // what the system was told
	busy    int                // counts requests whose handler began; 0: none is under way
	last    int                // busy as it was when the timer was set
	timer   *time.Timer        // nil: never set
	armed   bool               // it will fire
	listens chan struct{}      // until it is closed, somebody listens; nil: nobody
	gone    context.CancelFunc // ends the context of the connection; nil: nobody asked for it
}

// apply tells the system what is wanted. mu is held.
func (c *Conn) apply() {
	if !c.in.want.IsZero() && !c.in.set.IsZero() {
		early := c.in.want.Sub(c.in.set)
		if early >= 0 && (early == 0 || early <= time.Until(c.in.want)/8) {
			return
		}
	} else if c.in.want.IsZero() && c.in.set.IsZero() {
		return
	}
	c.bound(c.in.want)
}

func (c *Conn) bound(t time.Time) {
	c.in.set = t
	_ = c.Conn.SetReadDeadline(t)
}

// receive reads the connection. Nobody listens meanwhile.
func (c *Conn) receive(p []byte) (int, error) {
	c.in.mu.Lock()
	c.in.waits = true
	c.apply()
	c.in.mu.Unlock()
	n, err := c.Conn.Read(p)
	c.in.mu.Lock()
	c.in.waits = false
	c.in.mu.Unlock()
	return n, err
}

// SetReadDeadline bounds reads, by up to an eighth of the time less.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.want = t
	if c.aside || c.in.waits {
		c.in.set = t
		return c.Conn.SetReadDeadline(t)
	}
	return nil
}

// ahead says that what is read next is net/http's read ahead of a request that was handed on whole.
func (c *Conn) ahead(p []byte) bool {
	return len(p) == 1 && c.m.between() && c.in.gone != nil
}

// attend notes that a handler runs. Somebody will listen if it takes longer.
func (c *Conn) attend() {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.busy++
	switch {
	case c.in.armed || c.in.listens != nil || len(c.held) > 0: // who has more to ask is there
		return
	case c.in.timer == nil:
		c.in.timer = time.AfterFunc(lull, c.lulled)
	default:
		c.in.timer.Reset(lull)
	}
	c.in.armed, c.in.last = true, c.in.busy
}

// lulled begins to listen, or looks again later where another request has begun.
func (c *Conn) lulled() {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.armed = false
	switch {
	case c.in.busy == 0 || c.in.listens != nil || c.aside:
	case c.in.busy != c.in.last:
		c.in.timer.Reset(lull)
		c.in.armed, c.in.last = true, c.in.busy
	default:
		c.bound(time.Time{})
		c.in.listens = make(chan struct{})
		go c.listen(c.in.listens)
	}
}

// listen waits for the client to say something or to go away.
func (c *Conn) listen(done chan struct{}) {
	defer close(done)
	var b [1]byte
	n, err := c.Conn.Read(b[:])
	if n > 0 {
		c.held = append(c.held, b[0]) // nobody reads before done
		return
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.in.gone()
	}
}

// rest ends the listening: whoever reads next has begun.
func (c *Conn) rest() {
	c.in.mu.Lock()
	c.in.busy = 0
	done := c.in.listens
	if done != nil {
		c.bound(past)
	}
	c.in.mu.Unlock()
	if done == nil {
		return
	}
	<-done
	c.in.mu.Lock()
	c.in.listens = nil
	c.in.mu.Unlock()
}

// leave ends what was begun for the connection's requests.
func (c *Conn) leave() {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.busy = 0
	if c.in.timer != nil {
		c.in.timer.Stop()
	}
	if c.in.gone != nil && !c.aside { // taken does
		c.in.gone()
	}
}
