package postgres

import (
	"reflect"
	"slices"

	"github.com/assenthq/assent/action"
)

// judged is how one statement of a batch was judged.
type judged struct {
	text  string // that it is part of
	start int    // where in it
	plan  *planned
}

// sameAgain reports whether a statement means in the newest snapshot what it meant
// in the one it was judged by: the same kinds, definitions and columns. An overload,
// a trigger or a policy may have come meanwhile.
func (c *codec) sameAgain(b *batch, j judged) (bool, error) {
	res := c.g.cfg.Classifier.Classify(j.text, c.sqlState())
	for i := range res.Statements {
		st := &res.Statements[i]
		if start, _ := st.Span(j.text); start != j.start {
			continue
		}
		r := run{st: st}
		if _, err := c.planNamed(b, &r); err != nil || b.refusal != nil {
			return false, err
		}
		now, err := c.snap.planned(r.st, c.g.cfg.Class)
		if err != nil {
			return false, err
		}
		return j.plan.definitions == now.definitions && reflect.DeepEqual(j.plan.uses, now.uses) &&
			slices.Equal(j.plan.kinds, now.kinds) && slices.EqualFunc(j.plan.columns, now.columns, sameColumn), nil
	}
	return false, nil
}

func sameColumn(a, b action.Column) bool {
	return a.Name == b.Name && a.Derived == b.Derived && a.Turned == b.Turned && slices.Equal(a.Sources, b.Sources)
}
