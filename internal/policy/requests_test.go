package policy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/aws"
	classifyhttp "github.com/assenthq/assent/internal/classify/http"
	"github.com/assenthq/assent/internal/classify/kubernetes"
	"github.com/assenthq/assent/internal/classify/llm"
	"github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/classify/shell"
	"github.com/assenthq/assent/internal/classify/sql"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/gates/command"
	"github.com/assenthq/assent/internal/gates/hook"
	"github.com/assenthq/assent/internal/policy"
)

// A request is one line of testdata/requests.jsonl: something that an agent asks of a
// system, as it comes there, and what a pack makes of it.
type request struct {
	Pack, Env string
	Actor     string // its type; "": agent
	Seen      string // by the actor: "" nothing, "secrets", "others" (what others wrote), "both"
	Named     string // whether the prompt names what it is about: "yes", "no", "": nobody knows
	Rows      *int64 // that a preview counted

	SQL    string          // at a PostgreSQL gate
	Script string          // a command, by assent exec
	Argv   []string        // the same without a shell
	SSH    string          // a command, at an SSH gate
	Hook   json.RawMessage // tool_name and tool_input of a coding agent, in /home/u/app
	AWS    string          // service:Operation, with what its name alone tells
	K8s    *struct{ Do, Query, Type, Body string }
	MCP    *struct {
		Server, Tool string
		Args         json.RawMessage
	}
	LLM *struct {
		API, Do string
		Listed  bool
		Body    json.RawMessage
	}
	Egress *struct {
		Do             string
		Listed, Inside bool
	}
	HTTP *struct { // at an HTTP gate with the mapping of the billing API
		Do   string
		Body json.RawMessage
	}

	Want  string // flows, waits or is refused
	Rule  string // that decides
	Count int    // people
}

// desks are the classifiers that gates have.
type desks struct {
	sql  *sql.Classifier
	aws  *aws.Classifier
	k8s  *kubernetes.Judge
	mcp  *mcp.Classifier
	http *classifyhttp.Mapping
	hook *hook.Gate
	got  *caught
	det  *detect.Engine
}

func newDesks(t testing.TB) *desks {
	t.Helper()
	d := &desks{got: &caught{}}
	var errs [6]error
	class := func(column string) string {
		c, _ := d.det.Column(column[strings.LastIndexByte(column, '.')+1:], []string{column})
		return string(c)
	}
	d.det, errs[0] = detect.New(detect.Options{})
	d.sql = sql.New(sql.Options{})
	d.aws, errs[1] = aws.New(aws.Options{})
	d.k8s, errs[2] = kubernetes.New(nil)
	d.mcp, errs[3] = mcp.New(mcp.Options{Class: class})
	d.http, errs[4] = classifyhttp.Load("../classify/http/testdata/billing.yaml")
	d.hook, errs[5] = hook.New(hook.Config{
		Open: func(context.Context, string, string, gate.Peer, string) (gate.Session, string, func(), error) {
			return d.got, "cred", func() {}, nil
		},
		Command: func(script, dir string) *action.Action {
			return command.Describe(&command.Command{Script: script, Dir: dir})
		},
		MCP: d.mcp, Log: slog.New(slog.DiscardHandler),
	})
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.hook.Close)
	return d
}

// caught is the session of a gate that is asked and says no.
type caught struct {
	gate.Session
	mu sync.Mutex
	a  *action.Action
}

func (c *caught) Describe(a *action.Action)       { a.Resource.URN = "command:test" }
func (c *caught) Refused(context.Context, string) {}
func (c *caught) Enforce(_ context.Context, a *action.Action, _ gate.Hooks) (gate.Permit, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.a = a
	return nil, &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
}

// actions are what r asks for, made as its gate makes them; harmless is why nobody decides.
func (d *desks) actions(r *request) (list []*action.Action, harmless string, err error) {
	switch {
	case r.SQL != "":
		return d.statements(r.SQL)
	case r.Script != "":
		return one("command", command.Describe(&command.Command{Script: r.Script, Dir: "/home/u/app", Home: "/home/u", Stdin: command.Stdin{Live: true}}))
	case r.Argv != nil:
		return one("command", command.Describe(&command.Command{Argv: r.Argv, Dir: "/home/u/app", Home: "/home/u", Stdin: command.Stdin{Live: true}}))
	case r.SSH != "":
		an := shell.Script(r.SSH, shell.Context{Dir: "/home/u", Home: "/home/u"})
		a := &action.Action{Kinds: an.Kinds, Verb: an.Verb, Target: an.Target, Title: an.Title, Reversible: an.Reversible}
		a.Data.Destination = strings.Join(an.Hosts, ", ")
		return one("ssh", a)
	case r.Hook != nil:
		return d.tool(r.Hook)
	case r.AWS != "":
		service, op, _ := strings.Cut(r.AWS, ":")
		an := d.aws.Named(service, op)
		a := &action.Action{Kinds: an.Kinds, Verb: an.Verb, Target: an.Target, Title: an.Title, Reversible: an.Reversible}
		a.Data.Destination = an.Destination
		a.Data.Inferred = len(an.Inferred) > 0
		list, _, err := one("aws", a)
		return list, an.Harmless, err
	case r.K8s != nil:
		return d.kubectl(r)
	case r.MCP != nil:
		return d.call(r)
	case r.LLM != nil:
		return ask(r)
	case r.Egress != nil:
		return leave(r)
	case r.HTTP != nil:
		method, target, _ := strings.Cut(r.HTTP.Do, " ")
		path, query, _ := strings.Cut(target, "?")
		res := d.http.Classify(method, path, query, http.Header{"Content-Type": {"application/json"}}, r.HTTP.Body)
		a := &action.Action{Kinds: res.Kinds, Verb: res.Verb, Target: res.Target, Title: res.Title, Reversible: res.Reversible, Routine: res.Routine}
		a.Data.Destination, a.Data.DestinationTrust = res.Data.Destination, res.Data.DestinationTrust
		return one("http", a)
	}
	return nil, "", errors.New("the line asks for nothing")
}

func one(typ string, a *action.Action) ([]*action.Action, string, error) {
	a.Resource.Type = typ
	return []*action.Action{a}, "", nil
}

func (d *desks) statements(text string) (list []*action.Action, harmless string, err error) {
	res := d.sql.Classify(text, sql.State{Database: "db", Role: "app"})
	for i := range res.Statements {
		st := &res.Statements[i]
		if st.Harmless != "" {
			harmless = st.Harmless
			continue
		}
		a := &action.Action{Kinds: st.Kinds, Verb: st.Verb, Target: st.Target, Title: st.Title, Reversible: st.Reversible, Resource: action.Resource{Type: "postgres"}}
		for _, c := range st.Inferred {
			if class, _ := d.det.Column(c[strings.LastIndexByte(c, '.')+1:], []string{c}); class != "" {
				a.Data.InferredOf = append(a.Data.InferredOf, string(class))
			}
		}
		a.Data.Inferred = len(a.Data.InferredOf) > 0
		a.Data.Destination = "client"
		list = append(list, a)
	}
	return list, harmless, nil
}

// tool is a call of a coding agent's tool, through the gate of hooks itself.
func (d *desks) tool(call json.RawMessage) ([]*action.Action, string, error) {
	body := fmt.Appendf(nil, `{"session_id":"s","transcript_path":"/t","cwd":"/home/u/app","permission_mode":"default","hook_event_name":"PreToolUse","tool_use_id":"t",%s`, bytes.TrimPrefix(call, []byte("{")))
	d.got.a = nil
	_, err := d.hook.Answer(context.Background(), "claude-code", hook.Request{Bearer: "a", Body: body})
	switch {
	case err != nil:
		return nil, "", err
	case d.got.a == nil:
		return nil, "nothing is judged", nil
	}
	return one("command", d.got.a)
}

func (d *desks) kubectl(r *request) ([]*action.Action, string, error) {
	method, path, _ := strings.Cut(r.K8s.Do, " ")
	query, err := url.ParseQuery(r.K8s.Query)
	if err != nil {
		return nil, "", err
	}
	k := &kubernetes.Request{Method: method, Path: path, Query: query, Type: r.K8s.Type, Body: []byte(r.K8s.Body), Upgrade: strings.Contains(r.K8s.Query, "command=")}
	if k.Type == "" && len(k.Body) > 0 {
		k.Type = "application/json"
	}
	read, err := d.k8s.Read(k)
	if err != nil {
		return nil, "", err
	}
	a := &action.Action{Kinds: slices.Clone(read.Kinds), Verb: read.Does, Target: read.Target, Title: read.Title}
	a.Reversible = read.DryRun || read.Verb == "get" || read.Verb == "list" || read.Verb == "watch"
	if len(read.Command) > 0 {
		a.Kinds = append(a.Kinds, shell.Argv(read.Command, shell.Context{Dir: "/", Home: "/"}).Kinds...)
		slices.Sort(a.Kinds)
		a.Kinds = slices.Compact(a.Kinds)
	}
	a.Data.Unscanned = read.Opaque || read.Subresource == "portforward"
	list, _, err := one("kubernetes", a)
	return list, read.Harmless, err
}

func (d *desks) call(r *request) ([]*action.Action, string, error) {
	args := r.MCP.Args
	if args == nil {
		args = []byte("{}")
	}
	def, err := mcp.Parse(fmt.Appendf(nil, `{"name":%q,"inputSchema":{"type":"object"}}`, r.MCP.Tool))
	if err != nil {
		return nil, "", err
	}
	j := d.mcp.Tool(mcp.Server{Name: "server", Kind: r.MCP.Server}, def, args)
	a := &action.Action{Kinds: j.Kinds, Verb: j.Verb, Target: j.Target, Title: j.Title, Reversible: j.Reversible, Routine: j.Routine}
	switch {
	case len(a.Kinds) == 0 && j.Harmless != "":
		a.Kinds = []action.Kind{action.DataRead}
	case len(a.Kinds) == 0:
		a.Kinds = []action.Kind{action.ToolCall}
	}
	a.Data.Destination = j.Destination
	a.Data.Inferred, a.Data.InferredOf = len(j.Inferred) > 0, j.Inferred
	a.Data.ClassesKnown = !slices.Contains(a.Kinds, action.DataRead) && !slices.Contains(a.Kinds, action.DataExport)
	return one("mcp", a)
}

// ask is a request to a model's provider.
func ask(r *request) ([]*action.Action, string, error) {
	method, path, _ := strings.Cut(r.LLM.Do, " ")
	op := llm.Route(llm.API(r.LLM.API), method, path)
	a := &action.Action{Kinds: slices.Clone(op.Kinds), Verb: op.Name, Target: op.ID}
	a.Data.Destination, a.Data.DestinationTrust = "api.example.com", "external"
	if op.Body == llm.JSON && r.LLM.Body != nil {
		req, err := llm.Read(op, r.LLM.Body)
		if err != nil {
			return nil, "", err
		}
		req.Walk(func(*llm.Unit) []string { return nil })
		a.Target, a.Routine = req.Model, r.LLM.Listed && len(req.Hosted) == 0
		a.Data.Unscanned = req.Unscanned != "" || op.Unseen
		if len(req.Fetches) > 0 {
			a.Kinds, a.Routine = append(a.Kinds, action.NetFetch), false
		}
	}
	if op.Body == llm.Form {
		a.Kinds = append(a.Kinds, action.DataExport) // an upload to an external provider
	}
	a.Data.ClassesKnown = !a.Data.Unscanned
	list, _, err := one("llm", a)
	return list, op.Harmless, err
}

// leave is a request at an egress gate, to a host without a mapping.
func leave(r *request) ([]*action.Action, string, error) {
	method, target, _ := strings.Cut(r.Egress.Do, " ")
	u, err := url.Parse(target)
	if err != nil {
		return nil, "", err
	}
	a := &action.Action{Verb: strings.ToLower(method), Target: u.Host + u.Path}
	a.Data.Destination, a.Data.DestinationTrust = u.Host, map[bool]string{true: "internal", false: "external"}[r.Egress.Inside]
	reads := method == http.MethodGet || method == http.MethodHead
	switch {
	case reads && r.Egress.Inside:
		a.Kinds = []action.Kind{action.DataRead}
	case reads:
		a.Kinds, a.Routine = []action.Kind{action.NetFetch}, r.Egress.Listed
	case r.Egress.Inside && method == http.MethodDelete:
		a.Kinds = []action.Kind{action.DataDelete}
	case r.Egress.Inside:
		a.Kinds = []action.Kind{action.DataWrite}
	default:
		a.Kinds = []action.Kind{action.DataExport}
	}
	return one("egress", a)
}

// input is what policy is asked with about a.
func (r *request) input(a *action.Action) *policy.Input {
	a.Resource.URN, a.Resource.Env = a.Resource.Type+":example", r.Env
	a.Subject, a.Actors = "person:ann", []action.Link{{ID: "agent:worker", Type: "agent"}}
	in := &policy.Input{Action: a, SubjectID: a.Subject, ActorID: "agent:worker", ActorType: "agent", ActorOwner: a.Subject, Time: time.Unix(1_800_000_000, 0)}
	if r.Actor != "" {
		in.ActorType = r.Actor
	}
	in.IntentTarget = map[string]policy.Tri{"yes": policy.Yes, "no": policy.No}[r.Named]
	in.SawSensitive, in.SawUntrusted = policy.No, policy.No
	if r.Seen == "secrets" || r.Seen == "both" {
		in.SawSensitive = policy.Yes
	}
	if r.Seen == "others" || r.Seen == "both" {
		in.SawUntrusted = policy.Yes
	}
	in.Rate1h, in.Rate24h = action.KnownCount(10), action.KnownCount(100)
	if r.Rows != nil {
		in.Preview.Rows = action.KnownCount(*r.Rows)
	}
	return in
}

// decide is the strictest of what set says to what r asks for.
func (d *desks) decide(set *policy.Set, r *request) (worst policy.Decision, err error) {
	list, _, err := d.actions(r)
	if err != nil {
		return policy.Decision{}, err
	}
	worst.Verdict = policy.Allow
	for i, a := range list {
		if got := set.Explain(r.input(a)); i == 0 || got.Verdict < worst.Verdict {
			worst = got
		}
	}
	return worst, nil
}

var words = map[string]policy.Verdict{"flows": policy.Allow, "waits": policy.Review, "is refused": policy.Deny}

// requests reads the lines of testdata/requests.jsonl.
func requests(t testing.TB) []request {
	t.Helper()
	f, err := os.Open("testdata/requests.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []request
	for s := bufio.NewScanner(f); s.Scan(); {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		var r request
		dec := json.NewDecoder(bytes.NewReader(s.Bytes()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&r); err != nil {
			t.Fatalf("%s: %v", s.Text(), err)
		}
		if _, ok := words[r.Want]; !ok {
			t.Fatalf("%s: want is one of flows, waits, is refused", s.Text())
		}
		out = append(out, r)
	}
	return out
}

func starter(t testing.TB, names ...string) *policy.Set {
	t.Helper()
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = policy.BuiltinScheme + name
	}
	set, err := policy.LoadPaths(paths, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// asked is r as people write it.
func (r *request) asked() string {
	for _, s := range []string{r.SQL, r.Script, r.SSH, r.AWS, string(r.Hook)} {
		if s != "" {
			return s
		}
	}
	switch {
	case r.Argv != nil:
		return strings.Join(r.Argv, " ")
	case r.K8s != nil:
		return strings.TrimSpace(r.K8s.Do + " " + r.K8s.Query)
	case r.MCP != nil:
		return r.MCP.Server + ": " + r.MCP.Tool + " " + string(r.MCP.Args)
	case r.LLM != nil:
		return r.LLM.API + ": " + r.LLM.Do
	case r.Egress != nil:
		return r.Egress.Do
	case r.HTTP != nil:
		return r.HTTP.Do
	}
	return ""
}

// insteadOfMCP says that a pack takes the place of another.
func insteadOfMCP(pack string) bool { return pack == "mcp-intent" }

// TestRequests: what an agent asks, as it comes to a gate, through the classifier of that
// gate, to what each pack says. What flows under its own pack flows under all others beside it.
func TestRequests(t *testing.T) {
	d := newDesks(t)
	others := slices.DeleteFunc(policy.StarterNames()[1:], insteadOfMCP)
	all := starter(t, others...)
	sets, seen := map[string]*policy.Set{}, map[string]map[string]int{}
	for _, r := range requests(t) {
		name := r.Pack + ": " + r.asked()
		if sets[r.Pack] == nil {
			sets[r.Pack], seen[r.Pack] = starter(t, r.Pack), map[string]int{}
		}
		seen[r.Pack][r.Want]++
		got, err := d.decide(sets[r.Pack], &r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var rules []string
		most := 0
		for _, h := range got.Rules {
			if h.Then == got.Verdict.String() {
				rules = append(rules, h.Rule)
			}
		}
		for _, q := range got.Requirements {
			most = max(most, q.Count)
		}
		if got.Verdict != words[r.Want] || r.Rule != "" && !slices.Contains(rules, r.Rule) || r.Count != 0 && most != r.Count {
			list, _, _ := d.actions(&r)
			t.Errorf("%s\n  %v by %v, %d people; want: %s by %s, %d people; kinds %v, verb %q, target %q", name, got.Verdict, rules, most, r.Want, r.Rule, r.Count, list[0].Kinds, list[0].Verb, list[0].Target)
			continue
		}
		if r.Pack == "default" || insteadOfMCP(r.Pack) {
			continue
		}
		// Packs that only add, such as secrets, let flow what another permits.
		together, err := d.decide(all, &r)
		if err != nil || together.Verdict > got.Verdict && got.Rules[0].Pack != "" || got.Verdict == policy.Allow && together.Verdict != policy.Allow {
			t.Errorf("%s: beside all other packs %v by %+v, %v", name, together.Verdict, together.Rules, err)
		}
	}
	for _, name := range policy.StarterNames() {
		n := seen[name]
		if sum := n["flows"] + n["waits"] + n["is refused"]; sum < 10 || n["waits"] == 0 || n["is refused"] == 0 || n["flows"] == 0 && name != "secrets" && name != "payments" {
			t.Errorf("%s has %d requests: %v", name, sum, n)
		}
	}
}
