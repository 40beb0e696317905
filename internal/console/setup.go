package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/assenthq/assent/internal/approval"
)

// Setup tries the parts of a configuration before it is written down. It is told
// no secret: the page prints where each belongs.
type Setup interface {
	// Issuer errs unless people could sign in through it.
	Issuer(ctx context.Context, issuer, client string) error
	// System errs unless a database answers there, and says how it answers.
	System(ctx context.Context, host string, port int) (says string, err error)
	// Rule decides a statement of an agent under the built-in policy and pack together.
	Rule(pack, statement string) (Tried, error)
	// Config errs unless text is a configuration that serve would take.
	Config(text string) error
	// Open reports that nobody administers yet: then whoever reviews may set up.
	Open() bool
}

// Tried is what would become of a statement.
type Tried struct {
	Kinds   []string
	Verdict string
	Reason  string
	Rules   []string
	Asks    []string
	Failed  []string // tests of the pack that don't hold
}

// setupForm is what a person typed. Nothing of it is kept.
type setupForm struct {
	Issuer, IssuerName, Client, Reviewers, Admins string
	Reviewer, Owner, Account                      string
	Gate, Host, Port, Database, User, Listen      string
	Agent                                         string
	Pack, Statement                               string
}

const firstPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: first, version: 1.0.0, owner: us }
rules:
  - id: big-changes-need-two
    match: { kind: [data.delete, schema.change] }
    then: review
    approval: { from: [group:reviewers], count: 2, expires: 30m }
    reason: "{{action.verb}} on {{resource.urn}}: two people look at it"
tests:
  - name: a delete waits
    given: { kind: data.delete, actor: agent, env: prod }
    want: { decision: review, rule: big-changes-need-two }
`

func setupFormOf(r *http.Request) setupForm {
	get := func(name, unset string) string { return cmp.Or(strings.TrimSpace(r.PostFormValue(name)), unset) }
	return setupForm{
		Issuer: get("issuer", ""), IssuerName: get("issuer_name", "corp"), Client: get("client", "assent"), Reviewers: get("reviewers", ""), Admins: get("admins", ""),
		Reviewer: get("reviewer", "mira"), Owner: get("owner", "dana"), Account: get("account", ""),
		Gate: get("gate", "shop"), Host: get("host", ""), Port: get("port", "5432"), Database: get("database", "shop"), User: get("user", "app"), Listen: get("listen", "127.0.0.1:6432"),
		Agent: get("agent", "nightly-exporter"), Pack: get("pack", firstPack), Statement: get("statement", "DELETE FROM orders WHERE created < now() - interval '2 years'"),
	}
}

// configText is the configuration of what was typed. JSON's strings are YAML's too.
var configText = template.Must(template.New("").Funcs(template.FuncMap{"q": asJSON}).Parse(
	`{{if .Issuer}}issuers:
  - { name: {{q .IssuerName}}, issuer: {{q .Issuer}}, client_id: {{q .Client}}, client_secret: { file: {{q (print .IssuerName ".secret")}} } }
groups:
  reviewers: { from: [{{q (print .IssuerName "|" .Reviewers)}}] }
  admins:    { from: [{{q (print .IssuerName "|" .Admins)}}] }
people:
  - { id: {{q .Owner}}{{with .Account}}, accounts: [{{q (print $.IssuerName "|" .)}}]{{end}} }{{if not .Account}} # without accounts: nobody knows them when they sign in, and they may review what their agent asks{{end}}
{{else}}people:
  - { id: {{q .Reviewer}}, groups: [reviewers, admins] }
  - { id: {{q .Owner}} }
{{end}}actors:
  - { id: {{q .Agent}}, owner: {{q .Owner}} }
policy: ["builtin:default", first.yaml]
gates:
  - name: {{q .Gate}}
    type: postgres
    listen: {{q .Listen}}
    env: prod
    upstream: { host: {{q .Host}}, port: {{.Number}}, database: {{q .Database}}, user: {{q .User}}, password: { file: pg.password } }
`))

func asJSON(s string) (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}

// Number is the port as it is written; what is no port is left to the check to refuse.
func (f setupForm) Number() string {
	if n, err := strconv.Atoi(f.Port); err == nil {
		return strconv.Itoa(n)
	}
	return "0"
}

// Psql is the command that runs the statement through the gate.
func (f setupForm) Psql() string {
	return fmt.Sprintf("psql %s -c %s", shellWord(fmt.Sprintf("postgres://%s:TOKEN@%s/%s", f.Agent, f.Listen, f.Database)), shellWord(f.Statement))
}

func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func (f setupForm) config() string {
	var b bytes.Buffer
	if err := configText.Execute(&b, f); err != nil {
		return ""
	}
	return b.String()
}

// setupPage leads from an empty deployment to a first approval.
type setupPage struct {
	Shell
	Form     setupForm
	May      bool
	Checked  map[string]setupCheck
	Tried    *Tried
	Class    string
	Text     string // the configuration
	Callback string
	Live     []setupStep
	Done     bool
	Gates    []Gate
}

type setupCheck struct{ Class, Says string }

// setupStep is one thing that must be so, looked up each time.
type setupStep struct {
	Class, What, Next, Href string
}

const checkTime = 8 * time.Second

func (c *Console) setupRoutes(mux *http.ServeMux) {
	if c.o.Setup == nil {
		return
	}
	mux.HandleFunc("GET /setup", c.signedIn(c.showSetup))
	mux.HandleFunc("POST /setup", c.signedIn(c.trySetup))
}

// maySetUp: checks reach out from the server, so they are for administrators;
// where there are none yet, for whoever is in a group.
func (c *Console) maySetUp(p *who) bool {
	return c.administers(p) || p.assurance() == "console" && len(p.Groups) > 0 && c.o.Setup.Open()
}

func (c *Console) setupPage(r *http.Request, p *who) setupPage {
	f := setupFormOf(r)
	page := setupPage{
		Form: f, May: c.maySetUp(p), Checked: map[string]setupCheck{}, Text: f.config(),
		Callback: c.o.PublicURL + "/signin/callback/" + f.IssuerName, Gates: c.about(r.Context()).Gates,
	}
	page.Live = c.setupSteps(r.Context(), page.Gates)
	page.Done = true
	for _, s := range page.Live {
		page.Done = page.Done && s.Class == "ok"
	}
	return page
}

func (c *Console) showSetup(w http.ResponseWriter, r *http.Request, p *who) {
	page := c.setupPage(r, p)
	page.Shell = c.shellOf(r, p, "setup", "Set up", -1)
	c.page(w, r, http.StatusOK, "setup", page)
}

func (c *Console) trySetup(w http.ResponseWriter, r *http.Request, p *who) {
	if !c.maySetUp(p) || !c.confirmed(r, p) || !c.maySetUp(p) {
		c.fail(w, r, http.StatusForbidden, "Only an administrator tries a configuration here. Nothing was tried.", "Ask one of them, or try it on the server with assent doctor.")
		return
	}
	page := c.setupPage(r, p)
	ctx, cancel := context.WithTimeout(r.Context(), checkTime)
	defer cancel()
	what := r.PostFormValue("check")
	says, err := c.setupCheck(ctx, what, &page)
	if err != nil {
		page.Checked[what] = setupCheck{"bad", plain(err.Error(), 600)}
	} else {
		page.Checked[what] = setupCheck{"ok", says}
	}
	page.Shell = c.shellOf(r, p, "setup", "Set up", -1)
	c.page(w, r, http.StatusOK, "setup", page)
}

// setupCheck tries one part of what was typed.
func (c *Console) setupCheck(ctx context.Context, what string, page *setupPage) (says string, err error) {
	f := page.Form
	switch what {
	case "issuer":
		return "It answers, and names itself so. Register the address below there.", c.o.Setup.Issuer(ctx, f.Issuer, f.Client)
	case "system":
		port, err := strconv.Atoi(f.Port)
		if err != nil || port < 1 || port > 65535 {
			return "", fmt.Errorf("the port is a number from 1 to 65535")
		}
		return c.o.Setup.System(ctx, f.Host, port)
	case "rule":
		t, err := c.o.Setup.Rule(f.Pack, f.Statement)
		if err != nil {
			return "", err
		}
		if len(t.Failed) > 0 {
			return "", fmt.Errorf("its own tests don't hold: %s", strings.Join(t.Failed, "; "))
		}
		page.Tried, page.Class = &t, map[string]string{"allow": "ok", "review": "wait", "deny": "bad"}[t.Verdict]
		return "It loads, and its tests hold.", nil
	case "config":
		return "Serve would take it.", c.o.Setup.Config(page.Text)
	}
	return "", fmt.Errorf("there is no such check")
}

// setupSteps are what is so already. Each is read from what runs, never from what was typed.
func (c *Console) setupSteps(ctx context.Context, gates []Gate) []setupStep {
	step := func(ok bool, what, next, href string) setupStep {
		return setupStep{map[bool]string{true: "ok", false: "wait"}[ok], what, next, href}
	}
	issuers, up := 0, 0
	for _, b := range c.buttons() {
		issuers++
		if !b.Down {
			up++
		}
	}
	signIn := step(up > 0, "People sign in through your provider", "Write it into the configuration and start again. Until then one-time links sign people in.", "")
	if issuers > up {
		signIn = setupStep{"bad", "An issuer does not answer", "assent doctor says what is wrong.", "/settings"}
	}
	open := 0
	for _, g := range gates {
		if g.State == "open" || g.State == "up" {
			open++
		}
	}
	system := step(open > 0, "A gate stands before your system", "Write it into the configuration and start again.", "")
	if len(gates) > open {
		system = setupStep{"bad", "A gate does not reach its system", "assent doctor says what keeps it from it.", "/settings"}
	}
	tokens, err := c.credentials(ctx)
	agent := step(err == nil && len(tokens) > 0, "An agent has a credential", "assent token mint --actor NAME, on the server.", "/agents")
	asked := step(false, "An agent asked something", "Run a statement through the gate; it appears here by itself.", "/activity")
	if c.tally.step(ctx) == nil {
		sum := c.tally.last(24 * time.Hour)
		if _, all := sum.byClass(func(way) bool { return true }); all > 0 {
			asked.Class = "ok"
		}
	}
	first := step(false, "Somebody approved something", "Ask for something that is held, and answer it.", "/approvals")
	if decided, err := c.o.Approvals.List(ctx, approval.Filter{States: []approval.State{approval.Approved, approval.Executing, approval.Executed, approval.Failed, approval.Unknown}, Limit: 1}); err == nil && len(decided) > 0 {
		first.Class = "ok"
	}
	return []setupStep{signIn, system, agent, asked, first}
}
