package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Limits of what is read from disk. A pack has its own, maxPackBytes.
const (
	maxFiles    = 4096
	maxAllBytes = 128 << 20
)

// LoadDir loads every *.yaml and *.yml file of dir, not of its subdirectories.
// All packs load or none does. The error is an Errors when a pack is at fault.
func LoadDir(dir string, o Options) (*Set, error) { return LoadPaths([]string{dir}, o) }

// LoadPaths loads files, and the *.yaml and *.yml files of directories.
func LoadPaths(paths []string, o Options) (*Set, error) {
	files, err := ReadPaths(paths)
	if err != nil {
		return nil, err
	}
	return LoadFiles(files, o)
}

// ReadPaths reads pack files, the *.yaml and *.yml files of directories, and packs of
// the binary ("builtin:NAME"), for LoadFiles. Files that change while they are read are read again, and refused when
// they go on changing: half of one pack beside the whole of another is nobody's policy.
func ReadPaths(paths []string) (map[string][]byte, error) {
	const pause = 50 * time.Millisecond
	ours, rest, err := builtins(paths)
	if err != nil {
		return nil, fmt.Errorf("loading policy: %w", err)
	}
	files, err := readSettled(rest, func() { time.Sleep(pause) }, func() {})
	if err != nil {
		return nil, err
	}
	maps.Copy(files, ours)
	return files, nil
}

// readSettled is ReadPaths with what is done before another try, and after each reading.
func readSettled(paths []string, pause, read func()) (map[string][]byte, error) {
	const tries = 5
	for range tries {
		files, before, err := readOnce(paths)
		if err != nil {
			return nil, fmt.Errorf("loading policy: %w", err)
		}
		read()
		if after, err := stamps(paths); err == nil && maps.Equal(before, after) {
			return files, nil
		}
		pause()
	}
	return nil, fmt.Errorf("loading policy: %s: the files change while they are read: write each under another name and rename it", strings.Join(paths, ", "))
}

// A stamp changes when a file is written or replaced.
type stamp struct {
	size  int64
	mtime time.Time
	mode  os.FileMode
}

// stamps finds the pack files behind paths.
func stamps(paths []string) (map[string]stamp, error) {
	out := map[string]stamp{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			out[path] = stamp{info.Size(), info.ModTime(), info.Mode()}
			continue
		}
		names, err := packFiles(path)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if info, err = os.Stat(name); err != nil {
				return nil, err
			}
			out[name] = stamp{info.Size(), info.ModTime(), info.Mode()}
		}
	}
	return out, nil
}

func readOnce(paths []string) (map[string][]byte, map[string]stamp, error) {
	found, err := stamps(paths)
	if err != nil {
		return nil, nil, err
	}
	if len(found) > maxFiles {
		return nil, nil, fmt.Errorf("%s: %d files, more than %d: put several rules into one pack", strings.Join(paths, ", "), len(found), maxFiles)
	}
	files, all := map[string][]byte{}, 0
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if !found[name].mode.IsRegular() { // a pipe would be waited for, a device has no end
			return nil, nil, fmt.Errorf("%s is no file", name)
		}
		if files[name], err = readPack(name); err != nil {
			return nil, nil, err
		}
		if all += len(files[name]); all > maxAllBytes {
			return nil, nil, fmt.Errorf("%s: packs of more than %d MiB in all", strings.Join(paths, ", "), maxAllBytes>>20)
		}
	}
	return files, found, nil
}

// readPack reads no more of a file than tells that it is too large: the loader says so, with its name.
func readPack(name string) (text []byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, maxPackBytes+1))
}

func packFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if ext := strings.ToLower(filepath.Ext(e.Name())); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s holds no pack: put a *.yaml file there", dir)
	}
	return names, nil
}

// text is data as the parser takes it: without the mark of UTF-8, and with the line
// breaks of Unix, so that a pack means the same on every machine. ok is false, and d
// has the error, for what is no text of a pack.
func (d *decoder) text(data []byte) (text []byte, ok bool) {
	switch {
	case len(data) > maxPackBytes:
		d.fail(place{file: d.file}, fmt.Sprintf("a pack over %d bytes", maxPackBytes), "split it")
		return nil, false
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		d.fail(place{file: d.file}, "a file in UTF-16", "save it as UTF-8")
		return nil, false
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	d.lines = strings.Split(string(data), "\n")
	for i, line := range d.lines {
		if problem, remedy := unreadable(line); problem != "" {
			d.fail(d.place(i+1, 0), problem, remedy)
			return nil, false
		}
	}
	return data, true
}
