package audit_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
)

// The log's key may lie in another process; nothing that it answers wrongly is published.
func TestExternalSigner(t *testing.T) {
	skey, vkey, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(skey[strings.LastIndex(skey[:len("PRIVATE+KEY+")+len(origin)+10], "+")+1:])
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ASSENT_TEST_SIGNER", base64.StdEncoding.EncodeToString(raw[1:]))
	for _, how := range []string{"", "another", "garbage", "endless", "dies"} {
		t.Run("answers "+how, func(t *testing.T) {
			t.Setenv("ASSENT_TEST_SIGNER_HOW", how)
			key, signer, err := audit.ExternalKey(vkey, os.Args[0])
			if err != nil {
				t.Fatal(err)
			}
			defer signer.Close()
			dir, store := t.TempDir(), audittest.NewMemory()
			l, err := audit.New(audit.Options{Origin: origin, Keys: []*audit.Key{key}, HeadFile: filepath.Join(dir, "head")})
			if err != nil {
				t.Fatal(err)
			}
			err = l.Open(t.Context(), store)
			if how != "" {
				if err == nil || l.Checkpoint() != nil {
					t.Fatal("a checkpoint without a signature of the log's key")
				}
				if _, err := os.Stat(filepath.Join(dir, "head")); err == nil {
					t.Error("a head file was written")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := store.Update(func(tx *audittest.Tx) error { return l.Append(t.Context(), tx, &audit.Record{Type: audit.TypeNotice}) }); err != nil {
					t.Fatal(err)
				}
				cp, err := l.Sign(t.Context(), store.State.Head)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := evidence.VerifyCheckpoint(cp, vkey); err != nil {
					t.Error(err)
				}
			}
			if _, err := key.Cosigner(); err == nil {
				t.Error("it cosigns with a key that it does not have")
			}
		})
	}
	if _, _, err := audit.ExternalKey("no key", "true"); err == nil {
		t.Error("a key that is none")
	}
}

// Whoever has only the first key verifies a log that is signed by the third.
func TestVerifyAcrossRotations(t *testing.T) {
	b := newBench(t)
	b.append(t, 3)
	b.sign(t)
	first, old := b.key.Verifier(), b.key
	for i := range 2 {
		next, err := audit.LoadOrCreateKey(filepath.Join(b.dir, fmt.Sprint("next", i)), origin)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := audit.Rotation(old, next, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.store.Update(func(tx *audittest.Tx) error { return b.Append(t.Context(), tx, rec) }); err != nil {
			t.Fatal(err)
		}
		for _, keys := range [][]*audit.Key{{next, old}, {next}} { // both for a while, then the new one alone
			if b.Log, err = audit.New(audit.Options{Origin: origin, Keys: keys, Retired: []string{old.Verifier()}, HeadFile: b.headFile(), Now: func() time.Time { return b.now }}); err != nil {
				t.Fatal(err)
			}
			if err := b.Open(t.Context(), b.store); err != nil {
				t.Fatal(err)
			}
			b.append(t, 2)
			if _, err := b.Sign(t.Context(), b.store.State.Head); err != nil {
				t.Fatal(err)
			}
		}
		old = next
	}
	verify := func(vkey string) *audit.Report {
		r, err := audit.Verify(t.Context(), b.store, audit.VerifyOptions{VKeys: []string{vkey}, HeadFile: b.headFile()})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, vkey := range []string{first, old.Verifier()} {
		if r := verify(vkey); !r.OK() {
			t.Errorf("%v", r.Problems)
		}
	}
	if r := verify(first); !strings.Contains(strings.Join(r.Lines, "\n"), "rotated 2 times") {
		t.Error(r.Lines)
	}
	_, stranger, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	if r := verify(stranger); r.OK() {
		t.Error("verified by a key that nothing leads from")
	}
}
