package replay

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/policy"
)

// Generate writes a history of n actions over 30 days into an empty directory: mostly
// reads of databases, some writes, requests to hosts, commands and calls of tools, by 40
// agents, decided by set. The same seed makes the same history.
func Generate(dir string, n int, seed uint64, end time.Time, set *policy.Set, progress func(done, total int64)) error {
	old, err := facts.OpenDir(dir)
	if err == nil {
		rows := old.Rows
		if err := old.Close(); err != nil {
			return err
		}
		if rows > 0 {
			return fmt.Errorf("%s holds %d actions already: name an empty directory", dir, rows)
		}
	}
	w, err := facts.Open(facts.Options{Dir: dir})
	if err != nil {
		return err
	}
	h := newHistory(seed)
	var d policy.Decision
	for i := range n {
		in := h.next(end.Add(-30*24*time.Hour + time.Duration(float64(i)/float64(n)*30*24*float64(time.Hour))))
		set.Decide(in, &d)
		f := facts.Facts{Gate: h.gate}
		ask := ""
		if d.Verdict == policy.Review {
			ask = fmt.Sprintf("apr_%d_%d", seed, i)
			f.Ask = ask
		}
		for !w.Room() {
			if err := w.Flush(); err != nil {
				return err
			}
			if progress != nil {
				progress(int64(i), int64(n))
			}
		}
		w.Note(in, &d, f)
		if ask != "" {
			o := facts.Approved
			if h.IntN(15) == 0 {
				o = facts.Denied
			}
			w.Answered(ask, o, time.Duration(5+h.IntN(600))*time.Second)
		}
	}
	if w.Dropped() > 0 {
		return fmt.Errorf("%d actions were dropped while generating", w.Dropped())
	}
	return w.Close()
}

// A history draws actions.
type history struct {
	*rand.Rand
	shapes  []drawn
	labels  []map[string]string
	in      policy.Input
	a       action.Action
	read    reads
	gate    string
	targets int
}

// drawn is a shape that comes again and again.
type drawn struct {
	kinds            []action.Kind
	verb, shape, urn string
	typ, env, gate   string
	classes, groups  []string
	trust            string
	target, to       string
	many             bool // targets that hardly ever come again
}

type reads [2]int64

func (r *reads) Rows(class string) int64 {
	switch class {
	case "all":
		return r[0]
	case "email":
		return r[1]
	}
	return 0
}

func (r *reads) Counts(to []facts.Count) []facts.Count {
	to = append(to, facts.Count{Class: "all", Rows: r[0]})
	if r[1] > 0 {
		to = append(to, facts.Count{Class: "email", Rows: r[1]})
	}
	return to
}

func newHistory(seed uint64) *history {
	h := &history{Rand: rand.New(rand.NewPCG(seed, 0x617373656e74))} //nolint:gosec // a seed makes the same history again
	for i := range 8 {
		h.labels = append(h.labels, map[string]string{"team": fmt.Sprint("team-", i), "tier": []string{"gold", "silver"}[i%2]})
	}
	envs := []string{"prod", "prod", "staging", "dev"}
	for i := range 1200 {
		env, db := envs[h.IntN(4)], h.IntN(12)
		s := drawn{verb: "select", kinds: []action.Kind{action.DataRead}, urn: fmt.Sprintf("postgres:app%d/%s", db, env), typ: "postgres", env: env, gate: fmt.Sprint("app", db), to: "client", trust: "internal", target: fmt.Sprintf("public.table_%d", h.IntN(90))}
		switch k := i % 100; {
		case k < 10:
			s.verb, s.kinds = []string{"insert", "update", "delete"}[k%3], []action.Kind{[]action.Kind{action.DataWrite, action.DataWrite, action.DataDelete}[k%3]}
		case k < 12:
			s.verb, s.kinds = "copy", []action.Kind{action.DataExport, action.DataRead}
		case k < 14:
			s.verb, s.kinds = "alter table", []action.Kind{action.SchemaChange}
		case k < 24:
			s = drawn{verb: "get", kinds: []action.Kind{action.NetFetch}, urn: fmt.Sprintf("http:egress/api%d.example.com", h.IntN(40)), typ: "http", env: env, gate: "egress", to: fmt.Sprintf("https://api%d.example.com/v1", h.IntN(40)), trust: "external", many: k < 17}
		case k < 32:
			s = drawn{verb: []string{"go", "npm", "git", "rm"}[k%4], kinds: []action.Kind{action.Execute}, urn: "command:workstation", typ: "command", env: "workstation", gate: "commands", to: "client", trust: "internal", target: "."}
		case k < 40:
			s = drawn{verb: "call", kinds: []action.Kind{action.ToolCall}, urn: fmt.Sprintf("mcp:tools/server%d", h.IntN(5)), typ: "mcp", env: env, gate: "tools", to: "client", trust: "internal", target: fmt.Sprint("tool_", h.IntN(30))}
		case k < 55:
			s.classes, s.groups = []string{"email"}, []string{"pii"}
		}
		s.shape = fmt.Sprintf("%016x%016x", h.Uint64(), h.Uint64())
		h.shapes = append(h.shapes, s)
	}
	return h
}

// next draws an action. It is valid until the next.
func (h *history) next(at time.Time) *policy.Input {
	// Few shapes make up most of what agents do.
	s := &h.shapes[int(float64(len(h.shapes))*h.Float64()*h.Float64()*h.Float64())]
	agent := h.IntN(40)
	h.gate = s.gate
	h.a = action.Action{
		Kinds: s.kinds, Verb: s.verb, Shape: s.shape, Target: s.target, Reversible: s.verb == "insert",
		Routine:  s.typ == "command" && s.verb == "go",
		Resource: action.Resource{URN: s.urn, Type: s.typ, Env: s.env, Labels: h.labels[len(s.urn)%8]},
		Data:     action.Data{ClassesKnown: s.verb != "select", Classes: s.classes, Groups: s.groups, Destination: s.to, DestinationTrust: s.trust},
		Actors:   links[agent : agent+1],
		Claims:   action.Claims{Session: sessions[(agent*7+at.Day())%len(sessions)]},
	}
	if s.many {
		h.targets++
		h.a.Target = fmt.Sprintf("https://api.example.com/v1/items/%d", h.IntN(20000))
	}
	if s.verb == "insert" || s.verb == "update" {
		h.a.Data.Rows = action.KnownCount(int64(1 + h.IntN(5)))
	}
	h.in = policy.Input{
		Action: &h.a, SubjectID: people[agent%9], SubjectGroups: someGroups[agent%3 : agent%3+1],
		ActorID: links[agent].ID, ActorType: "agent", ActorOwner: people[agent%9], ActorModel: "model-1", ActorTrust: []string{"low", "high"}[agent%2],
		Time: at, Rate1h: action.KnownCount(int64(50 + h.IntN(400))), Rate24h: action.KnownCount(int64(1000 + h.IntN(5000))),
		NovelShape: policy.No, NovelTarget: policy.No, Tainted: policy.No, SawSensitive: policy.No, SawUntrusted: policy.No,
	}
	if h.IntN(60) == 0 {
		h.in.NovelTarget, h.in.Tainted, h.in.SawUntrusted = policy.Yes, policy.Yes, policy.Yes
	}
	if s.kinds[0] == action.DataRead {
		h.read = reads{int64(h.IntN(3000)), 0}
		if s.classes != nil {
			h.read[1] = int64(h.IntN(300))
		}
		h.in.Read = &h.read
	}
	h.in.Weigh()
	return &h.in
}

var (
	links      = numbered(40, func(i int) action.Link { return action.Link{ID: fmt.Sprint("agent:worker-", i), Type: "agent"} })
	people     = numbered(9, func(i int) string { return fmt.Sprint("person:", i) })
	sessions   = numbered(400, func(i int) string { return fmt.Sprintf("s-%06d", i*7919) })
	someGroups = []string{"group:billing", "group:platform", "group:support"}
)

func numbered[T any](n int, f func(int) T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = f(i)
	}
	return out
}
