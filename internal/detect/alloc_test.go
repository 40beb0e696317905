//go:build !race

package detect_test

// Under the race detector sync.Pool drops things at random, so this is not
// tested there.

import (
	"encoding/base64"
	"testing"

	"github.com/assenthq/assent/internal/detect"
)

// The scan of text without telephone numbers allocates nothing.
func TestScanAllocates(t *testing.T) {
	e := engine(t, detect.Options{})
	text := []byte("bob@corp.example 4111 1111 1111 1111 " + jwt + " password=hunter2 bob%40corp.example " +
		base64.StdEncoding.EncodeToString([]byte("carol@corp.example")) + " ４111111111111111 10.1.2.3")
	dst := make([]detect.Finding, 0, 32)
	e.Scan(text, dst)
	if n := testing.AllocsPerRun(3000, func() { e.Scan(text, dst) }); n >= 1 {
		t.Errorf("%v allocations a scan", n)
	}
}
