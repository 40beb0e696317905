package passkey

import (
	"testing"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/passkey/passkeytest"
)

// FuzzKeys feeds COSE keys: what is taken has one PKIX form that evidence takes too.
func FuzzKeys(f *testing.F) {
	for _, a := range []*passkeytest.Authenticator{passkeytest.New("x", "y"), passkeytest.NewEd25519("x", "y"), passkeytest.NewRSA("x", "y")} {
		p, err := protocol.ParseCredentialCreationResponseBytes(a.Create(make([]byte, 32)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p.Response.AttestationObject.AuthData.AttData.CredentialPublicKey)
	}
	f.Fuzz(func(t *testing.T, cose []byte) {
		if der, err := pkix(cose); err == nil && evidence.CheckPasskey(der) != nil {
			t.Fatal("a key is registered that nobody could verify with")
		}
	})
}

// FuzzRegistration feeds what a browser sends for a new key.
func FuzzRegistration(f *testing.F) {
	f.Add(passkeytest.New("localhost", "http://localhost").Create(make([]byte, 32)))
	f.Add(passkeytest.NewRSA("localhost", "http://localhost").Create(make([]byte, 32)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxAnswer {
			return
		}
		p, err := protocol.ParseCredentialCreationResponseBytes(b)
		if err == nil && len(p.RawID) == 0 {
			t.Fatal("a registration without a credential")
		}
	})
}
