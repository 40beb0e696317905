package launch

import (
	"fmt"
	"os"
	"syscall"
)

// stamp changes whenever a file is written to; nobody can set it.
func stamp(i os.FileInfo) string {
	if s, ok := i.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(s.Ctim, s.Size)
	}
	return fmt.Sprint(i.ModTime(), i.Size())
}

// opened is a path that leads to the file f holds open, whatever stands at path by
// now: the new process finds it through this one.
func opened(f *os.File, path string) string {
	at := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd())
	if _, err := os.Stat(at); err != nil {
		return path // /proc isn't mounted: it was looked at a moment ago
	}
	return at
}
