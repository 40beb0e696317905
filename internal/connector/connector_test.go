package connector

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/enrol"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store/sqlite"
)

var mira = identity.Person{ID: "person:mira", Name: "Mira"}

// A world is a hub that listens, with a real store behind its authority.
type world struct {
	*Hub
	t         *testing.T
	authority *enrol.Authority
	ahead     atomic.Int64 // nanoseconds that the authority's clock is ahead
	addr      string
	stop      func() // the listener and all links

	mu     sync.Mutex
	events []string // owned by mu
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newWorld has links outlive a busy machine unless silence says otherwise.
func newWorld(t *testing.T, silence time.Duration) *world {
	t.Helper()
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), dir)
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), "test/log")
	must(t, err)
	log, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}})
	must(t, err)
	must(t, log.Open(t.Context(), store))
	box, err := sealed.NewBox(store, log, bytes.Repeat([]byte("k"), 32))
	must(t, err)
	w := &world{t: t}
	w.authority, err = enrol.New(enrol.Options{Box: box, Secret: bytes.Repeat([]byte("s"), 32), Clock: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }})
	must(t, err)
	w.Hub, err = NewHub(HubOptions{Authority: w.authority, Silence: silence, Event: func(what, name, _, why string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, what+" "+name+" "+why)
	}})
	must(t, err)
	w.listen("127.0.0.1:0")
	return w
}

func (w *world) listen(addr string) {
	w.t.Helper()
	var l net.Listener
	var err error
	w.until("the address to be free", func() bool {
		l, err = net.Listen("tcp", addr)
		return err == nil
	})
	w.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Serve(ctx, l) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(w.stop)
}

// until waits for a condition, as long as the test may run.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	for end := time.Now().Add(5 * time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain for %s; links %v", what, w.Links())
		}
	}
}

func (w *world) told(want string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(strings.Join(w.events, "\n"), want)
}

func (w *world) token(role enrol.Role, name string, systems ...string) string {
	w.t.Helper()
	text, _, err := w.authority.Invite(w.t.Context(), mira, role, name, systems, time.Hour)
	must(w.t, err)
	return text
}

// A runner is a connector that runs.
type runner struct {
	*Connector
	ended chan error
	stop  func()
}

// connector runs one until the test ends.
func (w *world) connector(name string, change func(*Options), systems map[string]string) *runner {
	w.t.Helper()
	o := Options{Control: w.addr, Dir: w.t.TempDir(), Systems: systems, Silence: w.o.Silence}
	var names []string
	for system := range systems {
		names = append(names, system)
	}
	if change != nil {
		change(&o)
	}
	if o.Token == "" {
		o.Token = w.token(enrol.Connector, name, names...)
	}
	c, err := New(o)
	must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &runner{Connector: c, ended: make(chan error, 1)}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r.ended <- c.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-gone
	}
	w.t.Cleanup(r.stop)
	return r
}

// connected is connector, once it is.
func (w *world) connected(name string, systems map[string]string) *runner {
	w.t.Helper()
	r := w.connector(name, nil, systems)
	w.until("connector "+name, func() bool { return w.has(name) })
	return r
}

func (w *world) has(name string) bool {
	for _, l := range w.Links() {
		if l.Name == name {
			return true
		}
	}
	return false
}

// target serves each connection on its own, and is gone with the test.
func target(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

func (w *world) dial(system string) net.Conn {
	w.t.Helper()
	c, err := w.Dial(w.t.Context(), system)
	must(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// answers sends a word and waits for its echo.
func answers(c net.Conn, word string) error {
	if _, err := io.WriteString(c, word); err != nil {
		return err
	}
	b := make([]byte, len(word))
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	if string(b) != word {
		return fmt.Errorf("answered %q", b)
	}
	return nil
}

// deadAddress is one where nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestCarries(t *testing.T) {
	w := newWorld(t, time.Minute)
	sum := target(t, func(c net.Conn) { // answers once its input has ended
		h := sha256.New()
		n, err := io.Copy(h, c)
		if err == nil {
			fmt.Fprintf(c, "%d %x", n, h.Sum(nil))
		}
	})
	w.connected("vpc", map[string]string{"sum": sum, "echo": target(t, echo)})
	big := make([]byte, 5<<20+3)
	_, _ = rand.Read(big)
	var all sync.WaitGroup
	for range 8 {
		c := w.dial("sum")
		all.Go(func() {
			if _, err := c.Write(big); err != nil {
				t.Error(err)
			}
			if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Error(err)
			}
			got, err := io.ReadAll(c)
			if want := fmt.Sprintf("%d %x", len(big), sha256.Sum256(big)); err != nil || string(got) != want {
				t.Errorf("answered %q, %v", got, err)
			}
		})
	}
	c := w.dial("echo")
	must(t, answers(c, "hello"))
	must(t, answers(c, "again"))
	all.Wait()
	links := w.Links()
	if len(links) != 1 || links[0].Name != "vpc" || len(links[0].Systems) != 2 {
		t.Errorf("links %+v", links)
	}
	_ = c.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading what was closed: %v", err)
	}
}

// TestBackPressure writes to a system that doesn't read, beside one that does.
func TestBackPressure(t *testing.T) {
	w := newWorld(t, time.Minute)
	release := make(chan struct{})
	defer close(release)
	w.connected("vpc", map[string]string{"deaf": target(t, func(net.Conn) { <-release }), "echo": target(t, echo)})
	c := w.dial("deaf")
	var n atomic.Int64
	full := make(chan error, 1)
	go func() {
		block := make([]byte, 1<<20)
		for {
			k, err := c.Write(block)
			n.Add(int64(k))
			if err != nil {
				full <- err
				return
			}
		}
	}()
	w.until("the writer to stand still", func() bool {
		before := n.Load()
		time.Sleep(200 * time.Millisecond)
		return before > 0 && n.Load() == before
	})
	must(t, answers(w.dial("echo"), "beside it"))
	must(t, c.SetWriteDeadline(time.Now()))
	if err := <-full; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if n.Load() > 64<<20 {
		t.Errorf("%d bytes went where nobody reads", n.Load())
	}
}

func TestCutIsNoEnd(t *testing.T) {
	w := newWorld(t, time.Minute)
	end := make(chan bool)
	system := target(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "part")
		if !<-end {
			_ = c.(*net.TCPConn).SetLinger(0) // ends by a reset
		}
	})
	r := w.connected("vpc", map[string]string{"db": system})
	read := func(c net.Conn) error {
		got, err := io.ReadAll(c)
		if string(got) != "part" {
			t.Errorf("read %q", got)
		}
		return err
	}
	c := w.dial("db")
	end <- true
	must(t, read(c))
	c = w.dial("db")
	b := make([]byte, 4)
	_, err := io.ReadFull(c, b) // a reset may take with it what was sent before
	must(t, err)
	end <- false
	if rest, err := io.ReadAll(c); !errors.Is(err, ErrCut) {
		t.Errorf("a system that was reset: %q, %v", rest, err)
	}
	c = w.dial("db")
	_, err = io.ReadFull(c, b)
	must(t, err)
	r.stop() // the connector is killed in mid-stream
	if rest, err := io.ReadAll(c); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a connector that was gone: %q, %v", rest, err)
	}
	end <- true
	w.until("the link to be gone", func() bool { return !w.has("vpc") })
	if _, err := w.Dial(t.Context(), "db"); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "--system db=HOST:PORT") {
		t.Errorf("dialled without a connector: %v", err)
	}
}

func TestSeveralForOneSystem(t *testing.T) {
	w := newWorld(t, time.Minute)
	system := map[string]string{"db": target(t, echo)}
	w.connected("a", system)
	b := w.connected("b", system)
	for range 6 {
		must(t, answers(w.dial("db"), "x"))
	}
	for _, l := range w.Links() {
		if l.Streams != 3 {
			t.Errorf("%s has %d streams of 6", l.Name, l.Streams)
		}
	}
	w.connected("broken", map[string]string{"db": deadAddress(t)}) // has the fewest streams
	must(t, answers(w.dial("db"), "over to another"))
	b.stop()
	w.until("b to be gone", func() bool { return !w.has("b") })
	must(t, answers(w.dial("db"), "over to a"))
}

// TestOpensOnlyItsOwn has a server ask for what the connector was not started with.
func TestOpensOnlyItsOwn(t *testing.T) {
	w := newWorld(t, time.Minute)
	w.connected("vpc", map[string]string{"db": target(t, echo)})
	l := w.all()[0]
	for _, system := range []string{"other", "127.0.0.1", "db.internal"} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if _, err := l.open(ctx, system); err == nil || !strings.Contains(err.Error(), "not started with") {
			t.Errorf("%s: %v", system, err)
		}
		cancel()
	}
	for _, garbage := range []string{"\x00", "\xff\xff", "GET / HTTP/1.1\r\n\r\n", "\x01\x05a/../", string(header("127.0.0.1:22"))} {
		s, err := l.session.OpenStream()
		must(t, err)
		_, err = io.WriteString(s, garbage)
		must(t, err)
		must(t, s.Close())
		if b, err := io.ReadAll(s); err != nil && !errors.Is(err, yamux.ErrConnectionReset) || len(b) > 0 {
			t.Errorf("%q was answered with %q, %v", garbage, b, err)
		}
	}
	must(t, answers(w.dial("db"), "still there"))
}

func TestStreamsAreBounded(t *testing.T) {
	w := newWorld(t, time.Minute)
	w.connector("vpc", func(o *Options) { o.Streams = 2 }, map[string]string{"db": target(t, echo)})
	w.until("the connector", func() bool { return w.has("vpc") })
	first := w.dial("db")
	w.dial("db")
	if _, err := w.Dial(t.Context(), "db"); !errors.Is(err, ErrReach) || !strings.Contains(err.Error(), "as many streams") {
		t.Errorf("a third of two: %v", err)
	}
	_ = first.Close()
	w.until("a place to be free", func() bool {
		c, err := w.Dial(t.Context(), "db")
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func TestRevoked(t *testing.T) {
	w := newWorld(t, time.Minute)
	r := w.connected("vpc", map[string]string{"db": target(t, echo)})
	c := w.dial("db")
	must(t, answers(c, "x"))
	_, err := w.authority.Revoke(t.Context(), mira, enrol.Connector, "vpc")
	must(t, err)
	if _, err := io.ReadAll(c); !errors.Is(err, ErrCut) {
		t.Errorf("the live stream: %v", err)
	}
	if err := <-r.ended; !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("it went on: %v", err)
	}
	if len(w.Links()) != 0 {
		t.Errorf("links %v", w.Links())
	}
}

func TestEnrolledElsewhere(t *testing.T) {
	w := newWorld(t, time.Minute)
	system := map[string]string{"db": target(t, echo)}
	first := w.connected("vpc", system)
	w.connector("vpc", nil, system)
	if err := <-first.ended; !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "enrolled again") {
		t.Errorf("it went on: %v", err)
	}
	w.until("the second", func() bool { return w.has("vpc") })
	must(t, answers(w.dial("db"), "x"))
}

func TestExpired(t *testing.T) {
	w := newWorld(t, time.Minute)
	r := w.connected("vpc", map[string]string{"db": target(t, echo)})
	c := w.dial("db")
	w.ahead.Store(int64(25 * time.Hour))
	if _, err := io.ReadAll(c); !errors.Is(err, ErrCut) {
		t.Errorf("the live stream: %v", err)
	}
	// The server's own certificate is of tomorrow now: the connector can't tell that
	// from an impostor, and keeps trying until clocks agree.
	w.until("the refusal", func() bool { return w.told("expired") })
	r.stop()
	_, err := w.authority.Check(t.Context(), r.holder.Leaf(), enrol.Connector)
	if !errors.Is(err, enrol.ErrRefused) {
		t.Error(err)
	}
}

func TestRenewsByItself(t *testing.T) {
	w := newWorld(t, time.Minute)
	w.ahead.Store(-int64(20 * time.Hour)) // what is signed now has four hours left
	token := w.token(enrol.Connector, "vpc", "db")
	o := Options{Control: w.addr, Dir: t.TempDir(), Token: token, Systems: map[string]string{"db": target(t, echo)}, Silence: time.Minute}
	c, err := New(o)
	must(t, err)
	must(t, c.Enrol(t.Context()))
	first := c.holder.Leaf()
	w.ahead.Store(0)
	r := w.connector("vpc", func(x *Options) { x.Dir, x.Token = o.Dir, token }, o.Systems)
	w.until("another certificate", func() bool { return r.holder.Leaf().NotAfter.After(first.NotAfter.Add(19 * time.Hour)) })
	w.until("the server to know it", func() bool {
		links := w.all()
		return len(links) == 1 && links[0].certificate().Equal(r.holder.Leaf())
	})
	must(t, answers(w.dial("db"), "x"))
}

func TestWhoMayNotConnect(t *testing.T) {
	w := newWorld(t, time.Minute)
	ended := func(r *runner, says string) {
		t.Helper()
		if err := <-r.ended; err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	db := map[string]string{"db": target(t, echo)}
	ended(w.connector("a", func(o *Options) { o.Token = w.token(enrol.Connector, "a", "crm") }, db), "not enrolled for system db, but for crm")
	ended(w.connector("b", func(o *Options) { o.Token = w.token(enrol.Gate, "b", "db") }, db), "it is for a gate")
	used := w.token(enrol.Connector, "c", "db")
	w.connector("c", func(o *Options) { o.Token = used }, db)
	w.until("c", func() bool { return w.has("c") })
	ended(w.connector("c", func(o *Options) { o.Token = used }, db), "used already")
	if !w.has("c") {
		t.Error("the one that may was cut off")
	}

	// A certificate of a gate, which shows it where connectors come.
	gate, err := enrol.OpenHolder(t.TempDir())
	must(t, err)
	text := w.token(enrol.Gate, "g", "db")
	token, err := enrol.ParseToken(text)
	must(t, err)
	request, err := gate.Request()
	must(t, err)
	chain, _, err := w.authority.Enrol(t.Context(), enrol.Gate, text, request, "")
	must(t, err)
	must(t, gate.Keep(chain, token))
	if got := w.greets(gate, "db"); !strings.Contains(got.Error, "not a connector's") {
		t.Errorf("a gate was answered %+v", got)
	}
}

// raw is a TLS connection as a connector has it.
func (w *world) raw(h *enrol.Holder) *tls.Conn {
	w.t.Helper()
	conf, err := h.ClientTLS(nil, linkProtocol)
	must(w.t, err)
	c, err := tls.Dial("tcp", w.addr, conf)
	must(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (w *world) greets(h *enrol.Holder, systems ...string) (got answer) {
	w.t.Helper()
	c := w.raw(h)
	must(w.t, writeNote(c, &greeting{Version: 1, Systems: systems}))
	must(w.t, readNote(c, &got))
	return got
}

// enrolledHolder is an enrolled connector whose program is the test.
func (w *world) enrolledHolder(name string, systems ...string) *enrol.Holder {
	w.t.Helper()
	c, err := New(Options{Control: w.addr, Dir: w.t.TempDir(), Token: w.token(enrol.Connector, name, systems...), Systems: map[string]string{systems[0]: "127.0.0.1:1"}})
	must(w.t, err)
	must(w.t, c.Enrol(w.t.Context()))
	return c.holder
}

// TestHostileConnector is enrolled, and then does what it must not.
func TestHostileConnector(t *testing.T) {
	w := newWorld(t, time.Minute)
	h := w.enrolledHolder("evil", "db")
	w.connected("honest", map[string]string{"echo": target(t, echo)})
	link := func() *yamux.Session {
		c := w.raw(h)
		var got answer
		must(t, writeNote(c, &greeting{Version: 1, Systems: []string{"db"}}))
		must(t, readNote(c, &got))
		if got.Error != "" {
			t.Fatal(got.Error)
		}
		s, err := yamux.Client(c, settings(w.o.Logger))
		must(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	// Opens as many streams as it can.
	s := link()
	opened := 0
	for range 1_000_000 {
		if _, err := s.OpenStream(); err != nil {
			break
		}
		opened++
	}
	if opened > 10_000 {
		t.Errorf("it opened %d streams", opened)
	}
	w.until("its link to end", func() bool { return !w.has("evil") })
	if !w.told("it opened streams") {
		t.Error("nobody was told")
	}
	// Takes streams and answers nothing, or garbage.
	s = link()
	w.until("its link", func() bool { return w.has("evil") })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := w.Dial(ctx, "db"); !errors.Is(err, ErrReach) {
		t.Errorf("a connector that answers nothing: %v", err)
	}
	go func() {
		for {
			x, err := s.AcceptStream()
			if err != nil {
				return
			}
			_, _ = x.Write([]byte{unknownAnswer})
		}
	}()
	if _, err := w.Dial(t.Context(), "db"); !errors.Is(err, ErrReach) {
		t.Errorf("a connector that answers garbage: %v", err)
	}
	must(t, answers(w.dial("echo"), "the honest one"))
}

const unknownAnswer = byte(88)

// TestBadFirstMessages are not taken for links, and stand in nobody's way.
func TestBadFirstMessages(t *testing.T) {
	w := newWorld(t, time.Minute)
	h := w.enrolledHolder("vpc", "db")
	for _, text := range []string{"", "\xff\xff\xff\xff", "\x00\x00\x00\x02{}", "\x00\x00\x00\x04null", "\x00\x00\x00\x02[]", strings.Repeat("\x00", 64)} {
		c := w.raw(h)
		_, err := io.WriteString(c, text)
		must(t, err)
		must(t, c.CloseWrite())
		_, _ = io.Copy(io.Discard, c)
	}
	if got := w.greets(h); !strings.Contains(got.Error, "version 0") && !strings.Contains(got.Error, "names no system") {
		t.Errorf("a connector without systems was answered %+v", got)
	}
	// Slow ones: more than there is room for, which say nothing.
	for range maxPending + 20 {
		c, err := net.Dial("tcp", w.addr)
		must(t, err)
		defer func() { _ = c.Close() }()
	}
	w.connected("honest", map[string]string{"echo": target(t, echo)})
	must(t, answers(w.dial("echo"), "x"))
	w.Hub.mu.Lock()
	if n := len(w.pending); n > maxPending {
		t.Errorf("%d connections wait for their handshake", n)
	}
	w.Hub.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if strings.HasPrefix(e, "connected vpc") {
			t.Error(e)
		}
	}
}

// TestImpostor has a connector reach a server of another deployment.
func TestImpostor(t *testing.T) {
	w := newWorld(t, time.Minute)
	bad, _, err := impostor(t).Invite(t.Context(), mira, enrol.Connector, "vpc", []string{"db"}, time.Hour)
	must(t, err)
	c, err := New(Options{Control: w.addr, Dir: t.TempDir(), Token: bad, Systems: map[string]string{"db": "127.0.0.1:1"}})
	must(t, err)
	if err := c.Enrol(t.Context()); err == nil || !strings.Contains(err.Error(), "not the server that the token is of") {
		t.Errorf("%v", err)
	}
}

// impostor is an authority with another key.
func impostor(t *testing.T) *enrol.Authority {
	t.Helper()
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), dir)
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), "test/log")
	must(t, err)
	log, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}})
	must(t, err)
	must(t, log.Open(t.Context(), store))
	box, err := sealed.NewBox(store, log, bytes.Repeat([]byte("k"), 32))
	must(t, err)
	a, err := enrol.New(enrol.Options{Box: box, Secret: bytes.Repeat([]byte("o"), 32)})
	must(t, err)
	return a
}

// A frozen network passes bytes until it is told to pass none, and closes nothing.
type frozen struct {
	addr   string
	frozen atomic.Bool
}

func freezer(t *testing.T, to string) *frozen {
	f := &frozen{}
	f.addr = target(t, func(c net.Conn) {
		up, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer func() { _ = up.Close() }()
		pass := func(dst, src net.Conn) {
			buf := make([]byte, 32<<10)
			for {
				n, err := src.Read(buf)
				if err != nil {
					return
				}
				if f.frozen.Load() {
					continue
				}
				if _, err := dst.Write(buf[:n]); err != nil {
					return
				}
			}
		}
		go pass(c, up)
		pass(up, c)
	})
	return f
}

func TestDeadLink(t *testing.T) {
	w := newWorld(t, 2*time.Second)
	net := freezer(t, w.addr)
	w.connector("vpc", func(o *Options) { o.Control = net.addr }, map[string]string{"db": target(t, echo)})
	w.until("the connector", func() bool { return w.has("vpc") })
	var c io.ReadCloser
	w.until("a stream", func() (ok bool) { // a machine that stands still for long enough looks dead too
		s, err := w.Dial(t.Context(), "db")
		c = s
		return err == nil
	})
	defer func() { _ = c.Close() }()
	net.frozen.Store(true)
	if _, err := io.ReadAll(c); !errors.Is(err, ErrCut) { // nobody closed anything
		t.Errorf("%v", err)
	}
	w.until("the link to be gone", func() bool { return !w.has("vpc") })
	net.frozen.Store(false)
	w.until("it to come back", func() bool {
		c, err := w.Dial(t.Context(), "db")
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		return answers(c, "x") == nil
	})
}

func TestServerGone(t *testing.T) {
	w := newWorld(t, time.Minute)
	w.connected("vpc", map[string]string{"db": target(t, echo)})
	c := w.dial("db")
	w.stop()
	if _, err := io.ReadAll(c); !errors.Is(err, ErrCut) {
		t.Errorf("%v", err)
	}
	w.listen(w.addr)
	w.until("it to come back", func() bool { return w.has("vpc") })
	must(t, answers(w.dial("db"), "x"))
}

func TestJitter(t *testing.T) {
	for attempt := range 80 {
		if p := jittered(attempt); p <= 0 || p > longestPause {
			t.Errorf("attempt %d waits %v", attempt, p)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(header("orders-db"))
	f.Add([]byte{1, 0})
	f.Add([]byte{2, 1, 'a'})
	f.Add([]byte("\x01\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		system, err := readHeader(r)
		if err != nil {
			return
		}
		if !enrol.ValidName(system) || !bytes.HasPrefix(b, header(system)) || len(b)-r.Len() != len(header(system)) {
			t.Errorf("%q was read as %q, and %d bytes of it", b, system, len(b)-r.Len())
		}
	})
}

func FuzzNote(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		var in greeting
		if err := readNote(r, &in); err == nil && len(b)-r.Len() > 4+maxNote {
			t.Errorf("%d bytes were read", len(b)-r.Len())
		}
	})
}
