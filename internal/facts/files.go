package facts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A file that is added to has many small blocks; one that is not has a single
// block, in order.
const (
	partSuffix   = ".part"
	sealedSuffix = ".facts"
)

type fileName struct {
	path   string
	number int
	sealed bool
}

// listFiles are the files of dir in the order of their numbers. What was sealed is not
// named twice, and what is not ours not at all.
func listFiles(dir string) ([]fileName, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []fileName
	for _, e := range entries {
		stem, suffix, _ := strings.Cut(e.Name(), ".")
		suffix = "." + suffix
		n, err := strconv.Atoi(stem)
		if err != nil || n < 1 || suffix != partSuffix && suffix != sealedSuffix || e.IsDir() {
			continue
		}
		out = append(out, fileName{filepath.Join(dir, e.Name()), n, suffix == sealedSuffix})
	}
	slices.SortFunc(out, func(a, b fileName) int {
		if a.number == b.number && a.sealed {
			return -1
		}
		return a.number - b.number
	})
	return slices.CompactFunc(out, func(a, b fileName) bool { return a.number == b.number }), nil // a crash came between sealing and removing
}

// A BlockError says where a file can't be read.
type BlockError struct {
	File   string
	Offset int64
	Err    error
}

func (e *BlockError) Error() string {
	return fmt.Sprintf("%s, block at byte %d: %v\n  put the file back from a backup, or move it away: what it holds is then not replayed", e.File, e.Offset, e.Err)
}
func (e *BlockError) Unwrap() error { return e.Err }

// A place is where a block is.
type place struct {
	file   string
	offset int64
	header header
}

// walk finds the blocks of a file. torn says that it ends in the middle of one, of
// which end is the beginning; in a sealed file that is an error.
func walk(name fileName, r io.ReaderAt, size int64) (blocks []place, end int64, torn bool, err error) {
	var b [headerSize]byte
	for end < size {
		n, err := r.ReadAt(b[:], end)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, false, fmt.Errorf("%s: %w", name.path, err)
		}
		h, err := parseHeader(b[:n])
		if err == nil && h.sealed != name.sealed {
			err = errDamaged
		}
		if err == nil && end+headerSize+int64(h.length) > size {
			err = errTorn
		}
		if errors.Is(err, errTorn) && !name.sealed {
			return blocks, end, true, nil
		}
		if err != nil {
			return nil, 0, false, &BlockError{name.path, end, err}
		}
		blocks = append(blocks, place{name.path, end, h})
		end += headerSize + int64(h.length)
	}
	if name.sealed && len(blocks) != 1 {
		return nil, 0, false, &BlockError{name.path, end, errTorn}
	}
	return blocks, end, false, nil
}

// payload reads a block's.
func (p *place) payload(r io.ReaderAt, buf []byte) ([]byte, error) {
	buf = slices.Grow(buf[:0], p.header.length)[:p.header.length]
	if _, err := r.ReadAt(buf, p.offset+headerSize); err != nil {
		return nil, &BlockError{p.file, p.offset, err}
	}
	return buf, nil
}

// recover finds where to go on, cuts off what a crash left half written and leaves
// alone what is damaged.
func (w *Writer) recover() error {
	files, err := listFiles(w.o.Dir)
	if err != nil {
		return err
	}
	w.next = 1
	if len(files) == 0 {
		return nil
	}
	last := files[len(files)-1]
	w.next = last.number + 1
	if last.sealed {
		return w.removeStale(files)
	}
	f, err := os.OpenFile(last.path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	blocks, end, torn, err := walk(last, f, info.Size())
	if err != nil {
		w.o.Logger.Error("facts are damaged; the file stays as it is and another is begun", "err", err)
		return f.Close()
	}
	if torn {
		w.o.Logger.Warn("the last facts were half written and are cut off", "file", last.path, "bytes", info.Size()-end)
		if err := f.Truncate(end); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	w.file, w.size, w.next, w.begun = f, end, last.number, info.ModTime()
	for _, b := range blocks {
		w.rows += b.header.rows
		if at := time.UnixMilli(b.header.first); b.header.rows > 0 && at.Before(w.begun) {
			w.begun = at
		}
	}
	return w.removeStale(files)
}

// removeStale removes what a crash left of sealing.
func (w *Writer) removeStale(files []fileName) error {
	tmp, err := filepath.Glob(filepath.Join(w.o.Dir, "*.tmp"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if part := w.path(f.number, partSuffix); f.sealed {
			tmp = append(tmp, part)
		}
	}
	for _, f := range tmp {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sealFile puts what the open file has in order, as one block of a file of its own.
func (w *Writer) sealFile() error {
	from := w.path(w.next, partSuffix)
	err := w.file.Close()
	w.file, w.rows, w.size = nil, 0, 0
	number := w.next
	w.next++
	if err != nil {
		return err
	}
	b, err := merge(fileName{from, number, false})
	if err != nil {
		return err
	}
	out, err := b.encode(true)
	if err != nil {
		return err
	}
	return errors.Join(writeSealed(w.path(number, sealedSuffix), out), os.Remove(from))
}

// writeSealed writes a file whole or not at all.
func writeSealed(path string, b []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// merge reads all blocks of a file into one. Answers are given to their actions.
func merge(name fileName) (*builder, error) {
	f, err := os.Open(name.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	blocks, _, _, err := walk(name, f, info.Size())
	if err != nil {
		return nil, err
	}
	d := &decoder{}
	defer d.close()
	var b builder
	var buf []byte
	for _, p := range blocks {
		b.room = min(b.room+p.header.rows, maxRows)
	}
	for _, p := range blocks {
		if buf, err = p.payload(f, buf); err != nil {
			return nil, err
		}
		if err := b.merge(d, &p.header, buf); err != nil {
			return nil, &BlockError{p.file, p.offset, err}
		}
	}
	b.join()
	return &b, nil
}

func (b *builder) merge(d *decoder, h *header, payload []byte) error {
	answers, err := d.open(h, payload)
	if err != nil {
		return err
	}
	for ; len(answers) > 0; answers = answers[answerSize:] {
		b.answers = append(b.answers, readAnswer(answers))
	}
	b.dropped += h.dropped
	var ids [tuples]uint32
	var last, mapped [tuples]uint32
	var read []classRows
	fresh := true
	return d.each(func() error {
		for i := range ids {
			if fresh || d.ids[i] != last[i] {
				mapped[i] = b.dicts[i].id(d.dicts[i][d.ids[i]])
			}
		}
		last, fresh = d.ids, false
		ids, read = mapped, read[:0]
		for _, c := range d.counts {
			read = append(read, classRows{b.dicts[dictClass].id([]byte(c.Class)), c.Rows})
		}
		b.add(&ids, &d.v, read)
		return nil
	})
}

// join gives answers to the actions of this block that waited for them.
func (b *builder) join() {
	of := map[uint64]answer{}
	for _, a := range b.answers {
		of[a.ask] = a
	}
	for i, ask := range b.columns[colAsk] {
		a, is := of[ask]
		if ask == 0 || !is {
			continue
		}
		for _, col := range []int{colOutcome, colTook} {
			for len(b.columns[col]) <= i {
				b.columns[col] = append(b.columns[col], 0)
			}
		}
		b.columns[colOutcome][i], b.columns[colTook][i] = uint64(a.outcome), uint64(a.took)
	}
}

// retain removes what is older or more than is kept.
func (w *Writer) retain() error {
	files, err := listFiles(w.o.Dir)
	if err != nil {
		return err
	}
	var total int64
	for i := len(files) - 1; i >= 0; i-- {
		info, err := os.Stat(files[i].path)
		if err != nil {
			return err
		}
		total += info.Size()
		old := w.o.Age > 0 && w.o.Now().Sub(info.ModTime()) > w.o.Age
		if files[i].sealed && (old || w.o.Bytes > 0 && total > w.o.Bytes) {
			if err := os.Remove(files[i].path); err != nil {
				return err
			}
			w.o.Logger.Info("facts past their bounds were removed", "file", filepath.Base(files[i].path))
		}
	}
	return nil
}
