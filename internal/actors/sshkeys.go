package actors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"golang.org/x/crypto/ssh"
)

// sshKey and sshCert begin the ids of credentials that are public keys and user certificates.
const (
	sshKey  = "ssh:"
	sshCert = "ssh-cert:"
)

// SSHKeys knows which SSH keys stand for which actor. Only gates that had a key
// proved to them ask, so an id of it is as good as the key.
type SSHKeys struct {
	mu    sync.Mutex
	keys  map[string]string        // credential to actor; fixed by the configuration
	certs map[string]certifiedName // certificates that were proved and have not expired; owned by mu
}

type certifiedName struct {
	actor   string
	expires time.Time
}

// NewSSHKeys returns an empty list.
func NewSSHKeys() *SSHKeys {
	return &SSHKeys{keys: map[string]string{}, certs: map[string]certifiedName{}}
}

// Add has a key stand for an actor, and returns its credential's id. One key is one actor's.
func (k *SSHKeys) Add(key ssh.PublicKey, actor string) (string, error) {
	id := KeyID(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	if other, known := k.keys[id]; known && other != actor {
		return "", fmt.Errorf("key %s stands for %s already", ssh.FingerprintSHA256(key), other)
	}
	k.keys[id] = actor
	return id, nil
}

// KeyID is the id of the credential that a public key is.
func KeyID(key ssh.PublicKey) string { return sshKey + ssh.FingerprintSHA256(key) }

// An SSHAuthority says which user certificates count.
type SSHAuthority struct {
	Keys    []ssh.PublicKey // of who may sign
	Longest time.Duration   // life that a certificate may have
}

// Certified checks a certificate for a user name, has it stand for actor until it
// expires, and returns the id of the credential that it is.
func (k *SSHKeys) Certified(a SSHAuthority, cert *ssh.Certificate, user, actor string) (string, error) {
	checker := ssh.CertChecker{SupportedCriticalOptions: []string{"source-address"}, IsUserAuthority: func(key ssh.PublicKey) bool {
		for _, ca := range a.Keys {
			if bytes.Equal(ca.Marshal(), key.Marshal()) {
				return true
			}
		}
		return false
	}}
	switch {
	case cert.CertType != ssh.UserCert:
		return "", fmt.Errorf("%w: not a user certificate", identity.ErrBadToken)
	case !checker.IsUserAuthority(cert.SignatureKey):
		return "", fmt.Errorf("%w: the certificate is signed by no authority that counts here", identity.ErrBadToken)
	case len(cert.ValidPrincipals) == 0: // the library takes none for anybody
		return "", fmt.Errorf("%w: the certificate names no principal", identity.ErrBadToken)
	case cert.ValidBefore == ssh.CertTimeInfinity || cert.ValidBefore < cert.ValidAfter || cert.ValidBefore-cert.ValidAfter > uint64(a.Longest/time.Second):
		return "", fmt.Errorf("%w: the certificate lives longer than %s", identity.ErrBadToken, a.Longest)
	}
	if err := checker.CheckCert(user, cert); err != nil {
		return "", fmt.Errorf("%w: the certificate doesn't count now: it is not for this name, not yet or no longer valid, or limited in a way that is not known here", identity.ErrBadToken)
	}
	sum := sha256.Sum256(cert.Marshal())
	id := sshCert + base64.RawStdEncoding.EncodeToString(sum[:])
	k.mu.Lock()
	defer k.mu.Unlock()
	for old, c := range k.certs {
		if !time.Now().Before(c.expires) {
			delete(k.certs, old)
		}
	}
	k.certs[id] = certifiedName{actor, time.Unix(int64(cert.ValidBefore), 0)}
	return id, nil
}

func (k *SSHKeys) actor(id string) (string, time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if actor, known := k.keys[id]; known {
		return actor, time.Time{}, nil
	}
	if c, known := k.certs[id]; known && time.Now().Before(c.expires) {
		return c.actor, c.expires, nil
	}
	return "", time.Time{}, fmt.Errorf("%w: no such SSH key or certificate", identity.ErrBadToken)
}

// byKey says who an SSH key stands for that was proved before.
func (d *Door) byKey(_ context.Context, id string) (*identity.Caller, error) {
	if d.SSH == nil {
		return nil, identity.ErrBadToken
	}
	actor, expires, err := d.SSH.actor(id)
	if err != nil {
		return nil, err
	}
	return d.caller(actor, id, expires)
}

func isSSH(id string) bool { return strings.HasPrefix(id, sshKey) || strings.HasPrefix(id, sshCert) }
