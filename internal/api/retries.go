package api

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

const (
	retryLife  = 24 * time.Hour // of an idempotency key
	maxRetries = 10_000         // keys remembered; past it the oldest go
)

// retries remembers idempotency keys, so that one key never stands for two
// questions. It refuses only: that the same action asked again finds the same
// approval, on any replica, is the engine's doing.
type retries struct {
	mu    sync.Mutex
	seen  map[[32]byte]retry // by credential and key; owned by mu
	order [][32]byte         // oldest first; owned by mu
}

type retry struct {
	body [32]byte
	at   time.Time
}

// check errs when key came with another body from the same credential.
func (r *retries) check(c *identity.Caller, key string, body *AccessRequestSubmission, now time.Time) error {
	if key == "" {
		return nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	id, sum := sha256.Sum256([]byte(c.Token+"\x00"+key)), sha256.Sum256(text)
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 && (len(r.order) >= maxRetries || now.Sub(r.seen[r.order[0]].at) > retryLife) {
		delete(r.seen, r.order[0])
		r.order = r.order[1:]
	}
	if old, there := r.seen[id]; there {
		if old.body != sum {
			return arapProblem(http.StatusConflict, "duplicate_request", "This Idempotency-Key came with another request. Use a new one for each.")
		}
		return nil
	}
	if r.seen == nil {
		r.seen = map[[32]byte]retry{}
	}
	r.seen[id] = retry{body: sum, at: now}
	r.order = append(r.order, id)
	return nil
}
