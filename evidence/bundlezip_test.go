package evidence_test

import (
	"archive/zip"
	"io"
	"os/exec"
	"testing"
)

// checkWithArchiveZip reads a zip file with Go's and Python's own readers.
func checkWithArchiveZip(t *testing.T, name string, want map[string]func(io.Reader) error) {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	seen := 0
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		check := want[f.Name]
		if check == nil {
			check = func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err } // its sum is checked
		} else {
			seen++
		}
		if err := check(r); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if seen != len(want) || len(z.File) != 4 {
		t.Errorf("%d files, %d of those wanted", len(z.File), seen)
	}
	if out, err := exec.Command("python3", "-m", "zipfile", "-t", name).CombinedOutput(); err != nil {
		t.Errorf("python: %v: %s", err, out)
	}
}
