package scan

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// heard is a sink that others wait at.
type heard struct{ lines chan string }

func (h *heard) Finding(f *Finding) error {
	h.lines <- fmt.Sprintf("%s:%d:%d@%d %s", filepath.Base(f.File), f.Line, f.Col, f.Start, f.Class)
	return nil
}

func (h *heard) Note(n *Note) error {
	h.lines <- filepath.Base(n.File) + ": " + n.Why
	return nil
}

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "app.log")
	h := &heard{make(chan string, 16)}
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-h.lines:
			if got != want {
				t.Fatalf("heard %q, want %q", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("heard nothing, want %q", want)
		}
	}
	var file *os.File
	open := func() {
		t.Helper()
		var err error
		if file, err = os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
	}
	write := func(text string) {
		t.Helper()
		if _, err := io.WriteString(file, text); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan Sum)
	go func() {
		sum, err := newScanner(t, Options{}).Follow(ctx, []string{log}, Following{Every: 5 * time.Millisecond}, h)
		if err != nil {
			t.Error(err)
		}
		ended <- sum
	}()
	expect("app.log: waiting for it: open: no such file or directory")
	open()
	write("one\nto a@example.com\n")
	expect("app.log:2:4@7 email")
	write("to b@exa") // a value that comes in two pieces
	write("mple.com and\n")
	expect("app.log:3:4@24 email")
	write("last c@example.com\n") // written before the name goes to another file
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	write("late d@example.com\n")
	open()
	write("e@example.com\n")
	expect("app.log:4:6@47 email")
	expect("app.log:5:6@66 email")
	expect("app.log:1:1@0 email")
	if err := file.Truncate(0); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // what is truncated and written again between two looks can't be told from what grew
	write("\nf@example.com")
	cancelled := time.AfterFunc(100*time.Millisecond, cancel) // a line without an end is told when it ends
	defer cancelled.Stop()
	expect("app.log:2:1@1 email")
	if sum := <-ended; sum.Findings != 6 {
		t.Errorf("sum %+v", sum)
	}
}

func TestFollowOnlyWhatIsNew(t *testing.T) {
	log := filepath.Join(t.TempDir(), "app.log")
	if err := os.WriteFile(log, []byte("a@example.com\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	h := &heard{make(chan string, 16)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	began := make(chan struct{})
	go func() {
		_, err := newScanner(t, Options{}).Follow(ctx, []string{log, "-"}, Following{Every: 5 * time.Millisecond, New: true, Stdin: began1{r, began}}, h)
		done <- err
	}()
	<-began
	time.Sleep(50 * time.Millisecond) // until the end of the file was found
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := io.WriteString(f, "b@example.com\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-h.lines; got != "app.log:3:1@15 email" {
		t.Errorf("heard %q", got)
	}
	if _, err := io.WriteString(w, "c@example.com\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-h.lines; got != "-:1:1@0 email" {
		t.Errorf("heard %q", got)
	}
	cancel()
	_ = w.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// began1 tells that it is read from.
type began1 struct {
	io.Reader
	began chan struct{}
}

func (b began1) Read(p []byte) (int, error) {
	select {
	case <-b.began:
	default:
		close(b.began)
	}
	return b.Reader.Read(p)
}
