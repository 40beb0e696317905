package mysql_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"

	"github.com/assenthq/assent/gate/gatetest"
	gatemysql "github.com/assenthq/assent/internal/gates/mysql"
)

// sha2 is an account of another implementation of the server's side.
type sha2 struct {
	cached bool // its hash is remembered, so the password itself is not asked for
	full   atomic.Int64
}

func (s *sha2) AuthMethods() []mysql.AuthMethod {
	return []mysql.AuthMethod{mysql.NewSha2CachingAuthMethod(s, s, s)}
}

func (s *sha2) DefaultAuthMethodDescription() mysql.AuthMethodDescription {
	return mysql.CachingSha2Password
}

func (s *sha2) HandleUser(user string, _ net.Addr) bool { return user == "app" }

func (s *sha2) UserEntryWithCacheHash(_ *mysql.Conn, salt []byte, _ string, answer []byte, _ net.Addr) (mysql.Getter, mysql.CacheState, error) {
	if s.cached && string(answer) == string(mysql.ScrambleCachingSha2Password(salt, []byte(realPassword))) {
		return &mysql.StaticUserData{}, mysql.AuthAccepted, nil
	}
	return nil, mysql.AuthNeedMoreData, nil
}

func (s *sha2) UserEntryWithPassword(_ *mysql.Conn, _, password string, _ net.Addr) (mysql.Getter, error) {
	s.full.Add(1)
	if password != realPassword {
		return nil, errors.New("another password")
	}
	return &mysql.StaticUserData{}, nil
}

// handler answers what a session is, and nothing else.
type handler struct{ mysql.Handler }

func (handler) NewConnection(*mysql.Conn)                   {}
func (handler) ConnectionClosed(*mysql.Conn)                {}
func (handler) ConnectionAuthenticated(*mysql.Conn) error   { return nil }
func (handler) ConnectionAborted(*mysql.Conn, string) error { return nil }
func (handler) ComInitDB(*mysql.Conn, string) error         { return nil }
func (handler) WarningCount(*mysql.Conn) uint16             { return 0 }
func (handler) ComQuery(_ context.Context, _ *mysql.Conn, query string, row mysql.ResultSpoolFn) error {
	values := []string{"", "utf8mb4", "utf8mb4", "shop", "SYSTEM", "utf8mb4_0900_ai_ci", "0"}
	if !strings.HasPrefix(query, "SELECT @@session.sql_mode") {
		return errors.New("nothing is here")
	}
	res := &sqltypes.Result{}
	var one []sqltypes.Value
	for _, v := range values {
		res.Fields = append(res.Fields, &querypb.Field{Name: "v", Type: sqltypes.VarChar, Charset: 45})
		one = append(one, sqltypes.NewVarChar(v))
	}
	res.Rows = [][]sqltypes.Value{one}
	return row(res, false)
}

// The real credential by caching_sha2_password: as a hash where the server remembers it, and in clear, inside
// TLS alone, where it does not.
func TestCachingSHA2Upstream(t *testing.T) {
	pair := pairFor(t)
	for _, cached := range []bool{true, false} {
		account := &sha2{cached: cached}
		l, err := mysql.NewListener("tcp", "127.0.0.1:0", account, handler{}, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		l.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
		go l.Accept()
		t.Cleanup(l.Close)
		to := func(c *gatemysql.Config) {
			c.Upstream.Host, c.Upstream.Port = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
			c.Upstream.Plain, c.Upstream.TLS = false, &tls.Config{RootCAs: poolOf(t, pair), ServerName: "localhost"}
		}
		if err := open(t, serve(t, &gatetest.Authority{}, to), "").Ping(); err != nil {
			t.Errorf("remembered %v: %v", cached, err)
		}
		if n := account.full.Load(); n > 0 == cached {
			t.Errorf("remembered %v: the password was sent %d times", cached, n)
		}
		err = open(t, serve(t, &gatetest.Authority{}, func(c *gatemysql.Config) {
			to(c)
			c.Upstream.Password = func(context.Context) ([]byte, error) { return []byte("another"), nil }
		}), "").Ping()
		if err == nil {
			t.Errorf("remembered %v: another password is taken", cached)
		}
	}
}

// Without TLS, on loopback, the real credential goes encrypted for the server's key. The server is a gate here:
// other implementations' clients log in to it by the same way in TestLogins.
func TestCachingSHA2WithoutTLS(t *testing.T) {
	customers(t)
	host, port, err := net.SplitHostPort(serve(t, &gatetest.Authority{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, serve(t, &gatetest.Authority{}, func(c *gatemysql.Config) {
		c.Upstream.Host, c.Upstream.User = host, gatetest.User
		c.Upstream.Port = portOf(t, port)
		c.Upstream.Password = func(context.Context) ([]byte, error) { return []byte(gatetest.Token), nil }
	}), "")
	var n int
	if err := db.QueryRow("SELECT count(*) FROM customers").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
}
