package gatetest_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
)

// TestRedis runs the suite over a gate for another protocol than ours.
func TestRedis(t *testing.T) {
	gatetest.Run(t, gatetest.Harness{
		Upstream: respServer(t),
		Gate: func(_ *testing.T, upstream string, a gate.Authority) gate.Config {
			return gate.Config{Name: "redis", Authority: a, Upstream: upstream, New: func() gate.Codec { return redis{} }, Grace: time.Second}
		},
		Dial:    dialRedis,
		IsWrite: func(a *action.Action) bool { return a.Verb == "set" },
	})
}

func TestRedisRefusesOtherCredentials(t *testing.T) {
	up := respServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = gate.Serve(t.Context(), l, gate.Config{Name: "redis", Authority: &gatetest.Authority{}, Upstream: up, New: func() gate.Codec { return redis{} }})
	}()
	for _, auth := range [][]string{{"AUTH", gatetest.User, "wrong"}, {"AUTH", "nobody", gatetest.Token}, {"GET", "k"}} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := &redisClient{conn, bufio.NewReader(conn)}
		if v, err := c.do(auth...); err == nil {
			t.Errorf("%v: %q", auth, v)
		}
		c.Close()
	}
}

type redisClient struct {
	net.Conn
	r *bufio.Reader
}

func dialRedis(t *testing.T, addr string) gatetest.Client {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &redisClient{conn, bufio.NewReader(conn)}
	if _, err := c.do("AUTH", gatetest.User, gatetest.Token); err != nil {
		t.Fatal("logging in:", err)
	}
	return c
}

func (c *redisClient) do(args ...string) (string, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := c.Conn.Write(b.Bytes()); err != nil {
		return "", err
	}
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	switch {
	case line[0] == '-':
		return "", errors.New(line[1:])
	case line[0] != '$':
		return line[1:], nil
	}
	var n int
	if _, err := fmt.Sscan(line[1:], &n); err != nil {
		return "", err
	}
	v := make([]byte, n+2)
	_, err = io.ReadFull(c.r, v)
	return string(v[:n]), err
}

func (c *redisClient) Write(v string) error  { _, err := c.do("SET", "k", v); return err }
func (c *redisClient) Read() (string, error) { return c.do("GET", "k") }
func (c *redisClient) Close()                { _ = c.Conn.Close() }
func (c *redisClient) Junk() error {
	if _, err := c.Conn.Write([]byte("*1\r\n$-7\r\nGET / HTTP/1.1\r\n\r\n")); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, c.r)
	return err
}

// respServer is a small RESP2 server: SET and GET over one map.
func respServer(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	data := map[string]string{}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					_, args, err := readCommand(r)
					if err != nil {
						return
					}
					mu.Lock()
					reply := "-ERR unknown command\r\n"
					switch strings.ToUpper(string(args[0])) {
					case "SET":
						data[string(args[1])] = string(args[2])
						reply = "+OK\r\n"
					case "GET":
						v := data[string(args[1])]
						reply = fmt.Sprintf("$%d\r\n%s\r\n", len(v), v)
					}
					mu.Unlock()
					if _, err := io.WriteString(conn, reply); err != nil {
						return
					}
				}
			})
		}
	})
	return l.Addr().String()
}
