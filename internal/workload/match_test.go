package workload

import (
	"strings"
	"testing"
	"time"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{"a", "a", true},
		{"a", "A", false},
		{"a", "ab", false},
		{"a", "", false},
		{"a*", "a", true},
		{"a*", "abc", true},
		{"a*", "a/b", false},
		{"a*", "a:b", false},
		{"a*", "b", false},
		{"a*c", "abc", true},
		{"a*c", "abcc", true},
		{"a*c", "abcd", false},
		{"a*c", "ac", true},
		{"a*c", "a/c", false},
		{"a*/b*", "ax/by", true},
		{"a*/b*", "ax/y/by", false},
		{"a*b*c", "abbc", true},
		{"a*b*c", "acb", false},
		{"repo:acme/*:ref:refs/heads/main", "repo:acme/shop:ref:refs/heads/main", true},
		{"repo:acme/*:ref:refs/heads/main", "repo:acme/shop:pull_request:ref:refs/heads/main", false},
		{"repo:acme/*", "repo:acme/shop:pull_request", false},
		{"release-*-*", "release-1-2", true},
		{"release-*-*", "release-1", false},
		{"a*é", "aüé", true},
	} {
		if got := matches(c.pattern, c.value); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.value, got)
		}
	}
}

// A branch with a name made for it must not keep a pattern busy.
func TestMatchingEnds(t *testing.T) {
	done := make(chan bool)
	go func() { done <- matches("a*a*a*a*b", strings.Repeat("a", 8000)) }()
	select {
	case got := <-done:
		if got {
			t.Error("it matches")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it doesn't end")
	}
}
