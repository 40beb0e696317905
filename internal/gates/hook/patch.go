package hook

import (
	"regexp"
	"strings"
)

// patchScript is a script that is nothing but a patch, which Codex applies itself.
var patchScript = regexp.MustCompile(`\A\s*(?:cd ([^\s;&|'"$` + "`" + `]+) && )?(?:apply_patch|applypatch)\s+<<\s*(?:'(\w+)'|"(\w+)")\s*\n([\s\S]*)\z`)

// patchOf returns the patch that a script of Codex consists of, and the directory it
// goes to first; "" when it is any other script.
func patchOf(agent, script string) (patch, dir string) {
	if agent != "codex" {
		return "", ""
	}
	m := patchScript.FindStringSubmatch(script)
	if m == nil {
		return "", ""
	}
	body, rest, found := strings.Cut("\n"+m[4]+"\n", "\n"+m[2]+m[3]+"\n")
	if !found || strings.TrimSpace(rest) != "" {
		return "", ""
	}
	return body, m[1]
}

// patchFiles are the files that a patch names, and whether it deletes one of them.
func patchFiles(patch string) (files []string, deleted bool) {
	for line := range strings.Lines(patch) {
		line = strings.TrimSpace(line)
		for _, mark := range []string{"*** Add File:", "*** Update File:", "*** Delete File:", "*** Move to:"} {
			if name, ok := strings.CutPrefix(line, mark); ok && strings.TrimSpace(name) != "" {
				files = append(files, strings.TrimSpace(name))
				deleted = deleted || strings.Contains(mark, "Delete")
			}
		}
	}
	return files, deleted
}
