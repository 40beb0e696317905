//go:build goexperiment.simd && amd64

package detect

import "simd/archsimd"

// classify makes the blocks of t, which has 64 bytes for each of them, with the
// widest vectors this machine has.
var classify = classifiers()[0].make

// A classifier makes blocks with what it is named after.
type classifier struct {
	name string
	make func(t []byte, out []block)
}

// classifiers are those that this machine can run, the widest first.
func classifiers() (all []classifier) {
	if archsimd.X86.AVX512() {
		all = append(all, classifier{"AVX-512", classify512})
	}
	if archsimd.X86.AVX2() {
		all = append(all, classifier{"AVX2", classify256})
	}
	return append(all, classifier{"portable code", classifyPortable})
}

var nibbles64 = func() (t struct{ low, high [64]uint8 }) {
	for k := range 64 {
		t.low[k], t.high[k] = nibbles.low[k&15], nibbles.high[k&15]
	}
	return t
}()

func classify512(t []byte, out []block) {
	var (
		nine, letters = archsimd.BroadcastUint8x64(9), archsimd.BroadcastUint8x64(25)
		zero, upperA  = archsimd.BroadcastUint8x64('0'), archsimd.BroadcastUint8x64('A')
		lowerA, fold  = archsimd.BroadcastUint8x64('a'), archsimd.BroadcastUint8x64(0x20)
		under, dot    = archsimd.BroadcastUint8x64('_'), archsimd.BroadcastUint8x64('.')
		colon, equal  = archsimd.BroadcastUint8x64(':'), archsimd.BroadcastUint8x64('=')
		at, back      = archsimd.BroadcastUint8x64('@'), archsimd.BroadcastUint8x64('\\')
		half, shift   = archsimd.BroadcastUint8x64(15), archsimd.BroadcastUint16x32(1 << 12)
		none          = archsimd.BroadcastUint8x64(0)
		sep, join     = archsimd.BroadcastUint8x64(nibSep), archsimd.BroadcastUint8x64(nibJoin)
		lead, escape  = archsimd.BroadcastUint8x64(nibLead), archsimd.BroadcastUint8x64(nibEscape)
		odd, tail     = archsimd.BroadcastUint8x64(nibOdd), archsimd.BroadcastUint8x64(nibTail)
		low, high     = archsimd.LoadUint8x64(&nibbles64.low), archsimd.LoadUint8x64(&nibbles64.high)
	)
	for k := range out {
		x := archsimd.LoadUint8x64((*[64]byte)(t[k<<6:]))
		o := &out[k]
		o.digit = x.Sub(zero).LessEqual(nine).ToBits()
		o.letter = x.Or(fold).Sub(lowerA).LessEqual(letters).ToBits()
		o.upper = x.Sub(upperA).LessEqual(letters).ToBits()
		o.under = x.Equal(under).ToBits()
		o.dot = x.Equal(dot).ToBits()
		o.colon = x.Equal(colon).ToBits()
		o.equal = x.Equal(equal).ToBits()
		o.at = x.Equal(at).ToBits()
		o.back = x.Equal(back).ToBits()
		n := low.PermuteOrZeroGrouped(x.And(half).AsInt8x64()).And(
			high.PermuteOrZeroGrouped(x.AsUint16x32().MulHigh(shift).AsUint8x64().And(half).AsInt8x64()))
		o.sep = n.And(sep).NotEqual(none).ToBits()
		o.join = n.And(join).NotEqual(none).ToBits()
		o.lead = n.And(lead).NotEqual(none).ToBits()
		o.escape = n.And(escape).NotEqual(none).ToBits()
		o.odd = n.And(odd).NotEqual(none).ToBits()
		o.tail = n.And(tail).NotEqual(none).ToBits() & o.letter
	}
	archsimd.ClearAVXUpperBits()
}

func classify256(t []byte, out []block) {
	var (
		nine, letters = archsimd.BroadcastUint8x32(9), archsimd.BroadcastUint8x32(25)
		zero, upperA  = archsimd.BroadcastUint8x32('0'), archsimd.BroadcastUint8x32('A')
		lowerA, fold  = archsimd.BroadcastUint8x32('a'), archsimd.BroadcastUint8x32(0x20)
		half, shift   = archsimd.BroadcastUint8x32(15), archsimd.BroadcastUint16x16(1 << 12)
		none          = archsimd.BroadcastUint8x32(0)
		low, high     = archsimd.LoadUint8x32((*[32]uint8)(nibbles64.low[:])), archsimd.LoadUint8x32((*[32]uint8)(nibbles64.high[:]))
	)
	for k := range out {
		o := &out[k]
		var v [2]half256
		for h := range 2 {
			x := archsimd.LoadUint8x32((*[32]byte)(t[k<<6+h<<5:]))
			p := &v[h]
			p.digit = x.Sub(zero).SubSaturated(nine).Equal(none).ToBits()
			p.letter = x.Or(fold).Sub(lowerA).SubSaturated(letters).Equal(none).ToBits()
			p.upper = x.Sub(upperA).SubSaturated(letters).Equal(none).ToBits()
			p.under = x.Equal(archsimd.BroadcastUint8x32('_')).ToBits()
			p.dot = x.Equal(archsimd.BroadcastUint8x32('.')).ToBits()
			p.colon = x.Equal(archsimd.BroadcastUint8x32(':')).ToBits()
			p.equal = x.Equal(archsimd.BroadcastUint8x32('=')).ToBits()
			p.at = x.Equal(archsimd.BroadcastUint8x32('@')).ToBits()
			p.back = x.Equal(archsimd.BroadcastUint8x32('\\')).ToBits()
			n := low.PermuteOrZeroGrouped(x.And(half).AsInt8x32()).And(
				high.PermuteOrZeroGrouped(x.AsUint16x16().MulHigh(shift).AsUint8x32().And(half).AsInt8x32()))
			p.sep = ^n.And(archsimd.BroadcastUint8x32(nibSep)).Equal(none).ToBits()
			p.join = ^n.And(archsimd.BroadcastUint8x32(nibJoin)).Equal(none).ToBits()
			p.lead = ^n.And(archsimd.BroadcastUint8x32(nibLead)).Equal(none).ToBits()
			p.escape = ^n.And(archsimd.BroadcastUint8x32(nibEscape)).Equal(none).ToBits()
			p.odd = ^n.And(archsimd.BroadcastUint8x32(nibOdd)).Equal(none).ToBits()
			p.tail = ^n.And(archsimd.BroadcastUint8x32(nibTail)).Equal(none).ToBits() & p.letter
		}
		a, b := &v[0], &v[1]
		o.digit, o.letter, o.upper, o.under = join32(a.digit, b.digit), join32(a.letter, b.letter), join32(a.upper, b.upper), join32(a.under, b.under)
		o.dot, o.colon, o.equal = join32(a.dot, b.dot), join32(a.colon, b.colon), join32(a.equal, b.equal)
		o.at, o.back = join32(a.at, b.at), join32(a.back, b.back)
		o.sep, o.join, o.lead = join32(a.sep, b.sep), join32(a.join, b.join), join32(a.lead, b.lead)
		o.escape, o.odd, o.tail = join32(a.escape, b.escape), join32(a.odd, b.odd), join32(a.tail, b.tail)
	}
	archsimd.ClearAVXUpperBits()
}

// half256 is a block of 32 bytes.
type half256 struct {
	digit, letter, upper, under, join, sep, dot, colon, equal, at, back, lead, escape, odd, tail uint32
}

func join32(a, b uint32) uint64 { return uint64(a) | uint64(b)<<32 }
