package pgcluster

import "syscall"

// stopWithUs makes the kernel ask the server for a fast shutdown when our process dies.
func stopWithUs(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }
