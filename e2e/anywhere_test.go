//go:build linux

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/assenthq/assent/internal/pgcluster"
)

// A space is a network namespace of its own, with a thread that stays in it.
type space struct {
	t  *testing.T
	do chan func()
	ns int // descriptor of the namespace
}

// newSpace makes one; own false: the one that the test runs in.
func newSpace(t *testing.T, own bool) *space {
	t.Helper()
	s := &space{t: t, do: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if own {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				made <- err
				return
			}
		}
		var err error
		s.ns, err = unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		made <- err
		if err == nil {
			for f := range s.do {
				f()
			}
		}
	}()
	if err := <-made; err != nil {
		t.Fatalf("making a network namespace: %v (this test needs root, or CAP_SYS_ADMIN and CAP_NET_ADMIN)", err)
	}
	t.Cleanup(func() { close(s.do); _ = unix.Close(s.ns) })
	if own {
		s.ip("link", "set", "lo", "up")
	}
	return s
}

// run runs f on the thread that stays.
func (s *space) run(f func()) {
	done := make(chan struct{})
	s.do <- func() { defer close(done); f() }
	<-done
}

func (s *space) ip(args ...string) {
	s.t.Helper()
	var out []byte
	var err error
	s.run(func() { out, err = exec.Command("ip", args...).CombinedOutput() })
	if err != nil {
		s.t.Fatalf("ip %s: %v: %s (scripts/install installs it)", strings.Join(args, " "), err, out)
	}
}

// dial connects from inside, on a thread that ends then.
func (s *space) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	type dialled struct {
		c   net.Conn
		err error
	}
	out := make(chan dialled, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(s.ns, unix.CLONE_NEWNET); err != nil {
			out <- dialled{nil, err}
			return
		}
		c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addr)
		out <- dialled{c, err}
	}()
	d := <-out
	return d.c, d.err
}

// A wire joins two spaces: packets go over it as a test says.
type wire struct {
	down  atomic.Bool
	loss  atomic.Int64 // of 100
	delay atomic.Int64 // most, in milliseconds: packets overtake each other
}

// newWire joins a at address x with b at address y.
func newWire(t *testing.T, a, b *space, x, y string) *wire {
	t.Helper()
	w := &wire{}
	from, to := w.end(a, x, y), w.end(b, y, x)
	go w.carry(from, to)
	go w.carry(to, from)
	t.Cleanup(func() { _ = from.Close(); _ = to.Close() })
	return w
}

var ends atomic.Int64

// end makes a TUN device in s.
func (w *wire) end(s *space, mine, theirs string) *os.File {
	s.t.Helper()
	name := fmt.Sprintf("as%dx%d", os.Getpid()%100000, ends.Add(1))
	fd := -1
	var err error
	s.run(func() {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return
		}
		var r *unix.Ifreq
		if r, err = unix.NewIfreq(name); err != nil {
			return
		}
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
	})
	if err != nil {
		s.t.Fatalf("making a TUN device: %v", err)
	}
	s.ip("addr", "add", mine, "peer", theirs, "dev", name)
	s.ip("link", "set", name, "up")
	return os.NewFile(uintptr(fd), name)
}

func (w *wire) carry(from, to *os.File) {
	buf := make([]byte, 65536)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if w.down.Load() || rand.Int64N(100) < w.loss.Load() {
			continue
		}
		most := w.delay.Load()
		if most == 0 {
			_, _ = to.Write(buf[:n])
			continue
		}
		packet := slices.Clone(buf[:n])
		time.AfterFunc(time.Duration(rand.Int64N(most*int64(time.Millisecond))), func() { _, _ = to.Write(packet) })
	}
}

// beside is a deployment whose gate runs beside the database; the control plane is in a
// network of its own, as the agent is, and both are a wire away.
type beside struct {
	*house
	agent *space
	link  *wire
	token string
	addr  string // of the gate beside the database

	door    string // of the control plane's own gate, which reaches the database through the connector
	dialled string // by the connector

	gate, connector *part
}

// A part is a process beside the database.
type part struct {
	name  string // of its log too
	cmd   *exec.Cmd
	ended chan struct{}
}

func (b *beside) startPart(name string, args ...string) *part {
	b.t.Helper()
	bin, err := binary()
	if err != nil {
		b.t.Fatal(err)
	}
	said, err := os.OpenFile(filepath.Join(b.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer said.Close()
	p := &part{name: name, cmd: exec.Command(bin, args...), ended: make(chan struct{})}
	p.cmd.Stderr, p.cmd.Stdout = said, said
	if err := p.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	b.t.Cleanup(func() { p.end(unix.SIGKILL) })
	return p
}

func (p *part) end(by unix.Signal) {
	_ = p.cmd.Process.Signal(by)
	<-p.ended
}

func newBeside(t *testing.T) *beside {
	t.Helper()
	private, control, agent := newSpace(t, false), newSpace(t, true), newSpace(t, true)
	net0 := 10 + os.Getpid()%200
	at := func(n, host int) string { return fmt.Sprintf("10.%d.%d.%d", net0, n, host) }
	b := &beside{agent: agent, addr: at(2, 2) + ":6432", door: at(3, 2) + ":6432", dialled: at(1, 1) + ":8730"}
	b.link = newWire(t, control, private, at(1, 1), at(1, 2))
	newWire(t, agent, private, at(2, 1), at(2, 2))
	newWire(t, agent, control, at(3, 1), at(3, 2))
	cert, key := certificate(t, "127.0.0.1")
	c, err := pgcluster.Start(context.WithoutCancel(t.Context()), pgcluster.Options{Cert: cert, Key: key})
	if err != nil {
		t.Fatalf("starting PostgreSQL (scripts/install installs it): %v", err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	h := &house{t: t, dir: t.TempDir(), cluster: c, console: free(t), run: control.run, web: &http.Transport{DialContext: control.dial}}
	b.house = h
	h.write("pg.password", c.Password)
	h.write("pack.yaml", pack)
	h.write("db.pem", string(cert))
	for name, ip := range map[string]string{"gate": at(2, 2), "door": at(3, 2)} {
		cert, key := certificate(t, ip)
		h.write(name+".pem", string(cert))
		h.write(name+".key", string(key))
	}
	upstream := fmt.Sprintf(`host: %s, port: %d, database: postgres, ca: db.pem`, c.Host, c.Port)
	_, port, _ := net.SplitHostPort(free(t))
	desk := at(1, 1) + ":" + port
	h.write("assent.yaml", fmt.Sprintf(`
data: data
listen: %s
public_url: http://%s
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
limits: { pending_per_actor: 20000, export_after_rows: 100000000 }
remote: { listen: %q }
connectors: { listen: %q }
gates:
  - { name: shop, type: postgres, at: eu-1, env: test, upstream: { %s } }
  - name: shop-through-a-connector
    type: postgres
    listen: %s
    env: test
    tls: { cert: door.pem, key: door.key }
    upstream: { via: shop-db, %s, user: %s, password: { file: pg.password } }
`, h.console, h.console, desk, b.dialled, upstream, b.door, upstream, c.User))
	h.write("gate.yaml", fmt.Sprintf(`
control: %s
data: gate-data
gates:
  - name: shop
    type: postgres
    listen: %s
    env: test
    tls: { cert: gate.pem, key: gate.key }
    upstream: { %s, user: %s, password: { file: pg.password } }
`, desk, b.addr, upstream, c.User))
	t.Cleanup(h.kill)
	return b
}

// certificate makes one for an address that is its own authority.
func certificate(t testing.TB, ip string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: ip}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), IPAddresses: []net.IP{net.ParseIP(ip)},
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(crand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

func (b *beside) startGate(more ...string) {
	b.t.Helper()
	b.gate = b.startPart("gate", append([]string{"gate", "--config", filepath.Join(b.dir, "gate.yaml")}, more...)...)
}

func (b *beside) startConnector(more ...string) {
	b.t.Helper()
	b.connector = b.startPart("connector", append([]string{"connector", "--control", b.dialled, "--system", "shop-db=" + b.cluster.Addr(), "--dir", filepath.Join(b.dir, "connector")}, more...)...)
}

// connect is the agent's, from its own network, to the gate at addr.
func (b *beside) connect(ctx context.Context, addr string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(fmt.Sprintf("postgres://worker:%s@%s/postgres?sslmode=require", b.token, addr))
	if err != nil {
		return nil, err
	}
	cfg.DialFunc = b.agent.dial
	return pgx.ConnectConfig(ctx, cfg)
}

// works waits until a new connection at either gate reads and writes, and tells how long that took.
func (b *beside) works(n *atomic.Int64, a *acks) time.Duration {
	b.t.Helper()
	began := time.Now()
	last := error(nil)
	for doors := []string{b.addr, b.door}; time.Since(began) < 2*time.Minute; {
		last = func() error {
			ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
			defer cancel()
			c, err := b.connect(ctx, doors[0])
			if err != nil {
				return err
			}
			defer func() { _ = c.Close(context.Background()) }()
			var at int64
			if err := c.QueryRow(ctx, "SELECT n FROM mark WHERE id = 1").Scan(&at); err != nil {
				return err
			}
			k := n.Add(1)
			if _, err := c.Exec(ctx, fmt.Sprintf("UPDATE mark SET n = %d WHERE id = 1", k)); err != nil {
				return err
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.marked = append(a.marked, k)
			return nil
		}()
		if last != nil {
			last = fmt.Errorf("%s: %w", doors[0], last)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if doors = doors[1:]; len(doors) == 0 {
			return time.Since(began)
		}
	}
	gate, _ := os.ReadFile(filepath.Join(b.dir, "gate.log"))
	connector, _ := os.ReadFile(filepath.Join(b.dir, "connector.log"))
	b.t.Fatalf("nothing works two minutes after the fault was over: %v\nthe gate says:\n%s\nthe connector says:\n%s\nthe control plane says:\n%s", last, gate, connector, b.logs)
	return 0
}

// load asks at addr for approved inserts, allowed updates and reads until ctx ends, and comes back whenever it is cut off.
func (b *beside) load(ctx context.Context, addr string, n *atomic.Int64, a *acks, reads *atomic.Int64) {
	for ctx.Err() == nil {
		func() {
			dctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			c, err := b.connect(dctx, addr)
			if err != nil {
				time.Sleep(50 * time.Millisecond)
				return
			}
			defer func() { _ = c.Close(context.Background()) }()
			for ctx.Err() == nil {
				k := n.Add(1)
				for _, q := range []string{"SELECT n FROM mark WHERE id = 1", fmt.Sprintf("INSERT INTO ran VALUES (%d)", k), fmt.Sprintf("UPDATE mark SET n = %d WHERE id = 1", k)} {
					octx, cancel := context.WithTimeout(ctx, 15*time.Second)
					_, err := c.Exec(octx, q)
					cancel()
					if err != nil {
						if c.IsClosed() {
							return
						}
						continue
					}
					switch q[0] {
					case 'S':
						reads.Add(1)
					case 'I':
						a.mu.Lock()
						a.inserted = append(a.inserted, k)
						a.mu.Unlock()
					default:
						a.mu.Lock()
						a.marked = append(a.marked, k)
						a.mu.Unlock()
					}
				}
			}
		}()
	}
}

// TestAnywhere has a gate and a connector run beside a database in a network of their own, the control plane, whose own gate
// reaches the database through the connector, in another, and the agent in a third. In each round (7, or ASSENT_ROUNDS) something
// breaks under load: the network between them and the control plane, packets that get lost and overtake each other, the gate, the
// connector, the control plane, the database. Nothing may
// run without its decision and record, nor twice; and everything goes on by itself.
func TestAnywhere(t *testing.T) {
	rounds, longest := 7, time.Second
	if s := os.Getenv("ASSENT_ROUNDS"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		longest = 4 * time.Second // four times as long is longer than a lease
	}
	b := newBeside(t)
	if _, err := b.direct().Exec(t.Context(), "CREATE TABLE ran (n bigint); CREATE TABLE mark (id int PRIMARY KEY, n bigint); INSERT INTO mark VALUES (1, 0)"); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.token = b.worker()
	mira := b.reviewer()
	token, _, err := b.operator().InviteMember(t.Context(), "gate", "eu-1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b.write("token", token)
	b.startGate("--token-file", filepath.Join(b.dir, "token"))
	if token, err = b.operator().InviteConnector(t.Context(), "vpc-1", []string{"shop-db"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	b.write("connector-token", token)
	b.startConnector("--token-file", filepath.Join(b.dir, "connector-token"))
	var a acks
	var n, reads atomic.Int64
	b.works(&n, &a)
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var through atomic.Int64 // reads, by the connector
	for range 2 {
		load.Go(func() { b.load(ctx, b.addr, &n, &a, &reads) })
		load.Go(func() { b.load(ctx, b.door, &n, &a, &through) })
	}
	load.Go(func() { // reviewers come back too
		for ctx.Err() == nil {
			approveAll(ctx, mira)
			time.Sleep(50 * time.Millisecond)
		}
	})
	faults := []struct {
		name string
		do   func(for_ time.Duration)
	}{
		{"partition", func(d time.Duration) { b.link.down.Store(true); time.Sleep(d); b.link.down.Store(false) }},
		{"loss and reordering", func(d time.Duration) {
			b.link.loss.Store(15)
			b.link.delay.Store(40)
			time.Sleep(d)
			b.link.loss.Store(0)
			b.link.delay.Store(0)
		}},
		{"gate killed", func(time.Duration) { b.gate.end(unix.SIGKILL); b.startGate() }},
		{"connector killed", func(time.Duration) { b.connector.end(unix.SIGKILL); b.startConnector() }},
		{"control plane killed", func(time.Duration) { b.kill(); b.start() }},
		{"database killed", func(time.Duration) {
			if err := errors.Join(b.cluster.Kill(), b.cluster.Restart(context.WithoutCancel(t.Context()))); err != nil {
				t.Fatal(err)
			}
		}},
		{"long partition", func(d time.Duration) { b.link.down.Store(true); time.Sleep(4 * d); b.link.down.Store(false) }},
	}
	took := map[string][]time.Duration{}
	for r := range rounds {
		f := faults[r%len(faults)]
		a.more(30 * time.Second) // the load is under way, however slow the machine
		f.do(longest/2 + rand.N(longest/2))
		took[f.name] = append(took[f.name], b.works(&n, &a))
	}
	a.more(30 * time.Second)
	cancel()
	load.Wait()
	b.gate.end(unix.SIGTERM)
	b.connector.end(unix.SIGTERM)
	b.kill()
	t.Log(strings.TrimSpace(b.verify()))
	b.hold(&a)
	for name, all := range took {
		slices.Sort(all)
		t.Logf("%s: %d times; working again after %v (median), %v (worst)", name, len(all), all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
	}
	t.Logf("%d inserts and %d updates acknowledged, %d reads, %d through the connector", len(a.inserted), len(a.marked), reads.Load(), through.Load())
	if len(a.inserted) == 0 || len(a.marked) < rounds || reads.Load() == 0 || through.Load() == 0 {
		t.Errorf("too little load to say anything: %d inserts, %d updates, %d reads, %d through the connector", len(a.inserted), len(a.marked), reads.Load(), through.Load())
	}
}
