package hook_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/hook"
	"github.com/assenthq/assent/internal/policy"
)

// TestBypass: no line of testdata/bypass.jsonl is let run by the built-in pack, and
// each has the kinds that the line names.
func TestBypass(t *testing.T) {
	set, err := policy.Default(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("testdata/bypass.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		var line struct {
			Name, Agent string
			Doc         json.RawMessage
			Text        string        // in place of doc, where it is no JSON
			Kinds       []action.Kind // all must be there; none: it is refused before anybody is asked
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		n++
		t.Run(line.Name, func(t *testing.T) {
			body := []byte(line.Text)
			if line.Text == "" {
				body = line.Doc
			}
			allowed := false
			d := &desk{verdict: func(a *action.Action) error {
				in := policy.Input{Action: a, ActorID: "worker", ActorType: "agent", SubjectID: "dana", Time: time.Now()}
				var decision policy.Decision
				set.Decide(&in, &decision)
				switch decision.Verdict {
				case policy.Allow:
					allowed = true
					return nil
				case policy.Review:
					return &gate.Denied{Status: gate.StatusPending, ID: "apr_1", Reason: "still waiting"}
				}
				return &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
			}}
			res, err := newGate(t, d).Answer(t.Context(), line.Agent, hook.Request{Bearer: "a", Body: body})
			if err != nil {
				t.Fatal(err)
			}
			if allowed || yes(line.Agent, res.Body) {
				t.Errorf("it may run: %s", res.Body)
			}
			if len(line.Kinds) == 0 && len(d.asked) > 0 {
				t.Errorf("people were asked: %v", d.asked[0].Kinds)
			}
			for _, k := range line.Kinds {
				if len(d.asked) != 1 || !slices.Contains(d.asked[0].Kinds, k) {
					t.Fatalf("no %s: %s", k, describe(d.asked))
				}
			}
		})
	}
	if err := lines.Err(); err != nil || n < 60 {
		t.Errorf("%d lines, %v", n, err)
	}
}

func describe(list []*action.Action) string {
	var out []string
	for _, a := range list {
		out = append(out, a.Title)
		for _, k := range a.Kinds {
			out = append(out, string(k))
		}
	}
	return strings.Join(out, " ")
}
