package policy

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
)

// Every starter pack is whole: its tests pass, reach every rule and miss each one that is
// dropped; every rule says what it stops, and what restricts says of which threats.
func TestStarters(t *testing.T) {
	named := map[string]bool{}
	for _, name := range StarterNames() {
		t.Run(name, func(t *testing.T) {
			set, err := LoadPaths([]string{BuiltinScheme + name}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r := set.Report(true, true); !r.OK {
				t.Error(r.Human())
			}
			if got := set.Listed()[0].Name; got != name {
				t.Errorf("it calls itself %s", got)
			}
			s, err := ReadStarter(name)
			if err != nil {
				t.Fatal(err)
			}
			if s.About == "" || len(s.Open) < 3 || len(s.Groups) == 0 {
				t.Errorf("it says too little of itself: %q, %q, %q", s.About, s.Open, s.Groups)
			}
			for _, r := range s.Rules {
				if r.About == "" || !strings.HasSuffix(r.About, ".") {
					t.Errorf("%s: the comment above it says %q", r.ID, r.About)
				}
				if (r.Then == "allow") != (len(r.Tags) == 0) {
					t.Errorf("%s: %s, with tags %v", r.ID, r.Then, r.Tags)
				}
				for _, tag := range r.Tags {
					named[tag] = true
				}
			}
		})
	}
	for n := 1; n <= 10; n++ {
		tag := "ASI" + string("0123456789"[n/10]) + string("0123456789"[n%10])
		if !named[tag] {
			t.Errorf("no rule is about %s", tag)
		}
	}
}

// Packs compose: all of them, the default beside any one, and every two load together, and
// no pack makes milder what another says.
func TestStartersCompose(t *testing.T) {
	names := StarterNames()
	alone := map[string]*Set{}
	for _, name := range names {
		set, err := LoadPaths([]string{BuiltinScheme + name}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		alone[name] = set
	}
	var all []string
	for _, name := range names {
		all = append(all, BuiltinScheme+name)
	}
	if _, err := LoadPaths(all, Options{}); err != nil {
		t.Error(err)
	}
	subsets := [][]string{names}
	for i, a := range names {
		for _, b := range names[i+1:] {
			subsets = append(subsets, []string{a, b})
		}
	}
	for _, subset := range subsets {
		set := &Set{} // compiling the packs again would take most of the test's time
		for _, name := range subset {
			for _, r := range alone[name].rules {
				own := *r
				set.rules = append(set.rules, &own)
			}
		}
		set.build()
		for _, name := range subset {
			for _, c := range alone[name].packs[0].tests {
				var with, without Decision
				set.Decide(&c.in, &with)
				alone[name].Decide(&c.in, &without)
				held := slices.ContainsFunc(without.Rules, func(h Hit) bool { return h.Then == "deny" && h.Pack != "" })
				if with.Verdict == Allow && without.Verdict == Review || with.Verdict != Deny && held {
					t.Errorf("%v: %s: %s says %v, together they say %v", subset, c.name, name, without.Verdict, with.Verdict)
				}
				for class, method := range without.Masks {
					if stricter(with.Masks[class], method) != with.Masks[class] {
						t.Errorf("%v: %s: %s is masked by %q, alone by %q", subset, c.name, class, with.Masks[class], method)
					}
				}
			}
		}
	}
}

func TestBuiltinPacksAreNamed(t *testing.T) {
	for _, path := range []string{"builtin:databses", "builtin:", "builtin:../set", "builtin:default.yaml"} {
		if _, err := LoadPaths([]string{path}, Options{}); err == nil || !strings.Contains(err.Error(), "there is no built-in pack") {
			t.Errorf("%s: %v", path, err)
		}
	}
	files, err := ReadPaths([]string{"builtin:secrets", "builtin:secrets", "builtin:payments"})
	if err != nil || !slices.Equal(slices.Sorted(maps.Keys(files)), []string{"assent:payments.yaml", "assent:secrets.yaml"}) {
		t.Errorf("%v, %v", slices.Sorted(maps.Keys(files)), err)
	}
	entries, err := embeddedPacks.ReadDir("packs")
	if err != nil || len(entries) != len(builtinNames()) {
		t.Errorf("%d packs are embedded, and %d listed: %v", len(entries), len(builtinNames()), err)
	}
}

// A prompt is the word of the agent's side. Where that lies, mcp-intent lets flow what its page says, and nothing else: no deletion,
// command, account, secret or page of the web, no known card, and not the log. Without a prompt nothing flows but reads.
func TestAForgedPromptOpensNoMore(t *testing.T) {
	set, err := LoadPaths([]string{"builtin:mcp-intent"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(named Tri, kinds []action.Kind, groups ...string) Verdict {
		var d Decision
		set.Decide(&Input{
			Action:  &action.Action{Kinds: kinds, Resource: action.Resource{Type: "mcp"}, Data: action.Data{ClassesKnown: true, Groups: groups}},
			ActorID: "agent:a", ActorType: "agent", Rate1h: action.KnownCount(1), IntentTarget: named,
		}, &d)
		return d.Verdict
	}
	opens := []action.Kind{action.DataWrite, action.CodeChange, action.MessageSend, action.DataExport, action.Payment}
	for _, k := range action.Kinds() {
		for named, want := range map[Tri][]action.Kind{Yes: append(opens, action.DataRead), No: {action.DataRead}, DontKnow: {action.DataRead}} {
			if got := ask(named, []action.Kind{k}); (got == Allow) != slices.Contains(want, k) {
				t.Errorf("%s, named: %v: %v", k, named, got)
			}
		}
		if !slices.Contains(append(opens, action.DataRead), k) && k != action.PrivilegeChange {
			for _, beside := range opens {
				if got := ask(Yes, []action.Kind{beside, k}); got == Allow {
					t.Errorf("%s with %s flows", k, beside)
				}
			}
		}
	}
	for _, group := range []string{"pci", "phi", "secret"} {
		if got := ask(Yes, []action.Kind{action.MessageSend}, group); got != Review {
			t.Errorf("a message with %s: %v", group, got)
		}
	}
}
