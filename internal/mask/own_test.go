package mask_test

import (
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/mask"
)

// Classes of a deployment's own are masked as policy says of them, of their group, or of all of one of the four groups.
func TestOwnClasses(t *testing.T) {
	e, err := detect.New(detect.Options{Detectors: []detect.Detector{
		{Class: "pii/crew-id", Regex: `CRW-[0-9]{6}`}, {Class: "hr/badge", Regex: `BDG-[0-9]{6}`},
	}})
	if err != nil {
		t.Fatal(err)
	}
	pii, secret := map[string]string{}, map[string]string{}
	for _, c := range detect.Classes() {
		for i, g := range detect.GroupOf(c) {
			if i == 0 && g == detect.PII {
				pii[string(c)] = mask.Redact
			}
			if i == 0 && g == detect.Secret {
				secret[string(c)] = mask.Redact
			}
		}
	}
	const text = "of CRW-123456 and BDG-123456"
	for _, c := range []struct {
		name        string
		methods     map[string]string
		crew, badge bool
	}{
		{"nothing", map[string]string{"email": mask.Redact}, false, false},
		{"named", map[string]string{"pii/crew-id": mask.Redact, "hr/badge": mask.Redact}, true, true},
		{"group of its own", map[string]string{"hr/*": mask.Redact}, false, true},
		{"all of pii", pii, true, false},
		{"all of secret", secret, false, true},
	} {
		got := string(mask.New([]byte(strings.Repeat("k", 32)), e).For("actor", c.methods).Text([]byte(text)))
		if strings.Contains(got, "CRW-1") == c.crew || strings.Contains(got, "BDG-1") == c.badge {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}
