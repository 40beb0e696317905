package detect

import (
	"bytes"
	"slices"
)

const maxCommand = 1024 // bytes of a command line that are looked at

// commandOptions are the options of programs that carry a password: -p of mysql
// right behind it, -u of curl behind a user and a colon.
var commandOptions = [...]struct {
	program  string
	option   string
	attached bool // no space between the option and the value
	user     bool // the value is user:password
}{
	{"curl", "-u", false, true},
	{"curl", "--user", false, true},
	{"curl", "--proxy-user", false, true},
	{"mysql", "-p", true, false},
	{"mysqldump", "-p", true, false},
	{"mysqladmin", "-p", true, false},
	{"mariadb", "-p", true, false},
	{"sshpass", "-p", true, false},
}

func commandNames() []string {
	var all []string
	for _, o := range commandOptions {
		if !slices.Contains(all, o.program) {
			all = append(all, o.program)
		}
	}
	return all
}

// command tries the options behind the program's name [i, j).
func (s *scan) command(i, j int) {
	for k := range commandOptions {
		if j-i == len(commandOptions[k].program) && string(s.t[i:j]) == commandOptions[k].program && s.at(j) <= ' ' {
			s.options(j, commandOptions[k].program)
			return
		}
	}
}

// options looks for the options of a program behind p, up to the end of the command: a
// line ends it that does not end in a backslash.
func (s *scan) options(p int, program string) {
	for end := p + maxCommand; p < end; p++ {
		c := s.at(p)
		if c == 0 || c == '\n' && s.t[p-1] != '\\' && !(s.t[p-1] == '\r' && s.t[p-2] == '\\') {
			return
		}
		if c != '-' || s.t[p-1] > ' ' {
			continue
		}
		for k := range commandOptions {
			if o := &commandOptions[k]; o.program == program && s.literal(p, o.option) {
				s.option(p+len(o.option), o.attached, o.user, len(o.option) > 2)
			}
		}
	}
}

// option tries the value of an option that ends at q.
func (s *scan) option(q int, attached, user, long bool) {
	switch {
	case attached:
		if r := s.at(q + 1); s.at(q) == ' ' && (r == '\'' || r == '"') {
			q++ // a word in quotes
		}
		if s.at(q) <= ' ' || s.at(q) == '-' {
			return
		}
	case s.at(q) == '=':
		q++
	case s.at(q) == ' ' || s.at(q) == '\t':
		q = s.blanks(q, maxSpaces)
	case long:
		return
	}
	s.argument(q, user)
}

// argument tries the value at p; of user:password the second part, or the first
// where the second is empty.
func (s *scan) argument(p int, user bool) {
	from, q := p, p
	quote := byte(0)
	colon := 0
	for ; q-p < 256; q++ {
		c := s.at(q)
		if quote == 0 && (c <= ' ' || c == '|' || c == ';' || c == '`') || c == 0 || c == '\n' {
			break
		}
		switch {
		case c == quote && quote != 0:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == ':' && colon == 0:
			colon = q
		}
	}
	q = min(q, len(s.t))
	if user {
		if colon == 0 {
			return
		}
		if a, b := s.unquoted(colon+1, q); a < b {
			from = colon + 1
		} else {
			q = colon
		}
	}
	from, q = s.unquoted(from, q)
	if q-from < 4 || !user && q-from < 6 {
		return
	}
	v := s.t[from:q]
	if v[0] == '{' && v[q-from-1] == '}' && q-from > 6 && v[1] != '{' {
		v = v[1 : len(v)-1]
	}
	switch string(v) {
	case "test", "pass", "token", "changeme", "changeit":
		return
	}
	if placeholder(v) || v[0] == '.' || s.naming(from, q) || bytes.Contains(v, []byte("${")) || bytes.Contains(v, []byte("$(")) || bytes.Contains(v, []byte("}}")) {
		return
	}
	s.add(from, q, DSNPassword, 0.85)
}

// unquoted takes quotes off the ends of [p, q).
func (s *scan) unquoted(p, q int) (int, int) {
	for p < q && (s.t[p] == '"' || s.t[p] == '\'') {
		p++
	}
	for q > p && (s.t[q-1] == '"' || s.t[q-1] == '\'') {
		q--
	}
	return p, q
}

const maxManifest = 2048 // bytes of a manifest that are looked at

// manifest tries the data of a Secret of Kubernetes, where kind: Secret or data:
// stands at [i, j), whichever comes first.
func (s *scan) manifest(i, j int) {
	if s.at(j) != ':' {
		return
	}
	if s.t[i]|0x20 == 'k' {
		p := s.blanks(j+1, 4)
		if s.at(p) == '"' || s.at(p) == '\'' {
			p++
		}
		if s.begins(p, p+len("secret"), "secret") && s.kind(p+len("secret"))&isWord == 0 {
			for _, key := range [...]string{"data", "stringData"} {
				if at := s.lineOf(p, key); at > 0 {
					s.entries(at)
				}
			}
		}
		return
	}
	if s.at(s.blanks(j+1, maxSpaces)) <= ' ' && s.lineOf(j, "kind") > 0 {
		s.entries(j + 1)
	}
}

// lineOf returns where the value of the key begins behind p in the same document, or 0.
func (s *scan) lineOf(p int, key string) int {
	for end := p + maxManifest; p < end; p++ {
		c := s.at(p)
		if c == 0 {
			return 0
		}
		if c != '\n' {
			continue
		}
		if s.literal(p+1, "---") {
			return 0
		}
		q := s.blanks(p+1, 8)
		if !s.literal(q, key) || s.at(q+len(key)) != ':' {
			continue
		}
		q += len(key) + 1
		if key == "kind" {
			q = s.blanks(q, 4)
			if s.at(q) == '"' || s.at(q) == '\'' {
				q++
			}
			if !s.begins(q, q+len("secret"), "secret") || s.kind(q+len("secret"))&isWord != 0 {
				return 0
			}
		}
		return q
	}
	return 0
}

// indent returns how far in the line stands that p is on.
func (s *scan) indent(p int) (n int) {
	for p > 0 && s.t[p-1] != '\n' && n < maxBehind {
		p--
		if n++; s.t[p] > ' ' {
			n = 0
		}
	}
	return n
}

// entries takes the values of the keys behind p, on lines that stand further in than its own.
func (s *scan) entries(p int) {
	outer := s.indent(p)
	for n := 0; n < 64; n++ {
		for end := p + 2*maxCandidate; p < end && s.at(p) != '\n'; p++ {
			if s.at(p) == 0 {
				return
			}
		}
		from := p + 1
		q := s.blanks(from, 32)
		if q-from <= outer || s.at(q) <= ' ' {
			return
		}
		for p = q; p-q < 128 && (s.kind(p)&isWord != 0 || s.at(p) == '-' || s.at(p) == '.' || s.at(p) == '"'); p++ {
		}
		if p == q || s.at(p) != ':' {
			return
		}
		p = s.blanks(p+1, maxSpaces)
		if s.at(p) == '|' || s.at(p) == '>' {
			for end := p + maxSpaces; p < end && s.at(p) != '\n'; p++ {
			}
			p = s.blanks(p+1, 32)
		}
		if s.at(p) == '"' || s.at(p) == '\'' {
			p++
		}
		from = p
		for p-from < maxCandidate && s.kind(p)&isB64 != 0 {
			p++
		}
		for s.at(p) == '=' && p-from < maxCandidate {
			p++
		}
		if p-from >= 10 && (s.at(p) <= ' ' || s.at(p) == '"' || s.at(p) == '\'') {
			s.add(from, p, Sensitive, 0.8)
		}
	}
}
