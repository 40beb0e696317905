package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Staged scans what the next commit of the git repository at hand would add: new and changed files as
// they are in the index, and of these only lines that it adds or changes.
func (s *Scanner) Staged(ctx context.Context, to Sink) (Sum, error) {
	top, err := git(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return Sum{}, err
	}
	names, err := git(ctx, "diff", "--cached", "--name-only", "-z", "--no-renames", "--diff-filter=ACMT")
	if err != nil {
		return Sum{}, err
	}
	return s.run(ctx, to, func(jobs *queue) error {
		for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
			if name == "" {
				continue
			}
			if s.ignored(".", name, false) {
				if err := jobs.add(ctx, &job{note: &Note{File: name, Why: whyIgnored}}); err != nil {
					return err
				}
				continue
			}
			if s.own(filepath.Join(strings.TrimSuffix(string(top), "\n"), filepath.FromSlash(name))) {
				if err := jobs.add(ctx, &job{note: &Note{File: name, Why: whyOwn}}); err != nil {
					return err
				}
				continue
			}
			lines, err := added(ctx, name)
			if err != nil {
				return err
			}
			open := func() (io.ReadCloser, int64, error) {
				b, err := git(ctx, "cat-file", "blob", ":"+name)
				return io.NopCloser(bytes.NewReader(b)), int64(len(b)), err
			}
			if err := jobs.add(ctx, &job{name: name, open: open, lines: lines}); err != nil {
				return err
			}
		}
		return nil
	})
}

// A span of lines, from the first to the last.
type lines struct{ first, last int }

// added are the lines of a file that the next commit adds or changes.
func added(ctx context.Context, name string) ([]lines, error) {
	diff, err := git(ctx, "diff", "--cached", "--unified=0", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--", ":(top,literal)"+name)
	if err != nil {
		return nil, err
	}
	return hunks(diff), nil
}

// hunks reads where a diff without context adds lines. A diff of bytes has no lines: then it is nil, and all
// of the file counts.
func hunks(diff []byte) []lines {
	var out []lines
	left := 0 // lines of a hunk that are still to come, and are none of ours to read
	for line := range bytes.Lines(diff) {
		if left > 0 && (line[0] == '+' || line[0] == '-') {
			left--
			continue
		}
		was, now, ok := hunk(string(line))
		if !ok {
			continue
		}
		left = was.last - was.first + 1 + now.last - now.first + 1
		if now.last >= now.first {
			out = append(out, now)
		}
	}
	return out
}

// hunk reads "@@ -a,b +c,d @@".
func hunk(line string) (was, now lines, ok bool) {
	part := strings.SplitN(line, " ", 4)
	if len(part) < 4 || part[0] != "@@" || !strings.HasPrefix(part[1], "-") || !strings.HasPrefix(part[2], "+") || !strings.HasPrefix(part[3], "@@") {
		return was, now, false
	}
	was, ok = span(part[1][1:])
	if !ok {
		return was, now, false
	}
	now, ok = span(part[2][1:])
	return was, now, ok
}

func span(s string) (lines, bool) {
	from, n, has := strings.Cut(s, ",")
	count := 1
	first, err := strconv.Atoi(from)
	if has && err == nil {
		count, err = strconv.Atoi(n)
	}
	return lines{first, first + count - 1}, err == nil
}

// touches reports whether a finding lies on one of the lines; all of them where there are none.
func touches(all []lines, f *Finding) bool {
	if all == nil || strings.Contains(f.File, "!") {
		return true
	}
	for _, l := range all {
		if f.Line <= l.last && f.EndLine >= l.first {
			return true
		}
	}
	return false
}

// git runs a command of git's and returns what it prints.
func git(ctx context.Context, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, "git", args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		said, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return nil, fmt.Errorf("git %s: %s", args[0], said)
	}
	if err != nil {
		return nil, fmt.Errorf("running git: %w", err)
	}
	return out, nil
}
