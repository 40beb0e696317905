//go:build !race

package server

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A statement that flows and was seen before is classified, decided, recorded,
// relayed, scanned, masked and counted without an allocation. One with parameters
// makes a portal, and what people would read of the parameters.
func TestSeenStatementAllocatesNothing(t *testing.T) {
	x := newTarget(t, attackCluster(t), "allocs", allocsPack)
	x.allocates(t, 0, 1, 4)
}

// Where it is traced its spans are made, and no more.
func TestTracedStatementAllocates(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes nothing, so that nothing is encoded meanwhile
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	x := newTarget(t, attackCluster(t), "allocs", allocsPack, `trace: { otlp: { url: "http://`+silent.Addr().String()+`/v1/traces", private: true } }`)
	x.allocates(t, 20, 20, 20)
}

// allocates says no when statements allocate more often: the same one again, one that is
// masked, and one that was prepared.
func (x *target) allocates(t *testing.T, same, masked, prepared float64) {
	t.Helper()
	_, port, _ := net.SplitHostPort(x.addr)
	c, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%s user=worker password=%s dbname=allocs sslmode=disable", port, x.token))
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Conn.Close() })
	in := bufio.NewReader(h.Conn)
	buf := make([]byte, 64<<10)
	exchange := func(message []byte) {
		if _, err := h.Conn.Write(message); err != nil {
			t.Fatal(err)
		}
		for {
			head, err := in.Peek(5)
			if err != nil {
				t.Fatal(err)
			}
			kind, n := head[0], int(binary.BigEndian.Uint32(head[1:]))+1
			if _, err := io.ReadFull(in, buf[:n]); err != nil {
				t.Fatal(err)
			}
			if kind == 'E' {
				t.Fatalf("refused: %q", buf[:n])
			}
			if kind == 'Z' {
				return
			}
		}
	}
	encode := func(messages ...pgproto3.FrontendMessage) (out []byte) {
		for _, m := range messages {
			if out, err = m.Encode(out); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	exchange(encode(&pgproto3.Parse{Name: "s", Query: "select id, item from orders where id = $1"}, &pgproto3.Sync{}))
	warm := 2200 // until the ring of what is shown live is full
	for _, tt := range []struct {
		name    string
		message []byte
		most    float64
	}{
		{"the same text", encode(&pgproto3.Query{String: "select id, item, quantity from orders where id = 7"}), same},
		{"masked", encode(&pgproto3.Query{String: "select id, full_name, email from customers where id = 1"}), masked}, // rows of a class are paid for in the ledger every hundred rows
		{"a prepared statement", encode(&pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("7")}}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{}), prepared},
	} {
		for range warm {
			exchange(tt.message)
		}
		warm = 100
		got := math.Inf(1)
		for n := 0; n < 5 || n < 40 && got > tt.most; n++ { // what the server does by the clock meanwhile is not its own
			got = min(got, testing.AllocsPerRun(200, func() { exchange(tt.message) }))
		}
		t.Logf("%s: %v allocations", tt.name, got)
		if got > tt.most {
			t.Errorf("%s allocates %v times, want at most %v", tt.name, got, tt.most)
		}
	}
}

const allocsPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: allocs, version: 1.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read, data.export] }
    then: allow
  - id: masked
    match: { actor: [agent] }
    then: mask
    mask: { pii: redact, pci: redact, secret: redact }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`
