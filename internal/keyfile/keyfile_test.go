//go:build unix

package keyfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A file is what Stat says of one.
type file struct {
	mode fs.FileMode
	sys  any
}

func (f file) Name() string       { return "seal.key" }
func (f file) Size() int64        { return 65 }
func (f file) Mode() fs.FileMode  { return f.mode }
func (f file) ModTime() time.Time { return time.Time{} }
func (f file) IsDir() bool        { return false }
func (f file) Sys() any           { return f.sys }

func TestPrivate(t *testing.T) {
	root, other := &syscall.Stat_t{Uid: 0}, &syscall.Stat_t{Uid: 65532}
	for _, c := range []struct {
		mode fs.FileMode
		sys  any
		self int
		want bool
	}{
		{0o440, root, 65532, true}, // a Secret with fsGroup
		{0o640, root, 65532, true},
		{0o440, root, 0, false}, // root could close it
		{0o440, other, 65532, false},
		{0o440, nil, 65532, false},
	} {
		if got := lent(file{c.mode, c.sys}, c.self); got != c.want {
			t.Errorf("mode %o, owned %v, read by %d: %v", c.mode, c.sys, c.self, got)
		}
	}
	for mode, want := range map[fs.FileMode]bool{
		0o600: true, 0o400: true, 0o000: true,
		0o604: false, 0o644: false, 0o620: false, 0o660: false, 0o650: false, 0o444: false, 0o640: false, // our own: we can close it
	} {
		path := filepath.Join(t.TempDir(), "seal.key")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := Private(info); got != want {
			t.Errorf("mode %o: %v", mode, got)
		}
	}
	for _, mode := range []fs.FileMode{0o444, 0o460, 0o450, 0o660, 0o641, 0o642} {
		if Private(file{mode, root}) {
			t.Errorf("mode %o of root's is taken", mode)
		}
	}
}
