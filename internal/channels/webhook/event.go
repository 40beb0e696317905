package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/notify"
)

// An Event is a CloudEvents 1.0 envelope in JSON. Each tells the whole of what
// it is about: changes that follow one another closely may come as one.
type Event struct {
	SpecVersion string    `json:"specversion" enum:"1.0"`
	ID          string    `json:"id" doc:"The same for each redelivery"`
	Source      string    `json:"source" doc:"Public URL of the deployment"`
	Type        string    `json:"type" doc:"dev.assent.approval.… or dev.assent.notice.…"`
	Subject     string    `json:"subject" doc:"Id of the approval, or of the notice"`
	Time        time.Time `json:"time,omitzero" doc:"When it happened; left out where that is not known"`
	ContentType string    `json:"datacontenttype" enum:"application/json"`
	Data        Data      `json:"data"`
}

// Data is what an event is about: an approval or a notice.
type Data struct {
	To       string    `json:"to" doc:"The route's place"`
	Key      string    `json:"key" doc:"Names this approval, or notice, at this place for ever"`
	Approval *Approval `json:"approval,omitempty"`
	Notice   *Notice   `json:"notice,omitempty"`
}

// Approval is its card: texts are fit to be shown, sensitive values masked.
type Approval struct {
	ID        string   `json:"id"`
	Digest    string   `json:"digest" doc:"Of the exact action"`
	Version   int64    `json:"version"`
	URL       string   `json:"url" doc:"Where it is decided"`
	State     string   `json:"state" enum:"waiting,approved,denied,expired,withdrawn,running,executed,failed,unknown,unclear"`
	Says      string   `json:"says" doc:"The state in words"`
	Pending   bool     `json:"pending" doc:"Waits for people"`
	Over      bool     `json:"over" doc:"Nothing about it will change any more"`
	Risk      Risk     `json:"risk"`
	Title     string   `json:"title"`
	Who       string   `json:"who" doc:"The asker, who began the task first"`
	For       string   `json:"for" doc:"The person behind it"`
	Kinds     []string `json:"kinds" doc:"The gravest first"`
	Resource  string   `json:"resource"`
	Where     string   `json:"where,omitempty" doc:"Destination of data that leaves"`
	Statement string   `json:"statement" doc:"What would run, masked"`
	Cut       int      `json:"cut" doc:"Bytes of it that are not here"`
	Data      string   `json:"data" doc:"What it touches, in words"`
	Effects   []Effect `json:"effects,omitempty"`
	Why       string   `json:"why" doc:"The rule's own words"`
	Rules     []string `json:"rules,omitempty"`
	Claims    []Claim  `json:"claims,omitempty" doc:"What the asker says and nobody checked"`
	Items     []Item   `json:"items,omitempty" doc:"Actions of a plan, the gravest first"`
	Asks      string   `json:"asks" doc:"Who has to answer"`
	Filled    int      `json:"filled" doc:"Seats that are taken"`
	Seats     int      `json:"seats"`
	Reviews   []Review `json:"reviews,omitempty"`
	Talk      []Remark `json:"talk,omitempty"`
	Steps     []Step   `json:"steps,omitempty" doc:"Reminders and escalations so far"`
	Decided   string   `json:"decided,omitempty" doc:"Who decided, in words"`
	Assurance string   `json:"assurance" doc:"That a review needs"`
	Waits     bool     `json:"open_transaction,omitempty" doc:"The asker waits inside an open transaction"`

	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// Risk orders approvals.
type Risk struct {
	Level string `json:"level" enum:"critical,high,moderate"`
	Score int    `json:"score"`
	Why   string `json:"why"`
}

// Effect is one sentence about what would happen.
type Effect struct {
	Class string `json:"class" enum:"known,unk,bound,warn"`
	Text  string `json:"text"`
}

// Claim is something that the asker says.
type Claim struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Item is one action of a plan.
type Item struct {
	Place     int    `json:"place" doc:"In the plan, from 1"`
	Kind      string `json:"kind"`
	Title     string `json:"title"`
	Resource  string `json:"resource"`
	Where     string `json:"where,omitempty" doc:"Destination of data that leaves"`
	Statement string `json:"statement"`
	Cut       int    `json:"cut"`
	Risk      Risk   `json:"risk"`
	State     string `json:"state"`
}

// Review is one person's answer.
type Review struct {
	Name     string    `json:"name"`
	Decision string    `json:"decision" enum:"approve,deny"`
	Channel  string    `json:"channel"`
	Reason   string    `json:"reason,omitempty"`
	Only     string    `json:"only,omitempty" doc:"What it was given with besides"`
	Time     time.Time `json:"time"`
}

// Remark is a reviewer's question, or an answer to one.
type Remark struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	Text string    `json:"text"`
	Of   string    `json:"of,omitempty" doc:"Question that it answers"`
	Time time.Time `json:"time"`
}

// Step is a reminder or an escalation.
type Step struct {
	Do   string    `json:"do" enum:"remind,escalate,fall back"`
	Time time.Time `json:"time"`
}

// Notice is something that waits for nobody's answer.
type Notice struct {
	ID    string    `json:"id"`
	Kind  string    `json:"kind"`
	Title string    `json:"title"`
	Text  string    `json:"text,omitempty"`
	URL   string    `json:"url,omitempty"`
	Grave bool      `json:"grave"`
	Time  time.Time `json:"time,omitzero"`
}

// Types of events about an approval, after "dev.assent.approval.".
const (
	requested = "requested"
	reviewed  = "reviewed"
	asked     = "asked"
	answered  = "answered"
	reminded  = "reminded"
	escalated = "escalated"
	decided   = "decided"
)

// eventOf draws m for place. All of it follows from what it shows, so that what
// is sent again is the same.
func eventOf(place, ref, publicURL string, m *notify.Message) *Event {
	base := strings.TrimSuffix(publicURL, "/")
	ev := &Event{SpecVersion: "1.0", Source: base, ContentType: "application/json", Data: Data{To: place, Key: ref}}
	if n := m.Notice; n != nil {
		ev.Type, ev.Subject, ev.Time = "dev.assent.notice."+n.Kind, n.ID, n.Time
		ev.Data.Notice = &Notice{ID: n.ID, Kind: n.Kind, Title: n.Title, Text: n.Text, Grave: n.Grave, Time: n.Time}
		if n.Path != "" {
			ev.Data.Notice.URL = base + n.Path
		}
	} else {
		name, at := news(m.Card)
		ev.Type, ev.Subject, ev.Time = "dev.assent.approval."+name, m.Card.ID, at
		ev.Data.Approval = approvalOf(m.Card)
	}
	b, err := json.Marshal(ev)
	if err != nil { // strings, numbers and times: it can't fail
		panic(err)
	}
	sum := sha256.Sum256(b)
	ev.ID = "evt_" + hex.EncodeToString(sum[:15])
	return ev
}

// news is the last thing that happened to an approval, and when; zero: not known.
func news(c *card.Card) (what string, at time.Time) {
	what, at = requested, c.Created
	later := func(name string, t time.Time) {
		if !t.Before(at) {
			what, at = name, t
		}
	}
	for _, s := range c.Steps {
		name := reminded
		if s.Do != "remind" {
			name = escalated
		}
		later(name, s.Time)
	}
	for _, r := range c.Talk {
		name := asked
		if r.Of != "" {
			name = answered
		}
		later(name, r.Time)
	}
	for _, r := range c.Reviews {
		later(reviewed, r.Time)
	}
	switch {
	case c.Pending:
		return what, at
	case c.State.Name == "approved", c.State.Name == "denied":
		if n := len(c.Reviews); n > 0 {
			return decided, c.Reviews[n-1].Time
		}
		return decided, time.Time{}
	}
	return c.State.Name, time.Time{}
}

func approvalOf(c *card.Card) *Approval {
	a := &Approval{
		ID: c.ID, Digest: c.Digest, Version: c.Version, URL: c.URL, State: c.State.Name, Says: c.State.Says, Pending: c.Pending, Over: c.Over,
		Risk: riskOf(c.Risk), Title: c.Title, Who: c.Who, For: c.For, Kinds: c.Kinds, Resource: c.On, Where: c.Where,
		Statement: c.Statement, Cut: c.Cut, Data: c.Data, Why: c.Why, Rules: c.Rules, Asks: c.Asks, Filled: c.Filled, Seats: c.Seats,
		Decided: c.Decided, Assurance: c.Assurance, Waits: c.OpenTransaction, Created: c.Created, Expires: c.Expires,
	}
	for _, e := range c.Effects {
		a.Effects = append(a.Effects, Effect(e))
	}
	for _, x := range c.Claims {
		a.Claims = append(a.Claims, Claim(x))
	}
	for _, i := range c.Items {
		a.Items = append(a.Items, Item{Place: i.N, Kind: i.Kind, Title: i.Title, Resource: i.On, Where: i.Where, Statement: i.Statement, Cut: i.Cut, Risk: riskOf(i.Risk), State: i.State.Name})
	}
	for _, r := range c.Reviews {
		a.Reviews = append(a.Reviews, Review(r))
	}
	for _, r := range c.Talk {
		a.Talk = append(a.Talk, Remark(r))
	}
	for _, s := range c.Steps {
		a.Steps = append(a.Steps, Step(s))
	}
	return a
}

func riskOf(r card.Risk) Risk {
	return Risk{Level: strings.ToLower(r.Name), Score: r.Score, Why: r.Why}
}

// host names the deployment to people.
func (e *Event) host() string {
	if u, err := url.Parse(e.Source); err == nil && u.Host != "" {
		return u.Host
	}
	return "assent"
}
