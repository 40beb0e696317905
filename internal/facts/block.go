package facts

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// A file is a sequence of blocks. A block is a header of 64 bytes and a payload:
// answers, then the dictionaries of tuples, then columns.
//
//	magic u32 | version u16 | flags u16 | length u32 | rows u32 | answers u32 | spare u32 |
//	dropped u64 | first i64 | last i64 | spare 8 | crc32c of the payload u32 | crc32c of the header so far u32
//
// all little-endian; first and last are milliseconds.
const (
	magic      = 0x31424641 // "AFB1"
	version    = 1
	headerSize = 64
	flagSealed = 1 // the one block of a file that nothing is added to

	maxRows    = 1 << 20
	maxPayload = 1 << 30
	maxDicts   = 1 << 30 // bytes
	maxReads   = 256     // classes in one row
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type header struct {
	version     int
	sealed      bool
	length      int // of the payload
	rows        int
	answers     int
	dropped     uint64
	first, last int64
	sum         uint32
}

func (h *header) put(b []byte) {
	clear(b[:headerSize])
	le := binary.LittleEndian
	le.PutUint32(b, magic)
	le.PutUint16(b[4:], uint16(h.version))
	if h.sealed {
		le.PutUint16(b[6:], flagSealed)
	}
	le.PutUint32(b[8:], uint32(h.length))
	le.PutUint32(b[12:], uint32(h.rows))
	le.PutUint32(b[16:], uint32(h.answers))
	le.PutUint64(b[24:], h.dropped)
	le.PutUint64(b[32:], uint64(h.first))
	le.PutUint64(b[40:], uint64(h.last))
	le.PutUint32(b[56:], h.sum)
	le.PutUint32(b[60:], checksum(b[:60]))
}

var (
	errTorn    = errors.New("it ends in the middle of a block")
	errDamaged = errors.New("damaged: a checksum does not match")
)

// parseHeader reads what b begins with.
func parseHeader(b []byte) (h header, err error) {
	le := binary.LittleEndian
	if len(b) < headerSize {
		return h, errTorn
	}
	if !slices.ContainsFunc(b[:headerSize], func(c byte) bool { return c != 0 }) {
		return h, errTorn // room that was never written to
	}
	if le.Uint32(b[60:]) != checksum(b[:60]) || le.Uint32(b) != magic {
		return h, errDamaged
	}
	h = header{
		version: int(le.Uint16(b[4:])), sealed: le.Uint16(b[6:])&flagSealed != 0, length: int(le.Uint32(b[8:])), rows: int(le.Uint32(b[12:])), answers: int(le.Uint32(b[16:])),
		dropped: le.Uint64(b[24:]), first: int64(le.Uint64(b[32:])), last: int64(le.Uint64(b[40:])), sum: le.Uint32(b[56:]),
	}
	switch {
	case h.version > version:
		return h, fmt.Errorf("written by a newer version (%d, this one reads up to %d): use that one", h.version, version)
	case h.rows > maxRows || h.length > maxPayload || h.answers > h.length/answerSize:
		return h, errDamaged
	}
	return h, nil
}

// An answer says what became of an approval.
type answer struct {
	ask     uint64
	outcome Outcome
	took    uint32 // seconds
}

const answerSize = 13

func (a answer) append(to []byte) []byte {
	to = binary.LittleEndian.AppendUint64(to, a.ask)
	return binary.LittleEndian.AppendUint32(append(to, byte(a.outcome)), a.took)
}

func readAnswer(b []byte) answer {
	return answer{binary.LittleEndian.Uint64(b), Outcome(min(b[8], byte(outcomes))), binary.LittleEndian.Uint32(b[9:])}
}

// A dict numbers tuples.
type dict struct {
	number map[string]uint32
	list   []string
}

func (d *dict) id(b []byte) uint32 {
	if n, is := d.number[string(b)]; is {
		return n
	}
	return d.add(string(b), string(b))
}

// add numbers text, which key stands for.
func (d *dict) add(key, text string) uint32 {
	if d.number == nil {
		d.number = map[string]uint32{}
	}
	n, is := d.number[text]
	if !is {
		n = uint32(len(d.list))
		d.list = append(d.list, text)
		d.number[text] = n
	}
	d.number[key] = n
	return n
}

// sorted is the new number of each tuple, in the order of their bytes.
func (d *dict) sorted() (ranks []uint64, list []string) {
	order := make([]int, len(d.list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(d.list[a], d.list[b]) })
	ranks, list = make([]uint64, len(order)), make([]string, len(order))
	for rank, i := range order {
		ranks[i], list[rank] = uint64(rank), d.list[i]
	}
	return ranks, list
}

// A builder gathers the rows of a block. Its memory is used again for the next.
type builder struct {
	room    int // how many rows are expected
	rows    int
	dicts   [dictCount]dict
	ids     [tuples][]uint64
	columns [colCount][]uint64 // shorter: the rest is zero
	reads   []uint64           // class and rows, by turns
	answers []answer
	dropped uint64

	order  []uint32 // of the rows, as they are written
	starts []uint32 // of each row's reads
	sorted []uint64
	out    []byte
}

// mostKept is how many rows a builder keeps memory for.
const mostKept = 1 << 15

// reset makes b empty.
func (b *builder) reset() {
	if cap(b.sorted) > mostKept || cap(b.reads) > 4*mostKept || cap(b.out) > 64*mostKept {
		*b = builder{}
		return
	}
	b.rows, b.dropped, b.reads, b.answers = 0, 0, b.reads[:0], b.answers[:0]
	for i := range b.dicts {
		clear(b.dicts[i].number)
		clear(b.dicts[i].list)
		b.dicts[i].list = b.dicts[i].list[:0]
	}
	for i := range b.ids {
		b.ids[i] = b.ids[i][:0]
	}
	for i := range b.columns {
		b.columns[i] = b.columns[i][:0]
	}
}

// classRows is how many rows somebody read of a class, which dictClass numbers.
type classRows struct {
	class uint32
	rows  int64
}

// add takes a row whose tuples are numbered.
func (b *builder) add(ids *[tuples]uint32, v *values, read []classRows) {
	for i, id := range ids {
		if b.ids[i] == nil {
			b.ids[i] = make([]uint64, 0, b.room)
		}
		b.ids[i] = append(b.ids[i], uint64(id))
	}
	for i := range v {
		if v[i] == 0 {
			continue
		}
		b.columns[i] = append(b.pad(i), v[i])
	}
	for _, c := range read {
		b.reads = append(b.reads, uint64(c.class), zigzag(c.rows))
	}
	b.rows++
}

// pad fills column i with zeros up to the row that is added.
func (b *builder) pad(i int) []uint64 {
	c := b.columns[i]
	if c == nil {
		c = make([]uint64, 0, b.room)
	}
	if n := b.rows - len(c); n > 0 {
		c = append(c, make([]uint64, n)...)
	}
	return c
}

// encode writes the block and leaves b to be reset, which ends what it returns.
// pack: it is to be kept long.
func (b *builder) encode(pack bool) ([]byte, error) {
	b.out = slices.Grow(b.out[:0], headerSize+1024+16*b.rows)
	out := b.out[:headerSize]
	for _, a := range b.answers {
		out = a.append(out)
	}
	var ranks [dictCount][]uint64
	var dicts fields
	for i := range b.dicts {
		var list []string
		ranks[i], list = b.dicts[i].sorted()
		dicts = dicts.list(list)
	}
	packed := []byte(nil)
	if pack {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, fmt.Errorf("packing: %w", err)
		}
		packed = w.EncodeAll(dicts, nil)
	}
	out = binary.AppendUvarint(out, uint64(len(dicts)))
	out = binary.AppendUvarint(out, uint64(len(packed)))
	if pack {
		out = append(out, packed...)
	} else {
		out = append(out, dicts...)
	}
	out = b.appendColumns(out, &ranks)
	h := header{version: version, sealed: pack, length: len(out) - headerSize, rows: b.rows, answers: len(b.answers), dropped: b.dropped}
	if h.length > maxPayload || b.rows > maxRows {
		return nil, errors.New("a block of facts is too large")
	}
	h.first, h.last = b.span()
	h.sum = checksum(out[headerSize:])
	h.put(out)
	b.out = out
	return out, nil
}

func (b *builder) span() (first, last int64) {
	first, last = math.MaxInt64, math.MinInt64
	for _, v := range b.columns[colTime] {
		if v != 0 {
			first, last = min(first, unzigzag(v-1)), max(last, unzigzag(v-1))
		}
	}
	return first, last
}

// appendColumns writes the rows in order: by kinds and resource, asker, time.
func (b *builder) appendColumns(out []byte, ranks *[dictCount][]uint64) []byte {
	if b.rows == 0 {
		return out
	}
	for i := range b.ids {
		for k, id := range b.ids[i] {
			b.ids[i][k] = ranks[i][id]
		}
	}
	b.order, b.sorted = slices.Grow(b.order[:0], b.rows)[:b.rows], slices.Grow(b.sorted[:0], b.rows)[:b.rows]
	order, sorted := b.order, b.sorted
	for i := range order {
		order[i] = uint32(i)
	}
	what, who, times := b.ids[dictWhat], b.ids[dictWho], b.columns[colTime]
	when := func(i uint32) uint64 {
		if int(i) < len(times) {
			return times[i]
		}
		return 0
	}
	slices.SortFunc(order, func(x, y uint32) int {
		return cmp.Or(cmp.Compare(what[x], what[y]), cmp.Compare(who[x], who[y]), cmp.Compare(when(x), when(y)), cmp.Compare(x, y))
	})
	for id := range colCount {
		list := b.columns[id]
		if id < tuples {
			list = b.ids[id]
		}
		if len(list) == 0 {
			continue
		}
		for i, from := range order {
			sorted[i] = 0
			if int(from) < len(list) {
				sorted[i] = list[from]
			}
		}
		out = appendColumn(out, id, sorted)
	}
	if len(b.reads) > 0 {
		out = appendColumn(out, colReadClass, b.sortedReads(order, func(k int) uint64 { return ranks[dictClass][b.reads[2*k]] }))
		out = appendColumn(out, colReadRows, b.sortedReads(order, func(k int) uint64 { return b.reads[2*k+1] }))
	}
	return out
}

// sortedReads is what of gives for the reads, in the order of their rows.
func (b *builder) sortedReads(order []uint32, of func(k int) uint64) []uint64 {
	starts, n := b.starts[:0], uint32(0)
	for i := range b.rows {
		starts = append(starts, n)
		n += uint32(b.readsOf(i))
	}
	b.starts = starts
	list := b.sorted[:0]
	for _, i := range order {
		for k := range b.readsOf(int(i)) {
			list = append(list, of(int(starts[i])+k))
		}
	}
	b.sorted = list
	return list
}

// readsOf is of how many classes row i says what was read.
func (b *builder) readsOf(i int) int {
	if c := b.columns[colReads]; i < len(c) && c[i] > 1 {
		return int(c[i] - 1)
	}
	return 0
}

// parseDicts reads the dictionaries and returns what stands behind them.
func parseDicts(payload []byte, z *zstd.Decoder) (dicts [dictCount][][]byte, rest []byte, err error) {
	size, n := binary.Uvarint(payload)
	if n <= 0 || size > maxDicts {
		return dicts, nil, errFields
	}
	packed, m := binary.Uvarint(payload[n:])
	if m <= 0 {
		return dicts, nil, errFields
	}
	rest = payload[n+m:]
	var raw []byte
	if packed != 0 {
		if packed > uint64(len(rest)) {
			return dicts, nil, errFields
		}
		if raw, err = z.DecodeAll(rest[:packed], nil); err != nil || uint64(len(raw)) != size {
			return dicts, nil, errFields
		}
		rest = rest[packed:]
	} else {
		if size > uint64(len(rest)) {
			return dicts, nil, errFields
		}
		raw, rest = rest[:size], rest[size:]
	}
	for i := range dicts {
		if dicts[i], raw, err = parseList(raw); err != nil {
			return dicts, nil, err
		}
	}
	return dicts, rest, nil
}

func parseList(b []byte) (list [][]byte, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if len(b) == 0 { // a dictionary that older blocks lack
		return nil, nil, nil
	}
	if size <= 0 || n > uint64(len(b)) {
		return nil, nil, errFields
	}
	b = b[size:]
	list = make([][]byte, n)
	for i := range list {
		l, size := binary.Uvarint(b)
		if size <= 0 || l > uint64(len(b)-size) {
			return nil, nil, errFields
		}
		list[i], b = b[size:size+int(l)], b[size+int(l):]
	}
	return list, b, nil
}

// decoder knows how to unpack; the most that it takes is bounded.
func newUnpacker() (*zstd.Decoder, error) {
	return zstd.NewReader(bytes.NewReader(nil), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDicts))
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
