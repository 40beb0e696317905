package enforce

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/trace"
)

// What stands in spans is what metrics could have for labels, and ids: names of gates,
// actors, rules, tables and tools, verbs and codes. No statement, path, argument,
// reason or person, and no value. Names follow OpenTelemetry's semantic conventions;
// what they have no name for begins with "assent.", as in streams of the log.

// traced begins the trace of what this session was asked.
func (s *session) traced(j *judgement) *trace.Trace {
	if s.e.o.Tracer == nil {
		return nil
	}
	claim := j.action.Claims.Trace
	if claim == "" && s.res.Type == "postgres" {
		claim = trace.InComment(j.action.Statement)
	}
	root := s.e.beginTrace(j, claim, s.e.o.Now())
	root.Text("session.id", s.id)
	root.Text("assent.resource", s.res.URN)
	root.Text("deployment.environment.name", s.res.Env)
	return j.trace
}

// beginTrace begins the trace of j, where there is a tracer.
func (e *Enforcer) beginTrace(j *judgement, claim string, at time.Time) *trace.Span {
	j.trace = e.o.Tracer.Begin(claim, "gate "+j.where.Gate, at)
	root := j.trace.Root()
	root.Text("assent.gate", j.where.Gate)
	if actor := &j.asker.Chain[0]; actor.Type != "human" { // who that is stands in the log, where it can be erased
		root.Text("assent.actor", actor.ID)
	}
	return root
}

// evaluated is the trace of what was only asked about: whoever asked does as it says, and tells nobody here.
func (e *Enforcer) evaluated(j *judgement) {
	if e.o.Tracer == nil {
		return
	}
	e.beginTrace(j, j.action.Claims.Trace, j.now)
	e.noteDecision(j)
	j.trace.Root().Text("assent.outcome", "evaluated")
}

// decided counts a decision, and notes it.
func (e *Enforcer) decided(j *judgement) {
	e.o.Metrics.Decided(j.where.Gate, j.decision.Verdict.String(), e.o.Now().Sub(j.now))
	if j.trace != nil {
		e.noteDecision(j)
	}
}

func (e *Enforcer) noteDecision(j *judgement) {
	if j.decision.Verdict != policy.Allow {
		j.trace.Pick()
	}
	kinds := make([]string, len(j.action.Kinds))
	for i, k := range j.action.Kinds {
		kinds[i] = string(k)
	}
	j.trace.Root().Texts("assent.kinds", kinds)
	d := j.trace.Child("decide", trace.Internal, j.trace.Root().Start)
	d.End = e.o.Now()
	d.Text("assent.decision", j.decision.Verdict.String())
	d.Text("assent.policy", j.decision.Bundle)
	rules := make([]string, len(j.decision.Rules))
	for i, h := range j.decision.Rules {
		rules[i] = h.Name()
	}
	d.Texts("assent.rules", rules)
	if j.stop != nil {
		d.Text("assent.frozen", j.stop.ID)
	}
}

// holds notes that j waits for people, until the function is called that it returns.
func (e *Enforcer) holds(j *judgement, id string) func(a *approval.Approval) {
	if j.trace == nil {
		return func(*approval.Approval) {}
	}
	hold := j.trace.Child("hold", trace.Internal, e.o.Now())
	hold.Text("assent.approval", id)
	return func(a *approval.Approval) {
		hold.End = e.o.Now()
		state := string(approval.Pending) // its client has gone, or has to ask again
		if a != nil {
			state = string(a.State)
		}
		hold.Text("assent.approval.state", state)
	}
}

// refused ends the trace of what may not run.
func (e *Enforcer) refused(t *trace.Trace, err error) {
	if t == nil {
		return
	}
	t.Pick()
	root, why := t.Root(), "gone"
	var d *gate.Denied
	if errors.As(err, &d) {
		why = d.Status
		root.Text("assent.approval", d.ID)
	}
	root.Text("assent.refused", why)
	if why == gate.StatusNobody {
		root.Failed = true
		root.Text("error.type", why)
	}
	t.End(e.o.Now())
}

// upstream begins the span of what is about to run.
func (e *Enforcer) upstream(j *judgement) *trace.Span {
	if j.trace == nil {
		return nil
	}
	a := j.action
	s := j.trace.Child(a.Resource.Type, trace.Client, e.o.Now())
	switch a.Resource.Type {
	case "postgres":
		s.Name = "postgresql"
		s.Text("db.system.name", "postgresql")
		_, database, _ := strings.Cut(a.Resource.URN, "/")
		s.Text("db.namespace", database)
		if a.Verb != "" {
			s.Name = strings.ToUpper(a.Verb)
			s.Text("db.operation.name", s.Name)
		}
		if _, address, is := strings.Cut(j.where.System, "://"); is {
			server(s, address)
		}
	case "http":
		s.Name = "HTTP"
		if method, target, is := requestLine(a.Payload); is {
			s.Name = method
			s.Text("http.request.method", method)
			if u, err := url.Parse(target); err == nil && u.Scheme != "" { // the route's own: policy and configuration chose it
				s.Text("url.scheme", u.Scheme)
				server(s, u.Host)
			}
		}
	case "mcp":
		method := "tools/call"
		tool, is := a.State["tool"]
		if !is {
			method = a.Verb
		}
		s.Name = strings.TrimSpace(method + " " + tool)
		s.Text("mcp.method.name", method)
		if is {
			s.Text("gen_ai.operation.name", "execute_tool")
			s.Text("gen_ai.tool.name", tool)
		}
	case "kubernetes", "aws", "llm": // verbs from tables
		s.Name = strings.TrimSpace(a.Resource.Type + " " + a.Verb)
	}
	return s
}

// server says where a system is.
func server(s *trace.Span, address string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	s.Text("server.address", host)
	if n, err := strconv.ParseInt(port, 10, 32); err == nil {
		s.Number("server.port", n)
	}
}

// requestLine is the method and the target that a request's payload begins with. A method
// that isn't one of HTTP's own is _OTHER: clients could write anything there.
func requestLine(payload []byte) (method, target string, ok bool) {
	line, _, _ := bytes.Cut(payload, []byte("\n"))
	m, t, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return "", "", false
	}
	method = string(m)
	if !slices.Contains(methods, method) {
		method = "_OTHER"
	}
	return method, string(t), true
}

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace, "QUERY",
}

// Traceparent is where what the action does upstream belongs; "" where nothing is traced.
func (p *permit) Traceparent() string {
	if p.span == nil {
		return ""
	}
	return p.j.trace.Of(p.span).String()
}

// traced ends the trace of an action that was permitted.
func (p *permit) traced(o gate.Outcome, masked map[string]int64) {
	t := p.j.trace
	if t == nil {
		return
	}
	root, now := t.Root(), p.e.o.Now()
	root.Text("assent.approval", p.approval)
	root.Text("assent.outcome", string(o.State))
	if p.count > 0 {
		root.Number("assent.rows", p.count)
	}
	n := int64(0)
	for _, values := range masked {
		n += values
	}
	if n > 0 {
		root.Number("assent.masked", n)
	}
	if o.State == gate.NotRun {
		t.Forget(p.span)
		t.End(now)
		return
	}
	p.span.End = now
	if begun := now.Add(-o.Duration); o.Duration > 0 && begun.After(p.span.Start) { // the gate may have had something to do before it sent
		p.span.Start = begun
	}
	p.replied(o)
	if o.State != gate.Executed {
		t.Pick()
		root.Failed, p.span.Failed = true, true
		why := o.Code
		if why == "" {
			why = string(o.State)
		}
		root.Text("error.type", why)
		p.span.Text("error.type", why)
	}
	t.End(now)
}

// replied notes of the upstream's span what a reply tells, in its protocol's own words.
func (p *permit) replied(o gate.Outcome) {
	a := p.j.action
	switch a.Resource.Type {
	case "postgres":
		if len(o.Code) == 5 {
			p.span.Text("db.response.status_code", o.Code)
		}
		if o.State == gate.Executed && p.j.target != "" { // it is there: nobody can make up names for spans
			p.span.Text("db.collection.name", p.j.target)
			p.span.Name += " " + p.span.Attributes[len(p.span.Attributes)-1].Text
		}
		if p.reading() {
			p.span.Number("db.response.returned_rows", p.count)
		}
	case "http":
		if status, err := strconv.ParseInt(o.Code, 10, 32); err == nil {
			p.span.Number("http.response.status_code", status)
		}
	}
}
