//go:build !race

package server

// heldBytes bounds what a held action takes.
const heldBytes = 64 << 10
