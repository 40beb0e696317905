package postgres

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/assenthq/assent/gate"
)

// An asker asks the system on behalf of a preview, in one READ ONLY transaction
// of a connection that is closed afterwards, and with it whatever hung on it.
type asker struct {
	g    *Gate
	conn net.Conn
	r    *bufio.Reader
	stop func() bool
}

// serverCode is an SQLSTATE: all that is taken from an error of the server.
type serverCode string

func (c serverCode) Error() string { return "the system refused with SQLSTATE " + string(c) }

func (c serverCode) why() string {
	switch c {
	case "57014":
		return "counting took too long"
	case "55P03":
		return "a lock was in the way"
	case "42501":
		return "the session's role may not read what would have to be counted"
	case "25006":
		return "finding out would write"
	}
	return c.Error()
}

// ask opens a connection for one preview, when it is its turn.
func (g *Gate) ask(ctx context.Context, database string) (*asker, error) {
	select {
	case g.previews <- struct{}{}:
	default:
		select {
		case g.previews <- struct{}{}:
		case <-ctx.Done():
			return nil, noPreview("too many previews were under way")
		}
	}
	conn, r, err := g.login(ctx, database)
	if err != nil {
		<-g.previews
		return nil, fmt.Errorf("asking for a preview: %w", err)
	}
	return &asker{g: g, conn: conn, r: r, stop: context.AfterFunc(ctx, func() { _ = conn.Close() })}, nil
}

func (q *asker) close() {
	q.stop()
	_, _ = q.conn.Write(append(appendFrame(nil, 'Q', cstr("ROLLBACK")), appendFrame(nil, 'X')...))
	_ = q.conn.Close()
	<-q.g.previews
}

func (q *asker) begin() error {
	_, err := q.rows("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SELECT pg_catalog.set_config('application_name', 'assent preview', true), " +
		"pg_catalog.set_config('statement_timeout', '" + strconv.FormatInt(previewQuery.Milliseconds(), 10) + "', true), " +
		"pg_catalog.set_config('lock_timeout', '" + strconv.FormatInt(previewLock.Milliseconds(), 10) + "', true), " +
		"pg_catalog.set_config('idle_in_transaction_session_timeout', '" + strconv.FormatInt(previewTime.Milliseconds(), 10) + "', true)")
	return err
}

// rows runs statements of the gate's own.
func (q *asker) rows(text string) ([][][]byte, error) {
	if _, err := q.conn.Write(appendFrame(nil, 'Q', cstr(text))); err != nil {
		return nil, fmt.Errorf("asking for a preview: %w", err)
	}
	return q.answer()
}

// value runs one query with the client's parameters, in the extended protocol: it
// can't be two. used are the numbers of the parameters that it has, nil for all; the
// others are NULL.
func (q *asker) value(text string, params []param, types []uint32, used []int) (string, error) {
	n := len(params)
	if used != nil {
		n = 0
		if len(used) > 0 {
			n = used[len(used)-1]
		}
	}
	if n > len(params) || n > 1<<15 {
		return "", noPreview("its parameters are not known")
	}
	declared := binary.BigEndian.AppendUint16(nil, uint16(n))
	formats, values := binary.BigEndian.AppendUint16(nil, uint16(n)), binary.BigEndian.AppendUint16(nil, uint16(n))
	for i, p := range params[:n] {
		oid := uint32(0)
		if i < len(types) {
			oid = types[i]
		}
		switch {
		case used != nil && !slices.Contains(used, i+1):
			oid, p = 25, param{} // text, which nobody reads
		case oid >= firstUserType:
			return "", noPreview("reading a parameter of a type made by users could run code")
		}
		declared = binary.BigEndian.AppendUint32(declared, oid)
		format := uint16(0)
		if p.binary {
			format = 1
		}
		formats = binary.BigEndian.AppendUint16(formats, format)
		if p.value == nil {
			values = binary.BigEndian.AppendUint32(values, ^uint32(0))
			continue
		}
		values = append(binary.BigEndian.AppendUint32(values, uint32(len(p.value))), p.value...)
	}
	m := appendFrame(nil, 'P', []byte{0}, cstr(text), declared)
	m = appendFrame(m, 'B', []byte{0, 0}, formats, values, []byte{0, 0})
	m = appendFrame(m, 'E', make([]byte, 5))
	if _, err := q.conn.Write(appendFrame(m, 'S')); err != nil {
		return "", fmt.Errorf("asking for a preview: %w", err)
	}
	rows, err := q.answer()
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || len(rows[0]) != 1 || rows[0][0] == nil {
		return "", errRow
	}
	return string(rows[0][0]), nil
}

// answer reads rows up to ReadyForQuery.
func (q *asker) answer() (rows [][][]byte, err error) {
	for {
		f, err2 := readFrame(q.r, nil, q.g.cfg.MaxMessage)
		if err2 != nil {
			return nil, fmt.Errorf("asking for a preview: %w", err2)
		}
		w := walker{b: f.body()}
		switch f.kind() {
		case 'D':
			row := make([][]byte, w.u16())
			for i := range row {
				row[i] = w.value()
			}
			if !w.done() {
				return nil, errRow
			}
			rows = append(rows, row)
		case 'E':
			code, _ := errorCode(f.body())
			err = serverCode(code)
		case 'Z':
			return rows, err
		case 'G', 'H', 'W':
			return nil, errors.New("upstream began a COPY that nobody asked for")
		}
	}
}

// plannedRows is what EXPLAIN (FORMAT JSON) expects of the topmost node.
func plannedRows(plan string) (int64, bool) {
	var nodes []struct {
		Plan struct {
			Rows *float64 `json:"Plan Rows"`
		}
	}
	if json.Unmarshal([]byte(plan), &nodes) != nil || len(nodes) != 1 || nodes[0].Plan.Rows == nil {
		return 0, false
	}
	n := *nodes[0].Plan.Rows
	if !(n >= 0 && n < 1<<53) {
		return 0, false
	}
	return int64(n), true
}

var _ gate.Previewer = (*codec)(nil)
