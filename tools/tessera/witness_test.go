package tessera

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	log "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

// witnessing runs assent witness for logs, and tells its key and address.
func witnessing(t *testing.T, program string, logs ...string) (vkey string, at *url.URL) {
	t.Helper()
	args := []string{"witness", "--name", "witness.example/w", "--dir", filepath.Join(t.TempDir(), "w"), "--listen", "127.0.0.1:0"}
	for _, l := range logs {
		args = append(args, "--log", l)
	}
	cmd := exec.Command(program, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if u, ok := strings.CutPrefix(lines.Text(), "url: "); ok {
			if at, err = url.Parse(u); err != nil {
				t.Fatal(err)
			}
		}
		if k, ok := strings.CutPrefix(lines.Text(), "key: "); ok {
			return k, at
		}
	}
	t.Fatal("the witness did not start")
	return "", nil
}

// A log of Tessera's asks our witness, by its own client, and publishes what it cosigned.
func TestTesseraAsksOurWitness(t *testing.T) {
	skey, vkey, err := note.GenerateKey(nil, "tessera.example/log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	key, at := witnessing(t, built, vkey)
	w, err := tessera.NewWitness(key, at)
	if err != nil {
		t.Fatal(err)
	}
	group := tessera.NewWitnessGroup(1, w)
	driver, err := posix.New(t.Context(), posix.Config{Path: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	appender, shutdown, reader, err := tessera.NewAppender(t.Context(), driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).WithBatching(64, 50*time.Millisecond).WithCheckpointInterval(time.Second).
		WithWitnesses(group, &tessera.WitnessOptions{FailOpen: false, Timeout: 10 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = shutdown(t.Context()) }()
	awaiter := tessera.NewPublicationAwaiter(t.Context(), reader.ReadCheckpoint, 100*time.Millisecond)
	for round := range 3 {
		var last tessera.IndexFuture
		for i := range 100 {
			last = appender.Add(t.Context(), tessera.NewEntry(fmt.Appendf(nil, "entry %d of round %d", i, round)))
		}
		_, cp, err := awaiter.Await(t.Context(), last)
		if err != nil {
			t.Fatal(err)
		}
		if !group.Satisfied(cp) {
			t.Fatalf("round %d: not witnessed:\n%s", round, cp)
		}
		c, _, _, err := log.ParseCheckpoint(cp, v.Name(), v)
		if err != nil || c.Size < uint64(100*(round+1)) {
			t.Fatalf("round %d: %v, %v", round, c, err)
		}
		fmt.Printf("a log of Tessera's, %d entries: cosigned\n", c.Size)
	}
}

// Our log, cosigned by a witness, passes Tessera's own check of a policy.
func TestTesseraAcceptsOurCosignatures(t *testing.T) {
	first := serve(t, built, "") // to have a key
	vkey, err := exec.Command(built, "keys", "--data", first.data).Output()
	if err != nil {
		t.Fatal(err)
	}
	key, at := witnessing(t, built, strings.TrimSpace(string(vkey)))
	first.stop()
	s := serveIn(t, built, first.data, "audit: { every: 200ms, require: 1, witnesses: [{ key: "+key+", url: "+at.String()+" }] }\n")
	w, err := tessera.NewWitness(key, at)
	if err != nil {
		t.Fatal(err)
	}
	group := tessera.NewWitnessGroup(1, w)
	for range 100 {
		if note := s.get(t, "/log/checkpoint"); group.Satisfied(note) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("Tessera finds it not witnessed:\n%s", s.get(t, "/log/checkpoint"))
}
