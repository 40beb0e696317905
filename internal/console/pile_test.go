package console

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// BenchmarkPile is how long the pages take to come with a pile of pending approvals
// (20,000, or PENDING): the list, one approval in it, and a page that only counts.
func BenchmarkPile(b *testing.B) {
	n := 20_000
	if s := os.Getenv("PENDING"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	h := houseFor(b, 2*n)
	next := make(chan int)
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for i := range next {
				h.ask(func(q *approval.Question) {
					moderate(fmt.Sprint("update of flag ", i))(q)
					who, agent := crowded(i%1000), fmt.Sprint("agent:a", i%1000)
					q.Action.Payload, q.Action.Subject = []byte(strconv.Itoa(i)), who.ID
					q.Asker = identity.Asker{Subject: who, Chain: []identity.Actor{{ID: agent, Type: "agent", Owner: who.ID}}, Credential: "tok_3"}
					q.Action.Actors = q.Asker.Links()
					q.Decision.Requirements[0].Expires = 10 * time.Hour
				})
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	one := h.ask(nil)
	c := newClient(h).signIn(sam)
	for b.Loop() {
		for name, path := range map[string]string{"list": "/approvals", "one": "/approvals/" + one.ID, "settings": "/settings"} {
			var took []time.Duration
			for range 50 {
				start := time.Now()
				code, body := c.send("GET", path, nil)
				took = append(took, time.Since(start))
				if code != 200 || !strings.Contains(body, "Approvals") {
					b.Fatalf("%s: %d", path, code)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, name+"-median-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, name+"-p99-ms")
		}
	}
	b.ReportMetric(0, "ns/op")
}
