package card

import (
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
)

// A plan that mixes places must say of each item on which it runs: "DELETE FROM
// orders" on a test system and on the real one are two things.
func TestEachItemSaysWhere(t *testing.T) {
	a := padded(3, 0, "delete from orders")
	a.Resource.URN = "plan:several"
	a.Items[0].Resource.URN, a.Items[1].Resource.URN, a.Items[2].Resource.URN = "postgres:shop/prod", "postgres:shop/test", "postgres:shop/test"
	a.Items[0].Data.Destination, a.Items[0].Data.DestinationTrust = "https://one.example", "internal"
	a.Items[1].Data.Destination = "https://two.example"
	a.Items[2].Data.Destination, a.Items[2].Data.DestinationTrust = "client", "internal"
	c := Of(a, nil, "https://assent.test")
	if c.On != "postgres:shop/prod, postgres:shop/test" || c.Where != "https://one.example, https://two.example" {
		t.Errorf("the plan is on %s, for %s", c.On, c.Where)
	}
	for _, i := range c.Items {
		of := a.Items[i.N-1]
		want := strings.TrimPrefix(of.Data.Destination, "client")
		if i.On != of.Resource.URN || i.Where != want {
			t.Errorf("item %d is on %q for %q", i.N, i.On, i.Where)
		}
	}
	if got := WhereTrust(a); got != "" {
		t.Errorf("a place that nobody knows is trusted as %s", got)
	}
	if a.Items[1].Data.DestinationTrust = "external"; WhereTrust(a) != "external" {
		t.Errorf("trusted as %s", WhereTrust(a))
	}
	if !c.Whole() {
		t.Error("it is shown whole")
	}
}

// What is cut out of a card can't be approved by a click on it, be it the end of an address.
func TestAPlaceTooLongIsNotWhole(t *testing.T) {
	long := "https://uploads.example/" + strings.Repeat("a", 600) + ".evil.example"
	one := padded(1, 0, "select 1")
	one.Items, one.Statement = nil, "select 1"
	one.Data = action.Data{Destination: long}
	plan := padded(2, 0, "select 1")
	plan.Items[1].Resource.URN = long
	if Of(one, nil, "https://assent.test").Whole() || Of(plan, nil, "https://assent.test").Whole() {
		t.Error("it is taken for shown whole")
	}
}
