//go:build !unix

package server

import "io/fs"

// sameOwner can't tell here.
func sameOwner(fs.FileInfo, fs.FileInfo) bool { return true }
