package sigv4

import (
	"crypto/hmac"
	"crypto/sha1" // #nosec G505 -- a checksum that S3 clients choose, beside TLS and the signature
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"strings"
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	nvme       = crc64.MakeTable(0x9a6c9329ac4bc9b5) // CRC-64/NVME, its polynomial reflected
)

// newChecksum makes the hash of a header or trailer x-amz-checksum-*; nil: none that is known.
func newChecksum(name string) hash.Hash {
	switch strings.TrimPrefix(name, "x-amz-checksum-") {
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(castagnoli)
	case "crc64nvme":
		return crc64.New(nvme)
	case "sha1":
		return sha1.New() // #nosec G401
	case "sha256":
		return sha256.New()
	}
	return nil
}

func sameChecksum(h hash.Hash, value string) bool {
	want, err := base64.StdEncoding.DecodeString(value)
	return err == nil && hmac.Equal(want, h.Sum(nil))
}
