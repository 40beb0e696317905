package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	classify "github.com/assenthq/assent/internal/classify/mysql"
)

// A bound is how many rows one statement may change. Where the client is in no
// transaction the statement runs in one of the gate's own, which is committed once the
// server's count was compared; in a transaction of the client's it runs behind a
// savepoint. The client hears of neither.
type bound struct {
	rows   int64
	own    bool // the transaction is the gate's
	opened bool // it, or the savepoint, is there
}

// What the gate says around a bounded statement. COMMIT says what completion_type may not add.
const (
	beginOwn   = "START TRANSACTION"
	commitOwn  = "COMMIT AND NO CHAIN NO RELEASE"
	undoOwn    = "ROLLBACK AND NO CHAIN NO RELEASE"
	saveHere   = "SAVEPOINT assent_bound"
	undoToHere = "ROLLBACK TO SAVEPOINT assent_bound"
)

// Bound keeps a write from changing more than a number of rows. Rows that are
// only read are counted as they pass.
func (c *codec) Bound(conn *gate.Conn, r *gate.Request, i int, rows int64) error {
	if onlyReads(r.Actions[i].Kinds) {
		return nil
	}
	k := r.State.(*ask)
	why, hint := c.unbindable(k)
	if why != "" {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "it was approved up to a number of rows, and " + why, Hint: hint}
	}
	if k.st.OnDup { // its text says how many there are
		if k.st.Tuples.N > rows {
			return &gate.Denied{Status: gate.StatusLimit, Reason: "it would change more rows than were approved", Hint: "Nothing of it ran. Ask again: people decide on what holds now."}
		}
		return nil
	}
	b := &bound{rows: rows, own: c.alone()}
	if !b.own {
		if err := c.do(conn, saveHere); err != nil {
			return notKept(err)
		}
		b.own = c.alone() // the server ended the transaction with an error before, and says so now
	}
	if b.own {
		if err := c.do(conn, beginOwn); err != nil {
			return notKept(err)
		}
		if c.status&statusInTx == 0 {
			return errors.New("upstream did not open a transaction")
		}
	}
	b.opened = true
	k.bound = b
	return nil
}

// alone reports whether a statement would be committed by itself.
func (c *codec) alone() bool { return c.status&statusInTx == 0 && c.status&statusAutocommit != 0 }

// notKept is err where the server refused: nothing ran, and it can be asked again.
func notKept(err error) error {
	var s *serverError
	if errors.As(err, &s) {
		return &gate.Denied{Status: gate.StatusNobody, Reason: "no transaction could be opened to keep it to the rows that were approved", Hint: "Try again later."}
	}
	return fmt.Errorf("opening a transaction: %w", err)
}

func onlyReads(kinds []action.Kind) bool {
	return len(kinds) > 0 && !slices.ContainsFunc(kinds, func(k action.Kind) bool { return k != action.DataRead && k != action.DataExport })
}

// unbindable says why what k does can't be counted and taken back, and what to do about
// it; "" when it can.
func (c *codec) unbindable(k *ask) (why, hint string) {
	const one = "Send an INSERT, UPDATE or DELETE of such tables by itself."
	switch st := k.st; {
	case st == nil || c.uncertain || st.Has(action.Unknown) || !slices.Contains([]string{"insert", "replace", "update", "delete"}, st.Verb) || st.EndsTx:
		return "what a statement of this kind does can't be taken back", one
	case len(st.Columns) > 0:
		return "its rows would be shown before it is known how many there are", "Leave RETURNING out."
	case st.OnDup && !st.Tuples.Known:
		return "the server counts a row twice that ON DUPLICATE KEY UPDATE changes", "Insert and update by themselves."
	case len(st.Writes) == 0 || !c.takesBack(st):
		return "a table that it changes keeps its rows when a transaction is rolled back, or only this session sees it", one
	case c.locked:
		return "the session holds LOCK TABLES, which a transaction would undo", "Send UNLOCK TABLES before it."
	}
	return "", ""
}

func (c *codec) takesBack(st *classify.Statement) bool {
	for _, table := range st.Writes {
		if !c.g.catalog.takesBack(table) || slices.ContainsFunc(c.temp, func(t classify.Temp) bool { return t.Name == table }) {
			return false
		}
	}
	return true
}

// keepBound takes the server's answer to a bounded statement: it is kept where it
// changed no more rows than it may, and told once it is.
func (c *codec) keepBound(conn *gate.Conn, r *gate.Request, k *ask, answer []byte) error {
	answer = slices.Clone(answer)
	switch answer[0] {
	case replyError:
		var refused *serverError
		if err := c.withdraw(conn, k); err != nil && (!errors.As(err, &refused) || refused.number != noSavepoint) {
			return err
		} // else the server ended the whole transaction (a deadlock)
		c.failed(r, k, answer, 0)
		return nil
	case replyOK:
	default:
		return errors.New("upstream answered a write with rows")
	}
	w := walker{b: answer[1:]}
	changed := w.num()
	w.num()
	at := len(answer) - len(w.b)
	c.flags(w.u16())
	w.u16()
	if w.bad || c.status&statusMoreResults != 0 {
		return errors.New("upstream sent a malformed OK packet")
	}
	b := k.bound
	if changed > uint64(b.rows) {
		if err := c.withdraw(conn, k); err != nil {
			return err
		}
		r.Done(0, gate.Outcome{State: gate.Failed, Code: "70100"})
		c.send(denialBody(&gate.Denied{Status: gate.StatusLimit, Reason: "it changed more rows than were approved", Hint: "Nothing of it was kept. Ask again: people decide on what holds now."}))
		return nil
	}
	if b.own {
		b.opened = false
		var refused *serverError
		switch err := c.do(conn, commitOwn); {
		case errors.As(err, &refused):
			if err := c.do(conn, undoOwn); err != nil {
				return fmt.Errorf("ending a transaction: %w", err)
			}
			c.failed(r, k, refused.packet, 0)
			return nil
		case err != nil:
			return fmt.Errorf("ending a transaction: %w", err)
		case c.status&statusInTx != 0:
			return errors.New("upstream did not end a transaction")
		}
		binary.LittleEndian.PutUint16(answer[at:], c.status)
	}
	if _, err := c.okay(answer); err != nil {
		return err
	}
	c.acknowledged(k)
	r.Done(0, gate.Outcome{State: gate.Executed, Code: "00000", Rows: int64(changed)})
	return nil
}

// withdraw takes back what ran behind a bound, or the empty transaction that was opened for it.
func (c *codec) withdraw(conn *gate.Conn, k *ask) error {
	if k == nil || k.bound == nil || !k.bound.opened {
		return nil
	}
	k.bound.opened = false
	text := undoToHere
	if k.bound.own {
		text = undoOwn
	}
	if err := c.do(conn, text); err != nil {
		return fmt.Errorf("taking back what was not approved: %w", err)
	}
	return nil
}

// noSavepoint is ER_SP_DOES_NOT_EXIST: there is none of that name.
const noSavepoint = 1305

var _ gate.Bounder = (*codec)(nil)
