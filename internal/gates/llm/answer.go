package llm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/classify/llm"
)

// MaxAnswer is how many bytes of an answer that isn't streamed are taken.
const MaxAnswer = 64 << 20

// An answer is one on its way to the client.
type answer struct {
	q       *question
	w       http.ResponseWriter
	permit  gate.Permit
	tokens  *tokens
	plain   bool // nothing is masked and nothing restored
	usage   llm.Usage
	calls   []llm.Call
	written int64 // bytes of text, where nobody counted tokens
	outcome gate.Outcome
}

// take asks the provider and passes its answer on.
func (q *question) take(ctx context.Context, w http.ResponseWriter, x *httpgate.Exchange, p gate.Permit) gate.Outcome {
	a := &answer{q: q, w: w, permit: p, outcome: gate.Outcome{State: gate.NotRun}}
	body, kind, err := a.swap()
	if err != nil {
		return a.refuse(x.Request, err)
	}
	guess := q.guess()
	if q.op.Billed {
		if err := q.gate.meter.check(ctx, q.who, q.model, guess, true); err != nil {
			return a.refuse(x.Request, err)
		}
		defer func() {
			switch {
			case a.outcome.State == gate.NotRun:
				q.gate.meter.settle(q.who, q.model, guess, 0, 0)
			case q.body.req != nil && q.body.req.Unheard:
				q.gate.meter.settle(q.who, q.model, guess, guess, q.body.req.Output)
			case a.usage.Known:
				q.gate.meter.settle(q.who, q.model, guess, a.usage.Input, a.usage.Output)
			default:
				q.gate.meter.settle(q.who, q.model, guess, guess, (a.written+3)/4)
			}
		}()
	}
	out, err := q.request(ctx, x.Request, body, kind)
	if err != nil {
		q.gate.o.Log.Error("a provider's credential can't be read", "gate", q.gate.o.Name, "provider", q.provider.Name, "err", err)
		return a.refuse(x.Request, &gate.Denied{Status: gate.StatusNobody, Reason: "the gate has no credential for the provider", Hint: "an operator must look: assent doctor"})
	}
	q.intent(ctx, x)
	if r := q.body.req; r != nil {
		a.outcome.Untrusted = r.Untrusted
	}
	resp, err := q.provider.Transport.RoundTrip(out)
	if err != nil {
		return a.lost(ctx, x.Request, err)
	}
	defer func() { _ = resp.Body.Close() }()
	a.outcome.State, a.outcome.Code = gate.Executed, strconv.Itoa(resp.StatusCode)
	if resp.StatusCode >= 400 {
		a.outcome.State = gate.Failed
	}
	if err := a.pass(ctx, resp, x.Request); err != nil {
		q.gate.o.Log.Warn("an answer was not passed on whole", "gate", q.gate.o.Name, "provider", q.provider.Name)
	}
	if a.usage.Known {
		a.outcome.Used = "input " + strconv.FormatInt(a.usage.Input, 10) + ", output " + strconv.FormatInt(a.usage.Output, 10) + " tokens"
	}
	return a.outcome
}

// masks is what a permit masks, class to method.
func masks(p gate.Permit) (func(class string) bool, bool) {
	if m, is := p.(interface{ Masks() map[string]string }); is {
		return masker(m.Masks()), true
	}
	return func(string) bool { return !p.Bare() }, false
}

// swap puts tokens into the request, and bounds its answer where the configuration does.
func (a *answer) swap() (body []byte, kind string, err error) {
	q := a.q
	masked, _ := masks(a.permit)
	a.tokens = newTokens(q.body.raw)
	s := &swap{engine: q.gate.o.Detect, masked: masked, tokens: a.tokens, left: map[string]bool{}}
	q.body.walk(s.look)
	if q.provider.External {
		for c := range s.left {
			if !q.leaves[c] && len(q.op.Kinds) > 0 {
				return nil, "", &gate.Denied{Status: gate.StatusNobody, Reason: "the policy changed while this was decided", Hint: "ask again"}
			}
		}
	}
	if r := q.body.req; r != nil && q.provider.Output > 0 {
		if names := q.op.Limits(); len(names) > 0 && r.Output == 0 && q.op.Name != "batches.create" {
			r.Root.Put(names[0], strconv.FormatInt(q.provider.Output, 10))
			q.body.changed = true
		}
	}
	a.plain = a.permit.Bare() && len(a.tokens.values) == 0
	return q.body.bytes()
}

// request is what goes to the provider.
func (q *question) request(ctx context.Context, from *http.Request, body []byte, kind string) (*http.Request, error) {
	p := q.provider
	u := *p.URL
	u.Path = strings.TrimSuffix(u.Path, "/") + q.path
	u.RawQuery = from.URL.RawQuery
	out, err := http.NewRequestWithContext(ctx, from.Method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		out.Body, out.ContentLength = http.NoBody, 0
	}
	out.GetBody = nil // nothing is sent twice
	for _, name := range passed {
		if v := from.Header.Get(name); v != "" && q.gate.harmless(v) {
			out.Header.Set(name, v)
		}
	}
	if kind != "" {
		out.Header.Set("Content-Type", kind)
	}
	out.Header.Set("Accept-Encoding", "identity")
	for name, v := range p.Headers {
		out.Header.Set(name, v)
	}
	key, err := p.Key(ctx)
	if err != nil {
		return nil, err
	}
	value := strings.TrimSpace(string(key))
	if http.CanonicalHeaderKey(p.Header) == "Authorization" {
		value = "Bearer " + value
	}
	out.Header.Set(p.Header, value)
	return out, nil
}

// harmless says that a header's value holds nothing sensitive.
func (g *Gate) harmless(v string) bool {
	found := g.o.Detect.FindString(v)
	defer found.Free()
	return len(found.List) == 0 && len(v) <= 1000
}

func (a *answer) refuse(r *http.Request, err error) gate.Outcome {
	var d *gate.Denied
	if !errors.As(err, &d) {
		d = &gate.Denied{Status: gate.StatusUnreadable, Reason: err.Error()}
	}
	status := http.StatusForbidden
	switch d.Status {
	case gate.StatusNobody:
		status = http.StatusServiceUnavailable
	case gate.StatusUnreadable:
		status = http.StatusBadRequest
	case gate.StatusLost, gate.StatusUnreachable, gate.StatusLimit:
		status = http.StatusBadGateway
	}
	a.q.gate.Refuse(a.w, r, status, d)
	return a.outcome
}

// lost answers where no answer came.
func (a *answer) lost(ctx context.Context, r *http.Request, err error) gate.Outcome {
	a.outcome.State, a.outcome.Code = gate.Unknown, "lost"
	d := &gate.Denied{Status: gate.StatusLost, Reason: "the provider went away after the request was sent: nobody here knows whether it was answered", Hint: "ask again if that is acceptable"}
	if unsent(err) {
		a.outcome.State, a.outcome.Code = gate.Failed, "not sent"
		d = &gate.Denied{Status: gate.StatusUnreachable, Reason: "the provider can't be reached; nothing was sent", Hint: "try again later; an operator can look: assent doctor"}
	}
	if gone(ctx) {
		return a.outcome
	}
	if ctx.Err() != nil {
		return a.refuse(r, ended())
	}
	a.q.gate.o.Log.Warn("a provider did not answer", "gate", a.q.gate.o.Name, "provider", a.q.provider.Name, "sent", a.outcome.State == gate.Unknown)
	return a.refuse(r, d)
}

// returned are headers of an answer that the client sees.
func returned(name string) bool {
	switch name {
	case "Content-Type", "Retry-After", "Request-Id", "X-Request-Id", "X-Should-Retry", "Openai-Processing-Ms", "Openai-Model", "Openai-Version":
		return true
	}
	return strings.HasPrefix(name, "X-Ratelimit-") || strings.HasPrefix(name, "Anthropic-Ratelimit-")
}

// pass passes an answer on, by its type.
func (a *answer) pass(ctx context.Context, resp *http.Response, r *http.Request) error {
	withheld := func(reason string) error {
		a.outcome.Code += " withheld"
		a.refuse(r, &gate.Denied{Status: gate.StatusLimit, Reason: reason, Hint: "the server's own log and the provider's console may say more"})
		return errors.New("withheld")
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return withheld("the provider refused the gate's own credential")
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return withheld("the provider sent the request elsewhere, and nothing follows it")
	case resp.Header.Get("Content-Encoding") != "" && !strings.EqualFold(resp.Header.Get("Content-Encoding"), "identity"):
		return withheld("the answer is encoded, which nobody asked for")
	}
	for name, values := range resp.Header {
		if returned(name) && a.q.gate.harmless(values[0]) {
			a.w.Header().Set(name, values[0])
		}
	}
	a.w.Header().Set("Cache-Control", "no-store")
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case kind == "text/event-stream":
		a.w.WriteHeader(resp.StatusCode)
		return a.stream(ctx, resp.Body)
	case strings.HasPrefix(kind, "audio/"), strings.HasPrefix(kind, "image/"), strings.HasPrefix(kind, "video/"):
		return a.opaque(resp)
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		raw, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
		if err != nil || len(raw) > MaxAnswer {
			return withheld("the answer broke off, or is too long")
		}
		out, err := a.json(raw)
		if err != nil {
			return withheld("the answer can't be read in one way only")
		}
		return a.send(resp.StatusCode, out)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if err != nil || len(raw) > MaxAnswer {
		return withheld("the answer broke off, or is too long")
	}
	out, err := a.lines(raw)
	if err != nil {
		return withheld("the answer can't be looked into")
	}
	return a.send(resp.StatusCode, out)
}

func (a *answer) send(status int, out []byte) error {
	if err := a.permit.Count(0, int64(len(out))); err != nil {
		a.outcome.Code += " withheld"
		a.refuse(&http.Request{URL: a.q.url()}, err)
		return err
	}
	a.outcome.Bytes += int64(len(out))
	a.w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	a.w.WriteHeader(status)
	_, err := a.w.Write(out)
	return err
}

// opaque passes what no text can be found in.
func (a *answer) opaque(resp *http.Response) error {
	a.outcome.Code += " unscanned"
	a.w.WriteHeader(resp.StatusCode)
	buf := make([]byte, 32<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if err := a.permit.Count(0, int64(n)); err != nil {
				panic(http.ErrAbortHandler) // a short body must not look whole
			}
			a.outcome.Bytes += int64(n)
			if _, err := a.w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			a.outcome.State = gate.Unknown
			panic(http.ErrAbortHandler)
		}
	}
}

// json masks and restores a document.
func (a *answer) json(raw []byte) ([]byte, error) {
	n, err := llm.Parse(raw)
	if err != nil {
		return nil, err
	}
	a.note(n)
	if a.plain {
		return raw, nil
	}
	llm.DropLogprobs(n)
	if err := llm.Texts(n, nil, a.whole); err != nil {
		return nil, err
	}
	if !n.Changed() {
		return raw, nil
	}
	return n.Patched(raw), nil
}

// note takes in what an answer, or an event of one, says.
func (a *answer) note(n *llm.Node) {
	a.usage.Add(n)
	for _, c := range llm.Calls(n) {
		if !slices.Contains(a.calls, c) && len(a.calls) < 64 {
			a.calls = append(a.calls, c)
			a.led(c)
		}
	}
}

// whole masks and restores one text of which nothing is missing.
func (a *answer) whole(text string, isJSON, kept bool) (string, error) {
	if len(text) < 3 {
		return text, nil
	}
	if isJSON {
		if n, err := llm.Parse([]byte(text)); err == nil {
			wrapped := llm.Wrap(n)
			if err := llm.Texts(wrapped, nil, a.whole); err != nil {
				return "", err
			}
			if !wrapped.Changed() {
				return text, nil
			}
			return string(n.Patched([]byte(text))), nil
		}
	}
	if !a.permit.Clear("", []byte(text)) {
		text = string(a.permit.Text([]byte(text)))
	}
	if kept {
		return text, nil
	}
	return a.tokens.restore(text, isJSON), nil
}

// lines masks and restores text that is no JSON as a whole: lines of JSON, or anything else.
func (a *answer) lines(raw []byte) ([]byte, error) {
	if a.plain {
		return raw, nil
	}
	if !llm.Readable(raw) {
		if a.permit.Bare() {
			a.outcome.Code += " unscanned"
			return raw, nil
		}
		return nil, errors.New("no text")
	}
	out := make([]byte, 0, len(raw)+256)
	for line := range bytes.Lines(raw) {
		body := bytes.TrimRight(line, "\r\n")
		if len(body) > 1 && body[0] == '{' {
			if done, err := a.json(body); err == nil {
				out = append(append(out, done...), line[len(body):]...)
				continue
			}
		}
		text, err := a.whole(string(line), false, false)
		if err != nil {
			return nil, err
		}
		out = append(out, text...)
	}
	return out, nil
}

// led says that what the model wants called comes from here, before the client can know of it.
func (a *answer) led(c llm.Call) {
	b, is := a.permit.(gate.Begun)
	if !is || c.ID == "" || len(c.ID) > 100 || slices.Contains(a.q.action.Kinds, action.DataRead) {
		return
	}
	b.Begun("model:"+c.ID, "")
}

// unsent says that an error came before anything was sent.
func unsent(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns) || errors.As(err, &cert)
}
