//go:build unix

package mcp

import (
	"os"
	"syscall"
)

// ownGroup lets a process and all it starts be ended together.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
