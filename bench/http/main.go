// Command http compares the HTTP gate, with policy and audit on, with proxies that look
// at nothing: a bare httputil.ReverseProxy and nginx, each a process of its own, before
// one upstream. Rounds are interleaved; what counts are ratios of one machine and minute.
//
//	scripts/bench http
//
// ASSENT_BENCH_ROUNDS=3, _SECONDS=3 (of each turn), _SIDES=direct,bare,nginx,assent, _ONLY=read/8. For profiles of the gate:
// go test ./internal/server -run '^$' -bench HTTPGate -cpuprofile FILE.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const host = "bench.example.com"

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "upstream":
		err = upstream(os.Args[2])
	case len(os.Args) == 4 && os.Args[1] == "bare":
		err = bare(os.Args[2], os.Args[3])
	case len(os.Args) == 2:
		err = run(os.Args[1])
	default:
		err = fmt.Errorf("usage: %s ASSENT", os.Args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// upstream answers GET with 1 KiB of JSON, and POST once it has read what it was sent.
func upstream(addr string) error {
	var doc bytes.Buffer
	for i := 0; doc.Len() < 960; i++ {
		fmt.Fprintf(&doc, `,{"id":%d,"state":"open","title":"an item like many"}`, i)
	}
	body := []byte(`{"items":[` + doc.String()[1:] + `]}`)
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
}

func bare(addr, to string) error {
	u, err := url.Parse(to)
	if err != nil {
		return err
	}
	t := &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 256, DisableCompression: true}
	return http.ListenAndServe(addr, &httputil.ReverseProxy{Transport: t, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }})
}

func env(name, otherwise string) string {
	if v := os.Getenv("ASSENT_BENCH_" + name); v != "" {
		return v
	}
	return otherwise
}

func number(name string, otherwise int) int {
	n, err := strconv.Atoi(env(name, strconv.Itoa(otherwise)))
	if err != nil || n < 1 {
		return otherwise
	}
	return n
}

// free is an address that nobody listens on.
func free() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

type bench struct {
	dir, assent string
	token       string
	at          map[string]string // addresses by side
	started     []*exec.Cmd
	pid         map[string]int // of sides that are one process of ours
}

// cpu is the time that a side's process has computed so far; 0 where it isn't one process.
func (b *bench) cpu(side string) time.Duration {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(b.pid[side]) + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // a clock tick is a hundredth of a second on Linux
}

func (b *bench) start(addr, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Stderr, c.Dir = os.Stderr, b.dir
	if err := c.Start(); err != nil {
		return err
	}
	b.started = append(b.started, c)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			return conn.Close()
		}
	}
	return fmt.Errorf("%s does not listen at %s", name, addr)
}

func (b *bench) stop() {
	for _, c := range slices.Backward(b.started) {
		_ = c.Process.Signal(os.Interrupt)
		done := make(chan struct{})
		go func() { _ = c.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = c.Process.Kill()
		}
	}
}

const pack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: bench, version: 1.0.0, owner: bench }
rules:
  - { id: reads-flow, match: { kind: [data.read] }, then: allow }
  - { id: notes-flow, match: { kind: [data.write] }, then: allow }
  - { id: masked, match: { actor: [agent] }, then: mask, mask: { email: redact, card: redact, us-ssn: redact } }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`

const mapping = `rows:
  - match: GET /items
    kinds: [data.read]
  - match: POST /search
    kinds: [data.read]
  - match: POST /items
    kinds: [data.write]
`

// A load is what clients ask for. What writes is on disk before it goes on, at the gate alone.
type load struct{ name, method, path string }

var loads = []load{{"read", http.MethodGet, "/items"}, {"search", http.MethodPost, "/search"}, {"write", http.MethodPost, "/items"}}

// make starts all sides.
func (b *bench) make(sides []string) error {
	up := free()
	if err := b.start(up, os.Args[0], "upstream", up); err != nil {
		return err
	}
	b.at, b.pid = map[string]string{"direct": up}, map[string]int{}
	for _, side := range sides {
		at := free()
		var err error
		switch side {
		case "direct":
			continue
		case "bare":
			err = b.start(at, os.Args[0], "bare", at, "http://"+up)
		case "nginx":
			err = b.nginx(at, up)
		case "assent":
			err = b.serve(at, up)
		default:
			err = fmt.Errorf("there is no side %s", side)
		}
		if err != nil {
			return err
		}
		b.at[side] = at
		if side != "nginx" {
			b.pid[side] = b.started[len(b.started)-1].Process.Pid
		}
	}
	return nil
}

func (b *bench) nginx(at, up string) error {
	conf := filepath.Join(b.dir, "nginx.conf")
	text := `daemon off; pid ` + b.dir + `/nginx.pid; error_log stderr crit; worker_processes auto;
events { worker_connections 1024; }
http { access_log ` + b.dir + `/access.log; client_body_temp_path ` + b.dir + `/body; proxy_temp_path ` + b.dir + `/proxy; fastcgi_temp_path ` + b.dir + `/f; uwsgi_temp_path ` + b.dir + `/u; scgi_temp_path ` + b.dir + `/s; keepalive_requests 100000000;
 upstream up { server ` + up + `; keepalive 128; keepalive_requests 100000000; }
 server { listen ` + at + `; location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; } } }`
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return err
	}
	return b.start(at, "nginx", "-c", conf)
}

func (b *bench) serve(at, up string) error {
	for name, text := range map[string]string{"pack.yaml": pack, "map.yaml": mapping, "assent.yaml": `data: data
listen: ` + free() + `
policy: [pack.yaml]
people: [{ id: dana }]
actors: [{ id: bench, owner: dana }]
limits: { export_after_rows: 1000000000000 }
log: { level: warn }
gates:
  - name: web
    type: http
    env: prod
    listen: ` + at + `
    routes: [{ name: app, host: ` + host + `, upstreams: ["http://` + up + `"], mapping: map.yaml }]
`} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	args := []string{"serve", "--config", "assent.yaml"}
	if err := b.start(at, b.assent, args...); err != nil {
		return err
	}
	mint := exec.Command(b.assent, "token", "mint", "--actor", "bench", "--data", "data")
	mint.Dir, mint.Stderr = b.dir, os.Stderr
	out, err := mint.Output()
	if err != nil {
		return fmt.Errorf("minting a token: %w", err)
	}
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "ast_") {
			b.token = word
		}
	}
	if b.token == "" {
		return fmt.Errorf("no token in %q", out)
	}
	return nil
}

// A turn is what one side did in one round.
type turn struct {
	rate     float64
	p50, p99 time.Duration
	cpu      time.Duration // of the side's process for each answer
}

// ask has so many clients ask one side for a while, each on its own connection.
func (b *bench) ask(side string, what load, clients int, long time.Duration) (turn, error) {
	body := []byte(`{"note":"` + strings.Repeat("a note like many. ", 56) + `"}`)
	t := &http.Transport{MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients, DisableCompression: true}
	defer t.CloseIdleConnections()
	var (
		work sync.WaitGroup
		mu   sync.Mutex
		took []time.Duration
		bad  error
		all  atomic.Int64
	)
	ctx, cancel := context.WithTimeout(context.Background(), long+300*time.Millisecond)
	defer cancel()
	from := time.Now().Add(300 * time.Millisecond) // connections and caches first
	for range clients {
		work.Go(func() {
			var mine []time.Duration
			for ctx.Err() == nil {
				var send io.Reader
				if what.method == http.MethodPost {
					send = bytes.NewReader(body)
				}
				r, err := http.NewRequest(what.method, "http://"+b.at[side]+what.path, send)
				if err != nil {
					panic(err)
				}
				r.Host = host
				if send != nil {
					r.Header.Set("Content-Type", "application/json")
				}
				if side == "assent" {
					r.Header.Set("Authorization", "Bearer "+b.token)
				}
				began := time.Now()
				resp, err := t.RoundTrip(r)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if resp.StatusCode >= 300 {
						err = fmt.Errorf("%s answered %s", side, resp.Status)
					}
				}
				if err != nil {
					mu.Lock()
					bad = err
					mu.Unlock()
					return
				}
				all.Add(1)
				if began.After(from) {
					mine = append(mine, time.Since(began))
				}
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	before := b.cpu(side)
	work.Wait()
	spent := b.cpu(side) - before
	if bad != nil || len(took) == 0 {
		return turn{}, fmt.Errorf("%s, %s, %d clients: %d answers, %w", side, what.name, clients, len(took), bad)
	}
	slices.Sort(took)
	return turn{float64(len(took)) / long.Seconds(), took[len(took)/2], took[len(took)*99/100], spent / time.Duration(all.Load())}, nil
}

func median[T float64 | time.Duration](all []T) T {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}

func run(assent string) error {
	path, err := filepath.Abs(assent)
	if err != nil {
		return err
	}
	if os.Args[0], err = os.Executable(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-http-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{dir: dir, assent: path}
	defer b.stop()
	sides := strings.Split(env("SIDES", "direct,bare,nginx,assent"), ",")
	if err := b.make(sides); err != nil {
		return err
	}
	rounds, long := number("ROUNDS", 3), time.Duration(number("SECONDS", 3))*time.Second
	fmt.Printf("%-14s %-7s %10s %8s %10s %10s %10s   (ratio of the bare proxy's requests a second; p50 and p99 added to its; CPU of the process for each request)\n", "case", "side", "requests/s", "ratio", "p50", "p99", "CPU")
	for _, what := range loads {
		for _, clients := range []int{1, 8, 64} {
			if !strings.Contains(fmt.Sprintf("%s/%d", what.name, clients), env("ONLY", "")) {
				continue
			}
			if err := b.compare(sides, what, clients, rounds, long); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare runs one case in interleaved rounds.
func (b *bench) compare(sides []string, what load, clients, rounds int, long time.Duration) error {
	turns := map[string][]turn{}
	for n := range rounds {
		for i := range sides {
			side := sides[(i+n)%len(sides)]
			t, err := b.ask(side, what, clients, long)
			if err != nil {
				return err
			}
			turns[side] = append(turns[side], t)
		}
	}
	against := "bare"
	if turns[against] == nil {
		against = sides[0]
	}
	for _, side := range sides {
		var rates, ratios []float64
		var p50, p99, cpu []time.Duration
		for n, t := range turns[side] {
			other := turns[against][n]
			rates, ratios = append(rates, t.rate), append(ratios, t.rate/other.rate)
			p50, p99, cpu = append(p50, t.p50-other.p50), append(p99, t.p99-other.p99), append(cpu, t.cpu)
		}
		fmt.Printf("%-14s %-7s %10.0f %8.2f %10s %10s %10s\n", fmt.Sprintf("%s/%d", what.name, clients), side, median(rates), median(ratios), median(p50).Round(time.Microsecond), median(p99).Round(time.Microsecond), median(cpu).Round(time.Microsecond))
	}
	return nil
}
