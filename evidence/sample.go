package evidence

import (
	"bytes"
	"container/heap"
	"crypto/sha256"
	"slices"
	"strconv"
)

// A Sampled record was drawn from a population.
type Sampled struct {
	Index int64
	Leaf  []byte
	rank  [sha256.Size]byte
}

// A Sample is how many records a population has, and those that were drawn, by their index.
type Sample struct {
	Population int64
	Drawn      []Sampled
}

// Sample draws size records of the range that want takes, or all of them if there are no more. Who draws can choose
// nothing but the seed: those records are drawn whose SHA-256 of seed, a line feed and the index in decimal are the
// smallest. So another program draws the same, and whoever is sampled can't know which before the seed is said.
func (b *Bundle) Sample(seed string, size int, want func(leaf []byte) bool) (*Sample, error) {
	s, drawn := &Sample{}, ranked{}
	err := b.records(func(index, _ int64, leaf []byte, _ Hash) error {
		if leaf == nil || !want(leaf) {
			return nil
		}
		s.Population++
		rank := sha256.Sum256(strconv.AppendInt([]byte(seed+"\n"), index, 10))
		if len(drawn) == size {
			if size == 0 || bytes.Compare(rank[:], drawn[0].rank[:]) >= 0 {
				return nil
			}
			heap.Pop(&drawn)
		}
		heap.Push(&drawn, Sampled{index, bytes.Clone(leaf), rank})
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.Drawn = drawn
	slices.SortFunc(s.Drawn, func(x, y Sampled) int { return int(x.Index - y.Index) })
	return s, nil
}

// ranked has the record of the largest rank first.
type ranked []Sampled

func (r ranked) Len() int           { return len(r) }
func (r ranked) Less(i, j int) bool { return bytes.Compare(r[i].rank[:], r[j].rank[:]) > 0 }
func (r ranked) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *ranked) Push(x any)        { *r = append(*r, x.(Sampled)) }
func (r *ranked) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}
