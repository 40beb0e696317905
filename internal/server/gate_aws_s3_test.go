package server

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/assenthq/assent/internal/sigv4"
)

const s3Pack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: objects, version: 1.0.0, owner: tests }
rules:
  - id: own
    match: { kind: [data.read, data.write] }
    then: allow
  - id: exports-wait
    match: { kind: [data.export, data.delete, unknown, privilege.change] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
  - id: masked
    match: { kind: [data.read] }
    then: mask
    mask: { email: redact }
tests:
  - { name: own, given: { kind: data.read }, want: { decision: allow } }
`

// A store is an S3 server that takes what the real key signed, and keeps what was put.
type s3Store struct {
	*httptest.Server
	mu   sync.Mutex
	puts map[string][]byte
}

func newS3Store(t *testing.T) *s3Store {
	backend := s3mem.New()
	for _, name := range []string{"house", "partner"} {
		if err := backend.CreateBucket(name); err != nil {
			t.Fatal(err)
		}
	}
	inner := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	s := &s3Store{puts: map[string][]byte{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown, err := sigv4.Read(r)
		if err == nil {
			var p *sigv4.Proof
			if p, err = shown.Verify("real-secret", time.Now(), nil); err == nil {
				err = p.Take(r)
			}
		}
		var body []byte
		if err == nil {
			body, err = io.ReadAll(r.Body)
		}
		if err != nil {
			t.Errorf("the store does not take what came: %v", err)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.Method == http.MethodPut {
			s.mu.Lock()
			s.puts[r.URL.Path] = body
			s.mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *s3Store) put(path string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, is := s.puts[path]
	return b, is
}

// An agent's AWS CLI writes to the house, reads its own mails masked, and what it would
// send to a partner waits for a person: then the very bytes arrive.
func TestAnExportToS3WaitsForAPerson(t *testing.T) {
	up := newS3Store(t)
	b := &bench{t: t, Server: testServer(t, s3Pack, `
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
gates:
  - name: cloud
    type: aws
    env: prod
    listen: 127.0.0.1:0
    aws:
      credential: { file: key.json }
      endpoints: { s3: "`+up.URL+`" }
      s3: { buckets: [{ name: house, trust: internal }, { name: partner, trust: external }] }
`, map[string]string{"key.json": `{"Version":1,"AccessKeyId":"AKIAREALREALREALREAL","SecretAccessKey":"real-secret"}`})}
	token, dir := b.agentToken("agent:worker"), t.TempDir()
	cli := func(args ...string) (string, error) {
		program, err := filepath.Abs("../../.cache/aws/bin/aws")
		if err != nil {
			return "", err
		}
		cmd := exec.CommandContext(t.Context(), program, append([]string{"s3"}, args...)...)
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "AWS_ENDPOINT_URL=http://" + b.GateAddr("cloud"), "AWS_DEFAULT_REGION=eu-central-1", "AWS_EC2_METADATA_DISABLED=true",
			"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + b.URL() + "/v1/aws/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN=Bearer " + token,
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	data := []byte("id,mail\n1,ada@example.net\n" + strings.Repeat("2,nobody of whom anybody knows anything\n", 30_000))
	file := filepath.Join(dir, "export.csv")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := cli("cp", "--no-progress", file, "s3://house/own.csv"); err != nil {
		t.Fatalf("a write to the house: %v %s", err, out)
	}
	if out, err := cli("cp", "--no-progress", "s3://house/own.csv", "-"); err != nil || strings.Contains(out, "ada@") || len(out) != len(data) {
		t.Errorf("a read: %v, %d bytes of %d: %.100s", err, len(out), len(data), out)
	}
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := cli("cp", "--no-progress", file, "s3://partner/in/export.csv")
		done <- result{out, err}
	}()
	a := b.waiting(1)[0]
	if _, is := up.put("/partner/in/export.csv"); is || a.Target != "partner/in/export.csv" || !slices.Contains(a.Kinds, "data.export") {
		t.Errorf("%s of %s waits, arrived %v", a.Kinds, a.Target, is)
	}
	if !slices.Contains(a.Data.Classes, "email") || a.Data.DestinationTrust != "external" {
		t.Errorf("%+v on the card", a.Data)
	}
	b.approve(a)
	if r := <-done; r.err != nil {
		t.Fatalf("once it was approved: %v %s", r.err, r.out)
	}
	if got, _ := up.put("/partner/in/export.csv"); !bytes.Equal(got, data) {
		t.Errorf("%d bytes of %d arrived", len(got), len(data))
	}
	b.noValues(b.cfg.path(b.cfg.Data))
}
