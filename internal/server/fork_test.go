package server

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/backup"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
)

const twoAdmins = "people: [{ id: mira, groups: [reviewers] }, { id: omar, groups: [reviewers] }, { id: dana }]\nadmins: [reviewers]\n"

// lost is a deployment of which a backup was restored into another directory, after its witness had seen
// more; what it was last seen to be is in seen.
func lost(t *testing.T) (dir, config, first string, seen []byte) {
	t.Helper()
	dir = t.TempDir()
	first = logKeyIn(t, dir)
	witness, _, key := witnessAt(t, first)
	config = twoAdmins + "audit: { every: 100ms, witnesses: [" + witness + "] }\n"
	run := func(then func(*Server)) []byte {
		t.Helper()
		s, err := startForked(t, dir, config)
		if err != nil {
			t.Fatal(err)
		}
		then(s)
		eventually(t, "a cosignature on the newest checkpoint", func() bool {
			cp, sigs, err := evidence.VerifyCosigned(s.published(), s.auditLog.Verifiers(), []string{key})
			return err == nil && len(sigs) == 1 && cp.Size == s.auditLog.Signed().Size
		})
		note := s.published()
		if err := s.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		return note
	}
	run(func(s *Server) {
		if _, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
			t.Fatal(err)
		}
	})
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(forkConfig+config))
	if err != nil {
		t.Fatal(err)
	}
	mine, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	name := filepath.Join(dir, "backup")
	if _, err := backup.Write(t.Context(), cfg.BackupSource(false), name, backup.Options{Software: "test", Recipients: []age.Recipient{mine.Recipient()}}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file.Write(b)
	seen = run(func(s *Server) {
		for range 20 {
			if err := s.record(t.Context(), &audit.Record{Type: audit.TypeNotice}); err != nil {
				t.Fatal(err)
			}
		}
	})
	if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Read(&file, filepath.Join(dir, "data"), mine); err != nil {
		t.Fatal(err)
	}
	return dir, config, first, seen
}

const forkConfig = "data: data\nlisten: 127.0.0.1:0\npolicy: [pack.yaml]\nactors: [{ id: worker, owner: dana }]\n"

func startForked(t *testing.T, dir, config string) (*Server, error) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(heldPack), 0o600); err != nil {
		t.Fatal(err)
	}
	return startIn(t, dir, config)
}

// What was restored behind its witness does not start. With the loss accepted it does, under another name
// that its old key signed over, frozen until two administrators let it go; whoever has the first
// key alone verifies it, and is told.
func TestALossIsAcceptedAsAFork(t *testing.T) {
	dir, config, first, seen := lost(t)
	data := filepath.Join(dir, "data")
	var behind *audit.BehindError
	if s, err := startForked(t, dir, config); !errors.As(err, &behind) {
		t.Fatalf("it starts behind its witness: %v, %v", s, err)
	}
	f, err := ForkRestored(t.Context(), data, Loss{Reason: "the disk burnt", Seen: seen})
	if err != nil {
		t.Fatal(err)
	}
	cp, err := evidence.VerifyCheckpoint(seen, first)
	if err != nil || f.Seen != cp.Size || f.Kept >= f.Seen || f.Key == first {
		t.Errorf("%+v, %v", f, err)
	}
	// Nothing that was signed under the old name is about more than was restored.
	if _, err := os.Stat(filepath.Join(data, "forks")); err != nil {
		t.Error(err)
	}

	s, err := startForked(t, dir, config) // its witness doesn't know the new name, and isn't required
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Server: s, t: t, dir: dir}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	held := s.freezes.List(false)
	if len(held) != 1 || held[0].What != freeze.Everything || !strings.Contains(held[0].Reason, "the disk burnt") {
		t.Fatalf("frozen: %+v", held)
	}
	change, err := s.changes.Thaw(t.Context(), held[0].ID, "looked at all of it", b.proposal("mira"))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.freezes.List(false)) != 1 {
		t.Fatal("one administrator alone let it go")
	}
	if err := b.allow(change.Approval, "mira"); err == nil {
		t.Error("mira agreed with herself")
	}
	if err := b.allow(change.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is let go", func() bool { return len(s.freezes.List(false)) == 0 })
	eventually(t, "all is signed", func() bool {
		head, err := s.store.Head(t.Context())
		return err == nil && s.auditLog.Signed().Size == head.Size
	})
	for _, vkey := range []string{first, f.Key} {
		o := s.cfg.VerifyOptions(vkey)
		r, err := audit.Verify(t.Context(), s.store, o)
		if err != nil || !r.OK() || len(r.Forks) != 1 || r.Forks[0].Size != f.Kept || !strings.Contains(strings.Join(r.Lines, "\n"), "FORK at record") {
			t.Errorf("by %s: %v, %+v", vkey, err, r)
		}
	}
	if r, err := audit.Verify(t.Context(), s.store, s.cfg.VerifyOptions(otherKey(t))); err != nil || r.OK() {
		t.Errorf("by a key of nobody's: %v, %+v", err, r)
	}
	// What was lost stays contradicted: the old checkpoint is of another log.
	if cp, err := evidence.VerifyCheckpoint(s.auditLog.Checkpoint(), f.Key); err != nil || cp.Origin != f.Log {
		t.Errorf("%+v, %v", cp, err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	// Let go once, it isn't frozen again.
	if s, err = startForked(t, dir, config); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	if held := s.freezes.List(false); len(held) != 0 {
		t.Errorf("frozen again: %+v", held)
	}
}

func otherKey(t *testing.T) string {
	t.Helper()
	k, err := audit.LoadOrCreateKey(filepath.Join(t.TempDir(), "k"), "localhost/assent/log")
	if err != nil {
		t.Fatal(err)
	}
	return k.Verifier()
}

// What needs no fork gets none, and what can't be signed over isn't.
func TestWhatIsNoLoss(t *testing.T) {
	dir, _, _, seen := lost(t)
	data := filepath.Join(dir, "data")
	note, err := os.ReadFile(headFile(data))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		loss Loss
		want string
	}{
		"no reason":        {Loss{}, "say why"},
		"nothing was lost": {Loss{Reason: "x", Seen: note}, "nothing is lost"},
		"of another log":   {Loss{Reason: "x", Seen: bytes.Replace(seen, []byte("localhost/"), []byte("elsewhere/"), 1)}, "what was seen"},
	} {
		if _, err := ForkRestored(t.Context(), data, c.loss); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if now, err := os.ReadFile(headFile(data)); err != nil || !bytes.Equal(now, note) {
		t.Error("the checkpoint was changed")
	}
	if err := os.Remove((&Config{Data: data}).logKeyFile()); err != nil {
		t.Fatal(err)
	}
	if _, err := ForkRestored(t.Context(), data, Loss{Reason: "x"}); err == nil || !strings.Contains(err.Error(), "the key that the log had") {
		t.Errorf("without the key: %v", err)
	}
}

// What was approved and not used before the backup may have been used behind it: it opens nothing after a fork.
func TestApprovedBeforeAForkOpensNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := startForked(t, dir, twoAdmins)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Server: s, t: t, dir: dir}
	if _, err := b.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	b.session = b.login()
	ctx, leave := context.WithCancel(t.Context())
	asked := b.background(ctx, "the yearly clean-up")
	a := b.waiting(1)[0]
	leave() // and would come back with the same request
	<-asked
	if err := b.allow(a.ID, "mira"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := ForkRestored(t.Context(), filepath.Join(dir, "data"), Loss{Reason: "the disk burnt"}); err != nil {
		t.Fatal(err)
	}
	if s, err = startForked(t, dir, twoAdmins); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	eventually(t, "it is taken back", func() bool {
		got, err := s.engine.Get(t.Context(), a.ID)
		return err == nil && got.State == approval.Withdrawn
	})
}
