package passkey

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/assenthq/assent/evidence"
)

// pkix turns a key as authenticators write it (COSE, RFC 9052) into the form
// that any tool can read, and refuses what evidence doesn't take.
func pkix(cose []byte) ([]byte, error) {
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return nil, fmt.Errorf("reading the new key: %w", err)
	}
	var pub any
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		pub, err = k.ToECDSA()
	case webauthncose.OKPPublicKeyData:
		pub = ed25519.PublicKey(k.XCoord)
	case webauthncose.RSAPublicKeyData:
		e, bad := webauthncose.ParseRSAPublicKeyDataExponent(&k)
		pub, err = &rsa.PublicKey{N: new(big.Int).SetBytes(k.Modulus), E: e}, bad
	default:
		err = errors.New("it is of no kind that is taken here")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the new key: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err == nil {
		err = evidence.CheckPasskey(der)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the new key: %w", err)
	}
	return der, nil
}

func sortKeys(keys []Key) {
	slices.SortFunc(keys, func(a, b Key) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
}
