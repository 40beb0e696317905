package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"sort"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/assenthq/assent/evidence"
)

// Export says what goes into an evidence bundle.
type Export struct {
	Checkpoint []byte // signed note that the records are proven under
	Key        *Key   // the log's own, which signs the manifest
	Software   string
	Query      Query // what is shown; its Before, Limit and About stay empty
	Progress   func(done, total int64)
}

// Bundle writes an evidence bundle of the records of r to f: every record of the
// query's period, those that don't match as hashes only, and what they rest on. The
// same log, checkpoint and query give the same bytes. Memory grows with the approvals of the period alone.
func Bundle(ctx context.Context, r Reader, e Export, f io.WriterAt) (*evidence.Manifest, error) {
	cp, err := evidence.VerifyCheckpoint(e.Checkpoint, e.Key.Verifier())
	if err != nil {
		return nil, fmt.Errorf("writing the bundle: %w", err)
	}
	x := &exporter{ctx: ctx, r: r, e: e, cp: cp, hashes: hashes(ctx, r, Head{Size: cp.Size, Root: cp.Root}), approvals: map[string]bool{}}
	m, err := x.write(f)
	if err != nil {
		return nil, fmt.Errorf("writing the bundle: %w", err)
	}
	return m, nil
}

type exporter struct {
	ctx       context.Context
	r         Reader
	e         Export
	cp        *evidence.Checkpoint
	hashes    tlog.HashReader
	first     int64
	end       int64
	approvals map[string]bool // of what is shown

	erased map[int64]tlog.Hash // records without bytes, with their hashes under the tree
	broken map[string]bool     // approvals that can't be followed without them
	hidden int64               // records that are hashes for that reason
}

// aspects is what a filter looks at.
type aspects struct {
	Time     time.Time
	Type     string
	Actor    string
	Person   string
	Session  string
	Resource string
	Kinds    []string
	Approval string
	Findings map[string]int64
	Masked   map[string]int64
	Detail   struct{ Plan string }
}

func (x *exporter) matches(r *aspects) bool {
	q := &x.e.Query
	is := func(want, have string) bool { return want == "" || want == have }
	_, found := r.Findings[q.Class]
	_, masked := r.Masked[q.Class]
	return (len(q.Types) == 0 || slices.Contains(q.Types, r.Type)) && is(q.Actor, r.Actor) && is(q.Person, r.Person) && is(q.Approval, r.Approval) &&
		is(q.Resource, r.Resource) && is(q.Session, r.Session) && (q.Kind == "" || slices.Contains(r.Kinds, q.Kind)) && (q.Class == "" || found || masked)
}

func (x *exporter) write(f io.WriterAt) (*evidence.Manifest, error) {
	var err error
	if x.first, x.end, err = x.period(); err != nil {
		return nil, err
	}
	if err := x.findErased(); err != nil {
		return nil, err
	}
	if err := x.leaves(x.first, x.end, func(_ int64, _ []byte, r *aspects) error {
		if x.matches(r) {
			x.wants(r)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	w, err := evidence.NewBundleWriter(f, x.e.Checkpoint)
	if err != nil {
		return nil, err
	}
	if err := x.earlier(w); err != nil {
		return nil, err
	}
	done := int64(0)
	if err := x.leaves(x.first, x.end, func(index int64, leaf []byte, r *aspects) error {
		if done++; x.e.Progress != nil && (done%4096 == 0 || index == x.end-1) {
			x.e.Progress(done, x.end-x.first)
		}
		if h, is := x.erased[index]; is {
			x.hidden++
			return w.HideHash(h)
		}
		if x.broken[r.Approval] {
			x.hidden++
			return w.Hide(leaf)
		}
		if x.matches(r) || index == 0 || index == x.first || index == x.end-1 || restsOn(r.Type) || r.Approval != "" && x.approvals[r.Approval] {
			return w.Show(leaf)
		}
		return w.Hide(leaf)
	}); err != nil {
		return nil, err
	}
	said := x.e.Query.Said()
	if x.hidden > 0 {
		said["erased"] = fmt.Sprintf("%d records are there as hashes, whether they were asked for or not: they were erased, or are of approvals with records that were", x.hidden)
	}
	m := evidence.Manifest{Origin: x.cp.Origin, Key: x.e.Key.Verifier(), Software: x.e.Software, First: x.first, End: x.end, Query: said}
	for at, t := range map[**time.Time]time.Time{&m.Since: x.e.Query.Since, &m.Until: x.e.Query.Until} {
		if !t.IsZero() {
			t = t.UTC()
			*at = &t
		}
	}
	if m.Left, err = x.left(); err != nil {
		return nil, err
	}
	if x.end > 0 && x.end < x.cp.Size {
		if m.Consistency, err = tlog.ProveTree(x.cp.Size, x.end, x.hashes); err != nil {
			return nil, fmt.Errorf("proving the range: %w", err)
		}
	}
	err = w.Close(m, func(text string) ([]byte, error) { return note.Sign(&note.Note{Text: text}, x.e.Key.signer) })
	return &m, err
}

// findErased looks for records that can be shown to nobody, and widens the range to records on
// each side that can.
func (x *exporter) findErased() error {
	x.erased, x.broken = map[int64]tlog.Hash{}, map[string]bool{}
	err := erasedOf(x.ctx, x.r, 0, x.cp.Size, func(e Erased) error {
		x.erased[e.Index] = tlog.Hash{}
		return nil
	})
	if err != nil {
		return err
	}
	for index := range x.erased {
		if x.erased[index], err = leafHashAt(x.ctx, x.r, index); err != nil {
			return err
		}
		err := x.leaves(index, index+1, func(_ int64, _ []byte, r *aspects) error {
			if r.Approval != "" {
				x.broken[r.Approval] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if x.gone(0) {
		return fmt.Errorf("record 0, which a bundle rests on: %w", ErrErased)
	}
	for x.first > 0 && x.hides(x.first) {
		x.first--
	}
	for x.end < x.cp.Size && x.end > 0 && x.hides(x.end-1) {
		x.end++
	}
	return nil
}

func (x *exporter) gone(index int64) bool { _, is := x.erased[index]; return is }

// hides reports whether a record can be there as a hash only.
func (x *exporter) hides(index int64) (hidden bool) {
	if len(x.erased) == 0 || x.gone(index) {
		return x.gone(index)
	}
	err := x.leaves(index, index+1, func(_ int64, _ []byte, r *aspects) error {
		hidden = x.broken[r.Approval]
		return nil
	})
	return hidden && err == nil // one that can't be read is told of where it is written
}

// restsOn are records without which signatures of keys and people can't be checked.
func restsOn(kind string) bool { return kind == TypeKey || kind == TypeFork || kind == TypePasskey }

func (x *exporter) wants(r *aspects) {
	for _, id := range []string{r.Approval, r.Detail.Plan} {
		if id != "" {
			x.approvals[id] = true
		}
	}
}

// period is the range of the query's period, with the record on each side of it.
func (x *exporter) period() (first, end int64, err error) {
	find := func(t time.Time, none int64) int64 {
		if t.IsZero() || err != nil {
			return none
		}
		// Times never go back (Log.Append).
		return int64(sort.Search(int(x.cp.Size), func(i int) bool {
			if err != nil {
				return true
			}
			var at time.Time
			if at, err = x.timeOf(int64(i)); err != nil {
				return true
			}
			return !at.Before(t)
		}))
	}
	first = max(find(x.e.Query.Since, 0)-1, 0)
	end = min(find(x.e.Query.Until, x.cp.Size)+1, x.cp.Size)
	if err == nil && end < first {
		err = errors.New("the period ends before it begins")
	}
	return first, end, err
}

func (x *exporter) timeOf(index int64) (t time.Time, err error) {
	err = x.r.Leaves(x.ctx, index, index+1, func(_ int64, leaf []byte) error {
		var ok bool
		if t, ok = leafTime(leaf); !ok {
			return fmt.Errorf("record %d has no time: run assent verify", index)
		}
		return nil
	})
	return t, err
}

func (x *exporter) leaves(from, to int64, fn func(index int64, leaf []byte, r *aspects) error) error {
	next := from
	err := x.r.Leaves(x.ctx, from, to, func(index int64, leaf []byte) error {
		var r aspects
		if err := json.Unmarshal(leaf, &r); err != nil || index != next {
			return fmt.Errorf("record %d can't be read, or stands out of its place: run assent verify", next)
		}
		next++
		return fn(index, leaf, &r)
	})
	if err == nil && next != to {
		err = fmt.Errorf("record %d is missing: run assent verify", next)
	}
	return err
}

// left are the roots of the perfect subtrees left of the range.
func (x *exporter) left() ([]tlog.Hash, error) {
	var at []int64
	for n, from := x.first, int64(0); n > 0; {
		level := bits.Len64(uint64(n)) - 1
		at = append(at, tlog.StoredHashIndex(level, from>>level))
		n, from = n-1<<level, from+1<<level
	}
	if len(at) == 0 {
		return nil, nil
	}
	out, err := x.hashes.ReadHashes(at)
	if err != nil {
		return nil, fmt.Errorf("proving what is left of the range: %w", err)
	}
	return out, nil
}

// earlier writes what the range rests on of before: the log's first record, keys that signed
// it, passkeys, and what was said of approvals that go on in the range.
func (x *exporter) earlier(w *evidence.BundleWriter) error {
	if x.first == 0 {
		return nil
	}
	wanted := map[int64]bool{0: true}
	if err := x.search(wanted, Query{Types: []string{TypeKey, TypeFork, TypePasskey}}); err != nil {
		return err
	}
	for id := range x.approvals {
		if err := x.search(wanted, Query{Approval: id}); err != nil {
			return err
		}
	}
	list := make([]int64, 0, len(wanted))
	for index := range wanted {
		list = append(list, index)
	}
	slices.Sort(list)
	for _, index := range list {
		proof, err := tlog.ProveRecord(x.cp.Size, index, x.hashes)
		if err != nil {
			return fmt.Errorf("proving record %d: %w", index, err)
		}
		if err := x.r.Leaves(x.ctx, index, index+1, func(_ int64, leaf []byte) error { return w.Earlier(index, leaf, proof) }); err != nil {
			return err
		}
	}
	return nil
}

func (x *exporter) search(found map[int64]bool, q Query) error {
	q.Before, q.Limit = x.first, 1000
	for {
		recs, err := x.r.Search(x.ctx, q)
		if err != nil {
			return err
		}
		for i := range recs {
			if !x.gone(recs[i].Index) && !x.broken[recs[i].Approval] {
				found[recs[i].Index] = true
			}
		}
		if len(recs) < q.Limit {
			return nil
		}
		q.Before = recs[len(recs)-1].Index
	}
}
