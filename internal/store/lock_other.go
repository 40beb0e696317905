//go:build !unix

package store

import (
	"fmt"
	"os"
)

// Lock refuses: without a lock two processes could write one directory.
func Lock(path string) (*os.File, error) {
	return nil, fmt.Errorf("locking %s: this system has no file locks that end with the process", path)
}
