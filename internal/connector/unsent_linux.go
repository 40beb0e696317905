package connector

import (
	"net"
	"syscall"
)

// unsent bounds what waits in the kernel behind a slow network, so that pings and
// small answers don't wait behind megabytes: TCP_NOTSENT_LOWAT (tcp(7) of Linux 3.12).
func unsent(c net.Conn) {
	const notSentLowat = 25
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := t.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, notSentLowat, 128<<10) // without it, it is slower and no less right
		})
	}
}
