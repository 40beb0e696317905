package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// An Environment is what a program needs to know to work through this server's gates.
type Environment struct {
	URL      string            `json:"url" doc:"Of this server"`
	Gates    []EnvironmentGate `json:"gates"`
	Commands string            `json:"commands,omitempty" doc:"The gate that takes the caller's commands"`
	Egress   *Egress           `json:"egress,omitempty" doc:"Missing: there is no gate of HTTP on its way out"`
}

// An EnvironmentGate is one gate that listens.
type EnvironmentGate struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Address  string `json:"address" doc:"host:port"`
	Env      string `json:"env"`
	Database string `json:"database,omitempty"`
	TLS      bool   `json:"tls,omitempty"`
	Region   string `json:"region,omitempty" doc:"Of a gate of AWS: the region that is meant where none is named"`

	CA string `json:"ca,omitempty" doc:"Of a gate of Kubernetes: the certificate that clients are to trust (PEM). Missing: those that their machine knows"`

	Providers []EnvironmentProvider `json:"providers,omitempty" doc:"Of a gate of language models: each is at /NAME"`
}

// An EnvironmentProvider is a provider of models behind a gate.
type EnvironmentProvider struct {
	Name string `json:"name"`
	API  string `json:"api" enum:"openai,anthropic" doc:"Whose API it speaks"`
}

// An Egress is a proxy that HTTP goes out through.
type Egress struct {
	Proxy string `json:"proxy" doc:"Address for HTTPS_PROXY, without a credential"`
	CA    string `json:"ca" doc:"Certificate of the authority that it signs with (PEM)"`
}

type environmentOut struct{ Body Environment }

func (s *server) environment(ctx context.Context, _ *nothing) (*environmentOut, error) {
	c := callerOf(ctx)
	out := Environment{Gates: []EnvironmentGate{}}
	if s.Options.Environment != nil && c.Asker != nil && len(c.Asker.Chain) > 0 {
		out = s.Options.Environment(c.Asker.Chain[0].ID)
	}
	out.URL = s.base
	return &environmentOut{Body: out}, nil
}

// egressCA publishes the authority of egress gates: it is what programs must trust, and no secret.
func (s *server) egressCA(context.Context, *nothing) (*huma.StreamResponse, error) {
	var pem []byte
	if s.Options.EgressCA != nil {
		var err error
		if pem, err = s.Options.EgressCA(); err != nil {
			return nil, err
		}
	}
	if len(pem) == 0 {
		return nil, problem(http.StatusNotFound, "not-found", "There is no egress gate here.")
	}
	return text(pem), nil
}
