package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/sql"
)

// An ownTx is a transaction of the gate's own around one request of a client that
// is in none: the statement runs in it, its command tag is compared with the
// bound, and only then it is committed. The client sees none of it: its command
// tag, the error of a COMMIT that failed, and the status of a session that is idle.
type ownTx struct {
	tag    frame    // of the last statement of a simple query: told once it is committed
	ended  []ending // what ran and is executed only if the transaction is
	denied bool
	code   string // of what made it fail
}

type ending struct {
	action  int
	outcome gate.Outcome
}

// Bound keeps a write from changing more than a number of rows. Outside a
// transaction it opens one of the gate's own; inside one of the client's, a write
// that goes past the bound makes that fail. Rows that are only read are counted as they pass.
func (c *codec) Bound(conn *gate.Conn, r *gate.Request, i int, rows int64) error {
	if onlyReads(r.Actions[i].Kinds) {
		return nil
	}
	b := r.State.(*batch)
	if why, hint := c.unbindable(b); why != "" {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "it was approved up to a number of rows, and " + why, Hint: hint}
	}
	for s := range b.steps {
		step := &b.steps[s]
		for j := range step.runs {
			if step.runs[j].action == i {
				step.runs[j].bound = &rows
			}
		}
		if step.portal != nil && step.portal.run.action == i {
			step.portal.run.bound = &rows
		}
	}
	if c.status == idle && c.tx == nil {
		return c.begin(conn)
	}
	return nil
}

func onlyReads(kinds []action.Kind) bool {
	return len(kinds) > 0 && !slices.ContainsFunc(kinds, func(k action.Kind) bool { return k != action.DataRead && k != action.DataExport })
}

// unbindable says why nothing in b can be taken back once it ran, and what to do
// about it; "" when it can.
func (c *codec) unbindable(b *batch) (why, hint string) {
	for i := range b.steps {
		step := &b.steps[i]
		if step.loose {
			return "its text is not understood as a whole", "Send each statement by itself."
		}
		runs := step.runs
		if step.portal != nil {
			runs = append(runs[:len(runs):len(runs)], step.portal.run)
		}
		if slices.ContainsFunc(runs, func(r run) bool { return r.st.Tx.Op != sql.TxNone }) {
			return "its message ends the transaction itself", "Send BEGIN and COMMIT by themselves."
		}
	}
	if c.status == idle && (c.unsynced || !b.synced) {
		return "its messages go on without a Sync", "Send a Sync behind it, or run it between BEGIN and COMMIT."
	}
	return "", ""
}

// begin opens a transaction of the gate's own, and returns once the server said so.
func (c *codec) begin(conn *gate.Conn) error {
	_, code, err := c.control(conn, "BEGIN")
	switch {
	case err != nil:
		return fmt.Errorf("opening a transaction: %w", err)
	case code == "57014":
		return &gate.Denied{Status: gate.StatusCanceled, Reason: "canceled before it ran"}
	case code != "" || c.status != inTx:
		return &gate.Denied{Status: gate.StatusNobody, Reason: "no transaction could be opened to keep it to the rows that were approved", Hint: "Try again later."}
	}
	c.tx = &ownTx{}
	return nil
}

// control runs one statement of the gate's own that the client doesn't see, up
// to ReadyForQuery. It returns the server's refusal and its SQLSTATE, if it refused.
// A simple query would drop the client's unnamed statement; what an error leaves
// of our own is closed first.
func (c *codec) control(conn *gate.Conn, text string) (refusal frame, code string, err error) {
	const name = ownName + "_tx"
	m := appendFrame(nil, 'C', []byte{'P'}, cstr(name))
	m = appendFrame(m, 'C', []byte{'S'}, cstr(name))
	m = appendFrame(m, 'P', cstr(name), cstr(text), []byte{0, 0})
	m = appendFrame(m, 'B', cstr(name), cstr(name), make([]byte, 6))
	m = appendFrame(m, 'E', cstr(name), make([]byte, 4))
	m = appendFrame(m, 'C', []byte{'S'}, cstr(name))
	if err := conn.Send(appendFrame(m, 'S')); err != nil {
		return nil, "", err
	}
	tag := ""
	for {
		f, err := c.next(conn)
		if err != nil {
			return nil, "", err
		}
		switch f.kind() {
		case 'C':
			tag = strings.TrimRight(string(f.body()), "\x00")
		case 'E':
			var severity string
			if code, severity = errorCode(f.body()); severity == "FATAL" || severity == "PANIC" {
				return nil, "", saidNo(f)
			}
			refusal = slices.Clone(f)
		case 'Z':
			c.ready(f)
			if code == "" && tag != text {
				return nil, "", errors.New("upstream did not answer " + text)
			}
			return refusal, code, nil
		case '1', '2', '3':
		default:
			return nil, "", fmt.Errorf("upstream answered %s with message %q", text, f.kind())
		}
	}
}

// closeOwn ends the gate's own transaction once all of the client's request was
// answered but its ReadyForQuery: it commits what ran within its bounds, and rolls back the rest.
func (c *codec) closeOwn(conn *gate.Conn, r *gate.Request) error {
	o := c.tx
	c.tx = nil
	kept := !o.denied && c.status == inTx
	text := "ROLLBACK"
	if kept {
		text = "COMMIT"
	}
	refusal, code, err := c.control(conn, text)
	switch {
	case err != nil:
		return fmt.Errorf("ending a transaction: %w", err)
	case c.status != idle:
		return errors.New("upstream did not end a transaction")
	case kept && code == "":
		c.out = append(c.out, o.tag...)
	case kept:
		c.out, kept, o.code = c.appendReport(c.out, refusal, c.text), false, code
	}
	for _, e := range o.ended {
		if !kept {
			e.outcome.State, e.outcome.Code = gate.Failed, o.code
		}
		r.Done(e.action, e.outcome)
	}
	c.out = append(c.out, 'Z', 0, 0, 0, 5, c.status)
	return c.flush(conn)
}

// withdraw rolls the gate's own transaction back before anything ran in it.
func (c *codec) withdraw(conn *gate.Conn) error {
	if c.tx == nil {
		return nil
	}
	c.tx = nil
	_, _, err := c.control(conn, "ROLLBACK")
	return err
}

// later keeps the outcome of a run until the gate's own transaction has ended.
func (o *ownTx) later(r *run, outcome gate.Outcome) bool {
	if o == nil || r.action < 0 {
		return false
	}
	if outcome.State != gate.Executed {
		o.code = outcome.Code
		return false
	}
	o.ended = append(o.ended, ending{r.action, outcome})
	return true
}

// holds says whether f is a command tag that must wait for COMMIT: in a simple
// query the server tells the last one once it has committed.
func (o *ownTx) holds(b *batch, r *run, f frame) bool {
	if o == nil || f.kind() == 's' {
		return false
	}
	last := &b.steps[len(b.steps)-1]
	if last.kind != stepQuery || r != &last.runs[len(last.runs)-1] {
		return false
	}
	o.tag = slices.Clone(f)
	return true
}

// notRun completes the actions that were not reached. Those that were are done
// already, or wait for the gate's own transaction.
func (c *codec) notRun(r *gate.Request) {
	for i := range r.Actions {
		if c.tx == nil || !slices.ContainsFunc(c.tx.ended, func(e ending) bool { return e.action == i }) {
			r.Done(i, gate.Outcome{State: gate.NotRun})
		}
	}
}

// pastBound errs when a run changed more than its bound, or can't tell how much
// it did: a portal that was read in part has changed all of its rows.
func pastBound(run *run, f frame, rows int64) error {
	switch {
	case run.bound == nil:
		return nil
	case f.kind() == 's':
		return &gate.Denied{Status: gate.StatusLimit, Reason: "it was approved up to a number of rows, which can't be told of a portal read in part", Hint: "Ask for all rows at once."}
	case rows > *run.bound:
		return &gate.Denied{Status: gate.StatusLimit, Reason: "it changed more rows than were approved", Hint: "Nothing of it was kept. Ask again: people decide on what holds now."}
	}
	return nil
}
