package hook

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// isEdit says that a write is ordinary work on the asker's own working copy: every file
// lies below dir, and means nothing more than what stands in it. It doesn't say that no
// build or test will run what was written.
func isEdit(dir string, paths []string, kinds []action.Kind) bool {
	if len(paths) == 0 || !isProject(dir) || slices.ContainsFunc(kinds, func(k action.Kind) bool { return k != action.DataWrite }) {
		return false
	}
	for _, p := range paths {
		inside, below := strings.CutPrefix(p, strings.TrimSuffix(dir, "/")+"/")
		if !below || inside == "" || path.Clean(p) != p || told.MatchString("/"+inside) {
			return false
		}
	}
	return true
}

// told are files that tell a tool or an agent what to do: whatever begins with a dot, and
// what agents read as instructions.
var told = regexp.MustCompile(`(?i)/(\.|(claude|agents?|gemini|copilot-instructions|conventions)(\.local)?\.mdx?$)`)

// isProject says that dir may be a working copy: a directory that is no home, no root and
// none of the system's own.
func isProject(dir string) bool {
	return path.Clean(dir) == dir && strings.HasPrefix(dir, "/") && !notProject.MatchString(dir+"/")
}

var notProject = regexp.MustCompile(`(?i)^/($|/|(home|users|mnt|media|volumes)/([^/]+/)?$|root/$|private/$|` +
	`(private/)?(bin|boot|dev|etc|lib[^/]*|proc|run|sbin|sys|usr|var|system|library|windows)/)`)
