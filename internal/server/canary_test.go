package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
)

const canaryConfig = `
gates:
  - { name: shop, type: postgres, listen: "127.0.0.1:0", env: prod, upstream: { host: 127.0.0.1, port: 1, database: shop, user: app, password: { file: corp.secret }, tls: off } }
canaries:
  per_week: 3
  zone: Europe/Berlin
  actions:
    - { actor: worker, gate: shop, kinds: [data.write], verb: drop, target: customers, title: DROP TABLE customers, statement: DROP TABLE customers }
`

// TestCanarySlots: on working days, within the hours, the same on every node, and
// other ones each week.
func TestCanarySlots(t *testing.T) {
	cfg := &CanariesConfig{PerWeek: 5, From: "10:00", To: "11:30", Zone: "Europe/Berlin", Actions: make([]CanaryConfig, 3)}
	p, err := cfg.plan([]byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	q, err := cfg.plan([]byte("other"))
	if err != nil {
		t.Fatal(err)
	}
	seen, same := map[string]bool{}, 0
	start := time.Date(2026, 1, 5, 0, 0, 0, 0, p.zone)
	for day := range 7 * 60 {
		now := start.AddDate(0, 0, day).Add(13 * time.Hour)
		slots, others := p.week(now), q.week(now)
		if len(slots) != cfg.PerWeek {
			t.Fatalf("%d slots", len(slots))
		}
		for i, s := range slots {
			local := s.at.In(p.zone)
			minute := local.Hour()*60 + local.Minute()
			if w := local.Weekday(); w == time.Saturday || w == time.Sunday || minute < 600 || minute >= 690 || s.which < 0 || s.which > 2 {
				t.Errorf("%+v", s)
			}
			if monday := now.AddDate(0, 0, -(int(now.Weekday())+6)%7).Format("2006-01-02"); !strings.HasPrefix(s.name, monday) {
				t.Errorf("%s is not of the week of %s", s.name, monday)
			}
			seen[s.name+local.String()] = true
			if s.at.Equal(others[i].at) {
				same++
			}
		}
	}
	if len(seen) != 60*cfg.PerWeek || same > 7*30 {
		t.Errorf("%d slots in 60 weeks, %d as under another key", len(seen), same)
	}
}

// TestCanaries: one is planted once, looks like a hold, and tells what it was after the answer.
func TestCanaries(t *testing.T) {
	hour := (time.Now().UTC().Hour() + 3) % 24                            // so that none is due by itself meanwhile
	one := strings.Replace(canaryConfig, "per_week: 3", "per_week: 1", 1) // another could be due at the same time
	b := newSignedIn(t, "admins: [reviewers]\n"+strings.Replace(one, "zone: Europe/Berlin", fmt.Sprintf("from: \"%02d:00\"\n  to: \"%02d:59\"", hour, hour), 1))
	mira := b.surfer()
	if mira.in("corp", oidcMira.Sub) != http.StatusOK {
		t.Fatal("not signed in")
	}
	b.background(t.Context(), "one")
	real := b.waiting(1)[0]
	now := time.Now()
	for i := range 3 { // the first of a week not long ago; others come to nothing
		at := b.canaries.week(now)[0].at.Add(time.Duration(i) * time.Minute)
		b.plantDue(t.Context(), at)
	}
	b.plantDue(t.Context(), b.canaries.week(now)[0].at.Add(-time.Second))
	b.plantDue(t.Context(), b.canaries.week(now)[0].at.Add(canaryLate+time.Minute))
	var fake *approval.Approval
	for _, a := range b.waiting(2) {
		if a.ID != real.ID {
			fake = a
		}
	}
	if fake == nil || fake.Canary == "" || fake.Resource.URN != "postgres:shop/shop" {
		t.Fatalf("planted: %+v", fake)
	}
	_, card := mira.get("/approvals/" + fake.ID)
	if strings.Contains(strings.ToLower(card), "canary") || !strings.Contains(card, "DROP TABLE customers") {
		t.Error("the card tells what it is, or nothing")
	}
	keys := func(id string) string {
		o, err := ReadOperator(b.cfg.path(b.cfg.Data))
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), "GET", b.URL()+"/v1/approvals/"+id, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+o.Token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		var v map[string]any
		if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
			t.Fatal(err)
		}
		if v["canary"] != nil && v["state"] == "pending" {
			t.Error("the API tells before the answer")
		}
		text, _ := v["canary"].(string)
		return text
	}
	if keys(fake.ID) != "" || keys(real.ID) != "" {
		t.Error("told before the answer")
	}
	if code, body := mira.review(fake, "approve"); code != http.StatusOK {
		t.Errorf("answered: %d %.300s", code, body)
	}
	if _, card := mira.get("/approvals/" + fake.ID); !strings.Contains(card, "This was a canary, and it was approved") {
		t.Error("the card doesn't tell after the answer")
	}
	if !strings.Contains(keys(fake.ID), "should have been denied") {
		t.Error("the API doesn't tell after the answer")
	}
	b.plantDue(t.Context(), b.canaries.week(now)[0].at)
	if again := b.waiting(1); again[0].ID != real.ID {
		t.Errorf("planted again: %+v", again)
	}
	if n := len(b.records(audit.TypeStarted)); n != 0 {
		t.Errorf("%d executions", n)
	}
	if n := len(b.records(audit.TypeCanary)); n != 1 {
		t.Errorf("%d records tell of it", n)
	}
	b.quality.read = time.Time{}
	list, err := b.reviewers(t.Context())
	if err != nil || len(list) != 1 || list[0].Missed != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	_, page := mira.get("/settings/reviewing")
	if !strings.Contains(page, "1 of 1") || !strings.Contains(page, "1 of 1 canaries approved") || !strings.Contains(page, "<rect") || !strings.Contains(page, "groups now") || !strings.Contains(page, `<code class="cls">reviewers</code>`) {
		t.Errorf("how she reviews: %s", page)
	}
	omar := b.surfer()
	if omar.in("corp", oidcOmar.Sub) != http.StatusOK {
		t.Fatal("not signed in")
	}
	if _, page = omar.get("/settings/reviewing"); strings.Contains(page, "Mira") || strings.Contains(page, "groups now") || !strings.Contains(page, "reviewed anything yet") {
		t.Error("somebody else's figures are shown")
	}
	if got := b.nudge(list[0].Person); !strings.Contains(got, "1 of 1 canaries") {
		t.Errorf("nudge: %q", got)
	}
}

func TestCanaryConfiguration(t *testing.T) {
	for name, edit := range map[string][2]string{
		"too many":        {"per_week: 3", "per_week: 30"},
		"no actor":        {"actor: worker", "actor: nobody"},
		"no gate":         {"gate: shop", "gate: elsewhere"},
		"no kind":         {"kinds: [data.write]", "kinds: [data.evil]"},
		"no kinds":        {"kinds: [data.write], ", ""},
		"a wrong zone":    {"zone: Europe/Berlin", "zone: Nowhere"},
		"hours that turn": {"zone: Europe/Berlin", "from: \"17:00\"\n  to: \"09:00\""},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/corp.secret", []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		text := "people: [{ id: dana }]\nactors: [{ id: worker, owner: dana }]\n" + canaryConfig
		if _, err := ParseConfig(dir+"/assent.yaml", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := ParseConfig(dir+"/assent.yaml", []byte(strings.Replace(text, edit[0], edit[1], 1))); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
