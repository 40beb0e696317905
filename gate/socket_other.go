//go:build !linux || race

package gate

import "net"

const quickens = false

// quick is c with cheaper reads and writes where c is a socket: on Linux, and not under the race detector.
func quick(c net.Conn) net.Conn { return c }
