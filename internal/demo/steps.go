package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func (s *story) readOrders(ctx context.Context) error {
	s.step("It reads a few orders")
	c, err := s.connect(ctx, nil)
	if err != nil {
		return err
	}
	s.reads = c
	rows, err := s.query(ctx, c, "SELECT id, item, quantity, status FROM orders ORDER BY id LIMIT 3")
	if err != nil {
		return fmt.Errorf("reading orders: %w", err)
	}
	if len(rows) != 3 {
		return fmt.Errorf("%d orders came back, not 3", len(rows))
	}
	s.good("allowed by policy, at once: harmless reads flow")
	return nil
}

func (s *story) readCustomers(ctx context.Context) error {
	s.step("It reads customers, with their e-mail addresses and card numbers")
	rows, err := s.query(ctx, s.reads, "SELECT id, full_name, email, card_number FROM customers ORDER BY id LIMIT 3")
	if err != nil {
		return fmt.Errorf("reading customers: %w", err)
	}
	if err := mustNotLeak(fmt.Sprint(rows)); err != nil {
		return err
	}
	if len(rows) != 3 || !strings.HasSuffix(rows[0][3], testCard(1)[12:]) {
		return errors.New("the masked rows do not look as told: four digits of a card should show")
	}
	s.good("allowed, and masked on the way through: the agent never had them")
	return nil
}

// query runs a read and prints what the agent got.
func (s *story) query(ctx context.Context, c *pgx.Conn, text string) ([][]string, error) {
	s.sql(text)
	rows, err := c.Query(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var head []string
	for _, f := range rows.FieldDescriptions() {
		head = append(head, f.Name)
	}
	var out [][]string
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		var line []string
		for _, v := range values {
			line = append(line, fmt.Sprint(v))
		}
		out = append(out, line)
	}
	if rows.Err() == nil {
		s.table(head, out)
	}
	return out, rows.Err()
}

// exported is what an export brought back, or why it brought nothing.
type exported struct {
	data []byte
	rows int64
	err  error
}

// exportSQL is the whole table, or one region of it: COPY where the database has it.
func (s *story) exportSQL(region string) string {
	q := "SELECT id, full_name, email, card_number, region FROM customers"
	if region != "" {
		q += " WHERE region = '" + region + "'"
	}
	if s.db.real {
		q = "COPY (" + q + ") TO STDOUT WITH (FORMAT csv, HEADER)"
	}
	return q
}

func (s *story) runExport(ctx context.Context, c *pgx.Conn, text string) exported {
	var buf bytes.Buffer
	if s.db.real {
		tag, err := c.PgConn().CopyTo(ctx, &buf, text)
		return exported{buf.Bytes(), tag.RowsAffected(), err}
	}
	rows, err := c.Query(ctx, text, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return exported{err: err}
	}
	defer rows.Close()
	n := int64(0)
	for ; rows.Next(); n++ {
		for i, v := range rows.RawValues() {
			if i > 0 {
				buf.WriteByte(',')
			}
			buf.Write(v)
		}
		buf.WriteByte('\n')
	}
	return exported{buf.Bytes(), n, rows.Err()}
}

// export is held; while it waits the agent tries to grant itself a role.
func (s *story) export(ctx context.Context) error {
	s.step("It exports the whole customer table")
	c, err := s.connect(ctx, func(n string) { s.held("the gate tells the agent: %s", n) })
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	text := s.exportSQL("")
	s.sql(text)
	done := make(chan exported, 1)
	go func() { done <- s.runExport(ctx, c, text) }()
	a, err := s.waiting(ctx, done, "")
	if err != nil {
		return err
	}
	s.held("held: %s", a.ID)
	s.held("reviewers are shown: %s", a.Preview.Describe())
	if err := s.grantItself(ctx); err != nil {
		return err
	}
	if err := s.approve(ctx, a); err != nil {
		return err
	}
	var got exported
	select {
	case got = <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.resumed(ctx, a.ID, got)
}

// waiting finds the approval that an export created, other than not.
func (s *story) waiting(ctx context.Context, done <-chan exported, not string) (*approval.Approval, error) {
	deadline := time.After(30 * time.Second)
	for {
		list, err := s.srv.Approvals().List(ctx, approval.Filter{States: []approval.State{approval.Pending}})
		if err != nil {
			return nil, err
		}
		for _, a := range list {
			if a.ID != not {
				return a, nil
			}
		}
		select {
		case got := <-done:
			return nil, fmt.Errorf("the export was not held: %d rows, %w", got.rows, errOrNone(got.err))
		case <-deadline:
			return nil, errors.New("the export was neither held nor answered within 30 seconds")
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func errOrNone(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

func (s *story) grantItself(ctx context.Context) error {
	s.step("While that waits, on its other connection it tries to grant itself a role")
	text := "GRANT pg_read_all_data TO shop_app"
	s.sql(text)
	_, err := s.reads.Exec(ctx, text)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "42501" {
		return fmt.Errorf("granting itself a role should be refused with SQLSTATE 42501, and was: %w", errOrNone(err))
	}
	s.refused("%s (SQLSTATE %s)", pg.Message, pg.Code)
	var one int
	if err := s.reads.QueryRow(ctx, "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("the refusal should leave the connection usable: %w", err)
	}
	s.good("the connection lives on: the refusal is an ordinary error")
	return nil
}

// approve lets the person decide, or in auto mode decides as a second identity;
// the owner of the agent tries first and is refused.
func (s *story) approve(ctx context.Context, a *approval.Approval) error {
	s.step("A person decides")
	own, err := s.as(ctx, owner)
	if err != nil {
		return err
	}
	if err := review(ctx, own, a.ID, "approve", "it is my agent"); err == nil {
		return errors.New("the owner of the agent could approve what it asks")
	}
	s.refused("Dana, who owns the agent, tries to approve it: refused, whoever asked may not answer")
	if s.o.Auto {
		mira, err := s.as(ctx, reviewer)
		if err != nil {
			return err
		}
		if err := review(ctx, mira, a.ID, "approve", "planned migration"); err != nil {
			return fmt.Errorf("the approval by Mira: %w", err)
		}
		s.good("Mira Kovac of data-owners approves, over the API")
		return nil
	}
	return s.waitForPerson(ctx, a)
}

func (s *story) waitForPerson(ctx context.Context, a *approval.Approval) error {
	token, err := s.srv.Mint(ctx, identity.MintRequest{Kind: identity.KindPerson, Subject: "person:" + reviewer, Scopes: []string{identity.ScopeReview, identity.ScopeRead}, TTL: time.Hour, By: "demo"})
	if err != nil {
		return err
	}
	s.line("   Now it is your turn. Decide in the console, or in another terminal:")
	s.line("     ASSENT_URL=%s ASSENT_TOKEN=%s assent approve %s", s.srv.URL(), token, a.ID)
	if s.o.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.o.Wait)
		defer cancel()
	}
	got, err := s.srv.Approvals().Wait(ctx, a.ID)
	if err != nil {
		return fmt.Errorf("waiting for your decision: %w", err)
	}
	switch got.State {
	case approval.Denied:
		s.refused("you denied it: the export gets an ordinary error and the story ends here")
		return errors.New("the export was denied, so the rest of the story has nothing to show (run it again and approve)")
	case approval.Expired:
		return errors.New("nobody decided in time, so it expired: silence is not consent")
	}
	s.good("approved")
	return nil
}

// as is an API client of a person.
func (s *story) as(ctx context.Context, person string) (*client.Client, error) {
	token, err := s.srv.Mint(ctx, identity.MintRequest{Kind: identity.KindPerson, Subject: "person:" + person, Scopes: []string{identity.ScopeReview, identity.ScopeRead}, TTL: time.Hour, By: "demo"})
	if err != nil {
		return nil, err
	}
	return client.New(s.srv.URL(), token, nil)
}

// review reads an approval and answers it as it was read.
func review(ctx context.Context, c *client.Client, id, decision, reason string) error {
	a, err := c.Approval(ctx, id)
	if err != nil {
		return err
	}
	_, err = c.Review(ctx, a, decision, reason)
	return err
}

// resumed checks what the export brought after the approval.
func (s *story) resumed(ctx context.Context, id string, got exported) error {
	s.step("The export resumes, in the same connection")
	if got.err != nil {
		return fmt.Errorf("the approved export: %w", got.err)
	}
	if got.rows != customers {
		return fmt.Errorf("%d rows came, not %d", got.rows, customers)
	}
	if err := mustNotLeak(string(got.data)); err != nil {
		return err
	}
	a, err := s.executed(ctx, id)
	if err != nil {
		return err
	}
	s.good("%d rows, still masked, under grant %s: signed, single use, bound to %s", got.rows, a.GrantID, short(a.Digest.String()))
	if s.o.Data != "" {
		file := filepath.Join(s.dir, "export.csv")
		if err := os.WriteFile(file, got.data, 0o600); err != nil {
			return fmt.Errorf("keeping the export: %w", err)
		}
		s.line("     kept as %s", file)
	}
	return nil
}

// executed waits until the outcome is recorded: the reply reaches the agent first.
func (s *story) executed(ctx context.Context, id string) (*approval.Approval, error) {
	for range 200 {
		a, err := s.srv.Approvals().Get(ctx, id)
		if err != nil {
			return nil, err
		}
		if a.State == approval.Executed {
			return a, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(25 * time.Millisecond):
		}
	}
	return nil, errors.New("the approval did not come to be executed")
}

func short(digest string) string {
	if len(digest) > 19 {
		return digest[:19] + "…"
	}
	return digest
}

// again shows that an approval belongs to one exact action.
func (s *story) again(ctx context.Context) error {
	s.step("It asks once more, with one argument changed")
	c, err := s.connect(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	text := s.exportSQL("EU")
	s.sql(text)
	actx, leave := context.WithCancel(ctx)
	defer leave()
	done := make(chan exported, 1)
	go func() { done <- s.runExport(actx, c, text) }()
	a, err := s.waiting(ctx, done, "")
	if err != nil {
		return err
	}
	s.held("held again as %s: the approval was for the other one, and is used up", a.ID)
	if !s.o.Auto {
		leave()
		<-done
		s.good("nobody answers this one: the agent leaves, and it will expire by itself")
		return nil
	}
	mira, err := s.as(ctx, reviewer)
	if err != nil {
		return err
	}
	if err := review(ctx, mira, a.ID, "deny", "one export was agreed"); err != nil {
		return fmt.Errorf("the denial by Mira: %w", err)
	}
	got := <-done
	var pg *pgconn.PgError
	if !errors.As(got.err, &pg) || pg.Code != "42501" {
		return fmt.Errorf("the denied export should be refused with SQLSTATE 42501, and was: %w", errOrNone(got.err))
	}
	s.refused("Mira denies it: %s", pg.Message)
	return nil
}

// prove verifies the log and prints the proof of the export's record.
func (s *story) prove(ctx context.Context) error {
	s.step("The log proves it")
	if s.reads != nil {
		_ = s.reads.Close(ctx)
		s.reads = nil
	}
	lines, err := s.srv.VerifyLog(ctx)
	if err != nil {
		return fmt.Errorf("verifying the log: %w", err)
	}
	for _, l := range lines {
		s.good("%s", l)
	}
	proof, err := s.srv.ProofOfExecution(ctx)
	if err != nil {
		return fmt.Errorf("proving the export's record: %w", err)
	}
	s.line("")
	s.line("   Proof that the export's start is in the log (C2SP tlog-proof), and the checkpoint it leads to:")
	s.line("")
	for _, l := range strings.Split(strings.TrimRight(proof, "\n"), "\n") {
		s.line("     %s", l)
	}
	if s.o.Data != "" {
		s.line("")
		s.line("   Check it yourself: assent verify --data %s", filepath.Join(s.dir, "data"))
	}
	return nil
}
