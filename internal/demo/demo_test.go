package demo

import (
	"context"
	"strings"
	"testing"
	"time"
)

// The whole story, unattended, on both databases: each step checks itself.
func TestStory(t *testing.T) {
	for name, embedded := range map[string]bool{"PostgreSQL": false, "embedded": true} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := Run(ctx, Options{Auto: true, Embedded: embedded, Data: t.TempDir(), Listen: "127.0.0.1:0", Out: &out}); err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			told := out.String()
			for _, want := range []string{"c2sp.org/tlog-proof@v1", "held again", "may not answer", "reviewers are shown: reads about ", "SQLSTATE 42501"} {
				if !strings.Contains(told, want) {
					t.Errorf("the story does not tell %q", want)
				}
			}
			if strings.Contains(told, "@example.com") {
				t.Error("the story shows an address in clear")
			}
		})
	}
}
