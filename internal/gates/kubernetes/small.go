package kubernetes

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/assenthq/assent/gate"
)

func denied(err error) *gate.Denied {
	var d *gate.Denied
	if errors.As(err, &d) {
		return d
	}
	return nil
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// size is a terminal's, as clients tell it.
func size(b []byte) (columns, rows uint32, ok bool) {
	var s struct{ Width, Height uint16 }
	if json.Unmarshal(b, &s) != nil || s.Width == 0 || s.Height == 0 || s.Width > 2000 || s.Height > 2000 {
		return 0, 0, false
	}
	return uint32(s.Width), uint32(s.Height), true
}
