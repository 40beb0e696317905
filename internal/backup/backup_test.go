package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/assenthq/assent/internal/backup"
)

// source is a deployment of small files.
func source(t *testing.T) backup.Source {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"checkpoint": "log\n1\nroot\n", "operator.json": "{}", "keys/log.key": "SECRET-OF-THE-LOG", "keys/seal.key": "SECRET-OF-SEALS",
		"spool/00000001.spool": strings.Repeat("frame", 1000), "facts/00000001.part": "facts", "recordings/2026/ses_1.rec": "typed",
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return backup.Source{
		Checkpoint: filepath.Join(dir, "checkpoint"), Witnessed: filepath.Join(dir, "witnessed"), Operator: filepath.Join(dir, "operator.json"),
		Keys: filepath.Join(dir, "keys"), Spool: filepath.Join(dir, "spool"), Facts: filepath.Join(dir, "facts"), Recordings: filepath.Join(dir, "recordings"),
		Copy: func(_ context.Context, to string) error { return os.WriteFile(to, []byte("the database"), 0o600) },
	}
}

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(file)
		rel, _ := filepath.Rel(dir, file)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestThereAndBack(t *testing.T) {
	src, id := source(t), identity(t)
	want := tree(t, filepath.Dir(src.Checkpoint))
	want["assent.db"] = "the database"
	for _, keys := range []bool{true, false} {
		o := backup.Options{Software: "assent test"}
		if keys {
			o.Recipients = []age.Recipient{id.Recipient()}
		}
		file, dir := filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "new")
		m, err := backup.Write(t.Context(), src, file, o)
		if err != nil || m.Keys != keys || !m.Database || !strings.HasPrefix(m.Checkpoint, "log\n") {
			t.Fatalf("%+v, %v", m, err)
		}
		b, err := os.ReadFile(file)
		if err != nil || bytes.Contains(b, []byte("SECRET-OF")) {
			t.Fatalf("a key is in a backup that anybody can read, or %v", err)
		}
		got, err := backup.Read(bytes.NewReader(b), dir, id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Error(diff)
		}
		here := map[string]string{}
		for name, text := range want {
			if keys || !strings.HasPrefix(name, "keys/") && name != "operator.json" {
				here[name] = text
			}
		}
		if diff := cmp.Diff(here, tree(t, dir)); diff != "" {
			t.Error(diff)
		}
		if _, err := backup.Write(t.Context(), src, file, o); !errors.Is(err, os.ErrExist) {
			t.Errorf("over another backup: %v", err)
		}
		if _, err := backup.Read(bytes.NewReader(b), dir, id); err == nil || !strings.Contains(err.Error(), "not empty") {
			t.Errorf("over what is there: %v", err)
		}
		if diff := cmp.Diff(here, tree(t, dir)); diff != "" {
			t.Errorf("and it changed something: %s", diff)
		}
		if _, err := backup.Read(bytes.NewReader(b), filepath.Join(t.TempDir(), "x")); keys && !errors.Is(err, backup.ErrEncrypted) {
			t.Errorf("without what opens it: %v", err)
		}
		if _, err := backup.Read(bytes.NewReader(b), filepath.Join(t.TempDir(), "x"), identity(t)); keys && (err == nil || !strings.Contains(err.Error(), "nothing that was given opens")) {
			t.Errorf("with another's identity: %v", err)
		}
	}
}

// Every byte that is changed or missing is found, and nothing is left behind.
func TestDamagedBackups(t *testing.T) {
	src, id := source(t), identity(t)
	src.Spool = ""
	file := filepath.Join(t.TempDir(), "b")
	if _, err := backup.Write(t.Context(), src, file, backup.Options{Recipients: []age.Recipient{id.Recipient()}}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new")
	refused := 0
	try := func(what string, at int, damaged []byte) {
		t.Helper()
		if _, err := backup.Read(bytes.NewReader(damaged), dir, id); err == nil {
			t.Fatalf("%s byte %d of %d: it was taken", what, at, len(b))
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%s byte %d: something was left behind: %v", what, at, err)
		}
		refused++
	}
	for i := 0; i < len(b); i += 3 {
		damaged := append([]byte{}, b...)
		damaged[i] ^= 0x10
		try("changing", i, damaged)
		if i%9 == 0 {
			try("cutting at", i, b[:i])
		}
	}
	try("adding to", len(b), append(append([]byte{}, b...), 0))
	t.Logf("%d damaged backups of %d bytes refused", refused, len(b))
}

// A backup by somebody else writes nothing outside its directory, nor anything that is no part of one.
func TestHostileBackups(t *testing.T) {
	for name, h := range map[string]*tar.Header{
		"up":           {Typeflag: tar.TypeReg, Name: "../x", Size: 1},
		"up later":     {Typeflag: tar.TypeReg, Name: "keys/../../x", Size: 1},
		"dots":         {Typeflag: tar.TypeReg, Name: "keys/..", Size: 1},
		"absolute":     {Typeflag: tar.TypeReg, Name: "/etc/passwd", Size: 1},
		"a link":       {Typeflag: tar.TypeSymlink, Name: "keys/log.key", Linkname: "/etc/passwd"},
		"a hard link":  {Typeflag: tar.TypeLink, Name: "keys/log.key", Linkname: "/etc/passwd"},
		"a device":     {Typeflag: tar.TypeChar, Name: "keys/log.key"},
		"a directory":  {Typeflag: tar.TypeDir, Name: "keys/"},
		"other files":  {Typeflag: tar.TypeReg, Name: "assent.yaml", Size: 1},
		"a hidden one": {Typeflag: tar.TypeReg, Name: "keys/.x", Size: 1},
		"deep":         {Typeflag: tar.TypeReg, Name: "spool/a/b/c/d", Size: 1},
		"backslashes":  {Typeflag: tar.TypeReg, Name: `keys\x`, Size: 1},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte("x")[:h.Size])
		_ = w.Close()
		dir := filepath.Join(t.TempDir(), "in", "new")
		if _, err := backup.Read(&b, dir); err == nil || !strings.Contains(err.Error(), "which no backup does") {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(tree(t, filepath.Dir(filepath.Dir(dir)))); n != 0 {
			t.Errorf("%s: %d files were written", name, n)
		}
	}
}

// bomb is a backup of a kilobyte that says that a file of it has a megabyte of zeros (PAX sparse format 1.0).
func bomb(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	told := map[string]string{"GNX.sparse.major": "1", "GNX.sparse.minor": "0", "GNX.sparse.name": "checkpoint", "GNX.sparse.realsize": "1048576"}
	body := "1\n1048576\n0\n"
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "checkpoint", Size: 512, PAXRecords: told, Format: tar.FormatPAX}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, body+strings.Repeat("\x00", 512-len(body)))
	sum := sha256.Sum256(make([]byte, 1<<20))
	m := fmt.Sprintf(`{"format":"assent-backup/v1","files":[{"name":"checkpoint","size":1048576,"sha256":"%x"}]}`, sum)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Size: int64(len(m))})
	_, _ = io.WriteString(w, m)
	_ = w.Close()
	return bytes.ReplaceAll(b.Bytes(), []byte("GNX."), []byte("GNU.")) // the package writes none of these
}

// A backup by somebody else has no file that is larger than the backup.
func TestABackupThatIsABomb(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := backup.Read(bytes.NewReader(bomb(t)), dir); err == nil || !strings.Contains(err.Error(), "which no backup does") {
		t.Errorf("a sparse file: %v", err)
	}
	if n := len(tree(t, filepath.Dir(dir))); n != 0 {
		t.Errorf("%d files were written", n)
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "checkpoint", Size: 3})
	_, _ = io.WriteString(w, "abc")
	m := `{"format":"assent-backup/v1","files":[{"name":"checkpoint","size":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}]}`
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Size: int64(len(m))})
	_, _ = io.WriteString(w, m)
	_ = w.Close()
	f.Add(b.Bytes())
	f.Add(bomb(f))
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		root := t.TempDir()
		m, err := backup.Read(bytes.NewReader(b), filepath.Join(root, "new"))
		names := tree(t, root)
		if err != nil && len(names) != 0 || err == nil && len(names) != len(m.Files) {
			t.Fatal(fmt.Errorf("%d files, %w", len(names), err))
		}
	})
}
