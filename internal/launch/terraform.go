package launch

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assenthq/assent/client"
)

// terraform plans what apply and destroy would do and saves the plan. The command then
// applies that plan, and no other: what was shown is what runs.
// https://developer.hashicorp.com/terraform/cli/commands/apply
func (p *Prepared) terraform(ctx context.Context, argv []string) (*client.CommandPreview, error) {
	t, ok := parseTerraform(argv[1:])
	if !ok {
		return nil, nil
	}
	if t.unknown != "" {
		return nil, errNoPreview("its option " + t.unknown + " is not known here")
	}
	plan := t.plan
	if plan == "" {
		dir, err := p.privateDir()
		if err != nil {
			return nil, err
		}
		plan = filepath.Join(dir, "plan")
		args := slices.Concat(t.global, []string{"plan", "-input=false", "-detailed-exitcode", "-no-color", "-out=" + plan}, t.planning)
		if t.destroy {
			args = append(args, "-destroy")
		}
		if _, status, err := p.tool(ctx, args, false); err != nil || status == 1 {
			return nil, errNoPreview("its plan failed")
		}
	}
	text, status, err := p.tool(ctx, slices.Concat(t.global, []string{"show", "-json", plan}), false)
	if err != nil || status != 0 {
		return nil, errNoPreview("its plan can't be shown")
	}
	out, err := readPlan(text)
	if err != nil {
		return nil, err
	}
	// The saved plan is what runs from here on.
	path := plan
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.dir, t.chdir, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, errNoPreview("its plan can't be read")
	}
	sum, err := digestOf(f)
	_ = f.Close()
	if err != nil {
		return nil, err
	}
	p.files = append(p.files, file{path, sum})
	p.argv = slices.Concat(argv[:1], t.global, []string{"apply", "-input=false"}, t.applying, []string{plan})
	return out, nil
}

// A terraformCommand is an apply or destroy taken apart.
type terraformCommand struct {
	global   []string // before the subcommand
	chdir    string
	destroy  bool
	planning []string // options of its plan
	applying []string // options of applying one
	plan     string   // saved before
	unknown  string   // an option that is neither
}

func parseTerraform(args []string) (*terraformCommand, bool) {
	t := &terraformCommand{}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if dir, ok := strings.CutPrefix(option(args[0]), "-chdir="); ok {
			t.chdir = dir
		}
		t.global, args = append(t.global, args[0]), args[1:]
	}
	if len(args) == 0 || args[0] != "apply" && args[0] != "destroy" {
		return nil, false
	}
	t.destroy = args[0] == "destroy"
	for i := 1; i < len(args); i++ {
		w := option(args[i])
		name, _, with := strings.Cut(w, "=")
		switch name {
		case "-auto-approve", "-input":
			// a saved plan is applied without a question
		case "-destroy":
			t.destroy = true
		case "-var", "-var-file", "-target", "-replace", "-exclude":
			t.planning = append(t.planning, w)
			if !with && i+1 < len(args) {
				i++
				t.planning = append(t.planning, args[i])
			}
		case "-refresh", "-refresh-only", "-allow-deferral":
			t.planning = append(t.planning, w)
		case "-lock", "-lock-timeout", "-parallelism", "-compact-warnings":
			t.planning, t.applying = append(t.planning, w), append(t.applying, w)
		case "-no-color", "-json", "-show-sensitive":
			t.applying = append(t.applying, w)
		default:
			switch {
			case strings.HasPrefix(w, "-"):
				t.unknown = name
			case t.plan == "" && !t.destroy && i == len(args)-1:
				t.plan = args[i]
			default:
				t.unknown = "argument"
			}
		}
	}
	if t.plan != "" && len(t.planning) > len(t.applying) {
		t.unknown = "beside a saved plan"
	}
	return t, true
}

// option has one dash: two are the same.
func option(w string) string {
	if strings.HasPrefix(w, "--") && len(w) > 2 {
		return w[1:]
	}
	return w
}

// readPlan reads the JSON form of a plan: addresses and what would be done to them, and no values.
// https://developer.hashicorp.com/terraform/internals/json-format
func readPlan(text []byte) (*client.CommandPreview, error) {
	var plan struct {
		Format    string          `json:"format_version"`
		Resources json.RawMessage `json:"resource_changes"`
		Outputs   json.RawMessage `json:"output_changes"`
	}
	var changes []struct {
		Address string `json:"address"`
		Change  struct {
			Actions []string `json:"actions"`
		} `json:"change"`
	}
	if err := json.Unmarshal(text, &plan); err != nil || plan.Format == "" {
		return nil, errNoPreview("its plan is not in a form that is known here")
	}
	if len(plan.Resources) > 0 {
		if err := json.Unmarshal(plan.Resources, &changes); err != nil {
			return nil, errNoPreview("its plan is not in a form that is known here")
		}
	}
	var creates, updates, destroys int64
	var detail strings.Builder
	for _, c := range changes {
		mark := ""
		for _, a := range c.Change.Actions {
			switch a {
			case "create":
				creates++
				mark += "+"
			case "update":
				updates++
				mark += "~"
			case "delete":
				destroys++
				mark += "-"
			case "forget":
				mark += "."
			case "no-op", "read":
			default:
				return nil, errNoPreview("its plan holds an action that is not known here")
			}
		}
		if mark != "" {
			fmt.Fprintf(&detail, "%-3s %s\n", mark, c.Address)
		}
	}
	digest, err := bind(plan.Resources, plan.Outputs)
	if err != nil {
		return nil, err
	}
	return &client.CommandPreview{Creates: &creates, Changes: &updates, Destroys: &destroys, Detail: detail.String(), Digest: digest}, nil
}
