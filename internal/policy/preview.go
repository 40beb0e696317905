package policy

import "strings"

// ReadsPreview says whether any rule that acts reads preview.*: without a
// preview such a rule decides as if it were the worst.
func (s *Set) ReadsPreview() bool { return s != nil && s.previews }

func readsPreview(rules []*rule) bool {
	for _, r := range rules {
		if r.mode == off || r.when == nil {
			continue
		}
		for _, v := range r.when.reads {
			if strings.HasPrefix(v.name, "preview.") {
				return true
			}
		}
	}
	return false
}
