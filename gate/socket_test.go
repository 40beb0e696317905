package gate

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// pair is the two ends of a connection, the first of them quick.
func pair(t *testing.T, network string) (q, peer net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if peer, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	q = quick(c)
	t.Cleanup(func() { q.Close(); peer.Close() })
	return q, peer
}

func TestSocketPassesEveryByte(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		q, peer := pair(t, network)
		sent := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16) // more than any socket buffer holds
		go func() {
			if n, err := q.Write(sent); n != len(sent) || err != nil {
				t.Errorf("%s: Write = %d, %v", network, n, err)
			}
		}()
		got := make([]byte, len(sent))
		for at := 0; at < len(got); { // slowly, so that the writer has to wait
			n, err := peer.Read(got[at:min(at+100_000, len(got))])
			if err != nil {
				t.Fatal(err)
			}
			at += n
			runtime.Gosched()
		}
		if !bytes.Equal(got, sent) {
			t.Errorf("%s: other bytes arrived", network)
		}
		go func() { peer.Write(sent); peer.Close() }()
		if all, err := io.ReadAll(q); err != nil || !bytes.Equal(all, sent) {
			t.Errorf("%s: read %d bytes, %v", network, len(all), err)
		}
		if n, err := q.Read(got); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: Read at the end = %d, %v", network, n, err)
		}
	}
}

// What wakes a waiting call of net wakes ours.
func TestSocketWaitsEnd(t *testing.T) {
	b := make([]byte, 10)
	q, _ := pair(t, "tcp")
	wake := func(do func()) { time.AfterFunc(20*time.Millisecond, do) }
	wake(func() { q.SetReadDeadline(time.Unix(1, 0)) })
	if _, err := q.Read(b); !isTimeout(err) {
		t.Errorf("Read past a deadline: %v", err)
	}
	q.SetReadDeadline(time.Time{})
	wake(func() { q.Close() })
	if _, err := q.Read(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read when closed: %v", err)
	}

	q, peer := pair(t, "tcp")
	go func() { // once the write is under way
		peer.Read(make([]byte, 1))
		q.SetWriteDeadline(time.Unix(1, 0))
	}()
	if n, err := q.Write(make([]byte, 64<<20)); !isTimeout(err) || n == 0 || n == 64<<20 {
		t.Errorf("Write that nobody reads = %d, %v", n, err)
	}

	q, peer = pair(t, "tcp")
	peer.(*net.TCPConn).SetLinger(0) // reset
	peer.Close()
	var err error
	for range 100 {
		if _, err = q.Write(b); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "write" || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Write to a peer that is gone: %v", err)
	}
	if _, err := q.Read(b); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read from a peer that is gone: %v", err)
	}
}

func TestSocketAllocatesNothing(t *testing.T) {
	q, peer := pair(t, "tcp")
	b := make([]byte, 100)
	n := testing.AllocsPerRun(200, func() {
		if _, err := peer.Write(b); err != nil {
			t.Fatal(err)
		}
		n, err := q.Read(b)
		if err == nil {
			_, err = q.Write(b[:n])
		}
		if err == nil {
			_, err = peer.Read(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if n >= 1 {
		t.Errorf("there and back allocates %v times", n)
	}
}

func TestSocketIsQuick(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		q, _ := pair(t, network)
		_, bare := q.(syscall.Conn)
		if quickens == bare {
			t.Errorf("a %s socket is a %T", network, q)
		}
	}
}

// Only a bare socket is made quick: what TLS sends must pass through TLS.
func TestSocketLeavesTLSAlone(t *testing.T) {
	q, _ := pair(t, "tcp")
	over := tls.Client(q, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "x"})
	if quick(over) != net.Conn(over) {
		t.Error("TLS was passed by")
	}
}

// What is asked goes out with the next Read, Write or askNow, once and in order, and
// every answer is read, however it is cut.
func TestSocketAsks(t *testing.T) {
	q, peer := pair(t, "tcp")
	a, ok := q.(asker)
	if ok != quickens {
		t.Fatalf("%T asks: %v", q, ok)
	}
	if !ok {
		return
	}
	go func() { _, _ = io.Copy(peer, peer) }() // an echo
	random := rand.New(rand.NewPCG(3, 5))
	got := make([]byte, 40_000)
	for i := range 3000 {
		b := bytes.Repeat([]byte{byte(i)}, 1+random.IntN(20)<<random.IntN(11))
		want := b
		a.Ask(b)
		switch random.IntN(4) {
		case 0:
			if err := a.askNow(); err != nil {
				t.Fatal(err)
			}
		case 1:
			if _, err := q.Write([]byte("more")); err != nil {
				t.Fatal(err)
			}
			want = append(b[:len(b):len(b)], "more"...)
		}
		if n, err := io.ReadFull(q, got[:len(want)]); err != nil || !bytes.Equal(got[:n], want) {
			t.Fatalf("asked %d bytes, read %d others, %v", len(want), n, err)
		}
	}
}

// An answer that came before the question, a peer that is gone and a peer that takes
// little at a time are all noticed.
func TestSocketAsksInVain(t *testing.T) {
	if !quickens {
		return // and nobody asks
	}
	b := make([]byte, 100)
	q, peer := pair(t, "tcp")
	peer.Write([]byte("unasked"))
	time.Sleep(20 * time.Millisecond)
	go func() { // answers what it hears
		n, _ := peer.Read(make([]byte, 10))
		peer.Write(bytes.Repeat([]byte("!"), n))
	}()
	q.(asker).Ask([]byte("?"))
	if n, err := io.ReadFull(q, b[:8]); err != nil || string(b[:n]) != "unasked!" {
		t.Errorf("read %q, %v", b[:n], err)
	}
	q.(asker).Ask([]byte("?"))
	time.AfterFunc(20*time.Millisecond, func() { q.SetReadDeadline(time.Unix(1, 0)) })
	if _, err := q.Read(b); !isTimeout(err) {
		t.Errorf("Read past a deadline: %v", err)
	}

	for name, leave := range map[string]func(net.Conn){
		"closed": func(c net.Conn) { c.Close() },
		"reset":  func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() },
	} {
		for _, early := range []bool{true, false} {
			q, peer := pair(t, "tcp")
			if early {
				leave(peer)
				time.Sleep(20 * time.Millisecond)
			} else {
				time.AfterFunc(20*time.Millisecond, func() { leave(peer) })
			}
			q.(asker).Ask([]byte("?"))
			if n, err := q.Read(b); n != 0 || err == nil {
				t.Errorf("a peer that was %s (%v): Read = %d, %v", name, early, n, err)
			}
		}
	}

	q, peer = pair(t, "tcp")
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // more than any socket buffer holds
	go func() {
		got, _ := io.ReadAll(io.LimitReader(peer, int64(len(large))))
		if !bytes.Equal(got, large) {
			t.Error("other bytes arrived")
		}
		peer.Write([]byte("all"))
	}()
	q.(asker).Ask(large)
	if n, err := q.Read(b); err != nil || string(b[:n]) != "all" {
		t.Errorf("Read = %q, %v", b[:n], err)
	}
}
