//go:build !unix

package launch

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/assenthq/assent/internal/mask"
)

// forwarded are the signals that a command gets which were sent to us.
var forwarded = []os.Signal{os.Interrupt}

// signalName is the name of a signal.
func signalName(s syscall.Signal) string { return fmt.Sprintf("SIG%d", int(s)) }

// onTerminal is onPipes: here a command gets no terminal of its own.
func (p *Prepared) onTerminal(cmd *exec.Cmd, set *mask.Set) (*Result, error) {
	return p.onPipes(cmd, set)
}
