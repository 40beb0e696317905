package slack

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// skew is how old, or how far ahead, a request may be.
const skew = 5 * time.Minute

var errUnsigned = errors.New("the request isn't Slack's")

// verify checks that Slack signed these bytes, lately and for the first time
// here (https://docs.slack.dev/authentication/verifying-requests-from-slack).
func (c *Channel) verify(h http.Header, body []byte, secret string) error {
	stamp, given := h.Get("X-Slack-Request-Timestamp"), h.Get("X-Slack-Signature")
	sec, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || len(stamp) > 12 || secret == "" {
		return fmt.Errorf("it bears no time: %w", errUnsigned)
	}
	now := c.o.Clock()
	if d := now.Sub(time.Unix(sec, 0)); d > skew || d < -skew {
		return fmt.Errorf("it is %s old: %w", d.Round(time.Second), errUnsigned)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + stamp + ":"))
	mac.Write(body)
	sig, err := hex.DecodeString(strings.TrimPrefix(given, "v0="))
	if err != nil || !strings.HasPrefix(given, "v0=") || !hmac.Equal(sig, mac.Sum(nil)) {
		return fmt.Errorf("its signature is wrong: %w", errUnsigned)
	}
	if !c.seen.first(string(sig), now) {
		return fmt.Errorf("it came before: %w", errUnsigned)
	}
	return nil
}

// mostSeen bounds what is remembered of requests: past it none is taken.
const mostSeen = 100_000

// replays remember signatures for as long as they would be good.
type replays struct {
	mu    sync.Mutex
	at    map[string]time.Time // when it is too old anyway; owned by mu
	swept time.Time
}

func (r *replays) first(sig string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.swept) > skew || len(r.at) >= mostSeen {
		for k, until := range r.at {
			if now.After(until) {
				delete(r.at, k)
			}
		}
		r.swept = now
	}
	if _, was := r.at[sig]; was || len(r.at) >= mostSeen {
		return false
	}
	r.at[sig] = now.Add(2 * skew)
	return true
}
