package evidence_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/assenthq/assent/evidence"
)

// A cosignature counts for exactly its checkpoint, its time and its key.
func TestForgedCosignaturesAreRefused(t *testing.T) {
	log := newLogKey(t, "log")
	cp := evidence.Checkpoint{Origin: "log", Size: 7}
	signed, err := note.Sign(&note.Note{Text: cp.Body()}, log)
	if err != nil {
		t.Fatal(err)
	}
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	id := evidence.WitnessKeyID("w.example", pub)
	vkey := fmt.Sprintf("w.example+%08x+%s", id, base64.StdEncoding.EncodeToString(append([]byte{4}, pub...)))
	at := time.Unix(1679315147, 0).UTC()
	line := func(body string, said, signedAt time.Time) string {
		sig := binary.BigEndian.AppendUint32(nil, id)
		sig = binary.BigEndian.AppendUint64(sig, uint64(said.Unix()))
		sig = append(sig, ed25519.Sign(key, []byte(evidence.CosignatureBody(body, signedAt)))...)
		return "— w.example " + base64.StdEncoding.EncodeToString(sig) + "\n"
	}
	good := string(signed) + line(cp.Body(), at, at)
	_, sigs, err := evidence.VerifyCosigned([]byte(good), []string{log.vkey}, []string{vkey})
	if err != nil || len(sigs) != 1 || sigs[0].Witness != "w.example" || !sigs[0].Time.Equal(at) {
		t.Fatalf("%+v, %v", sigs, err)
	}
	other := cp
	other.Size = 8
	for name, l := range map[string]string{
		"of another checkpoint": line(other.Body(), at, at),
		"at another time":       line(cp.Body(), at.Add(time.Second), at),
		"a log's signature":     "— w.example " + base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, id), ed25519.Sign(key, []byte(cp.Body()))...)) + "\n",
		"a time past 2^63":      line(cp.Body(), time.Unix(-1, 0), at),
	} {
		if _, sigs, err := evidence.VerifyCosigned([]byte(string(signed)+l), []string{log.vkey}, []string{vkey}); err == nil {
			t.Errorf("%s: %v", name, sigs)
		}
	}
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 1
		if _, sigs, err := evidence.VerifyCosigned(bad, []string{log.vkey}, []string{vkey}); err == nil && len(sigs) > 0 {
			t.Errorf("byte %d changed, and it is cosigned", i)
		}
	}
	for _, bad := range []string{"", "w.example", strings.Replace(vkey, "w.example", "x.example", 1), strings.Replace(vkey, "+", "+0", 1), log.vkey, vkey + "=", "w example" + vkey[9:]} {
		if _, err := evidence.CheckWitness(bad); err == nil {
			t.Errorf("%q is taken for a witness's key", bad)
		}
	}
}

func FuzzVerifyCosigned(f *testing.F) {
	f.Add("log\n7\nAAAA\n\n— log AAAA\n— w AAAA\n", "w+00000000+BAAA")
	f.Fuzz(func(t *testing.T, signed, vkey string) {
		if _, _, err := evidence.VerifyWitnessed([]byte(signed), vkey); err == nil {
			t.Errorf("%q is cosigned by %q", signed, vkey)
		}
	})
}
