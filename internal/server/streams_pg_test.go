package server

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

// A watcher is where streams of a test lead to.
type watcher struct {
	*httptest.Server
	mu      sync.Mutex
	got     map[string]map[int64]string // by lane and node, index: hash
	problem string
	down    bool
}

func newWatcher(t *testing.T) *watcher {
	t.Helper()
	w := &watcher{got: map[string]map[int64]string{}}
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.down {
			out.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Header.Get("Webhook-Signature") == "" {
			w.problem = "a batch isn't signed"
		}
		lines := bufio.NewReader(r.Body)
		for {
			line, err := lines.ReadBytes('\n')
			if err == io.EOF {
				return
			}
			var e struct {
				Lane, Node, Hash string
				Index            int64
				Record           json.RawMessage
			}
			if err := json.Unmarshal(line, &e); err != nil {
				w.problem = err.Error()
				return
			}
			key := e.Lane + "/" + e.Node
			if w.got[key] == nil {
				w.got[key] = map[int64]string{}
			}
			if before, ok := w.got[key][e.Index]; ok && before != e.Hash {
				w.problem = fmt.Sprintf("%s %d came twice, and isn't the same", key, e.Index)
			}
			sum := evidence.LeafHash(e.Record)
			if base64.StdEncoding.EncodeToString(sum[:]) != e.Hash {
				w.problem = fmt.Sprintf("%s %d has another hash than it says", key, e.Index)
			}
			w.got[key][e.Index] = e.Hash
		}
	}))
	t.Cleanup(w.Close)
	return w
}

// whole waits until all records of a lane before end are there.
func (w *watcher) whole(t *testing.T, key string, end int64) {
	t.Helper()
	var have int64
	for by := time.Now().Add(30 * time.Second); time.Now().Before(by); time.Sleep(20 * time.Millisecond) {
		w.mu.Lock()
		for have = 0; w.got[key][have] != ""; have++ {
		}
		problem := w.problem
		w.mu.Unlock()
		if problem != "" {
			t.Fatal(problem)
		}
		if have >= end {
			return
		}
	}
	t.Fatalf("%s: %d of %d arrived without a gap", key, have, end)
}

func (w *watcher) set(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

func TestStreamsOfAFleet(t *testing.T) {
	w := newWatcher(t)
	f := newFleet(t)
	if err := os.WriteFile(filepath.Join(f.dir, "whsec"), []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 0o600); err != nil {
		t.Fatal(err)
	}
	more := fmt.Sprintf("keys: keys\nstreams: [{ name: siem, lanes: [decisions, traffic], from: beginning, webhook: { url: %q, format: lines, private: true, secrets: [{ file: whsec }] } }]\n", w.URL)
	start := func(name string) *bench {
		s, err := f.start(name, more)
		if err != nil {
			t.Fatal(err)
		}
		return &bench{Server: s, t: t, dir: f.dir}
	}
	a := start("a")
	if _, err := a.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	b := start("b")
	a.session, b.session = a.login(), b.login()
	read := func(x *bench, n int) {
		t.Helper()
		for range n {
			act := &action.Action{Kinds: []action.Kind{action.DataRead}, Verb: "select", Title: "read", Statement: "read", Payload: []byte("read")}
			x.session.Describe(act)
			p, err := x.session.Enforce(t.Context(), act, gate.Hooks{})
			if err != nil {
				t.Fatal(err)
			}
			p.Done(gate.Outcome{State: gate.Executed})
		}
	}
	write := func(x *bench, text string) {
		t.Helper()
		held := x.background(t.Context(), text)
		x.approve(x.waiting(1)[0])
		if err := <-held; err != nil {
			t.Fatal(err)
		}
	}
	size := func(x *bench) int64 {
		t.Helper()
		h, err := x.store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return h.Size
	}
	read(a, 5)
	read(b, 7)
	write(a, "write 1")
	w.whole(t, "decisions/", size(a))
	w.whole(t, "traffic/a", a.spool.Next())
	w.whole(t, "traffic/b", b.spool.Next())

	// While the receiver is away everything goes on, and nothing is missing afterwards.
	w.set(true)
	write(b, "write 2")
	read(b, 30)
	for by := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		failing := 0
		for _, x := range []*bench{a, b} {
			for _, s := range x.streams {
				if st := s.State(); st.Failed > 0 && st.Behind > 0 {
					failing++
				}
			}
		}
		if failing >= 2 {
			break
		}
		if time.Now().After(by) {
			t.Fatal("no stream says that it fails")
		}
	}
	metrics, err := b.registry.Gather()
	if err != nil || !strings.Contains(fmt.Sprint(metrics), "assent_stream_behind") {
		t.Errorf("metrics: %v", err)
	}
	w.set(false)
	w.whole(t, "decisions/", size(b))
	w.whole(t, "traffic/b", b.spool.Next())

	// Which node sends the decisions goes over when it ends.
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(b, "write 3")
	w.whole(t, "decisions/", size(b))
	if n := len(b.records(audit.TypeStop)); n != 1 {
		t.Errorf("%d nodes have stopped", n)
	}
}
