package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/show"
)

// Ruled is the kind of a notice that tells of what a rule with notify matched.
const Ruled = "rule"

// Of what one rule matched for one actor a place is told the first at once, and the rest
// of the window as one number. None of it is a setting.
const (
	ruleWindow = 10 * time.Minute
	ruleGrace  = time.Minute      // after a window, for what other nodes count
	ruleSave   = 20 * time.Second // between two writings of one count
	mostActors = 10               // of one rule told of by name, at one place in one window
	mostRuled  = 40               // and of all rules
	ruleTitle  = 160              // bytes of an action's title
	ruleWord   = 200              // bytes of a resource or an actor
)

// A Target is a place of a channel that policy may name under notify.
type Target struct{ Channel, Place string }

// A Match is an action that a rule with notify matched. Its words are masked.
type Match struct {
	Pack, Rule string
	Verdict    string // of the action: "allow", "review", "deny"
	Actor      string // who asked
	Title      string // of the action
	Resource   string
	To         []string // as the rule says it: "slack:#incidents"
}

// A ruleKey is what is told together. rule and actor are empty past the bounds above.
type ruleKey struct {
	at               spot
	pack, rule, from string
	window           int64 // Unix seconds of its beginning
}

// A ruled is what this process counted and did not store yet.
type ruled struct {
	unsaved int64
	saved   time.Time // last attempt; zero: none yet
	first   Match
}

// Matched counts m; it waits for nothing. Within a second its first place is
// to be told in the store.
func (d *Dispatcher) Matched(m *Match) {
	now := d.o.Clock()
	window := now.Truncate(ruleWindow).Unix()
	d.mu.Lock()
	defer d.mu.Unlock()
	for at := range d.targets(m.To) {
		k := ruleKey{at: at, pack: m.Pack, rule: m.Rule, from: m.Actor, window: window}
		k = d.roomLocked(k)
		r := d.ruled[k]
		if r == nil {
			r = &ruled{first: *m}
			r.first.To = nil
			d.ruled[k] = r
		}
		r.unsaved++
	}
}

// roomLocked is k, or what k is counted under where a place would hear too much.
func (d *Dispatcher) roomLocked(k ruleKey) ruleKey {
	if d.ruled[k] != nil {
		return k
	}
	all, actors := 0, 0
	for other := range d.ruled {
		if other.at != k.at || other.window != k.window {
			continue
		}
		if all++; other.pack == k.pack && other.rule == k.rule {
			actors++
		}
	}
	switch {
	case all >= mostRuled:
		k.pack, k.rule, k.from = "", "", ""
	case actors >= mostActors:
		k.from = ""
	}
	return k
}

// targets are the spots behind names of a policy, each once. A name that the
// configuration lost since it was checked is nobody.
func (d *Dispatcher) targets(names []string) map[spot]bool {
	out := map[spot]bool{}
	for _, name := range names {
		for _, t := range d.o.Targets[name] {
			out[spot{t.Channel, t.Place}] = true
		}
	}
	return out
}

// cards are the spots that the requirements of a name, in one order.
func (d *Dispatcher) cards(a *approval.Approval) []spot {
	var out []spot
	for i := range a.Requirements {
		for _, name := range a.Requirements[i].Notify {
			for _, t := range d.o.Targets[name] {
				if s := (spot{t.Channel, t.Place}); !slices.Contains(out, s) {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// saveRules stores what was counted until ctx ends, and then what is left.
func (d *Dispatcher) saveRules(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
			d.saveDue(ctx, false)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), attempt)
	defer cancel()
	d.saveDue(last, true)
}

func (d *Dispatcher) saveDue(ctx context.Context, all bool) {
	for k, r := range d.dueRules(all) {
		err := d.saveRule(ctx, k, &r)
		if err == nil {
			continue
		}
		d.o.Logger.ErrorContext(ctx, "noting whom a rule tells", "channel", k.at.channel, "place", k.at.place, "rule", k.pack+"/"+k.rule, "count", r.unsaved, "err", err)
		d.mu.Lock()
		if kept := d.ruled[k]; kept != nil {
			kept.unsaved += r.unsaved
		} else {
			d.ruled[k] = &r
		}
		d.mu.Unlock()
	}
}

// dueRules takes what is to be stored now, and forgets windows that are over.
func (d *Dispatcher) dueRules(all bool) map[ruleKey]ruled {
	now := d.o.Clock()
	out := map[ruleKey]ruled{}
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, r := range d.ruled {
		over := !now.Before(time.Unix(k.window, 0).Add(ruleWindow))
		if r.unsaved > 0 && (all || over && now.Sub(r.saved) >= lookEvery || now.Sub(r.saved) >= ruleSave) {
			r.saved = now
			out[k] = *r
			r.unsaved = 0
		}
		if over && r.unsaved == 0 {
			delete(d.ruled, k)
		}
	}
	return out
}

// saveRule adds r to what k's place is told, whichever node told it first.
func (d *Dispatcher) saveRule(ctx context.Context, k ruleKey, r *ruled) error {
	var err error
	for range 5 { // another node may count at the same time
		err = d.o.Box.Update(ctx, func(w *sealed.Writer) error { return d.putRule(ctx, w, k, r) })
		if !errors.Is(err, sealed.ErrConflict) {
			break
		}
	}
	return err
}

func (d *Dispatcher) putRule(ctx context.Context, w *sealed.Writer, k ruleKey, r *ruled) error {
	left, begun := r.unsaved, time.Unix(k.window, 0)
	id := func(window int64, part string) string {
		return rowID(k.at.channel, k.at.place, "rule", k.pack, k.rule, k.from, fmt.Sprint(window), part)
	}
	_, err := deliveryKind.Get(ctx, &w.Reader, id(k.window, "first"))
	switch {
	case errors.Is(err, sealed.ErrNotFound):
		n := k.notice(id(k.window, "first"), &r.first, 0, d.o.Clock())
		n.Text += fmt.Sprintf(" What more it matches like this until %s is told as one number.", begun.Add(ruleWindow).UTC().Format("15:04 UTC"))
		e := &sealed.Entry[delivery]{ID: n.ID, Due: d.o.Clock(), Value: delivery{Channel: k.at.channel, Place: k.at.place, Notice: n}}
		if err := deliveryKind.Put(ctx, w, e, k.record(n)); err != nil {
			return err
		}
		left--
	case err != nil:
		return err
	}
	for window := k.window; left > 0; window += int64(ruleWindow / time.Second) {
		e, err := deliveryKind.Get(ctx, &w.Reader, id(window, "more"))
		if errors.Is(err, sealed.ErrNotFound) {
			e, err = &sealed.Entry[delivery]{ID: id(window, "more"), Value: delivery{Channel: k.at.channel, Place: k.at.place}}, nil
		}
		if err != nil {
			return err
		}
		if e.Value.Sent { // it was late, and is told with the next
			continue
		}
		e.Value.Count += left
		e.Due = time.Unix(window, 0).Add(ruleWindow + ruleGrace)
		e.Value.Notice = k.notice(e.ID, &r.first, e.Value.Count, d.o.Clock())
		return deliveryKind.Put(ctx, w, e, k.record(e.Value.Notice))
	}
	return nil
}

func (k *ruleKey) record(n *Notice) *audit.Record {
	return &audit.Record{Type: audit.TypeNotice, Decision: "to tell", Detail: map[string]string{"channel": k.at.channel, "place": k.at.place, "what": Ruled, "title": n.Title}}
}

// notice tells of m, or of how many more there were like it.
func (k *ruleKey) notice(id string, m *Match, more int64, now time.Time) *Notice {
	n := &Notice{ID: id, Kind: Ruled, Path: "/audit", Time: now}
	who := show.Plain(k.from, ruleWord)
	if who == "" {
		who = "further actors"
	}
	name := "rule " + k.pack + "/" + k.rule
	if k.rule == "" {
		name = "further rules"
	}
	if more > 0 {
		n.Title = fmt.Sprintf("%s more by %s: %s", show.Thousands(more), name, who)
		n.Text = fmt.Sprintf("One of them was %s: %s on %s. The log has all of them.", said(m.Verdict), show.Plain(m.Title, ruleTitle), show.Plain(m.Resource, ruleWord))
		return n
	}
	n.Title = fmt.Sprintf("%s: %s", capital(said(m.Verdict)), show.Plain(m.Title, ruleTitle))
	n.Text = fmt.Sprintf("Asked by %s on %s. Told by %s.", who, show.Plain(m.Resource, ruleWord), name)
	return n
}

func said(verdict string) string {
	switch verdict {
	case "allow":
		return "allowed"
	case "review":
		return "held for people"
	}
	return "denied"
}

func capital(s string) string { return string(s[0]-'a'+'A') + s[1:] }
