// Package tessera holds the log that a server serves against clients that others wrote.
package tessera

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

// served is a server with a log, as the program runs it.
type served struct {
	URL   string `json:"url"`
	Token string `json:"token"`

	data, program string
	cmd           *exec.Cmd
}

// built is the program, built once.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "assent-tessera")
	if err != nil {
		panic(err)
	}
	built = filepath.Join(dir, "assent")
	build := exec.Command("go", "build", "-o", built, "./cmd/assent")
	build.Dir, build.Env = "../..", append(os.Environ(), "GOFLAGS=-trimpath")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func serve(t *testing.T, program, config string) *served {
	t.Helper()
	return serveIn(t, program, filepath.Join(t.TempDir(), "data"), config)
}

func serveIn(t *testing.T, program, data, config string) *served {
	t.Helper()
	s := &served{data: data, program: program}
	file := filepath.Join(t.TempDir(), "assent.yaml")
	if err := os.WriteFile(file, []byte("data: "+s.data+"\nlisten: 127.0.0.1:0\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(s.data, "operator.json")) // of the run before
	s.cmd = exec.Command(program, "serve", "--config", file)
	var log bytes.Buffer
	s.cmd.Stdout, s.cmd.Stderr = &log, &log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	for range 600 {
		b, err := os.ReadFile(filepath.Join(s.data, "operator.json"))
		if err == nil && json.Unmarshal(b, s) == nil && s.URL != "" {
			return s
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.stop()
	t.Fatalf("the server did not start:\n%s", log.String())
	return nil
}

func (s *served) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	_ = s.cmd.Wait()
}

func (s *served) get(t *testing.T, path string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
	}
	return b
}

// record makes one record: an actor is frozen.
func (s *served) record(t *testing.T, n int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/freezes", strings.NewReader(fmt.Sprintf(`{"what":"actor","name":"agent:none-%d","reason":"for the log"}`, n)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("making a record: %d %s", resp.StatusCode, b)
	}
}

// bundle hashes what stands in an entry bundle.
func bundle(b []byte) ([][]byte, error) {
	var e api.EntryBundle
	if err := e.UnmarshalText(b); err != nil {
		return nil, err
	}
	var out [][]byte
	for _, leaf := range e.Entries {
		out = append(out, rfc6962.DefaultHasher.HashLeaf(leaf))
	}
	return out, nil
}

func TestTesseraAcceptsTheLog(t *testing.T) {
	s := serve(t, built, "")
	vkey, err := exec.Command(s.program, "keys", "--data", s.data).Output()
	if err != nil {
		t.Fatalf("reading the log's key: %v", err)
	}
	v, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	if err != nil {
		t.Fatal(err)
	}
	root, err := url.Parse(s.URL + "/log/")
	if err != nil {
		t.Fatal(err)
	}
	fetch, err := client.NewHTTPFetcher(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	fetch.SetAuthorizationHeader("Bearer " + s.Token)
	tracker, err := client.NewLogStateTracker(t.Context(), fetch.ReadTile, nil, v, v.Name(), client.UnilateralConsensus(fetch.ReadCheckpoint))
	if err != nil {
		t.Fatal(err)
	}
	records := 0
	for _, until := range []int{1, 250, 300} {
		for ; records < until; records++ {
			s.record(t, records)
		}
		time.Sleep(200 * time.Millisecond) // signed every 50 ms
		if _, _, _, err := tracker.Update(t.Context()); err != nil {
			t.Fatalf("the log isn't a continuation of itself: %v", err)
		}
		cp := tracker.Latest()
		if cp.Size <= uint64(until) {
			t.Fatalf("%d records after %d were made", cp.Size, until)
		}
		if err := fsck.New(v.Name(), v, fetch, bundle, fsck.Opts{N: 4}).Check(t.Context()); err != nil {
			t.Fatalf("fsck of %d records: %v", cp.Size, err)
		}
		pb, err := client.NewProofBuilder(t.Context(), cp.Size, fetch.ReadTile)
		if err != nil {
			t.Fatal(err)
		}
		for _, index := range []uint64{0, cp.Size / 2, cp.Size - 1} {
			p, err := pb.InclusionProof(t.Context(), index)
			if err != nil {
				t.Fatal(err)
			}
			e, err := client.GetEntryBundle(t.Context(), fetch.ReadEntryBundle, index/256, cp.Size)
			if err != nil {
				t.Fatal(err)
			}
			leaf := rfc6962.DefaultHasher.HashLeaf(e.Entries[index%256])
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, cp.Size, leaf, p, cp.Hash); err != nil {
				t.Errorf("record %d of %d: %v", index, cp.Size, err)
			}
		}
		fmt.Printf("fsck, %d records: ok\n", cp.Size)
	}
	// The oracle can say no: one record changed on the way is found.
	lie := fsck.New(v.Name(), v, lying{fetch}, bundle, fsck.Opts{N: 16}) // with fewer workers than tiles, one that fails leaves it waiting for ever
	if err := lie.Check(t.Context()); err == nil {
		t.Error("fsck accepts a changed record")
	}
}

type lying struct{ *client.HTTPFetcher }

func (l lying) ReadEntryBundle(ctx context.Context, i uint64, p uint8) ([]byte, error) {
	b, err := l.HTTPFetcher.ReadEntryBundle(ctx, i, p)
	if err == nil && i == 1 {
		b[len(b)-2] ^= 1
	}
	return b, err
}
