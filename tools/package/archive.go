package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
)

// archive writes files below the directory name as tar.gz. Order, times, owners and modes are given, never
// taken from a file system; the gzip header has no name and no time (RFC 1952).
func archive(w io.Writer, name string, files []file, at time.Time) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	dirs := map[string]bool{}
	dir := func(path string) error {
		if dirs[path] {
			return nil
		}
		dirs[path] = true
		return t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: 0o755, ModTime: at, Uname: "root", Gname: "root", Format: tar.FormatUSTAR})
	}
	if err := dir(name); err != nil {
		return err
	}
	for _, f := range files {
		if sub, _, below := strings.Cut(f.name, "/"); below {
			if err := dir(name + "/" + sub); err != nil {
				return err
			}
		}
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name + "/" + f.name, Size: int64(len(f.data)), Mode: f.mode, ModTime: at, Uname: "root", Gname: "root", Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}
