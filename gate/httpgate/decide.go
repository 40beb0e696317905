package httpgate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/bodies"
)

// Small is how many bytes of a body are read before anything else is done.
const Small = 256 << 10

// decide returns one permit for all that a call does.
func (g *Gate) decide(ctx context.Context, x *Exchange, call *Call) (gate.Permit, error) {
	if len(call.Actions) == 0 {
		return nothing{}, nil
	}
	head := g.head(x.Request, call)
	claim := x.Request.Header["Traceparent"]
	for _, a := range call.Actions {
		x.Session.Describe(a)
		if len(claim) == 1 {
			a.Claims.Trace = claim[0]
		}
	}
	if n := x.Body.Length(); n >= 0 && n <= Small && !call.Live {
		if err := x.Body.Keep(ctx); err != nil {
			return nil, err
		}
	}
	if !x.Body.Kept() {
		if p, err := g.flow(ctx, x, call, head); p != nil || err != nil {
			return p, err
		}
		if !call.Live {
			if err := x.Body.Keep(ctx); err != nil {
				return nil, err
			}
		}
	}
	for _, a := range call.Actions {
		describe(a, x.Body, head, call)
	}
	return g.enforce(ctx, x, call)
}

// enforce decides what is known by now. Of several actions those that flow are permitted first: only
// what people must be asked about is left to wait.
func (g *Gate) enforce(ctx context.Context, x *Exchange, call *Call) (gate.Permit, error) {
	until := time.Now().Add(g.o.Wait)
	flowing, several := x.Session.(gate.Flowing)
	several = several && len(call.Actions) > 1
	var given joint
	rest := call.Actions
	if several {
		rest = nil
		for _, a := range call.Actions {
			p, err := flowing.Flow(ctx, a)
			switch {
			case err != nil:
				given.Done(gate.Outcome{State: gate.NotRun})
				return nil, g.undecided(ctx, err)
			case p != nil:
				given = append(given, p)
			default:
				rest = append(rest, a)
			}
		}
	}
	for _, a := range rest {
		if a.Wait == 0 {
			a.Wait = max(time.Until(until), time.Second)
		}
		p, err := x.Session.Enforce(ctx, a, gate.Hooks{Preview: call.Preview})
		if err != nil {
			given.Done(gate.Outcome{State: gate.NotRun})
			return nil, g.undecided(ctx, err)
		}
		given = append(given, p)
	}
	if len(given) == 1 {
		return given[0], nil
	}
	return given, nil
}

// undecided is an error as the client may hear it.
func (g *Gate) undecided(ctx context.Context, err error) error {
	var d *gate.Denied
	if errors.As(err, &d) || ctx.Err() != nil {
		return err
	}
	g.o.Log.Error("nobody decided", "gate", g.o.Name, "err", err)
	return errUndecided
}

// flow permits a call whose body nobody has seen whole, if policy lets it pass unseen. nil, without an
// error: it doesn't.
func (g *Gate) flow(ctx context.Context, x *Exchange, call *Call, head []byte) (gate.Permit, error) {
	s, is := x.Session.(gate.Flowing)
	if !is || call.Live {
		return nil, nil
	}
	var given joint
	for _, a := range call.Actions {
		own := *a // as it stands; what Keep finds out is told of a itself
		describe(&own, x.Body, head, call)
		p, err := s.Flow(ctx, &own)
		if p == nil || err != nil {
			given.Done(gate.Outcome{State: gate.NotRun})
			if err != nil {
				err = g.undecided(ctx, err)
			}
			return nil, err
		}
		given = append(given, p)
	}
	if len(given) == 1 {
		return given[0], nil
	}
	return given, nil
}

// describe tells a what is known of the body it comes with.
func describe(a *action.Action, body *bodies.Body, head []byte, call *Call) {
	a.Payload = slices.Clone(head)
	kept := body.Kept()
	switch n := body.Length(); {
	case kept && n == 0:
	case kept && call.Same != nil:
		sum := sha256.Sum256(call.Same)
		a.Payload = append(a.Payload, "\nbody, SHA-256 of what stays the same of it "+hex.EncodeToString(sum[:])+"\n"...)
	case kept:
		sum := body.Sum()
		a.Payload = append(a.Payload, "\nbody "+strconv.FormatInt(n, 10)+" bytes, SHA-256 "+hex.EncodeToString(sum[:])+"\n"...)
	default:
		a.Payload = append(a.Payload, "\nbody passed on as it comes\n"...)
	}
	if a.Statement == "" {
		a.Statement, _, _ = strings.Cut(string(head), "\n")
		if text, ok := readable(body, kept); ok {
			a.Statement += "\n\n" + text
		}
	}
	reads := slices.Contains(a.Kinds, action.DataRead)
	if body.Length() == 0 {
		return
	}
	if !kept {
		a.Data.Unscanned = true
		return
	}
	found, unscanned := body.Found()
	a.Data.Unscanned = a.Data.Unscanned || unscanned
	if len(found) > 0 {
		classes := append(slices.Collect(maps.Keys(found)), a.Data.Classes...)
		slices.Sort(classes)
		a.Data.Classes = slices.Compact(classes)
	}
	switch {
	case reads:
	case call.Orders:
		a.Data.ClassesKnown = a.Data.ClassesKnown && !a.Data.Unscanned
	default: // what it carries is all there is
		a.Data.ClassesKnown = !a.Data.Unscanned
		if !a.Data.Bytes.Known {
			a.Data.Bytes = action.KnownCount(body.Length())
		}
	}
}

// readable is a body that people can read.
func readable(body *bodies.Body, kept bool) (string, bool) {
	if !kept || body.Length() == 0 || body.Length() > Small {
		return "", false
	}
	b, err := body.Whole(Small)
	if err != nil || !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return "", false
	}
	return string(b), true
}

// loose are headers that need not be the same when an approved request is made again: they say who
// carries it and when, and nothing of what it does.
var loose = map[string]bool{
	"Accept-Encoding": true, "User-Agent": true, "Date": true, "Content-Length": true, "Expect": true,
	"Traceparent": true, "Tracestate": true, "Baggage": true, "X-Request-Id": true, "X-Correlation-Id": true, "X-Amzn-Trace-Id": true,
	"Sentry-Trace": true, "X-Cloud-Trace-Context": true, "X-B3-Traceid": true, "X-B3-Spanid": true, "X-B3-Parentspanid": true, "X-B3-Sampled": true, "B3": true,
}

// head is what an approval binds of a request besides its body.
func (g *Gate) head(r *http.Request, call *Call) []byte {
	out := make([]byte, 0, 512)
	out = append(out, r.Method...)
	out = append(out, ' ')
	out = append(out, call.target(r)...)
	out = append(out, '\n')
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		if !loose[name] && !slices.ContainsFunc(call.Loose, func(l string) bool { return strings.EqualFold(l, name) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range r.Header[name] {
			out = append(out, strings.ToLower(name)...)
			out = append(out, ": "...)
			out = append(out, value...)
			out = append(out, '\n')
		}
	}
	return out
}

// target is where a request goes, as it goes there.
func (c *Call) target(r *http.Request) string {
	path := c.Upstream.Path
	if path == "" {
		path = r.URL.EscapedPath()
	}
	host, scheme := r.Host, ""
	if u := c.Upstream.URL; u != nil {
		scheme, host, path = u.Scheme, u.Host, strings.TrimSuffix(u.EscapedPath(), "/")+path
	}
	if c.Upstream.Host != "" {
		host = c.Upstream.Host
	}
	target := host + path
	if scheme != "" {
		target = scheme + "://" + target
	}
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		target += "?" + r.URL.RawQuery
	}
	return target
}
