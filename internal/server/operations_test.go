package server

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
)

var (
	metricName = regexp.MustCompile(`assent_[a-z_]+`)
	byLabels   = regexp.MustCompile(`by \(([a-z_, ]+)\)`)
	matched    = regexp.MustCompile(`([a-z_]+)\s*=~?"`)
	shown      = regexp.MustCompile(`\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}`)
	described  = regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
)

// measured are the metrics of a server and of a gate process, with their labels.
func measured(t *testing.T) map[string][]string {
	t.Helper()
	b := newBench(t, "connectors: { listen: 127.0.0.1:0 }\nremote: { listen: 127.0.0.1:0 }")
	cfg, err := ParseConfig(filepath.Join(t.TempDir(), "gate.yaml"), []byte(`
control: 127.0.0.1:1
data: data
listen: 127.0.0.1:0
gates:
  - { name: shop, type: postgres, listen: 127.0.0.1:0, env: prod, upstream: { host: 127.0.0.1, database: shop, user: gate, password: { env: PW }, tls: "off" } }
`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewGateProcess(cfg, "there", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop, err := p.watch()
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := p.s.lock.Close(); err != nil {
		t.Error(err)
	}
	out := map[string][]string{}
	for _, r := range []*prometheus.Registry{b.registry, p.s.registry} {
		ch := make(chan *prometheus.Desc)
		go func() { r.Describe(ch); close(ch) }()
		for d := range ch {
			m := described.FindStringSubmatch(d.String())
			if m == nil {
				t.Fatalf("a metric that says not what it is: %s", d)
			}
			out[m[1]] = strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' })
		}
	}
	for _, d := range []*prometheus.Desc{witnessUp, witnessAge} { // registered where there are witnesses
		m := described.FindStringSubmatch(d.String())
		out[m[1]] = strings.Split(m[2], ",")
	}
	out["assent_stream_lost_total"] = []string{"stream"} // where there are streams
	return out
}

// What alerts and dashboard ask for is measured, under these names and labels, and each alert has its paragraph.
func TestAlertsAndDashboard(t *testing.T) {
	there := measured(t)
	check := func(what, expr string, words ...string) {
		t.Helper()
		labels := []string{"le", "instance", "job"}
		names := metricName.FindAllString(expr, -1)
		for _, n := range names {
			n = strings.TrimSuffix(n, "_bucket")
			has, is := there[n]
			if !is {
				t.Errorf("%s: there is no metric %s", what, n)
			}
			labels = append(labels, has...)
		}
		var asked []string
		for _, m := range byLabels.FindAllStringSubmatch(expr, -1) {
			asked = append(asked, strings.FieldsFunc(m[1], func(r rune) bool { return r == ',' || r == ' ' })...)
		}
		for _, m := range matched.FindAllStringSubmatch(expr, -1) {
			asked = append(asked, m[1])
		}
		for _, w := range words {
			for _, m := range shown.FindAllStringSubmatch(w, -1) {
				asked = append(asked, m[1])
			}
		}
		for _, l := range asked {
			if !slices.Contains(labels, l) {
				t.Errorf("%s: %s has no label %s", what, strings.Join(names, ", "), l)
			}
		}
	}
	text, err := os.ReadFile("../../operations/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For string
				Labels           map[string]string
				Annotations      map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions(text, &rules, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			n++
			check(r.Alert, r.Expr, r.Annotations["summary"])
			_, anchor, _ := strings.Cut(r.Annotations["runbook"], "#")
			if heading := regexp.MustCompile(`(?mi)^### ` + regexp.QuoteMeta(anchor) + `$`); anchor == "" || !heading.Match(page) {
				t.Errorf("%s: docs/operating.md has no heading %q", r.Alert, anchor)
			}
			if s := r.Labels["severity"]; s != "page" && s != "ticket" {
				t.Errorf("%s: severity %q", r.Alert, s)
			}
		}
	}
	text, err = os.ReadFile("../../operations/grafana/assent.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			n++
			check(p.Title, q.Expr, q.LegendFormat)
		}
	}
	if n < 20 {
		t.Errorf("%d expressions were looked at", n)
	}
}
