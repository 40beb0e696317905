package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
)

// told writes the records of a task: its prompt, a command, what the command led to
// through another gate, and what was asked at the same time in another session.
func told(h *house) {
	for i, r := range []*audit.Record{
		{Type: audit.TypePrompt, Actor: "agent:release-bot", Session: "task", Detail: map[string]string{"text": "Export the <b>orders", "prompt": "00ff"}},
		{Type: audit.TypeRequest, Actor: "agent:release-bot", Session: "ses_a", Gate: "hooks", Title: "Bash make", Decision: "allow", Kinds: []string{"execute"}, Detail: map[string]string{"session": "task", "act": "act_1"}},
		{Type: audit.TypeRequest, Actor: "agent:release-bot", Session: "ses_b", Gate: "tools", Title: "Tool query", Decision: "allow", Kinds: []string{"tool.call"}, Detail: map[string]string{"session": "task", "act": "act_2", "parent": "act_1", "parent.how": "stated"}},
		{Type: audit.TypeRequest, Actor: "agent:release-bot", Session: "ses_c", Gate: "orders-db", Title: "Read orders", Decision: "review", Approval: "apr_9", Kinds: []string{"data.read"}, Detail: map[string]string{"session": "task", "act": "act_3", "parent": "act_2", "parent.how": "seen"}},
		{Type: audit.TypeApproval, Actor: "agent:release-bot", Approval: "apr_9", Decision: "denied"},
		{Type: audit.TypeTaint, Actor: "agent:release-bot", Detail: map[string]string{"what": "select on customers with aws-key", "act": "act_3"}},
		{Type: audit.TypeRequest, Actor: "agent:release-bot", Session: "ses_c", Gate: "orders-db", Title: "Something else", Decision: "allow", Detail: map[string]string{"session": "other", "parent": "act_lost", "parent.how": "stated"}},
		{Type: audit.TypeRequest, Actor: "agent:nightly-exporter", Session: "ses_d", Gate: "orders-db", Title: "Somebody else's", Decision: "allow", Detail: map[string]string{"session": "task"}},
	} {
		h.back = time.Duration(20-i) * time.Second
		h.records(r)
	}
	h.back = 0
}

func TestAnAgentsSessionIsOneStory(t *testing.T) {
	h := newHouse(t)
	told(h)
	c := newClient(h).signIn(sam)
	code, body := c.send("GET", "/sessions/task?actor="+url.QueryEscape("agent:release-bot"), nil)
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	at := -1
	for _, want := range []string{"told, as its side says: Export the &lt;b&gt;orders", "Bash make", `in in1"`, "Tool query", "led by Bash make, as its side says", `in in2"`, "Read orders", "led by Tool query, the only one under way", "it is now denied", "saw select on customers with aws-key"} {
		i := strings.Index(body[max(at, 0):], want) + max(at, 0)
		if i <= at {
			t.Errorf("%q is not where it happened", want)
		}
		at = i
	}
	for _, not := range []string{"Something else", "Somebody else", "<b>orders"} {
		if strings.Contains(body, not) {
			t.Errorf("it says %q", not)
		}
	}
	code, body = c.send("GET", "/sessions/ses_c", nil)
	for _, want := range []string{"/sessions/task?actor=agent%3Arelease-bot", "led by an action that is not on this page"} {
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("a connection's page (%d) doesn't say %q", code, want)
		}
	}
}

func TestTheCardSaysWhatLedToIt(t *testing.T) {
	h := newHouse(t)
	at := time.Now()
	a := h.ask(func(q *approval.Question) {
		q.Lead = &approval.Lead{
			Session: "task", Prompt: &approval.Prompt{Text: "Export <i>all", Time: at}, Names: "no",
			By:  []approval.LedBy{{ID: "act_1", Title: "Bash make", How: approval.Stated}},
			Saw: []approval.Saw{{Kind: approval.SawUntrusted, What: "web page: fetch example.com", Actor: "agent:release-bot", Time: at}},
		}
	})
	code, body := newClient(h).signIn(mira).send("GET", "/approvals/"+a.ID, nil)
	given := body[max(strings.Index(body, `id="h-g"`), 0):]
	for _, want := range []string{"Export &lt;i&gt;all", "which does not name", "Bash make (act_1, as the asker&#39;s side says) → this"} {
		if code != http.StatusOK || !strings.Contains(given, want) {
			t.Errorf("among the asker's words (%d): no %q", code, want)
		}
	}
	if would := body[:max(strings.Index(body, `id="h-g"`), 0)]; !strings.Contains(would, "release-bot has lately seen what others wrote") {
		t.Error("what it has seen isn't said")
	}
}
