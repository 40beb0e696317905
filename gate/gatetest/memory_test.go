package gatetest_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
)

// TestHeldMemory: what one held connection costs, client and server of the test included.
func TestHeldMemory(t *testing.T) {
	const n, limit = 500, 64 << 10
	up := respServer(t)
	asked := make(chan struct{}, n)
	a := &gatetest.Authority{Decide: func(ctx context.Context, _ *action.Action, held func(gate.Held)) error {
		held(gate.Held{ID: "apr_memory"})
		asked <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- gate.Serve(ctx, l, gate.Config{Name: "memory", Authority: a, Upstream: up, New: func() gate.Codec { return redis{} }})
	}()
	before := memory()
	conns := make([]net.Conn, n)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conns[i], "*3\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(gatetest.User), gatetest.User, len(gatetest.Token), gatetest.Token)
		fmt.Fprint(conns[i], "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\nheld\r\n")
	}
	for range conns {
		<-asked
	}
	each := (memory() - before) / n
	t.Logf("%d held: %d bytes each", n, each)
	if each > limit {
		t.Errorf("a held connection takes %d bytes, more than %d", each, limit)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
