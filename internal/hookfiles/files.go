package hookfiles

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// suffix of the copy of a file as it was before Assent's hook came.
const suffix = ".before-assent"

// maxFile is how large settings may be.
const maxFile = 4 << 20

// A Change is what was done to a file, or would be.
type Change struct {
	Path, Backup  string // Backup: where the file is as it was; "" where there was none
	Before, After []byte // After nil: the file goes
	Changed       bool
}

// Put installs the hook into the file at path; within is the directory that it may
// not lead out of, "" for none. dry changes nothing.
func Put(name, path, within, command string, dry bool) (Change, error) {
	real, before, err := open(path, within)
	if err != nil {
		return Change{}, err
	}
	after, err := Install(name, before, command)
	if err != nil {
		return Change{}, fmt.Errorf("%s is not changed, since it can't be read: %w (mend it, or add the hook by hand)", path, err)
	}
	c := Change{Path: path, Before: before, After: after, Changed: !bytes.Equal(before, after)}
	if !c.Changed {
		return c, nil
	}
	if before != nil {
		c.Backup = real + suffix
	}
	if dry {
		return c, nil
	}
	if before != nil {
		if err := keep(name, c.Backup, before); err != nil {
			return Change{}, err
		}
	} else if err := os.MkdirAll(filepath.Dir(real), 0o750); err != nil {
		return Change{}, fmt.Errorf("making the directory of %s: %w", path, err)
	}
	return c, write(real, after)
}

// Take takes the hook out of the file at path.
func Take(name, path, within string, dry bool) (Change, error) {
	real, now, err := open(path, within)
	if err != nil {
		return Change{}, err
	}
	if now == nil {
		return Change{Path: path}, nil
	}
	before, err := os.ReadFile(real + suffix)
	none := errors.Is(err, fs.ErrNotExist)
	if err != nil && !none {
		return Change{}, fmt.Errorf("reading the copy beside %s: %w", path, err)
	}
	if none {
		before = []byte{}
	}
	after, err := Uninstall(name, now, before)
	if err != nil {
		return Change{}, fmt.Errorf("%s is not changed, since it can't be read: %w (mend it, or take the hook out by hand)", path, err)
	}
	c := Change{Path: path, Before: now, After: after, Changed: !bytes.Equal(now, after)}
	if dry || !c.Changed {
		return c, nil
	}
	if none && len(after) == 0 { // it was not there before
		c.After = nil
		return c, os.Remove(real)
	}
	if err := write(real, after); err != nil {
		return Change{}, err
	}
	if !none && bytes.Equal(after, before) {
		return c, os.Remove(real + suffix)
	}
	return c, nil
}

// open reads the file that path leads to; nil where there is none.
func open(path, within string) (real string, text []byte, err error) {
	real, err = filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(path); err == nil {
			return "", nil, fmt.Errorf("%s is a link that leads nowhere: remove it first", path)
		}
		if dir, err := filepath.EvalSymlinks(nearest(filepath.Dir(path))); err != nil || outside(dir, within) {
			return "", nil, fmt.Errorf("%s leads out of the project", path)
		}
		return path, nil, nil
	case err != nil:
		return "", nil, fmt.Errorf("looking for %s: %w", path, err)
	case outside(real, within):
		return "", nil, fmt.Errorf("%s leads out of the project, to %s", path, real)
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", nil, fmt.Errorf("looking at %s: %w", path, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", nil, fmt.Errorf("%s is no file of settings", path)
	}
	text, err = os.ReadFile(real)
	if text == nil {
		text = []byte{}
	}
	return real, text, err
}

// nearest is the directory itself, or the nearest one above it that is there.
func nearest(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func outside(path, within string) bool {
	if within == "" {
		return false
	}
	root, err := filepath.EvalSymlinks(within)
	if err != nil {
		return true
	}
	rel, err := filepath.Rel(root, path)
	return err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// keep writes the copy. Of a file that has the hook already, the older copy stays.
func keep(name, path string, text []byte) error {
	if bare, err := strip(name, orEmpty(text)); err == nil && !bytes.Equal(bare, orEmpty(text)) {
		return nil
	}
	if err := write(path, text); err != nil {
		return err
	}
	return os.Chmod(path, 0o600)
}

// write replaces a file whole.
func write(path string, text []byte) error {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".assent-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
