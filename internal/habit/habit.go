// Package habit remembers what each actor did: which shapes of actions, and on what.
//
// It promises to learn only what it is told was done, to keep that over restarts and
// to share it between the nodes of one store, and to forget what was not done for
// MaxAge. What is stored are keyed hashes in sealed rows: a row that was edited, put back or
// taken away is not believed, and its actor begins anew. What can't be read is unknown.
// It answers from memory; what is learnt is written about once a minute and actor, so a
// crash forgets the last minute.
//
// It can't see whether what was done was good: an agent can make anything its habit. So
// nothing may be permitted because it was seen before (docs/policy.md).
package habit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/internal/sealed"
)

// Bounds of what is remembered of one actor.
const (
	MaxShapes  = 2048
	MaxTargets = 1024
	MaxAge     = 90 * 24 * time.Hour

	keepEvery  = time.Minute
	tryAgain   = 5 * time.Second // after reading failed
	readTime   = 2 * time.Second
	freshDays  = 7 // how old a mark may be before it is written again
	maxAgeDays = uint16(MaxAge / (24 * time.Hour))
	idle       = 24 * time.Hour // after which a book is read again
)

// Options are the parts of a Memory. Box and Key are needed.
type Options struct {
	Box    *sealed.Box
	Key    []byte // of the hashes; kept outside the store
	Clock  func() time.Time
	Logger *slog.Logger
}

// A Memory knows what actors did. It is safe for concurrent use.
type Memory struct {
	o Options

	mu      sync.Mutex
	books   map[string]*Book // by actor; owned by mu
	changed map[string]bool  // actors whose rows are to be read again; owned by mu
}

// New returns a Memory that reads what it needs from the store.
func New(o Options) (*Memory, error) {
	if o.Box == nil || len(o.Key) < 32 {
		return nil, errors.New("habit: a part is missing")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Memory{o: o, books: map[string]*Book{}, changed: map[string]bool{}}
	o.Box.Watch(string(rows), m.wake)
	return m, nil
}

// An Act is an action as it is remembered. A part that is 0 is not known.
type Act struct{ Shape, Target uint64 }

// Act is the act of a shape on a target of a system. What has no target is about the
// system itself.
func (m *Memory) Act(system, shape, target string) (a Act) {
	if shape != "" {
		a.Shape = m.hash("shape", system, shape)
	}
	if system != "" || target != "" {
		a.Target = m.hash("target", system, target)
	}
	return a
}

// hash is never 0.
func (m *Memory) hash(parts ...string) uint64 {
	h := hmac.New(sha256.New, m.o.Key)
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return max(binary.BigEndian.Uint64(h.Sum(nil)), 1)
}

// Book is the book of one actor; callers may keep it.
func (m *Memory) Book(actor string) *Book {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.books[actor]
	if b == nil {
		b = &Book{m: m, actor: actor}
		m.books[actor] = b
	}
	return b
}

// A Book is what one actor did.
type Book struct {
	m     *Memory
	actor string
	used  atomic.Int64 // when it was last asked, in seconds since 1970

	mu      sync.RWMutex // guards what follows
	ready   bool         // what is stored was read
	after   time.Time    // not to be read before
	shapes  marks
	targets marks
	dirty   bool // it knows what is not stored
	edited  bool // that its rows were edited was told
}

// marks are what was done, by hash: the day it was last noted.
type marks map[uint64]uint16

// Seen says whether something was done before.
type Seen uint8

// What is known of it. The zero value is for what nobody knows.
const (
	Unknown Seen = iota
	Before
	Never
)

// Knows tells what of a this actor did before now. It allocates nothing once the book was read.
func (b *Book) Knows(ctx context.Context, a Act, now time.Time) (shape, target Seen) {
	b.used.Store(now.Unix())
	b.mu.RLock()
	ready, wait := b.ready, now.Before(b.after)
	if ready {
		shape, target = b.shapes.knows(a.Shape, day(now)), b.targets.knows(a.Target, day(now))
	}
	b.mu.RUnlock()
	if ready || wait {
		return shape, target
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	if err := b.read(ctx); err != nil {
		b.mu.Lock()
		b.after = now.Add(tryAgain)
		b.mu.Unlock()
		b.m.o.Logger.WarnContext(ctx, "what an actor did before can't be read, so nobody knows", "actor", b.actor, "err", err)
		return Unknown, Unknown
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.shapes.knows(a.Shape, day(now)), b.targets.knows(a.Target, day(now))
}

func (m marks) knows(hash uint64, today uint16) Seen {
	if hash == 0 {
		return Unknown
	}
	if at, is := m[hash]; is && at+maxAgeDays >= today {
		return Before
	}
	return Never
}

// Did notes that this actor did a at a time. It writes nothing itself.
func (b *Book) Did(a Act, at time.Time) {
	today := day(at)
	b.mu.RLock()
	fresh := b.shapes.fresh(a.Shape, today) && b.targets.fresh(a.Target, today)
	b.mu.RUnlock()
	if fresh {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shapes, b.targets = b.shapes.with(a.Shape, today, 2*MaxShapes), b.targets.with(a.Target, today, 2*MaxTargets)
	b.dirty = true
}

func (m marks) fresh(hash uint64, today uint16) bool {
	at, is := m[hash]
	return hash == 0 || is && at+freshDays > today
}

func (m marks) with(hash uint64, at uint16, most int) marks {
	if hash == 0 {
		return m
	}
	if m == nil {
		m = marks{}
	}
	m[hash] = max(m[hash], at)
	if len(m) > most {
		m.prune(at, most/2)
	}
	return m
}

// day counts days since 2020, so that two bytes last beyond 2190.
func day(t time.Time) uint16 {
	const first = 18262 // 2020-01-01, in days since 1970
	return uint16(min(max(t.Unix()/86400-first, 0), 1<<16-1-int64(maxAgeDays)))
}

// Run writes what was learnt and reads what others wrote, until ctx ends.
func (m *Memory) Run(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			m.keep(last)
			return
		case <-tick.C:
			m.keep(ctx)
			m.rest()
		}
	}
}

func (m *Memory) keep(ctx context.Context) {
	if err := m.Keep(ctx); err != nil && ctx.Err() == nil {
		m.o.Logger.ErrorContext(ctx, "what actors did can't be kept; it will be new to them after a restart", "err", err)
	}
}

// rest forgets books that nobody asks; they are read again where somebody does.
func (m *Memory) rest() {
	now := m.o.Clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.books {
		if now.Sub(time.Unix(b.used.Load(), 0)) < idle {
			continue
		}
		b.mu.Lock()
		if !b.dirty {
			b.ready, b.shapes, b.targets = false, nil, nil
		}
		b.mu.Unlock()
	}
}
