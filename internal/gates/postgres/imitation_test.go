package postgres

import (
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// An imitation is a server as far as a session's names and its messages' order go. It
// fails where its choices say so, puts secret wherever a real server may put a
// value, and notes what it was asked to run.
type imitation struct {
	*choice
	conn net.Conn
	b    *pgproto3.Backend

	status    byte
	prepared  map[string]string
	portals   map[string]string // and cursors
	held      map[string]bool
	whole     string // the message under way: what PREPARE made is remembered with all of it
	skipping  bool
	blocks    bool // code ran that prepared and closed what it liked
	own       bool // the message is the gate's own
	forbidden string
	said      strings.Builder
}

func (s *imitation) serve() {
	defer s.conn.Close()
	for {
		m, err := s.b.Receive()
		if err != nil {
			return
		}
		fmt.Fprintf(&s.said, "%c %T%v\n", s.status, m, m)
		if _, sync := m.(*pgproto3.Sync); s.skipping && !sync {
			continue
		}
		s.own = ours(m)
		if _, end := m.(*pgproto3.Terminate); end {
			return
		}
		s.message(m)
		if s.b.Flush() != nil {
			return
		}
	}
}

// ours reports whether a message is about the gate's own statement.
func ours(m pgproto3.FrontendMessage) bool {
	switch m := m.(type) {
	case *pgproto3.Parse:
		return m.Name == ownName
	case *pgproto3.Bind:
		return m.DestinationPortal == ownName || m.PreparedStatement == ownName
	case *pgproto3.Execute:
		return m.Portal == ownName
	case *pgproto3.Describe:
		return m.Name == ownName
	case *pgproto3.Close:
		return m.Name == ownName
	}
	return false
}

// fail sends an error, of the server's own will or for a reason, and reports true.
func (s *imitation) fail(code string) bool {
	s.b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: code, Message: "value \"" + secret + "\" at " + secret, Detail: "Key (" + secret + ")", Hint: secret, Where: secret, InternalQuery: secret, ColumnName: secret})
	if s.status == 'T' {
		s.status = 'E'
	}
	return true
}

// chance is an error where the choices want one, and what may come at any time.
func (s *imitation) chance() bool {
	if s.own {
		return false
	}
	switch s.of(16) {
	case 1:
		return s.fail([]string{"22P02", "42P01", "XX000", "23505", "22021", "P0001"}[s.of(6)])
	case 2:
		s.b.Send(&pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: secret + " said", Detail: secret})
	case 3:
		s.b.Send(&pgproto3.NotificationResponse{PID: 7, Channel: secret, Payload: "x" + secret})
	case 4:
		s.b.Send(&pgproto3.ParameterStatus{Name: "TimeZone", Value: secret})
	}
	return false
}

func (s *imitation) message(m pgproto3.FrontendMessage) {
	switch m := m.(type) {
	case *pgproto3.Query:
		s.query(m.String)
	case *pgproto3.Sync:
		s.skipping = false
		s.ready()
	case *pgproto3.Flush:
	default:
		s.skipping = s.extended(m)
	}
}

func (s *imitation) ready() {
	if s.status == 'I' {
		for name := range s.portals {
			if !s.held[name] {
				delete(s.portals, name)
			}
		}
	}
	s.b.Send(&pgproto3.ReadyForQuery{TxStatus: s.status})
}

func (s *imitation) query(text string) {
	delete(s.prepared, "")
	delete(s.portals, "")
	s.judge(text)
	s.whole = text
	defer func() { s.whole = "" }()
	if strings.Trim(text, "; ") == "" {
		s.b.Send(&pgproto3.EmptyQueryResponse{})
		s.ready()
		return
	}
	if !parses(text) {
		s.blocks = true // to the gate, something unknown may have run
		s.fail("42601")
		s.ready()
		return
	}
	for _, st := range strings.Split(text, "; ") {
		if st == "" {
			continue
		}
		if s.status == 'E' && !s.exits(st) {
			s.fail("25P02")
			break
		}
		if s.chance() {
			break
		}
		if n := returns(s.resolve(st)); n > 0 {
			s.columns(n)
		}
		if s.run(st, 0) {
			break
		}
	}
	s.ready()
}

// parses reports whether the grammar takes a text: what is prepared must be a query or a write.
func parses(text string) bool {
	for _, st := range strings.Split(text, "; ") {
		if _, inner, is := strings.Cut(st, " as "); is && strings.HasPrefix(st, "prepare ") && !strings.HasPrefix(inner, "select ") && !strings.HasPrefix(inner, "update ") {
			return false
		}
	}
	return true
}

// judge notes what must not have come here.
func (s *imitation) judge(text string) {
	if strings.Contains(text, "forbidden") && s.forbidden == "" {
		s.forbidden = text
	}
}

// exits reports whether st may run in a transaction that failed.
func (s *imitation) exits(st string) bool {
	return s.status == 'E' && (st == "commit" || st == "rollback")
}

// extended answers one message; failed means that the rest is skipped up to Sync.
func (s *imitation) extended(m pgproto3.FrontendMessage) (failed bool) {
	if s.chance() {
		return true
	}
	switch m := m.(type) {
	case *pgproto3.Parse:
		if s.own && !strings.HasPrefix(m.Query, "SHOW") && !strings.HasPrefix(m.Query, "SELECT") {
			return s.fail("42601")
		}
		if _, is := s.prepared[m.Name]; is && m.Name != "" {
			return s.fail("42P05")
		}
		if s.status == 'E' && !s.exits(m.Query) {
			return s.fail("25P02")
		}
		if !parses(m.Query) {
			return s.fail("42601")
		}
		s.prepared[m.Name] = m.Query
		s.b.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Bind:
		text, is := s.prepared[m.PreparedStatement]
		switch {
		case !is:
			return s.fail("26000")
		case s.status == 'E' && !s.exits(text):
			return s.fail("25P02")
		}
		if _, taken := s.portals[m.DestinationPortal]; taken && m.DestinationPortal != "" {
			return s.fail("42P03")
		}
		s.judge(text)
		s.portals[m.DestinationPortal], s.held[m.DestinationPortal] = text, false
		s.b.Send(&pgproto3.BindComplete{})
	case *pgproto3.Describe:
		return s.describe(m)
	case *pgproto3.Execute:
		text, is := s.portals[m.Portal]
		if !is {
			return s.fail("34000")
		}
		if s.status == 'E' && !s.exits(text) {
			return s.fail("25P02")
		}
		s.judge(text)
		return s.run(text, int(m.MaxRows))
	case *pgproto3.Close:
		if m.ObjectType == 'S' {
			delete(s.prepared, m.Name)
		} else {
			delete(s.portals, m.Name)
		}
		s.b.Send(&pgproto3.CloseComplete{})
	}
	return false
}

func (s *imitation) describe(m *pgproto3.Describe) (failed bool) {
	text, is := s.portals[m.Name]
	code := "34000"
	if m.ObjectType == 'S' {
		text, is = s.prepared[m.Name]
		code = "26000"
	}
	switch {
	case !is:
		return s.fail(code)
	case s.status == 'E':
		return s.fail("25P02")
	case m.ObjectType == 'S':
		s.b.Send(&pgproto3.ParameterDescription{})
	}
	if n := returns(s.resolve(text)); n > 0 {
		s.columns(n)
		return false
	}
	s.b.Send(&pgproto3.NoData{})
	return false
}

// resolve is what EXECUTE and FETCH stand for.
func (s *imitation) resolve(st string) string {
	if name, is := strings.CutPrefix(st, "execute "); is {
		text := s.prepared[name]
		_, inner, made := strings.Cut(text, "prepare "+name+" as ")
		if !made {
			return text
		}
		inner, _, _ = strings.Cut(inner, "; ")
		return inner
	}
	if name, is := strings.CutPrefix(st, "fetch all "); is {
		text := s.portals[name]
		if _, query, is := strings.Cut(text, " cursor for "); is {
			return query
		}
		return text
	}
	return st
}

// returns is how many columns a statement has.
func returns(st string) int {
	switch {
	case strings.HasPrefix(st, "SHOW"), strings.HasPrefix(st, "SELECT statement"):
		return 1
	case strings.HasPrefix(st, "SELECT *"):
		return 2
	case strings.HasPrefix(st, "select"):
		return 1 + strings.Count(st, ",")
	}
	return 0
}

func (s *imitation) columns(n int) {
	var fields []pgproto3.FieldDescription
	for range n {
		fields = append(fields, pgproto3.FieldDescription{Name: []byte("c " + secret), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1})
	}
	s.b.Send(&pgproto3.RowDescription{Fields: fields})
}

func (s *imitation) tag(text string) { s.b.Send(&pgproto3.CommandComplete{CommandTag: []byte(text)}) }

// run runs one statement; failed means that it sent an error.
func (s *imitation) run(st string, limit int) (failed bool) {
	verb, rest, _ := strings.Cut(st, " ")
	switch verb {
	case "":
		s.b.Send(&pgproto3.EmptyQueryResponse{})
	case "begin":
		s.status = 'T'
		s.tag("BEGIN")
	case "commit", "rollback":
		s.status = 'I'
		s.tag(strings.ToUpper(verb))
	case "prepare", "execute", "deallocate", "declare", "fetch", "close":
		return s.named(verb, rest, st)
	case "set":
		if strings.HasPrefix(rest, "timezone") {
			s.b.Send(&pgproto3.ParameterStatus{Name: "TimeZone", Value: "UTC"})
		}
		s.tag("SET")
	case "do":
		s.block()
		if s.of(4) == 1 { // what it prepared stays
			return s.fail("P0001")
		}
		s.tag("DO")
	case "copy":
		return s.copyOut()
	case "SHOW":
		s.row([]byte(map[string]string{"role": "none", "session_authorization": "agent", "search_path": "public", "standard_conforming_strings": "on", "client_encoding": "UTF8"}[rest]))
		s.tag("SHOW")
	case "SELECT":
		name := st[strings.IndexByte(st, '\'')+1:]
		if text, is := s.prepared[strings.TrimSuffix(name, "'")]; is {
			s.row([]byte(text))
		}
		s.tag("SELECT 1")
	case "select":
		return s.rows(st, limit)
	default:
		s.tag("UPDATE 1")
	}
	return false
}

// named runs what is about a name.
func (s *imitation) named(verb, rest, st string) (failed bool) {
	name, _, _ := strings.Cut(rest, " ")
	_, statement := s.prepared[name]
	_, portal := s.portals[name]
	switch {
	case verb == "prepare" && statement:
		return s.fail("42P05")
	case verb == "prepare":
		s.prepared[name] = s.whole
		if s.whole == "" {
			s.prepared[name] = st
		}
	case verb == "execute" && !statement, verb == "deallocate" && name != "all" && !statement:
		return s.fail("26000")
	case verb == "execute":
		inner := s.resolve(st)
		if !strings.HasPrefix(inner, "select ") && !strings.HasPrefix(inner, "update ") {
			return s.fail("42601")
		}
		s.judge(inner)
		return s.run(inner, 0)
	case verb == "deallocate" && name == "all":
		for n := range s.prepared {
			if n != "" {
				delete(s.prepared, n)
			}
		}
	case verb == "deallocate":
		delete(s.prepared, name)
	case verb == "declare" && s.status != 'T':
		return s.fail("25P01")
	case verb == "declare" && portal:
		return s.fail("42P03")
	case verb == "declare":
		s.portals[name] = st
	case verb == "fetch":
		name = strings.TrimPrefix(rest, "all ")
		if _, is := s.portals[name]; !is {
			return s.fail("34000")
		}
		s.judge(s.portals[name])
		return s.rows(s.resolve(st), 0)
	case verb == "close" && name == "all":
		clear(s.portals)
	case verb == "close" && !portal:
		return s.fail("34000")
	case verb == "close":
		delete(s.portals, name)
	}
	s.tag(strings.ToUpper(verb))
	return false
}

// block is code that prepares and closes what it likes.
func (s *imitation) block() {
	s.blocks = true
	for _, name := range []string{"s", "p", "q", "r"} {
		switch s.of(4) {
		case 1:
			delete(s.prepared, name)
		case 2:
			s.prepared[name] = "prepare " + name + " as update forbidden set n = 'block'"
		case 3:
			delete(s.portals, name)
			if s.of(2) == 1 && s.status == 'T' {
				s.portals[name] = "declare " + name + " cursor for select 'block' as forbidden"
			}
		}
	}
}

func (s *imitation) row(values ...[]byte) { s.b.Send(&pgproto3.DataRow{Values: values}) }

func (s *imitation) rows(st string, limit int) (failed bool) {
	n := s.of(3)
	for i := range n {
		values := make([][]byte, returns(st))
		for j := range values {
			values[j] = [][]byte{nil, {}, []byte(secret), []byte("x " + secret + " y"), []byte("plain")}[s.of(5)]
		}
		s.row(values...)
		if limit > 0 && i+1 == limit {
			s.b.Send(&pgproto3.PortalSuspended{})
			return false
		}
		if s.chance() {
			return true
		}
	}
	s.tag(fmt.Sprintf("SELECT %d", n))
	return false
}

func (s *imitation) copyOut() (failed bool) {
	s.b.Send(&pgproto3.CopyOutResponse{ColumnFormatCodes: make([]uint16, 2)})
	for range s.of(3) {
		s.b.Send(&pgproto3.CopyData{Data: []byte(secret + "\t\\N\n")})
		if s.chance() {
			return true
		}
	}
	s.b.Send(&pgproto3.CopyDone{})
	s.tag("COPY 1")
	return false
}
