package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
)

const (
	maxReply     = 16 << 10         // bytes of a witness's answer
	submitTime   = 10 * time.Second // for one witness's answer, catching up included
	lookTime     = 3 * time.Second  // at start
	maxCatchUps  = 3                // sizes a witness may name in one round
	defaultEvery = 5 * time.Second
	defaultLag   = 5 * time.Minute
)

// ErrLied says that a witness's answer can't be what it has seen: a signature
// that doesn't verify, a size it can't have, an answer outside the protocol.
var ErrLied = errors.New("the witness's answer does not hold")

// A Source is the log whose checkpoints are witnessed.
type Source interface {
	// Checkpoint is the newest signed note; nil before the first.
	Checkpoint() []byte
	// Size is how many records are durable now.
	Size(ctx context.Context) (int64, error)
	Consistency(ctx context.Context, older, newer int64) ([]evidence.Hash, error)
	// Refuse ends all signing: a witness has seen what the log no longer holds.
	Refuse(err error)
}

// A Remote is one witness that is asked.
type Remote struct {
	Key string // vkey of type 4
	URL string // submission prefix: what /add-checkpoint is put behind
}

// CollectorOptions are what a Collector is made of.
type CollectorOptions struct {
	VKeys     []string // of the log
	Witnesses []Remote
	Require   int           // how many must have cosigned within Lag; 0: none
	Lag       time.Duration // 0: 5 minutes
	Every     time.Duration // between rounds; 0: 5 seconds
	File      string        // keeps the published note
	Source    Source
	HTTP      *http.Client
	// Told hears of each witness whose state changed; nil: nobody does.
	Told   func(s State)
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
}

// A State is what is known of one witness.
type State struct {
	Name string    `json:"name"`
	Size int64     `json:"size"` // of the newest tree that it cosigned for us
	At   time.Time `json:"at"`   // when its newest cosignature came, by our clock; zero: none in this process's life
	Lied bool      `json:"lied"` // its newest answer was none that a witness gives
	Err  error     `json:"-"`    // of the newest round; nil: it cosigned
}

// A Collector sends each new checkpoint to witnesses and publishes it with their
// cosignatures. What it publishes only grows.
type Collector struct {
	o     CollectorOptions
	names []string

	round sync.Mutex // held through one round

	mu        sync.Mutex
	states    []State
	published []byte
}

// NewCollector reads the note that was published last.
func NewCollector(o CollectorOptions) (*Collector, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Every == 0 {
		o.Every = defaultEvery
	}
	if o.Lag == 0 {
		o.Lag = defaultLag
	}
	c := &Collector{o: o}
	for _, r := range o.Witnesses {
		name, err := evidence.CheckWitness(r.Key)
		if err != nil {
			return nil, err
		}
		if slices.Contains(c.names, name) {
			return nil, fmt.Errorf("two witnesses are called %q", name)
		}
		c.names = append(c.names, name)
		c.states = append(c.states, State{Name: name, Err: errors.New("not asked yet")})
	}
	b, err := os.ReadFile(o.File)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the witnessed checkpoint: %w", err)
	}
	cp, _, err := evidence.VerifyCosigned(b, o.VKeys, c.keys())
	if err != nil {
		return nil, fmt.Errorf("the witnessed checkpoint %s: %w; keep it as evidence and move it away", o.File, err)
	}
	for i := range c.states {
		c.states[i].Size = cp.Size
	}
	c.published = b
	return c, nil
}

func (c *Collector) keys() []string {
	var out []string
	for _, r := range c.o.Witnesses {
		out = append(out, r.Key)
	}
	return out
}

// Published is the newest note for everybody; nil before the first round.
func (c *Collector) Published() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.published
}

// States tells of each witness, in the order they were given.
func (c *Collector) States() []State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.states)
}

// Err says why the log isn't witnessed as it must be; nil while it is.
func (c *Collector) Err() error {
	fresh := 0
	var late []string
	for _, s := range c.States() {
		if !s.At.IsZero() && c.o.Now().Sub(s.At) <= c.o.Lag {
			fresh++
		} else {
			late = append(late, s.Name)
		}
	}
	if fresh >= c.o.Require {
		return nil
	}
	return fmt.Errorf("the audit log must be witnessed by %d, and in the last %s was by %d; missing: %s (see that they run and are reached; audit.witnesses in the configuration)", c.o.Require, c.o.Lag, fresh, strings.Join(late, ", "))
}

// Look asks each witness, before anything is signed, whether it has seen more of
// the log than have records: note is what was signed last. Witnesses that can't be asked are left out.
func (c *Collector) Look(ctx context.Context, note []byte, have int64) error {
	cp, err := evidence.VerifyCheckpoint(note, c.o.VKeys...)
	if err != nil {
		return err
	}
	errs := make([]error, len(c.o.Witnesses))
	var wg sync.WaitGroup
	for i, r := range c.o.Witnesses {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, lookTime)
			defer cancel()
			// An old size it doesn't have is answered with the one it has; nothing is cosigned.
			a, err := c.post(ctx, r, &request{old: cp.Size, checkpoint: note})
			if err == nil && a.status == http.StatusConflict && a.size > have {
				errs[i] = &audit.BehindError{By: c.names[i], Seen: a.size, Have: have}
			}
			if err == nil && a.status == http.StatusConflict && a.size == cp.Size {
				errs[i] = &audit.ForkError{By: c.names[i], Seen: a.size}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Run asks round after round until ctx ends.
func (c *Collector) Run(ctx context.Context) {
	tick := time.NewTicker(c.o.Every)
	defer tick.Stop()
	for {
		if err := c.Round(ctx); err != nil && ctx.Err() == nil {
			c.o.Logger.Error("publishing a witnessed checkpoint", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Round sends the newest checkpoint to every witness and publishes it with what came back.
func (c *Collector) Round(ctx context.Context) error {
	c.round.Lock()
	defer c.round.Unlock()
	note := c.o.Source.Checkpoint()
	if note == nil {
		return nil
	}
	cp, err := evidence.VerifyCheckpoint(note, c.o.VKeys...)
	if err != nil {
		return err
	}
	lines := make([][]byte, len(c.o.Witnesses))
	var wg sync.WaitGroup
	for i, r := range c.o.Witnesses {
		if c.settled(i, cp.Size) {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, submitTime)
			defer cancel()
			line, err := c.submit(ctx, i, r, note, cp)
			lines[i] = line
			c.tell(ctx, i, cp.Size, err)
		})
	}
	wg.Wait()
	return c.publish(note, lines)
}

// publish puts cosignatures under the note and keeps it. What is published of
// the same note already stays, and gets what it lacked.
func (c *Collector) publish(note []byte, lines [][]byte) error {
	c.mu.Lock()
	old := c.published
	c.mu.Unlock()
	whole := note
	if bytes.HasPrefix(old, note) {
		whole = old
	}
	for i, line := range lines {
		if line != nil && !bytes.Contains(whole, []byte("\n— "+c.names[i]+" ")) {
			whole = slices.Concat(whole, line)
		}
	}
	if bytes.Equal(old, whole) {
		return nil
	}
	if err := audit.WriteFile(c.o.File, whole); err != nil {
		return fmt.Errorf("keeping the witnessed checkpoint: %w", err)
	}
	c.mu.Lock()
	c.published = whole
	c.mu.Unlock()
	return nil
}

// settled reports whether a witness has cosigned exactly this tree a moment ago.
func (c *Collector) settled(i int, size int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.states[i]
	return s.Err == nil && s.Size == size && c.o.Now().Sub(s.At) < c.o.Lag/2
}

// tell notes what came of one witness, and passes a change on.
func (c *Collector) tell(ctx context.Context, i int, size int64, err error) {
	if err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return // we stop; that is not the witness's doing
	}
	c.mu.Lock()
	s := &c.states[i]
	changed := (s.Err == nil) != (err == nil) || s.Lied != errors.Is(err, ErrLied)
	s.Err, s.Lied = err, errors.Is(err, ErrLied)
	if err == nil {
		s.Size, s.At = size, c.o.Now()
	}
	now := *s
	c.mu.Unlock()
	if errors.Is(err, audit.ErrRolledBack) {
		c.o.Source.Refuse(err)
	}
	if changed && c.o.Told != nil {
		c.o.Told(now)
	}
}

// submit gets one witness's cosignature lines for a checkpoint, catching up with
// what it has seen from others who write the same log.
func (c *Collector) submit(ctx context.Context, i int, r Remote, note []byte, cp *evidence.Checkpoint) ([]byte, error) {
	c.mu.Lock()
	old := min(c.states[i].Size, cp.Size)
	c.mu.Unlock()
	for range maxCatchUps {
		q := &request{old: old, checkpoint: note}
		if old > 0 && old < cp.Size {
			var err error
			if q.proof, err = c.o.Source.Consistency(ctx, old, cp.Size); err != nil {
				return nil, err
			}
		}
		a, err := c.post(ctx, r, q)
		if err != nil {
			return nil, err
		}
		switch a.status {
		case http.StatusOK:
			return cosigned(note, a.body, r.Key)
		case http.StatusConflict:
			next, err := c.catchUp(ctx, i, a.size, old, cp)
			if err != nil {
				return nil, err
			}
			old = next
		case http.StatusUnprocessableEntity:
			// The proof is right for what is stored: the witness has seen something else.
			return nil, &audit.ForkError{By: c.names[i], Seen: old}
		case http.StatusNotFound:
			return nil, errors.New("the witness does not know this log: give it the key that assent keys prints")
		case http.StatusForbidden:
			return nil, errors.New("the witness knows another key of this log: give it the one that assent keys prints")
		default:
			return nil, fmt.Errorf("the witness answers with status %d", a.status)
		}
	}
	return nil, fmt.Errorf("%w: it names another size each time it is asked", ErrLied)
}

// catchUp decides what a witness's other size means.
func (c *Collector) catchUp(ctx context.Context, i int, seen, asked int64, cp *evidence.Checkpoint) (int64, error) {
	c.mu.Lock()
	known := c.states[i]
	c.mu.Unlock()
	switch {
	case !known.At.IsZero() && seen < known.Size:
		return 0, fmt.Errorf("%w: it cosigned %d records and has seen %d now; its state was lost or put back", ErrLied, known.Size, seen)
	case seen == asked && asked == cp.Size:
		return 0, &audit.ForkError{By: c.names[i], Seen: seen} // it has another root of that size
	case seen == asked:
		return 0, fmt.Errorf("%w: it has the size that it was sent, and says it has another", ErrLied)
	case seen <= cp.Size:
		return seen, nil
	}
	have, err := c.o.Source.Size(ctx)
	if err != nil {
		return 0, err
	}
	if seen > have {
		return 0, &audit.BehindError{By: c.names[i], Seen: seen, Have: have}
	}
	return 0, fmt.Errorf("it has seen %d records from another node already; this one sends more in the next round", seen)
}

// cosigned picks the lines that this witness's key made on exactly this note.
func cosigned(note, reply []byte, vkey string) ([]byte, error) {
	var out []byte
	for _, line := range bytes.SplitAfter(reply, []byte("\n")) {
		if !bytes.HasPrefix(line, []byte("— ")) || !bytes.HasSuffix(line, []byte("\n")) {
			continue
		}
		if _, _, err := evidence.VerifyWitnessed(slices.Concat(note, line), vkey); err == nil {
			return append(out, line...), nil
		}
	}
	return nil, fmt.Errorf("%w: no line of it is a signature by its key on our checkpoint", ErrLied)
}

// answer is what a witness said.
type answer struct {
	status int
	body   []byte
	size   int64 // with 409
}

func (c *Collector) post(ctx context.Context, r Remote, q *request) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(r.URL, "/")+"/add-checkpoint", bytes.NewReader(q.text()))
	if err != nil {
		return nil, fmt.Errorf("asking the witness: %w", err)
	}
	resp, err := c.o.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the witness: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := &answer{status: resp.StatusCode}
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxReply+1)); err != nil {
		return nil, fmt.Errorf("reading the witness's answer: %w", err)
	}
	if len(a.body) > maxReply {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrLied, maxReply)
	}
	if a.status == http.StatusConflict {
		text := strings.TrimSuffix(string(a.body), "\n")
		a.size, err = strconv.ParseInt(text, 10, 64)
		if err != nil || a.size < 0 || strconv.FormatInt(a.size, 10) != text {
			return nil, fmt.Errorf("%w: a conflict names the size it has, in decimal", ErrLied)
		}
	}
	return a, nil
}
