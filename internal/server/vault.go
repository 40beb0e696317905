package server

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/mask"
)

// vault shows the values behind tokens to who may see them, and erases them.
type vault struct{ s *Server }

func (v vault) may(p *identity.Person) bool {
	return len(v.s.cfg.Vault.Groups) > 0 && slices.ContainsFunc(v.s.cfg.Vault.Groups, func(g string) bool { return p.In(groupID(g)) })
}

// ReadValue records first: what can't be recorded isn't shown.
func (v vault) ReadValue(ctx context.Context, by identity.Person, token, reason string) ([]byte, *mask.Kept, error) {
	if !v.may(&by) {
		return nil, nil, api.ErrVaultRight
	}
	kept, err := v.s.store.KeptValue(ctx, token)
	if err != nil {
		return nil, nil, err
	}
	if kept == nil {
		return nil, nil, api.ErrNotKept
	}
	rec := &audit.Record{Type: audit.TypeVault, Person: by.ID, Actor: kept.Actor, Detail: map[string]string{
		"event": "read", "token": token, "class": kept.Class, "reason": v.s.masked(reason),
	}}
	if err := v.s.record(ctx, rec); err != nil {
		return nil, nil, err
	}
	value, err := v.s.masker.Unsealed(kept)
	return value, kept, err
}

// EraseValues records what is about to be erased, then erases it: an erasure that is
// on record may have to be asked again, and none goes unrecorded.
func (v vault) EraseValues(ctx context.Context, by string, what mask.Erasure, reason string) (int64, error) {
	detail := map[string]string{"event": "erase", "reason": v.s.masked(reason)}
	for name, value := range map[string]string{"token": what.Token, "class": what.Class, "of": what.Actor} {
		if value != "" {
			detail[name] = v.s.masked(value)
		}
	}
	if !what.Before.IsZero() {
		detail["before"] = what.Before.UTC().Format(time.RFC3339)
	}
	if err := v.s.record(ctx, &audit.Record{Type: audit.TypeVault, Person: by, Detail: detail}); err != nil {
		return 0, err
	}
	n, err := v.s.store.EraseValues(ctx, what)
	if err != nil {
		return 0, err
	}
	v.s.log.Info("values behind tokens were erased", "by", by, "values", strconv.FormatInt(n, 10))
	return n, nil
}
