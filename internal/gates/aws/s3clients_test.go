package aws

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
)

// python is a program of the environment that scripts/install makes.
func python(t *testing.T, name string) string {
	t.Helper()
	p, err := filepath.Abs("../../../.cache/aws/bin/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p); err != nil {
		t.Fatalf("scripts/install brings %s: %v", name, err)
	}
	return p
}

// run runs a client that has the agent's key, and nothing else of the machine's.
func (g *s3Gate) run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, program, args...)
	dir := t.TempDir()
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "AWS_ACCESS_KEY_ID=" + agentKey.ID, "AWS_SECRET_ACCESS_KEY=" + agentKey.Secret,
		"AWS_SESSION_TOKEN=" + agentKey.Token, "AWS_DEFAULT_REGION=eu-west-1", "AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL=" + g.URL,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
	}
	if cert := g.Certificate(); cert != nil {
		bundle := filepath.Join(dir, "ca.pem")
		if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "AWS_CA_BUNDLE="+bundle, "SSL_CERT_FILE="+bundle)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func deniesExports() *gatetest.Authority {
	return &gatetest.Authority{
		Flows: func(a *action.Action) bool { return !exports(a) },
		Decide: func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
			if exports(a) {
				return &gate.Denied{Status: gate.StatusDenied, Reason: "not to partners"}
			}
			return nil
		},
	}
}

// TestBoto3 does with boto3 what people do with S3: over TLS, where bodies come with
// trailers, and without, where their chunks or hashes are signed.
func TestBoto3(t *testing.T) {
	for name, tls := range map[string]bool{"tls": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newS3Gate(t, setup{tls: tls, authority: deniesExports()})
			if out, err := g.run(t, python(t, "python"), "testdata/s3story.py", g.URL, filepath.Join(t.TempDir(), "big")); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			if !slices.ContainsFunc(g.up.seen(), func(a arrival) bool { return a.Path == "/house/sl/ash//twice" }) {
				t.Error("a key with two slashes did not arrive as it is")
			}
		})
	}
}

// TestTheCLI is the main story with the AWS CLI: an export in parts is held, somebody
// approves, and the very bytes arrive.
func TestTheCLI(t *testing.T) {
	t.Parallel()
	word := make(chan error)
	g := newS3Gate(t, setup{tls: true, authority: held(exports, word)})
	file := filepath.Join(t.TempDir(), "export.csv")
	data := make([]byte, 9<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	cp := func(args ...string) {
		out, err := g.run(t, python(t, "aws"), append([]string{"s3", "cp", "--no-progress"}, args...)...)
		done <- result{out, err}
	}
	go cp(file, "s3://partner/export.csv")
	select {
	case word <- nil:
	case r := <-done:
		t.Fatalf("the CLI did not wait: %v %s", r.err, r.out)
	}
	// What was approved unseen is judged again when it turns out to hold something, or what can't be looked into.
	for over := false; !over; {
		select {
		case word <- nil:
		case r := <-done:
			if over = true; r.err != nil {
				t.Fatalf("%v: %s", r.err, r.out)
			}
		}
	}
	back := filepath.Join(t.TempDir(), "back")
	go cp("s3://partner/export.csv", back)
	if r := <-done; r.err != nil {
		t.Fatalf("%v: %s", r.err, r.out)
	}
	if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	var put []byte
	for _, a := range g.up.seen() {
		if a.Method == "PUT" && strings.Contains(a.Query, "partNumber=1&") {
			put = a.Body
		}
	}
	if !bytes.HasPrefix(data, put) || len(put) == 0 {
		t.Error("the first part did not arrive as it was")
	}
	go cp(file, "s3://house/own.csv")
	if r := <-done; r.err != nil {
		t.Errorf("%v: %s", r.err, r.out)
	}
	go func() {
		out, err := g.run(t, python(t, "aws"), "s3", "rm", "--recursive", "s3://house/")
		done <- result{out, err}
	}()
	if r := <-done; r.err != nil || !strings.Contains(r.out, "own.csv") {
		t.Errorf("%v: %s", r.err, r.out)
	}
}

// TestRclone moves files there and back with rclone.
func TestRclone(t *testing.T) {
	t.Parallel()
	rclone, err := exec.LookPath("rclone")
	if err != nil {
		t.Fatalf("scripts/install brings rclone: %v", err)
	}
	g := newS3Gate(t, setup{authority: deniesExports()})
	dir, back := t.TempDir(), t.TempDir()
	for name, size := range map[string]int{"a.bin": 7 << 20, "ü/b c.txt": 100, "empty": 0} {
		data := make([]byte, size)
		if _, err := rand.Read(data); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remote := ":s3,provider=Other,env_auth=true,region=eu-west-1,force_path_style=true,chunk_size=5Mi,upload_cutoff=5Mi,endpoint='" + g.URL + "':"
	for _, args := range [][]string{{"copy", dir, remote + "house/r"}, {"copy", remote + "house/r", back}, {"check", dir, remote + "house/r"}, {"check", "--download", back, remote + "house/r"}, {"delete", remote + "house/r"}} {
		if out, err := g.run(t, rclone, append([]string{"--retries", "1", "--low-level-retries", "1"}, args...)...); err != nil {
			t.Errorf("%s: %v: %s", args[0], err, out)
		}
	}
	if out, err := g.run(t, rclone, "--retries", "1", "--low-level-retries", "1", "copy", dir, remote+"partner/r"); err == nil || !strings.Contains(out, "not to partners") {
		t.Errorf("an export: %v: %s", err, out)
	}
}
