package policy

import (
	"slices"
	"testing"
)

func TestListedIsWhatWasWritten(t *testing.T) {
	set, err := Default(Options{})
	if err != nil {
		t.Fatal(err)
	}
	packs := set.Listed()
	if len(packs) != 1 || packs[0].Name != "default" || packs[0].Owner != "assent" || packs[0].Tests == 0 {
		t.Fatalf("%+v", packs)
	}
	rules := map[string]ListedRule{}
	for _, r := range packs[0].Rules {
		rules[r.ID] = r
	}
	reads := rules["reads-flow"]
	if reads.Then != "allow" || reads.Mode != "enforce" || reads.Name != "default/reads-flow" || reads.When != "!data.inferred && !data.unscanned" || reads.Restricts ||
		len(reads.Matches) != 1 || reads.Matches[0].Name != "kind" || !slices.Equal(reads.Matches[0].Values, []string{"data.read"}) || reads.Line == 0 {
		t.Errorf("%+v", reads)
	}
	if held := rules["hold-privileges"]; len(held.Asks) != 1 || held.Asks[0].Count != 2 || !slices.Equal(held.Asks[0].From, []string{"group:reviewers"}) || !held.Restricts {
		t.Errorf("%+v", held)
	}
	if all := rules["agents-see-masked-data"].Matches; len(all) != 1 || all[0].Name != "actor" {
		t.Errorf("a rule about every kind lists %+v", all)
	}
	if masks := rules["agents-see-masked-data"].Masks; len(masks) != 2 || masks[0].Name != "partial" || !slices.Equal(masks[0].Values, []string{"pci"}) {
		t.Errorf("%+v", masks)
	}
}
