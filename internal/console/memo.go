package console

import (
	"sync"
	"time"
)

// memo keeps a value for a moment, so that many open pages ask once.
type memo[T any] struct {
	mu    sync.Mutex // held while a value is made: others wait for that one
	value T
	until time.Time
}

func (m *memo[T]) get(now time.Time, keep time.Duration, make func() T) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !now.Before(m.until) {
		m.value = make()
		m.until = now.Add(keep)
	}
	return m.value
}
