package cli

import "testing"

func TestActorID(t *testing.T) {
	for in, want := range map[[2]string]string{
		{"ci", ""}: "agent:ci", {"agent:ci", ""}: "agent:ci", {"pipeline:ci", ""}: "pipeline:ci",
		{"ci", "pipeline"}: "pipeline:ci", {"pipeline:ci", "pipeline"}: "pipeline:ci", {"agent:ci", "service"}: "service:agent:ci",
	} {
		if got := actorID(in[0], in[1]); got != want {
			t.Errorf("%v: %q, want %q", in, got, want)
		}
	}
}
