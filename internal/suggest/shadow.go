package suggest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
)

// A Shadow is a rule that watched, and would ask people so seldom that it may begin to.
type Shadow struct {
	Rule  string // pack/rule
	File  string
	Owner string
	Until time.Time // when it would begin by itself
	Would int       // actions that it would have held
	Flew  int       // of them, allowed as the packs are
	Of    int       // requests in the log
	Days  int       // that the log covers
	Most  int       // most in one day
}

// mostAsked is how many prompts a day a rule may add and still be suggested: what is asked more often is
// answered without reading.
const mostAsked = 10

// shadows suggests that rules which only watch begin to hold.
func (p *Proposal) shadows(h *History, o Options) error {
	set, err := policy.LoadFiles(p.Files, policy.Options{})
	if err != nil {
		return err
	}
	watching := map[string][]*Shadow{} // by id, as records name them
	for _, pack := range set.Listed() {
		for _, r := range pack.Rules {
			if r.Mode == "shadow" && r.Then == "review" && o.Now.Before(r.Until) && !pack.Locked && !strings.HasPrefix(pack.File, policy.BuiltinScheme) {
				watching[r.ID] = append(watching[r.ID], &Shadow{Rule: r.Name, File: pack.File, Owner: pack.Owner, Until: r.Until})
			}
		}
	}
	for _, id := range sortedKeys(watching) {
		if len(watching[id]) > 1 {
			continue // records don't tell which of them it was
		}
		s := watching[id][0]
		if h.watched(id, s); s.Would == 0 || s.Days < 7 || s.Most > mostAsked {
			continue
		}
		next, err := policy.Amend(s.File, p.Files[s.File], policy.Amendment{Enforce: id})
		if err != nil {
			p.NotYet = append(p.NotYet, fmt.Sprintf("%s: %v", s.Rule, err))
			continue
		}
		files := map[string][]byte{}
		for name, text := range p.Files {
			files[name] = text
		}
		files[s.File] = next
		now, err := policy.LoadFiles(files, policy.Options{})
		if err == nil {
			err = survives(set, now)
		}
		if err != nil {
			p.NotYet = append(p.NotYet, fmt.Sprintf("%s: %v", s.Rule, err))
			continue
		}
		p.Files[s.File] = next
		p.Shadows = append(p.Shadows, *s)
	}
	return nil
}

// watched counts what the rule of that id would have held.
func (h *History) watched(id string, s *Shadow) {
	days, of := map[string]int{}, map[string]bool{}
	for i := range h.Requests {
		r := &h.Requests[i]
		day := r.Time.UTC().Format(time.DateOnly)
		of[day] = true
		if r.Detail["shadow."+id] != "review" {
			continue
		}
		s.Would++
		days[day]++
		s.Most = max(s.Most, days[day])
		if r.Decision == policy.Allow.String() {
			s.Flew++
		}
	}
	s.Of, s.Days = len(h.Requests), len(of)
}

// Watches reports a record of a request that a watching rule would have held.
func Watches(r *audit.Record) bool {
	for name := range r.Detail {
		if strings.HasPrefix(name, "shadow.") {
			return true
		}
	}
	return false
}

func sortedKeys(m map[string][]*Shadow) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
