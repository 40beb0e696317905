package audit

import (
	"crypto/rand"
	"encoding/base64"
)

// newSalt is 128 random bits. With them, nobody who guesses all else that an erased
// record said can tell by its hash that the guess was right.
func newSalt() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// salted reports whether r gets a salt: what names nobody can't be about a person.
func salted(r *Record) bool {
	return r.Salt == "" && Erasable(r.Type) && (r.Person != "" || r.Subject != "" || r.Actor != "" || r.About != "" || len(r.Chain) > 0)
}
