package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/enrol"
	"github.com/assenthq/assent/internal/identity"
)

// Connectors let gates reach systems in networks that nobody dials into.
type Connectors interface {
	Invite(ctx context.Context, by identity.Person, name string, systems []string, life time.Duration) (token string, err error)
	Connectors(ctx context.Context) ([]ConnectorView, error)
	Revoke(ctx context.Context, by identity.Person, name string) error
}

// A ConnectorRequest asks for a token by which one connector enrols.
type ConnectorRequest struct {
	Name      string   `json:"name" maxLength:"63" pattern:"^[a-z0-9][a-z0-9._-]*$" doc:"What it is called. A connector that enrols takes the place of a former one of its name"`
	Systems   []string `json:"systems" minItems:"1" maxItems:"256" doc:"Names of the systems it may serve, as via in the configuration has them"`
	ExpiresIn int64    `json:"expires_in,omitempty" minimum:"1" maximum:"2592000" doc:"Seconds in which it must be used; an hour unless set"`
}

// A NewConnector is the token, which is shown this once and stored nowhere.
type NewConnector struct {
	Token string `json:"token" doc:"Works once. Nobody can show it again"`
}

// A ConnectorView is one connector.
type ConnectorView struct {
	Name    string    `json:"name"`
	State   string    `json:"state" enum:"invited,enrolled,connected" doc:"invited: its token was not used yet. enrolled: it is away"`
	Systems []string  `json:"systems" doc:"What it may serve"`
	Serves  []string  `json:"serves,omitempty" doc:"What it serves now"`
	By      string    `json:"by" doc:"Who made its token"`
	Created time.Time `json:"created"`
	From    string    `json:"from,omitempty" doc:"Where it connects from"`
	Version string    `json:"version,omitempty" doc:"As it says"`
	Since   time.Time `json:"since,omitzero" doc:"When it connected"`
	Streams int64     `json:"streams,omitempty" doc:"Connections that are open through it"`
}

// A ConnectorList is every connector that is enrolled or may enrol yet, by name.
type ConnectorList struct {
	Connectors []ConnectorView `json:"connectors"`
}

type (
	inviteConnectorIn  struct{ Body ConnectorRequest }
	inviteConnectorOut struct{ Body NewConnector }
	listConnectorsOut  struct{ Body ConnectorList }
	revokeConnectorIn  struct {
		Name string `path:"name" maxLength:"63" pattern:"^[a-z0-9][a-z0-9._-]*$"`
	}
)

var errNoConnectors = problem(http.StatusNotFound, "no-connectors", "This server takes no connectors: its configuration has no connectors.")

const inviteLife = time.Hour

// connectorsBy says who administers them; without a person nobody does.
func (s *server) connectorsBy(ctx context.Context) (*identity.Person, error) {
	switch c := callerOf(ctx); {
	case s.Connectors == nil:
		return nil, errNoConnectors
	case c == nil || c.Person == nil:
		return nil, problem(http.StatusForbidden, "scope", "People administer connectors; nothing else does.")
	default:
		return c.Person, nil
	}
}

func (s *server) inviteConnector(ctx context.Context, in *inviteConnectorIn) (*inviteConnectorOut, error) {
	by, err := s.connectorsBy(ctx)
	if err != nil {
		return nil, err
	}
	if len(in.Body.Systems) == 0 {
		return nil, badRequest("body.systems", "a connector serves the systems that its token names")
	}
	life := time.Duration(in.Body.ExpiresIn) * time.Second
	if life == 0 {
		life = inviteLife
	}
	token, err := s.Connectors.Invite(ctx, *by, in.Body.Name, in.Body.Systems, life)
	if err != nil {
		return nil, err
	}
	return &inviteConnectorOut{Body: NewConnector{Token: token}}, nil
}

func (s *server) listConnectors(ctx context.Context, _ *nothing) (*listConnectorsOut, error) {
	if _, err := s.connectorsBy(ctx); err != nil {
		return nil, err
	}
	list, err := s.Connectors.Connectors(ctx)
	if err != nil {
		return nil, err
	}
	return &listConnectorsOut{Body: ConnectorList{Connectors: append([]ConnectorView{}, list...)}}, nil
}

func (s *server) revokeConnector(ctx context.Context, in *revokeConnectorIn) (*nothing, error) {
	by, err := s.connectorsBy(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.Connectors.Revoke(ctx, *by, in.Name)
}

func enrolProblem(err error) *Problem {
	switch {
	case errors.Is(err, enrol.ErrName):
		return problem(http.StatusUnprocessableEntity, "invalid", "Names are lower-case letters, digits, '.', '_' and '-', 63 at most, and a token lives 30 days at most.")
	case errors.Is(err, enrol.ErrUnknown):
		return problem(http.StatusNotFound, "not-found", "Nothing of that name is enrolled.")
	}
	return nil
}
