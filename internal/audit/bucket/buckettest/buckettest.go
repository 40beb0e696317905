// Package buckettest runs moto's S3 server, which knows object lock, for tests.
package buckettest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// The key pair that the server takes.
const KeyID, Secret = "AKIAARCHIVE", "archive-secret"

// A Server is running until its test ends.
type Server struct {
	URL string
	cmd *exec.Cmd
}

// Start starts a server without buckets.
func Start(t testing.TB) *Server {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			t.Fatal("no go.mod above the test")
		}
	}
	program := filepath.Join(root, ".cache/aws/bin/moto_server")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("scripts/install brings moto: %v", err)
	}
	s := &Server{cmd: exec.Command(program, "-H", "127.0.0.1", "-p", "0")}
	out, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	// It tells its port, which the kernel chose, in its greeting.
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, at, ok := strings.Cut(lines.Text(), "Running on http://"); ok {
			s.URL = "http://" + strings.Fields(at)[0]
			go func() { _, _ = io.Copy(io.Discard, out) }()
			break
		}
	}
	if s.URL == "" {
		t.Fatal("moto's server did not start")
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err == nil {
			_ = c.Close()
			return s
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
	}
}

// Stop ends it: an outage.
func (s *Server) Stop() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// Client talks to it directly.
func (s *Server) Client(t testing.TB) *minio.Client {
	t.Helper()
	c, err := minio.New(strings.TrimPrefix(s.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(KeyID, Secret, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Make makes a bucket, with object lock or without.
func (s *Server) Make(t testing.TB, bucket string, lock bool) {
	t.Helper()
	if err := s.Client(t).MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{ObjectLocking: lock}); err != nil {
		t.Fatal(err)
	}
}

// Overwrite writes over an object, as somebody does who has the bucket.
func Overwrite(t testing.TB, c *minio.Client, bucket, name string, b []byte) error {
	t.Helper()
	_, err := c.PutObject(t.Context(), bucket, name, bytes.NewReader(b), int64(len(b)), minio.PutObjectOptions{SendContentMd5: true, DisableMultipart: true})
	return err
}
