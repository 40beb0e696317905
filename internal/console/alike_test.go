package console

import (
	"net/http"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/approval"
)

// TestAlikeStandTogether: what is asked again and again stands side by side, each with its own digest.
func TestAlikeStandTogether(t *testing.T) {
	h := newHouse(t)
	first := h.ask(nil)
	other := h.ask(func(q *approval.Question) { q.Action.Verb = "select" })
	second, third := h.ask(nil), h.ask(nil)
	m := newClient(h).signIn(mira)
	code, body := m.send("GET", "/approvals?tab=needs", nil)
	if code != http.StatusOK {
		t.Fatal(code)
	}
	at := func(a *approval.Approval) int { return strings.Index(body, `id="r-`+a.ID) }
	if !(at(first) >= 0 && at(first) < at(second) && at(second) < at(third) && at(third) < at(other)) {
		t.Errorf("they stand at %d %d %d, the other one at %d", at(first), at(second), at(third), at(other))
	}
	if strings.Count(body, `class="row under`) != 2 || !strings.Contains(body, "2 more alike") {
		t.Error("what is alike isn't shown as such")
	}
	for _, a := range []*approval.Approval{first, second, third} {
		if hex := strings.TrimPrefix(a.Digest.String(), "sha256:"); !strings.Contains(body, hex[:6]+"…"+hex[len(hex)-6:]) {
			t.Error("a digest is not shown")
		}
	}
}
