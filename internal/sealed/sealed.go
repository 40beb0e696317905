package sealed

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// A Log appends audit records within a transaction.
type Log interface {
	Append(ctx context.Context, tx audit.Tx, recs ...*audit.Record) error
}

// A Box reads and writes sealed rows. It is safe for concurrent use.
type Box struct {
	store Store
	log   Log
	key   []byte

	mu       sync.Mutex
	watchers map[string][]func(id string) // by kind; owned by mu
}

// NewBox refuses to work without a store, a log or a key of 32 bytes, which is
// kept outside the store.
func NewBox(store Store, log Log, key []byte) (*Box, error) {
	if store == nil || log == nil || len(key) < 32 {
		return nil, errors.New("sealed rows need a store, a log and a key of 32 bytes")
	}
	return &Box{store: store, log: log, key: key, watchers: map[string][]func(string){}}, nil
}

// Watch calls fn with the id of each row of kind that changed, here or, as the
// log tells, elsewhere. It may call late, and more than once for one change; fn
// must be quick or hand over.
func (b *Box) Watch(kind string, fn func(id string)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers[kind] = append(b.watchers[kind], fn)
}

// Told tells of changes that a record says were made, by its About.
func (b *Box) Told(about ...string) {
	for _, a := range about {
		kind, id, _ := strings.Cut(a, "/")
		b.mu.Lock()
		fns := slices.Clone(b.watchers[kind])
		b.mu.Unlock()
		for _, fn := range fns {
			fn(id)
		}
	}
}

// Update runs fn in a transaction, and tells watchers what it put once that is durable.
func (b *Box) Update(ctx context.Context, fn func(*Writer) error) error {
	w := &Writer{}
	err := b.store.UpdateSealed(ctx, func(tx Tx) error {
		*w = Writer{Reader: Reader{Tx: tx, box: b}}
		return fn(w)
	})
	if err != nil {
		return err
	}
	b.Told(w.put...)
	return nil
}

// View runs fn on one moment.
func (b *Box) View(ctx context.Context, fn func(*Reader) error) error {
	return b.store.ViewSealed(ctx, func(tx Tx) error { return fn(&Reader{Tx: tx, box: b}) })
}

// Join is Update within a transaction that somebody else began and that implements
// Tx. Once it is durable, the caller tells Told what Put returned.
func (b *Box) Join(tx Tx) *Writer { return &Writer{Reader: Reader{Tx: tx, box: b}} }

// A Reader reads within one transaction.
type Reader struct {
	Tx  Tx
	box *Box
}

// A Writer writes too.
type Writer struct {
	Reader
	put []string
}

// Put names what was put, as Told wants it.
func (w *Writer) Put() []string { return w.put }

// Record appends records beside those of the rows.
func (w *Writer) Record(ctx context.Context, recs ...*audit.Record) error {
	return w.box.log.Append(ctx, w.Tx, recs...)
}

// An Entry is a row with its value.
type Entry[T any] struct {
	ID       string
	Revision int64 // 0: not stored yet
	Key      string
	Due      time.Time // truncated to microseconds when it is stored
	Value    T
}

// A Kind is one sort of entry.
type Kind[T any] string

// Get reads one entry; ErrNotFound, or ErrTampered when it can't be believed.
func (k Kind[T]) Get(ctx context.Context, r *Reader, id string) (*Entry[T], error) {
	row, err := r.Tx.SealedByID(ctx, string(k), id)
	newest, logErr := r.Tx.RevisionOf(ctx, string(k), id)
	switch {
	case logErr != nil:
		return nil, logErr
	case errors.Is(err, ErrNotFound) && newest > 0:
		return nil, fmt.Errorf("%s/%s is gone: %w", string(k), id, ErrTampered)
	case err != nil:
		return nil, err
	}
	return k.open(r, row, newest)
}

// List reads what s selects, whose kind is k's. One that can't be believed is an error.
func (k Kind[T]) List(ctx context.Context, r *Reader, s Selection) ([]*Entry[T], error) {
	s.Kind = string(k)
	rows, err := r.Tx.ListSealed(ctx, s)
	if err != nil {
		return nil, err
	}
	out := make([]*Entry[T], 0, len(rows))
	if len(rows) == 0 {
		return out, nil
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	newest, err := r.Tx.RevisionsOf(ctx, string(k), ids...)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		e, err := k.open(r, row, newest[row.ID])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// All reads every entry of a kind, and errs when one is missing: what stops or
// excludes somebody must not be lost by a row that was taken away.
func (k Kind[T]) All(ctx context.Context, r *Reader) ([]*Entry[T], error) {
	rows, err := r.Tx.ListSealed(ctx, Selection{Kind: string(k)})
	if err != nil {
		return nil, err
	}
	known, err := r.Tx.RevisionsOf(ctx, string(k))
	if err != nil {
		return nil, err
	}
	out := make([]*Entry[T], 0, len(rows))
	for _, row := range rows {
		e, err := k.open(r, row, known[row.ID])
		if err != nil {
			return nil, err
		}
		delete(known, row.ID)
		out = append(out, e)
	}
	if missing := slices.Sorted(maps.Keys(known)); len(missing) > 0 {
		return nil, fmt.Errorf("%s/%s is gone: %w", string(k), missing[0], ErrTampered)
	}
	return out, nil
}

// Put stores e with its record, whose type the caller chose: About and Revision
// are filled in. e.Revision is the one it was read at, and moves.
func (k Kind[T]) Put(ctx context.Context, w *Writer, e *Entry[T], rec *audit.Record) error {
	if e.ID == "" || strings.Contains(string(k), "/") || rec == nil {
		return fmt.Errorf("storing an entry of kind %s: it needs an id and a record", string(k))
	}
	body, err := json.Marshal(e.Value)
	if err != nil {
		return fmt.Errorf("storing %s/%s: %w", string(k), e.ID, err)
	}
	row := Row{Kind: string(k), ID: e.ID, Revision: e.Revision + 1, Key: e.Key, Due: e.Due.UTC().Truncate(time.Microsecond), Body: body}
	row.MAC = w.box.mac(&row)
	newest, err := w.Tx.RevisionOf(ctx, row.Kind, row.ID)
	if err != nil {
		return err
	}
	if newest != e.Revision {
		return fmt.Errorf("storing %s: the log tells of revision %d: %w", row.About(), newest, ErrConflict)
	}
	if err := w.Tx.PutSealed(ctx, row, e.Revision); err != nil {
		return err
	}
	rec.About, rec.Revision = row.About(), row.Revision
	if err := w.box.log.Append(ctx, w.Tx, rec); err != nil {
		return err
	}
	e.Revision, e.Due = row.Revision, row.Due
	w.put = append(w.put, row.About())
	return nil
}

// open believes a row only whole.
func (k Kind[T]) open(r *Reader, row Row, newest int64) (*Entry[T], error) {
	if row.Kind != string(k) || !hmac.Equal(row.MAC, r.box.mac(&row)) {
		return nil, fmt.Errorf("%s: %w", row.About(), ErrTampered)
	}
	if row.Revision != newest {
		return nil, fmt.Errorf("%s is stored at revision %d, and the log tells of %d: %w", row.About(), row.Revision, newest, ErrTampered)
	}
	e := &Entry[T]{ID: row.ID, Revision: row.Revision, Key: row.Key, Due: row.Due}
	if err := json.Unmarshal(row.Body, &e.Value); err != nil {
		return nil, fmt.Errorf("%s has no readable body: %w", row.About(), ErrTampered)
	}
	return e, nil
}

// mac seals all of a row but the MAC itself.
func (b *Box) mac(r *Row) []byte { return rowMAC(b.key, r) }

func rowMAC(key []byte, r *Row) []byte {
	h := hmac.New(sha256.New, key)
	due := int64(0)
	if !r.Due.IsZero() {
		due = r.Due.UnixMicro()
	}
	_, _ = fmt.Fprintf(h, "assent-sealed/1\x00%q %q %d %q %d\x00", r.Kind, r.ID, r.Revision, r.Key, due)
	h.Write(r.Body)
	return h.Sum(nil)
}
