// Package mask replaces sensitive values on their way through: in free text, in
// statements shown to people, and in the typed values of a result set, which
// stay valid values of their type.
//
// It promises that a value it was told to mask does not leave in any form, and
// that what it cannot mask is an error instead of a value. Keys are derived for
// deployment, class and actor, so that an actor can join its own results and
// compare them with nobody else's.
package mask

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/assenthq/assent/internal/detect"
)

// The methods, strictest first. They are the words of policy.
const (
	Redact  = "redact"
	Hash    = "hash"
	Token   = "tokenize"
	Format  = "format-preserving"
	Partial = "partial"
)

// What a policy may say behind a method, in this order: all actors of the deployment get the
// same mask of one value; the values of tokens are kept for who may read them back.
const (
	Linkable = "linkable"
	Vault    = "vault"
)

// parse takes a method apart. An unknown one is not ok.
func parse(method string) (word string, linkable, vault, ok bool) {
	word, more, _ := strings.Cut(method, " ")
	switch word {
	case Redact, Partial:
		return word, false, false, more == ""
	case Token:
		if more == Vault || more == Linkable+" "+Vault {
			return word, more != Vault, true, true
		}
	case Hash, Format:
	default:
		return "", false, false, false
	}
	return word, more == Linkable, false, more == "" || more == Linkable
}

// strictness orders methods; an unknown one counts as redact.
func strictness(method string) int {
	word, linkable, vault, ok := parse(method)
	if !ok {
		return 10
	}
	if linkable || vault {
		return strictness(word) - 1
	}
	switch word {
	case Partial:
		return 2
	case Format:
		return 4
	case Token:
		return 6
	case Hash:
		return 8
	}
	return 10
}

// A Masker makes mask sets for actors. It is safe for concurrent use.
type Masker struct {
	key    []byte
	engine *detect.Engine
	vault  *vault // nil: nothing is kept
}

// New returns a masker. key is the deployment's secret; values masked under it
// can be compared as long as it stays the same. An empty key is replaced by a
// random one: nobody can compute masks under it, and none outlives the process.
func New(key []byte, e *detect.Engine) *Masker {
	if len(key) == 0 {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails: it ends the process instead
	}
	return &Masker{key: append([]byte(nil), key...), engine: e}
}

// derive returns the key for one purpose of one class and actor (RFC 5869).
func (m *Masker) derive(purpose string, class detect.Class, actor string, n int) []byte {
	info := fmt.Sprintf("assent mask v1\x00%s\x00%s\x00%s", purpose, class, actor)
	out, err := hkdf.Key(sha256.New, m.key, nil, info, n)
	if err != nil {
		panic(err) // only for a length or hash that is wrong in this file
	}
	return out
}
