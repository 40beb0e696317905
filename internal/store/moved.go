package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// FileName is the database inside a data directory that is a store by itself.
const FileName = "assent.db"

const movedName = "moved"

// Moved errs with ErrMoved when the deployment in dir was moved to another store.
func Moved(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, movedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w (%s): %s", ErrMoved, filepath.Join(dir, movedName), strings.TrimSpace(string(b)))
}

// MarkMoved has every later attempt to serve from dir refused. to says where it
// went, in words, and must hold no secret.
func MarkMoved(dir, to string) error {
	f, err := os.OpenFile(filepath.Join(dir, movedName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(to + "\n")
	d, derr := os.Open(dir)
	if derr == nil {
		derr = errors.Join(f.Sync(), d.Sync(), d.Close())
	}
	return errors.Join(err, derr, f.Close())
}

// UnmarkMoved takes back a mark: nothing has moved.
func UnmarkMoved(dir string) error { return os.Remove(filepath.Join(dir, movedName)) }
