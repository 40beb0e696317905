package enforce

import (
	"testing"

	"github.com/assenthq/assent/internal/detect"
)

// Every class has a place in the ledger: one without would not be counted.
func TestLedgerPlaces(t *testing.T) {
	if len(ledgerClasses) > maxLedgerClasses {
		t.Fatalf("%d classes, and room for %d", len(ledgerClasses), maxLedgerClasses)
	}
	var all classSet
	for _, c := range detect.Classes() {
		set := setOf(string(c))
		if set.empty() {
			t.Errorf("%s is not counted", c)
		}
		all.join(set)
	}
	n := 0
	for i := range all.all {
		if !all.has(i) || i == 0 {
			t.Errorf("place %d", i)
		}
		n++
	}
	if n != len(ledgerClasses)-1 {
		t.Errorf("%d of %d places are used", n, len(ledgerClasses)-1)
	}
	if set := setOf("no such class"); !set.empty() {
		t.Error("a class that there is not has a place")
	}
	all.drop(all)
	if all.keep(allRows); !all.empty() {
		t.Error("a set is not emptied")
	}
}
