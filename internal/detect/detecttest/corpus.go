// Package detecttest makes text to measure and test detection with: rows, logs
// and prose, clean or with values planted whose place and class are known. The
// same seed and size give the same bytes. Every value is made up, and valid
// where its class has a check.
package detecttest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A Planted is one value in a text: bytes [Start, End).
type Planted struct {
	Start, End int
	Class      string
}

// A Corpus is text with what was planted in it, in order.
type Corpus struct {
	Name    string // "rows/clean"
	Text    []byte
	Planted []Planted
}

// Kinds are the kinds of text.
var Kinds = []string{"rows", "logs", "prose"}

// Corpora makes six of about size bytes each: every kind clean and dense. In dense ones a
// hundredth of the lines has a value.
func Corpora(seed uint64, size int) []Corpus {
	var all []Corpus
	for _, kind := range Kinds {
		all = append(all, Make(kind, seed, size, 0), Make(kind, seed, size, 0.01))
	}
	return all
}

// Make makes one of a kind, with a value in the given share of its lines.
// It panics on a kind that there isn't.
func Make(kind string, seed uint64, size int, share float64) Corpus {
	line, ok := map[string]func(*gen, string){"rows": (*gen).row, "logs": (*gen).log, "prose": (*gen).paragraph}[kind]
	if !ok {
		panic("no kind of text " + kind)
	}
	g := &gen{Rand: rand.New(rand.NewPCG(seed, uint64(len(kind))))} //nolint:gosec // the same seed must give the same text
	g.b.Grow(size + 4096)
	c := Corpus{Name: kind + "/clean"}
	if share > 0 {
		c.Name = kind + "/dense"
	}
	for g.b.Len() < size {
		begin := g.b.Len()
		if share == 0 || g.Float64() >= share {
			line(g, "")
			g.b.WriteByte('\n')
			continue
		}
		v := g.value()
		line(g, " "+v.before+v.text+v.after)
		g.b.WriteByte('\n')
		at := begin + strings.Index(g.b.String()[begin:], v.before+v.text+v.after) + len(v.before)
		c.Planted = append(c.Planted, Planted{at, at + len(v.text), v.class})
	}
	c.Text = []byte(g.b.String())
	return c
}

type gen struct {
	*rand.Rand
	b strings.Builder
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	figure = "0123456789"
	hexes  = "0123456789abcdef"
	alnum  = lower + upper + figure
)

// of returns n bytes of an alphabet.
func (g *gen) of(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[g.IntN(len(alphabet))]
	}
	return string(b)
}

// to returns a number from low to high.
func (g *gen) to(low, high int) int { return low + g.IntN(high-low+1) }

func pick[T any](g *gen, of []T) T { return of[g.IntN(len(of))] }

func (g *gen) uuid() string {
	return g.of(hexes, 8) + "-" + g.of(hexes, 4) + "-4" + g.of(hexes, 3) + "-a" + g.of(hexes, 3) + "-" + g.of(hexes, 12)
}

func (g *gen) moment() string {
	return fmt.Sprintf("2026-%02d-%02dT%02d:%02d:%02d.%03dZ", g.to(1, 12), g.to(1, 28), g.IntN(24), g.IntN(60), g.IntN(60), g.IntN(1000))
}

// row is what a database or an API answers.
func (g *gen) row(more string) {
	switch g.IntN(3) {
	case 0:
		fmt.Fprintf(&g.b, `{"id":%d,"order_ref":"%s","created_at":"%s","status":"%s","amount":%d.%02d,"currency":"EUR","sku":"%s-%s","qty":%d,"warehouse":"eu-west-%d","trace":"%s","note":"%s%s"}`,
			g.to(1000000, 90000000), g.uuid(), g.moment(), pick(g, words), g.IntN(5000), g.IntN(100), g.of(upper, 3), g.of(figure, 4), g.IntN(50), g.to(1, 3), g.of(hexes, 32), g.sentence(4, 11), more)
	case 1:
		fmt.Fprintf(&g.b, "%d|%s|%s|%d.%02d|EUR|%t|%s|%s%s", g.to(1000, 999999), g.moment(), pick(g, words), g.IntN(900), g.IntN(100), g.IntN(2) == 0, pick(g, words), g.sentence(3, 9), more)
	default:
		fmt.Fprintf(&g.b, "INSERT INTO orders VALUES (%d, '%s', %d, NULL, '%s%s', %d.%02d);", g.to(1000, 99999999), g.uuid(), g.IntN(100), g.sentence(3, 9), more, g.IntN(900), g.IntN(100))
	}
}

// log is what services write.
func (g *gen) log(more string) {
	switch g.IntN(4) {
	case 0:
		fmt.Fprintf(&g.b, `%s INFO [http-nio-8080-exec-%d] c.a.gateway.RequestFilter - method=GET path=/api/v2/orders/%d/items?limit=%d status=%d dur_ms=%d.%03d bytes=%d req_id=%s%s`,
			g.moment(), g.IntN(200), g.IntN(1000000), 10*g.IntN(10), pick(g, []int{200, 200, 200, 404, 500}), g.IntN(3000), g.IntN(1000), g.IntN(1000000), g.uuid(), more)
	case 1:
		fmt.Fprintf(&g.b, `level=info ts=%s caller=reconciler.go:%d controller=deployment namespace=prod-%s pod=%s-%s-%s generation=%d msg="%s"%s`,
			g.moment(), g.IntN(900), g.of(lower, 4), pick(g, words), g.of(hexes, 10), g.of(lower+figure, 5), g.IntN(100), g.sentence(3, 11), more)
	case 2:
		fmt.Fprintf(&g.b, `{"ts":%d.%06d,"level":"debug","logger":"worker.%s","msg":"%s%s","span_id":"%s","attempt":%d,"sha256":"%s"}`,
			g.to(1760000000, 1789999999), g.IntN(1000000), pick(g, words), g.sentence(4, 9), more, g.of(hexes, 16), g.IntN(5), g.of(hexes, 64))
	default:
		fmt.Fprintf(&g.b, `Nov %2d %02d:%02d:%02d node-%d kernel: [%5d.%06d] %s: %s%s`,
			g.to(1, 28), g.IntN(24), g.IntN(60), g.IntN(60), g.IntN(90), g.IntN(99999), g.IntN(1000000), pick(g, words), g.sentence(4, 9), more)
	}
}

// paragraph is what people write.
func (g *gen) paragraph(more string) {
	for i := range g.to(2, 5) {
		if i > 0 {
			g.b.WriteByte(' ')
		}
		g.b.WriteString(g.sentence(8, 22))
	}
	g.b.WriteString(more)
}

// sentence is of low to high words; some have a capital, as names of things have.
func (g *gen) sentence(low, high int) string {
	var b strings.Builder
	n := g.to(low, high)
	for i := range n {
		w := pick(g, words)
		if g.IntN(25) == 0 {
			w = pick(g, things)
		}
		if i == 0 {
			w = strings.ToUpper(w[:1]) + w[1:]
		} else {
			b.WriteByte(' ')
		}
		b.WriteString(w)
		if i < n-1 && g.IntN(12) == 0 {
			b.WriteByte(',')
		}
	}
	b.WriteByte('.')
	return b.String()
}

var words = strings.Fields(`the of and to in a is that for it as was with be by on not he his but at are this have from or had an they
which one you were all her she there would their we him been has when who will no more if out so up said what its about than into them can
only other time new some could these two may first then do any like my now over such our even most made after also did many off before must
well back through years where much your way down should because long each just state those people too little good world make very year
still see work life both between under never day same another know while last might great old since go against right came take used
themselves few house use during without again place around however home small found thought went part once general high upon school every
service request approval pipeline database export agent production cluster deployment customer invoice record payment review policy context
downstream gateway session status pending timeout retry region bucket schema migration latency budget incident ticket rollout`)

var things = strings.Fields(`Monday Tuesday September Europe Kubernetes PostgreSQL Linux GitHub Slack API SQL HTTP JSON English Berlin Tokyo
Christmas Internet Redis Terraform`)
