package approval

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

const (
	pastFor   = 30 * 24 * time.Hour
	pastLimit = 5000 // records looked at
	pastShown = 5
)

// A Past is what a standing grant would have covered lately, as far as records
// tell: shapes and masked text. It is shown before anybody asks for one.
type Past struct {
	Since    time.Time
	Asked    int // actions of this shape by this actor on this resource
	Same     int // of them with the same text, masked values apart
	Denied   int // of them, by people or policy
	Examples []string
	Partial  bool // there are more records than were looked at
}

// PastOf looks at the records of the last 30 days.
func PastOf(ctx context.Context, log audit.Reader, a *Approval, now time.Time) (Past, error) {
	p := Past{Since: now.Add(-pastFor)}
	recs, err := log.Search(ctx, audit.Query{
		Types: []string{audit.TypeRequest}, Actor: a.actor(), Resource: a.Resource.URN, Since: p.Since, Limit: pastLimit,
	})
	if err != nil {
		return p, fmt.Errorf("looking at what was asked before: %w", err)
	}
	p.Partial = len(recs) == pastLimit
	for _, r := range recs {
		if a.Shape == "" || r.Shape != a.Shape || r.Approval == a.ID {
			continue
		}
		p.Asked++
		text := r.Detail["statement"]
		if text == a.Statement {
			p.Same++
		}
		if r.Decision == "deny" {
			p.Denied++
		}
		if len(p.Examples) < pastShown && !slices.Contains(p.Examples, text) {
			p.Examples = append(p.Examples, text)
		}
	}
	return p, nil
}
