package evidence

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// cosignatureV1 is the algorithm byte of timestamped Ed25519 cosignatures (C2SP tlog-cosignature).
const cosignatureV1 = 4

// A Cosignature is a witness's word that, when it signed, the tree under the
// checkpoint was the largest consistent one that it had seen of the log.
type Cosignature struct {
	Witness string    `json:"witness"` // name of its key
	Time    time.Time `json:"time"`    // by the witness's clock, in seconds
}

// VerifyCosigned is VerifyCheckpoint that also tells which of the given witnesses
// (vkeys of C2SP tlog-cosignature, Ed25519) have cosigned the checkpoint, and when. None
// is no error: how many it takes is the caller's to say. A bad signature by a given key is one.
func VerifyCosigned(signed []byte, vkeys, witnesses []string) (*Checkpoint, []Cosignature, error) {
	cp, err := VerifyCheckpoint(signed, vkeys...)
	if err != nil {
		return nil, nil, err
	}
	var verifiers []note.Verifier
	for _, k := range witnesses {
		v, err := parseWitness(k)
		if err != nil {
			return nil, nil, err
		}
		verifiers = append(verifiers, v)
	}
	n, err := note.Open(signed, note.VerifierList(verifiers...))
	var none *note.UnverifiedNoteError
	switch {
	case errors.As(err, &none):
		return cp, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("verifying cosignatures: %w", err)
	}
	var out []Cosignature
	for _, s := range n.Sigs {
		b, err := base64.StdEncoding.Strict().DecodeString(s.Base64)
		if err != nil {
			return nil, nil, errors.New("checkpoint: a cosignature isn't written the one way") // note is more lenient
		}
		at, _ := cosignatureTime(b[4:])
		out = append(out, Cosignature{Witness: s.Name, Time: at})
	}
	return cp, out, nil
}

// CheckWitness errs when vkey is no key of a witness.
func CheckWitness(vkey string) (name string, err error) {
	v, err := parseWitness(vkey)
	if err != nil {
		return "", err
	}
	return v.name, nil
}

// CosignatureBody is the text that a witness signs for a checkpoint's body.
func CosignatureBody(body string, at time.Time) string {
	return "cosignature/v1\ntime " + strconv.FormatInt(at.Unix(), 10) + "\n" + body
}

// witness verifies the cosignatures of one key.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// parseWitness reads a vkey of type 4: name, key id and key, with + between them (C2SP signed-note).
func parseWitness(vkey string) (*witness, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	id, key, _ := strings.Cut(rest, "+")
	b, err := base64.StdEncoding.Strict().DecodeString(key)
	if err != nil || name == "" || strings.ContainsAny(name, " \t\r\n") || len(b) != 1+ed25519.PublicKeySize || b[0] != cosignatureV1 {
		return nil, errors.New("witness key: not a vkey of type 4 (Ed25519 cosignatures), name+id+key")
	}
	w := &witness{name: name, hash: WitnessKeyID(name, b[1:]), key: b[1:]}
	if id != fmt.Sprintf("%08x", w.hash) {
		return nil, fmt.Errorf("witness key of %q: the key id isn't that of the key", name)
	}
	return w, nil
}

// WitnessKeyID is the key id of a witness's Ed25519 key (C2SP tlog-cosignature).
func WitnessKeyID(name string, key []byte) uint32 {
	h := sha256.New()
	h.Write([]byte(name + "\n"))
	h.Write([]byte{cosignatureV1})
	h.Write(key)
	return binary.BigEndian.Uint32(h.Sum(nil))
}

func (w *witness) Name() string { return w.name }

func (w *witness) KeyHash() uint32 { return w.hash }

func (w *witness) Verify(msg, sig []byte) bool {
	at, ok := cosignatureTime(sig)
	return ok && ed25519.Verify(w.key, []byte(CosignatureBody(string(msg), at)), sig[8:])
}

// cosignatureTime reads the time before the signature itself.
func cosignatureTime(sig []byte) (time.Time, bool) {
	if len(sig) != 8+ed25519.SignatureSize {
		return time.Time{}, false
	}
	t := binary.BigEndian.Uint64(sig)
	return time.Unix(int64(t&math.MaxInt64), 0).UTC(), t <= math.MaxInt64
}

// VerifyWitnessed checks a checkpoint against one witness's key alone: what that
// witness has seen of a log, without the log's own word.
func VerifyWitnessed(signed []byte, vkey string) (*Checkpoint, Cosignature, error) {
	if len(signed) > maxNote {
		return nil, Cosignature{}, fmt.Errorf("checkpoint of %d bytes is longer than %d", len(signed), maxNote)
	}
	w, err := parseWitness(vkey)
	if err != nil {
		return nil, Cosignature{}, err
	}
	n, err := note.Open(signed, note.VerifierList(w))
	if err != nil {
		return nil, Cosignature{}, fmt.Errorf("verifying cosignature: %w", err)
	}
	cp, err := parseBody(n.Text)
	if err != nil {
		return nil, Cosignature{}, err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	if err != nil {
		return nil, Cosignature{}, errors.New("checkpoint: a cosignature isn't written the one way") // note is more lenient
	}
	at, _ := cosignatureTime(b[4:])
	cp.Signers = []string{w.name}
	return cp, Cosignature{Witness: w.name, Time: at}, nil
}
