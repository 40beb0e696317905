package enrol

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A Holder is the side of a part: its key, its certificate and the authority that it
// trusts, in a directory of its own. It is safe for concurrent use.
type Holder struct {
	dir string
	key ed25519.PrivateKey

	mu    sync.Mutex
	chain *tls.Certificate  // nil: not enrolled yet; owned by mu
	root  *x509.Certificate // owned by mu
}

// Files of a Holder's directory.
const (
	keyName   = "key.pem"
	chainName = "certificate.pem"
)

// OpenHolder reads what lies in dir, or makes the directory and a key, which
// never leaves it. A key that others may read is refused.
func OpenHolder(dir string) (*Holder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the certificate: %w", err)
	}
	h := &Holder{dir: dir}
	if err := h.openKey(filepath.Join(dir, keyName)); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, chainName))
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	var ders [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		ders = append(ders, block.Bytes)
	}
	if len(ders) == 2 {
		// The file is this machine's own: what is pinned is what was enrolled with.
		if err := h.take(ders, sha256.Sum256(ders[1])); err == nil {
			return h, nil
		}
	}
	return nil, fmt.Errorf("%s is not a certificate of this key: remove it and enrol with a new token", filepath.Join(dir, chainName))
}

func (h *Holder) openKey(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if _, h.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return err
		}
		der, err := x509.MarshalPKCS8PrivateKey(h.key)
		if err != nil {
			return err
		}
		return replaceFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	if err != nil {
		return fmt.Errorf("reading the key: %w", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is readable by others: chmod 600 it, revoke the certificate and enrol again", file)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("%s holds no key: remove it and enrol with a new token", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return fmt.Errorf("%s holds no Ed25519 key: remove it and enrol with a new token", file)
	}
	h.key = key
	return nil
}

// replaceFile writes a file for its owner alone, whole or not at all.
func replaceFile(file string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// Request is the certificate request (PKCS #10, DER) that enrols the key.
func (h *Holder) Request() ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, h.key)
}

// Leaf is the certificate; nil before there is one.
func (h *Holder) Leaf() *x509.Certificate {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.chain == nil {
		return nil
	}
	return h.chain.Leaf
}

// Needs reports whether t enrols something that is not held: there is no certificate, or it
// came by another token.
func (h *Holder) Needs(t *Token) bool {
	leaf := h.Leaf()
	return leaf == nil || leaf.Subject.SerialNumber != t.id
}

// Keep takes what Enrol or Renew answered, and stores it. The authority must be the one
// that t pins, and with a nil t the one that is trusted already.
func (h *Holder) Keep(chain [][]byte, t *Token) error {
	pin := [32]byte{}
	switch root := h.trusted(); {
	case t != nil:
		pin = t.Pin
	case root != nil:
		pin = sha256.Sum256(root.Raw)
	}
	if err := h.take(chain, pin); err != nil {
		return err
	}
	var out bytes.Buffer
	for _, der := range chain {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return replaceFile(filepath.Join(h.dir, chainName), out.Bytes())
}

func (h *Holder) trusted() *x509.Certificate {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.root
}

func (h *Holder) take(chain [][]byte, pin [32]byte) error {
	bad := errors.New("the answer is not a certificate of this key by the authority that the token names")
	if len(chain) != 2 {
		return bad
	}
	sum := sha256.Sum256(chain[1])
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil || subtle.ConstantTimeCompare(sum[:], pin[:]) != 1 {
		return bad
	}
	root, err := x509.ParseCertificate(chain[1])
	if err != nil || leaf.CheckSignatureFrom(root) != nil || !h.key.Public().(ed25519.PublicKey).Equal(leaf.PublicKey) {
		return bad
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.chain, h.root = &tls.Certificate{Certificate: chain, PrivateKey: h.key, Leaf: leaf}, root
	return nil
}

// ClientTLS is TLS 1.3 to the control plane: it is whoever the pinned authority
// signed as one, by whatever address it was reached. With a token, the authority is
// the one the token pins and no certificate is shown; without, both are what is held.
func (h *Holder) ClientTLS(t *Token, protocols ...string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: protocols}
	var pin [32]byte
	if t != nil {
		pin = t.Pin
	} else {
		h.mu.Lock()
		chain, root := h.chain, h.root
		h.mu.Unlock()
		if chain == nil {
			return nil, errors.New("not enrolled yet: a token is needed")
		}
		pin = sha256.Sum256(root.Raw)
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return chain, nil }
	}
	// Names and public authorities say nothing here: VerifyConnection checks the whole chain itself.
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(s tls.ConnectionState) error { return verifyControl(s.PeerCertificates, pin, time.Now()) }
	return c, nil
}

func verifyControl(chain []*x509.Certificate, pin [32]byte, now time.Time) error {
	if len(chain) != 2 {
		return errors.New("who answers shows no certificate of an Assent server: does the address lead to where its parts come in?")
	}
	sum := sha256.Sum256(chain[1].Raw)
	if subtle.ConstantTimeCompare(sum[:], pin[:]) != 1 {
		return errors.New("who answers is not the server that the token is of")
	}
	roots := x509.NewCertPool()
	roots.AddCert(chain[1])
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		return fmt.Errorf("the server's certificate does not count: %w (is a clock wrong?)", err)
	}
	if len(chain[0].URIs) != 1 || chain[0].URIs[0].String() != control {
		return errors.New("who answers holds a certificate of another role than the server's")
	}
	return nil
}
