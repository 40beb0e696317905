package sql

import (
	"io"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// subject is the session under test: each text is classified, run for real and
// watched.
type subject struct {
	t      testing.TB
	c      *Classifier
	twin   *twin
	w      *witness
	up     *pgconn.HijackedConn
	client *pgproto3.Backend // who sent the texts and gets the replies; nil: nobody
	status byte              // of the transaction: I, T or E
	hide   bool              // the client is not to know of a transaction of our own
	seen   sight
	mood   mood
	known  bool // mood is what the session is now
}

func newSubject(t testing.TB, conn *pgconn.PgConn, w *witness, c *Classifier, tw *twin) *subject {
	t.Helper()
	up, err := conn.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Conn.Close() })
	s := &subject{t: t, c: c, twin: tw, w: w, up: up, status: 'I'}
	if s.seen, err = w.look(up.PID); err != nil {
		t.Fatal(err)
	}
	s.ask()
	return s
}

// observation is what came of one text.
type observation struct {
	text    string
	result  *Result
	same    bool     // the other build says the same
	refused bool     // the server's grammar does not take the text
	code    string   // SQLSTATE of the first error
	message string   // of the first error
	results int      // statements that ended well
	moved   []string // what the text was seen to do
	views   bool     // what moved may have been moved by a view that the text names
}

// ran reports whether the text ran to its end.
func (o *observation) ran() bool { return o.code == "" }

// readOnly reports whether every statement of the text is called so.
func (o *observation) readOnly() bool {
	return !slices.ContainsFunc(o.result.Statements, func(s Statement) bool { return !s.ReadOnly() })
}

// control reports whether the text only steers transactions: what COMMIT brings
// about was judged when it was asked for.
func (o *observation) control() bool {
	return !slices.ContainsFunc(o.result.Statements, func(s Statement) bool { return s.Tx.Op == TxNone && s.Verb != "set constraints" })
}

// quiet are statements that may have to come first in a transaction: nothing is
// put in front of them.
var quiet = words("set reset show begin commit rollback savepoint release transaction discard deallocate close unknown")

// run classifies text, runs it and looks at what it did. In a transaction it
// runs under a savepoint of its own, which takes a transaction id of its own as soon as anything is written.
func (s *subject) run(text string) *observation {
	st := s.mood.state()
	o := &observation{text: text, result: s.c.Classify(text, st)}
	o.same = s.twin.compare(s.t, text, st, o.result)
	guarded := s.status == 'T' && !slices.ContainsFunc(o.result.Statements, func(x Statement) bool { return quiet[x.Verb] || x.Tx.Op != TxNone })
	if guarded {
		s.do("SAVEPOINT assent_oracle")
		if !s.known {
			s.ask()
		}
	}
	wrapped := s.wrap(o)
	asked := guarded || s.status == 'I' || s.client == nil
	before := s.mood
	s.known = false
	s.send(&pgproto3.Query{String: text})
	s.hide = wrapped
	s.relay(o)
	s.hide = false
	o.moved = s.look()
	if s.status == 'I' || (guarded || wrapped || s.client == nil) && s.status == 'T' {
		s.ask()
		if asked {
			o.moved = append(o.moved, before.changed(s.mood, o.result.Statements)...)
		}
	}
	switch {
	case wrapped: // what the end of the transaction does is not the text's doing
		s.do("COMMIT")
		s.look()
		s.known = false
	case guarded && s.status == 'T':
		s.do("RELEASE SAVEPOINT assent_oracle")
	}
	return o
}

// look returns what moved since the last look.
func (s *subject) look() []string {
	later, err := s.w.look(s.up.PID)
	if err != nil {
		s.t.Fatal(err)
	}
	moved := s.seen.moved(later)
	s.seen = later
	return moved
}

// wrap puts a transaction around a read of a session that has temporary tables:
// those made with ON COMMIT DELETE ROWS are emptied whenever a transaction ends.
func (s *subject) wrap(o *observation) bool {
	can := s.status == 'I' && s.mood.tables != "" && o.readOnly() &&
		!slices.ContainsFunc(o.result.Statements, func(x Statement) bool { return quiet[x.Verb] || x.Tx.Op != TxNone })
	if can {
		s.do("BEGIN")
	}
	return can
}

func (s *subject) send(m pgproto3.FrontendMessage) {
	_ = s.up.Conn.SetDeadline(time.Now().Add(3 * time.Minute))
	s.up.Frontend.Send(m)
	if err := s.up.Frontend.Flush(); err != nil {
		s.t.Fatalf("sending to the server: %v", err)
	}
}

// relay passes the replies on until the server is ready again.
func (s *subject) relay(o *observation) {
	for {
		m, err := s.up.Frontend.Receive()
		if err != nil {
			s.t.Fatalf("reading from the server after %.200q: %v", o.text, err)
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			if o.code == "" {
				o.code, o.message = m.Code, m.Message
				o.refused = fromGrammar(m)
			}
		case *pgproto3.CommandComplete, *pgproto3.EmptyQueryResponse:
			o.results++
		case *pgproto3.CopyInResponse:
			s.toClient(m)
			s.copyIn()
			continue
		case *pgproto3.ReadyForQuery:
			s.status = m.TxStatus
			if s.hide {
				m.TxStatus = 'I'
			}
			s.pass(m)
			return
		}
		s.pass(m)
	}
}

// fromGrammar tells a text that the grammar refuses from one that fails later
// with the same SQLSTATE, or whose inner text is refused: by the place in the
// server's own source that the error names.
func fromGrammar(m *pgproto3.ErrorResponse) bool {
	return (m.File == "scan.l" || m.File == "gram.y" || m.File == "parser.c" || m.File == "scansup.c") && m.InternalQuery == "" && m.Where == ""
}

func (s *subject) pass(m pgproto3.BackendMessage) {
	if s.client != nil {
		s.client.Send(m)
	}
}

func (s *subject) toClient(m pgproto3.BackendMessage) {
	if s.client == nil {
		return
	}
	s.client.Send(m)
	if err := s.client.Flush(); err != nil {
		s.t.Fatalf("sending to the client: %v", err)
	}
}

// copyIn passes the client's data on; without a client there is none.
func (s *subject) copyIn() {
	if s.client == nil {
		s.send(&pgproto3.CopyDone{})
		return
	}
	for {
		m, err := s.client.Receive()
		if err != nil {
			s.t.Fatalf("reading COPY data: %v", err)
		}
		s.up.Frontend.Send(m)
		switch m.(type) {
		case *pgproto3.CopyDone, *pgproto3.CopyFail:
			if err := s.up.Frontend.Flush(); err != nil {
				s.t.Fatal(err)
			}
			return
		}
	}
}

// do runs a text of our own and returns its last row.
func (s *subject) do(text string) (row []string, ok bool) {
	s.send(&pgproto3.Query{String: text})
	ok = true
	for {
		m, err := s.up.Frontend.Receive()
		if err != nil {
			s.t.Fatalf("reading from the server after %.200q: %v", text, err)
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			row = row[:0]
			for _, v := range m.Values {
				row = append(row, string(v))
			}
		case *pgproto3.ErrorResponse:
			ok = false
		case *pgproto3.ReadyForQuery:
			s.status = m.TxStatus
			return row, ok
		}
	}
}

// ask finds out what the session has become. It must be able to run a query.
func (s *subject) ask() {
	row, ok := s.do(sessionQuery)
	switch {
	case ok:
		s.mood, s.known = moodOf(row), true
	case s.status == 'E':
		s.do("ROLLBACK TO SAVEPOINT assent_oracle")
	}
}

// close ends the session and waits until the server has cleaned up after it:
// temporary tables are dropped at the end, which takes a transaction id.
func (s *subject) close() {
	_ = s.up.Conn.SetDeadline(time.Now().Add(20 * time.Second))
	s.up.Frontend.Send(&pgproto3.Terminate{})
	_ = s.up.Frontend.Flush()
	_, _ = io.Copy(io.Discard, s.up.Conn)
	_ = s.up.Conn.Close()
}
