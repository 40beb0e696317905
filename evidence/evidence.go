// Package evidence checks what Assent says, offline and without trusting the
// server that said it: signed checkpoints of the audit log, proofs that a
// record is in it and that it only grew, and grants.
//
// It promises that a nil error means the thing was verified against the keys
// the caller gave. It never fetches a key, never follows a reference inside
// what it checks, and takes anything it doesn't understand as forged. A grant
// that verifies is authentic; that it was used once only the server knows.
package evidence

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxNote bounds a checkpoint before anything is parsed.
const maxNote = 64 << 10

// A Hash is a SHA-256 node of the log's Merkle tree (RFC 6962 section 2.1).
type Hash = tlog.Hash

// A Checkpoint is a signed tree head (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin  string   `json:"origin"` // name of the log
	Size    int64    `json:"size"`   // records it covers
	Root    Hash     `json:"root"`
	Signers []string `json:"signers"` // names of the given keys that signed it
}

// LeafHash is the RFC 6962 hash of a record's exact stored bytes.
func LeafHash(leaf []byte) Hash { return tlog.RecordHash(leaf) }

// VerifyCheckpoint checks a signed note against the given verifier keys (the
// "vkey" form of C2SP signed-note). One good signature by the log's own key,
// the one named as the origin, is needed; a bad signature by any given key is an error.
func VerifyCheckpoint(signed []byte, vkeys ...string) (*Checkpoint, error) {
	verifiers := make([]note.Verifier, 0, len(vkeys))
	for i, k := range vkeys {
		if slices.Contains(vkeys[:i], k) {
			continue // note takes a key named twice for two
		}
		v, err := note.NewVerifier(k)
		if err != nil {
			return nil, fmt.Errorf("reading verifier key: %w", err)
		}
		verifiers = append(verifiers, v)
	}
	if len(signed) > maxNote {
		return nil, fmt.Errorf("checkpoint of %d bytes is longer than %d", len(signed), maxNote)
	}
	n, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return nil, fmt.Errorf("verifying checkpoint: %w", err)
	}
	cp, err := parseBody(n.Text)
	if err != nil {
		return nil, err
	}
	own := false
	for _, s := range n.Sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return nil, errors.New("checkpoint: a signature isn't written the one way") // note is more lenient
		}
		cp.Signers = append(cp.Signers, s.Name)
		own = own || s.Name == cp.Origin
	}
	if !own {
		return nil, fmt.Errorf("checkpoint of %q isn't signed by that log's key", cp.Origin)
	}
	return cp, nil
}

// Body is the text that is signed: origin, size and root, one a line.
func (c *Checkpoint) Body() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// parseBody reads origin, size and root. Extension lines are refused: this log
// writes none, and what isn't understood mustn't pass as checked.
func parseBody(text string) (*Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] == "" {
		return nil, errors.New("checkpoint: want origin, size and root, one a line")
	}
	size, err := parseDecimal(lines[1])
	if err != nil {
		return nil, fmt.Errorf("checkpoint size: %w", err)
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return nil, fmt.Errorf("checkpoint root: %w", err)
	}
	return &Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// parseDecimal takes one spelling of each number only.
func parseDecimal(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != s {
		return 0, errors.New("not a plain decimal number")
	}
	return n, nil
}

func parseHash(s string) (Hash, error) {
	var h Hash
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(h) || len(s) != base64.StdEncoding.EncodedLen(len(h)) {
		return h, errors.New("not 32 bytes in base64")
	}
	copy(h[:], b)
	return h, nil
}

// VerifyInclusion checks that the leaf with this exact content is record index
// under the checkpoint (RFC 6962 section 2.1.1).
func VerifyInclusion(cp *Checkpoint, index int64, leaf []byte, proof []Hash) error {
	if index < 0 || index >= cp.Size {
		return fmt.Errorf("record %d isn't under a checkpoint of %d records", index, cp.Size)
	}
	if err := tlog.CheckRecord(proof, cp.Size, cp.Root, index, LeafHash(leaf)); err != nil {
		return fmt.Errorf("record %d isn't the one that was logged: %w", index, err)
	}
	return nil
}

// VerifyConsistency checks that the log under newer holds everything that the
// log under older held, unchanged and in the same place (RFC 6962 section 2.1.2).
func VerifyConsistency(older, newer *Checkpoint, proof []Hash) error {
	switch {
	case older.Origin != newer.Origin:
		return fmt.Errorf("checkpoints of two logs: %q and %q", older.Origin, newer.Origin)
	case newer.Size < older.Size:
		return fmt.Errorf("the log shrank from %d records to %d", older.Size, newer.Size)
	case older.Size == 0:
		return nil // everything is consistent with the empty log
	}
	if err := tlog.CheckTree(proof, newer.Size, newer.Root, older.Size, older.Root); err != nil {
		return fmt.Errorf("the log of %d records isn't a continuation of the one of %d: %w", newer.Size, older.Size, err)
	}
	return nil
}

// proofHeader is the first line of the C2SP tlog-proof format.
const proofHeader = "c2sp.org/tlog-proof@v1"

// maxProofHashes is more than any tree of 2⁶³ leaves needs.
const maxProofHashes = 63

// A Proof shows that one record is in the log (C2SP tlog-proof).
type Proof struct {
	Index      int64
	Extra      []byte // opaque and not authenticated; may be nil
	Hashes     []Hash // from the leaf's sibling up to the root's child
	Checkpoint []byte // the signed note, verbatim
}

// Text writes the proof in the C2SP tlog-proof format.
func (p *Proof) Text() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader + "\n")
	if p.Extra != nil {
		b.WriteString("extra " + base64.StdEncoding.EncodeToString(p.Extra) + "\n")
	}
	fmt.Fprintf(&b, "index %d\n", p.Index)
	for _, h := range p.Hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint)
	return b.Bytes()
}

// ParseProof reads the C2SP tlog-proof format. It verifies nothing.
func ParseProof(text []byte) (*Proof, error) {
	head, checkpoint, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok {
		return nil, errors.New("proof: no empty line before the checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	if lines[0] != proofHeader {
		return nil, fmt.Errorf("proof: the first line isn't %q", proofHeader)
	}
	lines = lines[1:]
	p := &Proof{Checkpoint: checkpoint}
	if len(lines) > 0 {
		if extra, ok := strings.CutPrefix(lines[0], "extra "); ok {
			b, err := base64.StdEncoding.Strict().DecodeString(extra)
			if err != nil || base64.StdEncoding.EncodeToString(b) != extra {
				return nil, errors.New("proof: extra isn't base64")
			}
			p.Extra, lines = b, lines[1:]
		}
	}
	if len(lines) == 0 || len(lines)-1 > maxProofHashes {
		return nil, errors.New("proof: no index line, or too many hashes")
	}
	index, ok := strings.CutPrefix(lines[0], "index ")
	if !ok {
		return nil, errors.New("proof: no index line")
	}
	var err error
	if p.Index, err = parseDecimal(index); err != nil {
		return nil, fmt.Errorf("proof index: %w", err)
	}
	for _, l := range lines[1:] {
		h, err := parseHash(l)
		if err != nil {
			return nil, fmt.Errorf("proof hash: %w", err)
		}
		p.Hashes = append(p.Hashes, h)
	}
	return p, nil
}

// VerifyProof checks a tlog-proof text for a record's exact stored bytes, and
// tells the checkpoint and index it was verified under.
func VerifyProof(text, leaf []byte, vkeys ...string) (*Checkpoint, int64, error) {
	p, err := ParseProof(text)
	if err != nil {
		return nil, 0, err
	}
	cp, err := VerifyCheckpoint(p.Checkpoint, vkeys...)
	if err != nil {
		return nil, 0, err
	}
	if err := VerifyInclusion(cp, p.Index, leaf, p.Hashes); err != nil {
		return nil, 0, err
	}
	return cp, p.Index, nil
}
