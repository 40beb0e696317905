package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// assent verify reads a log whole, in memory that doesn't grow with it. ASSENT_LOG_RECORDS
// is how many records it has; scripts/soak audit has ten million.
func TestALargeLogVerifies(t *testing.T) {
	n := 30_000
	if text := os.Getenv("ASSENT_LOG_RECORDS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			t.Fatalf("ASSENT_LOG_RECORDS=%q is no number of records", text)
		}
	}
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	vkey, took := writeLog(t, data, n)
	size := int64(0)
	if info, err := os.Stat(filepath.Join(data, "assent.db")); err == nil {
		size = info.Size()
	}
	t.Logf("%d records in a database of %d MB, written in %.0f s", n, size>>20, took.Seconds())

	whole, some := filepath.Join(filepath.Dir(data), "all.zip"), filepath.Join(filepath.Dir(data), "some.zip")
	steps := [][]string{
		{"verify", "--data", data, "--key", vkey},
		{"evidence", "--out", some, "--data", data, "--actor", "agent:a1"},
		{"verify", some, "--key", vkey},
	}
	if n <= 4_000_000 { // a bundle has up to 4 GiB
		steps = append(steps, []string{"evidence", "--out", whole, "--data", data}, []string{"verify", whole, "--key", vkey})
	}
	for _, args := range steps {
		c := exec.Command(bin, args...)
		began := time.Now()
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), fmt.Sprintf("checkpoint of %d records", n)) {
			t.Fatalf("assent %s: %v\n%.2000s", strings.Join(args, " "), err, out)
		}
		use, _ := c.ProcessState.SysUsage().(*syscall.Rusage)
		cpu := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		t.Logf("assent %s: %.1f s of CPU, %.1f s of time, %d MB at most: %.0f records a second of CPU", args[0]+" "+filepath.Base(args[1])+" "+filepath.Base(args[2]), cpu.Seconds(), time.Since(began).Seconds(), use.Maxrss>>10, float64(n)/cpu.Seconds())
		if use.Maxrss > 400<<10 {
			t.Errorf("assent %s took %d MB", args[0], use.Maxrss>>10)
		}
	}
}

// writeLog appends n records as a server does, and returns the log's key.
func writeLog(t *testing.T, data string, n int) (vkey string, took time.Duration) {
	t.Helper()
	ctx := context.Background()
	began := time.Now()
	if err := os.MkdirAll(filepath.Join(data, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(ctx, data)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	key, err := audit.LoadOrCreateKey(filepath.Join(data, "keys", "log.key"), "localhost/assent/log")
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.New(audit.Options{Origin: key.Name(), Keys: []*audit.Key{key}, HeadFile: filepath.Join(data, "checkpoint")})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Open(ctx, st); err != nil {
		t.Fatal(err)
	}
	const batch = 2000
	for at := 0; at < n; at += batch {
		if err := st.Update(ctx, func(tx approval.Tx) error {
			recs := make([]*audit.Record, min(batch, n-at))
			for i := range recs {
				recs[i] = logged(at + i)
			}
			return log.Append(ctx, tx, recs...)
		}); err != nil {
			t.Fatal(err)
		}
	}
	head, err := st.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Sign(ctx, head); err != nil {
		t.Fatal(err)
	}
	return key.Verifier(), time.Since(began)
}

// logged is a record such as gates and people make: of each held action its request, review and outcome.
func logged(i int) *audit.Record {
	agent, id := fmt.Sprintf("agent:a%d", i/3%50), fmt.Sprintf("ap_%07d", i/3)
	r := &audit.Record{
		Type: audit.TypeRequest, Actor: agent, Chain: []string{agent}, Subject: "person:dana", Gate: "shop", Session: fmt.Sprintf("s_%d", i/300), Approval: id,
		Resource: "postgres:shop/prod", Env: "prod", Kinds: []string{"data.write"}, Verb: "update", Target: "public.orders", Decision: "review",
		Title: fmt.Sprintf("update of %d rows in public.orders", i%97), Policy: "sha256:0123456789abcdef", Rules: []string{"databases/writes-wait"},
	}
	switch i % 3 {
	case 1:
		r.Type, r.Person, r.Decision = audit.TypeReview, fmt.Sprintf("person:p%d", i%7), "approve"
		r.Detail = map[string]string{"channel": "console", "assurance": "console", "took": "41s"}
	case 2:
		r.Type, r.Decision, r.Outcome = audit.TypeOutcome, "", "executed"
	}
	return r
}
