package mysql_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
)

// A talker speaks the protocol by hand, as an attacker would.
type talker struct {
	t     *testing.T
	clear bool // the token goes as it is, as some clients do
	net.Conn
	r *bufio.Reader
}

func talk(t *testing.T, addr string) *talker {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return &talker{t: t, Conn: c, r: bufio.NewReader(c)}
}

func (k *talker) send(seq byte, body []byte) {
	k.t.Helper()
	n := len(body)
	if _, err := k.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}, body...)); err != nil {
		k.t.Fatal(err)
	}
}

func (k *talker) read() (seq byte, body []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(k.r, head[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err = io.ReadFull(k.r, body)
	return head[3], body, err
}

// login logs in with these capabilities, over loopback without TLS, by RSA as clients do.
func (k *talker) login(caps uint32) {
	k.t.Helper()
	_, greeting, err := k.read()
	if err != nil {
		k.t.Fatal(err)
	}
	at := bytes.IndexByte(greeting, 0) + 1 + 4
	scramble := append(bytes.Clone(greeting[at:at+8]), greeting[at+8+1+2+1+2+2+1+10:][:12]...)
	m := binary.LittleEndian.AppendUint32(nil, caps)
	m = append(binary.LittleEndian.AppendUint32(m, 1<<24), 45)
	m = append(append(m, make([]byte, 23)...), gatetest.User+"\x00"...)
	m = append(append(m, 32), make([]byte, 32)...)
	k.send(1, append(m, "shop\x00caching_sha2_password\x00"...))
	if _, b, err := k.read(); err != nil || !bytes.Equal(b, []byte{1, 4}) {
		k.t.Fatalf("no full authentication: %q, %v", b, err)
	}
	if k.clear {
		k.send(3, append([]byte(gatetest.Token), 0))
		if _, b, err := k.read(); err != nil || b[0] != 0 {
			k.t.Fatalf("not logged in: %q, %v", b, err)
		}
		return
	}
	k.send(3, []byte{2})
	_, key, err := k.read()
	if err != nil || key[0] != 1 {
		k.t.Fatalf("no key: %q, %v", key, err)
	}
	plain := append([]byte(gatetest.Token), 0)
	for i := range plain {
		plain[i] ^= scramble[i%20]
	}
	k.send(5, oaep(k.t, key[1:], plain))
	if _, b, err := k.read(); err != nil || b[0] != 0 {
		k.t.Fatalf("not logged in: %q, %v", b, err)
	}
}

const clientCaps = 1 | 1<<3 | 1<<9 | 1<<13 | 1<<15 | 1<<17 | 1<<18 | 1<<19

// Commands that are on no list are refused, and the session lives on; several statements, files and
// compression are not had by setting their capability.
func TestCommandsOnNoList(t *testing.T) {
	customers(t)
	addr := serve(t, &gatetest.Authority{}, nil)
	k := talk(t, addr)
	k.login(clientCaps | 1<<5 | 1<<7 | 1<<16 | 1<<24 | 1<<27) // COMPRESS, LOCAL_FILES, MULTI_STATEMENTS, DEPRECATE_EOF, QUERY_ATTRIBUTES
	for _, command := range [][]byte{
		{0x00},
		append([]byte{0x04}, "customers\x00"...), append([]byte{0x05}, "x"...), append([]byte{0x06}, "shop"...),
		{0x07, 1},
		{0x08, 0},
		{0x0a},
		{0x0c, 1, 0, 0, 0},
		{0x0d},
		append([]byte{0x11}, "root\x00\x00shop\x00"...),
		{0x12, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0},
		{0x13},
		{0x15},
		{0x1b, 0, 0},
		{0x1c, 1, 0, 0, 0, 1, 0, 0, 0},
		{0x1e},
		{0x20},
		{0xfa, 1, 0, 0, 0},
		{0xff},
		{0x80},
	} {
		k.send(0, command)
		if _, b, err := k.read(); err != nil || b[0] != 0xff {
			t.Errorf("command %#x: %q, %v", command[0], b, err)
		}
	}
	k.send(0, append([]byte{3}, "SELECT count(*) FROM customers"...))
	if seq, b, err := k.read(); err != nil || seq != 1 || b[0] != 1 {
		t.Errorf("the session does not live on: %d %q, %v", seq, b, err)
	}
}

// Packets that a client of the protocol would not send end the connection, with a record.
func TestMalformedPackets(t *testing.T) {
	a := &gatetest.Authority{}
	addr := serve(t, a, nil)
	for name, command := range map[string][]byte{
		"empty": {}, "ping with a body": {0x0e, 1}, "execute without an id": {0x17, 1}, "long data without an id": {0x18, 1}, "close with more": {0x19, 1, 0, 0, 0, 9},
	} {
		k := talk(t, addr)
		k.login(clientCaps)
		k.send(0, command)
		_, b, err := k.read()
		if err == nil && b[0] == 0xff {
			_, _, err = k.read()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if len(a.Refusals()) < 5 {
		t.Errorf("refusals: %v", a.Refusals())
	}
}

// Parameters of a prepared statement are told apart from what was prepared: an execute that was not
// prepared, with a cursor, or with parameters that don't fit.
func TestPreparedByHand(t *testing.T) {
	customers(t)
	a := &gatetest.Authority{}
	k := talk(t, serve(t, a, nil))
	k.clear = true
	k.login(clientCaps)
	execute := func(id, flags byte, rest ...byte) []byte {
		k.send(0, append([]byte{0x17, id, 0, 0, 0, flags, 1, 0, 0, 0}, rest...))
		_, b, err := k.read()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if b := execute(1, 0); b[0] != 0xff || !strings.Contains(string(b), "prepare it again") {
		t.Errorf("an unknown statement: %q", b)
	}
	k.send(0, append([]byte{0x16}, "DELETE FROM customers WHERE id = ?"...))
	_, b, err := k.read()
	if err != nil || b[0] != 0 {
		t.Fatalf("preparing: %q, %v", b, err)
	}
	id := b[1]
	for range 2 { // one parameter, and the end
		if _, _, err := k.read(); err != nil {
			t.Fatal(err)
		}
	}
	if b := execute(id, 1, 0, 1, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0); b[0] != 0xff || !strings.Contains(string(b), "cursors") {
		t.Errorf("a cursor: %q", b)
	}
	if len(a.Actions()) != 0 {
		t.Errorf("asked about %d actions", len(a.Actions()))
	}
	// MariaDB's clients may name the newest by -1. It is the newest that the server has, too: none after one that was refused.
	k.send(0, append([]byte{0x16}, "SELECT 5 FROM customers WHERE id = 1"...))
	for range 3 {
		if _, _, err := k.read(); err != nil {
			t.Fatal(err)
		}
	}
	k.send(0, []byte{0x17, 255, 255, 255, 255, 0, 1, 0, 0, 0})
	for range 5 {
		if _, b, err := k.read(); err != nil || b[0] == 0xff {
			t.Fatalf("the newest: %q, %v", b, err)
		}
	}
	k.send(0, append([]byte{0x16}, "PREPARE x FROM 'SELECT 1'"...))
	if _, b, err := k.read(); err != nil || b[0] != 0xff {
		t.Fatalf("%q, %v", b, err)
	}
	k.send(0, []byte{0x17, 255, 255, 255, 255, 0, 1, 0, 0, 0})
	if _, b, err := k.read(); err != nil || b[0] != 0xff || !strings.Contains(string(b), "prepare it again") {
		t.Fatalf("the newest, which was refused: %q, %v", b, err)
	}
	// A part of the parameter comes ahead: people see all of it.
	k.send(0, append([]byte{0x18, id, 0, 0, 0, 0, 0}, "77"...))
	k.send(0, append([]byte{0x18, id, 0, 0, 0, 0, 0}, "88"...))
	if b := execute(id, 0, 0, 1, 253, 0); b[0] != 0 {
		t.Errorf("with a parameter in pieces: %q", b)
	}
	if got := a.Actions()[1:]; len(got) != 1 || !strings.Contains(got[0].Statement, `?1 = "7788"`) || !bytes.Contains(got[0].Payload, []byte("7788")) {
		t.Errorf("asked about %+v", got)
	}
}

// A limit that is reached in mid-stream ends the statement, and the session lives on.
func TestLimitInMidStream(t *testing.T) {
	direct(t, "DROP TABLE IF EXISTS many", "CREATE TABLE many (id int, v varchar(200))", "INSERT INTO many SELECT seq, repeat('x', 150) FROM seq_1_to_20000")
	a := &limited{Authority: &gatetest.Authority{}, rows: 1000}
	db := open(t, serve(t, a, nil), "")
	rows, err := db.Query("SELECT * FROM many")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err == nil || !strings.Contains(err.Error(), "limit") || n > 1000 {
		t.Errorf("%d rows, %v", n, err)
	}
	_ = rows.Close()
	var one int
	if err := db.QueryRow("SELECT id FROM many LIMIT 1").Scan(&one); err != nil {
		t.Errorf("the session does not live on: %v", err)
	}
}

// limited permits as gatetest's authority does, with a limit of rows for each action.
type limited struct {
	*gatetest.Authority
	rows int64
}

func (l *limited) Login(ctx context.Context, v gate.Verifier, from gate.Peer) (gate.Session, error) {
	s, err := l.Authority.Login(ctx, v, from)
	return &limitedSession{s, l.rows}, err
}

type limitedSession struct {
	gate.Session
	rows int64
}

func (s *limitedSession) Enforce(ctx context.Context, a *action.Action, h gate.Hooks) (gate.Permit, error) {
	p, err := s.Session.Enforce(ctx, a, h)
	if err != nil {
		return nil, err
	}
	return &limitedPermit{Permit: p, left: s.rows}, nil
}

type limitedPermit struct {
	gate.Permit
	left int64
}

func (p *limitedPermit) Count(rows, bytes int64) error {
	if p.left -= rows; p.left < 0 {
		return &gate.Denied{Status: gate.StatusLimit, Reason: "the limit of rows was reached"}
	}
	return p.Permit.Count(rows, bytes)
}

// A session that begins anew loses its variables, statements and settings, and so does the gate.
func TestResetConnection(t *testing.T) {
	customers(t)
	a := &gatetest.Authority{}
	k := talk(t, serve(t, a, nil))
	k.login(clientCaps)
	ok := func(command ...byte) {
		t.Helper()
		k.send(0, command)
		if _, b, err := k.read(); err != nil || b[0] != 0 {
			t.Fatalf("%q: %q, %v", command, b, err)
		}
	}
	ok(append([]byte{3}, "SET @x = (SELECT email FROM customers WHERE id = 1)"...)...)
	ok(0x1f)
	k.send(0, append([]byte{3}, "SELECT @x, @@sql_mode FROM customers"...))
	for range 7 { // the number of columns, two of them, an end, two rows, an end
		if _, b, err := k.read(); err != nil || b[0] == 0xff {
			t.Fatalf("%q, %v", b, err)
		}
	}
	if last := a.Actions()[1]; len(last.Columns[0].Sources) > 0 {
		t.Errorf("after the reset @x comes from %v", last.Columns[0].Sources)
	}
}
