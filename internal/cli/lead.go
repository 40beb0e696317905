package cli

import (
	"strings"

	"github.com/assenthq/assent/client"
)

// leadLines say what led to an action, each with its heading.
func leadLines(l *client.Lead) (out [][2]string) {
	if l == nil {
		return nil
	}
	if l.Prompt != "" {
		what := "(what the agent was told, as its side says)"
		switch l.Names {
		case "yes":
			what = "(what the agent was told, as its side says; it names the target)"
		case "no":
			what = "(what the agent was told, as its side says; it does not name the target)"
		}
		out = append(out, [2]string{"prompt", what + " “" + l.Prompt + "”"})
	}
	var steps []string
	for _, s := range l.By {
		steps = append(steps, s.Title+" ("+s.ID+", "+s.How+")")
	}
	if len(steps) > 0 {
		out = append(out, [2]string{"led by", strings.Join(append(steps, "this"), " → ")})
	}
	for _, s := range l.Saw {
		out = append(out, [2]string{"saw", s.Actor + " has lately seen " + s.Kind + " content: " + s.What + " at " + s.Time.UTC().Format("15:04:05") + " UTC"})
	}
	return out
}
