package people_test

import (
	"slices"
	"testing"

	"github.com/assenthq/assent/internal/people"
)

// TestTwoClientsOfOneIssuer: an account is one person by whichever client of
// its issuer it comes, also before it came by the one that the configuration names.
func TestTwoClientsOfOneIssuer(t *testing.T) {
	c := config()
	c.Issuers["again"] = corp
	w := newTown(t, c)
	p, err := w.SignedIn(ctx, people.Claims{Issuer: "again", URL: corp, Subject: "mira", Until: w.clock().Add(1e12)})
	must(t, err)
	if p.ID != "person:mira" || !slices.Contains(p.IDs(), "corp|mira") {
		t.Errorf("by the other client mira is %+v", p)
	}
	if p = *w.signIn("corp", "mira"); p.ID != "person:mira" {
		t.Errorf("mira is %s", p.ID)
	}
	if p = *w.signIn("partner", "mira"); p.ID == "person:mira" {
		t.Error("another issuer's mira is ours")
	}
}
