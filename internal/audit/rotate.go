package audit

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/assenthq/assent/evidence"
)

// rotationDetail is the detail of a key.rotate record that holds the signed rotation.
const rotationDetail = "rotation"

// Rotation is the record that hands a log over from one key to the next,
// signed by both. Both sign checkpoints until until.
func Rotation(from, to *Key, until time.Time) (*Record, error) {
	r := evidence.Rotation{Origin: from.Name(), From: from.Verifier(), To: to.Verifier(), Until: until.UTC().Truncate(time.Second)}
	signed, err := note.Sign(&note.Note{Text: r.Text()}, from.signer, to.signer)
	if err != nil {
		return nil, fmt.Errorf("rotating the log's key: %w", err)
	}
	if _, err := evidence.VerifyRotation(signed); err != nil {
		return nil, err
	}
	return &Record{Type: TypeKey, Detail: map[string]string{"from": r.From, "to": r.To, "until": r.Until.Format(time.RFC3339), rotationDetail: string(signed)}}, nil
}

// Handovers are the rotations and forks on record. Each bears its own signatures, so where it was read from doesn't matter.
func Handovers(ctx context.Context, r Reader) ([][]byte, error) {
	recs, err := r.Search(ctx, Query{Types: []string{TypeKey, TypeFork}, Limit: 1000})
	if err != nil {
		return nil, fmt.Errorf("reading key rotations: %w", err)
	}
	var out [][]byte
	for i := range recs {
		if signed := handoverIn(&recs[i]); signed != nil {
			out = append(out, signed)
		}
	}
	return out, nil
}

// handoverIn is what the old key signed, in a record that says which one follows it; nil in others.
func handoverIn(r *Record) []byte {
	signed := ""
	switch r.Type {
	case TypeKey:
		signed = r.Detail[rotationDetail]
	case TypeFork:
		signed = r.Detail[forkDetail]
	}
	if signed == "" {
		return nil
	}
	return []byte(signed)
}
