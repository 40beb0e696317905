package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/show"
)

// CloudEvents is the format that says everything; the others say it in the
// words of one receiver.
const CloudEvents = "cloudevents"

// A format is how an event is written for one kind of receiver.
type format struct {
	media     string
	url       string // where nothing else is configured
	needs     string // "secrets" or "key": without it nobody could tell who sends
	body      func(ev *Event, key string) ([]byte, error)
	authorize func(req *http.Request, user, key string)
	check     func(answer []byte) error // of an answer that says 2xx; nil: that is enough
}

var formats = map[string]format{
	CloudEvents: {
		media: "application/cloudevents+json", needs: "secrets", authorize: bearer,
		body: func(ev *Event, _ string) ([]byte, error) { return json.Marshal(ev) },
	},
	"pagerduty": {
		media: "application/json", url: "https://events.pagerduty.com/v2/enqueue", needs: "key",
		body: pagerDuty, authorize: func(*http.Request, string, string) {},
	},
	"servicenow": {media: "application/json", needs: "key", body: serviceNow, authorize: bearer, check: imported},
	"jira": {
		media: "application/json", needs: "key", body: jira,
		authorize: func(req *http.Request, _, key string) { req.Header.Set("X-Automation-Webhook-Token", key) },
	},
}

// Formats lists them.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

func bearer(req *http.Request, user, key string) {
	switch {
	case user != "":
		req.SetBasicAuth(user, key)
	case key != "":
		req.Header.Set("Authorization", "Bearer "+key)
	}
}

// A brief is an event in few words, for receivers that have a few fields.
type brief struct {
	title, text, url, level, resource, kind, state, update string
	over                                                   bool // no answer is wanted any more
	when                                                   time.Time
}

func briefOf(ev *Event) brief {
	if n := ev.Data.Notice; n != nil {
		b := brief{title: n.Title, text: n.Text, url: n.URL, level: "moderate", kind: n.Kind, state: "noticed", when: n.Time}
		if n.Grave {
			b.level = "critical"
		}
		b.update = b.title
		return b
	}
	a := ev.Data.Approval
	b := brief{
		title: "Approval: " + a.Title + " (" + a.Who + " for " + a.For + ")", url: a.URL, level: a.Risk.Level, resource: a.Resource,
		kind: a.Kinds[0], state: a.State, over: !a.Pending, when: ev.Time, update: a.Says,
	}
	if a.Decided != "" {
		b.update += ". " + a.Decided
	}
	lines := []string{
		a.Who + " for " + a.For + " asks on " + a.Resource + ": " + a.Data, "Held because: " + a.Why, "Asks: " + a.Asks,
		"Until: " + a.Expires.UTC().Format("2006-01-02 15:04 UTC"), "Decide in the console: " + a.URL, "", a.Statement,
	}
	if a.Cut > 0 {
		lines = append(lines, "… and "+show.Plural(int64(a.Cut), "byte")+" more, in the console")
	}
	b.text = strings.Join(lines, "\n")
	return b
}

// short keeps a field within what its receiver takes.
func short(s string, max int) string {
	s, cut := show.Bounded(s, max-len("…"))
	if cut > 0 {
		s += "…"
	}
	return s
}

// pagerDuty is the Events API v2: one alert for each approval, resolved once
// nobody's answer is wanted.
func pagerDuty(ev *Event, key string) ([]byte, error) {
	b := briefOf(ev)
	act := "trigger"
	if b.over {
		act = "resolve"
	}
	type link struct {
		Href string `json:"href"`
		Text string `json:"text"`
	}
	type payload struct {
		Summary   string    `json:"summary"`
		Source    string    `json:"source"`
		Severity  string    `json:"severity"`
		Timestamp time.Time `json:"timestamp,omitzero"`
		Component string    `json:"component,omitempty"`
		Class     string    `json:"class,omitempty"`
		Details   Data      `json:"custom_details"`
	}
	out := struct {
		Key     string  `json:"routing_key"`
		Action  string  `json:"event_action"`
		Dedup   string  `json:"dedup_key"`
		Client  string  `json:"client"`
		URL     string  `json:"client_url,omitempty"`
		Links   []link  `json:"links,omitempty"`
		Payload payload `json:"payload"`
	}{
		key, act, ev.Data.Key, "Assent", b.url, nil,
		payload{short(b.title, 1024), ev.host(), map[string]string{"critical": "critical", "high": "error", "moderate": "warning"}[b.level], b.when, b.resource, b.kind, ev.Data},
	}
	if b.url != "" {
		out.Links = []link{{b.url, "Open in Assent"}}
	}
	return json.Marshal(out)
}

// serviceNow is a row of an import set: its transform map coalesces on u_key.
func serviceNow(ev *Event, _ string) ([]byte, error) {
	b := briefOf(ev)
	urgency := map[string]string{"critical": "1", "high": "2", "moderate": "3"}[b.level]
	return json.Marshal(map[string]string{
		"u_key": ev.Data.Key, "u_event": ev.ID, "u_type": ev.Type, "u_subject": ev.Subject, "u_state": b.state, "u_closed": fmt.Sprint(b.over),
		"u_short_description": short(b.title, 160), "u_description": short(b.text, 4000), "u_work_note": short(b.update, 4000),
		"u_urgency": urgency, "u_url": b.url,
	})
}

// imported reads what an import set says of its row: it answers 201 for rows
// that it could not take, too.
func imported(answer []byte) error {
	var in struct {
		Result []struct {
			Status string `json:"status"`
		} `json:"result"`
	}
	if err := json.Unmarshal(answer, &in); err != nil || len(in.Result) == 0 {
		return errors.New("the answer is not that of an import set: is the url /api/now/import/TABLE?")
	}
	for _, r := range in.Result {
		switch r.Status {
		case "inserted", "updated", "ignored", "skipped":
		default:
			return errors.New("the import set could not take the row: see its transform history")
		}
	}
	return nil
}

// jira is what an automation rule with an incoming webhook reads as {{webhookData}}.
func jira(ev *Event, _ string) ([]byte, error) {
	b := briefOf(ev)
	priority := map[string]string{"critical": "Highest", "high": "High", "moderate": "Medium"}[b.level]
	return json.Marshal(map[string]any{
		"key": ev.Data.Key, "event": ev.ID, "type": ev.Type, "subject": ev.Subject, "state": b.state, "open": !b.over,
		"summary": short(b.title, 250), "description": verbatim(short(b.text, 30_000)), "comment": short(b.update, 4000),
		"priority": priority, "url": b.url, "label": "assent-" + ev.Data.Key,
	})
}

var noformat = regexp.MustCompile(`(?i)\{(noformat)`)

// verbatim has Jira show what agents wrote as it is: no links, macros or markup in it.
func verbatim(s string) string {
	return "{noformat}\n" + noformat.ReplaceAllString(s, "{ $1") + "\n{noformat}"
}
