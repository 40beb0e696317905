package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// LedgerMAC seals one row of the ledger, the same in every store.
func LedgerMAC(key []byte, subject, class, resource string, hour, rows, bytes int64) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(h, "assent-ledger/1\x00%q %q %q %d %d %d", subject, class, resource, hour, rows, bytes)
	return h.Sum(nil)
}
