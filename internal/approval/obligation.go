package approval

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/policy"
)

// An Obligation is what a reviewer asks for besides: further masks, fewer rows, less
// time. It is only ever tighter than what holds already.
type Obligation struct {
	Masks  map[string]string `json:",omitempty"` // class or group → method
	Rows   action.Count      // most rows it may touch
	Window time.Duration     // how long it stays usable once approved; 0: as it was
}

// Empty says that nothing is asked for.
func (o *Obligation) Empty() bool { return len(o.Masks) == 0 && !o.Rows.Known && o.Window == 0 }

// String is the obligation in one line, always the same for the same.
func (o *Obligation) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(o.Masks)) {
		parts = append(parts, fmt.Sprintf("%s masked (%s)", name, o.Masks[name]))
	}
	if o.Rows.Known {
		parts = append(parts, fmt.Sprintf("at most %d rows", o.Rows.N))
	}
	if o.Window > 0 {
		parts = append(parts, "usable for "+o.Window.String())
	}
	return strings.Join(parts, ", ")
}

// Bounds are what an approval lets run: what policy asked for, and what reviewers
// asked for besides. Those of every review count, whoever fills the seats.
type Bounds struct {
	Masks  map[string]string // class → method
	Rows   action.Count
	Window time.Duration
}

// Bounds folds the reviews of a over what it was asked with.
func (a *Approval) Bounds() Bounds {
	b := Bounds{Masks: a.Masks, Rows: a.RowLimit, Window: a.Window}
	for i := range a.Reviews {
		b.take(&a.Reviews[i].Obligation)
	}
	return b
}

// take adds what an obligation asks for. It was checked when it was given: each part
// that still makes sense counts, whatever became of the others.
func (b *Bounds) take(o *Obligation) {
	for name, method := range o.Masks {
		if masks, err := policy.Tighten(b.Masks, map[string]string{name: method}); err == nil {
			b.Masks = masks
		}
	}
	if n := o.Rows; n.Known && (!b.Rows.Known || n.N < b.Rows.N) {
		b.Rows = n
	}
	if w := o.Window; w > 0 && w < b.Window {
		b.Window = w
	}
}

// An ObligationError says why what a reviewer asks for can't be had.
type ObligationError struct{ Why string }

func (e *ObligationError) Error() string { return "the obligation can't be added: " + e.Why }

// minWindow is what an asker needs to come back and use an approval.
const minWindow = 10 * time.Second

// tighter errs unless o, given with decision, only takes away from what a would let run.
func (a *Approval) tighter(o *Obligation, decision string) error {
	no := func(format string, args ...any) error { return &ObligationError{fmt.Sprintf(format, args...)} }
	if o.Empty() {
		return nil
	}
	if decision != Approve {
		return no("a denial lets nothing run")
	}
	now := a.Bounds()
	if len(o.Masks) > 0 {
		if _, err := policy.Tighten(now.Masks, o.Masks); err != nil {
			return no("%s", err)
		}
	}
	if o.Rows.Known {
		held := a.held(now.Rows)
		switch {
		case o.Rows.N < 1:
			return no("at most %d rows is a denial: deny it", o.Rows.N)
		case !a.countable():
			return no("nothing counts this action's rows while it runs, so a limit would not hold")
		case held.Known && o.Rows.N >= held.N:
			return no("at most %d rows is not less than the %d that hold already", o.Rows.N, held.N)
		}
	}
	switch {
	case o.Window == 0:
	case o.Window < minWindow:
		return no("%s is too short for the asker to come back: at least %s", o.Window, minWindow)
	case o.Window >= now.Window:
		return no("%s is not shorter than the %s that hold already", o.Window, now.Window)
	}
	return nil
}

// held is the row bound in force: a limit, or what the preview holds it to.
func (a *Approval) held(limit action.Count) action.Count {
	if n := a.Preview.Bound(); n.Known && (!limit.Known || n.N < limit.N) {
		return n
	}
	return limit
}

// countable says that a row limit can be held: rows that come back are counted before
// they pass, and what changes is held to its preview by the gate.
func (a *Approval) countable() bool {
	if a.Preview.Bound().Known {
		return true
	}
	return len(a.Kinds) > 0 && !slices.ContainsFunc(a.Kinds, func(k action.Kind) bool {
		return k != action.DataRead && k != action.DataExport
	})
}
