package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/assenthq/assent/evidence"
)

// ErrRolledBack says that the stored log isn't a continuation of what was
// signed before. Nothing may be appended or signed.
var ErrRolledBack = errors.New("the audit log was rolled back or rewritten")

// ErrNotOpen says that Open hasn't succeeded, so nothing may be appended or signed.
var ErrNotOpen = errors.New("the audit log isn't open")

const remedy = "stop here; restore the database that belongs to the head file, or keep both as evidence and start a new log in a new data directory"

// Options of a Log.
type Options struct {
	// Origin names the log: the first line of its checkpoints and the name of its keys.
	Origin string
	// Keys sign each checkpoint; the first is the log's own. Two while a key is being rotated.
	Keys []*Key
	// Retired are verifier keys whose old checkpoints are still accepted at start.
	Retired []string
	// HeadFile keeps the last checkpoint outside the database. "": it isn't
	// kept, and a restored old database can't be told.
	HeadFile string
	// Join says that this process sees a log for the first time that others write
	// too: its own head file is not there yet.
	Join bool
	Now  func() time.Time // nil: time.Now
}

// A Log appends records and signs checkpoints. It is safe for concurrent use.
type Log struct {
	o     Options
	vkeys []string

	// signing is held through one Sign, so that head files are written in order.
	signing sync.Mutex

	mu         sync.Mutex // guards what follows; never held while a store is asked
	refuse     error      // why nothing may be appended or signed; nil once open
	reader     Reader
	signed     Head // the newest head that was signed
	checkpoint []byte
	edge       *edge // right edge at the root edgeRoot, the newest that Append reached
	edgeRoot   tlog.Hash
}

// New returns a Log that refuses everything until Open has found its store in order.
func New(o Options) (*Log, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Keys) == 0 {
		return nil, errors.New("audit log: no key to sign with")
	}
	l := &Log{o: o, refuse: ErrNotOpen}
	for _, k := range o.Keys {
		if k == nil || k.Name() != o.Origin {
			return nil, fmt.Errorf("audit log %q: each key must bear its name", o.Origin)
		}
		l.vkeys = append(l.vkeys, k.Verifier())
	}
	return l, nil
}

// Origin is the log's name.
func (l *Log) Origin() string { return l.o.Origin }

// Verifiers are the public halves of the keys that sign now.
func (l *Log) Verifiers() []string { return append([]string(nil), l.vkeys...) }

// Open compares the stored log with the head file and signs what is stored. An
// ErrRolledBack means that somebody has to look before anything may run. r is
// kept for the life of the log, to prove each new checkpoint consistent.
func (l *Log) Open(ctx context.Context, r Reader) error {
	head, err := l.openUnsigned(ctx, r)
	if err != nil {
		return err
	}
	// The head file of an empty log is written at once: later its absence beside a log that isn't empty tells.
	_, err = l.Sign(ctx, head)
	return err
}

// openUnsigned is Open, and signs nothing.
func (l *Log) openUnsigned(ctx context.Context, r Reader) (head Head, err error) {
	if head, err = r.Head(ctx); err != nil {
		return head, fmt.Errorf("opening audit log: %w", err)
	}
	if head.Size == 0 {
		head.Root = emptyRoot()
	}
	remembered, err := l.remembered(head)
	if err != nil {
		return head, l.stop(err)
	}
	e, err := loadEdge(ctx, r, head)
	if err != nil {
		return head, l.stop(fmt.Errorf("%w: %w; %s", ErrRolledBack, err, remedy))
	}
	if remembered != nil {
		if err := l.continues(ctx, r, Head{Size: remembered.Size, Root: remembered.Root}, head); err != nil {
			return head, l.stop(err)
		}
	}
	l.mu.Lock()
	l.reader, l.refuse, l.edge, l.edgeRoot = r, nil, e, head.Root
	if remembered != nil {
		l.signed = Head{Size: remembered.Size, Root: remembered.Root}
	}
	l.mu.Unlock()
	return head, nil
}

// remembered reads the head file; nil when there is none and needs be none.
func (l *Log) remembered(head Head) (*evidence.Checkpoint, error) {
	if l.o.HeadFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(l.o.HeadFile)
	if errors.Is(err, fs.ErrNotExist) {
		if head.Size == 0 || l.o.Join {
			return nil, nil
		}
		return nil, fmt.Errorf("%w: %d records are stored but the head file %s is gone; put it back from its copy", ErrRolledBack, head.Size, l.o.HeadFile)
	}
	if err != nil {
		return nil, fmt.Errorf("reading head file: %w", err)
	}
	cp, err := evidence.VerifyCheckpoint(b, append(l.Verifiers(), l.o.Retired...)...)
	if err != nil {
		return nil, fmt.Errorf("%w: head file %s: %w; %s", ErrRolledBack, l.o.HeadFile, err, remedy)
	}
	if cp.Origin != l.o.Origin {
		return nil, fmt.Errorf("%w: head file %s is of log %q, not %q", ErrRolledBack, l.o.HeadFile, cp.Origin, l.o.Origin)
	}
	return cp, nil
}

// continues checks that next holds all that was signed, unchanged.
func (l *Log) continues(ctx context.Context, r Reader, signed, next Head) error {
	older := &evidence.Checkpoint{Origin: l.o.Origin, Size: signed.Size, Root: signed.Root}
	newer := &evidence.Checkpoint{Origin: l.o.Origin, Size: next.Size, Root: next.Root}
	var proof tlog.TreeProof
	if older.Size > 0 && older.Size < newer.Size {
		var err error
		if proof, err = tlog.ProveTree(newer.Size, older.Size, hashes(ctx, r, next)); err != nil {
			return fmt.Errorf("proving the audit log consistent: %w", err)
		}
	}
	if err := evidence.VerifyConsistency(older, newer, proof); err != nil {
		return fmt.Errorf("%w: %w; %s", ErrRolledBack, err, remedy)
	}
	return nil
}

// stop makes err the answer to every later Append and Sign if it shows tampering.
func (l *Log) stop(err error) error {
	if errors.Is(err, ErrRolledBack) {
		l.mu.Lock()
		l.refuse = err
		l.mu.Unlock()
	}
	return err
}

// Err tells why nothing may be appended now; nil when all is well.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refuse
}

// Append writes records inside a transaction of the store, and sets their
// Index and Time. They are durable when that transaction has committed. After
// an error the caller must roll back, to its savepoint at least.
func (l *Log) Append(ctx context.Context, tx Tx, recs ...*Record) error {
	if len(recs) == 0 {
		return nil
	}
	head, err := tx.Head(ctx)
	if err != nil {
		return fmt.Errorf("appending to audit log: %w", err)
	}
	e, err := l.edgeAt(ctx, tx, head)
	if err != nil {
		return fmt.Errorf("appending to audit log: %w", l.stop(err))
	}
	put := func(level int, n int64, hashes []byte) error { return tx.PutTile(ctx, level, n, hashes) }
	next := head
	now := l.o.Now().UTC().Truncate(time.Microsecond)
	for _, r := range recs {
		if next.Last.After(now) {
			now = next.Last.UTC() // the clock went back: the log doesn't
		}
		r.Index, r.Time, next.Last = e.size, now, now
		if salted(r) {
			r.Salt = newSalt()
		}
		leaf, stored, err := leafOf(nil, r)
		if err != nil {
			return err
		}
		if err := tx.InsertRecord(ctx, r.Index, leaf, stored); err != nil {
			return fmt.Errorf("appending record %d: %w", r.Index, err)
		}
		if err := e.add(tlog.RecordHash(leaf), put); err != nil {
			return fmt.Errorf("appending record %d: %w", r.Index, err)
		}
	}
	if err := e.flush(head.Size, put); err != nil {
		return fmt.Errorf("appending to audit log: %w", err)
	}
	next.Size, next.Root = e.size, e.root()
	if err := tx.SwapHead(ctx, head, next); err != nil {
		return fmt.Errorf("appending to audit log: %w", err)
	}
	l.mu.Lock()
	l.edge, l.edgeRoot = e, next.Root
	l.mu.Unlock()
	return nil
}

// edgeAt returns a right edge at head that the caller may change. The cached
// one counts only for exactly this root: after a rollback it is read again.
func (l *Log) edgeAt(ctx context.Context, tx Tx, head Head) (*edge, error) {
	l.mu.Lock()
	refuse, signed, cached, root := l.refuse, l.signed, l.edge, l.edgeRoot
	l.mu.Unlock()
	switch {
	case refuse != nil:
		return nil, refuse
	case head.Size < signed.Size || head.Size == signed.Size && head.Size > 0 && head.Root != signed.Root:
		return nil, fmt.Errorf("%w: the store holds %d records, and other ones than the %d that were signed; %s", ErrRolledBack, head.Size, signed.Size, remedy)
	case cached != nil && cached.size == head.Size && (head.Size == 0 || root == head.Root):
		return cached.clone(), nil
	}
	e, err := loadEdge(ctx, tx, head)
	if err != nil {
		return nil, err
	}
	return e.clone(), nil
}

// Sign signs head, which must be durable, and writes the head file. It refuses
// a head that isn't a continuation of the newest one it signed; a smaller one
// is an error without further effect, since callers may race.
func (l *Log) Sign(ctx context.Context, head Head) ([]byte, error) {
	l.signing.Lock()
	defer l.signing.Unlock()
	l.mu.Lock()
	refuse, signed, last, r := l.refuse, l.signed, l.checkpoint, l.reader
	l.mu.Unlock()
	if head.Size == 0 {
		head.Root = emptyRoot()
	}
	switch {
	case refuse != nil:
		return nil, fmt.Errorf("signing checkpoint: %w", refuse)
	case head.Size < signed.Size:
		return nil, fmt.Errorf("signing checkpoint: %d records are fewer than the %d signed before", head.Size, signed.Size)
	case last != nil && head.Size == signed.Size && head.Root == signed.Root:
		return last, nil
	}
	if err := l.continues(ctx, r, signed, head); err != nil {
		return nil, fmt.Errorf("signing checkpoint: %w", l.stop(err))
	}
	cp := evidence.Checkpoint{Origin: l.o.Origin, Size: head.Size, Root: head.Root}
	signers := make([]note.Signer, len(l.o.Keys))
	for i, k := range l.o.Keys {
		signers[i] = k.signer
	}
	b, err := note.Sign(&note.Note{Text: cp.Body()}, signers...)
	if err != nil {
		return nil, fmt.Errorf("signing checkpoint: %w", err)
	}
	if l.o.HeadFile != "" {
		if err := writeFile(l.o.HeadFile, b, 0o600, true); err != nil {
			return nil, fmt.Errorf("writing head file: %w", err)
		}
	}
	l.mu.Lock()
	l.signed, l.checkpoint = head, b
	l.mu.Unlock()
	return b, nil
}

// Evidence writes an evidence bundle of the records of r to f, signed by the log's own key, as Bundle does.
func (l *Log) Evidence(ctx context.Context, r Reader, e Export, f io.WriterAt) (*evidence.Manifest, error) {
	e.Key = l.o.Keys[0]
	return Bundle(ctx, r, e, f)
}

// Checkpoint is the newest signed checkpoint; nil before Open.
func (l *Log) Checkpoint() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.checkpoint
}

// Signed is the head that the newest checkpoint is about.
func (l *Log) Signed() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.signed
}

// InclusionProof proves record index in the tree of the first size records (RFC 6962 section 2.1.1).
func (l *Log) InclusionProof(ctx context.Context, r Reader, index, size int64) ([]evidence.Hash, error) {
	head, err := r.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("proving record %d: %w", index, err)
	}
	if index < 0 || index >= size || size > head.Size {
		return nil, fmt.Errorf("proving record %d of %d: the log holds %d", index, size, head.Size)
	}
	p, err := tlog.ProveRecord(size, index, hashes(ctx, r, head))
	if err != nil {
		return nil, fmt.Errorf("proving record %d: %w", index, err)
	}
	return p, nil
}

// ConsistencyProof proves that the first newer records continue the first older ones (RFC 6962 section 2.1.2).
func (l *Log) ConsistencyProof(ctx context.Context, r Reader, older, newer int64) ([]evidence.Hash, error) {
	head, err := r.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("proving consistency: %w", err)
	}
	if older < 0 || older > newer || newer > head.Size {
		return nil, fmt.Errorf("proving consistency of %d with %d: the log holds %d", newer, older, head.Size)
	}
	if older == 0 || older == newer {
		return nil, nil // nothing to show
	}
	p, err := tlog.ProveTree(newer, older, hashes(ctx, r, head))
	if err != nil {
		return nil, fmt.Errorf("proving consistency: %w", err)
	}
	return p, nil
}

// Proof proves record index under the newest checkpoint; its Text is a C2SP tlog-proof.
func (l *Log) Proof(ctx context.Context, r Reader, index int64) (*evidence.Proof, error) {
	l.mu.Lock()
	size, cp := l.signed.Size, l.checkpoint
	l.mu.Unlock()
	if index >= size {
		return nil, fmt.Errorf("proving record %d: the newest checkpoint covers %d records", index, size)
	}
	h, err := l.InclusionProof(ctx, r, index, size)
	if err != nil {
		return nil, err
	}
	return &evidence.Proof{Index: index, Hashes: h, Checkpoint: cp}, nil
}
