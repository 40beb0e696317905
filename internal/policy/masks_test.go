package policy

import "testing"

// Order never matters to what several rules mask together, and nothing becomes looser by one more.
func TestStricterMasks(t *testing.T) {
	names := append(maskNames(), "")
	rank := map[string]int{MaskRedact: 0, MaskHash: 1, MaskToken: 2, MaskFormat: 3, MaskPartial: 4}
	for _, a := range names {
		if stricter(a, a) != a {
			t.Errorf("%q with itself is %q", a, stricter(a, a))
		}
		for _, b := range names {
			got := stricter(a, b)
			if got != stricter(b, a) {
				t.Errorf("%q with %q is %q, and %q the other way", a, b, got, stricter(b, a))
			}
			if !contains(names, got) {
				t.Errorf("%q with %q is %q, which is no method", a, b, got)
			}
			for _, of := range []string{a, b} {
				is, was := readMask(got), readMask(of)
				if of != "" && (rank[is.method] > rank[was.method] || is.linkable && !was.linkable && rank[was.method] > 0 && was.method != MaskPartial || is.vault && was.method == MaskToken && !was.vault) {
					t.Errorf("%q with %q is %q, which is looser", a, b, got)
				}
			}
			for _, c := range names {
				if stricter(stricter(a, b), c) != stricter(a, stricter(b, c)) {
					t.Errorf("%q, %q and %q: the order matters", a, b, c)
				}
			}
		}
	}
	if got := stricter("tokenize linkable", "tokenize vault"); got != "tokenize" {
		t.Errorf("linkable for one and kept for another is %q", got)
	}
}
