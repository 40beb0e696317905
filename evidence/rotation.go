package evidence

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// rotationHeader is the first line of a rotation's text, which no checkpoint has.
const rotationHeader = "assent/key-rotation/v1"

// A Rotation says that a log's checkpoints are signed by another key from then on.
type Rotation struct {
	Origin string    // of the log, and name of both keys
	From   string    // vkey of the key until then
	To     string    // vkey of the one after it
	Until  time.Time // both sign until then, in seconds
}

// Text is what both keys sign.
func (r *Rotation) Text() string {
	return fmt.Sprintf("%s\n%s\n%s\n%s\n%s\n", rotationHeader, r.Origin, r.From, r.To, r.Until.UTC().Format(time.RFC3339))
}

// VerifyRotation checks a signed rotation: by the old key, which hands over, and by
// the new one, which shows that somebody has it. The old key is the caller's to trust.
func VerifyRotation(signed []byte) (*Rotation, error) {
	text, _, found := strings.Cut(string(signed), "\n\n")
	lines := strings.Split(text, "\n")
	if len(signed) > maxNote || !found || len(lines) != 5 || lines[0] != rotationHeader {
		return nil, errors.New("key rotation: want its header, origin, both keys and a time, one a line")
	}
	r := &Rotation{Origin: lines[1], From: lines[2], To: lines[3]}
	var err error
	if r.Until, err = time.Parse(time.RFC3339, lines[4]); err != nil || r.Text() != text+"\n" {
		return nil, errors.New("key rotation: the time isn't written the one way")
	}
	if r.From == r.To {
		return nil, errors.New("key rotation: from a key to itself")
	}
	for _, vkey := range []string{r.From, r.To} {
		v, err := note.NewVerifier(vkey)
		if err != nil || v.Name() != r.Origin {
			return nil, errors.New("key rotation: a key isn't one of the log's")
		}
		n, err := note.Open(signed, note.VerifierList(v))
		if err != nil {
			return nil, errors.New("key rotation: it isn't signed by both keys")
		}
		if _, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64); err != nil {
			return nil, errors.New("key rotation: a signature isn't written the one way") // note is more lenient
		}
	}
	return r, nil
}

// FollowKeys returns vkeys and every key that rotations and forks, in any order, lead to
// from one of them. One that doesn't verify, or begins at no such key, leads nowhere.
func FollowKeys(vkeys []string, handovers ...[]byte) []string {
	next := map[string][]string{} // each is verified once: who wrote them chose how many there are, and their order
	for _, signed := range handovers {
		if r, err := VerifyRotation(signed); err == nil {
			next[r.From] = append(next[r.From], r.To)
		} else if f, err := VerifyFork(signed); err == nil {
			next[f.From] = append(next[f.From], f.To)
		}
	}
	out := append([]string(nil), vkeys...)
	known := map[string]bool{}
	for _, k := range out {
		known[k] = true
	}
	for i := 0; i < len(out); i++ {
		for _, to := range next[out[i]] {
			if !known[to] {
				out, known[to] = append(out, to), true
			}
		}
	}
	return out
}
