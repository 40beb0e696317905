package policy

import "strings"

// Reference is the reference page of packs in Markdown, from the tables that
// the compiler itself reads.
func Reference() string {
	var b strings.Builder
	return b.String()
}
