package names

import (
	"errors"
	"slices"
)

// What the lists say of a word, in bits.
const (
	isGiven    = 1 << iota // a given name
	isSurname              // a family name
	isFrequent             // one of the frequent ones of either
	isCommon               // also a word like any other
	isPlace                // in the name of a town
	isRegion               // in the name of a country or region
	isDrug                 // in the name of a drug
	isDisease              // in the name of a disease
)

// Bits for those who make lists.
const (
	Given, Surname, Frequent, Common = isGiven, isSurname, isFrequent, isCommon
	InPlace, Region, InDrug, Disease = isPlace, isRegion, isDrug, isDisease
)

// Lists tell what is known of a word, from its hash alone: three slots, whose
// exclusive or is a check of one byte and the bits of another. A word in no
// list passes the check once in 256 times.
type Lists struct {
	seed  uint32
	slots []uint16
}

func (l *Lists) places(h uint32) (a, b, c uint32, check uint16) {
	x := uint64(h^l.seed) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	y := (x ^ x>>32) * 0x94d049bb133111eb
	n := uint64(len(l.slots) / 3)
	a = uint32((x >> 32) * n >> 32)
	b = uint32(n + (x&0xffffffff)*n>>32)
	c = uint32(2*n + (y>>32)*n>>32)
	return a, b, c, uint16(y>>8) & 0xff
}

func (l *Lists) of(h uint32) uint8 {
	if len(l.slots) == 0 {
		return 0
	}
	a, b, c, check := l.places(h)
	v := l.slots[a] ^ l.slots[b] ^ l.slots[c]
	if v>>8 != check {
		return 0
	}
	return uint8(v)
}

// MakeLists builds the lists of words, by hash.
func MakeLists(bits map[uint32]uint8) (Lists, error) {
	keys := make([]uint32, 0, len(bits))
	for k := range bits {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	n := len(keys)*41/100 + 16
	for seed := uint32(1); seed < 100; seed++ {
		l := Lists{seed: seed, slots: make([]uint16, 3*n)}
		if l.fill(keys, bits) {
			return l, nil
		}
	}
	return Lists{}, errors.New("making the lists: no seed fits")
}

// fill peels off keys that are alone in a slot, last first.
func (l *Lists) fill(keys []uint32, bits map[uint32]uint8) bool {
	count, held := make([]uint32, len(l.slots)), make([]uint32, len(l.slots))
	at := func(k uint32) [3]uint32 { a, b, c, _ := l.places(k); return [3]uint32{a, b, c} }
	for _, k := range keys {
		for _, s := range at(k) {
			count[s]++
			held[s] ^= k
		}
	}
	var queue, order, slot []uint32
	for s, n := range count {
		if n == 1 {
			queue = append(queue, uint32(s))
		}
	}
	for len(queue) > 0 {
		s := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if count[s] != 1 {
			continue
		}
		k := held[s]
		order, slot = append(order, k), append(slot, s)
		for _, o := range at(k) {
			count[o]--
			held[o] ^= k
			if count[o] == 1 {
				queue = append(queue, o)
			}
		}
	}
	if len(order) != len(keys) {
		return false
	}
	for i := len(order) - 1; i >= 0; i-- {
		a, b, c, check := l.places(order[i])
		l.slots[slot[i]] = 0
		l.slots[slot[i]] = l.slots[a] ^ l.slots[b] ^ l.slots[c] ^ (check<<8 | uint16(bits[order[i]]))
	}
	return true
}
