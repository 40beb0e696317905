package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	maxStreams = 512 // open event streams of everybody together
	headEvery  = time.Second
	aliveEvery = 15 // heads without news before a sign of life
)

// events streams what changed, as server-sent events (HTML Standard, section
// 9.2): which approval, and how far the log reaches. It carries no content; the
// page asks for that again, and gets what this person may see by then.
func (c *Console) events(w http.ResponseWriter, r *http.Request, _ *who) {
	select {
	case c.streams <- struct{}{}:
		defer func() { <-c.streams }()
	default:
		http.Error(w, "Too many pages are open. Close some and reload.", http.StatusServiceUnavailable)
		return
	}
	ctx := r.Context()
	changes := c.o.Approvals.Subscribe(ctx)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	out := http.NewResponseController(w)
	_ = out.SetWriteDeadline(time.Time{}) // the stream outlives the server's limit for a page
	send := func(event string, data any) bool {
		b, err := json.Marshal(data)
		if err == nil {
			_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, b)
		}
		return err == nil && out.Flush() == nil
	}
	size, _ := c.logSize(r)
	passed, glass := c.o.Traffic.total(), c.glassMark(ctx)
	if _, err := fmt.Fprint(w, "retry: 2000\n\n"); err != nil || !send("head", map[string]int64{"size": size}) {
		return
	}
	tick := time.NewTicker(headEvery)
	defer tick.Stop()
	for quiet := 0; ; {
		ok := true
		select {
		case <-ctx.Done():
			return
		case <-c.ended:
			return
		case e, open := <-changes:
			if !open {
				return // the engine ended: the browser comes back by itself
			}
			ok = send("approval", map[string]any{"id": e.ID, "version": e.Version, "state": e.State})
		case <-tick.C:
			if _, still := c.visitor(r); !still { // signed out, expired or left the directory
				send("signedout", struct{}{})
				return
			}
			if mark := c.glassMark(ctx); mark != glass {
				if glass = mark; !send("glass", struct{}{}) {
					return
				}
			}
			now, err := c.logSize(r)
			if seen := c.o.Traffic.total(); err == nil && (now != size || seen != passed) {
				size, passed, quiet = now, seen, 0
				ok = send("head", map[string]int64{"size": size})
			} else if quiet++; quiet >= aliveEvery {
				quiet, ok = 0, send("alive", struct{}{})
			}
		}
		if !ok {
			return
		}
	}
}

func (c *Console) logSize(r *http.Request) (int64, error) {
	h, err := c.o.Log.Head(r.Context())
	return h.Size, err
}
