package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store/sqlite"
	"github.com/jackc/pgx/v5"
)

// acks is what clients were told, written down by this process: the server's
// death can't take it along.
type acks struct {
	mu       sync.Mutex
	inserted []int64
	marked   []int64
}

// more waits until another update is acknowledged.
func (a *acks) more(most time.Duration) {
	count := func() int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.marked)
	}
	for before, end := count(), time.Now().Add(most); count() == before && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// TestKill kills the server under load again and again (20 times, or
// ASSENT_KILLS), and holds what it left against what clients were told and what
// the database really has.
func TestKill(t *testing.T) {
	cycles := 20
	if s := os.Getenv("ASSENT_KILLS"); s != "" {
		var err error
		if cycles, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	h := newHouse(t)
	var a acks
	var n atomic.Int64
	var starts []time.Duration
	for range cycles {
		starts = append(starts, h.start())
		ctx, cancel := context.WithCancel(t.Context())
		var load sync.WaitGroup
		worker, reviewer := h.worker(), h.reviewer()
		for range 3 {
			load.Go(func() { h.insertAndMark(ctx, worker, &n, &a) })
		}
		load.Go(func() { approveAll(ctx, reviewer) })
		a.more(20 * time.Second) // the load is under way, however slow the machine
		time.Sleep(rand.N(400 * time.Millisecond))
		h.kill()
		cancel()
		load.Wait()
		h.verify()
	}
	starts = append(starts, h.start()) // recovery of the last one
	h.kill()
	h.hold(&a)
	slices.Sort(starts)
	t.Logf("%d kills; %d inserts and %d updates acknowledged; restart to first accept: median %v, worst %v",
		cycles, len(a.inserted), len(a.marked), starts[len(starts)/2].Round(time.Millisecond), starts[len(starts)-1].Round(time.Millisecond))
	if len(a.inserted) < cycles || len(a.marked) < cycles {
		t.Errorf("too little load to say anything: %d inserts, %d updates", len(a.inserted), len(a.marked))
	}
}

// insertAndMark asks for approved inserts and allowed updates until the server dies.
// An insert whose answer got lost is not asked again.
func (h *house) insertAndMark(ctx context.Context, token string, n *atomic.Int64, a *acks) {
	c, err := pgx.Connect(ctx, h.dsn(token))
	if err != nil {
		return
	}
	defer func() { _ = c.Close(context.Background()) }()
	for ctx.Err() == nil {
		k := n.Add(1)
		if _, err := c.Exec(ctx, fmt.Sprintf("INSERT INTO ran VALUES (%d)", k)); err != nil {
			return
		}
		a.mu.Lock()
		a.inserted = append(a.inserted, k)
		a.mu.Unlock()
		if _, err := c.Exec(ctx, fmt.Sprintf("UPDATE mark SET n = %d WHERE id = 1", k)); err != nil {
			return
		}
		a.mu.Lock()
		a.marked = append(a.marked, k)
		a.mu.Unlock()
	}
}

func approveAll(ctx context.Context, c *client.Client) {
	for ctx.Err() == nil {
		page, err := c.Approvals(ctx, client.ListOptions{States: []string{"pending"}, Limit: 20})
		if err != nil {
			return
		}
		for _, p := range page.Approvals {
			_, _ = c.Review(ctx, p, "approve", "load")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

var number = regexp.MustCompile(`\d+`)

// hold compares the log, the database and what was acknowledged.
func (h *house) hold(a *acks) {
	t := h.t
	store, err := sqlite.OpenReadOnly(t.Context(), filepath.Join(h.dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	h.holdIn(store, a)
}

// holdIn is hold for a log that is kept in st.
func (h *house) holdIn(st audit.Reader, a *acks) {
	t := h.t
	recs, err := st.Search(t.Context(), audit.Query{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	asked, marks := map[int64]int{}, map[int64]int{}
	started := map[string]int{}
	for _, r := range recs {
		switch {
		case r.Type == audit.TypeStarted:
			started[r.Approval]++
		case r.Type != audit.TypeRequest:
		case strings.HasPrefix(r.Detail["statement"], "INSERT"):
			k := first(r.Detail["statement"])
			asked[k]++
		case strings.HasPrefix(r.Detail["statement"], "UPDATE"):
			marks[first(r.Detail["statement"])]++
		}
	}
	ran := map[int64]int{}
	rows, err := h.direct().Query(t.Context(), "SELECT n, count(*) FROM ran GROUP BY n")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var n int64
		var times int
		if err := rows.Scan(&n, &times); err != nil {
			t.Fatal(err)
		}
		ran[n] = times
	}
	for n, times := range ran {
		if times > 1 {
			t.Errorf("insert %d ran %d times under one approval", n, times)
		}
		if asked[n] == 0 {
			t.Errorf("insert %d ran without a durable record of its request", n)
		}
	}
	for id, times := range started {
		if times > 1 {
			t.Errorf("approval %s was started %d times", id, times)
		}
	}
	if len(ran) > len(started) {
		t.Errorf("%d inserts ran and %d grants were used", len(ran), len(started))
	}
	for _, n := range a.inserted {
		if ran[n] != 1 || asked[n] == 0 {
			t.Errorf("insert %d was acknowledged: ran %d times, %d records", n, ran[n], asked[n])
		}
	}
	for _, n := range a.marked {
		if marks[n] == 0 {
			t.Errorf("update %d was acknowledged and has no record", n)
		}
	}
}

func first(s string) int64 {
	n, _ := strconv.ParseInt(number.FindString(s), 10, 64)
	return n
}
