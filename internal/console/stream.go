package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

const (
	batchEvery = 300 * time.Millisecond
	batchMost  = 40  // records in one batch; of more, the newest, and how many there were
	lookMost   = 512 // records of a lane that one batch looks at
)

// A line is one record of the live stream, as text: the page makes elements of
// it, never markup.
type line struct {
	Key    string    `json:"key"`
	Time   time.Time `json:"time"`
	Class  string    `json:"class"`
	Who    string    `json:"who"`
	Kind   string    `json:"kind"`
	Text   string    `json:"text"`
	Result string    `json:"result"`
	Href   string    `json:"href,omitempty"`
}

// batch is what came since the one before.
type batch struct {
	Lines   []line `json:"lines"` // oldest first
	Skipped int64  `json:"skipped,omitempty"`
}

// stream sends the records of both lanes as they come, in batches of bounded
// size: what a busy hour has more of is told as a number, so that no page has
// to draw it.
func (c *Console) stream(w http.ResponseWriter, r *http.Request, p *who) {
	write, ok := c.beginStream(w, p)
	if !ok {
		return
	}
	defer c.streams.end(p.ID)
	f := follower{c: c, filter: filterOf(r.URL.Query())}
	if !f.from(firstOf(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("from"))) {
		if _, err := f.next(r.Context()); err != nil {
			c.o.Logger.ErrorContext(r.Context(), "following the log", "err", err)
			return
		}
	}
	if !write("retry: 2000\n\n") {
		return
	}
	tick := time.NewTicker(batchEvery)
	defer tick.Stop()
	for beats := 0; ; beats++ {
		select {
		case <-r.Context().Done():
			return
		case <-c.ended:
			return
		case <-tick.C:
		}
		if beats%4 == 3 { // about each second
			if _, still := c.visitor(r); !still {
				return
			}
		}
		b, err := f.next(r.Context())
		if err != nil {
			return // the browser comes back by itself
		}
		if len(b.Lines) == 0 && b.Skipped == 0 {
			if beats%50 != 49 {
				continue
			}
			if !write(": alive\n\n") {
				return
			}
			continue
		}
		text, err := json.Marshal(b)
		if err != nil {
			return
		}
		if !write("event: batch\nid: %s\ndata: %s\n\n", f.place(), text) {
			return
		}
	}
}

// follower remembers how far one stream has come in both lanes.
type follower struct {
	c         *Console
	filter    streamFilter
	began     bool
	log, lane int64
}

// place is how far it has come, and from takes it up again there: nothing is lost
// between a page and its stream, nor while a browser reconnects.
func (f *follower) place() string { return fmt.Sprintf("%d-%d", f.log, f.lane) }

func (f *follower) from(place string) bool {
	log, lane, ok := strings.Cut(place, "-")
	var errs [2]error
	f.log, errs[0] = strconv.ParseInt(log, 10, 64)
	f.lane, errs[1] = strconv.ParseInt(lane, 10, 64)
	f.began = ok && errors.Join(errs[:]...) == nil && f.log >= 0 && f.lane >= 0
	return f.began
}

// next is what came since the last call; the first call only finds the place.
func (f *follower) next(ctx context.Context) (batch, error) {
	head, err := f.c.o.Log.Head(ctx)
	if err != nil {
		return batch{}, err
	}
	var b batch
	var found []entry
	if f.began {
		from := max(min(f.log, head.Size), head.Size-lookMost)
		b.Skipped = max(0, from-f.log)
		err = f.c.o.Log.Leaves(ctx, from, head.Size, func(_ int64, leaf []byte) error {
			f.take(&found, leaf, false)
			return nil
		})
		if err != nil {
			return batch{}, err
		}
	}
	f.log = head.Size
	b.Skipped += f.traffic(&found)
	f.began = true
	slices.SortStableFunc(found, func(x, y entry) int { return x.Time.Compare(y.Time) })
	if more := len(found) - batchMost; more > 0 {
		b.Skipped, found = b.Skipped+int64(more), found[more:]
	}
	for _, row := range f.c.recordRows(found) {
		l := line{Key: row.Key, Time: row.Time, Class: row.Class, Who: textOf(row.Who), Kind: row.Kind, Text: textOf(row.Text), Result: row.Result}
		if row.Index >= 0 {
			l.Href = fmt.Sprintf("/audit/%d", row.Index)
		}
		b.Lines = append(b.Lines, l)
	}
	return b, nil
}

// traffic takes what came in the traffic lane, and says how much it passed over.
func (f *follower) traffic(found *[]entry) (skipped int64) {
	if f.c.o.Traffic == nil {
		return 0
	}
	look := f.c.o.Traffic.Spool.Recent()
	defer look.Close()
	oldest, next := look.Bounds()
	if !f.began {
		f.lane = next
		return 0
	}
	from := max(min(f.lane, next), oldest, next-lookMost)
	skipped = max(0, from-f.lane)
	for n := from; n < next; n++ {
		leaf, ok := look.Leaf(n)
		if !ok {
			skipped++
			continue
		}
		var r audit.Record
		if json.Unmarshal(leaf, &r) == nil {
			r = ofWhat(look, r)
			if f.filter.admits(&r) {
				*found = append(*found, entry{Record: r, Traffic: true})
			}
		}
	}
	f.lane = next
	return skipped
}

func (f *follower) take(found *[]entry, leaf []byte, traffic bool) {
	var r audit.Record
	if json.Unmarshal(leaf, &r) == nil && f.filter.admits(&r) {
		*found = append(*found, entry{Record: r, Traffic: traffic})
	}
}

// textOf is pieces as plain text; what they disguise is already written out.
func textOf(in []Piece) string {
	s := ""
	for _, p := range in {
		s += p.Text
	}
	return s
}
