package grant

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/assenthq/assent/internal/keyfile"
	"github.com/go-jose/go-jose/v4"
)

// keyset is the content of a key file: public halves of retired keys, oldest
// first, and at the end the one private key that signs.
type keyset struct {
	Keys []jose.JSONWebKey `json:"keys"`
}

func loadOrCreate(path string) (keyset, error) {
	ks, err := load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return ks, err
	}
	if ks, err = (keyset{}).rotated(); err != nil {
		return keyset{}, err
	}
	if err := ks.write(path, false); err != nil && !errors.Is(err, fs.ErrExist) {
		return keyset{}, fmt.Errorf("creating grant keys: %w", err)
	}
	return load(path)
}

func load(path string) (keyset, error) {
	var ks keyset
	info, err := os.Stat(path)
	if err != nil {
		return ks, fmt.Errorf("reading grant keys: %w", err)
	}
	if !keyfile.Private(info) {
		return ks, fmt.Errorf("grant keys %s can be read by others (mode %o): chmod 600 the file, and rotate the keys if they are not trusted", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return ks, fmt.Errorf("reading grant keys: %w", err)
	}
	if err := ks.parse(b); err != nil {
		return keyset{}, fmt.Errorf("reading grant keys %s: %w", path, err)
	}
	return ks, nil
}

// parse reads a key file. Its errors name no content: a parser's would.
func (ks *keyset) parse(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if d.Decode(ks) != nil || len(ks.Keys) == 0 {
		return errors.New("it isn't a JWK set")
	}
	seen := map[string]bool{}
	for i, k := range ks.Keys {
		priv, private := k.Key.(ed25519.PrivateKey)
		pub, public := k.Key.(ed25519.PublicKey)
		if last := i == len(ks.Keys)-1; private != last || public == last {
			return errors.New("it doesn't hold Ed25519 keys of which exactly the last is private")
		}
		if private {
			pub = priv.Public().(ed25519.PublicKey)
			if !priv.Equal(ed25519.NewKeyFromSeed(priv.Seed())) { // what it signs would not verify, and tell of the key
				return errors.New("the private half of the last key isn't that of its public half")
			}
		}
		if id, err := keyID(pub); err != nil || id != k.KeyID || seen[id] {
			return errors.New("the id of a key isn't its thumbprint, or a key is there twice")
		}
		seen[k.KeyID] = true
	}
	return nil
}

func keyID(pub ed25519.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: pub}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

// retired returns the public halves of all keys.
func (ks keyset) retired() keyset {
	out := keyset{Keys: make([]jose.JSONWebKey, len(ks.Keys))}
	for i, k := range ks.Keys {
		out.Keys[i] = k.Public()
	}
	return out
}

// rotated returns a set with a new key to sign with.
func (ks keyset) rotated() (keyset, error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return keyset{}, fmt.Errorf("making a grant key: %w", err)
	}
	id, err := keyID(pub)
	if err != nil {
		return keyset{}, fmt.Errorf("making a grant key: %w", err)
	}
	next := ks.retired()
	next.Keys = append(next.Keys, jose.JSONWebKey{Key: priv, KeyID: id, Algorithm: string(jose.EdDSA), Use: "sig"})
	return next, nil
}

// public is the published JWKS.
func (ks keyset) public() ([]byte, error) {
	b, err := json.Marshal(ks.retired())
	if err != nil {
		return nil, fmt.Errorf("writing JWKS: %w", err)
	}
	return b, nil
}

// write is atomic: after a crash the file is the old or the new one, whole.
func (ks keyset) write(path string, replace bool) error {
	b, err := json.MarshalIndent(ks, "", "  ")
	if err != nil {
		return errors.New("the keys can't be written as JSON")
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	put := os.Link // refuses to overwrite
	if replace {
		put = os.Rename
	}
	if err := put(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// CheckKeys tells whether the grant keys at path are whole and nobody else's to read.
func CheckKeys(path string) error {
	ks, err := load(path)
	if err != nil {
		return err
	}
	for _, k := range ks.Keys {
		if k.Algorithm != string(jose.EdDSA) || k.Use != "sig" {
			return fmt.Errorf("reading grant keys %s: a key isn't marked as one that signs with EdDSA", path)
		}
	}
	return nil
}
