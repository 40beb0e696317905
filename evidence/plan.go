package evidence

import (
	"crypto/sha256"
	"encoding/binary"
)

// PlanDigest is what the reviews of a plan are bound to: SHA-256 over a version
// prefix, the plan's salt, the number of its items and, in their order, the place
// of each, from 1, and its digest.
func PlanDigest(salt [32]byte, items [][32]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("assent-plan/1\x00"))
	h.Write(salt[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(items))))
	for i, d := range items {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(i+1)))
		h.Write(d[:])
	}
	return [32]byte(h.Sum(nil))
}
