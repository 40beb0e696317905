package api

import (
	"fmt"
	"testing"
)

func TestAllStreamsTogether(t *testing.T) {
	var o openStreams
	for i := range maxStreams {
		if !o.begin(fmt.Sprint(i)) {
			t.Fatalf("the %dth is refused", i+1)
		}
	}
	if o.begin("another") {
		t.Error("there is no end of them")
	}
	if o.end("7"); !o.begin("another") || o.begin("7") || len(o.by) != maxStreams {
		t.Error("what was closed isn't given back, or twice")
	}
}
