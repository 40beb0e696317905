//go:build !unix

package keyfile

import "io/fs"

func lentByRoot(fs.FileInfo) bool { return false }
