//go:build unix

package keyfile

import (
	"io/fs"
	"os"
	"syscall"
)

// lentByRoot reports whether root owns the file and somebody else runs this process.
func lentByRoot(info fs.FileInfo) bool { return lent(info, os.Geteuid()) }

func lent(info fs.FileInfo, self int) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == 0 && self != 0
}
