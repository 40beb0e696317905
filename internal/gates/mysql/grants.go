package mysql

import (
	"regexp"
	"strings"
)

// A scope is where the gate's account has the TRIGGER privilege. Without it the server hides triggers,
// as if there were none.
type scope struct{ schema, table string } // a pattern and a name; "*" for all

// granted reads one line of SHOW GRANTS: "GRANT SELECT, TRIGGER ON `shop`.* TO …".
var granted = regexp.MustCompile("^GRANT (.+?) ON (?:TABLE )?(`(?:[^`]|``)*`|\\*)\\.(`(?:[^`]|``)*`|\\*) TO ")

// triggersSeen returns where triggers are seen. A line that takes something back is not read: then they are seen nowhere.
func triggersSeen(grants []string) []scope {
	var out []scope
	for _, line := range grants {
		if strings.HasPrefix(line, "REVOKE") {
			return nil
		}
		m := granted.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for _, p := range strings.Split(m[1], ",") {
			if p = strings.TrimSpace(p); p == "TRIGGER" || p == "ALL PRIVILEGES" || p == "ALL" {
				out = append(out, scope{unquote(m[2]), unquote(m[3])})
			}
		}
	}
	return out
}

func unquote(s string) string {
	if s == "*" {
		return s
	}
	return strings.ReplaceAll(s[1:len(s)-1], "``", "`")
}

func (s scope) holds(schema, table string) bool {
	return (s.schema == "*" || like(s.schema, schema)) && (s.table == "*" || s.table == table)
}

// like matches a name with a pattern of a grant on a database: % and _ stand for others unless a backslash is before them.
func like(pattern, name string) bool {
	for pattern != "" {
		switch c := pattern[0]; {
		case c == '%':
			for i := 0; i <= len(name); i++ {
				if like(pattern[1:], name[i:]) {
					return true
				}
			}
			return false
		case c == '\\' && len(pattern) > 1:
			pattern = pattern[1:]
			fallthrough
		default:
			if name == "" || pattern[0] != name[0] && c != '_' {
				return false
			}
			pattern, name = pattern[1:], name[1:]
		}
	}
	return name == ""
}
