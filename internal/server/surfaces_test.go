package server

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/channels/slack/slacktest"
	"github.com/assenthq/assent/internal/channels/teams/teamstest"
)

// TestSurfaces: a decision reaches every open surface. It prints how soon;
// ASSENT_SURFACES says how many decisions are taken (scripts/bench surfaces).
func TestSurfaces(t *testing.T) {
	n := 5
	if v := os.Getenv("ASSENT_SURFACES"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil || n < 1 {
			t.Fatalf("ASSENT_SURFACES=%q is not a number from 1 on", v)
		}
	}
	took := map[string][]time.Duration{}
	for left := n; left > 0; left -= mostCards {
		t.Run("", func(t *testing.T) { surfaces(t, min(left, mostCards), took) })
	}
	for name, all := range took {
		slices.Sort(all)
		t.Logf("%-8s %d decisions shown: p50 %v, p99 %v, worst %v after the answer was sent", name, len(all), all[len(all)/2].Round(time.Millisecond), all[(len(all)*99-1)/100].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
		if all[len(all)-1] >= 20*time.Second {
			t.Errorf("%s was not told", name)
		}
	}
}

// mostCards come one by one to a place in a minute; more fold into one message.
const mostCards = 8

// surfaces has n decisions taken, and notes how soon each is seen where.
func surfaces(t *testing.T, n int, took map[string][]time.Duration) {
	t.Helper()
	slack, teams := slacktest.New(), teamstest.New(t)
	t.Cleanup(slack.Close)
	slack.Room("C0AB12CD3", "ops")
	hooks := &mailbox{}
	receiver := httptest.NewServer(hooks)
	t.Cleanup(receiver.Close)
	t.Setenv("TEAMS_SECRET", teamstest.Secret)
	t.Setenv("SLACK_TOKEN", slacktest.Token)
	t.Setenv("SLACK_SIGNING", slacktest.Signing)
	t.Setenv("HOOK_SECRET", "whsec_"+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))))
	b := newSignedIn(t, `
limits: { pending_per_actor: 1000 }
channels:
  - name: slack
    slack: { team: `+slacktest.Team+`, app_id: `+slacktest.App+`, bot_token: { env: SLACK_TOKEN }, signing_secret: { env: SLACK_SIGNING }, api: "`+slack.URL+`" }
    routes: [{ to: C0AB12CD3 }]
  - name: teams
    teams: { app_id: `+teamstest.App+`, tenant: `+teamstest.Tenant+`, secret: { env: TEAMS_SECRET }, service_url: "`+teams.URL+`", metadata: "`+teams.URL+`/metadata", token_url: "`+teams.URL+`/token" }
    routes: [{ to: "19:ops" }]
  - name: hook
    webhook: { url: "`+receiver.URL+`", secrets: [{ env: HOOK_SECRET }], private: true }
    routes: [{ to: all }]
`)
	mira := b.surfer()
	if code := mira.in("corp", oidcMira.Sub); code != http.StatusOK {
		t.Fatal(code)
	}
	mira.settings()
	console := b.listen(t, mira)
	for i := range n {
		b.background(t.Context(), fmt.Sprintf("write %d", i))
		a := b.waiting(1)[0]
		on := map[string]func(state string) bool{
			"Slack":   func(s string) bool { return slackSays(slack, a.ID, s) },
			"Teams":   func(s string) bool { return teamsSays(teams, i, s) },
			"webhook": func(s string) bool { return hooks.has(a.ID, s) },
		}
		for name, says := range on {
			eventually(t, name+" has the card", func() bool { return says("waiting") })
		}
		on["console"] = func(s string) bool { return s != "waiting" && console.has(a.ID, "denied") }
		began := time.Now()
		if code, body := mira.review(a, "deny"); code != http.StatusOK {
			t.Fatalf("%d %.300s", code, body)
		}
		var wait sync.WaitGroup
		var mu sync.Mutex
		for name, says := range on {
			wait.Go(func() {
				for !says("denied") && time.Since(began) < 20*time.Second {
					time.Sleep(2 * time.Millisecond)
				}
				mu.Lock()
				defer mu.Unlock()
				took[name] = append(took[name], time.Since(began))
			})
		}
		wait.Wait()
	}
}

func slackSays(s *slacktest.Slack, id, state string) bool {
	for _, m := range s.Messages("C0AB12CD3") {
		if strings.Contains(string(m.Blocks), id) {
			return strings.Contains(string(m.Blocks), "enied") == (state == "denied")
		}
	}
	return false
}

func teamsSays(f *teamstest.Fake, i int, state string) bool {
	posts := f.Posts("19:ops")
	return len(posts) > i && strings.Contains(teamstest.Text(posts[i]), "denied it") == (state == "denied")
}

// mailbox keeps what was posted to it.
type mailbox struct {
	mu   sync.Mutex
	mail []string
}

func (m *mailbox) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mail = append(m.mail, string(b))
}

func (m *mailbox) has(words ...string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.mail, func(s string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(s, w) })
	})
}

// listen opens the console's event stream, as an open page does.
func (b *signedIn) listen(t *testing.T, s *surfer) *mailbox {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := s.http.Do(r)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("the console's events: %v", err)
	}
	box := &mailbox{}
	go func() {
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			var e struct{ ID, State string }
			if ok && json.Unmarshal([]byte(data), &e) == nil && e.ID != "" {
				box.mu.Lock()
				box.mail = append(box.mail, e.ID+" "+e.State)
				box.mu.Unlock()
			}
		}
	}()
	return box
}
