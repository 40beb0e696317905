package mask

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/detect"
)

// A Kept is the value behind a token, sealed: only who holds the deployment's key
// reads it, and only under its own token.
type Kept struct {
	Token  string
	Class  string
	Actor  string // whose token it is; "": every actor's
	At     time.Time
	Sealed []byte
}

// An Erasure says which values are erased: those that fit all of what it says.
type Erasure struct {
	Token, Class, Actor string
	Before              time.Time // kept before
}

// Everything reports an erasure that says nothing, so that it would fit every value.
func (e *Erasure) Everything() bool { return *e == Erasure{} }

// A Keeper keeps sealed values. Those kept already stay as they are.
type Keeper interface {
	KeepValues(ctx context.Context, values []Kept) error
}

// ErrSealed says that what was kept is not what was sealed here under this token.
var ErrSealed = errors.New("the value was changed in the store, or sealed with another key")

const (
	maxKept = 8 << 10         // bytes of a value; a longer one has a token and no way back
	maxHeld = 64 << 10        // tokens that are remembered as kept
	heldFor = 5 * time.Minute // after which what was erased and masked again is kept again
)

// A vault remembers what is to be kept, until it is.
type vault struct {
	keeper Keeper
	seal   cipher.AEAD
	now    func() time.Time

	writing sync.Mutex // held while what waited is written: who finds nothing waiting has it on disk
	mu      sync.Mutex // guards what follows
	waiting map[string]Kept
	held    map[string]bool
	since   time.Time // of held
}

// KeepIn has the values of tokens kept where a policy says vault. It is called
// once, before any set is made.
func (m *Masker) KeepIn(k Keeper) {
	block, err := aes.NewCipher(m.derive("vault", "", "", 32))
	if err != nil {
		panic(err) // only for a key length that is wrong in this file
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // as above
	}
	m.vault = &vault{keeper: k, seal: seal, now: time.Now, waiting: map[string]Kept{}, held: map[string]bool{}}
}

// Unsealed returns the value behind a token.
func (m *Masker) Unsealed(k *Kept) ([]byte, error) {
	v := m.vault
	if v == nil || len(k.Sealed) < v.seal.NonceSize() {
		return nil, ErrSealed
	}
	n := v.seal.NonceSize()
	out, err := v.seal.Open(nil, k.Sealed[:n], k.Sealed[n:], k.about())
	if err != nil {
		return nil, ErrSealed
	}
	return out, nil
}

// about is what a value is sealed with.
func (k *Kept) about() []byte { return fmt.Appendf(nil, "%q %q %q", k.Token, k.Class, k.Actor) }

// note has the value of a token kept with the next that are.
func (v *vault) note(token []byte, class detect.Class, actor string, value []byte) {
	if len(value) > maxKept {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.now(); len(v.held) >= maxHeld || now.Sub(v.since) > heldFor {
		clear(v.held)
		v.since = now
	}
	if v.held[string(token)] {
		return
	}
	k := Kept{Token: string(token), Class: string(class), Actor: actor, At: v.now()}
	nonce := make([]byte, v.seal.NonceSize(), v.seal.NonceSize()+len(value)+v.seal.Overhead())
	_, _ = rand.Read(nonce) // never fails: it ends the process instead
	k.Sealed = v.seal.Seal(nonce, nonce, value, k.about())
	v.waiting[k.Token], v.held[k.Token] = k, true
}

// keep writes what waits. When it returns nil, every token made before is on disk.
func (v *vault) keep(ctx context.Context) error {
	v.writing.Lock()
	defer v.writing.Unlock()
	v.mu.Lock()
	waiting := v.waiting
	if len(waiting) > 0 {
		v.waiting = map[string]Kept{}
	}
	v.mu.Unlock()
	if len(waiting) == 0 {
		return nil
	}
	list := make([]Kept, 0, len(waiting))
	for _, k := range waiting {
		list = append(list, k)
	}
	err := v.keeper.KeepValues(ctx, list)
	if err != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, k := range list {
			delete(v.held, k.Token) // it is asked for again with its token
		}
		return fmt.Errorf("keeping the values of tokens: %w", err)
	}
	return nil
}

// Keeps reports whether the set keeps values of tokens.
func (s *Set) Keeps() bool { return s.vault != nil }

// Keep writes the values behind tokens that were made, where the set keeps any.
// Nothing that was masked may pass before it has returned nil.
func (s *Set) Keep(ctx context.Context) error {
	if s.vault == nil {
		return nil
	}
	return s.vault.keep(ctx)
}
