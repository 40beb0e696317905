package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/recording"
	"github.com/assenthq/assent/internal/show"
)

// Recordings are what terminals showed.
type Recordings interface {
	List() ([]recording.Info, error)
	Read(id string) (*os.File, recording.Info, error)
	Digest(id string) (string, error)
}

// A RecordingView is one recording, as its file says.
type RecordingView struct {
	ID       string    `json:"id"`
	Began    time.Time `json:"began"`
	Actor    string    `json:"actor"`
	Subject  string    `json:"subject,omitempty"`
	Gate     string    `json:"gate"`
	Resource string    `json:"resource"`
	User     string    `json:"user" doc:"Account on the system"`
	Command  string    `json:"command,omitempty" doc:"None: a shell"`
	Bytes    int64     `json:"bytes"`
	SHA256   string    `json:"sha256,omitempty" doc:"Of one recording alone: of its file as it is now"`
	Logged   string    `json:"logged_sha256,omitempty" doc:"Of one recording alone: what the audit log says it was when it ended. Missing: it goes on, or nobody had to approve it and the traffic lane has it"`
	Intact   *bool     `json:"intact,omitempty" doc:"Whether these two are the same"`
}

// RecordingList is every recording, newest first.
type RecordingList struct {
	Recordings []RecordingView `json:"recordings"`
}

const maxShown = 500 // bytes of what a recording's header says

func recordingView(i *recording.Info) RecordingView {
	a := &i.About
	return RecordingView{
		ID: a.ID, Began: time.Unix(i.Timestamp, 0).UTC(), Actor: show.Plain(a.Actor, maxShown), Subject: show.Plain(a.Subject, maxShown), Gate: show.Plain(a.Gate, maxShown),
		Resource: show.Plain(a.Resource, maxShown), User: show.Plain(a.User, maxShown), Command: show.Plain(a.Command, maxShown), Bytes: i.Bytes,
	}
}

var errNoRecording = problem(http.StatusNotFound, "not-found", "There is no such recording.")

func recordingProblem(err error) error {
	if errors.Is(err, recording.ErrNone) {
		return errNoRecording
	}
	return err
}

type listRecordingsOut struct{ Body RecordingList }

func (s *server) listRecordings(context.Context, *nothing) (*listRecordingsOut, error) {
	out := &listRecordingsOut{Body: RecordingList{Recordings: []RecordingView{}}}
	if s.Recordings == nil {
		return out, nil
	}
	list, err := s.Recordings.List()
	for i := range list {
		out.Body.Recordings = append(out.Body.Recordings, recordingView(&list[i]))
	}
	return out, err
}

type recordingIn struct {
	ID string `path:"id" maxLength:"64"`
}

type recordingOut struct{ Body RecordingView }

func (s *server) getRecording(ctx context.Context, in *recordingIn) (*recordingOut, error) {
	if s.Recordings == nil {
		return nil, errNoRecording
	}
	f, info, err := s.Recordings.Read(in.ID)
	if err != nil {
		return nil, recordingProblem(err)
	}
	_ = f.Close()
	out := &recordingOut{Body: recordingView(&info)}
	if out.Body.SHA256, err = s.Recordings.Digest(in.ID); err != nil {
		return nil, recordingProblem(err)
	}
	if out.Body.Logged, err = s.logged(ctx, &info); err != nil {
		return nil, err
	}
	if out.Body.Logged != "" {
		same := out.Body.Logged == out.Body.SHA256
		out.Body.Intact = &same
	}
	return out, nil
}

// logged finds what the audit log says of a recording. The file's own word for when
// it began only bounds the search: a wrong one finds nothing.
func (s *server) logged(ctx context.Context, info *recording.Info) (string, error) {
	q := audit.Query{Types: []string{audit.TypeOutcome}, Kind: string(action.SessionOpen), Since: time.Unix(info.Timestamp, 0).Add(-time.Minute), Limit: 500}
	for {
		found, err := s.Audit.Search(ctx, q)
		if err != nil {
			return "", err
		}
		for i := range found {
			if found[i].Detail["kept"] == info.About.ID {
				return found[i].Detail["kept_sha256"], nil
			}
		}
		if len(found) < q.Limit {
			return "", nil
		}
		q.Before = found[len(found)-1].Index
	}
}

type castIn struct {
	ID   string `path:"id" maxLength:"64"`
	From int64  `query:"from" minimum:"0" doc:"Byte to begin at, for who has seen what is before"`
}

// getCast answers with the recording itself: an asciicast of version 2, as far as it goes.
func (s *server) getCast(_ context.Context, in *castIn) (*huma.StreamResponse, error) {
	if s.Recordings == nil {
		return nil, errNoRecording
	}
	f, _, err := s.Recordings.Read(in.ID)
	if err != nil {
		return nil, recordingProblem(err)
	}
	if _, err := f.Seek(in.From, io.SeekStart); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer func() { _ = f.Close() }()
		ctx.SetHeader("Content-Type", "application/x-asciicast")
		ctx.SetHeader("Content-Disposition", `attachment; filename="`+in.ID+`.cast"`)
		_, _ = io.Copy(ctx.BodyWriter(), f) // the client left: nobody to tell
	}}, nil
}
