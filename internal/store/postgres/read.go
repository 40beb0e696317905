package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store"
)

// Read runs fn on one snapshot.
func (s *Store) Read(ctx context.Context, fn func(*Tx) error) (err error) {
	select {
	case <-s.quit:
		return store.ErrClosed
	default:
	}
	wait, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	conn, err := s.pool.Acquire(wait)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("connecting to the database: %w", err)
	}
	defer conn.Release()
	tx := newTx(conn.Conn())
	defer func() {
		if !tx.begun || conn.Conn().IsClosed() {
			return
		}
		// A connection that is still in a transaction is not given back to the pool but closed.
		end, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_, bad := conn.Exec(end, "ROLLBACK")
		err = errors.Join(err, bad)
	}()
	return fn(tx)
}

// Update implements approval.Store.
func (s *Store) Update(ctx context.Context, fn func(approval.Tx) error) error {
	return s.Write(ctx, func(tx *Tx) error { return fn(tx) })
}

// View implements approval.Store.
func (s *Store) View(ctx context.Context, fn func(approval.Tx) error) error {
	return s.Read(ctx, func(tx *Tx) error { return fn(tx) })
}

// UpdateTokens implements identity.TokenStore.
func (s *Store) UpdateTokens(ctx context.Context, fn func(identity.TokenTx) error) error {
	return s.Write(ctx, func(tx *Tx) error { return fn(tx) })
}

// ViewTokens implements identity.TokenStore.
func (s *Store) ViewTokens(ctx context.Context, fn func(identity.TokenTx) error) error {
	return s.Read(ctx, func(tx *Tx) error { return fn(tx) })
}

// UpdateSealed implements sealed.Store.
func (s *Store) UpdateSealed(ctx context.Context, fn func(sealed.Tx) error) error {
	return s.Write(ctx, func(tx *Tx) error { return fn(tx) })
}

// ViewSealed implements sealed.Store.
func (s *Store) ViewSealed(ctx context.Context, fn func(sealed.Tx) error) error {
	return s.Read(ctx, func(tx *Tx) error { return fn(tx) })
}
