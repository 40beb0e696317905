package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/jsontext"
)

// answer decides about one event. Whoever asks has come in.
// release lets its session go; whoever keeps the session for longer calls it.
func (g *Gate) answer(ctx context.Context, ad adapter, e *Event, r Request, s gate.Session, credential string, release func()) Result {
	kept := false
	defer func() {
		if !kept {
			release()
		}
	}()
	say := func(status string, a Answer) Result {
		return Result{Body: document(ad.answer(e, a)), Status: status}
	}
	switch e.Phase {
	case After:
		return say("none", g.after(ctx, ad, e, s, credential))
	case Ended:
		g.ended(e, credential)
		return say("none", Answer{Verdict: Silent})
	case Prompt:
		if err := gate.Prompt(ctx, s, e.Session, e.Prompt); err != nil {
			g.cfg.Log.Error("a prompt is not known", "agent", e.Agent, "err", err)
		}
		return say("none", Answer{Verdict: Silent})
	case Over:
		g.over(e, credential)
		return say("none", Answer{Verdict: Silent})
	}
	if e.Phase == Confirm && g.confirm(e, credential) {
		return say("none", Answer{Verdict: Silent})
	}
	j, err := g.judge(ad, e)
	if err != nil {
		s.Refused(ctx, "hook of "+e.Agent+": "+err.Error())
		return refuse(ad, e, "Assent can't judge this call ("+err.Error()+"), so the answer is no")
	}
	if j.action == nil {
		return say("none", Answer{Verdict: Silent})
	}
	j.release = release
	res, mine := g.once(ctx, e, credential, func() Result { return g.ask(ctx, e, r, s, credential, j, say) })
	kept = mine && res.Status == "allowed"
	return res
}

// An asking is a call that is being decided.
type asking struct {
	done chan struct{}
	res  Result // written before done is closed
}

// once has one call decided once, though two hooks may ask about it at the same time.
// mine is false where another one's answer was taken.
func (g *Gate) once(ctx context.Context, e *Event, credential string, ask func() Result) (res Result, mine bool) {
	use, same := e.keys(credential)
	if use == "" {
		return ask(), true
	}
	key := use + same
	g.mu.Lock()
	one := g.asked[key]
	if one == nil {
		one = &asking{done: make(chan struct{})}
		g.asked[key] = one
		g.mu.Unlock()
		defer func() {
			g.mu.Lock()
			delete(g.asked, key)
			g.mu.Unlock()
			close(one.done)
		}()
		one.res = refuse(agents()[e.Agent], e, "no decision could be reached, so the answer is no") // until there is one
		one.res = ask()
		return one.res, true
	}
	g.mu.Unlock()
	select {
	case <-one.done:
		return one.res, false
	case <-ctx.Done():
		return refuse(agents()[e.Agent], e, "it was called off"), false
	}
}

// ask has a call decided, and keeps its permit until the agent tells how it ended.
func (g *Gate) ask(ctx context.Context, e *Event, r Request, s gate.Session, credential string, j judged, say func(string, Answer) Result) Result {
	a := j.action
	s.Describe(a)
	a.Claims.Trace = r.Trace
	a.Wait = max(min(r.Wait, MaxWait), time.Millisecond)
	permit, err := s.Enforce(ctx, a, gate.Hooks{})
	var denied *gate.Denied
	switch {
	case err == nil:
		g.begin(e, credential, permit, j)
		return say("allowed", Answer{Verdict: Allow})
	case !errors.As(err, &denied):
		return say("denied", Answer{Reason: "no decision could be reached, so the answer is no"})
	}
	status, ans := "denied", Answer{Reason: words(denied)}
	if denied.Status == gate.StatusPending {
		status = "pending"
		if r.Defer {
			status, ans.Verdict = "deferred", Defer
		}
	}
	res := say(status, ans)
	res.Approval = denied.ID
	return res
}

// words is a refusal for an agent: the rule or who decides, and where. No figures.
func words(d *gate.Denied) string {
	var b strings.Builder
	switch d.Status {
	case gate.StatusPending:
		fmt.Fprintf(&b, "pending: approval %s, %s. Ask again with exactly the same call", d.ID, d.Reason)
	default:
		b.WriteString("Assent refused this: " + d.Reason)
		if d.Hint != "" {
			b.WriteString("; " + d.Hint)
		}
	}
	if d.URL != "" {
		b.WriteString(" (" + d.URL + ")")
	}
	return b.String()
}

// keys are what a call is found by again: its own id where the agent has one, and
// what it is. One id is one call; of calls that look alike there may be several.
func (e *Event) keys(credential string) (use, same string) {
	if e.Use != "" {
		use = hash("use", credential, e.Session, e.Use)
	}
	like := e.Like
	if like == "" {
		like = e.Tool + "\x00" + string(canonical(e.Input))
	}
	return use, hash("same", credential, e.Session, like)
}

// canonical drops the space that one event has and another hasn't.
func canonical(input []byte) []byte {
	var v any
	dec := json.NewDecoder(bytes.NewReader(input))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return input
	}
	out, err := json.Marshal(v)
	if err != nil {
		return input
	}
	return out
}

func (g *Gate) begin(e *Event, credential string, p gate.Permit, j judged) {
	c := &call{credential: credential, session: e.Session, untrusted: j.untrusted, mcp: j.mcp, confirmed: e.Phase == Confirm}
	use, same := e.keys(credential)
	g.mu.Lock()
	for _, k := range []string{use, same} {
		if k != "" {
			g.calls[k] = append(g.calls[k], c)
		}
	}
	g.mu.Unlock()
	id := g.runs.Begin(credential, e.Use, p, func() { g.forget(c, use, same); j.release() })
	g.mu.Lock()
	c.run = id
	g.mu.Unlock()
}

func (g *Gate) forget(c *call, keys ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, k := range keys {
		list := g.calls[k]
		for i, other := range list {
			if other == c {
				list = append(list[:i:i], list[i+1:]...)
				break
			}
		}
		if len(list) == 0 {
			delete(g.calls, k)
		} else {
			g.calls[k] = list
		}
	}
}

// find is the call that e is about, and whether it has the input that was judged.
func (g *Gate) find(e *Event, credential string) (c *call, alike bool) {
	use, same := e.keys(credential)
	g.mu.Lock()
	defer g.mu.Unlock()
	if use == "" {
		if list := g.calls[same]; len(list) > 0 {
			return list[0], true
		}
		return nil, false
	}
	list := g.calls[use]
	if len(list) == 0 {
		return nil, false
	}
	for _, one := range list {
		if slices.Contains(g.calls[same], one) {
			return one, true
		}
	}
	return list[0], false
}

// confirm reports whether a call that the agent would ask its user about was let run a
// moment ago, and was not confirmed yet: then its user is asked, as its own rules want.
func (g *Gate) confirm(e *Event, credential string) bool {
	_, same := e.keys(credential)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.calls[same] {
		if !c.confirmed {
			c.confirmed = true
			return true
		}
	}
	return false
}

// after masks what a call brought back, and ends it.
func (g *Gate) after(ctx context.Context, ad adapter, e *Event, s gate.Session, credential string) Answer {
	c, alike := g.find(e, credential)
	if c == nil {
		if j, err := g.judge(ad, e); err == nil && j.action == nil {
			return Answer{Verdict: Silent} // nobody asked about it, as it has no effect
		}
		s.Refused(ctx, "hook of "+e.Agent+": a result of "+cut(e.Tool)+", which was not let run here")
		return Answer{Reply: withhold(e.Reply), Reason: "withheld: Assent did not let this call run"}
	}
	out := gate.Outcome{State: gate.Executed, Bytes: int64(len(e.Reply)), Untrusted: c.untrusted}
	if !alike {
		g.runs.End(credential, c.run, gate.Outcome{State: gate.Unknown, Code: "another input"})
		s.Refused(ctx, "hook of "+e.Agent+": "+cut(e.Tool)+" ran with another input than was judged")
		return Answer{Reply: withhold(e.Reply), Reason: "withheld: it ran with another input than was judged"}
	}
	ans := Answer{Verdict: Silent}
	used := g.runs.Use(credential, c.run, func(p gate.Permit) {
		if c.mcp {
			if err := p.Count(0, out.Bytes); err != nil {
				ans = Answer{Reply: withhold(e.Reply), Reason: "withheld: " + err.Error()}
				return
			}
		}
		reply, err := mask(e.Reply, p, c.mcp)
		switch {
		case err != nil:
			ans = Answer{Reply: withhold(nil), Reason: "withheld: Assent can't read it"}
		case string(reply) != string(e.Reply):
			ans.Reply = reply
		}
	})
	if !used {
		return Answer{Reply: withhold(e.Reply), Reason: "withheld: the call has ended"}
	}
	g.runs.End(credential, c.run, out)
	return ans
}

// mask replaces values in a reply and leaves its form. Names of members tell the class of
// values where the reply is a system's data.
func mask(reply []byte, p gate.Permit, named bool) ([]byte, error) {
	if len(reply) == 0 {
		return reply, nil
	}
	rows := map[string]gate.Rows{}
	return jsontext.Replace(reply, func(v *jsontext.Value) ([]byte, bool, error) {
		if v.Kind == jsontext.Name || v.Kind == jsontext.Number && !named {
			return nil, false, nil
		}
		var out []byte
		if key := v.Key(); named && key != "" && key != "text" {
			r := rows[key]
			if r == nil {
				r = p.Rows([]gate.Column{{Name: key}})
				rows[key] = r
			}
			var err error
			if out, err = r.Value(0, v.Text); err != nil {
				return nil, false, err
			}
		} else {
			out = p.Text(v.Text)
		}
		return out, string(out) != string(v.Text), nil
	})
}

// withhold keeps the form of a reply and none of its words.
func withhold(reply []byte) []byte {
	const gone = "(withheld by Assent)"
	out, err := jsontext.Replace(reply, func(v *jsontext.Value) ([]byte, bool, error) {
		return []byte(gone), v.Kind == jsontext.String && v.Key() != "type", nil
	})
	if err != nil || len(reply) == 0 {
		return document(gone)
	}
	return out
}

// ended closes the run of a call that failed or never began.
func (g *Gate) ended(e *Event, credential string) {
	c, _ := g.find(e, credential)
	if c == nil {
		return
	}
	o := gate.Outcome{State: gate.Failed, Untrusted: c.untrusted}
	if e.NotRun {
		o.State = gate.NotRun
	}
	g.runs.End(credential, c.run, o)
}

// over closes what a session left open.
func (g *Gate) over(e *Event, credential string) {
	open := map[string]bool{}
	g.mu.Lock()
	for _, list := range g.calls {
		for _, c := range list {
			if c.credential == credential && c.session == e.Session {
				open[c.run] = true
			}
		}
	}
	g.mu.Unlock()
	for id := range open {
		g.runs.End(credential, id, gate.Outcome{State: gate.Unknown, Code: "session over"})
	}
}

func cut(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}

// readable is a call as a person reads it: the tool, what it is done to, and its texts in full.
func readable(e *Event) string {
	var b strings.Builder
	b.WriteString(e.Tool)
	list, err := jsontext.Members(e.Input)
	if err != nil {
		return b.String()
	}
	for _, m := range list {
		text, ok := jsontext.Text(m.Value)
		if !ok {
			text = string(m.Value)
		}
		if strings.Contains(text, "\n") {
			fmt.Fprintf(&b, "\n%s:\n%s", m.Name, text)
		} else {
			fmt.Fprintf(&b, "\n%s: %s", m.Name, text)
		}
	}
	return b.String()
}
