package stream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assenthq/assent/internal/stream"
)

// lane is a source in memory.
type lane struct {
	mu    sync.Mutex
	first int64 // what is before it is gone
	next  int64
}

func (*lane) Lane() string { return stream.Traffic }

func (l *lane) End(context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next, nil
}

func (l *lane) Read(_ context.Context, from int64, fn func(int64, []byte) bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from < l.first {
		return &stream.Gap{From: from, To: l.first}
	}
	for ; from < l.next && fn(from, leaf(from)); from++ {
	}
	return nil
}

func leaf(i int64) []byte {
	return fmt.Appendf(nil, `{"index":%d,"time":"2026-11-23T10:00:00.000001Z","type":"request","actor":"bot","title":"a \"title\" <b>","decision":"allow"}`, i)
}

// sink is a receiver that may refuse.
type sink struct {
	mu   sync.Mutex
	got  []int64
	fail func(n int) error // of a batch of n
}

func (s *sink) Send(_ context.Context, events []stream.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(len(events)); err != nil {
			var refused *stream.Refused
			if !errors.As(err, &refused) {
				return err
			}
			defer func() { s.got = s.got[:len(s.got)-int(refused.N)] }()
			for _, e := range events {
				s.got = append(s.got, e.Index)
			}
			return err
		}
	}
	for _, e := range events {
		s.got = append(s.got, e.Index)
	}
	return nil
}

func (*sink) Close() {}

func (s *sink) have() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func follow(t testing.TB, l *lane, s *sink, file string, beginning bool) *stream.Follower {
	t.Helper()
	return &stream.Follower{
		Name: "x", Log: "test/log", Node: "n", Source: l, Sink: s, Cursor: stream.FileCursor(file), Beginning: beginning, Logger: slog.New(slog.DiscardHandler),
		Wait: func(ctx context.Context, _ time.Duration) {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
		},
	}
}

// until runs f until done says so.
func until(t testing.TB, f *stream.Follower, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	ended := make(chan struct{})
	go func() { f.Run(ctx); close(ended) }()
	for !done() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	failed := ctx.Err() != nil
	cancel()
	<-ended
	if failed {
		t.Fatalf("it did not come so far: %+v", f.State())
	}
}

// TestEachRecordArrives has a receiver that fails at random and a sender that is
// started anew: each record arrives, in order but for what is sent again.
func TestEachRecordArrives(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.Int64Range(1, 1500).Draw(rt, "n")
		odds := rapid.IntRange(0, 3).Draw(rt, "odds")
		random := rand.New(rand.NewPCG(uint64(n), uint64(odds)))
		l, s := &lane{next: n}, &sink{}
		s.fail = func(int) error {
			if random.IntN(4) < odds {
				return errors.New("not now")
			}
			return nil
		}
		file := filepath.Join(t.TempDir(), "at")
		for stop := n / 3; ; stop += n/3 + 1 {
			at := min(stop, n)
			f := follow(t, l, s, file, true)
			until(t, f, func() bool { got := s.have(); return len(got) > 0 && got[len(got)-1] >= at-1 })
			if at == n {
				break
			}
		}
		next := int64(0)
		for _, i := range s.have() {
			if i > next {
				rt.Fatalf("record %d is followed by %d", next-1, i)
			}
			next = max(next, i+1)
		}
		if next != n {
			rt.Fatalf("%d of %d arrived", next, n)
		}
	})
}

func TestAStreamBeginsNow(t *testing.T) {
	l, s := &lane{next: 40}, &sink{}
	file := filepath.Join(t.TempDir(), "streams", "at")
	broken := errors.New("away")
	s.fail = func(int) error { return broken }
	f := follow(t, l, s, file, false)
	until(t, f, func() bool { return f.State().Sending })
	l.mu.Lock()
	l.next = 45
	l.mu.Unlock()
	f = follow(t, l, s, file, false) // "now" was then, also after a restart
	until(t, f, func() bool { return f.State().Failed > 2 })
	if st := f.State(); st.Behind != 5 || st.Error != "away" || st.Since.IsZero() {
		t.Errorf("%+v", st)
	}
	s.fail = nil
	f = follow(t, l, s, file, false)
	until(t, f, func() bool { return len(s.have()) == 5 && f.State().Sent == 5 })
	if got := s.have(); !slices.Equal(got, []int64{40, 41, 42, 43, 44}) {
		t.Error(got)
	}
	if st := f.State(); st.Behind != 0 || st.Error != "" || !st.Since.IsZero() {
		t.Errorf("%+v", st)
	}
}

func TestWhatIsGoneIsTold(t *testing.T) {
	l, s := &lane{first: 7, next: 10}, &sink{}
	f := follow(t, l, s, filepath.Join(t.TempDir(), "at"), true)
	until(t, f, func() bool { return f.State().Sent == 3 })
	if got := s.have(); !slices.Equal(got, []int64{7, 8, 9}) || f.State().Lost != 7 {
		t.Error(got, f.State())
	}
}

func TestBatchesShrinkToWhatIsTaken(t *testing.T) {
	l, s := &lane{next: 700}, &sink{}
	s.fail = func(n int) error {
		if n > 3 {
			return stream.ErrTooLarge
		}
		return nil
	}
	f := follow(t, l, s, filepath.Join(t.TempDir(), "at"), true)
	until(t, f, func() bool { return f.State().Sent == 700 })
	if len(s.have()) != 700 {
		t.Error(len(s.have()))
	}
}

func TestRefusedForGoodIsToldAndLeftBehind(t *testing.T) {
	l, s := &lane{next: 10}, &sink{}
	once := true
	s.fail = func(int) error {
		if once {
			once = false
			return &stream.Refused{N: 2, Why: "test"}
		}
		return nil
	}
	f := follow(t, l, s, filepath.Join(t.TempDir(), "at"), true)
	until(t, f, func() bool { return f.State().Sent == 10 })
	if len(s.have()) != 8 || f.State().Lost != 2 {
		t.Error(s.have(), f.State())
	}
}

func TestALogThatWentBackIsNotSentAgain(t *testing.T) {
	l, s := &lane{next: 10}, &sink{}
	file := filepath.Join(t.TempDir(), "at")
	f := follow(t, l, s, file, true)
	until(t, f, func() bool { return f.State().Sent == 10 })
	l.mu.Lock()
	l.next = 5
	l.mu.Unlock()
	f = follow(t, l, s, file, true)
	until(t, f, func() bool { return f.State().Failed > 1 })
	if err := f.State().Error; !strings.Contains(err, "put back") {
		t.Error(err)
	}
}

func TestTheEnvelopeKeepsTheRecordsBytes(t *testing.T) {
	e := stream.Event{Log: "test/log", Lane: stream.Traffic, Node: "n1", Index: 3, Leaf: leaf(3)}
	b, err := e.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Lane, Node, Hash string
		Index            int64
		Record           json.RawMessage
	}
	if err := json.Unmarshal(b, &got); err != nil || string(got.Record) != string(leaf(3)) || got.Index != 3 || got.Node != "n1" {
		t.Errorf("%s: %v", b, err)
	}
	if e.Leaf = []byte(`{"index":1}}`); true {
		if _, err := e.JSON(); err == nil {
			t.Error("what isn't JSON was put into an envelope")
		}
	}
}
