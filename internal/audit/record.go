package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxLeaf is the largest leaf in bytes; C2SP tlog-tiles bundles hold none longer.
const MaxLeaf = 65535

// maxDetails is how many details are kept when a record has to be cut.
const maxDetails = 32

// DetailCut is the detail that tells what was cut from a record that was too large.
const DetailCut = "cut"

// leafOf is the one way to write a record: as encoding/json does, with fields in
// the order of the struct and keys of maps sorted. A record that would be too
// large is cut, and says so; stored is what the leaf says. The leaf is appended to buf.
func leafOf(buf []byte, r *Record) (leaf []byte, stored *Record, err error) {
	if leaf, err = appendRecord(buf, r); err != nil {
		return nil, nil, err
	}
	if len(leaf)-len(buf) <= MaxLeaf {
		return leaf, r, nil
	}
	was := len(leaf) - len(buf)
	for limit := 4096; limit >= 64; limit /= 4 {
		stored = cut(r, limit)
		if leaf, err = appendRecord(buf, stored); err != nil {
			return nil, nil, err
		}
		if len(leaf)-len(buf) <= MaxLeaf {
			return leaf, stored, nil
		}
	}
	return nil, nil, fmt.Errorf("writing record: %d bytes, of which not enough is text that may be cut", was)
}

// cut returns a copy of r without text beyond limit bytes, and a note of what is missing.
func cut(r *Record, limit int) *Record {
	c := *r
	var note []string
	shorten := func(name, s string) string {
		if len(s) <= limit {
			return s
		}
		kept := limit
		for kept > 0 && !utf8.RuneStart(s[kept]) {
			kept--
		}
		note = append(note, fmt.Sprintf("%s: %d of %d bytes", name, kept, len(s)))
		return s[:kept]
	}
	c.Session, c.Resource = shorten("session", r.Session), shorten("resource", r.Resource)
	c.Verb, c.Target = shorten("verb", r.Verb), shorten("target", r.Target)
	c.Title, c.Shape = shorten("title", r.Title), shorten("shape", r.Shape)
	c.Outcome = shorten("outcome", r.Outcome)

	c.Detail = map[string]string{}
	dropped := 0
	for _, k := range slices.Sorted(maps.Keys(r.Detail)) {
		if len(k) > 64 || len(c.Detail) == maxDetails {
			dropped++
			continue
		}
		c.Detail[k] = shorten("detail."+k, r.Detail[k])
	}
	if dropped > 0 {
		note = append(note, fmt.Sprintf("%d details", dropped))
	}
	c.Detail[DetailCut] = strings.Join(note, "; ")
	return &c
}
