package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/assenthq/assent/internal/keyfile"
	"golang.org/x/mod/sumdb/note"
)

// A Key signs checkpoints.
type Key struct {
	signer note.Signer
	vkey   string
	secret ed25519.PrivateKey // nil where it lies elsewhere
}

// Verifier is the public half, in the form C2SP signed-note calls a vkey.
func (k *Key) Verifier() string { return k.vkey }

// Name is the log's name that the key signs for.
func (k *Key) Name() string { return k.signer.Name() }

// LoadOrCreateKey reads the Ed25519 key of the log called name, or makes one
// where there is no file. The file is readable by its owner only; one that
// others can read is refused, because they may have signed with it.
func LoadOrCreateKey(path, name string) (*Key, error) {
	k, err := loadKey(path, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	secret, _, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, fmt.Errorf("creating log key: %w", err)
	}
	if err := writeFile(path, []byte(secret+"\n"), 0o600, false); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("creating log key: %w", err)
	}
	return loadKey(path, name)
}

func loadKey(path, name string) (*Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading log key: %w", err)
	}
	if !keyfile.Private(info) {
		return nil, fmt.Errorf("log key %s can be read by others (mode %o): chmod 600 it, and rotate it if they are not trusted", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading log key: %w", err)
	}
	k, err := parseKey(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return nil, fmt.Errorf("reading log key %s: %w", path, err)
	}
	if k.Name() != name {
		return nil, fmt.Errorf("log key %s is of log %q, not %q", path, k.Name(), name)
	}
	return k, nil
}

// KeyName is the log that the key in a file is of.
func KeyName(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading log key: %w", err)
	}
	k, err := parseKey(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return "", fmt.Errorf("reading log key %s: %w", path, err)
	}
	return k.Name(), nil
}

// parseKey reads the PRIVATE+KEY form. No error of its own or of note's repeats any of it.
func parseKey(secret string) (*Key, error) {
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, errors.New("not an Ed25519 key in the form of a signed-note private key")
	}
	fields := strings.SplitN(secret, "+", 5)
	raw, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return nil, errors.New("not an Ed25519 key")
	}
	key := ed25519.NewKeyFromSeed(raw[1:])
	vkey, err := note.NewEd25519VerifierKey(signer.Name(), key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("deriving the public key: %w", err)
	}
	return &Key{signer: signer, vkey: vkey, secret: key}, nil
}

// writeFile writes a file so that after a crash either all of it is there or
// what was there before. Without replace, a file that exists is an error.
func writeFile(path string, b []byte, mode fs.FileMode, replace bool) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already after a rename
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if replace {
		err = os.Rename(f.Name(), path)
	} else {
		err = os.Link(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// WriteFile replaces a file, readable by its owner only, so that after a crash
// either all of it is there or what was there before. What it wrote is durable when it returns.
func WriteFile(path string, b []byte) error { return writeFile(path, b, 0o600, true) }
