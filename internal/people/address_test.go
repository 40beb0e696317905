package people_test

import (
	"testing"

	"github.com/assenthq/assent/internal/people"
)

// TestAddress: mail goes where the configuration says, otherwise to what an issuer verified; it finds nobody.
func TestAddress(t *testing.T) {
	c := config()
	c.Addresses = map[string]string{"person:ivo": "ivo@example.com"}
	w := newTown(t, c)
	if a := w.Address("person:mira"); a != "" {
		t.Errorf("an address out of nowhere: %q", a)
	}
	in := func(subject, address string) {
		t.Helper()
		_, err := w.SignedIn(ctx, people.Claims{Issuer: "corp", URL: corp, Subject: subject, Email: address, AuthTime: w.now, Until: w.now.Add(1)})
		must(t, err)
	}
	in("mira", "mira@corp.example")
	in("new", "new@corp.example")
	for id, want := range map[string]string{"person:mira": "mira@corp.example", "corp|new": "new@corp.example", "person:ivo": "ivo@example.com", "person:sam": "", "nobody": ""} {
		if got := w.Address(id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	if _, ok := w.Person("mira@corp.example"); ok {
		t.Error("somebody is found by an address")
	}
	in("mira", "") // the issuer takes it back
	if a := w.Address("person:mira"); a != "" {
		t.Errorf("an address that is not verified any more: %q", a)
	}
}
