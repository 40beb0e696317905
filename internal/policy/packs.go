package policy

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed packs/*.yaml
var embeddedPacks embed.FS

// BuiltinScheme begins the name of a pack that is part of the binary: "builtin:databases".
const BuiltinScheme = "builtin:"

// Builtin is the YAML of a pack in the binary, by its name without the scheme.
func Builtin(name string) ([]byte, error) {
	if !slices.Contains(builtinNames(), name) {
		return nil, fmt.Errorf("there is no built-in pack '%s'\n  %s", clip(name), didYouMean(name, builtinNames()))
	}
	return embeddedPacks.ReadFile("packs/" + name + ".yaml")
}

// builtins reads those of paths that name packs of the binary; rest are the others.
func builtins(paths []string) (files map[string][]byte, rest []string, err error) {
	files = map[string][]byte{}
	for _, path := range paths {
		name, is := strings.CutPrefix(path, BuiltinScheme)
		if !is {
			rest = append(rest, path)
			continue
		}
		if files[builtinFile(name)], err = Builtin(name); err != nil {
			return nil, nil, err
		}
	}
	return files, rest, nil
}

func builtinNames() []string { return append(StarterNames(), "demo") }

// builtinFile is the name under which a built-in pack is loaded: no path of a file looks so.
func builtinFile(name string) string { return "assent:" + name + ".yaml" }

// Default is the policy for someone who wrote none: reads flow, masked for
// agents; small work in development flows; what changes, moves or runs something
// else waits for group:reviewers; nobody changes the log.
func Default(o Options) (*Set, error) { return embedded("default", o) }

// Demo is the policy of `assent demo`.
func Demo(o Options) (*Set, error) { return embedded("demo", o) }

func embedded(name string, o Options) (*Set, error) {
	pack, err := Builtin(name)
	if err != nil {
		return nil, err
	}
	s, err := LoadFiles(map[string][]byte{builtinFile(name): pack}, o)
	if err != nil {
		return nil, fmt.Errorf("the built-in pack %s: %w", name, err)
	}
	return s, nil
}

// DefaultPack is the YAML of Default, to start one's own from.
func DefaultPack() []byte { return mustBuiltin("default") }

// DemoPack is the YAML of Demo.
func DemoPack() []byte { return mustBuiltin("demo") }

func mustBuiltin(name string) []byte {
	pack, _ := Builtin(name) // it is embedded, or nothing would load
	return pack
}

// StarterNames are the packs to start a policy from, the default first.
func StarterNames() []string {
	return []string{"default", "databases", "cloud", "kubernetes", "shell", "coding-agents", "mcp", "mcp-intent", "llm-egress", "secrets", "payments"}
}

// A Starter is a pack to start from, as its comments describe it.
type Starter struct {
	Name   string        `json:"name"`
	About  string        `json:"about"`
	Open   []string      `json:"does_not_stop"`
	Groups []string      `json:"groups"` // whom its rules ask
	Rules  []StarterRule `json:"rules"`
	Tests  int           `json:"tests"`
}

// A StarterRule is one rule of a Starter.
type StarterRule struct {
	ID    string   `json:"rule"`
	About string   `json:"about"`
	Then  string   `json:"then"`
	Count int      `json:"count,omitempty"` // of a review
	From  []string `json:"from,omitempty"`
	Tags  []string `json:"tags,omitempty"`
}

// ReadStarter loads a starter pack and reads what its comments say of it.
func ReadStarter(name string) (*Starter, error) {
	text, err := Builtin(name)
	if err != nil {
		return nil, err
	}
	set, err := embedded(name, Options{})
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(text), "\n")
	pack := set.Listed()[0]
	s := &Starter{Name: name, Tests: pack.Tests}
	s.About, s.Open = opening(lines)
	for i := range pack.Rules {
		r := &pack.Rules[i]
		one := StarterRule{ID: r.ID, About: commentAbove(lines, r.Line-1), Then: r.Then, Tags: r.Tags}
		for _, q := range r.Asks {
			one.Count, one.From = max(one.Count, q.Count), q.From
			for _, g := range q.From {
				if !slices.Contains(s.Groups, g) {
					s.Groups = append(s.Groups, g)
				}
			}
		}
		s.Rules = append(s.Rules, one)
	}
	slices.Sort(s.Groups)
	return s, nil
}

// opening is the first paragraph of a pack's comments, and the list below "Does not stop:".
func opening(lines []string) (about string, open []string) {
	listing := false
	for _, line := range lines {
		text, comment := strings.CutPrefix(line, "#")
		item, isItem := strings.CutPrefix(text, " - ")
		text = strings.TrimSpace(text)
		switch {
		case !comment:
			return about, open
		case text == "Does not stop:":
			listing = true
		case listing && isItem:
			open = append(open, item)
		case listing && text != "":
			open[len(open)-1] += " " + text
		case !listing:
			about = strings.TrimSpace(about + " " + text)
		}
	}
	return about, open
}

// commentAbove is the comment right above line n, which counts from 0.
func commentAbove(lines []string, n int) string {
	var out []string
	for n--; n >= 0; n-- {
		text, comment := strings.CutPrefix(strings.TrimSpace(lines[n]), "#")
		if !comment {
			break
		}
		out = append(out, strings.TrimSpace(text))
	}
	slices.Reverse(out)
	return strings.Join(out, " ")
}
