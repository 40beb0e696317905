package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/gate"
)

// Large objects are what clients call functions for by the fastpath protocol (libpq's
// lo_*, JDBC's LargeObject). A call of one of these is judged as the SELECT that does
// the same; a call of any other function is refused.

// A builtin is a function of the server's own, by an OID that no version has changed.
type builtin struct {
	name    string
	args    []uint32
	returns uint32
}

var callable = map[uint32]builtin{
	715:  {"lo_create", []uint32{26}, 26},
	952:  {"lo_open", []uint32{26, 23}, 23},
	953:  {"lo_close", []uint32{23}, 23},
	954:  {"loread", []uint32{23, 23}, 17},
	955:  {"lowrite", []uint32{23, 17}, 23},
	956:  {"lo_lseek", []uint32{23, 23, 23}, 23},
	957:  {"lo_creat", []uint32{23}, 26},
	958:  {"lo_tell", []uint32{23}, 23},
	964:  {"lo_unlink", []uint32{26}, 23},
	1004: {"lo_truncate", []uint32{23, 23}, 23},
	3170: {"lo_lseek64", []uint32{23, 20, 23}, 20},
	3171: {"lo_tell64", []uint32{23}, 20},
	3172: {"lo_truncate64", []uint32{23, 20}, 23},
}

// addCall takes a FunctionCall: decided like a statement, alone in its batch.
func (c *codec) addCall(conn *gate.Conn, b *batch, f frame) error {
	w := walker{b: f.body()}
	oid := w.u32()
	args, result, ok := readCall(&w)
	if !ok {
		return malformed(f)
	}
	fn, is := callable[oid]
	if !is || len(args) != len(fn.args) {
		b.refuse("0A000", "function calls by the fastpath protocol are let through for large objects only; use SELECT")
		return nil
	}
	for _, a := range args {
		if !a.binary && !utf8.Valid(a.value) {
			b.refuse("22021", "parameters must be UTF-8")
			return nil
		}
	}
	if err := c.settle(conn); err != nil {
		return err
	}
	var places []string
	for i := range args {
		places = append(places, fmt.Sprintf("$%d", i+1))
	}
	text := "SELECT pg_catalog." + fn.name + "(" + strings.Join(places, ", ") + ")"
	c.look()
	res := c.g.cfg.Classifier.Classify(text, c.sqlState())
	r, err := c.plan(conn, b, &res.Statements[0], text, append(append([]byte(text), 0), f.body()...))
	if err != nil || b.refusal != nil {
		return err
	}
	if r.action >= 0 {
		b.actions[r.action].Statement = describeParams(b.actions[r.action].Statement, args, fn.args)
	}
	if same, err := c.isBuiltin(conn, oid, fn.name); err != nil || !same {
		if err == nil {
			b.refuse("0A000", "the server has another function under this number; use SELECT")
		}
		return err
	}
	b.push(f, step{kind: stepCall, runs: []run{r}, call: field{name: fn.name, typ: fn.returns, binary: result == 1}})
	return nil
}

// isBuiltin asks the server whether the number is that function's, as the server itself made it.
func (c *codec) isBuiltin(conn *gate.Conn, oid uint32, name string) (bool, error) {
	if c.builtins[oid] {
		return true, nil
	}
	got, err := c.values(conn, []string{fmt.Sprintf("SELECT proname FROM pg_catalog.pg_proc WHERE oid OPERATOR(pg_catalog.=) %d AND pronamespace OPERATOR(pg_catalog.=) 11 AND prolang OPERATOR(pg_catalog.=) 12", oid)})
	if err != nil {
		return false, fmt.Errorf("reading a function's name: %w", err)
	}
	if got[0] == nil || *got[0] != name {
		return false, nil
	}
	if c.builtins == nil {
		c.builtins = map[uint32]bool{}
	}
	c.builtins[oid] = true
	return true, nil
}

// readCall reads a FunctionCall's formats, arguments and result format to its end.
func readCall(w *walker) (args []param, result int, ok bool) {
	if len(w.b) < 2 {
		return nil, 0, false
	}
	// The same as a Bind's but for its end: one format, and not a list of them.
	last := w.b[len(w.b)-2:]
	result = int(binary.BigEndian.Uint16(last))
	list := walker{b: append(w.b[:len(w.b)-2:len(w.b)-2], 0, 0)}
	w.b = nil
	args, ok = readParams(&list, nil)
	return args, result, ok && result <= 1
}

// copyCall copies the reply of a function call: its value or an error, then ReadyForQuery.
func (c *codec) copyCall(conn *gate.Conn, r *gate.Request, s *step) error {
	run := &s.runs[0]
	permit := c.permit(r, run, nil)
	c.said, c.reading = run.text, true
	defer func() { c.reading = false }()
	for {
		f, err := c.next(conn)
		if err != nil {
			return limited(err)
		}
		switch f.kind() {
		case 'V':
			if err := c.called(conn, r, s, permit, f); err != nil {
				return limited(err)
			}
		case 'E':
			if err := c.failed(r, run, nil, f, 0); err != nil {
				return err
			}
		case 'Z':
			c.ready(f)
			c.out = append(c.out, f...)
			return nil
		default:
			return fmt.Errorf("upstream answered with message %q where it cannot", f.kind())
		}
	}
}

// called masks and counts the value of a call. libpq writes it where the caller asked
// for so many bytes and no more, so a masked value is never longer.
func (c *codec) called(conn *gate.Conn, r *gate.Request, s *step, permit gate.Permit, f frame) error {
	run := &s.runs[0]
	w := walker{b: f.body()}
	v := w.value()
	if !w.done() {
		return errors.New("upstream sent a malformed function result")
	}
	var shown []byte
	if permit != nil {
		columns, err := c.columns(run, []field{s.call})
		if err != nil {
			return &gate.Denied{Status: gate.StatusNobody, Reason: "the gate cannot tell where this value comes from"}
		}
		if shown, err = permit.Rows(columns).Value(0, v); err != nil {
			return err
		}
	} else {
		shown = c.harmless(v, &s.call)
	}
	if len(shown) > len(v) {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "what is masked in this value does not fit where it stood", Hint: "Read it with SELECT lo_get(…)."}
	}
	start := len(c.out)
	body := binary.BigEndian.AppendUint32(nil, uint32(len(shown)))
	if shown == nil {
		body = binary.BigEndian.AppendUint32(nil, 0xffffffff)
	}
	c.out = appendFrame(c.out, 'V', body, shown)
	if err := c.stage(conn, start, permit); err != nil {
		return err
	}
	if err := c.count(); err != nil {
		return err
	}
	c.applied(conn, r, run, nil)
	c.finished(r, run, nil, gate.Outcome{State: gate.Executed, Code: "00000", Rows: 1})
	return nil
}
