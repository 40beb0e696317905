package demo

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestEmbeddedSpeaksPostgreSQL(t *testing.T) {
	ctx := context.Background()
	pw := newPassword()
	e, err := startEmbedded(ctx, t.TempDir()+"/demo.db", "shop", pw)
	if err != nil {
		t.Fatal(err)
	}
	defer e.stop()
	_, port, _ := net.SplitHostPort(e.addr.String())
	dsn := func(password string) string {
		return fmt.Sprintf("postgres://shop:%s@127.0.0.1:%s/shop?sslmode=disable", password, port)
	}
	if _, err := pgx.Connect(ctx, dsn("wrong")); err == nil {
		t.Fatal("a wrong password was taken")
	}
	c, err := pgx.Connect(ctx, dsn(pw))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	var n int64
	if err := c.QueryRow(ctx, "SELECT count(*) AS n FROM customers WHERE region = $1", "EU").Scan(&n); err == nil {
		t.Log("count by text parameter:", n)
	} else {
		t.Fatal(err)
	}
	rows, err := c.Query(ctx, "SELECT id, email, card_number FROM customers ORDER BY id LIMIT 3")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil || len(got) != 3 {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	if got[0]["id"] != int64(1) || got[0]["email"] != "bela.abara1@example.com" {
		t.Errorf("first row: %v", got[0])
	}
	if _, err := c.Exec(ctx, "GRANT ALL ON customers TO shop"); err == nil {
		t.Error("GRANT is not SQLite's, and yet it ran")
	}
}
