package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
)

// A Preview is what a tool on the asker's machine said the command would do. It is a
// claim: people see it as one, an approval is bound to it, and no rule hears of it.
type Preview struct {
	Tool                       string // "terraform", "kubectl"
	Creates, Changes, Destroys int64  // -1: not said
	Detail                     string // addresses of what it would touch, or a diff
	Digest                     string // of all that the tool planned, values among it, under a key that stays on the machine
	Why                        string // why there is none
	Time                       time.Time
}

const maxDetail = 256 << 10

// tools are those whose previews are known.
var tools = []string{"terraform", "tofu", "kubectl"}

func (p *Preview) check() error {
	switch {
	case !slices.Contains(tools, p.Tool):
		return errors.New("a preview by a tool that has none")
	case len(p.Detail) > maxDetail || len(p.Why) > 500:
		return fmt.Errorf("a preview longer than %d bytes", maxDetail)
	case plain(p.Detail) != nil || plain(p.Why) != nil || plain(p.Digest) != nil:
		return errors.New("a preview that is not UTF-8")
	}
	return nil
}

func (p *Preview) by() string { return "the asker's own " + p.Tool }

// preview is p for reviewers. Its line is made here, of figures alone.
func (p *Preview) preview() action.Preview {
	out := action.Preview{By: p.by(), Claimed: true, Time: p.Time, Why: p.Why}
	var parts []string
	for _, c := range []struct {
		n    int64
		into *action.Count
		verb string
	}{{p.Creates, &out.Creates, "create"}, {p.Changes, &out.Changes, "change"}, {p.Destroys, &out.Destroys, "destroy"}} {
		if c.n >= 0 {
			*c.into = action.KnownCount(c.n)
			parts = append(parts, fmt.Sprintf("%s %d", c.verb, c.n))
		}
	}
	switch {
	case len(parts) > 0:
		out.Text = "would " + strings.Join(parts, ", ") + " objects"
	case p.Detail != "":
		out.Text = "would do what stands below the command"
	case out.Why == "":
		out.Why = out.By + " said nothing"
	}
	return out
}
