//go:build !unix

package sqlite

import (
	"fmt"
	"os"
)

// lockFile refuses: without a lock two processes could write one directory.
func lockFile(path string) (*os.File, error) {
	return nil, fmt.Errorf("locking %s: this system has no file locks that end with the process", path)
}
