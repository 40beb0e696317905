package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
)

// Besides is what a reviewer asks for besides: only ever tighter than what holds.
type Besides struct {
	Masks  map[string]string `json:"masks,omitempty" maxProperties:"64" doc:"Class or group to method: what must be masked in what comes back"`
	Rows   *int64            `json:"max_rows,omitempty" minimum:"1" doc:"Most rows it may touch; only where rows are counted"`
	Window int64             `json:"use_within,omitempty" minimum:"10" maximum:"86400" doc:"Seconds that it stays usable once approved"`
}

func (o *Besides) asked() (out approval.Obligation) {
	if o == nil {
		return out
	}
	out.Masks, out.Window = o.Masks, time.Duration(o.Window)*time.Second
	if o.Rows != nil {
		out.Rows = action.KnownCount(*o.Rows)
	}
	return out
}

func obligationView(o *approval.Obligation) *Besides {
	if o.Empty() {
		return nil
	}
	return &Besides{Masks: o.Masks, Rows: known(o.Rows), Window: int64(o.Window / time.Second)}
}

// A Remark is a reviewer's question to the asker's side, or the answer to one.
type Remark struct {
	ID   string    `json:"id"`
	Of   string    `json:"of,omitempty" doc:"The question that this answers; absent: it is a question"`
	By   string    `json:"by"`
	Name string    `json:"name,omitempty"`
	Text string    `json:"text" doc:"Masked. An answer is the asker's own words: nothing in it was checked"`
	Time time.Time `json:"time"`
}

// A Step is what happens while it waits: a reminder, or further people asked.
type Step struct {
	At     time.Time  `json:"at"`
	Do     string     `json:"do" enum:"remind,escalate,fall back"`
	Groups []string   `json:"groups,omitempty" doc:"That are asked from then on"`
	Done   *time.Time `json:"done,omitempty"`
}

func remarksView(a *approval.Approval) []Remark {
	var out []Remark
	for _, r := range a.Remarks {
		out = append(out, Remark{ID: r.ID, Of: r.Of, By: r.By, Name: r.Name, Text: r.Text, Time: r.Time.UTC()})
	}
	return out
}

func stepsView(a *approval.Approval) []Step {
	var out []Step
	for _, s := range a.Steps {
		v := Step{At: s.At.UTC(), Do: s.Do, Groups: s.Groups}
		if !s.Done.IsZero() {
			done := s.Done.UTC()
			v.Done = &done
		}
		out = append(out, v)
	}
	return out
}

// A SaidRequest is a question, or an answer.
type SaidRequest struct {
	Text string `json:"text" minLength:"1" maxLength:"2000" doc:"Sensitive values in it are masked before anybody sees it"`
}

type questionIn struct {
	ID   string `path:"id" maxLength:"64" pattern:"^apr_[0-9A-Za-z]+$"`
	Body SaidRequest
}

func (s *server) askQuestion(ctx context.Context, in *questionIn) (*approvalOut, error) {
	c := callerOf(ctx)
	if c.Person == nil {
		return nil, problem(http.StatusForbidden, "scope", "People review; nothing else does.")
	}
	a, err := s.Reviews.Question(ctx, in.ID, *c.Person, s.Mask(in.Body.Text), "api")
	if err != nil {
		return nil, err
	}
	return &approvalOut{Body: s.view(c, a)}, nil
}

type replyIn struct {
	ID       string `path:"id" maxLength:"64" pattern:"^apr_[0-9A-Za-z]+$"`
	Question string `path:"question" maxLength:"64" pattern:"^qst_[0-9A-Za-z]+$"`
	Body     SaidRequest
}

// An Answered tells only that the answer stands: whoever asks for an action sees
// nothing of the card here.
type Answered struct {
	Approval string `json:"approval"`
	Question string `json:"question"`
	Text     string `json:"text" doc:"As reviewers see it: masked"`
}

type answeredOut struct{ Body Answered }

// answerQuestion is open to the asker's side alone: the asking actor, or the person
// behind it. It answers a question and never a review.
func (s *server) answerQuestion(ctx context.Context, in *replyIn) (*answeredOut, error) {
	c, text := callerOf(ctx), s.Mask(in.Body.Text)
	r := approval.Reply{Approval: in.ID, Question: in.Question, Text: text, Channel: "api"}
	if c.Person != nil {
		r.Person = c.Person
	} else if held, err := s.own(ctx, in.ID); err != nil {
		return nil, err
	} else {
		r.Asker = &held.Asker
	}
	if _, err := s.Reviews.Reply(ctx, r); err != nil {
		return nil, err
	}
	return &answeredOut{Body: Answered{Approval: in.ID, Question: in.Question, Text: text}}, nil
}

// An OpenQuestion is one that waits for the asker's side.
type OpenQuestion struct {
	ID     string `json:"id"`
	Text   string `json:"text"`
	Answer string `json:"answer" doc:"Where to POST {\"text\": …}"`
}

func (s *server) openQuestions(a *approval.Approval) []OpenQuestion {
	if a.State != approval.Pending {
		return nil
	}
	var out []OpenQuestion
	for _, q := range a.Open() {
		out = append(out, OpenQuestion{ID: q.ID, Text: q.Text, Answer: fmt.Sprintf("%s/v1/approvals/%s/questions/%s/answer", s.base, a.ID, q.ID)})
	}
	return out
}

// talkProblem maps what the engine says about questions, answers and obligations.
func talkProblem(err error) *Problem {
	var obligation *approval.ObligationError
	switch {
	case errors.As(err, &obligation):
		return problem(http.StatusUnprocessableEntity, "obligation", "The review isn't recorded: "+obligation.Error()+".")
	case errors.Is(err, approval.ErrNotAsked):
		return problem(http.StatusForbidden, "not-asked", approval.ErrNotAsked.Error())
	case errors.Is(err, approval.ErrNoQuestion):
		return problem(http.StatusNotFound, "not-found", approval.ErrNoQuestion.Error())
	case errors.Is(err, approval.ErrTooMuch):
		return problem(http.StatusConflict, "too-many-questions", approval.ErrTooMuch.Error())
	case errors.Is(err, approval.ErrText):
		return problem(http.StatusUnprocessableEntity, "invalid", approval.ErrText.Error())
	}
	return nil
}
