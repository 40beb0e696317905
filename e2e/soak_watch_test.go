package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/server"
)

// A rest is what the server holds while nobody asks anything of it.
type rest struct {
	at         time.Duration // since the soak began
	life       int           // which start of the server this is
	heap       float64       // bytes after garbage was collected
	resident   int64         // bytes
	goroutines int
	files      int // open descriptors
	upstream   int // connections at the database
	waiting    int // approvals that nobody has answered yet
}

func (r rest) String() string {
	return fmt.Sprintf("%8s  life %2d  heap %6.1f MiB  resident %6.1f MiB  goroutines %4d  files %4d  upstream %3d  pending %5d",
		r.at.Round(time.Second), r.life, r.heap/(1<<20), float64(r.resident)/(1<<20), r.goroutines, r.files, r.upstream, r.waiting)
}

// rest takes the figures after the load stopped. What must go away gets some
// seconds for it: the last connection's end, the upstream's own reaper.
func (s *soak) rest(ctx context.Context) (rest, error) {
	var r rest
	deadline := time.Now().Add(15 * time.Second)
	for {
		var err error
		if r, err = s.figures(ctx); err != nil {
			return r, err
		}
		if len(s.rests) == 0 || s.gone(r) == "" || time.Now().After(deadline) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	var err error
	r.heap, err = s.collected(ctx)
	return r, err
}

func (s *soak) figures(ctx context.Context) (rest, error) {
	m, err := s.metrics(ctx)
	if err != nil {
		return rest{}, err
	}
	pid := s.house.cmd.Process.Pid
	r := rest{at: time.Since(s.began), life: s.life, goroutines: int(m["go_goroutines"]), waiting: int(m["assent_approvals_pending"])}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return rest{}, err
	}
	r.files = len(files)
	if r.resident, err = residentSize(pid); err != nil {
		return rest{}, err
	}
	err = s.admin(ctx).QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'soak'").Scan(&r.upstream)
	return r, err
}

// residentSize is the memory of the process that is in RAM (proc(5), VmRSS).
func residentSize(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := bytes.Cut(b, []byte("VmRSS:"))
	f := bytes.Fields(after)
	if len(f) == 0 {
		return 0, fmt.Errorf("/proc/%d/status has no VmRSS", pid)
	}
	kib, err := strconv.ParseInt(string(f[0]), 10, 64)
	return kib << 10, err
}

// collected is the heap just after a collection. The server has no switch to force
// one, so it is asked for metrics until what that allocates has brought some about;
// the least figure counts, for garbage is in it until it is swept.
func (s *soak) collected(ctx context.Context) (float64, error) {
	collections, last, least := -1, 0.0, math.Inf(1)
	for range 5000 {
		m, err := s.metrics(ctx)
		if err != nil {
			return 0, err
		}
		if gc := m["go_memstats_last_gc_time_seconds"]; gc != last {
			collections, last = collections+1, gc
		}
		if collections > 0 {
			least = min(least, m["go_memstats_heap_alloc_bytes"])
		}
		if collections > 3 {
			return least, nil
		}
	}
	return 0, fmt.Errorf("the server collected garbage %d times while it was asked for metrics 5000 times", collections)
}

// metrics reads those without labels.
func (s *soak) metrics(ctx context.Context) (map[string]float64, error) {
	o, err := server.ReadOperator(filepath.Join(s.house.dir, "data"))
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.house.console+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+o.Token)
	res, err := s.web.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics: %s", res.Status)
	}
	m := map[string]float64{}
	for in := bufio.NewScanner(res.Body); in.Scan(); {
		name, value, ok := strings.Cut(in.Text(), " ")
		if ok && name != "#" && !strings.Contains(name, "{") {
			m[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return m, nil
}

// gone says what of a load is still there, compared with before any load.
func (s *soak) gone(r rest) string {
	before := s.rests[0]
	switch {
	case r.goroutines > before.goroutines+2:
		return fmt.Sprintf("%d goroutines, and %d before any load", r.goroutines, before.goroutines)
	case r.files > before.files+4: // the store and the spool open and close files of their own
		return fmt.Sprintf("%d open files, and %d before any load", r.files, before.files)
	case r.upstream > before.upstream:
		return fmt.Sprintf("%d connections at the database, and %d before any load", r.upstream, before.upstream)
	}
	return ""
}

// grown says what memory grew by, compared with after this life's first spell of
// load: by then caches are filled and every path was taken.
func (s *soak) grown(r rest) string {
	switch f := s.first; {
	case r.heap > f.heap*1.3+12<<20:
		return fmt.Sprintf("heap of %.1f MiB, and %.1f after the first spell", r.heap/(1<<20), f.heap/(1<<20))
	case float64(r.resident) > float64(f.resident)*1.3+32<<20:
		return fmt.Sprintf("%d MiB of memory, and %d after the first spell", r.resident>>20, f.resident>>20)
	}
	return ""
}
