package postgres

import (
	"slices"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
)

// groups counts the rows behind the smallest group that a read would show, where it
// can; out says when nobody counted what is behind an aggregate of classed columns.
func (s *preview) groups(out *action.Preview, now *snapshot) {
	n, err := s.smallest(now)
	switch {
	case err == nil:
		out.SmallestGroup = n
		out.Text += ", with " + n.Of("row") + " behind the smallest group"
	case s.folds:
		out.Why = "the rows behind its smallest group are not counted: " + previewWhy(err)
	}
}

func (s *preview) smallest(now *snapshot) (action.Count, error) {
	switch {
	case s.probe.Groups == "":
		return action.Count{}, noPreview("it is more than plain aggregates of one table's columns")
	case !s.alone:
		return action.Count{}, noPreview("its transaction may see other rows")
	}
	// Whether a view or a row policy shows every session the same is not known.
	if rel := now.resolve(s.probe.Target, s.path()); rel == nil || rel.security || rel.kind != 'r' && rel.kind != 'p' && rel.kind != 'm' {
		return action.Count{}, noPreview("it reads something else than a plain table")
	}
	if slices.ContainsFunc(s.params, func(p param) bool { return sql.NamesTime(string(p.value)) }) {
		return action.Count{}, noPreview("a parameter may stand for the time it is")
	}
	if err := s.plain(now, s.probe.Groups); err != nil {
		return action.Count{}, err
	}
	return s.count(s.probe.Groups, s.probe.GroupParams)
}
