package server

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/assenthq/assent/internal/keyfile"
)

// keys are the deployment's symmetric secrets, each for one purpose. They lie
// beside the database, not in it: a row edited by SQL has no valid seal.
type keys struct {
	seal  []byte // MACs of reviews, approvals and tokens
	match []byte // finds a retry of the same action
	mask  []byte // tokens and hashes of masked values
	api   []byte // binding tokens
}

// loadKeys makes keys only for a new deployment: beside data that was sealed
// under others, new ones would make everything look forged.
func loadKeys(dir string, create bool) (*keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the key directory: %w", err)
	}
	k := &keys{}
	for _, f := range []struct {
		name string
		into *[]byte
	}{{"seal", &k.seal}, {"match", &k.match}, {"mask", &k.mask}, {"api", &k.api}} {
		b, err := loadKey(filepath.Join(dir, f.name+".key"), create)
		if err != nil {
			return nil, err
		}
		*f.into = b
	}
	return k, nil
}

// loadKey reads 32 random bytes in hexadecimal, or makes them. A file others may read is refused.
func loadKey(path string, create bool) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && !create {
		return nil, fmt.Errorf("reading a key: %s is gone: what is stored beside it was sealed with it, so restore it from a backup", path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		b := make([]byte, 32)
		_, _ = rand.Read(b)
		return b, writeSecret(path, hex.EncodeToString(b)+"\n")
	}
	if err != nil {
		return nil, fmt.Errorf("reading a key: %w", err)
	}
	if !keyfile.Private(info) {
		return nil, fmt.Errorf("reading a key: %s is readable by others: chmod 600 it, and consider it known", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a key: %w", err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != 32 {
		return nil, fmt.Errorf("reading a key: %s does not hold 32 bytes in hexadecimal: restore it from a backup", path)
	}
	return b, nil
}

// writeSecret creates a file that nobody else can read, whole or not at all.
func writeSecret(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	if _, err = f.WriteString(text); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("writing a key: %w", err)
	}
	return nil
}
