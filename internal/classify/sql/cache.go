package sql

import (
	"strconv"
	"sync"
)

const (
	defaultCacheEntries = 4096
	maxCachedText       = 8 << 10 // longer texts are rarely the same twice
)

// cache remembers classifications by exact text, and by normal form where no
// literal can matter. Keys are whole texts with the whole state, compared byte
// by byte, in Go maps, whose hash has a random key: no collision can be made.
type cache struct {
	max  int
	bufs sync.Pool // *[]byte

	mu     sync.RWMutex // guards the maps
	exacts map[string]*Result
	shapes map[string]*Result
}

func newCache(entries int) *cache {
	if entries == 0 {
		entries = defaultCacheEntries
	}
	return &cache{
		max:    entries,
		bufs:   sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }},
		exacts: make(map[string]*Result),
		shapes: make(map[string]*Result),
	}
}

// appendState writes st so that no two states look the same.
func appendState(b []byte, st *State) []byte {
	b = strconv.AppendInt(b, int64(st.ServerVersion), 10)
	for _, s := range [...]string{st.Database, st.Role, st.SearchPath, st.Key} {
		b = appendField(b, s)
	}
	if st.Catalog != nil {
		b = appendField(append(b, 'c'), st.Catalog.Version())
	}
	for i := range st.Temp {
		b = appendField(append(b, 't'), st.Temp[i].Name)
		for _, s := range st.Temp[i].Sources {
			b = appendField(append(b, 's'), s)
		}
	}
	return append(b, 0)
}

func appendField(b []byte, s string) []byte {
	b = strconv.AppendInt(append(b, ' '), int64(len(s)), 10)
	return append(append(b, ':'), s...)
}

// lookup finds text, or one that differs only where it can't matter. It does
// not allocate.
func (c *cache) lookup(text string, st State) *Result {
	if len(text) > maxCachedText {
		return nil
	}
	p := c.bufs.Get().(*[]byte)
	b := appendState((*p)[:0], &st)
	head := len(b)
	b = append(b, text...)
	c.mu.RLock()
	r := c.exacts[string(b)]
	c.mu.RUnlock()
	if r == nil {
		var ok bool
		if b, ok = appendNormal(b[:head], text); ok {
			c.mu.RLock()
			r = c.shapes[string(b)]
			c.mu.RUnlock()
		}
	}
	*p = b
	c.bufs.Put(p)
	return r
}

// put remembers r. A full map is emptied: that bounds memory without a list to
// keep on every hit, and what is in use comes back at the price of one parse.
func (c *cache) put(text string, st State, r *Result, literalsMatter bool) {
	if len(text) > maxCachedText {
		return
	}
	state := appendState(nil, &st)
	normal, ok := appendNormal(append([]byte(nil), state...), text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok && !literalsMatter {
		if len(c.shapes) >= c.max {
			clear(c.shapes)
		}
		c.shapes[string(normal)] = r
		return
	}
	if len(c.exacts) >= c.max {
		clear(c.exacts)
	}
	c.exacts[string(state)+text] = r
}
