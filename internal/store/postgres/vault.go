package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/store"
)

// KeepValues implements mask.Keeper.
func (s *Store) KeepValues(ctx context.Context, values []mask.Kept) error {
	err := s.Write(ctx, func(tx *Tx) error {
		for i := range values {
			k := &values[i]
			if err := short(k.Token, k.Class, k.Actor); err != nil {
				return err
			}
			if err := tx.later("INSERT INTO vault (token, class, actor, kept, body) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (token) DO NOTHING",
				raw(k.Token), raw(k.Class), raw(k.Actor), k.At.Unix(), blob(k.Sealed)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("storing values of tokens: %w", err)
	}
	return nil
}

// KeptValue implements store.Vault.
func (s *Store) KeptValue(ctx context.Context, token string) (*mask.Kept, error) {
	k, at, found := &mask.Kept{Token: token}, int64(0), false
	err := s.Read(ctx, func(tx *Tx) (err error) {
		found, err = tx.one("SELECT class, actor, kept, body FROM vault WHERE token = $1", []any{raw(token)}, str(&k.Class), str(&k.Actor), &at, &k.Sealed)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the value of a token: %w", err)
	}
	if !found {
		return nil, nil
	}
	k.At = time.Unix(at, 0).UTC()
	return k, nil
}

// EraseValues implements store.Vault.
func (s *Store) EraseValues(ctx context.Context, what mask.Erasure) (n int64, err error) {
	if what.Everything() {
		return 0, store.ErrEraseAll
	}
	before := int64(1) << 62
	if !what.Before.IsZero() {
		before = what.Before.Unix()
	}
	err = s.Write(ctx, func(tx *Tx) (err error) {
		n, err = tx.exec("DELETE FROM vault WHERE ($1 = ''::bytea OR token = $1) AND ($2 = ''::bytea OR class = $2) AND ($3 = ''::bytea OR actor = $3) AND kept < $4",
			raw(what.Token), raw(what.Class), raw(what.Actor), before)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("erasing values of tokens: %w", err)
	}
	return n, nil
}
