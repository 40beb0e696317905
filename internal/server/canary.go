package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// A CanariesConfig has harmless holds made now and then, which people should deny.
type CanariesConfig struct {
	PerWeek int            `yaml:"per_week" doc:"How many a week, and so the most that anybody sees of them. 0: none." default:"0"`
	From    string         `yaml:"from" doc:"Earliest time of a working day (Monday to Friday)." default:"09:00"`
	To      string         `yaml:"to" doc:"Latest time." default:"17:00"`
	Zone    string         `yaml:"zone" doc:"Time zone of both, such as Europe/Berlin." default:"UTC"`
	Actions []CanaryConfig `yaml:"actions" doc:"What nobody should approve, as an actor of yours might ask for it. Policy must hold it; nothing of it ever reaches a gate."`
}

// A CanaryConfig is one such action.
type CanaryConfig struct {
	Actor     string   `yaml:"actor" doc:"Actor that seems to ask; its owner and whoever is related stay out of it, as always."`
	Gate      string   `yaml:"gate" doc:"Gate where it seems to ask."`
	Kinds     []string `yaml:"kinds" doc:"Kinds of action, such as data.export."`
	Verb      string   `yaml:"verb" doc:"As such actions have it on their cards."`
	Target    string   `yaml:"target" doc:"The same."`
	Title     string   `yaml:"title" doc:"The same."`
	Statement string   `yaml:"statement" doc:"The same: the text that would run."`
}

// canaryLate is how late one may be planted: a node that was down makes up for nothing.
const canaryLate = 10 * time.Minute

// canaries are planned by a secret: every node comes to the same times and ids, and
// nobody else does. Nothing in the database or the log tells of one beforehand.
type canaries struct {
	key      []byte
	zone     *time.Location
	from, to time.Duration // since midnight
	cfg      *CanariesConfig
}

func (c *CanariesConfig) plan(key []byte) (*canaries, error) {
	p := &canaries{key: key, cfg: c}
	zone, from, to := c.Zone, c.From, c.To
	if zone == "" {
		zone = "UTC"
	}
	if from == "" {
		from = "09:00"
	}
	if to == "" {
		to = "17:00"
	}
	var err error
	if p.zone, err = time.LoadLocation(zone); err != nil || zone == "local" || zone == "Local" {
		return nil, fmt.Errorf("%q is no time zone", zone)
	}
	for text, into := range map[string]*time.Duration{from: &p.from, to: &p.to} {
		t, err := time.Parse("15:04", text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a time like 09:00", text)
		}
		*into = time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	if p.to <= p.from {
		return nil, fmt.Errorf("from %s to %s is no stretch of a day", from, to)
	}
	return p, nil
}

// A canarySlot is when one is planted, and which.
type canarySlot struct {
	name  string
	at    time.Time
	which int
}

// week lists the slots of the week that t is in.
func (p *canaries) week(t time.Time) []canarySlot {
	t = t.In(p.zone)
	monday := time.Date(t.Year(), t.Month(), t.Day()-(int(t.Weekday())+6)%7, 0, 0, 0, 0, p.zone)
	out := make([]canarySlot, p.cfg.PerWeek)
	for i := range out {
		s := &out[i]
		s.name = fmt.Sprintf("%s/%d", monday.Format("2006-01-02"), i)
		h := hmac.New(sha256.New, p.key)
		h.Write([]byte("assent-canary-slot/1\x00" + s.name))
		sum := h.Sum(nil)
		part := func(i, n int) int { return int(binary.BigEndian.Uint32(sum[4*i:]) % uint32(n)) }
		minutes := int((p.from + time.Duration(part(1, int((p.to-p.from)/time.Minute)))*time.Minute) / time.Minute)
		s.at = time.Date(monday.Year(), monday.Month(), monday.Day()+part(0, 5), minutes/60, minutes%60, 0, 0, p.zone)
		s.which = part(2, len(p.cfg.Actions))
	}
	return out
}

// canaryLoop plants what is due. Two nodes that plant the same one plant it once.
func (s *Server) canaryLoop(ctx context.Context) {
	if s.canaries == nil {
		return
	}
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		s.plantDue(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Server) plantDue(ctx context.Context, now time.Time) {
	for _, slot := range s.canaries.week(now) {
		if now.Before(slot.at) || now.Sub(slot.at) > canaryLate {
			continue
		}
		if err := s.plant(ctx, slot); err != nil && !errors.Is(err, approval.ErrConflict) && ctx.Err() == nil {
			s.log.WarnContext(ctx, "a canary could not be planted", "action", slot.which, "err", err)
		}
	}
}

func (s *Server) plant(ctx context.Context, slot canarySlot) error {
	c := &s.canaries.cfg.Actions[slot.which]
	actor, ok := s.dir.ActorByID(s.cfg.actorIDs()[c.Actor])
	if !ok {
		return fmt.Errorf("no actor %q", c.Actor)
	}
	owner, ok := s.dir.Person(actor.Owner)
	if !ok {
		return fmt.Errorf("actor %s has no owner", c.Actor)
	}
	a := &action.Action{Verb: c.Verb, Target: c.Target, Title: c.Title, Statement: c.Statement, Payload: []byte(c.Statement)}
	for _, k := range c.Kinds {
		a.Kinds = append(a.Kinds, action.Kind(k))
	}
	for i := range s.cfg.Gates {
		if g := &s.cfg.Gates[i]; g.Name == c.Gate {
			a.Resource = resourceOf(g)
		}
	}
	asker := identity.Asker{Subject: owner, Chain: []identity.Actor{actor}, Credential: "canary", Scopes: []string{identity.ScopeAct}}
	return s.enforcer.Plant(ctx, asker, a, c.Gate, s.engine.CanaryID(slot.name))
}

// canaries checks what the configuration says of them.
func (k *checker) canaries(c *Config) {
	p := &c.Canaries
	at := "$.canaries"
	if p.PerWeek < 0 || p.PerWeek > 10 {
		k.fail(at+".per_week", fmt.Sprintf("%d is not between 0 and 10", p.PerWeek), "one or two are enough to know")
	}
	if p.PerWeek > 0 && len(p.Actions) == 0 {
		k.fail(at+".actions", "is empty", "name at least one action that nobody should approve")
	}
	if _, err := p.plan(nil); err != nil {
		k.fail(at, err.Error(), "see docs/configuration.md")
	}
	for i := range p.Actions {
		at, a := fmt.Sprintf("%s.actions[%d]", at, i), &p.Actions[i]
		if c.actorIDs()[a.Actor] == "" {
			k.fail(at+".actor", fmt.Sprintf("%q is not among actors", a.Actor), "name an actor of the configuration, with an owner")
		}
		gate := false
		for j := range c.Gates {
			gate = gate || c.Gates[j].Name == a.Gate
		}
		if !gate {
			k.fail(at+".gate", fmt.Sprintf("%q is not among gates", a.Gate), "name the gate where such an action would be asked")
		}
		if len(a.Kinds) == 0 || a.Statement == "" {
			k.fail(at, "names no kinds or no statement", "write them as the cards of such actions show them")
		}
		for j, kind := range a.Kinds {
			if !action.Kind(kind).Valid() {
				k.fail(fmt.Sprintf("%s.kinds[%d]", at, j), fmt.Sprintf("%q is no kind of action", kind), "see docs/action.md")
			}
		}
	}
}
