package workload

import "strings"

// matches reports whether value is what pattern asks for. In a pattern * stands
// for any characters but / and :, which separate the parts of subjects: the
// pattern repo:acme/* must take neither repo:acme/shop:pull_request nor
// repo:acme/shop/x. Its time is bounded by the product of both lengths.
func matches(pattern, value string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(value, parts[0])
	if !ok {
		return false
	}
	ends := map[int]bool{0: true} // where in rest the parts so far may end
	for _, part := range parts[1:] {
		next := map[int]bool{}
		for end := range ends {
			for i := end; i <= len(rest); i++ {
				if strings.HasPrefix(rest[i:], part) {
					next[i+len(part)] = true
				}
				if i < len(rest) && (rest[i] == '/' || rest[i] == ':' || ends[i+1]) {
					break // from i+1 on another end looks
				}
			}
		}
		ends = next
	}
	return ends[len(rest)]
}

// badPattern refuses patterns that match nearly everything.
func badPattern(p string) bool {
	return p == "" || len(p) > 512 || p[0] == '*' || strings.Count(p, "*") > 4 || strings.Contains(p, "**")
}
