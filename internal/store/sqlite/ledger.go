package sqlite

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/assenthq/assent/internal/store"
)

const hourMicros = int64(time.Hour / time.Microsecond)

// ErrLedgerEdited says that a row of the ledger is not what was written here.
var ErrLedgerEdited = store.ErrLedgerEdited

var errNoLedgerKey = errors.New("the ledger has no key to seal its rows with")

// SealLedger gives the key that rows of the ledger are sealed with. It is called
// once, before the ledger is used.
func (s *Store) SealLedger(key []byte) { s.ledgerKey = key }

// ledgerMAC seals one row.
func (s *Store) ledgerMAC(subject, class, resource string, hour, rows, bytes int64) ([]byte, error) {
	if len(s.ledgerKey) == 0 {
		return nil, errNoLedgerKey
	}
	return store.LedgerMAC(s.ledgerKey, subject, class, resource, hour, rows, bytes), nil
}

// AddRows notes rows and bytes that are about to flow to whoever is behind
// subject, in the hour that holds t. class "" is the total over all classes. Less
// than nothing takes back what did not flow.
func (s *Store) AddRows(ctx context.Context, subject, class, resource string, t time.Time, rows, bytes int64) error {
	hour := t.UnixMicro() / hourMicros
	err := s.Write(ctx, func(tx *Tx) error {
		var hadRows, hadBytes int64
		var mac []byte
		found, err := tx.one(ctx, "SELECT row_count, byte_count, mac FROM ledger WHERE subject = $1 AND class = $2 AND resource = $3 AND hour = $4",
			[]any{subject, class, resource, hour}, &hadRows, &hadBytes, &mac)
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
		_, err = tx.exec(ctx, `INSERT INTO ledger (subject, class, resource, hour, row_count, byte_count, mac) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (subject, class, resource, hour) DO UPDATE
			SET row_count = excluded.row_count, byte_count = excluded.byte_count, mac = excluded.mac`,
			subject, class, resource, hour, hadRows, hadBytes, mac)
		return err
	})
	if err != nil {
		return fmt.Errorf("counting rows: %w", err)
	}
	return nil
}

func (s *Store) checkLedger(mac []byte, subject, class, resource string, hour, rows, bytes int64) error {
	want, err := s.ledgerMAC(subject, class, resource, hour, rows, bytes)
	if err == nil && !hmac.Equal(mac, want) {
		err = ErrLedgerEdited
	}
	return err
}

// SumRows is what flowed to subject from resource since the hour that holds
// since, in rows and bytes by class; "" is the total over all of them.
func (s *Store) SumRows(ctx context.Context, subject, resource string, since time.Time) (rows, bytes map[string]int64, err error) {
	rows, bytes = map[string]int64{}, map[string]int64{}
	err = s.Read(ctx, func(tx *Tx) error {
		return tx.query(ctx, "SELECT class, hour, row_count, byte_count, mac FROM ledger WHERE subject = $1 AND resource = $2 AND hour >= $3",
			[]any{subject, resource, since.UnixMicro() / hourMicros}, func(r *sql.Rows) error {
				var class string
				var hour, n, b int64
				var mac []byte
				if err := r.Scan(&class, &hour, &n, &b, &mac); err != nil {
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

// PutSetting stores a value under key.
func (s *Store) PutSetting(ctx context.Context, key string, value []byte) error {
	err := s.Write(ctx, func(tx *Tx) error {
		_, err := tx.exec(ctx, `INSERT INTO setting (key, value) VALUES ($1, $2)
			ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing setting %s: %w", key, err)
	}
	return nil
}

// Setting reads the value under key; nil when there is none.
func (s *Store) Setting(ctx context.Context, key string) (value []byte, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		_, err := tx.one(ctx, "SELECT value FROM setting WHERE key = $1", []any{key}, &value)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading setting %s: %w", key, err)
	}
	return value, nil
}
