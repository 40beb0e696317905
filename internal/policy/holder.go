package policy

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// A Holder has the policy in force. A reload replaces it whole or not at all:
// when loading fails, the last good one stays and Err tells what is wrong.
// It is safe for concurrent use.
type Holder struct {
	current atomic.Pointer[Set]

	mu  sync.Mutex // one reload at a time; guards err
	err error
}

// NewHolder holds s, which must not be nil.
func NewHolder(s *Set) *Holder {
	h := &Holder{}
	h.current.Store(s)
	return h
}

// Current is the policy in force.
func (h *Holder) Current() *Set { return h.current.Load() }

// Decide decides by the policy in force.
func (h *Holder) Decide(in *Input, d *Decision) { h.Current().Decide(in, d) }

// Reload puts what load returns in force. On an error, or nil, nothing changes
// but Err.
func (h *Holder) Reload(load func() (*Set, error)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, err := load()
	if err == nil && s == nil {
		err = fmt.Errorf("no policy was loaded")
	}
	if err != nil {
		h.err = fmt.Errorf("reloading policy, the last good one stays in force: %w", err)
		return h.err
	}
	h.current.Store(s)
	h.err = nil
	return nil
}

// Err is why the last reload failed, or nil.
func (h *Holder) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}
