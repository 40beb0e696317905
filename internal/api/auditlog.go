package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assenthq/assent/internal/audit"
)

// signTime is how long a proof waits for the checkpoint it needs.
const signTime = 2 * time.Second

type listRecordsIn struct {
	Type     []string  `query:"type" maxItems:"16" doc:"Several separated by commas"`
	Actor    string    `query:"actor" maxLength:"256"`
	Person   string    `query:"person" maxLength:"256"`
	Approval string    `query:"approval" maxLength:"64"`
	Resource string    `query:"resource" maxLength:"512"`
	Session  string    `query:"session" maxLength:"256"`
	Kind     string    `query:"kind" maxLength:"64"`
	Class    string    `query:"class" maxLength:"64" doc:"Class of sensitive data that was found or masked, such as card"`
	Since    time.Time `query:"since" doc:"RFC 3339"`
	Until    time.Time `query:"until" doc:"RFC 3339"`
	Before   int64     `query:"before" minimum:"0" doc:"Only records with a smaller index: next of the page before"`
	Limit    int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

// Records are a page of the log, newest first.
type Records struct {
	Records []audit.Record `json:"records"`
	Next    int64          `json:"next,omitempty" doc:"before of the next page; absent on the last"`
}

type listRecordsOut struct{ Body Records }

func (s *server) listRecords(ctx context.Context, in *listRecordsIn) (*listRecordsOut, error) {
	found, err := s.Audit.Search(ctx, audit.Query{
		Types: in.Type, Actor: in.Actor, Person: in.Person, Approval: in.Approval, Resource: in.Resource,
		Session: in.Session, Kind: in.Kind, Class: in.Class, Since: in.Since, Until: in.Until, Before: in.Before, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	out := &listRecordsOut{Body: Records{Records: []audit.Record{}}}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Body.Next = found[in.Limit-1].Index
	}
	out.Body.Records = append(out.Body.Records, found...)
	return out, nil
}

type nothing struct{}

func (s *server) getCheckpoint(context.Context, *nothing) (*huma.StreamResponse, error) {
	note := s.Log.Checkpoint()
	if note == nil {
		return nil, problem(http.StatusNotFound, "not-found", "The log has no checkpoint yet.")
	}
	return text(note), nil
}

type getProofIn struct {
	Index int64 `query:"index" minimum:"0" required:"true"`
}

func (s *server) getProof(ctx context.Context, in *getProofIn) (*huma.StreamResponse, error) {
	head, err := s.Audit.Head(ctx)
	if err != nil {
		return nil, err
	}
	if in.Index >= head.Size {
		return nil, problem(http.StatusNotFound, "not-found", "The log has no such record.")
	}
	if err := s.covered(ctx, in.Index); err != nil {
		return nil, err
	}
	proof, err := s.Log.Proof(ctx, in.Index)
	if err != nil {
		return nil, err
	}
	return text(proof), nil
}

// covered waits a moment for a checkpoint that covers the record: it is signed
// just after the commit that made the record visible.
func (s *server) covered(ctx context.Context, index int64) error {
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	tick := time.NewTicker(signTime / 100)
	defer tick.Stop()
	for {
		if index < checkpointSize(s.Log.Checkpoint()) {
			return nil
		}
		select {
		case <-ctx.Done():
			p := problem(http.StatusServiceUnavailable, "not-signed", "The record is in the log, but no signed checkpoint covers it yet.")
			p.retryAfter = time.Second
			return p
		case <-tick.C:
		}
	}
}

// checkpointSize is the second line of our own log's note (C2SP
// tlog-checkpoint); 0 when there is none.
func checkpointSize(note []byte) int64 {
	lines := bytes.SplitN(note, []byte("\n"), 3)
	if len(lines) < 3 {
		return 0
	}
	size, err := strconv.ParseInt(string(lines[1]), 10, 64)
	if err != nil {
		return 0
	}
	return size
}

func text(body []byte) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "text/plain; charset=utf-8")
		_, _ = ctx.BodyWriter().Write(body) // the client left: nobody to tell
	}}
}

type getTileIn struct {
	Path string `path:"tile" maxLength:"64" doc:"Level, number in groups of three digits, and .p/ with a width for a partial tile: 0/x001/067.p/12"`
}

type getBundleIn struct {
	Path    string `path:"bundle" maxLength:"64" doc:"Number in groups of three digits, and .p/ with a width for a partial bundle: x001/067.p/12"`
	Accepts string `header:"Accept-Encoding"`
}

// publishedCheckpoint is the log's C2SP tlog-tiles checkpoint: as getCheckpoint,
// with the cosignatures of witnesses where there are some.
func (s *server) publishedCheckpoint(context.Context, *nothing) (*huma.StreamResponse, error) {
	note := s.Log.Published()
	if note == nil {
		return nil, problem(http.StatusNotFound, "not-found", "The log has no checkpoint yet.")
	}
	return text(note), nil
}

func (s *server) getTile(ctx context.Context, in *getTileIn) (*huma.StreamResponse, error) {
	b, err := s.Log.Tile(ctx, in.Path)
	if errors.Is(err, audit.ErrNoTile) {
		return nil, noTile()
	}
	if err != nil {
		return nil, err
	}
	keep := "private"
	if s.PublicLog {
		keep = "public"
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		lasting(ctx, keep)
		_, _ = ctx.BodyWriter().Write(b) // the client left: nobody to tell
	}}, nil
}

func (s *server) getBundle(ctx context.Context, in *getBundleIn) (*huma.StreamResponse, error) {
	b, err := s.Log.Bundle(ctx, in.Path)
	if errors.Is(err, audit.ErrNoTile) {
		return nil, noTile()
	}
	if errors.Is(err, audit.ErrErased) {
		return nil, problem(http.StatusGone, "erased", "A record in this bundle was erased: its hash is in the tiles, its bytes are gone.")
	}
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		lasting(ctx, "private")
		ctx.AppendHeader("Vary", "Accept-Encoding")
		if !takesGzip(in.Accepts) {
			_, _ = ctx.BodyWriter().Write(b)
			return
		}
		ctx.SetHeader("Content-Encoding", "gzip")
		z := gzip.NewWriter(ctx.BodyWriter())
		_, _ = z.Write(b)
		_ = z.Close()
	}}, nil
}

func noTile() error {
	return problem(http.StatusNotFound, "not-found", "The newest checkpoint's tree has no such tile.")
}

// lasting marks what never changes: a tile of one width, once it is signed.
func lasting(ctx huma.Context, keep string) {
	ctx.SetHeader("Content-Type", "application/octet-stream")
	ctx.SetHeader("Cache-Control", keep+", max-age=31536000, immutable")
	if keep == "private" {
		ctx.SetHeader("Vary", "Authorization")
	}
}

// takesGzip reads Accept-Encoding (RFC 9110 section 12.5.3): gzip by its name, and not refused by q=0.
func takesGzip(accepts string) bool {
	for part := range strings.SplitSeq(accepts, ",") {
		name, params, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		weight, _ := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		return err != nil && params == "" || err == nil && q > 0
	}
	return false
}
