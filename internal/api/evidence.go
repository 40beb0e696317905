package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assenthq/assent/internal/audit"
)

// An Exporter makes evidence bundles.
type Exporter interface {
	// Export appends rec, by which the log tells who takes records away, and then returns
	// a bundle of what q asks for: a file without a name, at its beginning, which the
	// caller closes. It errs with ErrExporting while another bundle is made.
	Export(ctx context.Context, rec *audit.Record, q audit.Query) (*os.File, error)
}

// ErrExporting says that a bundle is being made already: each may take as much room as the log.
var ErrExporting = errors.New("another bundle is being made")

// An EvidenceQuestion says which records a bundle shows.
type EvidenceQuestion struct {
	Since    *time.Time `json:"since,omitempty" doc:"RFC 3339; absent: from the first record"`
	Until    *time.Time `json:"until,omitempty" doc:"RFC 3339; absent: all that the published checkpoint covers"`
	Type     []string   `json:"type,omitempty" maxItems:"16"`
	Actor    string     `json:"actor,omitempty" maxLength:"256"`
	Person   string     `json:"person,omitempty" maxLength:"256"`
	Approval string     `json:"approval,omitempty" maxLength:"64"`
	Resource string     `json:"resource,omitempty" maxLength:"512"`
	Session  string     `json:"session,omitempty" maxLength:"256"`
	Kind     string     `json:"kind,omitempty" maxLength:"64"`
	Class    string     `json:"class,omitempty" maxLength:"64" doc:"Class of sensitive data that was found or masked, such as card"`
}

func (q *EvidenceQuestion) query() audit.Query {
	out := audit.Query{
		Types: q.Type, Actor: q.Actor, Person: q.Person, Approval: q.Approval,
		Resource: q.Resource, Session: q.Session, Kind: q.Kind, Class: q.Class,
	}
	if q.Since != nil {
		out.Since = *q.Since
	}
	if q.Until != nil {
		out.Until = *q.Until
	}
	return out
}

type exportEvidenceIn struct{ Body EvidenceQuestion }

// exportEvidence answers with a bundle, once the log has who takes it.
func (s *server) exportEvidence(ctx context.Context, in *exportEvidenceIn) (*huma.StreamResponse, error) {
	if s.Evidence == nil {
		return nil, problem(http.StatusNotFound, "not-found", "This server makes no bundles.")
	}
	q := in.Body.query()
	if !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return nil, badRequest("body.until", "is not after since")
	}
	caller := callerOf(ctx)
	rec := &audit.Record{Type: audit.TypeEvidence, Detail: map[string]string{"token": caller.Token}}
	for name, value := range q.Said() {
		rec.Detail[name] = s.Mask(value)
	}
	for name, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			rec.Detail[name] = t.UTC().Format(time.RFC3339Nano)
		}
	}
	switch {
	case caller.Asker != nil:
		rec.Actor, rec.Subject = whoOf(caller), caller.Asker.Subject.ID
	case caller.Person != nil:
		rec.Person = caller.Person.ID
	}
	f, err := s.Evidence.Export(ctx, rec, q)
	if errors.Is(err, ErrExporting) {
		p := problem(http.StatusServiceUnavailable, "busy", "Another bundle is being made. Ask again in a while.")
		p.retryAfter = 5 * time.Second
		return nil, p
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer func() { _ = f.Close() }()
		ctx.SetHeader("Content-Type", "application/zip")
		ctx.SetHeader("Content-Length", strconv.FormatInt(info.Size(), 10))
		ctx.SetHeader("Content-Disposition", `attachment; filename="`+rec.Time.UTC().Format("evidence-20060102T150405")+`.zip"`)
		_, _ = io.Copy(ctx.BodyWriter(), f) // the client left: nobody to tell
	}}, nil
}
