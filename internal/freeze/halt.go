package freeze

import (
	"context"
	"errors"
	"fmt"

	"github.com/assenthq/assent/internal/sealed"
)

// Halt stops everything because of something that this server found about itself.
// It holds from here on, whether or not it can be stored; stored, it is a freeze
// like any other, on every node, which administrators let go. What they let go once
// isn't stopped again for the same finding: halted is false then.
func (s *Switch) Halt(ctx context.Context, finding, reason string) (halted bool, err error) {
	if e := known(s.now.Load().all, finding); e != nil && s.Err() == nil {
		return e.Active(), nil
	}
	why := errors.New(reason)
	if s.halted.Swap(&why) == nil {
		s.tell()
	}
	err = s.o.Box.Update(ctx, func(w *sealed.Writer) error {
		var err error
		halted, err = s.putHalt(ctx, w, finding, reason)
		return err
	})
	if err == nil {
		err = s.Load(ctx)
	}
	if err != nil {
		return true, fmt.Errorf("storing that everything is frozen (it is, on this node): %w", err)
	}
	s.halted.Store(nil)
	s.tell() // from here on approvals are withdrawn too
	return halted, nil
}

// putHalt stores the freeze, unless there is or was one for this finding.
func (s *Switch) putHalt(ctx context.Context, w *sealed.Writer, finding, reason string) (halted bool, err error) {
	target := Target{What: Everything}
	there, err := rows.List(ctx, &w.Reader, sealed.Selection{Key: target.String()})
	if err != nil {
		return true, err
	}
	for _, e := range there {
		if e.Value.Finding == finding {
			return e.Value.Active(), nil
		}
	}
	_, err = s.add(ctx, w, Freeze{Target: target, Reason: reason, Finding: finding})
	return true, err
}

// known is the freeze that was stored for a finding.
func known(all []Entry, finding string) *Entry {
	for i := range all {
		if e := &all[i]; e.Finding == finding {
			return e
		}
	}
	return nil
}

// tell tells of a change that no reading found.
func (s *Switch) tell() {
	s.mu.Lock()
	fns := s.changed
	s.mu.Unlock()
	for _, fn := range fns {
		fn()
	}
}
