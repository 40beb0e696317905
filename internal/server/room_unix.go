//go:build linux || darwin

package server

import "syscall"

// roomOf is how many bytes of the file system of dir are free for others than root.
func roomOf(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // Bsize has another size elsewhere
}
