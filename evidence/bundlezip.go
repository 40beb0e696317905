package evidence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// A bundle is a zip file (APPNOTE.TXT 6.3) written one way only: its files stored as they
// are, in a fixed order, without times, attributes, extra fields, comments or gaps. A reader
// that makes the headers again from what it read and compares them has looked at every byte.

// bundleFiles are the files of a bundle, in their order.
func bundleFiles() []string {
	return []string{"checkpoint.txt", "history.jsonl", "records.jsonl", "manifest.txt"}
}

const (
	fileCheckpoint = iota
	fileHistory
	fileRecords
	fileManifest
	fileCount
)

// zipped is one file of a bundle.
type zipped struct {
	name       string
	sum        uint32 // CRC-32
	size, from int64  // from: where its content begins
}

const localHeader, zipDate = 30, 0x21 // 1980-01-01

func (z *zipped) fields() []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, 10) // needs version 1.0
	b = le.AppendUint16(b, 0)     // no flags
	b = le.AppendUint16(b, 0)     // stored
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, zipDate)
	b = le.AppendUint32(b, z.sum)
	b = le.AppendUint32(b, uint32(z.size))
	b = le.AppendUint32(b, uint32(z.size))
	b = le.AppendUint16(b, uint16(len(z.name)))
	return le.AppendUint16(b, 0)
}

// local stands before the content.
func (z *zipped) local() []byte {
	return append(append([]byte("PK\x03\x04"), z.fields()...), z.name...)
}

// directory stands behind the last content, which ends at at.
func directory(files []zipped, at int64) []byte {
	le := binary.LittleEndian
	var b []byte
	for i := range files {
		z := &files[i]
		b = append(b, "PK\x01\x02"...)
		b = le.AppendUint16(b, 10) // made by version 1.0
		b = append(b, z.fields()...)
		b = append(b, make([]byte, 2+2+2+4)...) // no comment, first disk, no attributes
		b = le.AppendUint32(b, uint32(z.from-localHeader-int64(len(z.name))))
		b = append(b, z.name...)
	}
	size := len(b)
	b = append(b, "PK\x05\x06\x00\x00\x00\x00"...)
	b = le.AppendUint16(b, uint16(len(files)))
	b = le.AppendUint16(b, uint16(len(files)))
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint32(b, uint32(at))
	return le.AppendUint16(b, 0)
}

// A BundleError says which byte of a bundle isn't as a bundle is written.
type BundleError struct {
	File   string // of the zip; "": the zip itself
	Record int64  // of the log; -1: it is about none
	Offset int64  // in bytes: within File, or within the zip; -1: it is about all of it
	Msg    string
}

func (e *BundleError) Error() string {
	where := "the zip"
	if e.File != "" {
		where = e.File
	}
	if e.Record >= 0 {
		where += fmt.Sprintf(", record %d", e.Record)
	}
	if e.Offset >= 0 {
		where += fmt.Sprintf(", at byte %d", e.Offset)
	}
	return where + ": " + e.Msg
}

func broken(file string, offset int64, format string, args ...any) error {
	return &BundleError{file, -1, offset, fmt.Sprintf(format, args...)}
}

// readZip finds the files. Their sums are not checked here.
func readZip(r io.ReaderAt, size int64) ([]zipped, error) {
	if size > math.MaxUint32 {
		return nil, broken("", -1, "%d bytes are more than a bundle has", size)
	}
	var files []zipped
	at := int64(0)
	for _, name := range bundleFiles() {
		head := make([]byte, localHeader+len(name))
		if _, err := r.ReadAt(head, at); err != nil {
			return nil, broken("", at, "it ends before %s", name)
		}
		z := zipped{name: name, sum: binary.LittleEndian.Uint32(head[14:]), size: int64(binary.LittleEndian.Uint32(head[18:])), from: at + int64(len(head))}
		if want := z.local(); !bytes.Equal(head, want) {
			return nil, broken("", at+int64(firstDifference(head, want)), "the header of %s isn't as a bundle has it", name)
		}
		if at = z.from + z.size; at > size {
			return nil, broken("", z.from, "%s is cut short", name)
		}
		files = append(files, z)
	}
	want := directory(files, at)
	have := make([]byte, min(size-at, int64(len(want))+1))
	if _, err := r.ReadAt(have, at); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the bundle: %w", err)
	}
	if !bytes.Equal(have, want) {
		return nil, broken("", at+int64(firstDifference(have, want)), "the list of files isn't as a bundle has it")
	}
	return files, nil
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// checked reads all of a file while it sums it.
type checked struct {
	io.Reader
	sum uint32
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.sum = crc32.Update(c.sum, crc32.IEEETable, p[:n])
	return n, err
}
