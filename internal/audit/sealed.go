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

// Read reads the seals that came to the log since the last Read. Of two of one
// name the older counts.
func (s *Sealed) Read(ctx context.Context, r Reader) error {
	var found []sealedAt
	for before := int64(0); ; {
		// The log's times never go back, so what is newer comes with the newest again.
		recs, err := r.Search(ctx, Query{Types: []string{TypeSpoolSeal}, Since: s.since, Before: before, Limit: 1000})
		if err != nil {
			return fmt.Errorf("looking for spool seals: %w", err)
		}
		for i := range recs {
			seal, err := sealOf(&recs[i])
			if err != nil {
				return err
			}
			found = append(found, sealedAt{seal, recs[i].Time})
			before = recs[i].Index
		}
		if len(recs) == 0 || before == 0 { // Before 0 would mean no bound
			break
		}
	}
	if s.known == nil {
		s.known = map[sealName]sealedAt{}
	}
	for _, f := range slices.Backward(found) {
		name := sealName{f.Node, f.Segment}
		if _, known := s.known[name]; !known {
			s.known[name] = f
		}
		s.since = f.at
	}
	return nil
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
