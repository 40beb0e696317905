// Package backup writes what a deployment keeps on this machine into one file, and puts
// it back into an empty directory.
//
// It promises that a backup made beside a running server is of one moment, that keys
// are in it encrypted or not at all, that nothing is put in place before all of it was read
// and compared with its digests, and that it never writes over anything. What happened after the
// backup is not in it: whether a log may go on from there is for the server and its witnesses to say.
package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

// version is that of the format.
const version = "assent-backup/v1"

const manifestName = "manifest.json"

// A Manifest is the last entry of a backup.
type Manifest struct {
	Format     string    `json:"format"`
	Software   string    `json:"software"`
	Time       time.Time `json:"time"`
	Checkpoint string    `json:"checkpoint"` // signed, from before the database was copied; empty: none was signed yet
	Keys       bool      `json:"keys"`       // they are in it
	Database   bool      `json:"database"`   // it is; false: it is PostgreSQL's
	Files      []File    `json:"files"`
}

// A File is one of a backup, in front of the manifest.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Source says where the parts of a deployment are. Empty ones are not there.
type Source struct {
	Checkpoint string // files
	Witnessed  string
	Operator   string
	Keys       string // directories
	Spool      string
	Traffic    string // of gate processes
	Facts      string
	Recordings string
	Forks      string // what was signed under former names of the log
	// Copy writes the database, as it is at one moment, to a new file; nil: there is none here.
	Copy func(ctx context.Context, to string) error
	// Check looks at the copy, in its directory, before it is packed.
	Check func(ctx context.Context, dir string) error
}

// Options of a backup.
type Options struct {
	Software   string
	Recipients []age.Recipient         // who can read it; none: it is not encrypted, and has no keys
	Progress   func(done, total int64) // bytes
}

// names of a backup's files.
const (
	databaseName   = "assent.db"
	checkpointName = "checkpoint"
	witnessedName  = "witnessed"
	operatorName   = "operator.json"
)

// known is what may be in a backup: nothing that lies outside the directory it is put into.
var known = regexp.MustCompile(`^(assent\.db|checkpoint|witnessed|operator\.json|(keys|spool|traffic|facts|recordings|forks)(/[A-Za-z0-9][A-Za-z0-9._-]{0,150}){1,3})$`)

// maxFile is the largest file of a backup, in bytes.
const maxFile = 1 << 42

type entry struct {
	name, path string
	size       int64
}

// Write writes a backup of src to a new file. Half a backup is removed.
func Write(ctx context.Context, src Source, to string, o Options) (m *Manifest, err error) {
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("writing the backup: %w", err)
	}
	stage, err := os.MkdirTemp(filepath.Dir(to), ".assent-backup-")
	defer func() {
		if stage != "" {
			err = errors.Join(err, os.RemoveAll(stage))
		}
		if err = errors.Join(err, out.Close()); err != nil {
			_ = os.Remove(to)
			err = fmt.Errorf("writing the backup: %w", err)
		}
	}()
	if err != nil {
		return nil, err
	}
	w := &writer{ctx: ctx, src: src, o: o, stage: stage, m: Manifest{Format: version, Software: o.Software, Time: time.Now().UTC().Truncate(time.Second), Keys: len(o.Recipients) > 0, Database: src.Copy != nil}}
	if err := w.gather(); err != nil {
		return nil, err
	}
	if err := w.pack(out); err != nil {
		return nil, err
	}
	return &w.m, out.Sync()
}

type writer struct {
	ctx     context.Context
	src     Source
	o       Options
	stage   string
	m       Manifest
	entries []entry
	total   int64
	done    int64
}

// gather takes the checkpoint first, then the database, then what only grows: so the
// checkpoint is never of more records than the database has, and no segment that the
// database has the seal of is still written to.
func (w *writer) gather() error {
	for _, f := range []struct{ name, path string }{{checkpointName, w.src.Checkpoint}, {witnessedName, w.src.Witnessed}} {
		b, err := os.ReadFile(f.path)
		if f.path == "" || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(w.stage, f.name), b, 0o600) //nolint:gosec // a directory that was made a moment ago
		}
		if err == nil {
			err = w.add(f.name, filepath.Join(w.stage, f.name))
		}
		if err != nil {
			return err
		}
		if f.name == checkpointName {
			w.m.Checkpoint = string(b)
		}
	}
	if w.src.Copy != nil {
		if err := w.src.Copy(w.ctx, filepath.Join(w.stage, databaseName)); err != nil {
			return err
		}
		if err := w.add(databaseName, filepath.Join(w.stage, databaseName)); err != nil {
			return err
		}
	}
	if w.src.Check != nil {
		if err := w.src.Check(w.ctx, w.stage); err != nil {
			return err
		}
	}
	if w.m.Keys && w.src.Operator != "" {
		if err := w.add(operatorName, w.src.Operator); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	trees := []struct{ name, dir string }{{"spool", w.src.Spool}, {"traffic", w.src.Traffic}, {"facts", w.src.Facts}, {"recordings", w.src.Recordings}, {"forks", w.src.Forks}}
	if w.m.Keys {
		trees = append(trees, struct{ name, dir string }{"keys", w.src.Keys})
	}
	for _, t := range trees {
		if err := w.tree(t.name, t.dir); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) add(name, file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if !known.MatchString(name) || !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file that a deployment has: move it elsewhere", file)
	}
	w.entries = append(w.entries, entry{name, file, info.Size()})
	w.total += info.Size()
	return nil
}

func (w *writer) tree(name, dir string) error {
	if dir == "" {
		return nil
	}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		err = w.add(path.Join(name, filepath.ToSlash(rel)), file)
		if errors.Is(err, fs.ErrNotExist) { // it was done with since
			return nil
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (w *writer) pack(out io.Writer) (err error) {
	if len(w.o.Recipients) > 0 {
		sealed, err := age.Encrypt(out, w.o.Recipients...)
		if err != nil {
			return fmt.Errorf("encrypting: %w", err)
		}
		if err := w.tar(sealed); err != nil {
			return err
		}
		return sealed.Close()
	}
	return w.tar(out)
}

func (w *writer) tar(out io.Writer) error {
	t := tar.NewWriter(out)
	for _, e := range w.entries {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if err := w.file(t, e); err != nil {
			return err
		}
	}
	b, err := json.MarshalIndent(&w.m, "", "  ")
	if err != nil {
		return err
	}
	if err := t.WriteHeader(header(manifestName, int64(len(b)), w.m.Time)); err != nil {
		return err
	}
	if _, err := t.Write(b); err != nil {
		return err
	}
	return t.Close()
}

func header(name string, size int64, at time.Time) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: at, Format: tar.FormatPAX}
}

// file writes one, as long as it was when it was found: files that are written to only grow.
func (w *writer) file(t *tar.Writer, e entry) (err error) {
	f, err := os.Open(e.path)
	if errors.Is(err, fs.ErrNotExist) && !slices.Contains([]string{databaseName, checkpointName}, e.name) {
		return nil // a segment went to the archive meanwhile
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.Size() < e.size {
		e.size = info.Size() // a segment was closed, and gave back its room
	}
	if err := t.WriteHeader(header(e.name, e.size, w.m.Time)); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(t, &counting{io.TeeReader(io.LimitReader(f, e.size), sum), w})
	if err != nil {
		return fmt.Errorf("%s: %w", e.path, err)
	}
	if n != e.size {
		return fmt.Errorf("%s: it became shorter while it was read: try again", e.path)
	}
	w.m.Files = append(w.m.Files, File{e.name, n, hex.EncodeToString(sum.Sum(nil))})
	return nil
}

type counting struct {
	io.Reader
	w *writer
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.w.done += int64(n); c.w.o.Progress != nil {
		c.w.o.Progress(c.w.done, c.w.total)
	}
	return n, err
}

// ErrEncrypted says that a backup can't be read without what opens it.
var ErrEncrypted = errors.New("the backup is encrypted: name the identity (age) or passphrase that opens it")

// Read unpacks a backup below dir, which must be empty or not there, and compares every file with its digest. Nothing but
// the files of a backup is written. On an error, what was written is removed.
func Read(in io.Reader, dir string, identities ...age.Identity) (m *Manifest, err error) {
	if names, err := os.ReadDir(dir); err == nil && len(names) > 0 {
		return nil, fmt.Errorf("%s is not empty: a backup is put into an empty directory only", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("reading the backup: %w", err), os.RemoveAll(dir))
		}
	}()
	plain, err := open(in, identities)
	if err != nil {
		return nil, err
	}
	return unpack(plain, dir)
}

// ageHeader is what an encrypted backup begins with (age-encryption.org/v1).
const ageHeader = "age-encryption.org/v1\n"

func open(in io.Reader, identities []age.Identity) (io.Reader, error) {
	start := make([]byte, len(ageHeader))
	n, err := io.ReadFull(in, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	in = io.MultiReader(strings.NewReader(string(start[:n])), in)
	if string(start[:n]) != ageHeader {
		return in, nil
	}
	if len(identities) == 0 {
		return nil, ErrEncrypted
	}
	plain, err := age.Decrypt(in, identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, errors.New("nothing that was given opens this backup")
	}
	return plain, err
}

func unpack(in io.Reader, dir string) (*Manifest, error) {
	var files []File
	seen := map[string]bool{}
	for t := tar.NewReader(in); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it ends before its manifest: it was cut short")
		}
		if err != nil {
			return nil, fmt.Errorf("this is no backup, or a damaged one: %w", err)
		}
		if h.Name == manifestName {
			return manifest(t, in, files)
		}
		if h.Typeflag != tar.TypeReg || !known.MatchString(h.Name) || h.Size < 0 || h.Size > maxFile || seen[h.Name] || sparse(h) {
			return nil, fmt.Errorf("it holds %q, which no backup does", clip(h.Name))
		}
		seen[h.Name] = true
		sum := sha256.New()
		if err := write(filepath.Join(dir, filepath.FromSlash(h.Name)), t, h.Size, sum); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
		files = append(files, File{h.Name, h.Size, hex.EncodeToString(sum.Sum(nil))})
	}
}

// sparse reports whether a header tells of bytes that aren't in the tar file: a kilobyte of it could fill the disk.
func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func clip(s string) string { return s[:min(len(s), 100)] }

func write(name string, in io.Reader, size int64, sum hash.Hash) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(io.MultiWriter(f, sum), in)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes instead of %d", n, size)
	}
	if err == nil {
		err = f.Sync()
	}
	return err
}

// manifest compares what was unpacked with what the manifest lists, and reads to the end: only then
// has age checked all of it.
func manifest(t *tar.Reader, all io.Reader, files []File) (*Manifest, error) {
	b, err := io.ReadAll(io.LimitReader(t, 64<<20))
	if err != nil {
		return nil, err
	}
	var m Manifest
	if json.Unmarshal(b, &m) != nil || m.Format != version {
		return nil, fmt.Errorf("its manifest is not of the format %s", version)
	}
	if _, err := t.Next(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind its manifest")
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if len(files) != len(m.Files) {
		return nil, fmt.Errorf("it holds %d files, and its manifest lists %d", len(files), len(m.Files))
	}
	for i, f := range m.Files {
		if f != files[i] {
			return nil, fmt.Errorf("%s is not the file that the manifest lists: it is damaged", files[i].Name)
		}
	}
	return &m, nil
}
