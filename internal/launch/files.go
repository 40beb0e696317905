package launch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/gates/command"
)

// maxFiles is how many files of one command are looked at.
const maxFiles = 32

// describe hashes f. Its content goes along where it is text that may be sent; of a program
// only where it is a script.
func describe(name string, f *os.File, program bool) (*client.CommandFile, error) {
	if !sendable(name) {
		return nil, errors.New("the name of a file is not UTF-8: it can't be asked for")
	}
	head := make([]byte, command.MaxContent+1)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	h := sha256.New()
	h.Write(head[:n])
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	d := &client.CommandFile{Path: name, SHA256: hex.EncodeToString(h.Sum(nil))}
	if text := string(head[:n]); n <= command.MaxContent && sendable(text) && (!program || strings.HasPrefix(text, "#!")) {
		d.Content = &text
	}
	return d, nil
}

// digestOf is the SHA-256 of all of f, in hex.
func digestOf(f *os.File) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, 1<<62)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// lookPath finds a program as a shell would, in an absolute form. Empty and relative
// directories of PATH find nothing: they mean another program in each directory.
func lookPath(name, dir, path string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		if err := runnable(name); err != nil {
			return "", &NotFoundError{name, err, statusOf(err)}
		}
		return name, nil
	}
	last := fs.ErrNotExist
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) {
			continue
		}
		at := filepath.Join(d, name)
		err := runnable(at)
		if err == nil {
			return at, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			last = err
		}
	}
	return "", &NotFoundError{name, last, statusOf(last)}
}

func statusOf(err error) int {
	if errors.Is(err, fs.ErrNotExist) {
		return 127
	}
	return 126
}

func runnable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("is a directory")
	case info.Mode()&0o111 == 0:
		return fs.ErrPermission
	}
	return nil
}

// named are the arguments that name files for somebody to run or apply: what a shell or an
// interpreter gets, and what follows -f, --file and --filename.
func named(argv []string) []string {
	var out []string
	add := func(name string) {
		if name != "" && name != "-" && !strings.Contains(name, "://") && len(out) < maxFiles {
			for _, have := range out {
				if have == name {
					return
				}
			}
			out = append(out, name)
		}
	}
	for i, w := range argv {
		if interprets(w) {
			if at := command.Operand(argv[i:]); at > 0 {
				add(argv[i+at])
			}
		}
		if i == 0 {
			continue
		}
		for _, flag := range []string{"-f", "--file", "--filename", "--script"} {
			if w == flag && i+1 < len(argv) {
				add(argv[i+1])
			} else if with, ok := strings.CutPrefix(w, flag+"="); ok {
				add(with)
			}
		}
	}
	return out
}

// interprets says that a program runs what a file says.
func interprets(program string) bool {
	base := filepath.Base(program)
	if command.Shell(base) {
		return true
	}
	switch strings.TrimRight(base, "0123456789.") {
	case "python", "node", "nodejs", "ruby", "perl", "php", "Rscript", "lua", "deno", "bun", "tclsh", "osascript", "pwsh", "ansible-playbook":
		return true
	}
	return false
}

// text is b where it may be sent as text.
func text(b []byte) (string, bool) {
	s := string(b)
	return s, len(b) <= command.MaxContent && sendable(s) && !bytes.ContainsRune(b, 0)
}
