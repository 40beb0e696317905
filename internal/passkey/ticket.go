package passkey

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// challengeLife is how long a challenge may be answered. Between making a new key
// and enrolling it a person may have to sign in at their issuer.
const (
	challengeLife = 2 * time.Minute
	newKeyLife    = 10 * time.Minute
)

// A Ticket shows that this deployment made a nonce, for whom, for what and
// when, without anything being stored: any replica can take the answer. What
// makes it single use is what it is for: a person reviews an approval once,
// and a credential is registered once.
type Ticket struct {
	Nonce  string `json:"nonce"` // 32 random bytes in unpadded base64url
	Ticket string `json:"ticket"`
}

// What tickets are for.
const (
	forReview   = "review"
	forNewKey   = "new key"
	forVouching = "vouching"
)

// issue makes a fresh nonce for one person's open session.
func (k *Keys) issue(purpose, person, session string) Ticket {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	t := Ticket{Nonce: base64.RawURLEncoding.EncodeToString(b[:])}
	at := binary.BigEndian.AppendUint64(nil, uint64(k.now().UnixMicro()))
	t.Ticket = base64.RawURLEncoding.EncodeToString(append(at, k.stamp(at, purpose, person, session, t.Nonce)...))
	return t
}

// redeem errs unless the ticket was issued for exactly this, lately.
func (k *Keys) redeem(t Ticket, purpose, person, session string) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(t.Ticket)
	if err != nil || len(b) != 8+sha256.Size || !hmac.Equal(b[8:], k.stamp(b[:8], purpose, person, session, t.Nonce)) {
		return fmt.Errorf("%w: the question wasn't asked here, in this session, for this", ErrRefused)
	}
	life := challengeLife
	if purpose == forNewKey {
		life = newKeyLife
	}
	age := k.now().Sub(time.UnixMicro(int64(binary.BigEndian.Uint64(b[:8]))))
	if age < -time.Second || age > life {
		return ErrLate
	}
	return nil
}

// stamp binds the parts of a ticket under our own secret.
func (k *Keys) stamp(at []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, k.secret)
	h.Write(at)
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%q ", p)
	}
	return h.Sum(nil)
}
