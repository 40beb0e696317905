package facts

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/internal/policy"
)

// Options of a Writer. Dir is needed.
type Options struct {
	Dir string
	// Age and Bytes bound what is kept: files past them are removed, oldest first.
	Age   time.Duration // 0: any
	Bytes int64         // 0: any
	// Clean replaces in a text what may be a secret or a value; may be nil.
	Clean  func(string) string
	Now    func() time.Time
	Logger *slog.Logger

	flush time.Duration // 2 s
	seal  int           // rows of a file
	queue int           // bytes
}

// sealRows is how many rows a file has when it is put in order and closed.
const sealRows = 1 << 16

// A Writer takes facts from decisions and writes them in the background. Note
// allocates nothing and waits for nobody: what comes faster than it can be written
// is dropped and counted. It is safe for concurrent use.
type Writer struct {
	o     Options
	wake  chan struct{}
	clean cleaner
	file  *os.File // the open one; owned by Run
	size  int64
	rows  int
	begun time.Time
	next  int     // number of the open file
	block builder // owned by Run
	kept  atomic.Int64
	lost  atomic.Int64

	mu      sync.Mutex
	queue   []byte // owned by mu
	spare   []byte // owned by mu; nil while it is written
	queues  uint64 // owned by mu: how many there were, this one too
	entries uint64 // owned by mu: whole ones in this queue
	dropped uint64 // owned by mu
	maps    map[uintptr]written
	read    []Count
	now     values
}

// written is a map as fields. The map is held so that no other gets its address.
type written struct {
	of map[string]string
	as fields
}

// Facts are what Note is told beside a decision and its input.
type Facts struct {
	Gate    string
	Ask     string // id of the approval that it waits for
	Frozen  bool
	Joined  bool
	Outcome Outcome
	Outside []Outside
	Form    *Form // of who asks; nil: it does nothing again and again
}

// Kept and Dropped are how many actions were taken in, and not, since the start.
func (w *Writer) Kept() int64    { return w.kept.Load() }
func (w *Writer) Dropped() int64 { return w.lost.Load() }

const (
	entryFact  = iota
	entryAgain // with the tuples of an entryFact before
	entryAnswer

	longestEntry = 32 << 10
)

// Note takes in one decided action. It copies what it needs.
func (w *Writer) Note(in *policy.Input, d *policy.Decision, f Facts) {
	if w == nil || in == nil || in.Action == nil {
		return
	}
	var known *like // compared before the lock, which all sessions share
	formed := f.Form != nil && plain(in, d, &f)
	if formed {
		known = f.Form.find(in, d, &f)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if cap(w.queue)-len(w.queue) < longestEntry {
		w.drop()
		return
	}
	start := len(w.queue)
	if known != nil && known.queue == w.queues {
		q := append(fields(w.queue), entryAgain, 0, 0, 0, 0).number(known.entry)
		w.noted(start, w.noteNumbers(q, in, &f))
		return
	}
	q, ok := w.noteTuples(append(fields(w.queue), entryFact, 0, 0, 0, 0), start, in, d, &f)
	if !ok {
		w.drop()
		w.queue = w.queue[:start:cap(w.queue)]
		return
	}
	if formed && known == nil && len(q)-start <= longestLike {
		known = f.Form.keep(in, d, &f)
	}
	if known != nil {
		known.queue, known.entry = w.queues, w.entries
	}
	w.entries++
	w.noted(start, w.noteNumbers(q, in, &f))
}

// longestLike is how long an entry may be that a Form keeps in mind, in bytes.
const longestLike = 4 << 10

// noted ends an entry; mu is held.
func (w *Writer) noted(start int, q fields) {
	w.queue = q
	binary.LittleEndian.PutUint32(w.queue[start+1:], uint32(len(w.queue)-start-5))
	w.kept.Add(1)
	if len(w.queue) > cap(w.queue)/4 { // what a block's memory is kept for
		w.rouse()
	}
}

// noteTuples reports false for what is nothing like what people or agents ask for.
func (w *Writer) noteTuples(q fields, start int, in *policy.Input, d *policy.Decision, f *Facts) (fields, bool) {
	labels, masks := w.written(in.Action.Resource.Labels), w.written(d.Masks)
	var at int
	for i := range tuples {
		q, at = append(q, 0, 0, 0), len(q)
		switch i {
		case dictWhat:
			q = appendWhat(q, in, labels, f.Gate)
		case dictWho:
			q = appendWho(q, in)
		case dictAim:
			q = appendAim(q, in)
		case dictClaims:
			q = appendClaims(q, in)
		case dictFound:
			q = appendFound(q, in.Action.Data.Findings)
		case dictDecided:
			q = appendDecided(q, d, f, masks)
		}
		if len(q)-start > longestEntry/2 {
			return q, false
		}
		n := len(q) - at - 3
		q[at], q[at+1], q[at+2] = byte(n), byte(n>>8), byte(n>>16)
	}
	return q, true
}

func (w *Writer) noteNumbers(q fields, in *policy.Input, f *Facts) fields {
	v := &w.now
	v.read(in)
	v[colAsk], v[colOutcome], v[colJoined], v[colReads] = fingerprint(f.Ask), uint64(f.Outcome), boolBit(f.Joined, 0), 0
	w.read = w.read[:0]
	if in.Read != nil {
		if c, is := in.Read.(Counts); is {
			w.read = c.Counts(w.read)
		} else {
			w.read = append(w.read, Count{"all", in.Read.Rows("all")})
		}
		w.read = w.read[:min(len(w.read), maxReads)]
		v[colReads] = uint64(len(w.read)) + 1
	}
	at, have := len(q), uint32(0)
	q = append(q, 0, 0, 0, 0)
	for i := colTime; i < colCount; i++ {
		if v[i] != 0 {
			have |= 1 << (i - colTime)
			q = q.number(v[i])
		}
	}
	binary.LittleEndian.PutUint32(q[at:], have)
	for _, c := range w.read {
		q = q.text(c.Class).number(zigzag(c.Rows))
	}
	return q
}

// Answered takes in what became of the approval that actions waited for.
func (w *Writer) Answered(ask string, o Outcome, took time.Duration) {
	if w == nil || ask == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if cap(w.queue)-len(w.queue) < 64 {
		return // the action itself is kept, without an answer
	}
	w.queue = append(w.queue, entryAnswer, answerSize, 0, 0, 0)
	w.queue = answer{fingerprint(ask), o, uint32(min(max(took/time.Second, 0), 1<<31))}.append(w.queue)
}

func (w *Writer) drop() {
	w.dropped++
	w.lost.Add(1)
	w.rouse()
}

func (w *Writer) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// written is m as fields; the same map is written once.
func (w *Writer) written(m map[string]string) fields {
	if len(m) == 0 {
		return none
	}
	at := reflect.ValueOf(m).Pointer()
	if known, is := w.maps[at]; is {
		return known.as
	}
	f := pairs(m)
	if len(f) > longestEntry/4 {
		return none
	}
	if len(w.maps) >= 128 {
		clear(w.maps)
	}
	w.maps[at] = written{m, f}
	return f
}

var none = fields{0}

// fingerprint stands for an approval; 0 for none.
func fingerprint(id string) uint64 {
	if id == "" {
		return 0
	}
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return max(h, 1)
}

// Open makes a Writer and looks at what a crash left. What is damaged stays as it is.
func Open(o Options) (*Writer, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.flush, o.seal, o.queue = orElse(o.flush, 2*time.Second), orElse(o.seal, sealRows), orElse(o.queue, 1<<20)
	w := &Writer{o: o, wake: make(chan struct{}, 1), clean: cleaner{mask: o.Clean}, queue: make([]byte, 0, o.queue), spare: make([]byte, 0, o.queue), queues: 1, maps: map[uintptr]written{}}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the facts: %w", err)
	}
	if err := w.recover(); err != nil {
		return nil, fmt.Errorf("opening the facts: %w", err)
	}
	return w, nil
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

// Run writes until ctx ends, and then what is left.
func (w *Writer) Run(ctx context.Context) {
	tick := time.NewTicker(w.o.flush)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-tick.C:
		case <-w.wake:
		}
		if err := w.flush(); err != nil {
			w.o.Logger.Error("facts can't be written", "err", err)
		}
	}
	if w.file != nil {
		if err := w.file.Close(); err != nil {
			w.o.Logger.Error("closing the facts", "err", err)
		}
		w.file = nil
	}
}

// flush writes a block of what was taken in.
func (w *Writer) flush() error {
	w.mu.Lock()
	q, dropped := w.queue, w.dropped
	w.queue, w.spare, w.dropped = w.spare[:0], nil, 0
	w.queues, w.entries = w.queues+1, 0
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.spare = q[:0]
		w.mu.Unlock()
	}()
	b := &w.block
	b.reset()
	b.dropped = dropped
	if err := w.take(b, q); err != nil {
		return err
	}
	if b.rows+len(b.answers) > 0 || b.dropped > 0 {
		if err := w.append(b); err != nil {
			w.lost.Add(int64(b.rows))
			w.mu.Lock()
			w.dropped += uint64(b.rows) + b.dropped
			w.mu.Unlock()
			return err
		}
	}
	if w.rows >= w.o.seal || w.rows > 0 && w.o.Now().Sub(w.begun) > 24*time.Hour {
		if err := w.sealFile(); err != nil {
			return err
		}
		return w.retain()
	}
	return nil
}

// take reads the queue into b.
func (w *Writer) take(b *builder, q []byte) error {
	var entries [][tuples]uint32 // whole ones
	var v values
	var classes classes
	for len(q) > 0 {
		kind, n := q[0], binary.LittleEndian.Uint32(q[1:])
		p := parser{b: q[5 : 5+n]}
		q = q[5+n:]
		var ids *[tuples]uint32
		switch kind {
		case entryAnswer:
			b.answers = append(b.answers, readAnswer(p.b))
			continue
		case entryFact:
			entries = append(entries, w.takeTuples(b, &p))
			ids = &entries[len(entries)-1]
		case entryAgain:
			at := p.number()
			if at >= uint64(len(entries)) {
				return errQueue
			}
			ids = &entries[at]
		}
		have := binary.LittleEndian.Uint32(p.b)
		p.b = p.b[4:]
		v = values{}
		for ; have != 0; have &= have - 1 {
			v[colTime+bits.TrailingZeros32(have)] = p.number()
		}
		read := classes.take(b, &p, int(max(v[colReads], 1)-1))
		if p.bad {
			return errQueue
		}
		b.add(ids, &v, read)
	}
	return nil
}

var errQueue = errors.New("an entry of the queue can't be read")

// takeTuples reads the tuples of a whole entry.
func (w *Writer) takeTuples(b *builder, p *parser) (ids [tuples]uint32) {
	for i := range tuples {
		size := int(p.b[0]) | int(p.b[1])<<8 | int(p.b[2])<<16
		raw := p.b[3 : 3+size]
		p.b = p.b[3+size:]
		d := &b.dicts[i]
		id, is := d.number[string(raw)]
		if !is {
			id = d.add(string(raw), w.clean.tuple(i, raw))
		}
		ids[i] = id
	}
	return ids
}

// classes reads what was read of each class: most often the same classes as in the entry before.
type classes struct {
	names []string
	read  []classRows
}

func (c *classes) take(b *builder, p *parser, n int) []classRows {
	for i := range n {
		name := p.bytes()
		if i == len(c.names) {
			c.names, c.read = append(c.names, ""), append(c.read, classRows{})
		}
		if c.names[i] != string(name) || c.names[i] == "" {
			c.names[i], c.read[i].class = string(name), b.dicts[dictClass].id(name)
		}
		c.read[i].rows = unzigzag(p.number())
	}
	return c.read[:n]
}

// append writes b behind what the open file has.
func (w *Writer) append(b *builder) error {
	out, err := b.encode(false)
	if err != nil {
		return err
	}
	if w.file == nil {
		if w.file, err = os.OpenFile(w.path(w.next, partSuffix), os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
			return err
		}
		w.size, w.rows, w.begun = 0, 0, w.o.Now()
	}
	if _, err := w.file.WriteAt(out, w.size); err != nil {
		return errors.Join(err, w.file.Truncate(w.size))
	}
	w.size += int64(len(out))
	w.rows += b.rows
	return nil
}

func (w *Writer) path(number int, suffix string) string {
	return filepath.Join(w.o.Dir, fmt.Sprintf("%08d%s", number, suffix))
}
