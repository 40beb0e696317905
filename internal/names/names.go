// Package names finds what no pattern describes: names of people, places,
// postal addresses, organisations, diseases and drugs in running text.
//
// It is a small model of our own: a linear chain over words, whose features are
// the words themselves, their shapes, what lists say of them and the words beside
// them, with weights of one byte. All of it is arithmetic on integers, so that
// the same text gives the same answer on every machine. `tools/names` trains it.
//
// It promises to look at no more than one segment at a time (see Segment), to
// allocate nothing once warm, and never to keep a word of the text. It can't
// see names that neither its lists nor the words beside them give away, and takes
// some other words for names: what it says is likely, not certain.
package names

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// A Kind is what a span of text is.
type Kind uint8

// The kinds of this edition, in the order of their labels.
const (
	None Kind = iota
	Person
	Place
	Address
	Organisation
	Diagnosis
	Drug
	Kinds // how many there are
)

// Labels are None, and for each other kind one for its first word and one for
// those that follow.
const Labels = 2*int(Kinds) - 1

// First and next are the labels of a kind.
func first(k Kind) uint8 { return uint8(2*k - 1) }

// First is the label of the first word of a kind; the one of the others is one more.
func First(k Kind) uint8 { return first(k) }

func kindOf(label uint8) Kind { return Kind((label + 1) / 2) }

// A Span is something found: bytes [Start, End) of the segment.
type Span struct {
	Start, End int
	Kind       Kind
	Score      float32 // 0.5 to 1
}

// A Model is what was learnt. It never changes and may be used by many.
type Model struct {
	Rows    []Row               // by feature, their number a power of two
	Steps   [Labels][Labels]int // from one label to the next
	Begin   [Labels]int
	Bias    [Labels]int // added to every word's weights
	Scale   int         // weight units of one nat
	Lists   Lists
	version string
	steps   [Labels][Labels]int32 // Steps, from the later label to the one before
}

// A Row is the weight of one feature for each label, a byte each, zeroWeight for none.
type Row [2]uint64

const zeroWeight = 128

// Set changes the weight for a label: from -127 to 127.
func (r *Row) Set(label, weight int) {
	shift := label & 7 * 8
	r[label>>3] = r[label>>3]&^(0xff<<shift) | uint64(weight+zeroWeight)<<shift
}

func (r *Row) get(label int) byte { return byte(r[label>>3] >> (label & 7 * 8)) }

// Version names the model by its content.
func (m *Model) Version() string { return m.version }

// The file is a header, the SHA-256 of what follows, and that, deflated.
const magic = "assent names 1\n"

// maxModel is what a model file may unfold to.
const maxModel = 16 << 20

// Load reads a model file. A file that was damaged, or made for another edition,
// is refused.
func Load(file []byte) (*Model, error) {
	rest, ok := bytes.CutPrefix(file, []byte(magic))
	if !ok || len(rest) < sha256.Size {
		return nil, errors.New("not a model file of this edition; take the one that came with this program, or train one with tools/names")
	}
	sum, packed := rest[:sha256.Size], rest[sha256.Size:]
	if got := sha256.Sum256(packed); !bytes.Equal(got[:], sum) {
		return nil, errors.New("the file is damaged: its checksum is another; copy it again")
	}
	b, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxModel+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking the model: %w", err)
	}
	if len(b) > maxModel {
		return nil, fmt.Errorf("unpacking the model: more than %d bytes", maxModel)
	}
	m := &Model{version: hex.EncodeToString(sum[:8])}
	if err := m.decode(b); err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	return m, nil
}

// header is the fixed part of a model.
type header struct {
	Labels, Scale, Rows, Slots, Seed uint32
	Begin, Bias                      [Labels]int32
	Steps                            [Labels][Labels]int32
}

func (m *Model) decode(b []byte) error {
	var h header
	r := bytes.NewReader(b)
	if err := binary.Read(r, binary.LittleEndian, &h); err != nil {
		return err
	}
	if h.Labels != uint32(Labels) || h.Rows == 0 || h.Rows&(h.Rows-1) != 0 || h.Scale == 0 ||
		h.Slots%3 != 0 || h.Slots == 0 || uint64(r.Len()) != uint64(h.Rows)*uint64(Labels)+2*uint64(h.Slots) {
		return errors.New("its parts don't fit together")
	}
	m.Scale = int(h.Scale)
	for a := range Labels {
		m.Begin[a], m.Bias[a] = int(h.Begin[a]), int(h.Bias[a])
		for b := range Labels {
			m.Steps[a][b] = int(h.Steps[a][b])
			m.steps[b][a] = h.Steps[a][b]
		}
	}
	rest := b[len(b)-r.Len():]
	m.Rows = make([]Row, h.Rows)
	for i := range m.Rows {
		for l := range Labels {
			m.Rows[i].Set(l, int(rest[l*int(h.Rows)+i])-zeroWeight)
		}
	}
	rest = rest[Labels*int(h.Rows):]
	m.Lists = Lists{seed: h.Seed, slots: make([]uint16, h.Slots)}
	for i := range m.Lists.slots {
		m.Lists.slots[i] = binary.LittleEndian.Uint16(rest[2*i:])
	}
	return nil
}

// Encode writes m as a file that Load reads. The same model gives the same bytes.
func (m *Model) Encode() ([]byte, error) {
	h := header{Labels: uint32(Labels), Scale: uint32(m.Scale), Rows: uint32(len(m.Rows)), Slots: uint32(len(m.Lists.slots)), Seed: m.Lists.seed}
	for a := range Labels {
		h.Begin[a], h.Bias[a] = int32(m.Begin[a]), int32(m.Bias[a])
		for b := range Labels {
			h.Steps[a][b] = int32(m.Steps[a][b])
		}
	}
	var raw bytes.Buffer
	if err := binary.Write(&raw, binary.LittleEndian, &h); err != nil {
		return nil, err
	}
	for l := range Labels { // label by label, which packs better
		for i := range m.Rows {
			raw.WriteByte(m.Rows[i].get(l))
		}
	}
	for _, s := range m.Lists.slots {
		raw.Write([]byte{byte(s), byte(s >> 8)})
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(raw.Bytes()); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(packed.Bytes())
	return append(append([]byte(magic), sum[:]...), packed.Bytes()...), nil
}

// Open reads the model in a file, or the one that came with the program for "".
func Open(path string) (*Model, error) {
	if path == "" {
		return Default()
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("opening the model of names: %w", err)
	}
	m, err := Load(file)
	if err != nil {
		return nil, fmt.Errorf("model of names %s: %w", path, err)
	}
	return m, nil
}

//go:embed model.bin
var embedded []byte

// Default is the model that came with the program, unfolded when first asked for.
var Default = sync.OnceValues(func() (*Model, error) { return Load(embedded) })
