//go:build unix

package detect_test

import (
	"syscall"
	"time"
)

// cpu returns the processor time this process has used: others may use the machine.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
