// Package calm spares people: hours in which nobody writes to them, and what
// they put aside for a while. It changes nothing about an approval: it still
// waits in the console, still expires, and others are still asked.
package calm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// LongestSnooze is how long something can be put aside at most.
const LongestSnooze = 4 * time.Hour

// ErrRefused is what can't be set; its text says why.
var ErrRefused = errors.New("this can't be set")

// Hours in which a person is not written to, every day: from one time of day to
// another, past midnight too.
type Hours struct {
	From string `json:"from"` // "22:00"
	To   string `json:"to"`   // "07:00"
	Zone string `json:"zone"` // of the IANA database: "Europe/Berlin"
	// Grave lets what is critical through.
	Grave bool `json:"grave"`
}

// Off says that no hours are set.
func (h *Hours) Off() bool { return h.From == "" && h.To == "" }

// Check says what is wrong with h.
func (h *Hours) Check() error {
	if h.Off() {
		return nil
	}
	from, err1 := minute(h.From)
	to, err2 := minute(h.To)
	switch _, err := time.LoadLocation(h.Zone); {
	case err1 != nil || err2 != nil || from == to:
		return fmt.Errorf("quiet hours are two different times of day, such as 22:00 and 07:00: %w", ErrRefused)
	case h.Zone == "" || h.Zone == "Local" || err != nil:
		return fmt.Errorf("%q is no time zone: name one such as Europe/Berlin: %w", h.Zone, ErrRefused)
	}
	return nil
}

func minute(s string) (int, error) {
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err
}

// Until is when the quiet hours that t falls into end; zero: it falls into none.
func (h *Hours) Until(t time.Time) time.Time {
	zone, err := time.LoadLocation(h.Zone)
	if h.Off() || err != nil {
		return time.Time{}
	}
	from, err1 := minute(h.From)
	to, err2 := minute(h.To)
	if err1 != nil || err2 != nil {
		return time.Time{}
	}
	l := t.In(zone)
	y, m, d := l.Date()
	at := l.Hour()*60 + l.Minute()
	day := 0
	switch {
	case from < to && (at < from || at >= to), from > to && at >= to && at < from:
		return time.Time{}
	case from > to && at >= from:
		day = 1
	}
	return time.Date(y, m, d+day, to/60, to%60, 0, 0, zone)
}

// snooze is one approval that one person put aside.
type snooze struct {
	Person   string    `json:"person"`
	Approval string    `json:"approval"`
	Version  int64     `json:"version"` // anything new about it ends the rest
	Until    time.Time `json:"until"`
}

const (
	hoursKind  = sealed.Kind[Hours]("quiet")
	snoozeKind = sealed.Kind[snooze]("snooze")
)

// A Keeper knows who wants to be spared. It is safe for concurrent use.
type Keeper struct {
	box   *sealed.Box
	clock func() time.Time
	log   *slog.Logger

	mu      sync.RWMutex
	hours   map[string]Hours  // by person; owned by mu
	snoozes map[string]snooze // by row id; owned by mu
}

// Open reads what is set. What can't be believed spares nobody.
func Open(ctx context.Context, box *sealed.Box, clock func() time.Time, log *slog.Logger) (*Keeper, error) {
	if clock == nil {
		clock = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{box: box, clock: clock, log: log, hours: map[string]Hours{}, snoozes: map[string]snooze{}}
	box.Watch(string(hoursKind), func(id string) { k.read(hoursKind, id) })
	box.Watch(string(snoozeKind), func(id string) { k.read(snoozeKind, id) })
	err := box.View(ctx, func(r *sealed.Reader) error {
		hours, err := hoursKind.All(ctx, r)
		if err != nil {
			return err
		}
		put, err := snoozeKind.List(ctx, r, sealed.Selection{})
		if err != nil {
			return err
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, e := range hours {
			k.hours[e.ID] = e.Value
		}
		for _, e := range put {
			if e.Value.Until.After(k.clock()) {
				k.snoozes[e.ID] = e.Value
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading who wants to be spared: %w", err)
	}
	return k, nil
}

// read takes over one row that changed, here or elsewhere.
func (k *Keeper) read(kind any, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := k.box.View(ctx, func(r *sealed.Reader) error {
		switch kind := kind.(type) {
		case sealed.Kind[Hours]:
			e, err := kind.Get(ctx, r, id)
			k.mu.Lock()
			defer k.mu.Unlock()
			delete(k.hours, id)
			if err == nil {
				k.hours[id] = e.Value
			}
			return err
		case sealed.Kind[snooze]:
			e, err := kind.Get(ctx, r, id)
			k.mu.Lock()
			defer k.mu.Unlock()
			delete(k.snoozes, id)
			if err == nil {
				k.snoozes[id] = e.Value
			}
			return err
		}
		return nil
	})
	if err != nil {
		k.log.ErrorContext(ctx, "reading who wants to be spared", "err", err)
	}
}

// Hours are those of a person.
func (k *Keeper) Hours(person string) Hours {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.hours[person]
}

// SetHours sets a person's own.
func (k *Keeper) SetHours(ctx context.Context, person string, h Hours) error {
	if err := h.Check(); err != nil {
		return err
	}
	return k.box.Update(ctx, func(w *sealed.Writer) error {
		e, err := hoursKind.Get(ctx, &w.Reader, person)
		if errors.Is(err, sealed.ErrNotFound) {
			e, err = &sealed.Entry[Hours]{ID: person}, nil
		}
		if err != nil {
			return err
		}
		e.Value = h
		return hoursKind.Put(ctx, w, e, &audit.Record{Type: audit.TypePerson, Decision: "quiet hours", Person: person, Detail: map[string]string{"from": h.From, "to": h.To, "zone": h.Zone}})
	})
}

// Quiet is until when nobody writes to person; zero: anybody may now.
func (k *Keeper) Quiet(person string, grave bool) time.Time {
	h := k.Hours(person)
	if grave && h.Grave {
		return time.Time{}
	}
	return h.Until(k.clock())
}

func rowID(person, approval string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "assent-snooze/1 %q %q", person, approval))
	return hex.EncodeToString(sum[:12])
}

// Snooze puts an approval aside for a person, as it is now; zero takes it up again.
func (k *Keeper) Snooze(ctx context.Context, person, approval string, version int64, d time.Duration) error {
	if d < 0 || d > LongestSnooze {
		return fmt.Errorf("something can be put aside for %s at most: %w", LongestSnooze, ErrRefused)
	}
	id := rowID(person, approval)
	return k.box.Update(ctx, func(w *sealed.Writer) error {
		e, err := snoozeKind.Get(ctx, &w.Reader, id)
		if errors.Is(err, sealed.ErrNotFound) {
			e, err = &sealed.Entry[snooze]{ID: id, Key: person}, nil
		}
		if err != nil {
			return err
		}
		e.Value = snooze{Person: person, Approval: approval, Version: version, Until: k.clock().Add(d).UTC()}
		return snoozeKind.Put(ctx, w, e, &audit.Record{Type: audit.TypePerson, Decision: "snoozed", Person: person, Approval: approval, Detail: map[string]string{"for": d.String()}})
	})
}

// Snoozed is until when person put this version of an approval aside; zero: they did not.
func (k *Keeper) Snoozed(person, approval string, version int64) time.Time {
	k.mu.RLock()
	defer k.mu.RUnlock()
	s, there := k.snoozes[rowID(person, approval)]
	if !there || s.Version != version || !k.clock().Before(s.Until) {
		return time.Time{}
	}
	return s.Until
}
