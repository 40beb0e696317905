package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Dir is a Shelf: a directory, which is made when the first file comes.
type Dir string

func (d Dir) path(name string) string { return filepath.Join(string(d), filepath.FromSlash(name)) }

// Names implements Shelf.
func (d Dir) Names(_ context.Context, dir string) ([]string, error) { return namesIn(d.path(dir)) }

func namesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, nil
}

// Open implements Shelf.
func (d Dir) Open(_ context.Context, name string) (ShelfFile, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &dirFile{f, info.Size()}, nil
}

type dirFile struct {
	*os.File
	size int64
}

func (f *dirFile) Size() int64 { return f.size }

// Put implements Shelf. What a crash leaves of it is called arriving-….
func (d Dir) Put(_ context.Context, name string, r *io.SectionReader) error {
	to := d.path(name)
	dir := filepath.Dir(to)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "arriving-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when all went well
	sent := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sent), io.NewSectionReader(r, 0, r.Size()))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	stored, err := sumOf(f.Name())
	if err != nil {
		return err
	}
	if stored != [sha256.Size]byte(sent.Sum(nil)) {
		return errors.New("the disk gives back other bytes than were written")
	}
	// A link, because it fails where somebody was faster; a rename would replace theirs.
	if err := os.Link(f.Name(), to); err != nil {
		return err
	}
	return syncDir(dir)
}

func sumOf(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}

// Remove implements Shelf.
func (d Dir) Remove(_ context.Context, name string) error {
	path := d.path(name)
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Locked implements Shelf: nothing is.
func (d Dir) Locked(context.Context, string) (time.Time, error) { return time.Time{}, nil }
