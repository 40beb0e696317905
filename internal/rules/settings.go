package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/sealed"
)

// A Setting is one limit that may be changed while the server runs. Of each, less
// is stricter.
type Setting struct {
	Name    string // as the configuration calls it: limits.approval_window
	Doc     string
	Span    bool // a time, in seconds; else a number
	Default int64
	Least   int64
	Most    int64
}

// A SettingView is a setting as it holds now.
type SettingView struct {
	Setting
	Value   int64
	Changed bool // while running
}

// Text is a value for people, as Parse reads it.
func (s *Setting) Text(v int64) string {
	if !s.Span {
		return strconv.FormatInt(v, 10)
	}
	text := (time.Duration(v) * time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// parse reads a value as people write it.
func (s *Setting) parse(text string) (int64, error) {
	v, err := strconv.ParseInt(text, 10, 64)
	if s.Span {
		var d time.Duration
		d, err = time.ParseDuration(text)
		v = int64(d / time.Second)
		if d%time.Second != 0 {
			err = errors.New("no whole seconds")
		}
	}
	if err != nil || v < s.Least || v > s.Most {
		return 0, &change.BodyError{Problem: fmt.Sprintf("%s is between %s and %s", s.Name, s.Text(s.Least), s.Text(s.Most))}
	}
	return v, nil
}

// limits are what was changed while running, by name; there is one row.
type limits struct {
	Values map[string]int64 `json:"values"`
}

const (
	kept   = sealed.Kind[limits]("settings")
	keptID = "limits"
)

// A settingsChange is the body of one: values by name, null for the
// configuration's own, and the revision of the row it was asked at.
type settingsChange struct {
	Revision int64             `json:"revision"`
	Set      map[string]*int64 `json:"set"`
}

func (r *Rules) setting(name string) *Setting {
	i := slices.IndexFunc(r.o.Settings, func(s Setting) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &r.o.Settings[i]
}

func (r *Rules) read(ctx context.Context, rd *sealed.Reader) (*sealed.Entry[limits], error) {
	e, err := kept.Get(ctx, rd, keptID)
	if errors.Is(err, sealed.ErrNotFound) {
		return &sealed.Entry[limits]{ID: keptID, Value: limits{map[string]int64{}}}, nil
	}
	return e, err
}

// Settings lists them as the store has them.
func (r *Rules) Settings(ctx context.Context) (out []SettingView, err error) {
	var e *sealed.Entry[limits]
	if err := r.o.Box.View(ctx, func(rd *sealed.Reader) (err error) { e, err = r.read(ctx, rd); return err }); err != nil {
		return nil, fmt.Errorf("reading the settings: %w", err)
	}
	for _, s := range r.o.Settings {
		v := SettingView{Setting: s, Value: s.Default}
		if own, ok := e.Value.Values[s.Name]; ok {
			v.Value, v.Changed = own, true
		}
		out = append(out, v)
	}
	return out, nil
}

// Load has the settings hold that the store has. An error leaves those that held.
func (r *Rules) Load(ctx context.Context) error {
	r.apply.Lock()
	defer r.apply.Unlock()
	all, err := r.Settings(ctx)
	if err != nil {
		return err
	}
	values := map[string]int64{}
	for _, s := range all {
		values[s.Name] = s.Value
	}
	return r.o.Apply(values)
}

const lookEvery = 30 * time.Second

// Run takes over what is changed elsewhere, until ctx ends.
func (r *Rules) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.dirty:
		case <-tick.C:
		}
		if err := r.Load(ctx); err != nil && ctx.Err() == nil {
			r.o.Logger.ErrorContext(ctx, "the settings could not be read; the last ones stay", "err", err)
		}
	}
}

// ChangeSettings asks for other values, by name and as people write them; "" or
// "default" is the configuration's own.
func (r *Rules) ChangeSettings(ctx context.Context, set map[string]string, reason string, p change.Proposal) (change.Entry, error) {
	all, err := r.Settings(ctx)
	if err != nil {
		return change.Entry{}, err
	}
	c := settingsChange{Set: map[string]*int64{}}
	if err := r.o.Box.View(ctx, func(rd *sealed.Reader) error {
		e, err := r.read(ctx, rd)
		if err == nil {
			c.Revision = e.Revision
		}
		return err
	}); err != nil {
		return change.Entry{}, err
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(set)) {
		i := slices.IndexFunc(all, func(s SettingView) bool { return s.Name == name })
		if i < 0 {
			return change.Entry{}, &change.BodyError{Problem: fmt.Sprintf("%q is no setting that can be changed while running", name)}
		}
		s, to := &all[i], all[i].Default
		if text := strings.TrimSpace(set[name]); text != "" && text != "default" {
			if to, err = s.parse(text); err != nil {
				return change.Entry{}, err
			}
			c.Set[name] = &to
		} else {
			c.Set[name] = nil
		}
		_, _ = fmt.Fprintf(&b, "- %s = %s\n+ %s = %s\n", name, s.Text(s.Value), name, s.Text(to))
	}
	p.What, p.Title = settings, "Settings: "+strings.Join(slices.Sorted(maps.Keys(set)), ", ")
	p.Text = b.String() + because(p.Author, reason)
	if p.Body, err = json.Marshal(c); err != nil {
		return change.Entry{}, err
	}
	return r.o.Changes.Propose(ctx, p)
}

func (r *Rules) readSettings(body []byte) (*settingsChange, error) {
	var c settingsChange
	if err := strict(body, &c); err != nil {
		return nil, err
	}
	if len(c.Set) == 0 {
		return nil, &change.BodyError{Problem: "name a setting and its value"}
	}
	for name, v := range c.Set {
		s := r.setting(name)
		if s == nil || v != nil && (*v < s.Least || *v > s.Most) {
			return nil, &change.BodyError{Problem: fmt.Sprintf("%q is no setting, or can't have this value", name)}
		}
	}
	return &c, nil
}

func (r *Rules) checkSettings(_ context.Context, body []byte) error {
	_, err := r.readSettings(body)
	return err
}

// settingsTighten: each value is at most what it is now.
func (r *Rules) settingsTighten(ctx context.Context, rd *sealed.Reader, body []byte) (bool, error) {
	c, err := r.readSettings(body)
	if err != nil {
		return false, err
	}
	e, err := r.read(ctx, rd)
	if err != nil {
		return false, err
	}
	for name, v := range c.Set {
		s := r.setting(name)
		now, then := s.Default, s.Default
		if own, ok := e.Value.Values[name]; ok {
			now = own
		}
		if v != nil {
			then = *v
		}
		if then > now {
			return false, nil
		}
	}
	return true, nil
}

func (r *Rules) applySettings(ctx context.Context, w *sealed.Writer, id string, c *change.Change) error {
	s, err := r.readSettings(c.Body)
	if err != nil {
		return errors.Join(err, change.ErrStale)
	}
	e, err := r.read(ctx, &w.Reader)
	if err != nil {
		return err
	}
	if e.Revision != s.Revision {
		return fmt.Errorf("other settings came into force since: %w", change.ErrStale)
	}
	detail := map[string]string{"what": "settings", "change": id}
	if e.Value.Values == nil {
		e.Value.Values = map[string]int64{}
	}
	for name, v := range s.Set {
		if v == nil {
			delete(e.Value.Values, name)
			detail[name] = "as configured"
			continue
		}
		e.Value.Values[name] = *v
		detail[name] = r.setting(name).Text(*v)
	}
	return kept.Put(ctx, w, e, &audit.Record{Type: audit.TypeConfig, Person: c.Author, Approval: c.Approval, Detail: detail})
}
