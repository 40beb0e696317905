package facts

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/policy"
)

// The columns of a block. A number is never used again for something else; a
// column that a block doesn't have reads as zeros, which are unknown. The first are
// the tuples: see dictWhat.
const (
	colTime = 16 + iota // milliseconds
	colRate1h
	colRate24h
	colTris
	colRows
	colBytes
	colPreviewRows
	colPreviewObjects
	colPreviewCreates
	colPreviewChanges
	colPreviewDestroys
	colPreviewSmallest
	colRisk
	colReads // 0 unknown, otherwise 1 + how many classes
	colAsk   // fingerprint of an approval's id
	colOutcome
	colTook // seconds
	colJoined
	colCount

	tuples = dictClass // those with a column

	colReadClass = 100 // one for each class that was read, not each row
	colReadRows  = 101
)

// values are a row's own, by column.
type values [colCount]uint64

// The queue has a bit for each of them.
const _ = uint(32 - (colCount - colTime))

// number makes one number of a count: 0 is unknown. Counts stay below 2⁶².
func number(n int64, known bool) uint64 {
	if !known {
		return 0
	}
	return zigzag(min(max(n, math.MinInt64/2), math.MaxInt64/2)) + 1
}

func count(v uint64) action.Count {
	if v == 0 {
		return action.Count{}
	}
	return action.KnownCount(unzigzag(v - 1))
}

func zigzag(n int64) uint64   { return uint64(n)<<1 ^ uint64(n>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// read takes the columns of in.
func (v *values) read(in *policy.Input) {
	d, p := &in.Action.Data, &in.Preview
	v[colTime] = moment(in.Time)
	v[colTris] = uint64(in.NovelShape) | uint64(in.NovelTarget)<<2 | uint64(in.Tainted)<<4 | uint64(in.SawSensitive)<<6 | uint64(in.SawUntrusted)<<8 | uint64(in.IntentTarget)<<10
	v[colRate1h], v[colRate24h] = number(in.Rate1h.N, in.Rate1h.Known), number(in.Rate24h.N, in.Rate24h.Known)
	v[colRows], v[colBytes] = number(d.Rows.N, d.Rows.Known), number(d.Bytes.N, d.Bytes.Known)
	v[colPreviewRows], v[colPreviewObjects] = number(p.Rows.N, p.Rows.Known), number(p.Objects.N, p.Objects.Known)
	v[colPreviewCreates], v[colPreviewChanges] = number(p.Creates.N, p.Creates.Known), number(p.Changes.N, p.Changes.Known)
	v[colPreviewDestroys], v[colPreviewSmallest] = number(p.Destroys.N, p.Destroys.Known), number(p.SmallestGroup.N, p.SmallestGroup.Known)
	v[colRisk] = number(in.Risk.N, in.Risk.Known)
}

// write gives them to r. r.Input.Action is set.
func (v *values) write(r *Record) {
	in := &r.Input
	d, p := &in.Action.Data, &in.Preview
	in.Time = time.Time{}
	if v[colTime] != 0 {
		in.Time = time.UnixMilli(unzigzag(v[colTime] - 1)).UTC()
	}
	t := v[colTris]
	in.NovelShape, in.NovelTarget, in.Tainted = known(t), known(t>>2), known(t>>4)
	in.SawSensitive, in.SawUntrusted, in.IntentTarget = known(t>>6), known(t>>8), known(t>>10)
	in.Rate1h, in.Rate24h, in.Risk = count(v[colRate1h]), count(v[colRate24h]), count(v[colRisk])
	d.Rows, d.Bytes = count(v[colRows]), count(v[colBytes])
	*p = policy.Preview{
		Rows: count(v[colPreviewRows]), Objects: count(v[colPreviewObjects]), Creates: count(v[colPreviewCreates]),
		Changes: count(v[colPreviewChanges]), Destroys: count(v[colPreviewDestroys]), SmallestGroup: count(v[colPreviewSmallest]),
	}
	r.Joined = v[colJoined] != 0
	r.Outcome = Outcome(min(v[colOutcome], uint64(outcomes)))
	r.Took = time.Duration(min(v[colTook], math.MaxUint32)) * time.Second
}

// known is a three-valued truth of two bits.
func known(bits uint64) policy.Tri {
	if t := policy.Tri(bits & 3); t <= policy.Yes {
		return t
	}
	return policy.DontKnow
}

// How a column's numbers are written: whichever takes least room.
const (
	encConst = iota // one number that stands in every row
	encFixed        // the smallest, then the bytes of each one's distance from it
	encDelta        // distances from one to the next as varints
	encRuns         // distances, each with how often the number stands there
)

func sizeOf(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// appendColumn writes values, of which there is one at least.
func appendColumn(to []byte, id int, list []uint64) []byte {
	low, high, delta, runs, last, run := list[0], list[0], 0, 0, uint64(0), uint64(0)
	for i, v := range list {
		low, high = min(low, v), max(high, v)
		step := sizeOf(zigzag(int64(v - last)))
		delta += step
		if i == 0 || v != last {
			runs += sizeOf(run) + step
			run = 0
		}
		run, last = run+1, v
	}
	runs += sizeOf(run)
	width := (bits.Len64(high-low) + 7) / 8
	fixed := 1 + sizeOf(low) + width*len(list)
	enc, size := encFixed, fixed
	if delta < size {
		enc, size = encDelta, delta
	}
	if runs*2 < size { // it is read more slowly
		enc = encRuns
	}
	if low == high {
		enc = encConst
	}
	at := len(to) + 2
	to = append(to, byte(id), byte(enc), 0, 0, 0, 0)
	switch enc {
	case encConst:
		to = binary.AppendUvarint(to, low)
	case encFixed:
		to = binary.AppendUvarint(append(to, byte(width)), low)
		for _, v := range list {
			for n, v := 0, v-low; n < width; n, v = n+1, v>>8 {
				to = append(to, byte(v))
			}
		}
	case encDelta:
		last = 0
		for _, v := range list {
			to = binary.AppendUvarint(to, zigzag(int64(v-last)))
			last = v
		}
	case encRuns:
		last = 0
		for i := 0; i < len(list); {
			n := 1
			for i+n < len(list) && list[i+n] == list[i] {
				n++
			}
			to = binary.AppendUvarint(to, zigzag(int64(list[i]-last)))
			to = binary.AppendUvarint(to, uint64(n))
			last = list[i]
			i += n
		}
	}
	binary.LittleEndian.PutUint32(to[at:], uint32(len(to)-at-4))
	return to
}

var errColumn = errors.New("a column that is none")

// A cursor reads a column piece by piece.
type cursor struct {
	enc   byte
	width int
	base  uint64 // of encConst the number, of encFixed the smallest, otherwise the last
	left  uint64 // of a run
	data  []byte
}

// readColumn takes a column from the front of b.
func readColumn(b []byte) (id int, c cursor, rest []byte, err error) {
	if len(b) < 6 {
		return 0, c, nil, errColumn
	}
	size := binary.LittleEndian.Uint32(b[2:])
	if uint64(size) > uint64(len(b)-6) {
		return 0, c, nil, errColumn
	}
	id, c.enc, c.data, rest = int(b[0]), b[1], b[6:6+size], b[6+size:]
	switch c.enc {
	case encConst, encFixed:
		if c.enc == encFixed {
			if len(c.data) == 0 || c.data[0] > 8 {
				return 0, c, nil, errColumn
			}
			c.width, c.data = int(c.data[0]), c.data[1:]
		}
		v, n := binary.Uvarint(c.data)
		if n <= 0 {
			return 0, c, nil, errColumn
		}
		c.base, c.data = v, c.data[n:]
	case encDelta, encRuns:
	default:
		return 0, c, nil, errColumn
	}
	return id, c, rest, nil
}

func (c *cursor) constant() bool { return c.enc == encConst }

// fill reads the next len(to) numbers.
func (c *cursor) fill(to []uint64) error {
	switch c.enc {
	case encConst:
		for i := range to {
			to[i] = c.base
		}
	case encFixed:
		return c.fixed(to)
	case encDelta:
		last, b := c.base, c.data
		for i := range to {
			if len(b) > 0 && b[0] < 0x80 {
				last += uint64(unzigzag(uint64(b[0])))
				b = b[1:]
			} else {
				v, n := binary.Uvarint(b)
				if n <= 0 {
					return errColumn
				}
				last += uint64(unzigzag(v))
				b = b[n:]
			}
			to[i] = last
		}
		c.base, c.data = last, b
	case encRuns:
		for i := range to {
			if c.left == 0 {
				v, n := binary.Uvarint(c.data)
				if n <= 0 {
					return errColumn
				}
				run, m := binary.Uvarint(c.data[n:])
				if m <= 0 || run == 0 {
					return errColumn
				}
				c.base, c.left, c.data = c.base+uint64(unzigzag(v)), run, c.data[n+m:]
			}
			c.left--
			to[i] = c.base
		}
	}
	return nil
}

func (c *cursor) fixed(to []uint64) error {
	if len(c.data) < c.width*len(to) {
		return errColumn
	}
	b := c.data
	switch c.width {
	case 1:
		for i := range to {
			to[i] = c.base + uint64(b[i])
		}
	case 2:
		for i := range to {
			to[i] = c.base + uint64(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case 4:
		for i := range to {
			to[i] = c.base + uint64(binary.LittleEndian.Uint32(b[4*i:]))
		}
	default:
		for i := range to {
			v := uint64(0)
			for k := c.width - 1; k >= 0; k-- {
				v = v<<8 | uint64(b[c.width*i+k])
			}
			to[i] = c.base + v
		}
	}
	c.data = b[c.width*len(to):]
	return nil
}
