package pins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/sealed"
)

const what = "tool"

// What is done to a tool.
const (
	release = "release" // what is held is pinned
	hold    = "hold"    // what is pinned is held
)

// A move is the body of a change of a tool: of exactly this definition.
type move struct {
	Do     string `json:"do"`
	Tool   string `json:"tool"` // id
	Digest string `json:"digest"`
}

// HandleWith has e release and hold tools, before anybody asks. Holding happens at once.
func (k *Keeper) HandleWith(e *change.Engine) {
	k.changes = e
	e.Handle(what, change.Applier{
		Check: func(_ context.Context, body []byte) error {
			m, err := moveOf(body)
			if err != nil {
				return err
			}
			t, err := k.Get(m.Tool)
			if err != nil {
				return err
			}
			return m.fits(&t)
		},
		Tightens: func(_ context.Context, _ *sealed.Reader, body []byte) (bool, error) {
			m, err := moveOf(body)
			return err == nil && m.Do == hold, err
		},
		Apply: k.apply,
	})
}

func moveOf(body []byte) (move, error) {
	var m move
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(&m)
	return m, err
}

// fits errs where m was asked of another definition than there is now.
func (m *move) fits(t *Tool) error {
	switch {
	case m.Do == release && t.Held == nil:
		return fmt.Errorf("it isn't held: %w", ErrRefused)
	case m.Do == release && t.Held.Digest != m.Digest, m.Do == hold && (t.Pinned == nil || t.Pinned.Digest != m.Digest):
		return fmt.Errorf("its definition is another now: look at it again: %w", ErrRefused)
	case m.Do != release && m.Do != hold:
		return fmt.Errorf("there is no %q of a tool: %w", m.Do, ErrRefused)
	}
	return nil
}

func (k *Keeper) apply(ctx context.Context, w *sealed.Writer, id string, c *change.Change) error {
	m, err := moveOf(c.Body)
	if err != nil {
		return errors.Join(err, change.ErrStale)
	}
	e, err := rows.Get(ctx, &w.Reader, m.Tool)
	if err != nil {
		return errors.Join(err, change.ErrStale)
	}
	t := &e.Value
	if err := m.fits(t); err != nil {
		return errors.Join(err, change.ErrStale)
	}
	rec := &audit.Record{
		Type: audit.TypeTool, Gate: t.Gate, Person: c.Author,
		Detail: map[string]string{"server": t.Server, "tool": shown(t.Name), "digest": m.Digest, "change": id},
	}
	now := k.o.Clock().UTC()
	if m.Do == release {
		t.Pinned, t.Held, rec.Decision = &Form{Digest: m.Digest, Definition: t.Held.Definition, At: now, By: c.Author, Why: t.Held.Why}, nil, "released"
	} else {
		t.Held, t.Pinned, rec.Decision = &Form{Digest: m.Digest, Definition: t.Pinned.Definition, At: now, By: c.Author, Why: []string{"an administrator holds it"}}, nil, "held"
	}
	e.Key = t.State()
	return rows.Put(ctx, w, e, rec)
}

// Release asks to rely on the definition of this digest, which is held.
func (k *Keeper) Release(ctx context.Context, id, digest, reason string, p change.Proposal) (change.Entry, error) {
	t, err := k.Get(id)
	if err != nil {
		return change.Entry{}, err
	}
	p.Title = fmt.Sprintf("Release the tool %s of %s", shown(t.Name), shown(t.Server))
	p.Text = k.text(&t) + because(p.Author.Name, reason)
	return k.propose(ctx, move{release, id, digest}, &t, p)
}

// Hold refuses calls of a tool from now on.
func (k *Keeper) Hold(ctx context.Context, id, reason string, p change.Proposal) (change.Entry, error) {
	t, err := k.Get(id)
	if err != nil {
		return change.Entry{}, err
	}
	if t.Pinned == nil {
		return change.Entry{}, fmt.Errorf("it is held already: %w", ErrRefused)
	}
	p.Title = fmt.Sprintf("Hold the tool %s of %s", shown(t.Name), shown(t.Server))
	p.Text = "Calls are refused until somebody releases it.\n" + because(p.Author.Name, reason)
	return k.propose(ctx, move{hold, id, t.Pinned.Digest}, &t, p)
}

func (k *Keeper) propose(ctx context.Context, m move, t *Tool, p change.Proposal) (change.Entry, error) {
	if k.changes == nil {
		return change.Entry{}, change.ErrWhat
	}
	if err := m.fits(t); err != nil {
		return change.Entry{}, err
	}
	var err error
	if p.Body, err = json.Marshal(m); err != nil {
		return change.Entry{}, err
	}
	p.What = what
	return k.changes.Propose(ctx, p)
}

// text is what people read before they release a tool.
func (k *Keeper) text(t *Tool) string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%s of server %s, at gate %s, is held: ", shown(t.Name), shown(t.Server), shown(t.Gate))
	if t.Held != nil {
		b.WriteString(strings.Join(t.Held.Why, "; "))
	}
	b.WriteString(".\nThese are its server's words:\n\n")
	for _, l := range k.Diff(t) {
		if l.Op != " " {
			b.WriteString(l.Op + " " + l.Text + "\n")
		}
	}
	return b.String()
}

func because(name, reason string) string {
	if reason = strings.TrimSpace(reason); reason == "" {
		return ""
	}
	return fmt.Sprintf("\n%s says why:\n  %s\n", name, reason)
}
