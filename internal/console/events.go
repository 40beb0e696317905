package console

import (
	"encoding/json"
	"net/http"
	"time"
)

const (
	headEvery  = time.Second
	aliveEvery = 15 // heads without news before a sign of life
)

// events streams what changed, as server-sent events (HTML Standard, section
// 9.2): which approval, and how far the log reaches. It carries no content; the
// page asks for that again, and gets what this person may see by then.
func (c *Console) events(w http.ResponseWriter, r *http.Request, p *who) {
	write, ok := c.beginStream(w, p)
	if !ok {
		return
	}
	defer c.streams.end(p.ID)
	ctx := r.Context()
	changes := c.o.Approvals.Subscribe(ctx)
	send := func(event string, data any) bool {
		b, err := json.Marshal(data)
		return err == nil && write("event: %s\ndata: %s\n\n", event, b)
	}
	size, _ := c.logSize(r)
	passed, glass := c.o.Traffic.total(), c.glassMark(ctx)
	if !write("retry: 2000\n\n") || !send("head", map[string]int64{"size": size}) {
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
