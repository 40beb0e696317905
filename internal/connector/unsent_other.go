//go:build !linux

package connector

import "net"

func unsent(net.Conn) {}
