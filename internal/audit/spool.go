package audit

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrSpoolFull says that the spool has reached its limit: what must be recorded may not happen.
var ErrSpoolFull = errors.New("the traffic spool is full")

// ErrSpoolDead says that the spool couldn't be written. It stays dead until
// the process starts anew: after a failed fsync nobody knows what is on disk,
// and a second fsync would only say that all is well.
var ErrSpoolDead = errors.New("the traffic spool can't be written")

var errSpoolClosed = errors.New("the traffic spool is closed")

// SpoolOptions of a Spool. Only Dir and Node are needed.
type SpoolOptions struct {
	Dir  string
	Node string // name of this node in its seals

	SegmentBytes int64         // a segment is closed at this size; 0: 64 MiB
	MaxBytes     int64         // all segments together; 0: 8 GiB
	SyncEvery    time.Duration // longest wait before an fsync begins; 0: 40 ms
	Now          func() time.Time
	// OnSeal is called for each segment that this Spool closes, after it is
	// durable, from a goroutine of the Spool: Close waits for it.
	OnSeal func(Seal)
	// Archive is where Ship moves closed segments; nil: they stay in Dir, and count against MaxBytes.
	Archive Archiver

	disk disk // nil: the real one
}

// An Archiver takes closed segments over. *Archive is one; one on another machine may be another.
type Archiver interface {
	// Ingest is that of Archive.
	Ingest(ctx context.Context, seal Seal, r *io.SectionReader) error
	// Segments are the numbers of the node's segments, ascending.
	Segments(ctx context.Context, node string) ([]int64, error)
	// Open opens a segment; fs.ErrNotExist: it isn't there, or can't be had.
	Open(ctx context.Context, node string, segment int64) (ShelfFile, error)
}

// disk is what a spool writes to.
type disk interface {
	create(path string) (file, error)
	syncDir(dir string) error
}

type file interface {
	io.Writer
	Sync() error // of data and size
	Close() error
}

type osDisk struct{}

func (osDisk) create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // to be mapped, it must be readable
	if err != nil {
		return nil, err
	}
	grown, err := grow(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return grown, nil
}

func (osDisk) syncDir(dir string) error { return syncDir(dir) }

type osFile struct{ *os.File }

func (f *osFile) Sync() error { return fdatasync(f.File) }

// A Spool is the traffic lane of one node: harmless reads and their outcomes,
// appended to segment files and synced in groups. It is safe for concurrent
// use. Once it fails it refuses everything.
type Spool struct {
	o      SpoolOptions
	wake   chan struct{} // something was written
	urgent chan struct{} // a segment was closed: don't wait
	quit   chan struct{} // closed by Close
	done   chan struct{} // closed when the sync goroutine has ended

	shipping sync.Mutex // held by Ship; taken before mu
	syncing  sync.Mutex // held by whoever syncs and closes files; taken before mu

	mu      sync.Mutex // guards what follows
	dead    error
	current file // nil until the first record of a segment
	closing []closing
	fresh   bool // a file was created and its directory not yet synced
	number  int64
	first   int64 // seq of the first record of the current segment
	tree    frontier
	size    int64 // bytes in the current segment
	total   int64 // bytes in all segments
	next    int64 // seq of the next record
	synced  int64 // all before this seq are durable
	last    time.Time
	round   chan struct{} // closed at the end of each sync
	seals   []Seal
	untold  []Seal // those OnSeal hasn't heard of
	buf     []byte // one frame
	stamp   stamp
	recent  recent
}

// closing is a segment that has its trailer and waits to be synced and closed.
type closing struct {
	f    file
	seal Seal
}

// OpenSpool opens the spool in o.Dir, making the directory if need be. What a
// crash left behind is read up to the first bad frame and stays as it is; new
// records go to a new segment. Seals tells of all segments that were there.
func OpenSpool(o SpoolOptions) (*Spool, error) {
	if o.Dir == "" || o.Node == "" || len(o.Node) > 128 {
		return nil, errors.New("opening spool: it needs a directory and a node name of at most 128 bytes")
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 8 << 30
	}
	if o.SyncEvery == 0 {
		o.SyncEvery = 40 * time.Millisecond
	}
	if o.SegmentBytes < 0 || o.MaxBytes < 0 || o.SyncEvery < 0 || o.SyncEvery > 50*time.Millisecond {
		return nil, errors.New("opening spool: sizes can't be negative, nor syncs more than 50 ms apart")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.disk == nil {
		o.disk = osDisk{}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening spool: %w", err)
	}
	s := &Spool{
		o: o, wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		quit: make(chan struct{}), done: make(chan struct{}), round: make(chan struct{}),
	}
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("opening spool: %w", err)
	}
	go s.run()
	return s, nil
}

// recover reads what is there. Segments that a crash left open may be in
// memory only: they are synced before anybody puts their seal into the log, and
// the room that was reserved behind them is given back.
func (s *Spool) recover() error {
	numbers, err := segmentsIn(s.o.Dir)
	if err != nil {
		return err
	}
	first, err := s.oldest(numbers)
	if err != nil {
		return err
	}
	segments, err := readSegments(numbers, first, nobody, readIn(s.o.Dir, func(_ int64, leaf []byte) error {
		if t, ok := leafTime(leaf); ok && t.After(s.last) {
			s.last = t
		}
		return nil
	}))
	if err != nil {
		return err
	}
	for _, g := range segments {
		g.Node = s.o.Node
		if !g.Clean || g.room > 0 {
			f, err := os.OpenFile(g.Path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			if err := errors.Join(f.Truncate(g.Bytes), f.Sync(), f.Close()); err != nil {
				return err
			}
		}
		s.seals = append(s.seals, g.Seal)
		s.number, s.next = g.Segment, max(s.next, g.First+g.Count)
		s.total += g.Bytes
	}
	s.synced, s.recent.first = s.next, s.next
	return s.o.disk.syncDir(s.o.Dir)
}

// Append writes a record and sets its Index, which counts within this spool,
// and its Time. It returns when the record is written; an fsync follows within
// 50 ms. After a power cut what was written last may be missing, and the seal says so.
func (s *Spool) Append(r *Record) (seq int64, err error) { return s.append(r, nil) }

// AppendLike is Append for a record that is much like the one that was written with f before.
func (s *Spool) AppendLike(r *Record, f *Form) (seq int64, err error) {
	f.write(r) // before the lock, which all sessions share
	seq, err = s.append(r, f)
	f.forget()
	return seq, err
}

func (s *Spool) append(r *Record, f *Form) (seq int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.add(r, f); err != nil {
		return 0, err
	}
	signal(s.wake)
	return r.Index, nil
}

// add writes the frame of r, which f has written if it is not nil. s.mu is held.
func (s *Spool) add(r *Record, f *Form) error {
	if s.dead != nil {
		return s.dead
	}
	now := s.o.Now().UTC().Truncate(time.Microsecond)
	if s.last.After(now) {
		now = s.last
	}
	r.Index, r.Time = s.next, now
	buf := append(s.buf[:0], make([]byte, frameHeader)...)
	var err error
	if f == nil {
		buf, _, err = leafOf(buf, r)
	} else {
		buf, err = f.leaf(buf, r, &s.stamp)
	}
	if err != nil {
		return err
	}
	s.buf = buf
	leaf := buf[frameHeader:]
	need := int64(len(buf))
	if s.total+need+trailerSpace > s.o.MaxBytes {
		return fmt.Errorf("%w: %d of %d bytes; raise its limit", ErrSpoolFull, s.total, s.o.MaxBytes)
	}
	if s.current != nil && s.size+need+trailerSpace > s.o.SegmentBytes {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	if s.current == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	h := recordHash(buf[frameHeader-1:])
	putHeader(buf[:frameHeader], s.next, false, leaf)
	at := s.size
	if err := s.write(buf); err != nil {
		return err
	}
	s.recent.add(s.next, place{s.number, at})
	s.tree.add(h, nil)
	s.last = now
	s.next++
	return nil
}

// recordHash is tlog.RecordHash of what follows the first byte, which it clears:
// that makes it a leaf and no node (RFC 6962 section 2.1), without moving the rest.
func recordHash(b []byte) tlog.Hash {
	b[0] = 0
	return sha256.Sum256(b)
}

// AppendSync is Append, and returns only when the record is durable.
func (s *Spool) AppendSync(ctx context.Context, r *Record) (seq int64, err error) {
	if seq, err = s.Append(r); err != nil {
		return 0, err
	}
	return seq, s.waitFor(ctx, seq+1)
}

// Sync returns when everything appended before is durable.
func (s *Spool) Sync(ctx context.Context) error {
	s.mu.Lock()
	target := s.next
	s.mu.Unlock()
	return s.waitFor(ctx, target)
}

// waitFor syncs by itself when nobody else does: a lone writer then waits for
// the disk only, not for another goroutine.
func (s *Spool) waitFor(ctx context.Context, target int64) error {
	for {
		s.mu.Lock()
		dead, ok, round := s.dead, s.synced >= target, s.round
		s.mu.Unlock()
		switch {
		case ok:
			return nil
		case errors.Is(dead, ErrSpoolDead):
			return dead
		case s.syncing.TryLock():
			s.flush()
			continue
		}
		select {
		case <-round:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the spool to be durable: %w", ctx.Err())
		}
	}
}

// Rotate closes the current segment, so that its seal reaches the log now. An empty one stays.
func (s *Spool) Rotate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead != nil {
		return s.dead
	}
	if s.current == nil {
		return nil
	}
	err := s.rotate()
	signal(s.urgent)
	return err
}

// begin creates the next segment. s.mu is held, as in the functions below.
func (s *Spool) begin() error {
	if s.number == maxSegments {
		return s.die(errors.New("no segment number is left"))
	}
	if s.fresh {
		// Only the newest segment may be one that a power cut takes away whole:
		// a hole among the numbers always means that somebody made it.
		if err := s.o.disk.syncDir(s.o.Dir); err != nil {
			return s.die(err)
		}
	}
	f, err := s.o.disk.create(filepath.Join(s.o.Dir, fmt.Sprintf(segmentName, s.number+1)))
	if err != nil {
		return s.die(err)
	}
	s.number++
	s.current, s.fresh, s.first, s.tree, s.size = f, true, s.next, frontier{}, 0
	return nil
}

// rotate writes the trailer of the current segment and leaves it to the sync goroutine.
func (s *Spool) rotate() error {
	seal := Seal{Node: s.o.Node, Segment: s.number, First: s.first, Count: s.tree.size, Root: s.tree.root(), Clean: true}
	b, err := json.Marshal(seal)
	if err != nil {
		return s.die(err)
	}
	trailer := appendFrame(nil, frame{seq: s.next, trailer: true, payload: b})
	if err := s.write(trailer); err != nil {
		return err
	}
	s.closing = append(s.closing, closing{s.current, seal})
	s.current = nil
	return nil
}

// write puts b behind what the current segment holds.
func (s *Spool) write(b []byte) error {
	n, err := s.current.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return s.die(err)
	}
	s.size += int64(n)
	s.total += int64(n)
	return nil
}

// die makes every later call fail with the first failure.
func (s *Spool) die(err error) error {
	if s.dead == nil || errors.Is(s.dead, errSpoolClosed) {
		s.dead = fmt.Errorf("%w: %w", ErrSpoolDead, err)
	}
	return s.dead
}

// run syncs what nobody waits for, and tells of sealed segments.
func (s *Spool) run() {
	defer close(s.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ending := false; !ending; {
		select {
		case <-s.quit:
			ending = true
		case <-s.urgent:
		case <-s.wake:
			timer.Reset(s.o.SyncEvery)
			select {
			case <-timer.C:
			case <-s.urgent:
			case <-s.quit:
			}
		}
		s.syncing.Lock()
		s.flush()
		s.tell()
	}
}

// tell calls OnSeal for the segments sealed since.
func (s *Spool) tell() {
	s.mu.Lock()
	seals := s.untold
	s.untold = nil
	s.mu.Unlock()
	if s.o.OnSeal == nil {
		return
	}
	for _, seal := range seals {
		s.o.OnSeal(seal)
	}
}

// flush makes everything written so far durable. The caller holds s.syncing,
// which flush gives back before it wakes the waiters, so that one of them can have it.
func (s *Spool) flush() {
	s.mu.Lock()
	closed, current, fresh, upTo, number := s.closing, s.current, s.fresh, s.next, s.number
	alive := s.dead == nil || errors.Is(s.dead, errSpoolClosed)
	idle := len(closed) == 0 && s.synced == upTo
	s.closing = nil
	s.mu.Unlock()
	var err error
	if alive && !idle {
		err = s.sync(closed, current, fresh)
	}

	s.mu.Lock()
	switch {
	case err != nil:
		_ = s.die(err) // told to every caller from now on
	case alive:
		s.synced, s.fresh = upTo, s.fresh && s.number != number
		for _, c := range closed {
			s.seals, s.untold = append(s.seals, c.seal), append(s.untold, c.seal)
			signal(s.urgent)
		}
	}
	s.syncing.Unlock()
	close(s.round)
	s.round = make(chan struct{})
	s.mu.Unlock()
}

func (s *Spool) sync(closed []closing, current file, fresh bool) error {
	for _, c := range closed {
		if err := c.f.Sync(); err != nil {
			return err
		}
		if err := c.f.Close(); err != nil {
			return err
		}
	}
	if current != nil {
		if err := current.Sync(); err != nil {
			return err
		}
	}
	if fresh {
		return s.o.disk.syncDir(s.o.Dir)
	}
	return nil
}

// Close closes the current segment, waits until all is durable and ends the
// goroutine. Its error says that what was appended last may be lost.
func (s *Spool) Close() error {
	s.mu.Lock()
	if errors.Is(s.dead, errSpoolClosed) {
		s.mu.Unlock()
		<-s.done
		return nil
	}
	if s.dead == nil && s.current != nil {
		_ = s.rotate() // a failure is kept in s.dead
	}
	dead := s.dead
	if dead == nil {
		s.dead = errSpoolClosed
	}
	select {
	case <-s.quit:
	default:
		close(s.quit)
	}
	s.mu.Unlock()
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.dead, errSpoolClosed) {
		return nil
	}
	if s.current != nil {
		_ = s.current.Close() // dead: nothing that it may still say would help
		s.current = nil
	}
	return s.dead
}

// SpoolStatus tells how a spool is.
type SpoolStatus struct {
	Err      error // why it refuses everything; nil when all is well
	Segment  int64 // number of the newest segment
	Records  int64
	Unsynced int64 // records not yet durable
	Bytes    int64
	Limit    int64
	Warn     bool // 80 % of the limit are used
}

// Status is for health and metrics.
func (s *Spool) Status() SpoolStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SpoolStatus{
		Err: s.dead, Segment: s.number, Records: s.next, Unsynced: s.next - s.synced,
		Bytes: s.total, Limit: s.o.MaxBytes, Warn: s.total >= s.o.MaxBytes/5*4,
	}
}

// Seals are those of all closed segments: found at start, and closed since.
func (s *Spool) Seals() []Seal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seals)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is waiting already
	}
}
