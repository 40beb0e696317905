package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assenthq/assent/internal/identity"
)

// may reports whether c holds one of the operation's scopes. A scope counts
// only with the kind of credential that it belongs to: agents can't reach
// reviewing, whatever stands in their token.
func may(c *identity.Caller, op *operation) bool {
	if op.anyone {
		return true
	}
	for _, scope := range op.scopes {
		if c.Has(scope) && kindOf(scope) == c.Kind {
			return true
		}
	}
	return false
}

func kindOf(scope string) string {
	switch scope {
	case identity.ScopeAct:
		return identity.KindActor
	case identity.ScopeGate:
		return identity.KindGate
	case identity.ScopeSCIM:
		return identity.KindProvision
	}
	return identity.KindPerson
}

// nameOf is who did it, for records.
func nameOf(c *identity.Caller) string {
	switch {
	case c.Person != nil:
		return c.Person.ID
	case c.Asker != nil && len(c.Asker.Chain) > 0:
		return c.Asker.Chain[0].ID
	case c.Issuer != "":
		return "provision:" + c.Issuer
	}
	return "gate:" + c.Token
}

// authorize stands before every operation: no credential, no scope, no entry.
func (s *server) authorize(ctx huma.Context, next func(huma.Context)) {
	op := operations()[ctx.Operation().OperationID]
	if op == nil {
		writeProblem(s.api, ctx, problem(http.StatusForbidden, "scope", "This operation is open to nobody."))
		return
	}
	if op.public || op.open && s.PublicLog {
		next(ctx)
		return
	}
	caller, p := s.caller(ctx)
	if p == nil && !may(caller, op) {
		p = problem(http.StatusForbidden, "scope", "This credential may not do that. Needed: "+strings.Join(op.scopes, " or ")+".")
	}
	if p == nil && !op.answers {
		p = s.frozen(caller)
	}
	if p != nil {
		writeProblem(s.api, ctx, p)
		return
	}
	if op.stream {
		next(ctx)
		return
	}
	limited, cancel := context.WithTimeout(ctx.Context(), operationTime)
	defer cancel()
	next(huma.WithContext(ctx, limited))
}

// frozen refuses everything that an agent's credential asks while it is frozen.
func (s *server) frozen(c *identity.Caller) *Problem {
	if c == nil || c.Asker == nil {
		return nil
	}
	stop := s.Freezes.Frozen(c.Asker, "", "")
	if stop == nil {
		return nil
	}
	reason, hint := stop.Says()
	return problem(http.StatusForbidden, "frozen", "It is "+reason+": "+hint+".")
}

// caller reads the one place a credential may stand in, or without it takes the
// client certificate that TLS has verified: never a query, where
// it would be logged, never a cookie, which a browser sends for other pages.
func (s *server) caller(ctx huma.Context) (*identity.Caller, *Problem) {
	var headers []string
	ctx.EachHeader(func(name, value string) {
		if strings.EqualFold(name, "Authorization") {
			headers = append(headers, value)
		}
	})
	return s.callerIn(ctx.Context(), headers)
}

func (s *server) callerIn(ctx context.Context, headers []string) (*identity.Caller, *Problem) {
	denied := noCredential()
	certificate := len(headers) == 0 && identity.Certificates(ctx) != nil
	bearer := ""
	if !certificate {
		if len(headers) != 1 {
			return nil, denied
		}
		var scheme string
		scheme, bearer, _ = strings.Cut(headers[0], " ")
		if !strings.EqualFold(scheme, "Bearer") || bearer == "" || len(bearer) > 512 {
			return nil, denied
		}
	}
	c, err := s.Credentials.Check(ctx, bearer)
	if err != nil || c == nil || !s.Clock().Before(c.Expires) {
		return nil, denied
	}
	infoOf(ctx).caller, infoOf(ctx).bearer = c, bearer
	return c, nil
}

func noCredential() *Problem {
	p := problem(http.StatusUnauthorized, "credential", "Send a valid token as Authorization: Bearer ast_…. It may have expired or been revoked.")
	p.challenge = true
	return p
}

// callerOf is the caller that authorize let in.
func callerOf(ctx context.Context) *identity.Caller { return infoOf(ctx).caller }

func writeProblem(api huma.API, ctx huma.Context, p *Problem) {
	out, err := transform(ctx, "", p)
	if err != nil {
		return
	}
	ctx.SetHeader("Content-Type", p.ContentType(""))
	ctx.SetStatus(p.Status)
	_ = api.Marshal(ctx.BodyWriter(), "application/json", out) // the client left: nobody to tell
}
