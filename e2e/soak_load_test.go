package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// bigRows is how many rows the table has that everybody reads.
const bigRows = 5000

// opTime is how long an answer may take; a hold is answered or expires long before.
const opTime = 60 * time.Second

// A worker is one agent. Each of its choices comes from its own source, which the
// seed and its number make: a run with the same seed asks the same again, as far as
// answers come the same.
type worker struct {
	n      int
	rand   *rand.Rand
	soak   *soak
	conn   *pgx.Conn
	ops    int
	heard  time.Time   // when its connection last answered
	killed atomic.Bool // its own socket was closed under it, on purpose
}

// An op is one thing that an agent does.
type op struct {
	name   string
	weight int
	do     func(*worker, context.Context) error
}

var ops = []op{
	{"point read", 20, (*worker).point},
	{"constant", 10, (*worker).constant},
	{"bulk read", 4, (*worker).bulk},
	{"copy out", 3, (*worker).copyOut},
	{"copy in", 4, (*worker).copyIn},
	{"cursor", 4, (*worker).cursor},
	{"pipeline", 10, (*worker).pipeline},
	{"insert", 15, (*worker).insert},
	{"held insert", 8, (*worker).asked},
	{"held, called off", 4, (*worker).calledOff},
	{"refused insert", 4, (*worker).refused},
	{"expired insert", 1, (*worker).late},
	{"denied delete", 5, (*worker).denied},
	{"transaction", 10, (*worker).transaction},
	{"slow read", 2, (*worker).slow},
}

// run works until stop, through whatever is broken meanwhile.
func (w *worker) run(stop <-chan struct{}) {
	defer func() {
		if w.conn != nil {
			w.hangUp()
		}
	}()
	total := 0
	for _, o := range ops {
		total += o.weight
	}
	for {
		select {
		case <-stop:
			return
		default:
		}
		if w.conn == nil && !w.connect() {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		pick := w.rand.IntN(total)
		for _, o := range ops {
			if pick -= o.weight; pick < 0 {
				w.one(o)
				break
			}
		}
		time.Sleep(time.Duration(w.rand.IntN(3)) * time.Millisecond)
	}
}

func (w *worker) connect() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, w.soak.house.dsn(w.soak.token))
	if err != nil {
		w.soak.ledger.count("connect: failed")
		if !w.soak.ledger.excused(time.Now()) {
			w.soak.ledger.violated("worker %d could not connect while nothing was broken: %v", w.n, err)
		}
		return false
	}
	w.conn, w.heard = c, time.Now()
	w.killed.Store(false)
	return true
}

func (w *worker) hangUp() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = w.conn.Close(ctx)
	w.conn = nil
}

// one does o, now and then with the socket closed in the midst of it, and judges how it ended.
func (w *worker) one(o op) {
	w.ops++
	ctx, cancel := context.WithTimeout(context.Background(), opTime)
	defer cancel()
	var killer *time.Timer
	if w.rand.IntN(40) == 0 {
		socket, after := w.conn.PgConn().Conn(), time.Duration(w.rand.IntN(30_000))*time.Microsecond
		rude := w.rand.IntN(2) == 0
		killer = time.AfterFunc(after, func() {
			w.killed.Store(true)
			if tcp, ok := socket.(*net.TCPConn); ok && rude {
				_ = tcp.SetLinger(0) // a reset instead of an end
			}
			_ = socket.Close()
			w.soak.ledger.count("fault client killed")
		})
	}
	err := o.do(w, ctx)
	if killer != nil && !killer.Stop() {
		w.killed.Store(true) // it may be about to
	}
	w.judge(ctx, o, err)
	switch {
	case w.conn.IsClosed() || w.killed.Load():
		w.conn = nil
	case w.conn.PgConn().TxStatus() != 'I':
		if _, err := w.conn.Exec(ctx, "ROLLBACK"); err != nil {
			w.hangUp()
		}
	}
}

// judge counts the answer, and complains of one that nothing explains.
func (w *worker) judge(ctx context.Context, o op, err error) {
	l := w.soak.ledger
	since := w.heard
	w.heard = time.Now()
	var e *pgconn.PgError
	var bad *wrongAnswer
	switch {
	case err == nil:
		l.count(o.name + ": done")
	case errors.As(err, &bad):
		l.violated("worker %d, its op %d, %s: %v", w.n, w.ops, o.name, err)
	case ctx.Err() != nil:
		l.violated("worker %d, its op %d, %s: no answer within %v", w.n, w.ops, o.name, opTime)
	case errors.As(err, &e) && e.Severity == "ERROR":
		l.count(o.name + ": " + e.Code)
		if !expected(e.Code) && !l.excused(since) {
			l.violated("worker %d, its op %d, %s: %s %s", w.n, w.ops, o.name, e.Code, e.Message)
		}
	default:
		l.count(o.name + ": connection lost")
		if !w.killed.Load() && !l.excused(since) {
			l.violated("worker %d, its op %d, %s: the connection was lost while nothing was broken: %v", w.n, w.ops, o.name, err)
		}
	}
}

// expected are refusals that the load provokes: denied, pending, expired, called off.
func expected(code string) bool {
	return code == "42501" || code == "AS001" || code == "AS002" || code == "57014"
}

// wrongAnswer is an answer to something else, a value in the clear, a yes that must be a no.
type wrongAnswer struct{ text string }

func (e *wrongAnswer) Error() string { return e.text }

func wrong(format string, args ...any) error {
	return &wrongAnswer{"wrong answer: " + fmt.Sprintf(format, args...)}
}

// mode is one of the protocol's ways to run a statement.
func (w *worker) mode() pgx.QueryExecMode {
	return []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	}[w.rand.IntN(5)]
}

// scanned checks one row of big: that it is the row asked for, its e-mail masked.
func scanned(id int64, note, email string, want int64) error {
	if id != want || note != fmt.Sprintf("row %d", want) {
		return wrong("asked for row %d, got row %d", want, id)
	}
	if strings.Contains(email, "@example.com") {
		return wrong("row %d: its e-mail address is in the clear", want)
	}
	return nil
}

func (w *worker) point(ctx context.Context) error {
	want := w.rand.Int64N(bigRows) + 1
	var id int64
	var note, email string
	if err := w.conn.QueryRow(ctx, "SELECT id, note, email FROM big WHERE id = $1", w.mode(), want).Scan(&id, &note, &email); err != nil {
		return err
	}
	return scanned(id, note, email, want)
}

func (w *worker) constant(ctx context.Context) error {
	want := w.rand.Int64()
	var got int64
	if err := w.conn.QueryRow(ctx, "SELECT $1::int8", w.mode(), want).Scan(&got); err != nil {
		return err
	}
	if got != want {
		return wrong("asked for %d, got %d", want, got)
	}
	return nil
}

func (w *worker) bulk(ctx context.Context) error {
	return w.readBig(ctx, "SELECT id, note, email FROM big ORDER BY id", bigRows)
}

// readBig reads the first n rows of big in order.
func (w *worker) readBig(ctx context.Context, sql string, n int64) error {
	rows, err := w.conn.Query(ctx, sql, w.mode())
	if err != nil {
		return err
	}
	defer rows.Close()
	next := int64(1)
	for ; rows.Next(); next++ {
		var id int64
		var note, email string
		if err := rows.Scan(&id, &note, &email); err != nil {
			return err
		}
		if err := scanned(id, note, email, next); err != nil {
			return err
		}
	}
	if rows.Err() == nil && next != n+1 {
		return wrong("%d rows of %d", next-1, n)
	}
	return rows.Err()
}

func (w *worker) copyOut(ctx context.Context) error {
	n := w.rand.IntN(bigRows) + 1
	var out strings.Builder
	tag, err := w.conn.PgConn().CopyTo(ctx, &out, fmt.Sprintf("COPY (SELECT id, note, email FROM big WHERE id <= %d) TO STDOUT", n))
	if err != nil {
		return err
	}
	if lines := strings.Count(out.String(), "\n"); lines != n || tag.RowsAffected() != int64(n) {
		return wrong("%d lines of %d copied, and the server says %d", lines, n, tag.RowsAffected())
	}
	if strings.Contains(out.String(), "@example.com") {
		return wrong("COPY showed an e-mail address in the clear")
	}
	return nil
}

// breaks fails after what r holds.
type breaks struct{ r io.Reader }

func (b breaks) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("the client breaks off")
	}
	return n, err
}

func (w *worker) copyIn(ctx context.Context) error {
	n := w.rand.IntN(2000) + 1
	g := w.soak.ledger.begin("copy in", n)
	var in strings.Builder
	for k := range n {
		fmt.Fprintf(&in, "%d\t%d\n", g, k)
	}
	var from io.Reader = strings.NewReader(in.String())
	if w.rand.IntN(5) == 0 {
		from = breaks{from}
	}
	_, err := w.conn.PgConn().CopyFrom(ctx, from, "COPY flow (g, k) FROM STDIN")
	w.soak.ledger.settle(g, fateOf(err))
	return err
}

func (w *worker) cursor(ctx context.Context) error {
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "DECLARE c CURSOR FOR SELECT id, note, email FROM big ORDER BY id", pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	next := int64(1)
	for range w.rand.IntN(5) + 1 {
		n := w.rand.IntN(300) + 1
		rows, err := tx.Query(ctx, fmt.Sprintf("FETCH %d FROM c", n), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		for ; rows.Next(); next++ {
			var id int64
			var note, email string
			err := rows.Scan(&id, &note, &email)
			if err == nil {
				err = scanned(id, note, email, next)
			}
			if err != nil {
				rows.Close()
				return err
			}
		}
		if rows.Err() != nil {
			return rows.Err()
		}
	}
	if w.rand.IntN(2) == 0 {
		return tx.Rollback(ctx)
	}
	return tx.Commit(ctx)
}

// pipeline sends reads and inserts without waiting for answers; now and then one of
// them must be asked for, or is denied and takes all of it along.
func (w *worker) pipeline(ctx context.Context) error {
	var b pgx.Batch
	n := w.rand.IntN(8) + 2
	inserts := w.rand.IntN(3)
	g := w.soak.ledger.begin("pipeline", inserts)
	for k := range n {
		if k < inserts {
			table := "flow"
			if w.rand.IntN(6) == 0 {
				table = "asked"
			}
			b.Queue("INSERT INTO "+table+" VALUES ($1, $2)", g, k)
		}
		want := w.rand.Int64()
		b.Queue("SELECT $1::int8", want).QueryRow(func(row pgx.Row) error {
			var got int64
			if err := row.Scan(&got); err != nil {
				return err
			}
			if got != want {
				return wrong("in a pipeline: asked for %d, got %d", want, got)
			}
			return nil
		})
	}
	denied := w.rand.IntN(6) == 0
	if denied {
		b.Queue("DELETE FROM big WHERE id = $1", w.rand.Int64N(bigRows)+1)
	}
	err := w.conn.SendBatch(ctx, &b).Close()
	w.soak.ledger.settle(g, fateOf(err))
	if err == nil && denied {
		return wrong("a denied DELETE in a pipeline was answered with success")
	}
	return err
}

func (w *worker) insert(ctx context.Context) error { return w.insertInto(ctx, "flow", "insert", 3) }

func (w *worker) asked(ctx context.Context) error {
	return w.insertInto(ctx, "asked", "held insert", 3)
}

// insertInto inserts one row or some, at most so many, by one statement.
func (w *worker) insertInto(ctx context.Context, table, what string, most int) error {
	rows := w.rand.IntN(most) + 1
	g := w.soak.ledger.begin(what, rows)
	err := w.insertRows(ctx, table, g, rows)
	w.soak.ledger.settle(g, fateOf(err))
	return err
}

func (w *worker) insertRows(ctx context.Context, table string, g int64, rows int) error {
	values := make([]string, rows)
	for k := range values {
		values[k] = fmt.Sprintf("($1, %d)", k)
	}
	_, err := w.conn.Exec(ctx, "INSERT INTO "+table+" VALUES "+strings.Join(values, ", "), w.mode(), g)
	return err
}

// calledOff asks for an insert, cancels while it waits (or a moment too late), and
// sometimes asks the same again: that finds the approval, and runs once.
func (w *worker) calledOff(ctx context.Context) error {
	g := w.soak.ledger.begin("held, called off", 1)
	ask := func() error {
		_, err := w.conn.Exec(ctx, fmt.Sprintf("INSERT INTO asked VALUES (%d, 0)", g), pgx.QueryExecModeSimpleProtocol)
		w.soak.ledger.settle(g, fateOf(err))
		return err
	}
	err := w.cancelAfter(ctx, time.Duration(w.rand.IntN(60))*time.Millisecond, ask)
	if fateOf(err) == refused && w.rand.IntN(2) == 0 {
		w.soak.ledger.count("held, called off: asked again")
		return ask()
	}
	return err
}

// cancelAfter runs do, and asks for its cancellation meanwhile.
func (w *worker) cancelAfter(ctx context.Context, after time.Duration, do func() error) error {
	ended, gone := make(chan struct{}), make(chan struct{})
	pg := w.conn.PgConn()
	go func() {
		defer close(gone)
		select {
		case <-ended:
		case <-time.After(after):
			w.soak.ledger.count("fault cancel request")
			_ = pg.CancelRequest(ctx) // lost with whatever else is being broken
		}
	}()
	err := do()
	close(ended)
	<-gone
	return err
}

func (w *worker) refused(ctx context.Context) error {
	// Many shapes: one that a person has refused needs a person more when it is asked
	// again, and there is none.
	err := w.insertInto(ctx, "refused", "refused insert", 60)
	if err == nil {
		return wrong("an insert that a person refuses was answered with success")
	}
	return err
}

func (w *worker) late(ctx context.Context) error {
	err := w.insertInto(ctx, "late", "expired insert", 3)
	if err == nil {
		return wrong("an insert that nobody answers was answered with success")
	}
	return err
}

func (w *worker) denied(ctx context.Context) error {
	_, err := w.conn.Exec(ctx, "DELETE FROM big WHERE id = $1", w.mode(), w.rand.Int64N(bigRows)+1)
	if err == nil {
		return wrong("a denied DELETE was answered with success")
	}
	return err
}

// transaction writes some rows, maybe one that waits for a person, maybe something
// denied, and ends by COMMIT or ROLLBACK.
func (w *worker) transaction(ctx context.Context) error {
	rows := w.rand.IntN(4) + 1
	g := w.soak.ledger.begin("transaction", rows)
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		w.soak.ledger.settle(g, refused) // nothing was asked
		return err
	}
	for k := range rows {
		table := "flow"
		if w.rand.IntN(10) == 0 {
			table = "asked"
		}
		if _, err := tx.Exec(ctx, "INSERT INTO "+table+" VALUES ($1, $2)", w.mode(), g, k); err != nil {
			w.soak.ledger.settle(g, refused) // a transaction that was not committed
			return err
		}
	}
	if w.rand.IntN(8) == 0 {
		if _, err := tx.Exec(ctx, "DELETE FROM big"); err == nil {
			return wrong("a denied DELETE in a transaction was answered with success")
		}
		// What was denied took the transaction along: COMMIT must be a ROLLBACK.
		err := tx.Commit(ctx)
		w.soak.ledger.settle(g, refused)
		if err == nil {
			return wrong("a transaction committed after a denial")
		}
		if errors.Is(err, pgx.ErrTxCommitRollback) {
			return nil
		}
		return err
	}
	if w.rand.IntN(4) == 0 {
		w.soak.ledger.settle(g, refused)
		return tx.Rollback(ctx)
	}
	err = tx.Commit(ctx)
	w.soak.ledger.settle(g, fateOf(err))
	return err
}

// slow reads for some tenths of a second, and mostly doesn't wait for the end.
func (w *worker) slow(ctx context.Context) error {
	return w.cancelAfter(ctx, time.Duration(w.rand.IntN(150))*time.Millisecond, func() error {
		var n int64
		err := w.conn.QueryRow(ctx, "SELECT count(*) FROM big a, big b WHERE a.id <= 300 AND b.id > 0", pgx.QueryExecModeSimpleProtocol).Scan(&n)
		if err == nil && n != 300*bigRows {
			return wrong("counted %d rows of %d", n, 300*bigRows)
		}
		return err
	})
}
