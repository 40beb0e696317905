package mask

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"

	"github.com/assenthq/assent/internal/detect"
)

// keys are those of one method, class and actor, derived when a value first needs them.
type keys struct {
	derive func(n int) []byte
	once   sync.Once
	block  cipher.Block // of format-preserving
	mac    []byte       // of hash and tokenize
	macs   sync.Pool    // of *macWork
}

// A macWork is the memory of one MAC, used again.
type macWork struct {
	hash hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

func (k *keys) derived() *keys {
	k.once.Do(func() {
		k.mac = k.derive(sha256.Size)
		block, err := aes.NewCipher(k.mac)
		if err != nil {
			panic(err) // only for a key length that is wrong in this file
		}
		k.block = block
		k.macs.New = func() any { return &macWork{hash: hmac.New(sha256.New, k.mac)} }
	})
	return k
}

// appendMAC appends n bytes of the value's MAC in hex. It is keyed for deployment, class and
// actor, and differs by origin. Values that mean the same have the same: separators and case
// don't count where a class has them.
func (k *keys) appendMAC(dst []byte, origin string, c detect.Class, s shape, v []byte, n int) []byte {
	w := k.derived().macs.Get().(*macWork)
	w.text = appendCanonical(append(append(w.text[:0], origin...), 0), c, s, v)
	w.hash.Reset()
	w.hash.Write(w.text)
	dst = hex.AppendEncode(dst, w.hash.Sum(w.sum[:0])[:n])
	clear(w.text)
	if cap(w.text) <= maxShown {
		k.macs.Put(w)
	}
	return dst
}

// appendCanonical appends what of v counts.
func appendCanonical(dst []byte, c detect.Class, s shape, v []byte) []byte {
	at := len(dst)
	switch s {
	case shapeCard, shapeDigits:
		for _, b := range v {
			if b >= '0' && b <= '9' {
				dst = append(dst, b)
			}
		}
	case shapeMixed, shapeIBAN:
		for _, b := range v {
			switch {
			case b >= 'a' && b <= 'z':
				dst = append(dst, b-'a'+'A')
			case written[b] != 0:
				dst = append(dst, b)
			}
		}
	default:
		for _, b := range v {
			if c == detect.Email && b >= 'A' && b <= 'Z' {
				b += 'a' - 'A'
			}
			dst = append(dst, b)
		}
	}
	if len(dst) == at {
		return append(dst, v...)
	}
	return dst
}

// tokenBytes is how much of a MAC is a token: two of a billion values share one with a
// probability of one in a million.
const tokenBytes = 10

// appendTokenHead appends "tok_card_" and the like.
func appendTokenHead(dst []byte, c detect.Class) []byte {
	dst = append(dst, "tok_"...)
	for i := range len(c) {
		b := c[i]
		if b == '-' {
			b = '_'
		}
		dst = append(dst, b)
	}
	return append(dst, '_')
}

// isToken reports whether v is a token of class c already: it stays what it is.
func isToken(c detect.Class, v []byte) bool {
	var few [64]byte
	head := appendTokenHead(few[:0], c)
	if len(v) != len(head)+2*tokenBytes || string(v[:len(head)]) != string(head) {
		return false
	}
	for _, b := range v[len(head):] {
		if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return true
}
