package trace_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/trace"
)

const claim = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in      string
		ok      bool
		sampled bool
	}{
		{claim, true, true},
		{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true, false},
		{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe", true, false},
		{"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", true, true},
		{"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more", false, false},
		{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", false, false},
		{"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false, false},
		{"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false, false},
		{"00-00000000000000000000000000000000-b7ad6b7169203331-01", false, false},
		{"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false, false},
		{"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", false, false},
		{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false, false},
		{"", false, false},
	} {
		got, ok := trace.Parse(c.in)
		if ok != c.ok || got.Sampled != c.sampled || ok && c.in[:2] == "00" && got.String()[:53] != c.in[:53] || !ok && !got.IsZero() && got != (trace.Context{}) {
			t.Errorf("%q: %v, %v", c.in, got, ok)
		}
	}
}

func TestInComment(t *testing.T) {
	for in, want := range map[string]string{
		"select 1 /*action='x',traceparent='" + claim + "'*/": claim,
		"select 1 /*traceparent='" + claim + "'*/ ; ":         claim,
		"select '/*traceparent=''" + claim + "''*/'":          "",
		"select 1 -- traceparent='" + claim + "'":             "",
		"/*traceparent='" + claim + "'*/ select 1":            "",
		"select 1 /*traceparent='" + claim + "*/":             "",
		"traceparent='" + claim + "' */":                      "",
		"select '*/'":                                         "", "": "", "*/": "", "/*": "", "/*/": "",
	} {
		if got := trace.InComment(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func FuzzContext(f *testing.F) {
	f.Add(claim)
	f.Add("select 1 /*traceparent='" + claim + "'*/")
	f.Fuzz(func(t *testing.T, s string) {
		if c, ok := trace.Parse(s); ok {
			if again, ok := trace.Parse(c.String()); !ok || again != c {
				t.Errorf("%q: %v, then %v", s, c, again)
			}
		}
		h := http.Header{"Traceparent": {s}, "Tracestate": {"a=1"}}
		trace.Onward(h, trace.InComment(s))
		if len(h["Traceparent"]) != 1 {
			t.Errorf("%q: %v", s, h)
		}
	})
}

func TestOnward(t *testing.T) {
	const other = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, c := range []struct{ came, ours, goes, state string }{
		{claim, "", claim, "a=1"},
		{claim, other, other, ""},
		{claim, "00-0af7651916cd43dd8448eb211c80319c-1111111111111111-01", "00-0af7651916cd43dd8448eb211c80319c-1111111111111111-01", "a=1"},
		{"", other, other, ""},
	} {
		h := http.Header{"Tracestate": {"a=1"}}
		if c.came != "" {
			h.Set("Traceparent", c.came)
		}
		trace.Onward(h, c.ours)
		if h.Get("Traceparent") != c.goes || h.Get("Tracestate") != c.state {
			t.Errorf("%+v: %v", c, h)
		}
	}
}

// sink is a receiver in memory.
type sink struct {
	mu     sync.Mutex
	got    []*trace.Span
	calls  int
	answer func(call int) error
	hang   chan struct{} // Send waits for it; nil: it doesn't
}

func (s *sink) Send(ctx context.Context, spans []*trace.Span) (int, error) {
	if s.hang != nil {
		select {
		case <-s.hang:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.answer != nil {
		if err := s.answer(s.calls); err != nil {
			return 0, err
		}
	}
	s.got = append(s.got, spans...)
	return 0, nil
}

func (s *sink) Close() {}

func (s *sink) spans() []*trace.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func tracer(s *sink, o trace.Options) *trace.Tracer {
	o.Sink, o.Logger = s, slog.New(slog.DiscardHandler)
	return trace.New(o)
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came to that: " + what)
		}
	}
}

// What an agent claims is a link, or the parent where the configuration says so. Whether a trace is sent
// depends neither on the claim's flag nor on its trace id.
func TestAClaimDoesNotChooseTheSample(t *testing.T) {
	for _, join := range []bool{false, true} {
		s := &sink{}
		tr := tracer(s, trace.Options{Join: join, OneIn: 4})
		const n = 400
		for range n {
			one := tr.Begin("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "gate x", time.Now())
			root := one.Root()
			if joined := root.Context.String()[3:35] == claim[3:35]; joined != join || join != root.Link.IsZero() || join != (root.Parent != [8]byte{}) {
				t.Fatalf("join %v: %+v", join, root)
			}
			one.End(time.Now())
		}
		tr.Start()
		tr.Close()
		// 400 throws of a die with four sides: outside 40 to 180 once in 10¹⁰ runs or less.
		if got := len(s.spans()); got < 40 || got > 180 {
			t.Errorf("join %v: %d of %d were sent, want about a quarter", join, got, n)
		}
		one := tr.Begin("", "gate x", time.Now())
		one.Pick()
		if one.ID() == "" || !one.Of(one.Root()).Sampled {
			t.Error("what was picked isn't sampled")
		}
	}
}

// However long a receiver hangs, ending a trace doesn't wait; what is too much is counted, the rest arrives later.
func TestTheQueueIsBounded(t *testing.T) {
	s := &sink{hang: make(chan struct{})}
	tr := tracer(s, trace.Options{})
	tr.Start()
	const n = 6000
	for range n {
		one := tr.Begin("", "gate x", time.Now())
		one.Child("decide", trace.Internal, time.Now())
		one.End(time.Now())
	}
	st := tr.State()
	if st.Waiting > 2048 || st.Dropped < 2*(n-2048-512) || st.Dropped%2 != 0 {
		t.Errorf("%+v", st)
	}
	close(s.hang)
	until(t, "the rest arrives", func() bool { return tr.State().Sent == 2*n-st.Dropped })
	tr.Close()
	for _, one := range s.spans() {
		if one.End.Before(one.Start) {
			t.Errorf("a span without an end: %+v", one)
		}
	}
}

// A receiver that is away for a moment gets everything; what it never takes is dropped at once.
func TestSentAgain(t *testing.T) {
	away := errors.New("away")
	s := &sink{answer: func(call int) error {
		switch call {
		case 1:
			return away
		case 3:
			return errors.Join(away, trace.ErrNever)
		}
		return nil
	}}
	tr := tracer(s, trace.Options{})
	tr.Start()
	end := func() { tr.Begin("", "gate x", time.Now()).End(time.Now()) }
	end()
	until(t, "it was sent again", func() bool { return tr.State().Sent == 1 })
	end()
	until(t, "it was dropped", func() bool { return tr.State().Dropped == 1 })
	if st := tr.State(); st.Error == "" || st.Failed != 2 {
		t.Errorf("%+v", st)
	}
	end()
	tr.Close() // sends what is left
	if st := tr.State(); st.Sent != 2 || st.Error != "" {
		t.Errorf("%+v", st)
	}
}

// A receiver that hangs doesn't keep the process from ending: what it doesn't take is dropped.
func TestAnEndIsNotWaitedFor(t *testing.T) {
	s := &sink{hang: make(chan struct{})}
	tr := tracer(s, trace.Options{})
	tr.Start()
	for range 1000 {
		tr.Begin("", "gate x", time.Now()).End(time.Now())
	}
	tr.Close()
	if st := tr.State(); st.Dropped != 1000 || st.Waiting != 0 {
		t.Errorf("%+v", st)
	}
}

func TestNothingIsTracedByNobody(t *testing.T) {
	var tr *trace.Tracer
	got := testing.AllocsPerRun(100, func() {
		one := tr.Begin(claim, "gate x", time.Time{})
		one.End(time.Time{})
		if one.ID() != "" {
			t.Error("it has an id")
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}
