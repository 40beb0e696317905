package aws_test

import (
	"crypto/sha256"
	"encoding/hex"
)

func sha(b []byte) [32]byte { return sha256.Sum256(b) }

func hexOf(sum [32]byte) string { return hex.EncodeToString(sum[:]) }
