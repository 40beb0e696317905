package evidence

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// manifestHeader is the first line of a manifest's text, which no checkpoint has.
const manifestHeader = "assent/evidence-bundle/v1"

// Bounds of what is read of a bundle at a time, in bytes.
const (
	maxManifest = 1 << 20
	maxLine     = 1 << 20 // a record of 65,535 bytes as text within text, and its proof
)

// A Manifest tells what a bundle holds. The log's key signs it: for what was asked, and that
// nothing that matches was left out by the filter, it is the deployment's word. All else is proven.
type Manifest struct {
	Origin   string `json:"origin"` // of the log
	Key      string `json:"key"`    // vkey that signed this
	Software string `json:"software"`

	First       int64  `json:"first"`       // record that the range begins with
	End         int64  `json:"end"`         // the one behind its last
	Left        []Hash `json:"left"`        // roots of the perfect subtrees left of the range, the biggest first
	Consistency []Hash `json:"consistency"` // of the tree of End records with the checkpoint's (RFC 6962 section 2.1.2)

	Since *time.Time        `json:"since,omitempty"` // the period; the records beside it are shown too, where there are any
	Until *time.Time        `json:"until,omitempty"`
	Query map[string]string `json:"query,omitempty"` // what else a record must say to be shown

	Shown   int64        `json:"shown"`   // records of the range
	Hidden  int64        `json:"hidden"`  // those that are there as hashes only
	History int64        `json:"history"` // records from before the range that what is shown rests on
	Files   []BundleFile `json:"files"`
}

// saysErased is the word of a query under which a manifest tells of records that were erased.
const saysErased = "erased"

// A BundleFile is one file of a bundle, in front of the manifest.
type BundleFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func (m *Manifest) text() (string, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("writing the manifest: %w", err)
	}
	return manifestHeader + "\n" + string(b) + "\n", nil
}

// earlier is a record from before the range, with its proof.
type earlier struct {
	Index  int64  `json:"index"`
	Proof  []Hash `json:"proof"`
	Record string `json:"record"`
}

// A BundleWriter writes a bundle: History first, then each record of the range in order,
// then Close. What it has written is no bundle before Close has returned nil.
type BundleWriter struct {
	f     io.WriterAt
	files []zipped
	told  []BundleFile

	out   *bufio.Writer // of the file that is open
	size  int64
	sum   uint32
	hash  hash.Hash
	count Manifest
}

// NewBundleWriter begins a bundle at the start of f, under a signed checkpoint.
func NewBundleWriter(f io.WriterAt, checkpoint []byte) (*BundleWriter, error) {
	w := &BundleWriter{f: f}
	w.begin()
	if err := w.write(checkpoint); err != nil {
		return nil, err
	}
	if err := w.end(); err != nil {
		return nil, err
	}
	w.begin()
	return w, nil
}

func (w *BundleWriter) begin() {
	name, at := bundleFiles()[len(w.files)], int64(0)
	if n := len(w.files); n > 0 {
		at = w.files[n-1].from + w.files[n-1].size
	}
	z := zipped{name: name, from: at + localHeader + int64(len(name))}
	w.files = append(w.files, z)
	w.out, w.size, w.sum, w.hash = bufio.NewWriterSize(io.NewOffsetWriter(w.f, z.from), 1<<18), 0, 0, sha256.New()
}

func (w *BundleWriter) write(b []byte) error {
	w.size += int64(len(b))
	w.sum = crc32.Update(w.sum, crc32.IEEETable, b)
	w.hash.Write(b)
	z := &w.files[len(w.files)-1]
	if z.from+w.size > math.MaxUint32-1<<20 {
		return errors.New("a bundle of more than 4 GiB: ask for a shorter period")
	}
	if _, err := w.out.Write(b); err != nil {
		return fmt.Errorf("writing %s: %w", z.name, err)
	}
	return nil
}

func (w *BundleWriter) end() error {
	z := &w.files[len(w.files)-1]
	z.size, z.sum = w.size, w.sum
	err := w.out.Flush()
	if err == nil {
		_, err = w.f.WriteAt(z.local(), z.from-localHeader-int64(len(z.name)))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", z.name, err)
	}
	w.told = append(w.told, BundleFile{z.name, z.size, hex.EncodeToString(w.hash.Sum(nil))})
	return nil
}

// Earlier writes a record from before the range, in the order of their indexes, with its proof
// under the checkpoint.
func (w *BundleWriter) Earlier(index int64, leaf []byte, proof []Hash) error {
	b, err := json.Marshal(earlier{index, proof, string(leaf)})
	if err != nil {
		return fmt.Errorf("writing record %d: %w", index, err)
	}
	w.count.History++
	return w.write(append(b, '\n'))
}

// records ends the history, once.
func (w *BundleWriter) records() error {
	if len(w.files) > fileHistory+1 {
		return nil
	}
	if err := w.end(); err != nil {
		return err
	}
	w.begin()
	return nil
}

// Show writes the next record of the range.
func (w *BundleWriter) Show(leaf []byte) error {
	if err := w.records(); err != nil {
		return err
	}
	if bytes.IndexByte(leaf, '\n') >= 0 || len(leaf) == 0 || leaf[0] != '{' {
		return errors.New("a record isn't one line of JSON")
	}
	w.count.Shown++
	return w.write(append(append(make([]byte, 0, len(leaf)+1), leaf...), '\n'))
}

// Hide writes the hash of the next record of the range.
func (w *BundleWriter) Hide(leaf []byte) error {
	return w.HideHash(LeafHash(leaf))
}

// HideHash is Hide for a record of which the hash alone is left.
func (w *BundleWriter) HideHash(h Hash) error {
	if err := w.records(); err != nil {
		return err
	}
	w.count.Hidden++
	return w.write([]byte(`"` + base64.StdEncoding.EncodeToString(h[:]) + "\"\n"))
}

// Close writes the manifest, which sign signs (C2SP signed-note), and the end. Its counts and files are filled in.
func (w *BundleWriter) Close(m Manifest, sign func(text string) ([]byte, error)) error {
	if err := w.records(); err != nil {
		return err
	}
	if err := w.end(); err != nil {
		return err
	}
	m.Shown, m.Hidden, m.History, m.Files = w.count.Shown, w.count.Hidden, w.count.History, w.told
	text, err := m.text()
	if err != nil {
		return err
	}
	signed, err := sign(text)
	if err != nil {
		return fmt.Errorf("signing the manifest: %w", err)
	}
	w.begin()
	if err := w.write(signed); err != nil {
		return err
	}
	if err := w.end(); err != nil {
		return err
	}
	last := w.files[len(w.files)-1]
	if _, err := w.f.WriteAt(directory(w.files, last.from+last.size), last.from+last.size); err != nil {
		return fmt.Errorf("writing the list of files: %w", err)
	}
	return nil
}

// A Bundle is an evidence bundle whose form is in order. What it says is known after Verify.
type Bundle struct {
	r        io.ReaderAt
	files    []zipped
	manifest []byte // signed
	size     int64
	m        Manifest
}

// OpenBundle reads the form of a bundle of size bytes, and its manifest. It verifies no signature and no proof.
func OpenBundle(r io.ReaderAt, size int64) (*Bundle, error) {
	files, err := readZip(r, size)
	if err != nil {
		return nil, err
	}
	b := &Bundle{r: r, files: files, size: size}
	if b.manifest, err = b.whole(fileManifest, maxManifest); err != nil {
		return nil, err
	}
	text, _, ok := strings.Cut(string(b.manifest), "\n\n")
	head, body, _ := strings.Cut(text, "\n")
	if !ok || head != manifestHeader {
		return nil, broken(bundleFiles()[fileManifest], 0, "it doesn't begin with %q: this is no bundle, or one of another version", manifestHeader)
	}
	if err := json.Unmarshal([]byte(body), &b.m); err != nil {
		return nil, broken(bundleFiles()[fileManifest], -1, "it can't be read: %v", err)
	}
	if again, err := b.m.text(); err != nil || again != text+"\n" {
		return nil, broken(bundleFiles()[fileManifest], int64(firstDifference([]byte(again), []byte(text+"\n"))), "it isn't written the one way")
	}
	return b, b.sizes()
}

// sizes compares what the manifest says of the files with what they are.
func (b *Bundle) sizes() error {
	m := &b.m
	if len(m.Files) != fileManifest {
		return broken(bundleFiles()[fileManifest], -1, "it names %d files, not %d", len(m.Files), fileManifest)
	}
	for i, f := range m.Files {
		if f.Name != b.files[i].name || f.Size != b.files[i].size {
			return broken(bundleFiles()[fileManifest], -1, "it names %s of %d bytes, and %s of %d bytes is there", f.Name, f.Size, b.files[i].name, b.files[i].size)
		}
	}
	if m.First < 0 || m.End < m.First || m.Shown < 0 || m.Hidden < 0 || m.History < 0 || m.Shown+m.Hidden != m.End-m.First {
		return broken(bundleFiles()[fileManifest], -1, "%d records shown and %d hidden are not those from %d to %d", m.Shown, m.Hidden, m.First, m.End)
	}
	if m.Hidden > 0 && len(m.Query) == 0 {
		return broken(bundleFiles()[fileManifest], -1, "%d records are left out, and it tells no filter that left them out", m.Hidden)
	}
	return nil
}

// Manifest is what the bundle says of itself.
func (b *Bundle) Manifest() Manifest { return b.m }

func (b *Bundle) open(file int) *checked {
	z := &b.files[file]
	return &checked{Reader: io.NewSectionReader(b.r, z.from, z.size)}
}

func (b *Bundle) whole(file int, most int64) ([]byte, error) {
	z := &b.files[file]
	if z.size > most {
		return nil, broken(z.name, -1, "%d bytes are more than %d", z.size, most)
	}
	c := b.open(file)
	text, err := io.ReadAll(c)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", z.name, err)
	}
	if c.sum != z.sum {
		return nil, broken(z.name, -1, "its sum isn't the one of its header: it was changed, or the header was")
	}
	return text, nil
}

// lines calls fn with each line of a file, its number from 0 and where it begins, and checks the file's sums.
func (b *Bundle) lines(file int, fn func(n, offset int64, line []byte) error) error {
	z := &b.files[file]
	c, digest := b.open(file), sha256.New()
	in := bufio.NewReaderSize(io.TeeReader(c, digest), maxLine)
	at := int64(0)
	for n := int64(0); ; n++ {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return b.summed(file, c.sum, digest)
		case errors.Is(err, io.EOF):
			return broken(z.name, at, "the last line has no end")
		case errors.Is(err, bufio.ErrBufferFull):
			return broken(z.name, at, "a line of more than %d bytes", maxLine)
		case err != nil:
			return fmt.Errorf("reading %s: %w", z.name, err)
		}
		if err := fn(n, at, line[:len(line)-1]); err != nil {
			return err
		}
		at += int64(len(line))
	}
}

func (b *Bundle) summed(file int, sum uint32, digest hash.Hash) error {
	z := &b.files[file]
	if sum != z.sum {
		return broken(z.name, -1, "its sum isn't the one of its header: it was changed, or the header was")
	}
	if hex.EncodeToString(digest.Sum(nil)) != b.m.Files[file].SHA256 {
		return broken(z.name, -1, "it isn't the file that the manifest has the digest of")
	}
	return nil
}

// records calls fn with each record of the range: its leaf, or nil and its hash.
func (b *Bundle) records(fn func(index, offset int64, leaf []byte, h Hash) error) error {
	name := b.files[fileRecords].name
	return b.lines(fileRecords, func(n, offset int64, line []byte) error {
		if len(line) > 0 && line[0] == '{' {
			return fn(b.m.First+n, offset, line, LeafHash(line))
		}
		text, ok := bytes.CutPrefix(line, []byte(`"`))
		text, end := bytes.CutSuffix(text, []byte(`"`))
		h, err := parseHash(string(text))
		if err != nil || !ok || !end {
			return broken(name, offset, "neither a record nor the hash of one")
		}
		return fn(b.m.First+n, offset, nil, h)
	})
}

// Records calls fn with each record that is shown, in order: first those from before the range.
func (b *Bundle) Records(fn func(index int64, leaf []byte) error) error {
	if err := b.earlier(func(e *earlier, _ int64) error { return fn(e.Index, []byte(e.Record)) }); err != nil {
		return err
	}
	return b.records(func(index, _ int64, leaf []byte, _ Hash) error {
		if leaf == nil {
			return nil
		}
		return fn(index, leaf)
	})
}

func (b *Bundle) earlier(fn func(e *earlier, offset int64) error) error {
	name, last := b.files[fileHistory].name, int64(-1)
	return b.lines(fileHistory, func(_, offset int64, line []byte) error {
		var e earlier
		if err := json.Unmarshal(line, &e); err != nil {
			return broken(name, offset, "a line can't be read: %v", err)
		}
		if again, err := json.Marshal(e); err != nil || !bytes.Equal(again, line) {
			return broken(name, offset+int64(firstDifference(again, line)), "it isn't written the one way")
		}
		if e.Index <= last || e.Index >= b.m.First {
			return &BundleError{name, e.Index, offset, "it isn't behind the one before it, or not before the range"}
		}
		last = e.Index
		return fn(&e, offset)
	})
}

// BundleOptions say what a bundle is verified against.
type BundleOptions struct {
	VKeys     []string // the log's keys, known from elsewhere; none: the bundle's own
	Witnesses []string // vkeys of witnesses whose cosignatures count
	Progress  func(done, total int64)
}

// A BundleReport tells what was verified.
type BundleReport struct {
	Manifest   Manifest    `json:"manifest"`
	Checkpoint *Checkpoint `json:"checkpoint"`
	Size       int64       `json:"size"`    // of the bundle, in bytes
	OwnKey     bool        `json:"own_key"` // no key was given: it proves only that the bundle agrees with itself
	Rotations  int         `json:"rotations"`
	// Forks are the places where the log was put back to fewer records, and went on under another name.
	Forks     []Fork        `json:"forks,omitempty"`
	Witnesses []Cosignature `json:"witnesses"`
	From      time.Time     `json:"from"` // of the first and the last record that is shown
	To        time.Time     `json:"to"`
	Passkeys  PasskeyReport `json:"passkeys"`
	// Problems are records that a person's signature contradicts. Their bytes are those that were logged.
	Problems []string `json:"problems"`
}

// Verify reads all of the bundle. A nil error means: every byte is as it was written, the manifest is signed by the log's
// key, the records are those of the log from First to before End without one missing, and those from before are in it.
func (b *Bundle) Verify(o BundleOptions) (*BundleReport, error) {
	r := &BundleReport{Manifest: b.m, Size: b.size, OwnKey: len(o.VKeys) == 0, Problems: []string{}, Witnesses: []Cosignature{}}
	keys := o.VKeys
	if r.OwnKey {
		keys = []string{b.m.Key}
	}
	handovers, err := b.handovers(r)
	if err != nil {
		return nil, err
	}
	given := len(keys)
	keys = FollowKeys(keys, handovers...)
	r.Rotations = len(keys) - given
	for _, f := range r.Forks {
		if slices.Contains(keys[given:], f.To) {
			r.Rotations--
		}
	}
	if err := b.signed(keys); err != nil {
		return nil, err
	}
	text, err := b.whole(fileCheckpoint, maxNote)
	if err != nil {
		return nil, err
	}
	name := b.files[fileCheckpoint].name
	if digest := sha256.Sum256(text); hex.EncodeToString(digest[:]) != b.m.Files[fileCheckpoint].SHA256 {
		return nil, broken(name, -1, "it isn't the file that the manifest has the digest of")
	}
	var cosigned []Cosignature
	if r.Checkpoint, cosigned, err = VerifyCosigned(text, keys, o.Witnesses); err != nil {
		return nil, broken(name, -1, "%v", err)
	}
	r.Witnesses = append(r.Witnesses, cosigned...)
	if r.Checkpoint.Origin != b.m.Origin || b.m.End > r.Checkpoint.Size {
		return nil, broken(name, -1, "the checkpoint of %d records of %s isn't over the records up to %d of %s", r.Checkpoint.Size, r.Checkpoint.Origin, b.m.End, b.m.Origin)
	}
	return r, b.proven(r, o.Progress)
}

// handovers are the rotations and forks among the records. Each bears its own signatures.
func (b *Bundle) handovers(r *BundleReport) (out [][]byte, err error) {
	err = b.Records(func(index int64, leaf []byte) error {
		kind := typeOf(leaf)
		if kind != "key.rotate" && kind != "log.fork" {
			return nil
		}
		var rec struct {
			Type   string
			Detail struct{ Rotation, Fork string }
		}
		if json.Unmarshal(leaf, &rec) != nil || rec.Type != kind {
			return nil
		}
		if kind == "key.rotate" && len(rec.Detail.Rotation) > maxNote {
			return nil
		}
		if kind == "key.rotate" {
			out = append(out, []byte(rec.Detail.Rotation))
			return nil
		}
		f, err := VerifyFork([]byte(rec.Detail.Fork))
		if err != nil || f.Size != index {
			r.Problems = append(r.Problems, fmt.Sprintf("record %d: it isn't the fork that it says", index))
			return nil
		}
		r.Forks = append(r.Forks, *f)
		out = append(out, []byte(rec.Detail.Fork))
		return nil
	})
	return out, err
}

// signed checks the manifest's signature.
func (b *Bundle) signed(keys []string) error {
	name := b.files[fileManifest].name
	if !slices.Contains(keys, b.m.Key) {
		return broken(name, -1, "the key that signed it is none of those given, and no rotation leads from one to it: %s", b.m.Key)
	}
	v, err := note.NewVerifier(b.m.Key)
	if err != nil || v.Name() != b.m.Origin {
		return broken(name, -1, "its key isn't one of the log's")
	}
	n, err := note.Open(b.manifest, note.VerifierList(v))
	if err != nil {
		return broken(name, -1, "its signature: %v", err)
	}
	if again, err := (&b.m).text(); err != nil || again != n.Text || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return broken(name, -1, "it is to bear one signature, of its key")
	}
	if want := fmt.Sprintf("%s\n— %s %s\n", n.Text, n.Sigs[0].Name, n.Sigs[0].Base64); want != string(b.manifest) {
		return broken(name, int64(firstDifference([]byte(want), b.manifest)), "it isn't written the one way")
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64); err != nil {
		return broken(name, -1, "its signature isn't written the one way") // note is more lenient
	}
	return nil
}

// proven checks the records against the checkpoint, and the signatures of people in them.
func (b *Bundle) proven(r *BundleReport, progress func(done, total int64)) error {
	tree, err := NewRange(b.m.First, b.m.Left)
	if err != nil {
		return broken(b.files[fileManifest].name, -1, "%v", err)
	}
	people, history, shown, last := NewPasskeyLog(), int64(0), int64(0), time.Time{}
	taken := int64(0)
	take := func(name string, index, offset int64, leaf []byte) error {
		var own struct {
			Index int64
			Time  time.Time
		}
		own.Index = -1
		if err := json.Unmarshal(leaf, &own); err != nil || own.Index != index || own.Time.Before(last) {
			return &BundleError{name, index, offset, "the record bears another index inside, or a time before the record before it, or isn't a record"}
		}
		if taken++; taken == 1 && index != 0 {
			return &BundleError{name, index, offset, "the log's first record is not shown, from which the age of passkeys counts"}
		}
		last = own.Time
		if err := people.Add(leaf); err != nil {
			r.Problems = append(r.Problems, fmt.Sprintf("record %d: %v", index, err))
		}
		return nil
	}
	err = b.earlier(func(e *earlier, offset int64) error {
		name := b.files[fileHistory].name
		history++
		if err := VerifyInclusion(r.Checkpoint, e.Index, []byte(e.Record), e.Proof); err != nil {
			return &BundleError{name, e.Index, offset, err.Error()}
		}
		return take(name, e.Index, offset, []byte(e.Record))
	})
	if err != nil {
		return err
	}
	edges := map[int64]time.Time{} // of the first and the last record, where they are shown
	err = b.records(func(index, offset int64, leaf []byte, h Hash) error {
		tree.AddHash(h)
		if progress != nil && (index-b.m.First)%4096 == 0 {
			progress(index-b.m.First, b.m.End-b.m.First)
		}
		if leaf == nil {
			return nil
		}
		if err := take(b.files[fileRecords].name, index, offset, leaf); err != nil {
			return err
		}
		if shown++; shown == 1 {
			r.From = last
		}
		if r.To = last; index == b.m.First || index == b.m.End-1 {
			edges[index] = last
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case tree.Size() != b.m.End || shown != b.m.Shown || history != b.m.History:
		return broken(b.files[fileRecords].name, -1, "records from %d to %d, %d of them shown, and %d from before are not what the manifest tells", b.m.First, tree.Size(), shown, history)
	}
	r.Passkeys = people.Report()
	return cmp.Or(b.unbroken(r.Checkpoint, tree), b.period(r.Checkpoint, edges))
}

// unbroken checks that the range, with what is left of it, is what the checkpoint is over.
func (b *Bundle) unbroken(cp *Checkpoint, tree *Range) error {
	name := b.files[fileRecords].name
	switch {
	case b.m.End == cp.Size:
		if len(b.m.Consistency) != 0 || tree.Root() != cp.Root {
			return broken(name, -1, "these are not the records of the log from %d to %d: one is missing, changed or added", b.m.First, b.m.End)
		}
	case b.m.End == 0:
		if len(b.m.Consistency) != 0 {
			return broken(b.files[fileManifest].name, -1, "a proof for no record")
		}
	default:
		if err := tlog.CheckTree(b.m.Consistency, cp.Size, cp.Root, b.m.End, tree.Root()); err != nil {
			return broken(name, -1, "these are not the records of the log from %d to %d: one is missing, changed or added", b.m.First, b.m.End)
		}
	}
	return nil
}

// period checks that the range holds all of the period: what stands beside it must be shown.
func (b *Bundle) period(cp *Checkpoint, edges map[int64]time.Time) error {
	name := b.files[fileManifest].name
	before, first := edges[b.m.First]
	after, end := edges[b.m.End-1]
	switch {
	case b.m.First > 0 && (b.m.Since == nil || !first || !before.Before(*b.m.Since)):
		return broken(name, -1, "records before %d may belong to the period too", b.m.First)
	case b.m.End < cp.Size && (b.m.Until == nil || !end || after.Before(*b.m.Until)):
		return broken(name, -1, "records from %d on may belong to the period too", b.m.End)
	}
	return nil
}

// Lines say for people what was verified, and what wasn't.
func (r *BundleReport) Lines() []string {
	m, at := &r.Manifest, func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
	var out []string
	line := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if r.OwnKey {
		line("CHECKED AGAINST ITS OWN KEY ONLY: that shows that it agrees with itself, and not whose log it is; compare this key with one from elsewhere: %s", m.Key)
	}
	switch {
	case m.Since == nil && m.Until == nil:
		line("records %d to %d of %s: all that the checkpoint covers, none missing", m.First, m.End-1, m.Origin)
	case m.Since == nil:
		line("records %d to %d of %s: all before %s, none missing", m.First, m.End-1, m.Origin, at(*m.Until))
	case m.Until == nil:
		line("records %d to %d of %s: all since %s that the checkpoint covers, none missing", m.First, m.End-1, m.Origin, at(*m.Since))
	default:
		line("records %d to %d of %s: all since %s and before %s, none missing", m.First, m.End-1, m.Origin, at(*m.Since), at(*m.Until))
	}
	line("shown: %d; left out, there as hashes: %d; from before, with a proof each: %d", m.Shown, m.Hidden, m.History)
	if m.Hidden > 0 {
		var said []string
		for _, k := range slices.Sorted(maps.Keys(m.Query)) {
			if k != saysErased {
				said = append(said, k+"="+m.Query[k])
			}
		}
		if len(said) > 0 {
			line("asked for: %s; that nothing which matches is left out is the word of the log's key", strings.Join(said, " "))
		}
		if why := m.Query[saysErased]; why != "" {
			line("%s; that is the word of the log's key: assent verify, where the log is, shows it", why)
		}
	}
	line("checkpoint of %d records signed by %s", r.Checkpoint.Size, r.Checkpoint.Origin)
	if r.Rotations > 0 {
		line("the log's key was rotated %d times since the one given, each time signed by the key before", r.Rotations)
	}
	for _, f := range r.Forks {
		line("FORK at record %d, %s: the log had been put back to %d records, and what it said behind them is lost; it goes on under another name by its former key's signature", f.Size, f.At.Format(time.RFC3339), f.Size)
	}
	if len(r.Witnesses) == 0 {
		line("not witnessed, as far as the keys given tell: whoever has the log's key could have signed another log")
	}
	for _, w := range r.Witnesses {
		line("cosigned by the witness %s at %s", w.Witness, at(w.Time))
	}
	if p := &r.Passkeys; p.Keys > 0 {
		line("passkey signatures on reviews: %d; people: %d; keys: %d", p.Signatures, len(p.Persons), p.Keys)
		if m.First > 0 {
			line("what passkeys rest on from before record %d is what the bundle shows of it; one from the first record on proves it whole", m.First)
		}
	}
	line("traffic that asked nobody is not in it: its seals are among the records")
	return out
}
