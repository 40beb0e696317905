package sql

import "strings"

// SearchPath returns the schemas in which the server looks for a name without one, in
// its order. pg_temp, which is the session's own, is left out unless the path names it.
func (s *Statement) SearchPath() []string { return s.path }

// searchPath reads a search_path as SHOW prints it. A name that means nothing,
// as "$user" may, is one more schema without the object.
func searchPath(path, role string) []string {
	if path == "" {
		path = `"$user", public`
	}
	var out []string
	catalog := false
	for rest := path; ; {
		var name string
		name, rest = pathName(strings.TrimLeft(rest, " \t\r\n\f\v"))
		if name == "$user" {
			name = role
		}
		if name != "" {
			out = append(out, name)
		}
		catalog = catalog || name == "pg_catalog"
		comma := strings.IndexByte(rest, ',')
		if comma < 0 {
			break
		}
		rest = rest[comma+1:]
	}
	if !catalog {
		out = append([]string{"pg_catalog"}, out...)
	}
	return out
}

// pathName takes the first name off a list, folded and unquoted as the server does.
func pathName(s string) (name, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, ',')
		if end < 0 {
			end = len(s)
		}
		return strings.ToLower(strings.TrimRight(s[:end], " \t\r\n\f\v")), s[end:]
	}
	var b strings.Builder
	for s = s[1:]; s != ""; {
		quote := strings.IndexByte(s, '"')
		if quote < 0 {
			b.WriteString(s)
			return b.String(), ""
		}
		b.WriteString(s[:quote])
		s = s[quote+1:]
		if !strings.HasPrefix(s, `"`) {
			break
		}
		b.WriteByte('"')
		s = s[1:]
	}
	return b.String(), s
}
