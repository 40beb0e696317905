// Package keyfile says which files of keys are closed enough to be relied on: a key that others
// can read may have been used by them.
package keyfile

import "io/fs"

// Private reports whether a key file is closed to others: its owner alone may read and write it, or root
// owns it and its group may read it, no more. The second is how Kubernetes mounts a Secret
// for a user that isn't root (fsGroup, mode 0440), and how PostgreSQL takes its own key (0640): whoever runs
// this process can't open such a file further, and root chose the group. Where root runs it, the first form alone holds.
func Private(info fs.FileInfo) bool {
	switch open := info.Mode().Perm() & 0o077; open {
	case 0:
		return true
	case 0o040:
		return lentByRoot(info)
	}
	return false
}
