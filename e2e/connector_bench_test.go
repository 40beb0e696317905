package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/internal/pgcluster"
)

// connectorGoal is the share of the gate's own rate that is left through a connector.
const connectorGoal = 0.8

// BenchmarkConnector runs pgbench's cases at a gate that dials the database and at one of the same server that
// reaches it through a connector, in turns, and prints how much of the rate the connector leaves. Both speak TLS
// with the database, as a gate behind a connector always does. The environment narrows it as it does
// BenchmarkPostgres, but for sides.
func BenchmarkConnector(b *testing.B) {
	config := readBenchConfig(b)
	cert, key := certificate(b, "127.0.0.1")
	h := houseWith(b, measuredPack(b), pgcluster.Options{Cert: cert, Key: key, Settings: map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off",
		"shared_buffers": "512MB", "max_wal_size": "4GB", "max_connections": "300",
	}})
	h.write("db.pem", string(cert))
	text, err := os.ReadFile(filepath.Join(h.dir, "assent.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	far, control := free(b), free(b)
	h.write("assent.yaml", strings.Replace(string(text), `tls: "off"`, "ca: db.pem", 1)+fmt.Sprintf(`
  - name: shop-through-a-connector
    type: postgres
    listen: %s
    env: test
    upstream: { via: shop-db, host: %s, port: %d, database: postgres, user: %s, password: { file: pg.password }, ca: db.pem }
connectors: { listen: %q }
`, far, h.cluster.Host, h.cluster.Port, h.cluster.User, control))
	h.start()
	token, err := h.operator().InviteConnector(b.Context(), "vpc-1", []string{"shop-db"}, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	h.write("connector-token", token)
	bin, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	connector := exec.Command(bin, "connector", "--control", control, "--system", "shop-db="+h.cluster.Addr(), "--dir", filepath.Join(h.dir, "connector"), "--token-file", filepath.Join(h.dir, "connector-token"))
	if err := connector.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = connector.Process.Kill(); _ = connector.Wait() }()
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		all, err := h.operator().Connectors(b.Context())
		if err == nil && len(all) == 1 && all[0].State == "connected" {
			break
		}
		if time.Now().After(until) {
			b.Fatalf("the connector isn't there after a minute: %+v, %v", all, err)
		}
	}
	worker := h.worker()
	m := &match{
		t: b, bin: h.cluster.Bin, seconds: config.seconds, dir: b.TempDir(), results: map[string]map[string][]turn{},
		ends: []end{
			{side: "gate", addr: h.gate, user: "worker", password: worker, pid: h.cmd.Process.Pid},
			{side: "connector", addr: far, user: "worker", password: worker, pid: connector.Process.Pid},
		},
	}
	m.prepare(h, config.scale)
	m.run(config)
	h.stop()
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\ncase\tgate /s\tconnector /s\tof the gate\t(from to)\tgoal\t\tconnector's CPU µs/tx\t")
	for _, w := range m.ran {
		var shares []float64
		alone, through := m.results[w.name]["gate"], m.results[w.name]["connector"]
		for i := range alone {
			shares = append(shares, through[i].rate/alone[i].rate)
		}
		share := median(shares)
		fmt.Fprintf(tw, "%s\t%.0f\t%.0f\t%.2f\t%.2f %.2f\t%.2f\t%s\t%s\t\n", w.name, m.sum(w, "gate").rate, m.sum(w, "connector").rate,
			share, slices.Min(shares), slices.Max(shares), connectorGoal, met(share >= connectorGoal), number1(m.sum(w, "connector").cpu))
	}
	_ = tw.Flush()
	b.ReportMetric(0, "ns/op")
}
