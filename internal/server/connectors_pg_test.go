package server

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/connector"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/workload/workloadtest"
)

// far is a whole server whose systems are reached through connectors, and the
// systems themselves. Whatever dials one at its configured address springs the trap.
type far struct {
	*Server
	t       *testing.T
	client  *client.Client
	token   string // of the agent
	systems map[string]string
	trapped atomic.Int64
}

func newFar(t *testing.T) *far {
	t.Helper()
	f := &far{t: t}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	ca := workloadtest.NewAuthority(t)
	ca.File(t, in("ca.pem"))
	ca.Server(t, in("cert.pem"), in("key.pem"))
	read := func(name string) []byte {
		b, err := os.ReadFile(in(name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	c, err := pgcluster.Start(t.Context(), pgcluster.Options{Settings: map[string]string{"fsync": "off"}, Cert: read("cert.pem"), Key: read("key.pem")})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "from afar") }))
	t.Cleanup(web.Close)
	f.systems = map[string]string{"orders-db": fmt.Sprintf("127.0.0.1:%d", c.Port), "web": web.Listener.Addr().String(), "host": f.listen(func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-there\r\n") })}
	trap := f.listen(func(net.Conn) { f.trapped.Add(1) })
	_, port, _ := net.SplitHostPort(trap)
	for name, text := range map[string]string{
		"pw": c.Password, "pack.yaml": readsPack,
		"web.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})),
	} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := ParseConfig(in("assent.yaml"), []byte(strings.NewReplacer("PORT", port, "USER", c.User).Replace(`
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: dana }]
actors: [{ id: exporter, owner: dana }]
connectors: { listen: 127.0.0.1:0 }
gates:
  - name: shop
    type: postgres
    listen: 127.0.0.1:0
    env: prod
    upstream: { host: 127.0.0.1, port: PORT, database: postgres, user: USER, password: { file: pw }, ca: ca.pem, via: orders-db }
  - name: web
    type: http
    listen: 127.0.0.1:0
    env: prod
    routes: [{ name: app, host: app.example.com, upstreams: ["https://127.0.0.1:PORT"], ca: web.pem, via: web }]
  - name: cluster
    type: kubernetes
    listen: 127.0.0.1:0
    env: prod
    kubernetes: { server: "https://127.0.0.1:PORT", ca: web.pem, token: { file: pw }, via: web }
  - name: hosts
    type: ssh
    listen: 127.0.0.1:0
    env: prod
    hosts: [{ name: one, address: "127.0.0.1:PORT", via: host, user: deploy, password: { file: pw }, known_hosts: pw }]
`)))
	if err != nil {
		t.Fatal(err)
	}
	if f.Server, err = New(t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close(context.Background()) })
	o, err := ReadOperator(in("data"))
	if err != nil {
		t.Fatal(err)
	}
	if f.client, err = client.New(f.URL(), o.Token, nil); err != nil {
		t.Fatal(err)
	}
	if f.token, err = f.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:exporter"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	return f
}

// listen serves each connection on its own, and is gone with the test.
func (f *far) listen(serve func(net.Conn)) string {
	f.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = l.Close() })
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

// connector runs one in dir until the returned function is called, once it is connected.
func (f *far) connector(name, dir string) (stop func()) {
	f.t.Helper()
	var systems []string
	for system := range f.systems {
		systems = append(systems, system)
	}
	o := connector.Options{Control: f.ConnectorsAddr(), Dir: dir, Systems: f.systems, Silence: time.Minute}
	if _, err := os.Stat(filepath.Join(dir, "certificate.pem")); errors.Is(err, os.ErrNotExist) {
		if o.Token, err = f.client.InviteConnector(f.t.Context(), name, systems, 0); err != nil {
			f.t.Fatal(err)
		}
	}
	up := make(chan string, 16)
	o.Up = func(name string) { up <- name }
	c, err := connector.New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	f.t.Cleanup(cancel)
	select {
	case <-up:
	case err := <-ended:
		f.t.Fatal(err)
	}
	f.until("the connector", func() bool {
		list, err := f.client.Connectors(f.t.Context())
		return err == nil && len(list) == 1 && list[0].State == "connected"
	})
	return func() {
		cancel()
		<-ended
	}
}

func (f *far) until(what string, holds func() bool) {
	f.t.Helper()
	for end := time.Now().Add(5 * time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatal("waited in vain for ", what)
		}
	}
}

func (f *far) connect() (*pgx.Conn, error) {
	f.t.Helper()
	cfg, err := pgx.ParseConfig("postgres://" + f.GateAddr("shop") + "/postgres?sslmode=disable")
	if err != nil {
		f.t.Fatal(err)
	}
	cfg.User, cfg.Password = "exporter", f.token
	ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Minute)
	defer cancel()
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		f.t.Cleanup(func() { _ = c.Close(context.Background()) })
	}
	return c, err
}

func TestConnectorBeforePostgres(t *testing.T) {
	f := newFar(t)
	if _, err := f.connect(); err == nil {
		t.Fatal("reached without a connector")
	}
	for i := range f.cfg.Gates {
		g := &f.cfg.Gates[i]
		if err := f.reach(t.Context(), g); !errors.Is(err, connector.ErrNone) || !strings.Contains(err.Error(), "assent connector --system") {
			t.Errorf("gate %s without a connector: %v", g.Name, err)
		}
	}
	dir := t.TempDir()
	stop := f.connector("vpc", dir)
	c, err := f.connect()
	if err != nil {
		t.Fatal(err)
	}
	var n, long int
	if err := c.QueryRow(t.Context(), "select count(*), sum(length(t)) from (select repeat('x', 1000) t from generate_series(1, 1000)) s").Scan(&n, &long); err != nil || n != 1000 || long != 1000*1000 {
		t.Errorf("%d rows of %d: %v", n, long, err)
	}
	for i := range f.cfg.Gates {
		if err := f.reach(t.Context(), &f.cfg.Gates[i]); err != nil {
			t.Errorf("gate %s through a connector: %v", f.cfg.Gates[i].Name, err)
		}
	}
	r, err := f.route(&f.cfg.Gates[1].Routes[0])
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.cfg.Gates[1].Routes[0].Upstreams[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "from afar" {
		t.Errorf("%q, %v", text, err)
	}
	_ = resp.Body.Close()

	// Killed in mid-stream: the statement fails, and nothing that came looks like its end.
	rows, err := c.Query(t.Context(), "select repeat('x', 1000) from generate_series(1, 1000000)")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for rows.Next() {
		if seen++; seen == 10 {
			stop()
		}
	}
	if rows.Err() == nil || seen >= 1_000_000 {
		t.Errorf("%d rows, %v", seen, rows.Err())
	}
	f.until("a refusal", func() bool { return errors.Is(f.reach(t.Context(), &f.cfg.Gates[0]), connector.ErrNone) })
	if _, err := f.connect(); err == nil {
		t.Error("reached after the connector was gone")
	}
	f.connector("vpc", dir) // its certificate is enough
	if c, err = f.connect(); err != nil {
		t.Fatal(err)
	}

	// Revoked: what is open ends, and it does not come back.
	if err := f.client.RevokeConnector(t.Context(), "vpc"); err != nil {
		t.Fatal(err)
	}
	f.until("the session to end", func() bool { return c.QueryRow(t.Context(), "select 1").Scan(&n) != nil })
	if _, err := f.connect(); err == nil {
		t.Error("reached through what was revoked")
	}
	if n := f.trapped.Load(); n != 0 {
		t.Errorf("%d direct connections", n)
	}
	var told []string
	found, err := f.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeMember}, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range found {
		told = append(told, r.Decision+" by "+r.Person)
	}
	if got := strings.Join(told, ", "); !strings.Contains(got, "invited by "+operatorPerson) || !strings.Contains(got, "enrolled") || !strings.Contains(got, "revoked by "+operatorPerson) {
		t.Errorf("recorded: %s", got)
	}
}

func TestConnectorsOverTheAPI(t *testing.T) {
	f := newFar(t)
	var p *client.Error
	for _, bad := range []string{"UPPER", "a b", "../x", strings.Repeat("a", 64)} {
		if _, err := f.client.InviteConnector(t.Context(), bad, []string{"x"}, 0); !errors.As(err, &p) || p.Status != 422 {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := f.client.InviteConnector(t.Context(), "vpc", nil, 0); !errors.As(err, &p) || p.Status != 400 {
		t.Errorf("without systems: %v", err)
	}
	if err := f.client.RevokeConnector(t.Context(), "nobody"); !errors.As(err, &p) || p.Status != 404 {
		t.Errorf("revoked nobody: %v", err)
	}
	token, err := f.client.InviteConnector(t.Context(), "vpc", []string{"x"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	list, err := f.client.Connectors(t.Context())
	text, _ := json.Marshal(list)
	if err != nil || len(list) != 1 || list[0].State != "invited" || strings.Contains(string(text), token) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestConnectorsOfAConfiguration(t *testing.T) {
	gate := "gates: [{ name: shop, type: postgres, listen: '127.0.0.1:0', env: prod, upstream: { host: db, database: d, user: u, password: { env: P }, via: orders%s } }]\n"
	listener := "connectors: { listen: '0.0.0.0:8730' }\n"
	for text, want := range map[string]string{
		listener + fmt.Sprintf(gate, ""):   "",
		fmt.Sprintf(gate, ""):              "there is no connectors:",
		listener + fmt.Sprintf(gate, "/x"): "not the name of a system",
		listener + strings.Replace(fmt.Sprintf(gate, ", tls: 'off'"), "host: db", "host: localhost", 1): "without TLS",
		"connectors: { listen: nowhere }\n":                              "is not host:port",
		"connectors: { listen: '0.0.0.0:1', certificate_life: 1000h }\n": "between 1h and 720h",
		listener + "gates: [{ name: m, type: mcp, listen: '127.0.0.1:0', env: prod, servers: [{ name: s, url: 'https://s', via: orders }] }]\n":                           `unknown key "via"`,
		listener + "gates: [{ name: w, type: http, listen: '127.0.0.1:0', env: prod, routes: [{ name: r, host: h, upstreams: ['http://127.0.0.1:1'], via: orders }] }]\n": "without TLS",
	} {
		_, err := ParseConfig("assent.yaml", []byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
