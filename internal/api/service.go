package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// checkTime is how long one part may take to say that it works.
const checkTime = 2 * time.Second

// Health says that the process answers, and nothing more.
type Health struct {
	Status  string `json:"status" enum:"ok"`
	Version string `json:"version,omitempty"`
}

type healthOut struct{ Body Health }

func (s *server) health(context.Context, *nothing) (*healthOut, error) {
	return &healthOut{Body: Health{Status: "ok", Version: s.Version}}, nil
}

// Readiness is the truth about each part. Why one doesn't work is in the log.
type Readiness struct {
	Ready    bool        `json:"ready"`
	Degraded bool        `json:"degraded,omitempty" doc:"Something that the rest can do without doesn't work: an issuer of sign-ins"`
	Checks   []CheckView `json:"checks"`
}

// A CheckView is one part.
type CheckView struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
}

type readyOut struct {
	Status int
	Body   Readiness
}

// ready runs every check, all at once. No check at all is not ready: nobody knows.
func (s *server) ready(ctx context.Context, _ *nothing) (*readyOut, error) {
	out := &readyOut{Status: http.StatusOK, Body: Readiness{Ready: len(s.probes) > 0, Checks: make([]CheckView, len(s.probes))}}
	errs := make([]error, len(s.probes))
	var wg sync.WaitGroup
	for i, p := range s.probes {
		wg.Go(func() { errs[i] = p.run(ctx) })
	}
	wg.Wait()
	for i, p := range s.probes {
		out.Body.Checks[i] = CheckView{Name: p.check.Name, OK: errs[i] == nil}
		if errs[i] != nil {
			out.Body.Degraded = out.Body.Degraded || p.check.Soft
			out.Body.Ready = out.Body.Ready && p.check.Soft
			s.Logger.WarnContext(ctx, "not ready", "check", p.check.Name, "error", errs[i])
		}
	}
	if !out.Body.Ready {
		out.Status = http.StatusServiceUnavailable
	}
	return out, nil
}

// A probe runs its check at most once at a time: everybody may ask for
// /readyz, and a check that hangs must not hang once for each of them.
type probe struct {
	check Check

	mu      sync.Mutex
	running *probing // owned by mu; nil between runs
}

// A probing is one run; err is there once done is closed.
type probing struct {
	done    chan struct{}
	expires time.Time
	err     error
}

// run joins the run that is under way, or begins one. A part that doesn't
// answer in time doesn't work.
func (p *probe) run(ctx context.Context) error {
	p.mu.Lock()
	r := p.running
	if r == nil {
		r = &probing{done: make(chan struct{}), expires: time.Now().Add(checkTime)}
		p.running = r
		go p.begin(context.WithoutCancel(ctx), r)
	}
	p.mu.Unlock()
	late := time.NewTimer(time.Until(r.expires))
	defer late.Stop()
	select {
	case <-r.done:
		return r.err
	case <-late.C:
		return fmt.Errorf("no answer within %s", checkTime)
	}
}

func (p *probe) begin(ctx context.Context, r *probing) {
	ctx, cancel := context.WithDeadline(ctx, r.expires)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			r.err = fmt.Errorf("the check panicked: %T", v)
		}
		p.mu.Lock()
		p.running = nil
		p.mu.Unlock()
		close(r.done)
	}()
	r.err = p.check.Run(ctx)
}

// scrape serves Prometheus. Gates put counts of findings there, so it takes a
// person's credential: no figure of a finding is for an agent.
func (s *server) scrape(context.Context, *nothing) (*huma.StreamResponse, error) {
	h := promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{})
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		h.ServeHTTP(w, r)
	}}, nil
}

// Configuration is the metadata of Authorization API 1.0 section 9.
type Configuration struct {
	DecisionPoint       string   `json:"policy_decision_point"`
	EvaluationEndpoint  string   `json:"access_evaluation_endpoint"`
	EvaluationsEndpoint string   `json:"access_evaluations_endpoint"`
	RequestEndpoint     string   `json:"access_request_endpoint"`
	JWKSURI             string   `json:"jwks_uri"`
	Capabilities        []string `json:"capabilities"`
	Obligations         []string `json:"supported_obligations" doc:"Obligations Profile section 6"`
}

type configurationOut struct{ Body Configuration }

func (s *server) configuration(context.Context, *nothing) (*configurationOut, error) {
	return &configurationOut{Body: Configuration{
		DecisionPoint: s.base, EvaluationEndpoint: s.base + "/access/v1/evaluation", EvaluationsEndpoint: s.base + "/access/v1/evaluations",
		RequestEndpoint: s.base + "/access/v1/requests", JWKSURI: s.base + "/.well-known/jwks.json",
		Capabilities: []string{"urn:openid:authzen:capability:access-request"}, Obligations: []string{custom},
	}}, nil
}

// keys publishes what grants and sealed tokens are verified with: public halves only.
func (s *server) keys(context.Context, *nothing) (*huma.StreamResponse, error) {
	var set jose.JSONWebKeySet
	if s.JWKS != nil {
		if err := json.Unmarshal(s.JWKS(), &set); err != nil {
			return nil, fmt.Errorf("reading the grant keys: %w", err)
		}
	}
	for _, k := range set.Keys {
		if !k.IsPublic() {
			return nil, fmt.Errorf("key %s is not public", k.KeyID)
		}
	}
	s.sealer.publish(&set)
	body, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("writing the keys: %w", err)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/jwk-set+json")
		_, _ = ctx.BodyWriter().Write(body) // the client left: nobody to tell
	}}, nil
}
