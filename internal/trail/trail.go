// Package trail keeps what led to what: the task that an agent was given, the commands
// and tool calls under way from which further actions come, and what an actor has seen
// that should make the next action suspect (taint).
//
// It promises that what one actor states reaches that actor's own sessions only, that
// text is masked before it is kept anywhere, and that taint is durable before what
// taints is passed on. Taint belongs to the actor and the person behind it: a new
// session, a restart or another node clears nothing. What can't be read is unknown,
// and restricts.
//
// It can't see what an agent does with what it has read, nor what comes back through an
// object that the agent stored, nor another person's agent that it talks to.
package trail

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// Bounds of what is kept.
const (
	maxWhole    = 8 << 10   // bytes of a prompt that is remembered as it was told
	maxPrompt   = 2 << 10   // bytes of a masked prompt
	maxTold     = 256 << 10 // bytes of a prompt that are looked at
	maxName     = 128       // of a session or a run
	maxSessions = 64        // of one actor, of which prompts are in memory
	maxRuns     = 256       // of one actor, under way or ended lately
	maxChain    = 8         // actions that led to one
	keepEnded   = 10 * time.Minute
	lookAgain   = 5 * time.Second // for prompts that other nodes took in
)

// A Who is an actor and the person behind it. What one Who states reaches no other.
type Who struct{ Person, Actor string }

// Log is where prompts are recorded and found again.
type Log interface {
	Record(ctx context.Context, recs ...*audit.Record) error
	Search(ctx context.Context, q audit.Query) ([]audit.Record, error)
}

// Options are the parts a Trail is made of. All but Shared, Clock and Logger are needed.
type Options struct {
	Box    *sealed.Box
	Log    Log
	Key    []byte              // of prompts' hashes
	Mask   func(string) string // of free text
	Window time.Duration       // how long taint lasts
	Shared bool                // other processes write too
	Clock  func() time.Time
	Logger *slog.Logger
}

// A Trail knows what led to what. It is safe for concurrent use.
type Trail struct {
	o     Options
	dirty chan struct{}

	mu      sync.Mutex
	books   map[Who]*Book      // owned by mu
	people  map[string]*person // owned by mu
	changed map[string]bool    // ids of rows to read again; owned by mu
	state   loaded
}

// New returns a Trail for which every taint is unknown until Load.
func New(o Options) (*Trail, error) {
	if o.Box == nil || o.Log == nil || len(o.Key) < 32 || o.Mask == nil || o.Window <= 0 {
		return nil, errors.New("trail: a part is missing")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Trail{o: o, dirty: make(chan struct{}, 1), books: map[Who]*Book{}, people: map[string]*person{}, changed: map[string]bool{}}
	o.Box.Watch(string(rows), t.wake)
	return t, nil
}

// Book is the book of one actor; callers may keep it.
func (t *Trail) Book(w Who) *Book {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.books[w]
	if b == nil {
		p := t.people[w.Person]
		if p == nil {
			p = &person{}
			t.people[w.Person] = p
		}
		b = &Book{t: t, who: w, person: p, prompts: map[string]*told{}}
		t.books[w] = b
	}
	return b
}

// A Book is what is known of one actor.
type Book struct {
	t      *Trail
	who    Who
	person *person
	facts  facts

	mu      sync.Mutex       // guards what follows
	prompts map[string]*told // by session
	runs    []*run           // the oldest first
	leads   map[leadKey]*approval.Lead
	changes int // of prompts and runs: what was found before one is not kept
}

// told is what is known of one session's prompt.
type told struct {
	prompt *approval.Prompt // nil: there was none
	looked time.Time        // when the log was last asked
	// records are what the session read since, in this process.
	records []record
}

// Prompt takes in what an agent was told to do, in a session that its side names. It
// becomes the intent of the actions that follow in this session. An error means
// that it was not taken in; nothing depends on it but what people read.
func (b *Book) Prompt(ctx context.Context, session, text string, rec audit.Record) error {
	session, ok := b.t.Name(session)
	if !ok || session == "" {
		return errors.New("taking in a prompt: it needs the name of a session, of letters, digits and ._:- only")
	}
	p := b.t.prompt(text)
	rec.Type, rec.Actor, rec.Session = audit.TypePrompt, b.who.Actor, session
	if rec.Detail == nil {
		rec.Detail = map[string]string{}
	}
	rec.Detail["prompt"], rec.Detail["text"], rec.Detail["person"] = p.Hash, p.Text, b.who.Person
	if p.Cut {
		rec.Detail["more"] = "it was longer"
	}
	if err := b.t.o.Log.Record(ctx, &rec); err != nil {
		return fmt.Errorf("taking in a prompt: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := &told{prompt: p, looked: p.Time}
	if k := b.prompts[session]; k != nil {
		next.records = k.records
	}
	b.keep(session, next)
	return nil
}

// keep is called with mu held.
func (b *Book) keep(session string, t *told) {
	if len(b.prompts) >= maxSessions && b.prompts[session] == nil {
		oldest, at := "", t.looked
		for name, other := range b.prompts {
			if !other.looked.After(at) {
				oldest, at = name, other.looked
			}
		}
		delete(b.prompts, oldest)
	}
	b.prompts[session] = t
	b.moved()
}

// moved forgets what was found. mu is held.
func (b *Book) moved() {
	b.leads = nil
	b.changes++
}

// prompt masks and bounds what an agent was told.
func (t *Trail) prompt(text string) *approval.Prompt {
	h := hmac.New(sha256.New, t.o.Key)
	h.Write([]byte("assent-prompt/1\x00"))
	h.Write([]byte(text))
	p := &approval.Prompt{Hash: hex.EncodeToString(h.Sum(nil)[:16]), Time: t.o.Clock().UTC().Truncate(time.Microsecond)}
	begin := head(strings.ToValidUTF8(text, "\uFFFD"), maxTold)
	if len(text) <= maxWhole {
		p.Whole = begin
	}
	p.Text = t.o.Mask(begin)
	p.Cut = len(text) > maxTold
	if p.Cut && len(p.Text) <= maxPrompt { // its end may be half of a value that would have been masked
		p.Text = ""
	}
	if len(p.Text) > maxPrompt {
		p.Text, p.Cut = head(p.Text, maxPrompt), true
	}
	return p
}

// head is the beginning of s, of at most n bytes, in whole runes.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Name is a name that an asker gave to a session or a run; false when it is none that may be kept.
func (t *Trail) Name(s string) (string, bool) {
	if len(s) > maxName {
		return "", false
	}
	for _, c := range []byte(s) {
		if !nameByte(c) {
			return "", false
		}
	}
	return s, s == "" || t.o.Mask(s) == s
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._:-", c) >= 0
}

// newest finds the prompt of a session, in memory or in the log.
func (b *Book) newest(ctx context.Context, session string) *approval.Prompt {
	if session == "" {
		return nil
	}
	now := b.t.o.Clock()
	b.mu.Lock()
	k := b.prompts[session]
	b.mu.Unlock()
	if k != nil && (!b.t.o.Shared || now.Sub(k.looked) < lookAgain) {
		return k.prompt
	}
	found, err := b.t.o.Log.Search(ctx, audit.Query{Types: []string{audit.TypePrompt}, Actor: b.who.Actor, Session: session, Limit: 8})
	if err != nil {
		if ctx.Err() == nil {
			b.t.o.Logger.Warn("the prompt of a session can't be read", "err", err)
		}
		if k != nil {
			return k.prompt
		}
		return nil
	}
	next := &told{looked: now}
	for i := range found {
		if r := &found[i]; r.Detail["person"] == b.who.Person {
			next.prompt = &approval.Prompt{Hash: r.Detail["prompt"], Text: r.Detail["text"], Cut: r.Detail["more"] != "", Time: r.Time}
			break
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if k := b.prompts[session]; k != nil && k.prompt != nil && next.prompt != nil && k.prompt.Hash == next.prompt.Hash {
		k.looked = next.looked // the same, of which this process knows more
		return k.prompt
	}
	if k := b.prompts[session]; k != nil && k.prompt != nil && (next.prompt == nil || k.prompt.Time.After(next.prompt.Time)) {
		next.prompt = k.prompt // taken in meanwhile
	}
	b.keep(session, next)
	return next.prompt
}

// Names says whether a prompt names the target of an action: its last part, as a word
// of its own, whatever the case.
func Names(p *approval.Prompt, target string) string {
	if p == nil || target == "" {
		return ""
	}
	short := target[strings.LastIndexAny(target, "./:\\")+1:]
	if short == "" || strings.Contains(target, "masked:") { // masked values look alike
		return ""
	}
	lower, upper := fold(short[0])
	for at := 0; at+len(short) <= len(p.Text); at++ {
		if c := p.Text[at]; (c == lower || c == upper) && strings.EqualFold(p.Text[at:at+len(short)], short) && edge(p.Text, at-1) && edge(p.Text, at+len(short)) {
			return "yes"
		}
	}
	if p.Cut {
		return ""
	}
	return "no"
}

// fold is a byte in both cases.
func fold(c byte) (lower, upper byte) {
	switch {
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A', c
	case c >= 'a' && c <= 'z':
		return c, c - 'a' + 'A'
	}
	return c, c
}

// edge says that the byte at i of s doesn't belong to a word.
func edge(s string, i int) bool {
	if i < 0 || i >= len(s) {
		return true
	}
	c := s[i]
	return c < 0x80 && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}
