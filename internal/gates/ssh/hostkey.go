package ssh

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/assenthq/assent/internal/keyfile"
	gossh "golang.org/x/crypto/ssh"
)

// HostKey reads the key that a gate proves itself with, and makes one where there is none.
func HostKey(path string) (gossh.Signer, error) {
	s, err := readHostKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a host key: %w", err)
	}
	block, err := gossh.MarshalPrivateKey(key, "assent")
	if err != nil {
		return nil, fmt.Errorf("making a host key: %w", err)
	}
	// Whole or not at all, and never over a key that another process made meanwhile.
	tmp, err := os.CreateTemp(filepath.Dir(path), ".hostkey")
	if err != nil {
		return nil, fmt.Errorf("making a host key: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(pem.EncodeToMemory(block))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Link(tmp.Name(), path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making a host key: %w", err)
	}
	return readHostKey(path)
}

func readHostKey(path string) (gossh.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the host key: %w", err)
	}
	if !keyfile.Private(info) {
		return nil, fmt.Errorf("host key %s can be read by others (mode %o): chmod 600 it, or remove it for a new one if they are not trusted", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the host key: %w", err)
	}
	s, err := gossh.ParsePrivateKey(b)
	if err != nil { // its text could hold some of the key
		return nil, fmt.Errorf("host key %s can't be read: it is not a private key without passphrase", path)
	}
	return s, nil
}
