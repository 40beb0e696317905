//go:build !unix

package webwire

import "net"

const canPeek = false

func stands(net.Conn) bool { return false }
