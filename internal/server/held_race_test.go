//go:build race

package server

// heldBytes bounds what a held action takes; the race detector makes stacks twice as large.
const heldBytes = 128 << 10
