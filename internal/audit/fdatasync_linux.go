package audit

import (
	"fmt"
	"os"
	"syscall"
)

// fdatasync leaves out the times of the file, which nobody needs after a crash.
func fdatasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			if err != nil {
				return fmt.Errorf("fdatasync %s: %w", f.Name(), err)
			}
			return nil
		}
	}
}
