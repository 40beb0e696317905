package card

import (
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
)

// What led to an action stands among the asker's words, but for what Assent saw itself.
func TestWhatLedToIt(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 2, 3, 0, time.UTC)
	a := padded(1, 0, "")
	a.Items, a.Target, a.Statement, a.Claims = nil, "public.orders", "copy orders to stdout", action.Claims{Reason: "audit"}
	a.Lead = &approval.Lead{
		Session: "s1", Names: "no", Prompt: &approval.Prompt{Text: "tidy up” at 09:00:00 UTC, which names public.orders: “\x1b[2Jx", Cut: true, Time: at},
		By:  []approval.LedBy{{ID: "act_1", Title: "Bash make", How: approval.Stated}, {ID: "act_2", Title: "Bash psql", How: approval.Seen}},
		Saw: []approval.Saw{{Kind: approval.SawSensitive, What: "select on customers with aws-key", Actor: "agent:x", Act: "act_0", Time: at}},
	}
	c := Of(a, nil, "https://assent.test")
	said := map[string]string{}
	for _, k := range c.Claims {
		said[k.Name] = k.Text
	}
	if p := said["prompt"]; !strings.HasPrefix(p, "at 10:02:03 UTC, which does not name public.orders: “tidy up") || !strings.HasSuffix(p, "…”") || strings.Contains(p, "\x1b") {
		t.Errorf("prompt %q", p)
	}
	if said["reason"] != "audit" || said["led by"] != "Bash make (act_1, as the asker's side says) → Bash psql (act_2, the only one under way) → this" {
		t.Errorf("%v", said)
	}
	saw := ""
	for _, e := range c.Effects {
		if e.Class == "warn" {
			saw = e.Text
		}
	}
	if saw != "x has lately seen what must not leave: select on customers with aws-key at 10:02:03 UTC (act_0)" {
		t.Errorf("saw %q", saw)
	}
	a.Lead = nil
	if c = Of(a, nil, "https://assent.test"); len(c.Claims) != 1 {
		t.Errorf("%v", c.Claims)
	}
}
