package decisionpoint

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/jsontext"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/show"
)

// Bounds of an answer.
const (
	maxReason      = 500
	maxObligations = 20
	maxGroups      = 20
	maxCount       = 20
)

// parse reads the response of section 6.2. Members that AuthZEN doesn't name are passed
// over; an obligation that isn't known here denies, since nobody would carry it out.
func (p *Point) parse(b []byte) (Answer, error) {
	top, err := members(b, "decision", "context")
	if err != nil {
		return Answer{}, fmt.Errorf("the answer can't be read: %w", err)
	}
	a := Answer{Verdict: policy.Deny}
	switch string(top["decision"]) {
	case "true":
		a.Verdict = policy.Allow
	case "false":
	default:
		return Answer{}, errors.New("the answer has no decision that is true or false")
	}
	if top["context"] == nil || string(top["context"]) == "null" {
		return a, nil
	}
	context, err := members(top["context"], "obligations")
	if err != nil {
		return Answer{}, fmt.Errorf("the answer's context can't be read: %w", err)
	}
	a.Reason = reasonOf(context)
	if context["obligations"] == nil || string(context["obligations"]) == "null" {
		return a, nil
	}
	return p.obliged(a, context["obligations"])
}

// obliged is a with its obligations: people are asked where all there is to do is to ask them.
func (p *Point) obliged(a Answer, list []byte) (Answer, error) {
	all, err := jsontext.Elements(list)
	if err != nil {
		return Answer{}, fmt.Errorf("the answer's obligations can't be read: %w", err)
	}
	if len(all) > maxObligations {
		return Answer{}, fmt.Errorf("the answer has more than %d obligations", maxObligations)
	}
	for _, one := range all {
		o, err := members(one)
		if err != nil {
			return Answer{}, fmt.Errorf("an obligation can't be read: %w", err)
		}
		kind, _ := jsontext.Text(o["type"])
		props, err := members(o["properties"])
		what, _ := jsontext.Text(props["action"])
		if err != nil || kind != "custom" || what != "review" || a.From != nil {
			if a.Verdict == policy.Deny && a.From == nil {
				return a, nil // a denial stands, whatever else it would have
			}
			return Answer{}, errors.New("the answer has an obligation that is not known here: one of type custom whose action is review is")
		}
		if a.From, a.Count, err = p.asked(props); err != nil {
			return Answer{}, err
		}
	}
	if a.From != nil {
		a.Verdict = policy.Review
	}
	return a, nil
}

// asked is who reviews: whom the answer names, or whom the configuration does.
func (p *Point) asked(props map[string][]byte) ([]string, int, error) {
	from, count := p.o.From, p.o.Count
	if props["from"] != nil {
		groups, err := jsontext.Elements(props["from"])
		if err != nil || len(groups) == 0 || len(groups) > maxGroups {
			return nil, 0, errors.New("the review that the answer asks for names no groups")
		}
		from, count = nil, 1
		for _, g := range groups {
			name, _ := jsontext.Text(g)
			if !policy.ValidGroup(name) {
				return nil, 0, errors.New("the review that the answer asks for names what is no group: group:NAME is one")
			}
			from = append(from, name)
		}
	}
	if props["count"] != nil {
		n, err := strconv.Atoi(string(props["count"]))
		if err != nil || n < 1 || n > maxCount {
			return nil, 0, fmt.Errorf("the review that the answer asks for is not by 1 to %d people", maxCount)
		}
		count = n
	}
	if len(from) == 0 {
		return nil, 0, errors.New("the answer asks for a review, and neither it nor the configuration says whose")
	}
	return from, count, nil
}

// reasonOf is what the point gives as its reason: a text, or the first of several by language.
func reasonOf(context map[string][]byte) string {
	for _, name := range []string{"reason_admin", "reason"} {
		if text, ok := jsontext.Text(context[name]); ok {
			return show.Plain(text, maxReason)
		}
		texts, err := jsontext.Members(context[name])
		if err != nil || len(texts) == 0 {
			continue
		}
		if text, ok := jsontext.Text(texts[0].Value); ok {
			return show.Plain(text, maxReason)
		}
	}
	return ""
}

// members are those of an object by name. A name that stands twice, in any spelling, is an
// error, and so is one of exact in another spelling: some readers would take it for that one.
func members(b []byte, exact ...string) (map[string][]byte, error) {
	list, err := jsontext.Members(b)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]byte, len(list))
	for _, m := range list {
		for _, name := range exact {
			if m.Name != name && strings.EqualFold(m.Name, name) {
				return nil, fmt.Errorf("%s is spelled otherwise", name)
			}
		}
		out[m.Name] = m.Value
	}
	return out, nil
}
