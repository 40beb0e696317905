package trail

import (
	"context"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
)

type run struct {
	id, name, session, gate string
	led                     approval.LedBy
	from                    []approval.LedBy
	ended                   time.Time
}

type leadKey struct{ gate, session, parent string }

// Begin notes that an action of this actor runs out of sight from here on. id and name
// are what its parts may say that it is; led is how their records name it, and from what led to it.
func (b *Book) Begin(gate, id, name, session string, led approval.LedBy, from []approval.LedBy) {
	session, ok := b.t.Name(session)
	if !ok {
		session = ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget()
	if len(b.runs) >= maxRuns {
		b.runs = b.runs[1:]
	}
	b.runs = append(b.runs, &run{id: id, name: name, session: session, gate: gate, led: led, from: from})
	b.moved()
}

// End notes that it ended. What it left running may still name it for a while.
func (b *Book) End(act string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.runs {
		if r.led.ID == act && r.ended.IsZero() {
			r.ended = b.t.o.Clock()
			b.moved()
		}
	}
	b.forget()
}

// forget drops runs that ended a while ago. mu is held.
func (b *Book) forget() {
	old := b.t.o.Clock().Add(-keepEnded)
	kept := b.runs[:0]
	for _, r := range b.runs {
		if r.ended.IsZero() || r.ended.After(old) {
			kept = append(kept, r)
		}
	}
	clear(b.runs[len(kept):])
	b.runs = kept
}

// Lead is what led to an action at a gate that names its session and parent so; nil
// when nobody knows anything. It is shared, and never changed.
func (b *Book) Lead(ctx context.Context, gate, session, parent string) *approval.Lead {
	k := leadKey{gate, session, parent}
	b.mu.Lock()
	lead, is := b.leads[k]
	quiet := session == "" && parent == "" && len(b.runs) == 0
	fresh := is && (!b.t.o.Shared || lead == nil || lead.Session == "")
	b.mu.Unlock()
	if quiet {
		return nil
	}
	if fresh {
		return lead
	}
	if session, is = b.t.Name(session); !is {
		session = ""
	}
	b.mu.Lock()
	changes := b.changes
	from, how := b.parent(gate, session, parent)
	if session == "" && from != nil {
		session = from.session
	}
	b.mu.Unlock()
	next := &approval.Lead{Session: session, Prompt: b.newest(ctx, session)}
	if from != nil {
		led := from.led
		led.How = how
		next.By = append(append(next.By, from.from[max(0, len(from.from)-maxChain+1):]...), led)
	}
	if next.Session == "" && next.By == nil {
		next = nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changes != changes {
		return next
	}
	if b.leads == nil || len(b.leads) >= maxSessions {
		b.leads = map[leadKey]*approval.Lead{}
	}
	b.leads[k] = next
	return next
}

// parent finds the run that an action came from: the one it names, if there is such a one, or the innermost of
// those under way at other gates, where each led to the next: what comes through the same
// gate may as well run beside it. mu is held.
func (b *Book) parent(gate, session, name string) (*run, string) {
	if name != "" {
		for i := len(b.runs) - 1; i >= 0; i-- {
			if r := b.runs[i]; (r.id == name || r.name == name || r.led.ID == name) && (session == "" || r.session == "" || r.session == session) {
				return r, approval.Stated
			}
		}
	}
	var in *run
	for _, r := range b.runs {
		if !r.ended.IsZero() || r.gate == gate || session != "" && r.session != session {
			continue
		}
		if in != nil && (len(r.from) == 0 || r.from[len(r.from)-1].ID != in.led.ID) {
			return nil, ""
		}
		in = r
	}
	return in, approval.Seen
}

// Client reads the name that a client gives to itself ("assent/SESSION/PARENT", as a
// PostgreSQL application_name): which session and what action of the asker's it
// belongs to. Any other name says nothing.
func Client(name string) (session, parent string) {
	rest, is := strings.CutPrefix(name, "assent/")
	if !is || len(name) > 2*maxName+8 {
		return "", ""
	}
	session, parent, _ = strings.Cut(rest, "/")
	for _, c := range []byte(session + parent) {
		if !nameByte(c) {
			return "", ""
		}
	}
	return session, parent
}
