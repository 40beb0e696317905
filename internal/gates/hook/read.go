package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/assenthq/assent/internal/jsontext"
)

// fields are the members of an object, as they stand in the document.
type fields map[string][]byte

func members(data []byte) (fields, error) {
	list, err := jsontext.Members(data)
	if err != nil {
		return nil, err
	}
	f := make(fields, len(list))
	for _, m := range list {
		f[m.Name] = m.Value
	}
	return f, nil
}

// has reports whether a member is there and not null.
func (f fields) has(name string) bool {
	v, ok := f[name]
	return ok && string(v) != "null"
}

// text is a member that is a string; "" where it is not there. Anything else is an error.
func (f fields) text(name string) (string, error) {
	if !f.has(name) {
		return "", nil
	}
	s, ok := jsontext.Text(f[name])
	if !ok {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// any is the first of several spellings of a string (a|b) that is there.
func (f fields) any(names string) (string, error) {
	for name := range strings.SplitSeq(names, "|") {
		if s, err := f.text(name); err != nil || s != "" {
			return s, err
		}
	}
	return "", nil
}

// into reads strings into the places named; the first error is returned.
func (f fields) into(places map[string]*string) error {
	for name, p := range places {
		s, err := f.text(name)
		if err != nil {
			return err
		}
		*p = s
	}
	return nil
}

// read reads one document.
func read(agent string, ad adapter, body []byte) (*Event, error) {
	f, err := members(body)
	if err != nil {
		return nil, err
	}
	e, err := ad.event(f)
	if err != nil {
		return nil, err
	}
	var ok bool
	if e.Phase, ok = ad.phases[e.Name]; !ok {
		return nil, fmt.Errorf("the event %q is not known here", cut(e.Name))
	}
	e.Agent = agent
	switch e.Phase {
	case Ask, Confirm:
		return e, e.checkCall()
	case After, Ended:
		if e.Tool == "" {
			return nil, errors.New("the tool has no name")
		}
	}
	return e, nil
}

// checkCall errs when a call has no input: a policy that judged {} in place of
// what runs would judge nothing.
func (e *Event) checkCall() error {
	switch {
	case e.Session == "":
		return errors.New("the session has no name")
	case e.Tool == "":
		return errors.New("the tool has no name")
	case len(e.Input) == 0 || e.Input[0] != '{':
		return errors.New("the input of the tool is missing")
	}
	return nil
}

// guess makes an event of a document that can't be read, so that the refusal has a
// form that the agent heeds. Only the form hangs on it: each one is a no.
func (ad adapter) guess(agent string, body []byte) *Event {
	e := &Event{Agent: agent, Phase: Unread}
	const key = `"hook_event_name"`
	if bytes.Count(body, []byte(key)) != 1 {
		return e
	}
	_, rest, _ := bytes.Cut(body, []byte(key))
	rest = bytes.TrimLeft(rest[:min(len(rest), 100)], " \t\r\n:")
	if name, _, ok := bytes.Cut(bytes.TrimPrefix(rest, []byte(`"`)), []byte(`"`)); ok {
		if phase, known := ad.phases[string(name)]; known && phase == Ask {
			e.Name, e.Phase = string(name), Ask
		}
	}
	return e
}

// document writes v as one line of JSON.
func document(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // of strings and JSON that was checked; Answer turns it into a refusal
	}
	return b.Bytes()
}
