package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
)

// A bundle is verified where there is nothing but the verifier and the bundle.
func TestInAnEmptyRoot(t *testing.T) {
	root := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(root, "assent-verify"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v: %s", err, out)
	}
	vkey := bundle(t, filepath.Join(root, "bundle.zip"))
	run := func(args ...string) (int, string) {
		t.Helper()
		c := exec.Command("/assent-verify", args...)
		c.Dir, c.Env = "/", []string{}
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		if os.Geteuid() != 0 { // in a namespace where we are root
			c.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
			c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		}
		out, err := c.CombinedOutput()
		if c.ProcessState == nil {
			t.Fatalf("%v: an empty root needs root, or user namespaces (sysctl kernel.unprivileged_userns_clone=1)", err)
		}
		return c.ProcessState.ExitCode(), string(out)
	}
	if names, err := os.ReadDir(root); err != nil || len(names) != 2 {
		t.Fatalf("the root holds %v, %v", names, err)
	}
	if code, out := run("-key", vkey, "/bundle.zip"); code != 0 || !strings.Contains(out, "records 0 to 99 of assent.example/log: all that the checkpoint covers, none missing") {
		t.Errorf("status %d:\n%s", code, out)
	}
	if code, out := run("/bundle.zip", "--key", vkey); code != 0 || strings.Contains(out, "OWN KEY") {
		t.Errorf("options behind the bundle: status %d:\n%s", code, out)
	}
	if code, out := run("/bundle.zip"); code != 0 || !strings.HasPrefix(out, "CHECKED AGAINST ITS OWN KEY ONLY") {
		t.Errorf("without a key: status %d:\n%s", code, out)
	}
	if code, out := run("-key", bundle(t, filepath.Join(t.TempDir(), "other.zip")), "/bundle.zip"); code != 1 || !strings.Contains(out, "NOT VERIFIED: manifest.txt: the key that signed it is none of those given") {
		t.Errorf("with another key: status %d:\n%s", code, out)
	}
	b, err := os.ReadFile(filepath.Join(root, "bundle.zip"))
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte("agent:exporter"))] ^= 1
	if err := os.WriteFile(filepath.Join(root, "bundle.zip"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := run("-key", vkey, "/bundle.zip"); code != 1 || !strings.Contains(out, "NOT VERIFIED: records.jsonl: ") {
		t.Errorf("one byte changed: status %d:\n%s", code, out)
	}
	if code, out := run("/nothing.zip"); code != 2 || !strings.Contains(out, "nothing.zip") {
		t.Errorf("no bundle: status %d:\n%s", code, out)
	}
}

// bundle writes one of a log of its own, and returns the log's key.
func bundle(t *testing.T, name string) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := audit.LoadOrCreateKey(filepath.Join(t.TempDir(), "log.key"), "assent.example/log")
	must(err)
	log, err := audit.New(audit.Options{Origin: "assent.example/log", Keys: []*audit.Key{key}, Now: func() time.Time { return time.Unix(1800000000, 0) }})
	must(err)
	store := audittest.NewMemory()
	must(log.Open(t.Context(), store))
	for range 100 {
		must(store.Update(func(tx *audittest.Tx) error {
			return log.Append(t.Context(), tx, &audit.Record{Type: audit.TypeRequest, Actor: "agent:exporter"})
		}))
	}
	note, err := log.Sign(t.Context(), store.State.Head)
	must(err)
	f, err := os.Create(name)
	must(err)
	_, err = audit.Bundle(t.Context(), store, audit.Export{Checkpoint: note, Key: key, Software: "assent test"}, f)
	must(err)
	must(f.Close())
	return key.Verifier()
}
