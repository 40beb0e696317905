package server

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sqldriver "github.com/go-sql-driver/mysql"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/gates/mysql/mariadbtest"
	"github.com/assenthq/assent/internal/identity"
)

// An agent in front of a real MariaDB, under the built-in policy: what is sensitive is masked by its column,
// through a view and in prepared statements too, and what changes something waits for a person. The same
// where the gate runs in a process of its own.
func TestMySQLGate(t *testing.T) {
	_ = sqldriver.SetLogger(quietDriver{})
	db, err := mariadbtest.Start(context.Background(), "CREATE DATABASE shop CHARACTER SET utf8mb4", "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'real-password'", "GRANT ALL ON shop.* TO app@'127.0.0.1'",
		"USE shop; CREATE TABLE customers (id int PRIMARY KEY, email varchar(100), code varchar(20), note text, born date)",
		"USE shop; INSERT INTO customers VALUES (1, 'mira.planted@example.com', 'ZZ-9-PLANTED', 'call 4111 1111 1111 1111', '1990-02-03')",
		"USE shop; CREATE VIEW contacts AS SELECT id, email AS reach, code AS k FROM customers")
	if err != nil {
		t.Fatal("the tests need a real MariaDB: ", err)
	}
	defer func() {
		if err := db.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, away := range []bool{false, true} {
		t.Run(map[bool]string{false: "here", true: "elsewhere"}[away], func(t *testing.T) { guardMySQL(t, db, away) })
	}
}

type quietDriver struct{}

func (quietDriver) Print(...any) {}

func guardMySQL(t *testing.T, db *mariadbtest.Server, away bool) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("real-password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	upstream := fmt.Sprintf(`host: 127.0.0.1, port: %d, database: shop, tls: "off"`, db.Port)
	shop := "\n    listen: 127.0.0.1:0\n    upstream: { " + upstream + ", user: app, password: { file: pw } }"
	here, remote := shop, ""
	if away {
		here, remote = "\n    at: there\n    upstream: { "+upstream+" }", "remote: { listen: 127.0.0.1:0 }\n"
	}
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(remote+`
data: data
listen: 127.0.0.1:0
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
columns: { customers.code: us-ssn }
gates:
  - name: shop
    type: mysql
    env: prod`+here))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	addr := s.GateAddrs()["shop"]
	if away {
		process := newElsewhere(t, s, dir, "control: 127.0.0.1:1\ndata: there\ngates:\n  - name: shop\n    type: mysql\n    env: prod"+shop)
		process.start()
		defer process.end()
		addr = process.GateAddrs()["shop"]
	}
	token, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	agent, err := sql.Open("mysql", fmt.Sprintf("worker:%s@tcp(%s)/shop", token, addr))
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Close()
	agent.SetMaxOpenConns(1)

	planted := []string{"mira.planted", "ZZ-9-PLANTED", "4111 1111"}
	for _, q := range []string{"SELECT * FROM customers", "SELECT reach, k FROM contacts", "SELECT k AS harmless FROM (SELECT * FROM contacts) t", "SELECT concat(k, ' ', reach) FROM contacts", "SELECT note FROM customers WHERE id = ?"} {
		var args []any
		if strings.Contains(q, "?") {
			args = append(args, 1)
		}
		for _, prepared := range []bool{false, true} {
			var rows *sql.Rows
			if prepared {
				st, perr := agent.Prepare(q)
				if perr != nil {
					t.Fatal(perr)
				}
				rows, err = st.Query(args...)
				defer st.Close()
			} else if len(args) > 0 {
				continue
			} else {
				rows, err = agent.Query(q)
			}
			if err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			names, err := rows.Columns()
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for rows.Next() {
				n++
				values := make([]sql.NullString, len(names))
				dest := make([]any, len(names))
				for i := range values {
					dest[i] = &values[i]
				}
				if err := rows.Scan(dest...); err != nil {
					t.Fatal(err)
				}
				for _, v := range values {
					for _, p := range planted {
						if strings.Contains(v.String, p) {
							t.Errorf("%s (prepared %v) shows %q", q, prepared, v.String)
						}
					}
				}
			}
			if err := rows.Close(); err != nil || rows.Err() != nil || n != 1 {
				t.Errorf("%s (prepared %v): %d rows, %v, %v", q, prepared, n, err, rows.Err())
			}
		}
	}

	// A write waits for a person, and what was approved runs once.
	mira, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "person:mira", Scopes: []string{identity.ScopeReview, identity.ScopeRead}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(s.URL(), mira, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := agent.ExecContext(t.Context(), "UPDATE customers SET note = ? WHERE id = ?", "approved", 1)
		done <- err
	}()
	var id string
	for until := time.Now().Add(time.Minute); id == ""; time.Sleep(20 * time.Millisecond) {
		page, err := c.Approvals(t.Context(), client.ListOptions{States: []string{"pending"}})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Approvals) > 0 {
			id = page.Approvals[0].ID
			if a := page.Approvals[0]; !strings.Contains(a.Statement, `?1 = "approved"`) || a.Title != "Update shop.customers" || a.Preview == nil || a.Preview.Text != "would change at most 1 row of shop.customers" {
				t.Errorf("the card says %q: %q, %+v", a.Title, a.Statement, a.Preview)
			}
		}
		select {
		case err := <-done:
			t.Fatalf("the write did not wait: %v", err)
		default:
		}
		if time.Now().After(until) {
			t.Fatal("nothing waits for a person")
		}
	}
	if out, err := db.Root(t.Context(), "SELECT note FROM shop.customers"); err != nil || strings.Contains(out, "approved") {
		t.Fatalf("it ran before anybody approved: %q, %v", out, err)
	}
	waiting, err := c.Approvals(t.Context(), client.ListOptions{States: []string{"pending"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Review(t.Context(), waiting.Approvals[0], "approve", "test"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if out, err := db.Root(t.Context(), "SELECT note FROM shop.customers"); err != nil || out != "approved" {
		t.Errorf("after the approval: %q, %v", out, err)
	}
	// What people were shown is what runs: rows that come while it waits are not among them.
	root := func(text string) string {
		t.Helper()
		out, err := db.Root(t.Context(), "USE shop; "+text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	root("DROP TABLE IF EXISTS queue; CREATE TABLE queue (id int PRIMARY KEY, done int); INSERT INTO queue SELECT seq, seq > 18 FROM seq_1_to_50")
	for _, grows := range []bool{true, false} {
		go func() {
			_, err := agent.ExecContext(t.Context(), "UPDATE queue SET done = 2 WHERE done = ?", 0)
			done <- err
		}()
		a := nextPending(t, c)
		if p := a.Preview; p == nil || p.Text != "would change at most 18 rows of shop.queue" || p.Bound == nil || *p.Bound != 18 {
			t.Errorf("people were shown %+v", a.Preview)
		}
		if grows {
			root("INSERT INTO queue VALUES (6001, 0)")
		}
		if _, err := c.Review(t.Context(), a, "approve", "test"); err != nil {
			t.Fatal(err)
		}
		err := <-done
		if left := root("SELECT count(*) FROM queue WHERE done = 0"); grows && (err == nil || !strings.Contains(err.Error(), "grew since it was approved") || left != "19") {
			t.Errorf("a set that grew: %v, %s rows are left", err, left)
		} else if !grows && (err != nil || left != "0") {
			t.Errorf("a set as it was: %v, %s rows are left", err, left)
		}
		root("DELETE FROM queue WHERE id > 6000")
	}
	if _, err := db.Root(t.Context(), "UPDATE shop.customers SET note = 'call 4111 1111 1111 1111'"); err != nil {
		t.Fatal(err)
	}
}

// nextPending waits for the one approval that waits for people.
func nextPending(t *testing.T, c *client.Client) *client.Approval {
	t.Helper()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		page, err := c.Approvals(t.Context(), client.ListOptions{States: []string{"pending"}})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Approvals) > 0 {
			return page.Approvals[0]
		}
	}
	t.Fatal("nothing waits for a person")
	return nil
}
