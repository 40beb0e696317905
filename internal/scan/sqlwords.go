package scan

import "strings"

// word takes a word or number that ended at s.at.
func (s *sqlFields) word(to judge) {
	if s.v.long {
		return
	}
	if s.filling && s.depth > 0 {
		if b := s.v.b[0]; b >= '0' && b <= '9' && !s.cast {
			s.bare.add(s.v.start, s.at)
			s.judged(s.v.start, s.at, s.v.b, to)
		}
		return
	}
	w := string(s.v.b)
	if s.verb == "" {
		s.statement = statement{verb: strings.ToLower(w)}
		return
	}
	switch lower := strings.ToLower(w); {
	case s.listing:
		s.name(w)
	case s.verb == "insert" && lower == "into", s.verb == "create" && lower == "table":
		s.table = ""
	case s.verb == "create" && (lower == "if" || lower == "not" || lower == "exists"), lower == "only":
	case s.verb == "insert" && lower == "values":
		s.fill()
	case s.verb == "insert" && lower == "select", s.verb == "create" && (lower == "function" || lower == "view" || lower == "index"):
		s.verb = "other"
	case s.verb == "copy" && lower == "stdin":
		s.stdin = true
	case s.verb == "copy" && (lower == "csv" || lower == "binary" || lower == "delimiter"):
		s.verb = "other"
	case s.depth == 0 && s.columns == nil && !s.stdin && lower != "from" && w != ".":
		s.table = w[strings.LastIndexByte(w, '.')+1:]
		if strings.HasSuffix(w, ".") {
			s.table = "" // a quoted name follows
		}
	}
}

// name takes a word or quoted name where one of a table or column may stand.
func (s *sqlFields) name(w string) {
	switch {
	case s.verb == "create" && s.listing:
		if s.depth == 1 && s.fresh {
			s.fresh = false
			switch strings.ToLower(w) {
			case "constraint", "primary", "unique", "key", "foreign", "check", "exclude", "like", "index", "fulltext", "spatial", "partition":
			default:
				s.column1(w)
			}
		}
	case s.listing:
		s.column1(w)
	case !s.filling && s.depth == 0 && s.columns == nil:
		s.table = w
	}
}

func (s *statement) column1(w string) {
	if len(s.columns) < maxColumns {
		s.columns = append(s.columns, strings.Clone(w))
	}
}

// fill begins the values of a table whose columns are known by now, or never.
func (s *sqlFields) fill() {
	s.filling, s.listing, s.depth, s.column = true, false, 0, 0
	columns := s.columns
	if columns == nil {
		columns = s.tables[strings.ToLower(s.table)]
	}
	s.under = s.under[:0]
	for _, c := range columns {
		s.under = append(s.under, nameOf(s.engine, c, s.table))
	}
}

// punct takes a mark.
func (s *sqlFields) punct(b byte) {
	switch b {
	case '(':
		s.depth++
		switch {
		case s.filling && s.depth == 1:
			s.column, s.cast = 0, false
		case s.depth == 1 && s.columns == nil && (s.verb == "insert" || s.verb == "copy" || s.verb == "create") && s.table != "":
			s.listing, s.fresh = true, true
		}
	case ')':
		s.depth = max(0, s.depth-1)
		s.cast = false
		if s.listing && s.depth == 0 {
			s.listing = false
		}
	case ',':
		s.cast = false
		if s.depth == 1 {
			s.column++
			s.fresh = true
		}
	case ':':
		s.cast = true
	case ';':
		s.finish()
	}
}

// finish ends a statement.
func (s *sqlFields) finish() {
	was := s.statement
	if was.verb == "create" && len(was.columns) > 0 && len(s.tables) < maxTables {
		s.tables[strings.ToLower(was.table)] = was.columns
	}
	if was.verb == "copy" && was.stdin {
		s.fill()
		s.state, s.column = sqlCopy, -1 // until the line of the statement ends
		s.v.begin(s.at + 1)
		return
	}
	s.statement = statement{}
}

// copyByte reads the lines of COPY, to the one that is "\.".
func (s *sqlFields) copyByte(b byte, to judge) {
	switch {
	case s.column < 0:
		if b == '\n' {
			s.column = 0
		}
	case b == '\n' && s.column == 0 && string(s.v.b) == `\.`:
		s.state, s.statement = sqlBetween, statement{}
		return
	case b == '\t':
		s.copied(to)
		s.column++
	case b == '\n':
		s.copied(to)
		s.column = 0
	default:
		s.add(b, to)
		return
	}
	s.v.begin(s.at + 1)
}

func (s *sqlFields) copied(to judge) {
	if s.column >= 0 && !s.v.long && len(s.v.b) > 0 {
		s.judged(s.v.start, s.at, s.v.b, to)
	}
}
