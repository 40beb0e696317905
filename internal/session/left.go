package session

import (
	"context"
	"errors"

	"github.com/assenthq/assent/internal/sealed"
)

// gone reports whether provisioning ended the account a session came in by.
func (m *Manager) gone(s *Session) bool {
	return s.Account != "" && m.o.Gone != nil && m.o.Gone(s.Account)
}

// Left says that accounts were disabled: Run ends their sessions. Each node does;
// of two one finds them ended.
func (m *Manager) Left() {
	select {
	case m.left <- struct{}{}:
	default:
	}
}

// endGone ends the sessions of accounts that provisioning disabled. They counted
// for nothing already; this closes what goes on from them.
func (m *Manager) endGone(ctx context.Context) {
	if m.o.Gone == nil {
		return
	}
	var ids []string
	err := m.o.Box.View(ctx, func(r *sealed.Reader) error {
		ids = nil
		all, err := kind.List(ctx, r, sealed.Selection{Key: live})
		for _, e := range all {
			if e.Value.Ended.IsZero() && m.gone(&e.Value) {
				ids = append(ids, e.ID)
			}
		}
		return err
	})
	for _, id := range ids {
		if err = m.End(ctx, id, "server", "provisioning disabled its account"); errors.Is(err, ErrNone) || errors.Is(err, sealed.ErrConflict) {
			m.forget(id)
			err = nil
		}
	}
	if err != nil && ctx.Err() == nil {
		m.o.Logger.WarnContext(ctx, "ending sessions of disabled accounts", "err", err)
	}
}
