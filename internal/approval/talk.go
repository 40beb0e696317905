package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

// Bounds of what is said about one approval.
const (
	maxQuestions = 10
	maxSaid      = 2000 // bytes of a question or an answer to it
)

// A Remark is a reviewer's question to the asker's side, or the answer. It decides
// nothing and moves no deadline; an answer is a claim like any other word of an asker.
type Remark struct {
	ID     string
	Of     string // id of the question that this answers; "": it is a question
	By     string // person or actor id
	Name   string
	Text   string // masked; escaped wherever it is shown
	Time   time.Time
	Person bool // said by a person; an answer may also come from the asking actor
}

// Errors of questions and answers.
var (
	ErrNoQuestion = errors.New("there is no such question that waits for an answer")
	ErrTooMuch    = fmt.Errorf("an approval has at most %d questions", maxQuestions)
	ErrNotAsked   = errors.New("only the asker, the person it acts for and its owner may answer this")
	ErrText       = fmt.Errorf("a question or an answer has 1 to %d bytes", maxSaid)
)

func said(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxSaid {
		return "", ErrText
	}
	return text, nil
}

// Question asks the asker's side. Those who may review may ask, also once they have.
func (e *Engine) Question(ctx context.Context, id string, by identity.Person, text, channel string) (a *Approval, err error) {
	if text, err = said(text); err != nil {
		return nil, fmt.Errorf("asking about %s: %w", id, err)
	}
	err = e.update(ctx, id, func(tx Tx) ([]Event, error) {
		if a, err = e.load(ctx, tx, id); err != nil {
			return nil, err
		}
		p, err := e.reviewer(a, by.ID, levels[len(levels)-1])
		if errors.Is(err, ErrReviewed) {
			known, _ := e.o.Directory.Person(by.ID)
			p, err = &known, nil
		}
		if err != nil {
			return nil, err
		}
		if len(a.questions()) >= maxQuestions {
			return nil, ErrTooMuch
		}
		return e.say(ctx, tx, a, Remark{ID: newID("qst_"), By: p.ID, Name: p.Name, Text: text, Person: true}, channel)
	})
	if err != nil {
		return nil, fmt.Errorf("asking about %s: %w", id, err)
	}
	return a, nil
}

// A Reply answers a question: of the person given, or else of the asking actor itself.
type Reply struct {
	Approval, Question string
	Person             *identity.Person
	Asker              *identity.Asker
	Text               string // masked
	Channel            string
}

// Reply records the asker's side's answer. Each question has one. Reviewers must have
// seen it: the version moves, and who looked before looks again.
func (e *Engine) Reply(ctx context.Context, in Reply) (a *Approval, err error) {
	if in.Text, err = said(in.Text); err != nil {
		return nil, fmt.Errorf("answering about %s: %w", in.Approval, err)
	}
	err = e.update(ctx, in.Approval, func(tx Tx) ([]Event, error) {
		if a, err = e.load(ctx, tx, in.Approval); err != nil {
			return nil, err
		}
		r := Remark{ID: newID("ans_"), Of: in.Question, Text: in.Text}
		switch {
		case a.State != Pending || !e.now().Before(a.Expires):
			return nil, ErrDecided
		case in.Person != nil:
			p, ok := e.o.Directory.Person(in.Person.ID)
			if !ok || !slices.Contains(e.persons(a), p.ID) {
				return nil, ErrNotAsked
			}
			r.By, r.Name, r.Person = p.ID, p.Name, true
		case in.Asker == nil || len(in.Asker.Chain) == 0 || in.Asker.Subject.ID != a.Asker.Subject.ID || !slices.Equal(in.Asker.Links(), a.Asker.Links()):
			return nil, ErrNotAsked
		default:
			r.By = in.Asker.Chain[0].ID
		}
		if !slices.ContainsFunc(a.Open(), func(q Remark) bool { return q.ID == in.Question }) {
			return nil, ErrNoQuestion
		}
		a.Version++
		return e.say(ctx, tx, a, r, in.Channel)
	})
	if err != nil {
		return nil, fmt.Errorf("answering about %s: %w", in.Approval, err)
	}
	return a, nil
}

func (a *Approval) questions() []Remark {
	return slices.DeleteFunc(slices.Clone(a.Remarks), func(r Remark) bool { return r.Of != "" })
}

// AnswersFor says whether a person is on the asker's side of a, and so may answer
// reviewers' questions.
func (e *Engine) AnswersFor(a *Approval, person string) bool {
	p, ok := e.o.Directory.Person(person)
	return ok && slices.Contains(e.persons(a), p.ID)
}

// Open are the questions that nobody has answered.
func (a *Approval) Open() []Remark {
	return slices.DeleteFunc(a.questions(), func(q Remark) bool {
		return slices.ContainsFunc(a.Remarks, func(r Remark) bool { return r.Of == q.ID })
	})
}

// say stores a remark with its record.
func (e *Engine) say(ctx context.Context, tx Tx, a *Approval, r Remark, channel string) ([]Event, error) {
	why, err := e.outdated(ctx, tx, a)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return nil, fmt.Errorf("%s: %w", why, ErrTampered)
	}
	r.Time = e.now()
	a.Remarks = append(a.Remarks, r)
	if err := e.save(ctx, tx, a, Pending); err != nil {
		return nil, err
	}
	rec := record(audit.TypeTalk, a)
	rec.Decision = "question"
	rec.Detail = map[string]string{"text": r.Text, "id": r.ID, "channel": channel, "version": strconv.FormatInt(a.Version, 10)}
	if r.Of != "" {
		rec.Decision, rec.Detail["of"] = "answer", r.Of
	}
	if r.Person {
		rec.Person = r.By
	}
	ev := a.event()
	ev.What = rec.Decision
	return []Event{ev}, e.o.Log.Append(ctx, tx, rec)
}
