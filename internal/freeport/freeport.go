// Package freeport finds TCP ports for servers that can't be handed a listener.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Address is one of 127.0.0.1 that nobody listens at. Until the caller's server does, others
// may take it: it is none of those that systems give to connections and to listeners
// that ask for any (from 32768 up on Linux, 49152 on others, RFC 6335 section 6), which are
// taken all the time, and is drawn among twenty thousand.
func Address() (string, error) {
	const first, end = 12000, 32000
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(end-first))) //nolint:gosec // who could guess it could as well look
		if l, err := net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no port from 12000 to 31999 of 127.0.0.1 is free")
}

// Port is the port of an Address.
func Port() (int, error) {
	address, err := Address()
	if err != nil {
		return 0, err
	}
	_, port, _ := net.SplitHostPort(address)
	return strconv.Atoi(port)
}
