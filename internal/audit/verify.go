package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/assenthq/assent/evidence"
)

// maxProblems is how many problems are listed before Verify gives up.
const maxProblems = 100

// VerifyOptions say what to verify against.
type VerifyOptions struct {
	VKeys    []string // verifier keys, given from outside what is verified
	HeadFile string   // "": none was kept
	// Witnessed is the file of the newest note that was published, "": none is; Witnesses
	// are the keys whose cosignatures on it count, given from outside as well.
	Witnessed string
	Witnesses []string
	Archive   *Archive // of sealed segments of that spool; nil: none
	// Taken has the traffic of gate processes; nil: it isn't looked at.
	Taken *Archive
	// Listed has the archive's segments looked for and not read: a server in use doesn't
	// read a bucket every few minutes, nor stop when that is away.
	Listed   bool
	SpoolDir string // "": no spool
	Node     string // whose spool that is; "": the only one that the log has seals of
	Progress func(done, total int64)
}

// A Report is what Verify found.
type Report struct {
	Records      int64                `json:"records"`
	Root         tlog.Hash            `json:"root"`
	Checkpoint   *evidence.Checkpoint `json:"checkpoint,omitempty"`
	SpoolRecords int64                `json:"spool_records"`
	// Passkeys tells which reviews' own signatures were checked.
	Passkeys evidence.PasskeyReport `json:"passkeys"`
	// Witnessed is the newest checkpoint that a given witness cosigned, and by whom.
	Witnessed *evidence.Checkpoint   `json:"witnessed,omitempty"`
	Witnesses []evidence.Cosignature `json:"witnesses,omitempty"`
	Silences  []Silence              `json:"silences,omitempty"` // of nodes that had not stopped
	Erased    int64                  `json:"erased,omitempty"`   // records of which the hash alone is left, and a copy without a person
	// Forks are the places where the log was put back to fewer records, and went on under another name.
	Forks    []evidence.Fork `json:"forks,omitempty"`
	Problems []Problem       `json:"problems"` // empty: all is as it was written
	Lines    []string        `json:"lines"`    // for people: what was verified, and what wasn't
}

// A Problem is something that isn't as it was written.
type Problem struct {
	Index int64  `json:"index"` // of the record; -1 when it is about no single one
	What  string `json:"what"`
}

// OK reports whether nothing was found.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

func (r *Report) line(format string, args ...any) {
	r.Lines = append(r.Lines, fmt.Sprintf(format, args...))
}

// errEnough ends a scan that can't tell anything more.
var errEnough = errors.New("enough problems")

// problem notes one, and is errEnough when there were too many.
func (r *Report) problem(index int64, format string, args ...any) error {
	r.Problems = append(r.Problems, Problem{index, fmt.Sprintf(format, args...)})
	if len(r.Problems) >= maxProblems {
		return errEnough
	}
	return nil
}

// Verify reads the whole stored log and checks every byte of it: leaves, their
// indexes and times, tiles, head, checkpoint, and the spool against its seals.
// What it finds is in the report; an error means that it couldn't look.
func Verify(ctx context.Context, r Reader, o VerifyOptions) (*Report, error) {
	there := o.segments(ctx) // before the log: what is missing then has its record in it
	// First what was signed, then what is stored: a log in use grows in between.
	note, err := readHeadFile(o.HeadFile)
	if err != nil {
		return nil, fmt.Errorf("verifying audit log: %w", err)
	}
	head, err := r.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("verifying audit log: %w", err)
	}
	v := &verifier{
		r: r, o: o, head: head, note: note, signed: sizeIn(note), there: there,
		Report: &Report{Records: head.Size, Root: head.Root, Problems: []Problem{}}, passkeys: evidence.NewPasskeyLog(),
	}
	if head.Size == 0 {
		v.Root = emptyRoot()
	}
	if v.erased, err = newErasures(ctx, r, head.Size); err != nil {
		return nil, fmt.Errorf("verifying audit log: %w", err)
	}
	if err := v.scan(ctx); err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("verifying audit log: %w", err)
	}
	v.checkpoint(ctx)
	if err := v.erasures(ctx); err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("verifying audit log: %w", err)
	}
	v.line("%d records, indexes without a gap, root %s", head.Size, v.Root)
	v.describeCheckpoint()
	v.describeHandovers(len(o.VKeys))
	if err := v.witnessed(ctx); err != nil {
		return nil, fmt.Errorf("verifying audit log: %w", err)
	}
	v.describeSilences()
	v.describePasskeys()
	if err := v.spool(ctx); err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("verifying spool: %w", err)
	}
	if err := v.taken(ctx); err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("verifying traffic of gate processes: %w", err)
	}
	if !v.OK() {
		v.Lines = []string{fmt.Sprintf("NOT VERIFIED: %d problems", len(v.Problems))}
	}
	return v.Report, nil
}

type verifier struct {
	*Report
	r    Reader
	o    VerifyOptions
	head Head

	tree   edge
	note   []byte    // the checkpoint, as it is kept outside
	signed int64     // its size
	atCP   tlog.Hash // root at that size
	last   time.Time
	seals  Sealed
	pruned Pruned

	handovers [][]byte // of the log from one key to the next, signed
	forks     []forkAt
	there     map[int64]bool // segments that were there before the log was read

	listed []int64 // segments that the archive says it has, where they aren't read
	away   bool    // it couldn't be asked

	passkeys *evidence.PasskeyLog
	nodes    silences
	erased   *erasures
}

// readHeadFile returns nil when there is none.
func readHeadFile(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// sizeIn is how many records a checkpoint says it is of, before it is verified; -1 for none.
func sizeIn(note []byte) int64 {
	_, rest, _ := bytes.Cut(note, []byte("\n"))
	size, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseInt(string(size), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// checkpoint holds the records against what was signed, by the keys that were given or that
// the records lead to from them.
func (v *verifier) checkpoint(ctx context.Context) {
	if v.tree.size != v.head.Size { // the rest wasn't read: that it is missing is told
		v.handovers, _ = Handovers(ctx, v.r)
	}
	v.o.VKeys = evidence.FollowKeys(v.o.VKeys, v.handovers...)
	if v.note == nil {
		if v.o.HeadFile != "" && v.head.Size > 0 {
			_ = v.problem(-1, "the head file %s is gone", v.o.HeadFile)
		}
		return
	}
	cp, err := evidence.VerifyCheckpoint(v.note, v.o.VKeys...)
	if err != nil {
		_ = v.problem(-1, "head file: %v", err)
		return
	}
	v.Checkpoint = cp
	switch {
	case cp.Size > v.head.Size:
		_ = v.problem(-1, "the log was cut: %d records are stored, %d were signed", v.head.Size, cp.Size)
	case cp.Size <= v.tree.size && (cp.Size != v.signed || v.atCP != cp.Root):
		_ = v.problem(-1, "the first %d records aren't those that were signed", cp.Size)
	}
}

func (v *verifier) describeCheckpoint() {
	cp := v.Checkpoint
	if cp == nil {
		v.line("no checkpoint was kept outside the database: a rollback of all of it couldn't be seen")
		return
	}
	v.line("checkpoint of %d records signed by %s", cp.Size, cp.Origin)
	if n := v.head.Size - cp.Size; n > 0 {
		v.line("the newest %d records aren't under a checkpoint yet", n)
	}
}

// scan rebuilds the tree from the leaves and compares everything with what is stored.
func (v *verifier) scan(ctx context.Context) error {
	put := func(level int, n int64, want []byte) error {
		got, err := v.r.Tile(ctx, level, n)
		if err != nil {
			return fmt.Errorf("reading tile %d/%d: %w", level, n, err)
		}
		if len(got) >= len(want) && bytes.Equal(got[:len(want)], want) {
			return nil
		}
		if i := differs(got, want); level == 0 && i < len(got)/tlog.HashSize {
			return v.problem(n<<tileHeight+int64(i), "the record isn't the one that tile %d/%d has the hash of", level, n)
		}
		return v.problem(-1, "tile %d/%d isn't made from the stored records", level, n)
	}
	if v.head.Size > 0 {
		if err := v.leaves(ctx, func(index int64, leaf []byte, filed bool) error { return v.leaf(ctx, index, leaf, filed, put) }); err != nil {
			return err
		}
	}
	v.signedRoot()
	if err := v.tree.flush(0, put); err != nil {
		return err
	}
	switch {
	case v.tree.size != v.head.Size:
		return v.problem(-1, "records %d to %d are missing", v.tree.size, v.head.Size-1)
	case v.tree.root() != v.Root:
		_ = v.problem(-1, "the records have root %s, the stored head says %s", v.tree.root(), v.Root)
	case v.head.Size > 0 && !v.last.Equal(v.head.Last):
		_ = v.problem(-1, "the stored head tells another time than the last record")
	}
	return v.beyond(ctx)
}

// leaves calls fn with each record that the head covers. A store that keeps columns beside
// the records compares the two.
func (v *verifier) leaves(ctx context.Context, fn func(index int64, leaf []byte, filed bool) error) error {
	if store, ok := v.r.(interface {
		Filed(ctx context.Context, from, to int64, fn func(index int64, leaf []byte, filed bool) error) error
	}); ok {
		return store.Filed(ctx, 0, v.head.Size, fn)
	}
	return v.r.Leaves(ctx, 0, v.head.Size, func(index int64, leaf []byte) error { return fn(index, leaf, true) })
}

// differs is the number of the first hash in which two tiles differ.
func differs(a, b []byte) int {
	for i := 0; ; i += tlog.HashSize {
		if i+tlog.HashSize > min(len(a), len(b)) || !bytes.Equal(a[i:i+tlog.HashSize], b[i:i+tlog.HashSize]) {
			return i / tlog.HashSize
		}
	}
}

// beyond looks for records that no head covers. The head is read again,
// because a log that is in use grows meanwhile.
func (v *verifier) beyond(ctx context.Context) error {
	extra := false
	err := v.r.Leaves(ctx, v.head.Size, v.head.Size+1, func(int64, []byte) error { extra = true; return nil })
	if err != nil || !extra {
		return err
	}
	now, err := v.r.Head(ctx)
	if err == nil && now.Size == v.head.Size {
		return v.problem(v.head.Size, "a record is stored beyond the head")
	}
	return err
}

func (v *verifier) signedRoot() {
	if v.tree.size == v.signed {
		v.atCP = v.tree.root()
	}
}

// erasures holds what is said to be erased against the records that decided it.
func (v *verifier) erasures(ctx context.Context) error {
	if v.Erased = int64(len(v.erased.of)); v.tree.size != v.head.Size {
		return nil // told already
	}
	n, err := v.erased.check(ctx, v.r, v.problem)
	if err == nil && n > 0 {
		v.line("%d records were erased by %d erasures, each decided by two people: their hashes are under the tree, their bytes are gone", v.Erased, n)
	}
	return err
}

// hash is that of a record under the tree: where its bytes were erased, of what was there.
func (v *verifier) hash(ctx context.Context, index int64, leaf []byte) (tlog.Hash, error) {
	h := tlog.RecordHash(leaf)
	if len(v.erased.of[index]) == 0 {
		return h, nil
	}
	was, err := leafHashAt(ctx, v.r, index)
	if err != nil {
		return h, v.problem(index, "%v", err)
	}
	if err := v.erased.leaf(index, leaf, was, h); err != nil {
		return was, v.problem(index, "%v", err)
	}
	return was, nil
}

func (v *verifier) leaf(ctx context.Context, index int64, leaf []byte, filed bool, put putTile) error {
	v.signedRoot()
	if index != v.tree.size {
		_ = v.problem(v.tree.size, "record %d is followed by record %d", v.tree.size-1, index)
		return errEnough // the tree can't be rebuilt around a hole
	}
	if own, ok := LeafIndex(leaf); !ok || own != index {
		if err := v.problem(index, "the record bears another index inside, or isn't a record"); err != nil {
			return err
		}
	}
	t, ok := leafTime(leaf)
	if !ok || t.Before(v.last) {
		if err := v.problem(index, "the record has no time, or one before the record before it"); err != nil {
			return err
		}
	} else {
		v.last = t
	}
	if !filed {
		if err := v.problem(index, "the record is filed under other words than its own"); err != nil {
			return err
		}
	}
	if err := v.noteKind(index, leaf, t); err != nil {
		return err
	}
	hash, err := v.hash(ctx, index, leaf)
	if err != nil {
		return err
	}
	add := v.passkeys.Add
	if len(v.erased.of[index]) > 0 {
		add = v.passkeys.AddErased
	}
	if err := add(leaf); err != nil {
		if err := v.problem(index, "%v", err); err != nil {
			return err
		}
	}
	if v.o.Progress != nil && (index+1)%4096 == 0 || index+1 == v.head.Size && v.o.Progress != nil {
		v.o.Progress(index+1, v.head.Size)
	}
	return v.tree.add(hash, put)
}

func (v *verifier) describePasskeys() {
	v.Passkeys = v.passkeys.Report()
	p := v.Passkeys
	if p.Erased > 0 {
		v.line("records about passkeys and reviews with them that were erased: %d; what was signed in them can't be checked any more", p.Erased)
	}
	if p.Keys == 0 {
		return
	}
	v.line("passkey signatures on reviews, each by a key registered before: %d; people: %d; keys: %d", p.Signatures, len(p.Persons), p.Keys)
	if p.Unbacked > 0 {
		v.line("keys bound to their person by this server's word alone, not by an older key or a fresh sign-in: %d", p.Unbacked)
	}
}

// noteKind takes in the records that say something of the log itself.
func (v *verifier) noteKind(index int64, leaf []byte, t time.Time) error {
	v.nodes.last = t
	switch string(typeIn(leaf)) {
	case TypeStart, TypeBeat, TypeStop, TypeSpoolSeal, TypePrune, TypeErase, TypeKey, TypeFork:
	default:
		return nil
	}
	var rec Record
	if err := json.Unmarshal(leaf, &rec); err != nil {
		return v.problem(index, "the record isn't JSON")
	}
	switch rec.Type {
	case TypeStart, TypeBeat, TypeStop:
		v.nodes.note(index, &rec, t)
	case TypePrune:
		return v.notePrune(&rec)
	case TypeErase:
		v.erased.note(index, &rec)
	case TypeKey:
		v.handovers = append(v.handovers, handoverIn(&rec))
	case TypeFork:
		return v.noteFork(index, &rec)
	case TypeSpoolSeal:
		seal, err := sealOf(&rec)
		if err != nil {
			return v.problem(index, "%v", err)
		}
		if !v.seals.add(seal, rec.Time) {
			return v.problem(index, "spool segment %d was sealed twice, with different content", seal.Segment)
		}
	}
	return nil
}

// forkAt is where the log was put back to fewer records than it had.
type forkAt struct {
	evidence.Fork
	why *Record
}

// noteFork holds a fork against the records before it.
func (v *verifier) noteFork(index int64, rec *Record) error {
	f, err := evidence.VerifyFork(handoverIn(rec))
	if err == nil && (f.Size != index || f.Root != v.tree.root()) {
		err = errors.New("it is a fork of other records than those before it")
	}
	if err != nil {
		return v.problem(index, "%v", err)
	}
	v.handovers = append(v.handovers, handoverIn(rec))
	v.forks = append(v.forks, forkAt{*f, rec})
	return nil
}

func (v *verifier) describeHandovers(given int) {
	followed := v.o.VKeys[given:]
	for _, f := range v.forks {
		followed = slices.DeleteFunc(slices.Clone(followed), func(key string) bool { return key == f.To })
	}
	if len(followed) > 0 {
		v.line("the log's key was rotated %d times since the one given, each time signed by the key before", len(followed))
	}
	for _, f := range v.forks {
		v.Forks = append(v.Forks, f.Fork)
		lost := "how many is not known"
		if seen := f.why.Detail["seen"]; seen != "" {
			lost = "a checkpoint says that there had been " + seen
		}
		v.line("FORK at record %d, %s: the log had been put back to %d records (%s), and what it said behind them is lost; %s let it go on under another name, signed by its former key: %s",
			f.Size, f.At.Format(time.RFC3339), f.Size, lost, f.why.Person, f.why.Detail["reason"])
	}
}

// notePrune holds a deletion against the seals before it.
func (v *verifier) notePrune(rec *Record) error {
	p, err := pruneOf(rec)
	if err == nil {
		err = p.check(&v.seals, rec.Time)
	}
	if err != nil {
		return v.problem(rec.Index, "archived traffic was deleted without reason: %v", err)
	}
	v.pruned.add(p)
	return nil
}

// segments are the numbers of those that the spool and its archive have now; fewer,
// where one of them can't be asked.
func (o *VerifyOptions) segments(ctx context.Context) map[int64]bool {
	out := map[int64]bool{}
	if o.SpoolDir == "" || o.Archive == nil {
		return out
	}
	here, _ := segmentsIn(o.SpoolDir) // first: what moves is in the archive before it leaves the spool
	there, _ := o.Archive.Segments(ctx, o.Node)
	for _, n := range slices.Concat(here, there) {
		out[n] = true
	}
	return out
}

// isPruned reports whether the log says that a segment was deleted. What was there before
// the log was read, and is gone, is looked up among what came since: a log in use goes on.
// Nothing else is: what lies behind the head that was verified, anybody may have put there.
func (v *verifier) isPruned(ctx context.Context, node string, segment int64) bool {
	if v.pruned.Holds(node, segment) {
		return true
	}
	if !v.there[segment] {
		return false
	}
	late, err := since(ctx, v.r, TypePrune, v.head.Last)
	if err != nil {
		return false
	}
	for i := range late {
		if late[i].Index >= v.head.Size {
			_ = v.notePrune(&late[i])
		}
	}
	return v.pruned.Holds(node, segment)
}

// sealName is what no two seals have in common.
type sealName struct {
	node    string
	segment int64
}

// sealsOf are the seals of the node whose spool is looked at, by segment.
func (v *verifier) sealsOf(node string) map[int64]Seal {
	out, nodes := map[int64]Seal{}, map[string]bool{}
	for name, s := range v.seals.known {
		nodes[name.node] = true
		if node == "" || name.node == node {
			out[name.segment] = s.Seal
		}
	}
	if node == "" && len(nodes) > 1 {
		_ = v.problem(-1, "the log has seals of %d nodes' spools: say whose this one is", len(nodes))
	}
	return out
}

// spool compares the segments with their seals in the log.
func (v *verifier) spool(ctx context.Context) error {
	if v.o.SpoolDir == "" {
		return nil
	}
	newest := time.Time{}
	segments, err := v.traffic(ctx, func(seq int64, leaf []byte) error {
		own, ok := LeafIndex(leaf)
		t, timed := leafTime(leaf)
		if !ok || !timed || own != seq || t.Before(newest) {
			return v.problem(-1, "spool record %d bears another number or an earlier time inside", seq)
		}
		newest = t
		return nil
	})
	if errors.Is(err, errEnough) {
		return err
	}
	if err != nil {
		_ = v.problem(-1, "%v", err)
	}
	seals := v.sealsOf(v.o.Node)
	next, open, torn := v.unread(segments, seals), int64(0), false
	deleted, records := int64(0), int64(0)
	skip := func(seal Seal) {
		next, torn = max(next, seal.First+seal.Count), !seal.Clean
		deleted, records = deleted+1, records+seal.Count
		delete(seals, seal.Segment)
	}
	last := int64(0)
	for _, g := range segments {
		for n := last + 1; n < g.Segment; n++ {
			if seal, sealed := seals[n]; sealed && v.isPruned(ctx, seal.Node, n) {
				skip(seal)
			}
		}
		last = g.Segment
		switch {
		case g.First > next && torn:
			v.line("gap: traffic records %d to %d were lost in a crash", next, g.First-1)
		case g.First != next:
			_ = v.problem(-1, "spool segment %d begins with record %d instead of %d", g.Segment, g.First, next)
		}
		next, torn = g.First+g.Count, !g.Clean
		v.SpoolRecords += g.Count
		seal, sealed := seals[g.Segment]
		delete(seals, g.Segment)
		if !sealed {
			open += g.Count
		} else {
			v.compare(g, seal)
		}
	}
	for n, s := range seals {
		if v.isPruned(ctx, s.Node, n) {
			skip(s)
		} else {
			_ = v.problem(-1, "spool segment %d with %d records was sealed in the log and is gone", n, s.Count)
		}
	}
	if deleted > 0 {
		v.line("%d segments with %d traffic records were past their term and are deleted, as the log says", deleted, records)
	}
	v.line("%d traffic records in %d spool segments", v.SpoolRecords, len(segments))
	if open > 0 {
		v.line("%d of them are in segments that aren't sealed in the log yet", open)
	}
	return nil
}

// node is whose spool is looked at.
func (v *verifier) node() string {
	if v.o.Node != "" {
		return v.o.Node
	}
	for name := range v.seals.known {
		return name.node // the only one, or sealsOf says so
	}
	return ""
}

// traffic reads what there is to be read, in order.
func (v *verifier) traffic(ctx context.Context, fn func(seq int64, leaf []byte) error) ([]Segment, error) {
	gone := func(n int64) bool { return v.isPruned(ctx, v.node(), n) }
	if v.o.Archive == nil || !v.o.Listed {
		return ReadTraffic(ctx, v.o.Archive, v.o.Node, v.o.SpoolDir, gone, fn)
	}
	here, err := segmentsIn(v.o.SpoolDir)
	if err != nil {
		return nil, fmt.Errorf("reading spool: %w", err)
	}
	there, err := v.o.Archive.Segments(ctx, v.o.Node)
	if err != nil {
		v.away = true
		v.line("the archive of traffic can't be asked, and its segments were not looked for: %v", err)
	}
	v.listed = there
	first := int64(1)
	if len(here) > 0 && (v.away || slices.Contains(there, here[0]-1)) {
		first = here[0]
	}
	return readSegments(here, first, gone, readIn(v.o.SpoolDir, fn))
}

// unread takes from seals the archived segments that were looked for only, and is the
// number of the first record behind them.
func (v *verifier) unread(segments []Segment, seals map[int64]Seal) (next int64) {
	if v.o.Archive == nil || !v.o.Listed || len(segments) == 0 {
		return 0
	}
	n := 0
	for number, seal := range seals {
		if number >= segments[0].Segment {
			continue
		}
		next = max(next, seal.First+seal.Count)
		if v.away || slices.Contains(v.listed, number) {
			delete(seals, number)
			n++
		}
	}
	v.line("%d archived segments of traffic were not read: assent verify reads them", n)
	return next
}

func (v *verifier) compare(g Segment, seal Seal) {
	if !g.fits(seal) {
		_ = v.problem(-1, "spool segment %d isn't the one that was sealed: it holds %d records of %d", g.Segment, g.Count, seal.Count)
		return
	}
	if !seal.Clean {
		v.line("gap: spool segment %d ended without being closed (a crash) after record %d; %d bytes behind it can't be read, and harmless reads of its last 50 ms may be missing",
			g.Segment, g.First+g.Count-1, g.Lost)
	}
}

// LeafIndex and leafTime read the first two fields, which leafOf always writes
// first, without parsing the rest: 10 million leaves are many.
func LeafIndex(leaf []byte) (int64, bool) {
	rest, ok := bytes.CutPrefix(leaf, []byte(`{"index":`))
	digits, _, found := bytes.Cut(rest, []byte(`,"time":"`))
	if !ok || !found || len(digits) > 19 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return n, err == nil && n >= 0
}

func leafTime(leaf []byte) (time.Time, bool) {
	_, rest, ok := bytes.Cut(leaf[:min(len(leaf), 128)], []byte(`,"time":"`))
	text, _, found := bytes.Cut(rest, []byte(`"`))
	if !ok || !found {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(text))
	return t, err == nil
}

// typeIn reads the type of a record, which leafOf writes behind index, time and salt.
func typeIn(leaf []byte) []byte {
	_, after, _ := bytes.Cut(leaf[:min(len(leaf), 160)], []byte(`,"type":"`))
	kind, _, ended := bytes.Cut(after, []byte(`"`))
	if !ended {
		return nil
	}
	return kind
}
