package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/sealed"
)

// How old an issuer's word may be. A group that was taken away counts within
// AskEvery and the time of an answer; before a review it is asked for anew.
const (
	AskEvery     = 40 * time.Second
	ReviewMaxAge = 15 * time.Second
	tick         = 5 * time.Second
	sweepEvery   = 6 // ticks
	busyFor      = 20 * time.Second
	atOnce       = 8
)

// tokens are what an issuer gave with a session: encrypted under a key that the
// store never sees, bound to the session's id, and outside the log, because
// they change with each question.
type tokens struct {
	Refresh, Access string
	AccessEnds      time.Time
	Subject         string
	Key             string    `json:",omitempty"` // of the account, where it isn't Subject
	At              time.Time // of the issuer's last word
	Busy            time.Time // until when a replica is asking
}

func tokensOf(s *oidc.SignIn, at time.Time) tokens {
	return tokens{Refresh: s.Refresh, Access: s.Access, AccessEnds: s.AccessEnds, Subject: s.Subject, Key: s.Key, At: at}
}

func secretKey(id string) string { return "session/" + id }

func (m *Manager) keep(ctx context.Context, id string, t tokens) error {
	text, err := m.box.Seal(secretKey(id), t)
	if err != nil {
		return err
	}
	return m.o.Secrets.PutSetting(ctx, secretKey(id), []byte(text))
}

// kept errs when nothing is kept, or what is kept was changed: then nobody knows
// more than that a session was opened, and it ends.
func (m *Manager) kept(ctx context.Context, id string) (t tokens, err error) {
	text, err := m.o.Secrets.Setting(ctx, secretKey(id))
	if err != nil {
		return t, err
	}
	if err := m.box.Open(secretKey(id), string(text), &t); err != nil {
		return t, errors.Join(errLost, err)
	}
	return t, nil
}

var errLost = errors.New("what the issuer gave is gone")

func (m *Manager) watch(s Session, at time.Time) {
	if s.Issuer == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live[s.ID] == nil {
		m.live[s.ID] = &watched{Session: s, at: at}
	}
}

// hold tells the directory until when live sessions hold an account's groups:
// the longest of them, or none.
func (m *Manager) hold(account string) {
	var until time.Time
	m.mu.Lock()
	for _, w := range m.live {
		if w.Account == account && w.Expires.After(until) {
			until = w.Expires
		}
	}
	m.mu.Unlock()
	if until.IsZero() {
		m.o.People.Idle(account)
		return
	}
	m.o.People.Holds(account, until)
}

// forget drops a session that ended.
func (m *Manager) forget(id string) {
	m.mu.Lock()
	w := m.live[id]
	delete(m.live, id)
	m.mu.Unlock()
	if w != nil {
		m.hold(w.Account)
	}
}

// Fresh makes sure that the issuer's word on a session is at most ReviewMaxAge
// old, or that it can't be had: while the issuer is down, what it said last
// holds until the session ends. ErrNone: the session has ended over it.
func (m *Manager) Fresh(ctx context.Context, s *Session) error {
	if s.Issuer == "" {
		return nil
	}
	m.watch(*s, time.Time{})
	m.mu.Lock()
	w := m.live[s.ID]
	m.mu.Unlock()
	if w == nil {
		return ErrNone
	}
	// Who asks can't break the question off: then its answer would never count.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*busyFor)
	defer cancel()
	return m.ask(ctx, w, ReviewMaxAge)
}

// ask asks the issuer about a session unless it did within age.
func (m *Manager) ask(ctx context.Context, w *watched, age time.Duration) error {
	w.asking.Lock()
	defer w.asking.Unlock()
	// An issuer that hangs must not hold up each review of its people.
	if now := m.o.Clock(); now.Sub(w.at) < age || now.Sub(w.tried) < ReviewMaxAge {
		return nil
	}
	issuer := m.issuers[w.Issuer]
	if issuer == nil {
		return m.end(ctx, w, "its issuer is no longer configured")
	}
	t, mine, err := m.claim(ctx, w, age)
	switch {
	case errors.Is(err, errLost):
		return m.end(ctx, w, "what its issuer gave was lost or changed")
	case err != nil:
		return fmt.Errorf("asking about session %s: %w", w.ID, err)
	case !mine: // another replica asked a moment ago
		w.at = t.At
		m.hold(w.Account)
		return nil
	}
	before := oidc.SignIn{Issuer: w.Issuer, URL: issuer.URL(), Subject: t.Subject, Key: t.Key, Refresh: t.Refresh, Access: t.Access, AccessEnds: t.AccessEnds, AuthTime: w.AuthTime, AMR: w.AMR}
	if !issuer.CanAsk(&before) { // a short session: what was said holds until its end
		w.at = m.o.Clock()
		m.hold(w.Account)
		return nil
	}
	now, err := issuer.Again(ctx, before)
	return m.answered(ctx, w, t, now, err)
}

// claim reads what is kept and says that this replica is asking. Of two that do
// so at one moment both may ask; answered copes with it.
func (m *Manager) claim(ctx context.Context, w *watched, age time.Duration) (t tokens, mine bool, err error) {
	for {
		if t, err = m.kept(ctx, w.ID); err != nil {
			return t, false, err
		}
		now := m.o.Clock()
		if now.Sub(t.At) < age {
			return t, false, nil
		}
		if !now.Before(t.Busy) {
			break
		}
		select {
		case <-ctx.Done():
			return t, false, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	t.Busy = m.o.Clock().Add(busyFor)
	return t, true, m.keep(ctx, w.ID, t)
}

// answered takes the issuer's word over.
func (m *Manager) answered(ctx context.Context, w *watched, asked tokens, s *oidc.SignIn, err error) error {
	at := m.o.Clock()
	if errors.Is(err, oidc.ErrGone) {
		if t, kerr := m.kept(ctx, w.ID); kerr == nil && t.Refresh != asked.Refresh && at.Sub(t.At) < busyFor {
			w.at = t.At // another replica traded the same refresh token a moment before
			return nil
		}
		if lerr := m.o.People.Left(ctx, w.Account, "its issuer ended the sign-in"); lerr != nil {
			m.o.Logger.ErrorContext(ctx, "noting that an account left", "err", lerr)
		}
		return m.end(ctx, w, "its issuer ended the sign-in")
	}
	if errors.Is(err, oidc.ErrDown) {
		m.hold(w.Account) // what it said last holds while it is down
		w.tried, asked.Busy = at, time.Time{}
		return m.keep(ctx, w.ID, asked)
	}
	if err != nil {
		m.o.Logger.WarnContext(ctx, "an issuer's word on a session was refused", "session", w.ID, "err", err)
		return m.end(ctx, w, "its issuer's answer was not valid")
	}
	if err := m.keep(ctx, w.ID, tokensOf(s, at)); err != nil {
		return fmt.Errorf("keeping what an issuer gave: %w", err)
	}
	p, err := m.o.People.Refreshed(ctx, m.claims(s, w.Expires))
	switch {
	case errors.Is(err, ErrNobody):
		return m.end(ctx, w, "its account is in no group that is known here any more")
	case err != nil:
		return fmt.Errorf("noting what an issuer said: %w", err)
	case p.ID != w.Person:
		return m.end(ctx, w, "its account leads to another person now")
	}
	w.at = at
	m.hold(w.Account)
	return nil
}

// end ends a session over its issuer's word.
func (m *Manager) end(ctx context.Context, w *watched, why string) error {
	if err := m.End(ctx, w.ID, "server", why); err != nil && !errors.Is(err, ErrNone) {
		return err
	}
	m.forget(w.ID)
	return ErrNone
}

// Run keeps sessions true until ctx ends: it asks issuers, hears of changes on
// other replicas, and ends what has expired.
func (m *Manager) Run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	for _, i := range m.o.Issuers {
		work.Go(func() { i.Run(ctx) })
	}
	slots := make(chan struct{}, atOnce)
	t := time.NewTicker(m.o.Every)
	defer t.Stop()
	m.tellFirstAdmin(ctx)
	m.sweep(ctx)
	for ticks := 1; ; {
		for _, w := range m.due() {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			work.Go(func() {
				defer func() { <-slots }()
				if err := m.ask(ctx, w, AskEvery-tick-jitter(w.ID)); err != nil && !errors.Is(err, ErrNone) && ctx.Err() == nil {
					m.o.Logger.WarnContext(ctx, "asking an issuer about a session", "session", w.ID, "err", err)
				}
			})
		}
		select {
		case <-ctx.Done():
			return
		case id := <-m.changed:
			m.heard(ctx, id)
		case <-m.left:
			m.endGone(ctx)
		case <-t.C:
			if ticks++; ticks%sweepEvery == 0 { // what was missed; changes are heard of at once
				m.sweep(ctx)
			}
		}
	}
}

// due is whom to ask about now: those nobody is asking about already.
func (m *Manager) due() (out []*watched) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.live {
		if w.asking.TryLock() {
			if m.o.Clock().Sub(w.at) > AskEvery-2*tick {
				out = append(out, w)
			}
			w.asking.Unlock()
		}
	}
	return out
}

// heard takes over one row that changed, here or on another replica.
func (m *Manager) heard(ctx context.Context, id string) {
	if id == "" {
		m.tellFirstAdmin(ctx)
		return
	}
	s, err := m.byID(ctx, id)
	if err != nil {
		m.forget(id)
		return
	}
	m.take(ctx, *s)
}

// take watches a session that may have been opened elsewhere.
func (m *Manager) take(ctx context.Context, s Session) {
	m.mu.Lock()
	known := m.live[s.ID] != nil
	m.mu.Unlock()
	if known || s.Issuer == "" {
		return
	}
	at := time.Time{}
	if t, err := m.kept(ctx, s.ID); err == nil {
		at = t.At
	}
	m.watch(s, at)
	if m.o.Clock().Sub(at) < AskEvery {
		m.hold(s.Account)
	}
}

// sweep reads all live rows: what was missed is found, what expired is ended.
func (m *Manager) sweep(ctx context.Context) {
	all, err := m.List(ctx, "")
	if err != nil {
		if ctx.Err() == nil {
			m.o.Logger.ErrorContext(ctx, "reading the sessions", "err", err)
		}
		return
	}
	here := map[string]bool{}
	for _, s := range all {
		here[s.ID] = true
		m.take(ctx, s)
	}
	m.mu.Lock()
	var gone []string
	for id := range m.live {
		if !here[id] {
			gone = append(gone, id)
		}
	}
	m.mu.Unlock()
	for _, id := range gone {
		m.heard(ctx, id)
	}
	m.endGone(ctx)
	m.expire(ctx)
}

// expire ends what has run out. Another replica may do the same at that moment.
func (m *Manager) expire(ctx context.Context) {
	var ids []string
	err := m.o.Box.View(ctx, func(r *sealed.Reader) error {
		ids = nil
		due, err := kind.List(ctx, r, sealed.Selection{Key: live, Due: m.o.Clock(), Limit: 100})
		for _, e := range due {
			ids = append(ids, e.ID)
		}
		return err
	})
	for _, id := range ids {
		if err = m.End(ctx, id, "server", "expired"); errors.Is(err, ErrNone) || errors.Is(err, sealed.ErrConflict) {
			err = nil
		}
	}
	if err != nil && ctx.Err() == nil {
		m.o.Logger.WarnContext(ctx, "ending sessions that have expired", "err", err)
	}
}

// jitter spreads the questions of sessions that were opened at once.
func jitter(id string) time.Duration { return time.Duration(id[0]%5) * time.Second }
