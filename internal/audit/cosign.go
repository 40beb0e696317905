package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/assenthq/assent/evidence"
)

// A BehindError says that somebody has seen more of the log than is stored: the
// store, and with it maybe the head file, went back to an earlier day. It is an
// ErrRolledBack.
type BehindError struct {
	By   string // who has seen more: the name of a witness or a node
	Seen int64  // how many records it has seen
	Have int64  // how many are stored
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("%s: %d records are stored, %s has seen %d; %s", ErrRolledBack.Error(), e.Have, e.By, e.Seen, remedy)
}

// Is makes it an ErrRolledBack.
func (e *BehindError) Is(target error) bool { return target == ErrRolledBack }

// A ForkError says that somebody has seen other records than those that are
// stored: a restored log that has grown since. It is an ErrRolledBack.
type ForkError struct {
	By   string // who has seen others
	Seen int64  // how many records it has seen
}

func (e *ForkError) Error() string {
	return fmt.Sprintf("%s: %s has seen %d records, and other ones than are stored; %s", ErrRolledBack.Error(), e.By, e.Seen, remedy)
}

// Is makes it an ErrRolledBack.
func (e *ForkError) Is(target error) bool { return target == ErrRolledBack }

// Refuse ends all appending and signing with err, which must be an ErrRolledBack.
func (l *Log) Refuse(err error) {
	if !errors.Is(err, ErrRolledBack) {
		err = fmt.Errorf("%w: %w", ErrRolledBack, err)
	}
	_ = l.stop(err)
}

// A Cosigner signs what it has seen of logs (C2SP tlog-cosignature, Ed25519).
type Cosigner struct {
	name   string
	secret ed25519.PrivateKey
}

// Cosigner makes cosignatures with the key, which must sign nothing else.
func (k *Key) Cosigner() (*Cosigner, error) {
	if k.secret == nil {
		return nil, errors.New("cosigning: the key is not in a file")
	}
	return &Cosigner{name: k.Name(), secret: k.secret}, nil
}

// Name is the witness's name.
func (c *Cosigner) Name() string { return c.name }

func (c *Cosigner) public() ed25519.PublicKey { return c.secret.Public().(ed25519.PublicKey) }

// Verifier is the public half, a vkey of type 4.
func (c *Cosigner) Verifier() string {
	return fmt.Sprintf("%s+%08x+%s", c.name, evidence.WitnessKeyID(c.name, c.public()), base64.StdEncoding.EncodeToString(append([]byte{4}, c.public()...)))
}

// Line is the signature line on a checkpoint's body, for the end of its note.
func (c *Cosigner) Line(body string, at time.Time) string {
	sig := binary.BigEndian.AppendUint32(nil, evidence.WitnessKeyID(c.name, c.public()))
	sig = binary.BigEndian.AppendUint64(sig, uint64(max(at.Unix(), 0)))
	sig = append(sig, ed25519.Sign(c.secret, []byte(evidence.CosignatureBody(body, at)))...)
	return "— " + c.name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
}
