package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"sync"
)

// proofs remembers which secrets were proved for which stored keys, so that a
// credential shown with each request is stretched (RFC 5802 section 3) once. What
// the store says of the credential is read each time all the same.
type proofs struct {
	key  [32]byte // of this process: what is remembered is no hash that could be guessed at elsewhere
	once sync.Once

	mu   sync.Mutex
	seen map[string][32]byte // id of a token → proof; owned by mu
}

const maxProofs = 4096 // past it all are forgotten: they are made again in a millisecond each

// check proves that tok was made from bearer, or is ErrBadToken.
func (p *proofs) check(tok *Token, bearer string) error {
	proof := p.proof(tok, bearer)
	p.mu.Lock()
	known, ok := p.seen[tok.ID]
	p.mu.Unlock()
	if ok && subtle.ConstantTimeCompare(known[:], proof[:]) == 1 {
		return nil
	}
	stored, _, err := scramKeys(bearer, tok.Salt, tok.Iterations)
	if err != nil || subtle.ConstantTimeCompare(stored, tok.StoredKey) != 1 {
		return ErrBadToken
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil || len(p.seen) >= maxProofs {
		p.seen = map[string][32]byte{}
	}
	p.seen[tok.ID] = proof
	return nil
}

// proof binds the secret to the keys that stand in the store now.
func (p *proofs) proof(tok *Token, bearer string) [32]byte {
	p.once.Do(func() { _, _ = rand.Read(p.key[:]) })
	m := hmac.New(sha256.New, p.key[:])
	for _, part := range [][]byte{[]byte(tok.ID), tok.Salt, tok.StoredKey, []byte(bearer)} {
		n := len(part)
		m.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		m.Write(part)
	}
	return [32]byte(m.Sum(nil))
}
