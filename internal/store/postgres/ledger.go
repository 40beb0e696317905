package postgres

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/store"
)

const hourMicros = int64(time.Hour / time.Microsecond)

var errNoLedgerKey = errors.New("the ledger has no key to seal its rows with")

// SealLedger implements store.Ledger.
func (s *Store) SealLedger(key []byte) { s.ledgerKey = key }

func (s *Store) ledgerMAC(subject, class, resource string, hour, rows, bytes int64) ([]byte, error) {
	if len(s.ledgerKey) == 0 {
		return nil, errNoLedgerKey
	}
	return store.LedgerMAC(s.ledgerKey, subject, class, resource, hour, rows, bytes), nil
}

func (s *Store) checkLedger(mac []byte, subject, class, resource string, hour, rows, bytes int64) error {
	want, err := s.ledgerMAC(subject, class, resource, hour, rows, bytes)
	if err == nil && !hmac.Equal(mac, want) {
		err = store.ErrLedgerEdited
	}
	return err
}

// AddRows implements store.Ledger.
func (s *Store) AddRows(ctx context.Context, subject, class, resource string, t time.Time, rows, bytes int64) error {
	hour := t.UnixMicro() / hourMicros
	err := s.Write(ctx, func(tx *Tx) error {
		if err := short(subject, class, resource); err != nil {
			return err
		}
		var hadRows, hadBytes int64
		var mac []byte
		found, err := tx.one("SELECT row_count, byte_count, mac FROM ledger WHERE subject = $1 AND class = $2 AND resource = $3 AND hour = $4",
			[]any{raw(subject), raw(class), raw(resource), hour}, &hadRows, &hadBytes, &mac)
		if err != nil {
			return err
		}
		if found {
			if err := s.checkLedger(mac, subject, class, resource, hour, hadRows, hadBytes); err != nil {
				return err
			}
		}
		hadRows, hadBytes = max(hadRows+rows, 0), max(hadBytes+bytes, 0)
		if mac, err = s.ledgerMAC(subject, class, resource, hour, hadRows, hadBytes); err != nil {
			return err
		}
		return tx.later(`INSERT INTO ledger (subject, class, resource, hour, row_count, byte_count, mac) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (subject, class, resource, hour) DO UPDATE
			SET row_count = excluded.row_count, byte_count = excluded.byte_count, mac = excluded.mac`,
			raw(subject), raw(class), raw(resource), hour, hadRows, hadBytes, mac)
	})
	if err != nil {
		return fmt.Errorf("counting rows: %w", err)
	}
	return nil
}

// SumRows implements store.Ledger.
func (s *Store) SumRows(ctx context.Context, subject, resource string, since time.Time) (rows, bytes map[string]int64, err error) {
	rows, bytes = map[string]int64{}, map[string]int64{}
	err = s.Read(ctx, func(tx *Tx) error {
		return tx.query("SELECT class, hour, row_count, byte_count, mac FROM ledger WHERE subject = $1 AND resource = $2 AND hour >= $3",
			[]any{raw(subject), raw(resource), since.UnixMicro() / hourMicros}, func(r pgx.Row) error {
				var class string
				var hour, n, b int64
				var mac []byte
				if err := r.Scan(str(&class), &hour, &n, &b, &mac); err != nil {
					return err
				}
				rows[class] += n
				bytes[class] += b
				return s.checkLedger(mac, subject, class, resource, hour, n, b)
			})
	})
	if err != nil {
		return nil, nil, fmt.Errorf("summing rows: %w", err)
	}
	return rows, bytes, nil
}

// PutSetting implements store.Settings.
func (s *Store) PutSetting(ctx context.Context, key string, value []byte) error {
	err := s.Write(ctx, func(tx *Tx) error {
		return tx.later("INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", raw(key), blob(value))
	})
	if err != nil {
		return fmt.Errorf("storing setting %s: %w", key, err)
	}
	return nil
}

// Setting implements store.Settings.
func (s *Store) Setting(ctx context.Context, key string) (value []byte, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		_, err := tx.one("SELECT value FROM setting WHERE key = $1", []any{raw(key)}, &value)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading setting %s: %w", key, err)
	}
	return value, nil
}

// FirstSetting stores a value under key unless there is one, and returns the one that is there then.
func (s *Store) FirstSetting(ctx context.Context, key string, value []byte) (kept []byte, err error) {
	err = s.Write(ctx, func(tx *Tx) error {
		found, err := tx.one("SELECT value FROM setting WHERE key = $1", []any{raw(key)}, &kept)
		if err != nil || found {
			return err
		}
		kept = value
		return tx.later("INSERT INTO setting (key, value) VALUES ($1, $2)", raw(key), blob(value))
	})
	if err != nil {
		return nil, fmt.Errorf("storing setting %s: %w", key, err)
	}
	return kept, nil
}
