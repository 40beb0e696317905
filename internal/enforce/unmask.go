package enforce

import (
	"errors"
	"sync"

	"github.com/assenthq/assent/internal/mask"
)

// waiting is the statements, as they came, of the actions that wait at this node.
// They are nowhere else: what is stored of an approval is masked.
type waiting struct {
	mu         sync.Mutex
	statements map[string]*statement // by approval; owned by mu
}

type statement struct {
	text   string
	askers int // the same action may be asked by several connections of one asker
}

// enter keeps a statement until the function it returns is called.
func (w *waiting) enter(id, text string) (leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.statements == nil {
		w.statements = map[string]*statement{}
	}
	s := w.statements[id]
	if s == nil {
		s = &statement{text: text}
		w.statements[id] = s
	}
	s.askers++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if s.askers--; s.askers == 0 {
			delete(w.statements, id)
		}
	}
}

// ErrNotHere says that nobody waits with this action at this node now: its asker
// left, asked over the API, or waits at another node.
var ErrNotHere = errors.New("the action's own text is not here: its asker left, waits at another node, or asked over the API")

// MaskedValue is the value at masked span n of the statement of an approval whose
// asker waits at this node. The caller has put on record that it is shown.
func (e *Enforcer) MaskedValue(approval string, n int) (value, class string, err error) {
	e.waiting.mu.Lock()
	s := e.waiting.statements[approval]
	e.waiting.mu.Unlock()
	if s == nil {
		return "", "", ErrNotHere
	}
	value, class, ok := mask.MaskedValue(s.text, e.o.Detect, n)
	if !ok {
		return "", "", errors.New("there is no such masked value")
	}
	return value, class, nil
}
