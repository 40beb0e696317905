package mask

import "github.com/assenthq/assent/internal/detect"

// Has reports whether the set masks values of a class.
func (s *Set) Has(c detect.Class) bool {
	_, is := s.rules[c]
	return is
}

// Append appends the mask of one value, which is of a class that the set has. Of another, it
// appends a tag: what is asked to be masked is not shown.
func (s *Set) Append(dst []byte, c detect.Class, v []byte) []byte {
	r, is := s.rules[c]
	if !is {
		return append(dst, tag(c)...)
	}
	return append(dst, r.value(c, v)...)
}
