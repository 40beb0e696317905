package llm

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/assenthq/assent/gate"
	classify "github.com/assenthq/assent/internal/classify/mcp"
)

// A Ledger keeps what was used, over restarts and nodes.
type Ledger interface {
	AddRows(ctx context.Context, subject, class, resource string, at time.Time, rows, bytes int64) error
	SumRows(ctx context.Context, subject, resource string, since time.Time) (rows, bytes map[string]int64, err error)
}

// A Budget bounds what each actor or person may use. Zero: no bound.
type Budget struct {
	Person bool     // of each person, with all their actors; else of each actor
	Only   []string // ids or patterns; none: of all
	Input  int64    // tokens in 24 hours
	Output int64
	Cost   int64 // millionths of the currency of the prices, in 24 hours
	Minute int   // requests
}

// A Price is what a million tokens cost, in millionths of a currency.
type Price struct {
	Model         string // name or pattern
	Input, Output int64
}

const day = 24 * time.Hour

// What the ledger has under a subject.
const (
	inputOf  = "input"
	outputOf = "output"
	costOf   = "cost"
)

// A meter holds budgets.
type meter struct {
	gate    string
	budgets []Budget
	prices  []Price
	ledger  Ledger
	now     func() time.Time
	log     *slog.Logger

	mu      sync.Mutex             // held while the ledger is asked, so that calls side by side add up
	minutes map[string][]time.Time // requests of the last minute; owned by mu
}

func (m *meter) place() string { return "llm-use:" + m.gate }

// who are the subjects that budgets speak of.
type who struct{ actor, person string }

func (b *Budget) of(w who) string {
	id := w.actor
	if b.Person {
		id = w.person
	}
	if id == "" || len(b.Only) == 0 {
		return id
	}
	for _, pattern := range b.Only {
		if classify.Glob(pattern, id) {
			return id
		}
	}
	return ""
}

// cost is what tokens cost; false: nobody knows.
func (m *meter) cost(model string, in, out int64) (int64, bool) {
	for _, p := range m.prices {
		if classify.Glob(p.Model, model) {
			return (in*p.Input + out*p.Output + 999_999) / 1_000_000, true
		}
	}
	return 0, false
}

// check says whether a request with so many tokens may still be asked. take: it counts from now on.
func (m *meter) check(ctx context.Context, w who, model string, in int64, take bool) error {
	if len(m.budgets) == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	cost, priced := m.cost(model, in, 0)
	sums := map[string]map[string]int64{}
	for i := range m.budgets {
		b := &m.budgets[i]
		id := b.of(w)
		if id == "" {
			if b.Person && w.person == "" && len(b.Only) == 0 {
				return denied("nobody knows for which person this is, and the budget is a person's", "its owner must be named in the configuration")
			}
			continue
		}
		if b.Minute > 0 {
			if d := m.minute(id, b, now); d != nil {
				return d
			}
		}
		if b.Input+b.Output+b.Cost == 0 {
			continue
		}
		if sums[id] == nil {
			used, _, err := m.ledger.SumRows(ctx, id, m.place(), now.Add(-day))
			if err != nil {
				return m.failed(err)
			}
			sums[id] = used
		}
		used := sums[id]
		whose := map[bool]string{false: "of " + w.actor, true: "of the person behind it"}[b.Person]
		switch {
		case b.Input > 0 && used[inputOf]+in > b.Input:
			return denied("the budget "+whose+" has too few tokens for what is asked left in these 24 hours", "ask for less, or later")
		case b.Output > 0 && used[outputOf] >= b.Output:
			return denied("the budget "+whose+" has no tokens for answers left in these 24 hours", "ask later")
		case b.Cost > 0 && !priced:
			return denied("the model has no price in the configuration, and the budget "+whose+" is of money", "an operator adds it under prices")
		case b.Cost > 0 && used[costOf]+cost > b.Cost:
			return denied("the budget "+whose+" is spent for these 24 hours", "ask later")
		}
	}
	if !take {
		return nil
	}
	for _, id := range m.subjects(w) {
		if slices.ContainsFunc(m.budgets, func(b Budget) bool { return b.Minute > 0 && b.of(w) == id }) {
			if m.minutes == nil {
				m.minutes = map[string][]time.Time{}
			}
			m.minutes[id] = append(m.minutes[id], now)
		}
		if err := m.add(ctx, id, now, in, 0, cost); err != nil {
			return m.failed(err)
		}
	}
	return nil
}

// spends says that there are budgets of answers.
func (m *meter) spends() bool {
	return slices.ContainsFunc(m.budgets, func(b Budget) bool { return b.Output+b.Cost > 0 })
}

// minute counts requests. m.mu is held.
func (m *meter) minute(id string, b *Budget, now time.Time) error {
	kept := m.minutes[id]
	for len(kept) > 0 && now.Sub(kept[0]) >= time.Minute {
		kept = kept[1:]
	}
	if len(kept) == 0 {
		delete(m.minutes, id)
	} else {
		m.minutes[id] = kept
	}
	if len(kept) < b.Minute {
		return nil
	}
	wait := time.Minute - now.Sub(kept[len(kept)-b.Minute])
	return &gate.Denied{Status: statusPace, Reason: fmt.Sprintf("more than %d requests in a minute", b.Minute), Hint: fmt.Sprintf("come back in %d seconds", int(wait.Seconds())+1)}
}

// statusPace is a refusal after which a client may come back by itself.
const statusPace = "pace"

// subjects are those that what w uses is counted for, each once.
func (m *meter) subjects(w who) []string {
	var out []string
	for _, id := range []string{w.actor, w.person} {
		for i := range m.budgets {
			if m.budgets[i].of(w) == id && id != "" {
				out = append(out, id)
				break
			}
		}
	}
	if len(out) == 2 && out[0] == out[1] {
		out = out[:1]
	}
	return out
}

func (m *meter) add(ctx context.Context, id string, now time.Time, in, out, cost int64) error {
	for _, x := range []struct {
		class string
		n     int64
	}{{inputOf, in}, {outputOf, out}, {costOf, cost}} {
		if x.n == 0 {
			continue
		}
		if err := m.ledger.AddRows(ctx, id, x.class, m.place(), now, x.n, 0); err != nil {
			return err
		}
	}
	return nil
}

// settle counts what was used, in place of what was guessed.
func (m *meter) settle(w who, model string, guessed, in, out int64) {
	if len(m.budgets) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	before, _ := m.cost(model, guessed, 0)
	after, _ := m.cost(model, in, out)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range m.subjects(w) {
		if err := m.add(ctx, id, m.now(), in-guessed, out, after-before); err != nil {
			m.log.Error("what a model used can't be counted", "gate", m.gate, "err", err)
		}
	}
}

func (m *meter) failed(err error) error {
	m.log.Error("what models used can't be read", "gate", m.gate, "err", err)
	return &gate.Denied{Status: gate.StatusNobody, Reason: "what was used can't be counted, so nothing may be asked", Hint: "try again later; the server's own log says what is wrong"}
}

func denied(reason, hint string) *gate.Denied {
	return &gate.Denied{Status: gate.StatusDenied, Reason: reason, Hint: hint}
}
