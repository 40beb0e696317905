package console

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
)

// remark is a reviewer's question or the asker's side's answer, as the card shows it.
type remark struct {
	Who      []Piece
	Text     []Piece
	When     time.Time
	Answer   bool
	Question string // id of one that waits for an answer from who looks; "" else
}

// step is what happens while an approval waits.
type step struct {
	When time.Time
	Done bool
	Text []Piece
}

func (c *Console) remarksOf(a *approval.Approval, p *who) []remark {
	mine := c.o.Approvals.AnswersFor(a, p.ID)
	open := map[string]bool{}
	for _, q := range a.Open() {
		open[q.ID] = mine && a.State == approval.Pending
	}
	var out []remark
	for _, r := range a.Remarks {
		v := remark{Who: c.person(r.By, r.Name, p, "").Name, Text: visible(r.Text, maxClaim), When: r.Time, Answer: r.Of != ""}
		if open[r.ID] {
			v.Question = r.ID
		}
		out = append(out, v)
	}
	return out
}

// stepsOf are the steps taken, and the next one to come.
func stepsOf(a *approval.Approval) []step {
	var out []step
	for _, s := range a.Steps {
		v := step{When: s.At, Done: !s.Done.IsZero()}
		if v.Done {
			v.When = s.Done
		}
		who := strings.Join(labels(s.Groups), ", ")
		switch {
		case s.Do == approval.Remind && v.Done:
			v.Text = visible("reminded", maxTitle)
		case s.Do == approval.Remind:
			v.Text = visible("reminds those who were asked", maxTitle)
		case v.Done:
			v.Text = visible("also asked: "+who, maxTitle)
		default:
			v.Text = visible("will also ask "+who, maxTitle)
		}
		if !v.Done && a.State != approval.Pending {
			break
		}
		out = append(out, v)
		if !v.Done {
			break
		}
	}
	return out
}

// obligationOf reads what an approval is given with besides. The engine says whether
// it is tighter than what holds.
func obligationOf(r *http.Request) (o approval.Obligation, bad *verdict) {
	no := func(what string) (approval.Obligation, *verdict) {
		return o, &verdict{http.StatusUnprocessableEntity, what + " Nothing was decided."}
	}
	if text := strings.TrimSpace(r.PostFormValue("mask")); text != "" {
		o.Masks = map[string]string{}
		for _, one := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
			class, method, ok := strings.Cut(one, "=")
			if !ok {
				method = "redact"
			}
			o.Masks[class] = method
		}
	}
	if text := strings.TrimSpace(r.PostFormValue("max_rows")); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return no("The most rows are a whole number from 1.")
		}
		o.Rows = action.KnownCount(n)
	}
	if text := strings.TrimSpace(r.PostFormValue("within")); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 24*60 {
			return no("The time to use it is a number of minutes, from 1.")
		}
		o.Window = time.Duration(n) * time.Minute
	}
	return o, nil
}

// ask takes a reviewer's question; reply takes the answer of the asker's side.
// Neither decides anything.
func (c *Console) ask(w http.ResponseWriter, r *http.Request, p *who) {
	text := c.o.Mask(r.PostFormValue("text"))
	_, err := c.o.Approvals.Question(r.Context(), r.PathValue("id"), p.Person, text, "console")
	c.saidSo(w, r, err)
}

func (c *Console) reply(w http.ResponseWriter, r *http.Request, p *who) {
	person := p.Person
	_, err := c.o.Approvals.Reply(r.Context(), approval.Reply{
		Approval: r.PathValue("id"), Question: r.PostFormValue("question"), Person: &person,
		Text: c.o.Mask(r.PostFormValue("text")), Channel: "console",
	})
	c.saidSo(w, r, err)
}

func (c *Console) saidSo(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		http.Redirect(w, r, "/approvals/"+r.PathValue("id"), http.StatusSeeOther)
		return
	}
	status := http.StatusConflict
	for _, known := range []error{approval.ErrText, approval.ErrNotAsked, approval.ErrNoQuestion, approval.ErrTooMuch} {
		if errors.Is(err, known) {
			c.fail(w, r, status, fmt.Sprintf("It wasn't said: %s.", known), "Go back and look at the approval again.")
			return
		}
	}
	bad := c.refused(r, err)
	c.fail(w, r, bad.status, bad.says, "Go back and look at the approval again.")
}
