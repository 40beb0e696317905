package audit

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Sealed are the seals of spool segments that a log holds, as far as they were
// read. Its zero value has read none. It belongs to one goroutine at a time.
type Sealed struct {
	known map[sealName]sealedAt
	since time.Time // of the newest that was read
}

type sealedAt struct {
	Seal
	at time.Time // of the seal's record
}

// Read reads the seals that came to the log since the last Read.
func (s *Sealed) Read(ctx context.Context, r Reader) error {
	found, err := since(ctx, r, TypeSpoolSeal, s.since)
	if err != nil {
		return fmt.Errorf("looking for spool seals: %w", err)
	}
	for i := range found {
		seal, err := sealOf(&found[i])
		if err != nil {
			return err
		}
		s.add(seal, found[i].Time)
		s.since = found[i].Time
	}
	return nil
}

// add notes a seal; of two of one name the older counts. It reports whether they say the same.
func (s *Sealed) add(seal Seal, at time.Time) bool {
	if s.known == nil {
		s.known = map[sealName]sealedAt{}
	}
	name := sealName{seal.Node, seal.Segment}
	old, known := s.known[name]
	if !known {
		s.known[name] = sealedAt{seal, at}
	}
	return !known || old.Seal == seal
}

// Holds reports whether the log holds just that seal.
func (s *Sealed) Holds(seal Seal) bool {
	return s.known[sealName{seal.Node, seal.Segment}].Seal == seal
}

// Lacks returns those of seals under whose name the log holds none.
func (s *Sealed) Lacks(seals []Seal) []Seal {
	return slices.DeleteFunc(slices.Clone(seals), func(seal Seal) bool {
		_, known := s.known[sealName{seal.Node, seal.Segment}]
		return known
	})
}
