package mysql_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	sqldriver "github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	classify "github.com/assenthq/assent/internal/classify/mysql"
	"github.com/assenthq/assent/internal/gates/mysql"
	"github.com/assenthq/assent/internal/gates/mysql/mariadbtest"
)

const realPassword = "the-real-credential-91f3"

// cluster is the one real server that all tests share; it is started by the
// first that needs it, so that a fuzzing worker starts none.
var cluster = sync.OnceValues(func() (*mariadbtest.Server, error) {
	return mariadbtest.Start(context.Background(),
		"CREATE DATABASE shop CHARACTER SET utf8mb4",
		"CREATE USER app@localhost IDENTIFIED BY '"+realPassword+"'", "CREATE USER app@'127.0.0.1' IDENTIFIED BY '"+realPassword+"'",
		"CREATE USER signer@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('"+realPassword+"')",
		"GRANT ALL ON *.* TO app@localhost", "GRANT ALL ON *.* TO app@'127.0.0.1'", "GRANT ALL ON shop.* TO signer@'127.0.0.1'",
	)
})

var clusterUsed bool

func server(t testing.TB) *mariadbtest.Server {
	t.Helper()
	clusterUsed = true
	s, err := cluster()
	if err != nil {
		t.Fatal("the tests need a real MariaDB: ", err)
	}
	return s
}

func TestMain(m *testing.M) {
	sqldriver.SetLogger(quiet{})
	code := m.Run()
	if clusterUsed {
		if s, err := cluster(); err == nil {
			if err := s.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

type quiet struct{}

func (quiet) Print(...any) {}

// direct runs statements beside the gate.
func direct(t testing.TB, statements ...string) string {
	t.Helper()
	out := ""
	for _, q := range statements {
		o, err := server(t).Root(context.Background(), "USE shop;\n"+q)
		if err != nil {
			t.Fatal(err)
		}
		out += o
	}
	return out
}

func TestConformance(t *testing.T) {
	direct(t, "DROP TABLE IF EXISTS conformance", "CREATE TABLE conformance(k int PRIMARY KEY, v text)", "INSERT INTO conformance VALUES (1, '')")
	for name, text := range map[string]bool{"text": true, "prepared": false} {
		t.Run(name, func(t *testing.T) {
			gatetest.Run(t, gatetest.Harness{
				Upstream: "127.0.0.1:" + strconv.Itoa(server(t).Port),
				Gate:     conformanceGate,
				Dial:     func(t *testing.T, addr string) gatetest.Client { return dialGate(t, addr, text) },
				IsWrite:  func(a *action.Action) bool { return a.Verb == "update" },
				Sent: func(a *action.Action, wire []byte) bool {
					// Text and parameters travel in two messages.
					statement, rest, prepared := bytes.Cut(a.Payload, []byte{0})
					if !prepared {
						return bytes.Contains(wire, statement)
					}
					params, _, _ := bytes.Cut(rest, []byte("\x00["))
					return bytes.Contains(wire, statement) && bytes.Contains(wire, append([]byte{0, 1, 0, 0, 0}, params...))
				},
			})
		})
	}
}

func conformanceGate(t *testing.T, upstream string, a gate.Authority) gate.Config {
	return newGate(t, upstream, a, nil).Config()
}

func newGate(t testing.TB, upstream string, a gate.Authority, change func(*mysql.Config)) *mysql.Gate {
	host, port, err := net.SplitHostPort(upstream)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	cfg := mysql.Config{
		Name: "conformance", Authority: a, Classifier: classify.New(classify.Options{}), Grace: time.Second,
		Upstream: mysql.Upstream{
			Host: host, Port: n, User: "app", Database: "shop", Plain: true,
			Password: func(context.Context) ([]byte, error) { return []byte(realPassword), nil },
		},
	}
	if change != nil {
		change(&cfg)
	}
	g, err := mysql.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

type client struct {
	mu   sync.Mutex // held while c is used
	c    driver.Conn
	raw  net.Conn
	text bool // else prepared statements of the protocol
}

func dialGate(t *testing.T, addr string, text bool) gatetest.Client {
	p := &client{text: text}
	cfg := sqldriver.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName, cfg.InterpolateParams = gatetest.User, gatetest.Token, "tcp", addr, "shop", text
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		p.raw = c
		return c, err
	}
	connector, err := sqldriver.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if p.c, err = connector.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *client) Write(v string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text {
		_, err := p.c.(driver.ExecerContext).ExecContext(context.Background(), "UPDATE conformance SET v = ? WHERE k = 1", []driver.NamedValue{{Ordinal: 1, Value: v}})
		return err
	}
	st, err := p.c.Prepare("UPDATE conformance SET v = ? WHERE k = ?")
	if err != nil {
		return err
	}
	defer st.Close()
	_, err = st.(driver.StmtExecContext).ExecContext(context.Background(), []driver.NamedValue{{Ordinal: 1, Value: v}, {Ordinal: 2, Value: int64(1)}})
	return err
}

func (p *client) Read() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st, err := p.c.Prepare("SELECT v FROM conformance WHERE k = 1")
	if p.text {
		st, err = nil, nil
	}
	if err != nil {
		return "", err
	}
	var rows driver.Rows
	if st == nil {
		rows, err = p.c.(driver.QueryerContext).QueryContext(context.Background(), "SELECT v FROM conformance WHERE k = 1", nil)
	} else {
		defer st.Close()
		rows, err = st.(driver.StmtQueryContext).QueryContext(context.Background(), nil)
	}
	if err != nil {
		return "", err
	}
	defer rows.Close()
	dest := make([]driver.Value, 1)
	if err := rows.Next(dest); err != nil {
		return "", err
	}
	v, _ := dest[0].([]byte)
	for {
		if err := rows.Next(dest); errors.Is(err, io.EOF) {
			return string(v), nil
		} else if err != nil {
			return "", err
		}
	}
}

func (p *client) Junk() error {
	if _, err := p.raw.Write([]byte("\x09\x00\x00\x07not a command")); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, p.raw)
	return err
}

func (p *client) Close() {
	_ = p.raw.Close() // at once, as a client that dies
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.c.Close()
}
