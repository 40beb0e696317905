package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var tps = regexp.MustCompile(`tps = ([0-9.]+) \(without`)

// BenchmarkGate runs pgbench's point selects and a bulk read straight at the
// server and through the gate in turn, so that both see the same machine, and
// reports the medians' ratios: how much of the direct speed is left.
func BenchmarkGate(b *testing.B) {
	h := newHouse(b)
	h.start()
	token := h.worker()
	direct := h.cluster.DSN(h.cluster.User, "postgres")
	pgbench := func(args ...string) string {
		out, err := exec.Command(filepath.Join(h.cluster.Bin, "pgbench"), args...).CombinedOutput()
		if err != nil {
			b.Fatalf("pgbench: %v\n%s", err, out)
		}
		return string(out)
	}
	pgbench("-i", "-q", "-s", "5", direct)
	for _, protocol := range []string{"simple", "extended", "prepared"} {
		b.Run("pgbench-S-"+protocol, func(b *testing.B) {
			var ratios []float64
			for range 3 {
				var got [2]float64
				for i, dsn := range []string{direct, h.dsn(token)} {
					m := tps.FindStringSubmatch(pgbench("-n", "-S", "-M", protocol, "-c", "4", "-T", "2", dsn))
					if m == nil {
						b.Fatal("pgbench printed no rate")
					}
					got[i], _ = strconv.ParseFloat(m[1], 64)
				}
				ratios = append(ratios, got[1]/got[0])
			}
			report(b, ratios, "of-direct-tps")
		})
	}
	b.Run("bulk-500k-rows", func(b *testing.B) {
		var ratios []float64
		for range 3 {
			ratios = append(ratios, bulk(b, direct).Seconds()/bulk(b, h.dsn(token)).Seconds())
		}
		report(b, ratios, "of-direct-speed")
	})
}

func report(b *testing.B, ratios []float64, unit string) {
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], unit)
	b.ReportMetric(0, "ns/op")
	b.Logf("%s: median %.2f, from %.2f to %.2f", unit, ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
}

// bulk reads all accounts and returns how long that took.
func bulk(b *testing.B, dsn string) time.Duration {
	b.Helper()
	c, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	began := time.Now()
	rows, err := c.Query(b.Context(), "SELECT aid, bid, abalance, filler FROM pgbench_accounts", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if rows.Err() != nil || n != 500_000 {
		b.Fatal(fmt.Errorf("%d rows: %w", n, rows.Err()))
	}
	return time.Since(began)
}
