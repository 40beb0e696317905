package server

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/rules"
)

// Settings that may be changed while running, by their keys in the configuration.
const (
	setExpires      = "limits.approval_expires"
	setWindow       = "limits.approval_window"
	setPerActor     = "limits.pending_per_actor"
	setPerPerson    = "limits.pending_per_person"
	setExport       = "limits.export_after_rows"
	setExportOf     = "limits.export_after_rows_of."
	setStandingUses = "limits.standing_uses"
	setStandingLife = "limits.standing_life"
)

// settingsOf are the settings of a configuration.
func settingsOf(l *Limits) []rules.Setting {
	seconds := func(d, unless time.Duration) int64 {
		if d <= 0 {
			d = unless
		}
		return int64(d / time.Second)
	}
	uses := int64(max(l.StandingUses, 0))
	if l.StandingUses == 0 {
		uses = 100
	}
	const day = 24 * 60 * 60
	out := []rules.Setting{
		{Name: setExpires, Doc: "How long an approval waits for people unless its rule says otherwise.", Span: true, Default: seconds(l.ApprovalExpires, 30*time.Minute), Least: 60, Most: 7 * day},
		{Name: setWindow, Doc: "How long an approval stays usable unless its rule says otherwise.", Span: true, Default: seconds(l.ApprovalWindow, 15*time.Minute), Least: 60, Most: day},
		{Name: setPerActor, Doc: "Approvals one actor may have pending.", Default: int64(l.PendingPerActor), Least: 1, Most: 100_000},
		{Name: setPerPerson, Doc: "Approvals that all actors working for one person may have pending.", Default: int64(l.PendingPerPerson), Least: 1, Most: 300_000},
		{Name: setExport, Doc: "Rows a person's agents may read in an hour before a read counts as an export.", Default: l.ExportAfterRows, Least: 1, Most: 1 << 40},
		{Name: setStandingUses, Doc: "Most uses of one standing grant; 0: there are none.", Default: uses, Least: 0, Most: 1_000_000},
		{Name: setStandingLife, Doc: "How long a standing grant lasts at most.", Span: true, Default: seconds(l.StandingLife, 8*time.Hour), Least: 60, Most: 366 * day},
	}
	for _, class := range slices.Sorted(maps.Keys(l.ExportAfterRowsOf)) {
		out = append(out, rules.Setting{Name: setExportOf + class, Doc: "The same for rows with " + class + " in them.", Default: l.ExportAfterRowsOf[class], Least: 1, Most: 1 << 40})
	}
	return out
}

// makeRules makes what changes groups, turns and settings.
func (s *Server) makeRules() error {
	var err error
	s.rules, err = rules.New(rules.Options{
		Box: s.box, Changes: s.changes, Directory: s.dir, Admins: each(s.cfg.Admins, groupID), Settings: settingsOf(&s.cfg.Limits),
		ReadsGroups: func() bool { return s.policy.Current().ReadsGroups() }, Apply: s.applySettings, Logger: s.log,
	})
	return err
}

// applySettings has settings hold, by name.
func (s *Server) applySettings(v map[string]int64) error {
	span := func(name string) time.Duration { return time.Duration(v[name]) * time.Second }
	s.engine.SetLimits(approval.Limits{
		Expires: span(setExpires), Window: span(setWindow), PendingCap: int(v[setPerActor]), PersonCap: int(v[setPerPerson]),
		StandingUses: int(v[setStandingUses]), StandingLife: span(setStandingLife),
	})
	of := map[string]int64{}
	for name, rows := range v {
		if class, ok := strings.CutPrefix(name, setExportOf); ok {
			of[class] = rows
		}
	}
	return s.enforcer.SetExportAfter(v[setExport], of)
}
