package approval

import "time"

// Limits are those of an Engine's bounds that may change while it runs.
type Limits struct {
	Expires      time.Duration // a pending approval's life where no rule says
	Window       time.Duration // how long an approval stays usable where no rule says
	PendingCap   int           // pending approvals of one actor
	PersonCap    int           // of all actors for one person
	StandingUses int           // most uses of a standing grant; 0: there are none
	StandingLife time.Duration
}

// SetLimits has l hold for what is asked and answered from now on. A standing grant
// beyond it covers nothing any more.
func (e *Engine) SetLimits(l Limits) { e.limits.Store(&l) }
