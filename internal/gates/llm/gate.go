// Package llm is the gate in front of providers of language models: OpenAI's and Anthropic's
// APIs, and those of others who speak the same. Agents use their ordinary clients, with a token of
// Assent in place of a key; the gate holds the key.
//
// It promises that a value which policy masks leaves as a token that means nothing anywhere
// else, whichever member of a request it stood in, and comes back in the answer, streamed or not; that
// a secret stops the request; that a body which two readers may read in two ways goes nowhere. It can't see
// what pictures, sound and documents hold, says so, and leaves them to policy. It can't
// know a value that no detector finds, nor what the provider keeps from earlier exchanges.
package llm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/classify/llm"
	classify "github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/detect"
)

// A Provider is where models are.
type Provider struct {
	Name      string // the first segment of paths: /NAME/v1/…
	API       llm.API
	URL       *url.URL // before /v1
	Transport http.RoundTripper
	// Key is the real credential, and Header where it goes; "": where the API has it.
	Key    func(ctx context.Context) ([]byte, error)
	Header string
	// Headers are further ones that the gate sets, such as OpenAI-Organization.
	Headers  map[string]string
	External bool // what goes there leaves the house
	// Models are names or patterns of those that may be asked; none: each is a matter of policy.
	Models []string
	Hosted []string // tools of the provider's that may be used without people being asked
	Output int64    // most tokens of one answer; 0: the request's own limit
	// Secrets says that policy decides about secrets too: without it they stop a request.
	Secrets bool
}

// Config is a gate's.
type Config struct {
	Name      string
	Resource  string // its URN; that of a provider has /NAME behind it
	Providers []Provider
	Detect    *detect.Engine
	Budgets   []Budget
	Prices    []Price
	Ledger    Ledger // needed for budgets
	Now       func() time.Time
	Log       *slog.Logger
}

// A Gate is the protocol of one gate.
type Gate struct {
	o     Config
	meter *meter
	told  told
}

// MaxBody is how many bytes of a request are taken.
const MaxBody = 32 << 20

// New returns the protocol of a gate.
func New(o Config) (*Gate, error) {
	if o.Name == "" || len(o.Providers) == 0 || o.Detect == nil || o.Log == nil || len(o.Budgets) > 0 && o.Ledger == nil {
		return nil, errors.New("llm: a part is missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for i := range o.Providers {
		p := &o.Providers[i]
		if p.Name == "" || p.URL == nil || p.Transport == nil || p.Key == nil || p.API != llm.OpenAI && p.API != llm.Anthropic {
			return nil, fmt.Errorf("llm: provider %q: a part is missing", p.Name)
		}
		if p.Header == "" {
			p.Header = map[llm.API]string{llm.OpenAI: "Authorization", llm.Anthropic: "X-Api-Key"}[p.API]
		}
	}
	return &Gate{o: o, meter: &meter{gate: o.Name, budgets: o.Budgets, prices: o.Prices, ledger: o.Ledger, now: o.Now, log: o.Log}}, nil
}

// sessionHeader names the client's session.
const sessionHeader = "Assent-Session"

// Caller takes the token from where clients put their key.
func (g *Gate) Caller(r *http.Request) (httpgate.Caller, error) {
	c := httpgate.Caller{Session: r.Header.Get(sessionHeader)}
	auth, keys := r.Header.Values("Authorization"), r.Header.Values("X-Api-Key")
	for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "Cookie", "Proxy-Authorization"} {
		r.Header.Del(name)
	}
	if len(auth) > 1 || len(keys) > 1 {
		return c, errors.New("more than one credential")
	}
	if len(keys) == 1 {
		c.Bearer = keys[0]
	}
	if len(auth) == 1 {
		scheme, token, _ := strings.Cut(auth[0], " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return c, errors.New("a credential that is no bearer token")
		}
		if token = strings.TrimSpace(token); c.Bearer != "" && c.Bearer != token {
			return c, errors.New("two credentials that differ")
		}
		c.Bearer = token
	}
	if c.Bearer == "" {
		return c, httpgate.ErrNoCredential
	}
	return c, nil
}

// provider is the one that a path is of, and the path behind its name.
func (g *Gate) provider(path string) (*Provider, string) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	for i := range g.o.Providers {
		if g.o.Providers[i].Name == name {
			return &g.o.Providers[i], "/" + rest
		}
	}
	return nil, ""
}

// A question is one request, described.
type question struct {
	gate     *Gate
	provider *Provider
	path     string // behind the provider's name
	op       llm.Op
	body     *payload
	length   int
	model    string
	who      who
	session  string // as a header names it
	action   *action.Action
	leaves   map[string]bool // classes that were judged to leave as they are
}

// Describe says what a request does.
func (g *Gate) Describe(ctx context.Context, x *httpgate.Exchange) (*httpgate.Call, error) {
	r := x.Request
	p, path := g.provider(r.URL.Path)
	if p == nil {
		return nil, fmt.Errorf("there is no provider of that name here; there is %s", strings.Join(g.names(), ", "))
	}
	q := &question{gate: g, provider: p, path: path, op: llm.Route(p.API, r.Method, path), leaves: map[string]bool{}, session: clip(r.Header.Get(sessionHeader), 200)}
	if q.op.Gone != "" {
		return nil, denied(q.op.Gone, "")
	}
	if x.Came != nil && x.Came.Header.Get("Upgrade") != "" {
		return nil, errors.New("a change of protocol is not taken up here: ask over plain HTTP")
	}
	if err := g.clean(r); err != nil {
		return nil, err
	}
	body, err := x.Body.Whole(MaxBody)
	if err != nil {
		return nil, err
	}
	q.length = len(body)
	if q.body, err = load(q.op, r.Header.Get("Content-Type"), body); err != nil {
		return nil, err
	}
	q.model = q.body.model()
	q.action = &action.Action{}
	x.Session.Describe(q.action)
	if len(q.action.Actors) > 0 {
		q.who.actor = q.action.Actors[0].ID
	}
	q.who.person = q.action.Subject
	if err := q.allowed(ctx); err != nil {
		return nil, err
	}
	s := &survey{engine: g.o.Detect, classes: map[string]int64{}}
	q.body.walk(s.look)
	if len(s.secrets) > 0 && !p.Secrets {
		return nil, q.secret(ctx, x.Session, s.secrets)
	}
	q.describe(s)
	if err := q.leaving(ctx, x.Session, s); err != nil {
		return nil, err
	}
	call := &httpgate.Call{Actions: []*action.Action{q.action}, Loose: loose(r.Header), Take: q.take}
	if q.op.Harmless != "" {
		call.Actions, call.Harmless = nil, q.op.Harmless
	}
	return call, nil
}

func (g *Gate) names() []string {
	var out []string
	for i := range g.o.Providers {
		out = append(out, "/"+g.o.Providers[i].Name)
	}
	return out
}

// clean refuses what would carry values past everybody who looks: in an address, or encoded.
func (g *Gate) clean(r *http.Request) error {
	if c := r.Header.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		return errors.New("the body is encoded: send it as it is")
	}
	query, err := url.QueryUnescape(r.URL.RawQuery)
	if err != nil {
		return errors.New("the query can't be read")
	}
	for _, text := range []string{r.URL.Path, query} {
		found := g.o.Detect.FindString(text)
		n := len(found.List)
		found.Free()
		if n > 0 {
			return errors.New("a sensitive value stands in the address")
		}
	}
	return nil
}

// allowed holds a request against what the configuration says of models and use.
func (q *question) allowed(ctx context.Context) error {
	p := q.provider
	if (q.model != "" || len(q.others()) > 0) && len(p.Models) > 0 && !q.listed() {
		return denied("this model is not among those that may be asked here", "ask one of: "+strings.Join(p.Models, ", "))
	}
	if req := q.body.req; req != nil && p.Output > 0 && req.Output > p.Output*req.Answers() {
		return denied(fmt.Sprintf("it asks for answers of more tokens than the %d that there may be", p.Output), "ask for fewer")
	}
	if !q.op.Billed {
		return nil
	}
	if req := q.body.req; req != nil && req.Unheard && req.Output == 0 && q.gate.meter.spends() {
		return denied("it is answered later, where nobody could count what is used", "name the most tokens of its answer")
	}
	return q.gate.meter.check(ctx, q.who, q.model, q.guess(), false)
}

// listed says that each model that may be asked is on the list.
func (q *question) listed() bool {
	names := q.others()
	if q.model != "" || len(names) == 0 {
		names = append([]string{q.model}, names...)
	}
	return !slices.ContainsFunc(names, func(name string) bool {
		return !slices.ContainsFunc(q.provider.Models, func(pattern string) bool { return classify.Glob(pattern, name) })
	})
}

// others are the models that a request names besides its own.
func (q *question) others() []string {
	if q.body.req == nil {
		return nil
	}
	return q.body.req.Others
}

// guess is how many tokens a request has, before its provider has counted.
func (q *question) guess() int64 { return int64(q.length+3) / 4 }

// secret refuses a request that carries secrets, and tells where.
func (q *question) secret(ctx context.Context, s gate.Session, where []string) error {
	places := strings.Join(where, "; ")
	s.Refused(ctx, "a secret on its way to "+q.provider.Name+": "+places)
	return denied("it carries what looks like a secret: "+places, "take it out; a secret is of no use to a model")
}

// describe fills in the action.
func (q *question) describe(s *survey) {
	a, p, r := q.action, q.provider, q.body.req
	a.Kinds = slices.Clone(q.op.Kinds)
	a.Verb, a.Target = q.op.Name, q.model
	if a.Target == "" {
		a.Target = q.op.ID
	}
	switch {
	case q.op.Name == "":
		a.Verb, a.Target = "unknown", clip(q.path, 100)
		a.Title = "unknown request to " + p.Name
	case q.model != "":
		a.Title = "ask " + clip(q.model, 100) + " at " + p.Name
	default:
		a.Title = q.op.Name + " at " + p.Name
	}
	a.Resource.URN = q.gate.o.Resource + "/" + p.Name
	a.Objects = append([]string{a.Target}, q.others()...)
	a.State = map[string]string{"provider": p.Name, "host": p.URL.Host}
	a.Data.Bytes = action.KnownCount(int64(q.length))
	a.Data.Unscanned = q.body.unscanned != ""
	a.Data.ClassesKnown = !a.Data.Unscanned && !slices.Contains(a.Kinds, action.DataRead)
	for c := range s.classes {
		a.Data.Classes = append(a.Data.Classes, c)
	}
	slices.Sort(a.Data.Classes)
	a.Data.Destination, a.Data.DestinationTrust = p.URL.Hostname(), "internal"
	if p.External {
		a.Data.DestinationTrust = "external"
	}
	a.Reversible = slices.Equal(a.Kinds, []action.Kind{action.DataRead})
	a.Routine = q.listed() && (r == nil || q.hosted(r))
	var text strings.Builder
	fmt.Fprintf(&text, "%s at %s (%s)\n", q.op.Name, p.Name, p.URL.Host)
	if q.body.unscanned != "" {
		text.WriteString("not looked into: " + clip(q.body.unscanned, 80) + "\n")
	}
	a.Claims.Session = q.session
	if r != nil {
		if r.Session != "" { // a coding agent's own, which its hooks name too
			a.Claims.Session = r.Session
		}
		if len(r.Fetches) > 0 {
			a.Kinds = append(a.Kinds, action.NetFetch)
			a.Objects = append(a.Objects, r.Fetches...)
			a.Routine = false
		}
	}
	text.WriteString(s.text.String())
	if s.cut {
		text.WriteString("(there is more)\n")
	}
	a.Statement = text.String()
	shape := sha256.Sum256([]byte("assent-llm/1\x00" + p.Name + "\x00" + q.op.Name + "\x00" + q.model))
	a.Shape = hex.EncodeToString(shape[:16])
}

// hosted says that every tool that runs at the provider may be used.
func (q *question) hosted(r *llm.Request) bool {
	for _, tool := range r.Hosted {
		if !slices.ContainsFunc(q.provider.Hosted, func(pattern string) bool { return classify.Glob(pattern, tool) }) {
			return false
		}
	}
	return true
}

// leaving says that the action is an export where values leave the house as they are.
func (q *question) leaving(ctx context.Context, s gate.Session, found *survey) error {
	a := q.action
	if !q.provider.External || q.op.Harmless != "" {
		return nil
	}
	masked := func(string) bool { return false }
	if f, is := s.(gate.Foreseeing); is && len(found.classes) > 0 {
		masks, err := f.Foresee(ctx, a)
		if err != nil {
			q.gate.o.Log.Error("what would be masked can't be told", "gate", q.gate.o.Name, "err", err)
			return &gate.Denied{Status: gate.StatusNobody, Reason: "no decision could be reached, so the answer is no", Hint: "try again later"}
		}
		masked = masker(masks)
	}
	for c := range found.classes {
		if !masked(c) {
			q.leaves[c] = true
		}
	}
	if len(q.leaves) > 0 || q.op.Name == "files.create" {
		a.Kinds = append(a.Kinds, action.DataExport)
		slices.Sort(a.Kinds)
	}
	return nil
}

// passed are headers of a request that go on.
var passed = []string{
	"Content-Type", "Accept", "User-Agent", "Anthropic-Version", "Anthropic-Beta", "Openai-Beta", "Idempotency-Key",
	"X-Stainless-Lang", "X-Stainless-Package-Version", "X-Stainless-Os", "X-Stainless-Arch", "X-Stainless-Runtime", "X-Stainless-Runtime-Version",
	"X-Stainless-Async", "X-Stainless-Retry-Count", "X-Stainless-Timeout", "X-Stainless-Read-Timeout", "X-Stainless-Helper-Method",
}

// bound are those of them that an approval binds.
var bound = []string{"Content-Type", "Anthropic-Version", "Anthropic-Beta", "Openai-Beta"}

// loose are headers that clients change from one attempt to the next, or that go nowhere.
func loose(h http.Header) []string {
	var out []string
	for name := range h {
		if !slices.Contains(bound, name) {
			out = append(out, name)
		}
	}
	return out
}

// told remembers what was last taken in as the prompt of a session.
type told struct {
	mu   sync.Mutex
	last map[string][32]byte // owned by mu
}

// news says that text was not what was told last.
func (t *told) news(session, text string) bool {
	sum := sha256.Sum256([]byte(text))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last[session] == sum {
		return false
	}
	if t.last == nil || len(t.last) >= 1000 {
		t.last = map[string][32]byte{}
	}
	t.last[session] = sum
	return true
}

// intent takes in what a person told the agent, where its client names a session.
func (q *question) intent(ctx context.Context, x *httpgate.Exchange) {
	r := q.body.req
	if r == nil || r.Prompt == "" || q.action.Claims.Session == "" || !q.gate.told.news(x.Credential+"\x00"+q.action.Claims.Session, r.Prompt) {
		return
	}
	if err := gate.Prompt(ctx, x.Session, q.action.Claims.Session, r.Prompt); err != nil {
		q.gate.o.Log.Debug("a prompt was not taken in", "gate", q.gate.o.Name, "err", err)
	}
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// Refuse answers as the provider would, with a status that clients don't send again by themselves.
func (g *Gate) Refuse(w http.ResponseWriter, r *http.Request, status int, d *gate.Denied) {
	api := llm.OpenAI
	if p, _ := g.provider(r.URL.Path); p != nil {
		api = p.API
	} else if r.Header.Get("Anthropic-Version") != "" {
		api = llm.Anthropic
	}
	h := w.Header()
	h.Set("X-Should-Retry", "false")
	if d.Status == statusPace {
		status = http.StatusTooManyRequests
		h.Set("X-Should-Retry", "true")
		h.Set("Retry-After", strconv.Itoa(seconds(d.Hint)))
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(problem(api, status, d))
}

// seconds are those that a hint names.
func seconds(hint string) int {
	for _, word := range strings.Fields(hint) {
		if n, err := strconv.Atoi(word); err == nil {
			return n
		}
	}
	return 60
}
