package evidence_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/assenthq/assent/evidence"
)

const origin = "assent.example/log"

func key(t testing.TB, name string) (note.Signer, string) {
	t.Helper()
	secret, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s, vkey
}

func sign(t testing.TB, text string, signers ...note.Signer) []byte {
	t.Helper()
	b, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tree is x/mod's tree over n leaves.
type tree struct {
	leaves [][]byte
	hashes []tlog.Hash
}

func (h *tree) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, x := range at {
		out[i] = h.hashes[x]
	}
	return out, nil
}

func newTree(t testing.TB, n int64) *tree {
	t.Helper()
	h := &tree{}
	for i := range n {
		leaf := fmt.Appendf(nil, `{"index":%d}`, i)
		more, err := tlog.StoredHashes(i, leaf, h)
		if err != nil {
			t.Fatal(err)
		}
		h.leaves, h.hashes = append(h.leaves, leaf), append(h.hashes, more...)
	}
	return h
}

func (h *tree) body(t testing.TB, size int64) string {
	t.Helper()
	root, err := tlog.TreeHash(size, h)
	if err != nil {
		t.Fatal(err)
	}
	return (&evidence.Checkpoint{Origin: origin, Size: size, Root: root}).Body()
}

func (h *tree) proof(t testing.TB, size, index int64, checkpoint []byte) *evidence.Proof {
	t.Helper()
	p, err := tlog.ProveRecord(size, index, h)
	if err != nil {
		t.Fatal(err)
	}
	return &evidence.Proof{Index: index, Hashes: p, Checkpoint: checkpoint}
}

func TestCheckpointOfXModPasses(t *testing.T) {
	h := newTree(t, 300)
	s, vkey := key(t, origin)
	other, _ := key(t, "witness.example")
	_, stranger := key(t, "stranger.example")
	b := sign(t, h.body(t, 300), s, other)
	cp, err := evidence.VerifyCheckpoint(b, stranger, vkey, vkey)
	if err != nil {
		t.Fatal(err)
	}
	if cp.Size != 300 || cp.Origin != origin || !slices.Equal(cp.Signers, []string{origin}) {
		t.Errorf("%+v", cp)
	}
	// The format is the one that x/mod writes for its own trees, but for the first line.
	want := tlog.FormatTree(tlog.Tree{N: 300, Hash: cp.Root})
	if _, rest, _ := strings.Cut(string(want), "\n"); !strings.HasSuffix(cp.Body(), rest) {
		t.Errorf("%q isn't %q", cp.Body(), want)
	}
}

func TestForgedCheckpointsAreRefused(t *testing.T) {
	h := newTree(t, 9)
	s, vkey := key(t, origin)
	impostor, _ := key(t, origin)
	witness, wkey := key(t, "witness.example")
	good := h.body(t, 9)
	for name, b := range map[string][]byte{
		"signed by a stranger of the same name": sign(t, good, impostor),
		"signed by a witness only":              sign(t, good, witness),
		"of another log":                        sign(t, strings.Replace(good, origin, "other.example", 1), s),
		"with an extension":                     sign(t, good+"extension\n", s),
		"size with a leading zero":              sign(t, strings.Replace(good, "\n9\n", "\n09\n", 1), s),
		"size with a sign":                      sign(t, strings.Replace(good, "\n9\n", "\n+9\n", 1), s),
		"negative size":                         sign(t, strings.Replace(good, "\n9\n", "\n-9\n", 1), s),
		"size over 63 bits":                     sign(t, strings.Replace(good, "\n9\n", "\n9223372036854775808\n", 1), s),
		"root too short":                        sign(t, good[:len(good)-6]+"=\n", s),
		"no root":                               sign(t, origin+"\n9\n", s),
		"not signed":                            []byte(good),
		"empty":                                 nil,
		"too long":                              slices.Concat(sign(t, good, s), make([]byte, 70_000)),
	} {
		if cp, err := evidence.VerifyCheckpoint(b, vkey, wkey); err == nil {
			t.Errorf("%s: %+v", name, cp)
		}
	}
	signed := sign(t, good, s)
	if _, err := evidence.VerifyCheckpoint(signed); err == nil {
		t.Error("it passes without a key")
	}
	if _, err := evidence.VerifyCheckpoint(signed, "not a key"); err == nil {
		t.Error("it passes beside a key that isn't one")
	}
	for i := range signed {
		for bit := range 8 {
			bad := slices.Clone(signed)
			bad[i] ^= 1 << bit
			if _, err := evidence.VerifyCheckpoint(bad, vkey); err == nil {
				t.Errorf("bit %d of byte %d changed: it passes", bit, i)
			}
		}
	}
}

func TestProofs(t *testing.T) {
	h := newTree(t, 260)
	s, vkey := key(t, origin)
	for _, size := range []int64{1, 2, 3, 7, 255, 256, 257, 260} {
		b := sign(t, h.body(t, size), s)
		for i := range size {
			p := h.proof(t, size, i, b)
			text := p.Text()
			cp, index, err := evidence.VerifyProof(text, h.leaves[i], vkey)
			if err != nil || cp.Size != size || index != i {
				t.Fatalf("record %d of %d: %v", i, size, err)
			}
			if _, _, err := evidence.VerifyProof(text, h.leaves[(i+1)%260], vkey); err == nil {
				t.Fatalf("record %d of %d: another leaf passes", i, size)
			}
			if len(text) > 2048 {
				t.Errorf("proof of %d bytes", len(text))
			}
		}
	}
}

func TestProofChangedAtEveryByte(t *testing.T) {
	h := newTree(t, 21)
	s, vkey := key(t, origin)
	text := h.proof(t, 21, 13, sign(t, h.body(t, 21), s)).Text()
	for i := range text {
		for bit := range 8 {
			bad := slices.Clone(text)
			bad[i] ^= 1 << bit
			if _, _, err := evidence.VerifyProof(bad, h.leaves[13], vkey); err == nil {
				t.Errorf("bit %d of byte %d changed: it passes", bit, i)
			}
		}
	}
	for n := range len(text) {
		if _, _, err := evidence.VerifyProof(text[:n], h.leaves[13], vkey); err == nil {
			t.Errorf("cut to %d bytes: it passes", n)
		}
	}
}

func TestProofForm(t *testing.T) {
	h := newTree(t, 4)
	s, vkey := key(t, origin)
	p := h.proof(t, 4, 0, sign(t, h.body(t, 4), s))
	p.Extra = []byte("any words")
	got, err := evidence.ParseProof(p.Text())
	if err != nil || string(got.Extra) != "any words" || got.Index != 0 || len(got.Hashes) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, _, err := evidence.VerifyProof(p.Text(), h.leaves[0], vkey); err != nil {
		t.Error(err)
	}
	text := string(p.Text())
	for name, bad := range map[string]string{
		"other version":       strings.Replace(text, "@v1", "@v2", 1),
		"index twice":         strings.Replace(text, "index 0\n", "index 0\nindex 0\n", 1),
		"index 00":            strings.Replace(text, "index 0\n", "index 00\n", 1),
		"no index":            strings.Replace(text, "index 0\n", "", 1),
		"carriage return":     strings.Replace(text, "index 0\n", "index 0\r\n", 1),
		"extra in other form": strings.Replace(text, "extra ", "extra  ", 1),
		"64 hashes":           strings.Replace(text, "index 0\n", "index 0\n"+strings.Repeat(strings.Repeat("A", 43)+"=\n", 64), 1),
	} {
		if _, err := evidence.ParseProof([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestConsistency(t *testing.T) {
	h := newTree(t, 70)
	cp := func(size int64) *evidence.Checkpoint {
		root, err := tlog.TreeHash(size, h)
		if err != nil {
			t.Fatal(err)
		}
		return &evidence.Checkpoint{Origin: origin, Size: size, Root: root}
	}
	for older := int64(1); older <= 70; older++ {
		for newer := older; newer <= 70; newer++ {
			proof, err := tlog.ProveTree(newer, older, h)
			if err != nil {
				t.Fatal(err)
			}
			a, b := cp(older), cp(newer)
			if err := evidence.VerifyConsistency(a, b, proof); err != nil {
				t.Fatalf("%d to %d: %v", older, newer, err)
			}
			a.Root[7] ^= 1
			if evidence.VerifyConsistency(a, b, proof) == nil {
				t.Fatalf("%d to %d: another root passes", older, newer)
			}
			if newer > older && evidence.VerifyConsistency(cp(newer), cp(older), proof) == nil {
				t.Fatalf("%d to %d: it shrank, and passes", newer, older)
			}
		}
	}
	other := cp(70)
	other.Origin = "other.example"
	if evidence.VerifyConsistency(cp(0), other, nil) == nil {
		t.Error("two logs pass as one")
	}
}

func FuzzCheckpoint(f *testing.F) {
	h := newTree(f, 5)
	s, vkey := key(f, origin)
	f.Add(string(sign(f, h.body(f, 5), s)))
	f.Add(origin + "\n5\nAAAA\n\n— x AAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		if cp, err := evidence.VerifyCheckpoint([]byte(text), vkey); err == nil && cp.Body() != h.body(t, 5) {
			t.Fatalf("forged: %+v", cp)
		}
		// Bodies of any content, well signed: whatever is accepted has one spelling.
		if len(text) > 0 && len(text) < 500 {
			b, err := note.Sign(&note.Note{Text: text + "\n"}, s)
			if err != nil {
				return
			}
			if cp, err := evidence.VerifyCheckpoint(b, vkey); err == nil && cp.Body() != text+"\n" {
				t.Fatalf("%q was read as %q", text, cp.Body())
			}
		}
	})
}

func FuzzProof(f *testing.F) {
	h := newTree(f, 5)
	s, _ := key(f, origin)
	f.Add(h.proof(f, 5, 3, sign(f, h.body(f, 5), s)).Text())
	f.Add([]byte("c2sp.org/tlog-proof@v1\nextra \nindex 0\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := evidence.ParseProof(text)
		if err == nil && string(p.Text()) != string(text) {
			t.Fatalf("%q was read as %q", text, p.Text())
		}
	})
}

func BenchmarkVerifyProof(b *testing.B) {
	h := newTree(b, 100_000)
	s, vkey := key(b, origin)
	text := h.proof(b, 100_000, 77_777, sign(b, h.body(b, 100_000), s)).Text()
	b.ReportMetric(float64(len(text)), "B/proof")
	for b.Loop() {
		if _, _, err := evidence.VerifyProof(text, h.leaves[77_777], vkey); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEd25519Verify(b *testing.B) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	msg := make([]byte, 100)
	sig := ed25519.Sign(priv, msg)
	for b.Loop() {
		if !ed25519.Verify(pub, msg, sig) {
			b.Fatal("refused")
		}
	}
}
