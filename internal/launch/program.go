package launch

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/charmbracelet/x/term"
)

// Program runs a program with this process's own input and output, under nobody's
// eyes, and hands signals on to it.
func Program(argv, env []string) (*Result, error) {
	dir, err := os.Getwd()
	if err != nil {
		return &Result{}, fmt.Errorf("finding the working directory: %w", err)
	}
	path, err := lookPath(argv[0], dir, valueOf(env, "PATH"))
	if err != nil {
		return &Result{}, err
	}
	cmd := &exec.Cmd{Path: path, Args: argv, Env: env, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return &Result{}, &NotFoundError{argv[0], err, 126}
	}
	ended := make(chan struct{})
	go forward(signals, cmd.Process, term.IsTerminal(os.Stdin.Fd()), ended)
	err = cmd.Wait()
	close(ended)
	r := resultOf(cmd, err)
	r.Took = time.Since(begun)
	return r, nil
}

// Shims makes a directory of programs of these names that run assent exec instead;
// assent is the path of this program. remove removes it.
func Shims(assent string, names []string) (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "assent-shims-*")
	if err != nil {
		return "", nil, fmt.Errorf("making a directory of shims: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) }
	for _, name := range names {
		if name == "" || strings.HasPrefix(name, "-") || strings.ContainsAny(name, "/\x00\n") {
			remove()
			return "", nil, fmt.Errorf("%q is not the name of a program", name)
		}
		text := "#!/bin/sh\nexec " + quoted(assent) + " exec -- " + quoted(name) + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil { //nolint:gosec // it is to be run, by this user alone
			remove()
			return "", nil, fmt.Errorf("making a shim: %w", err)
		}
	}
	return dir, remove, nil
}

func quoted(w string) string { return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'" }
