package webpush

import (
	"context"
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/sealed"
)

// subscription is one browser of one person. Its endpoint is as good as a
// password for disturbing them.
type subscription struct {
	Person   string    `json:"person"`
	Endpoint string    `json:"endpoint"`
	Key      string    `json:"p256dh"`
	Auth     string    `json:"auth"`
	Browser  string    `json:"browser,omitempty"` // as it calls itself
	Made     time.Time `json:"made"`
	Seen     time.Time `json:"seen"` // last signed in
	Ended    bool      `json:"ended,omitempty"`
}

const subscriptionKind = sealed.Kind[subscription]("push")

const (
	mostEach = 10
	unseen   = 60 * 24 * time.Hour // and a browser that nobody signed in with is told nothing more
)

// ErrRefused is what can't be subscribed; its text says why.
var ErrRefused = errors.New("this browser can't be told")

// A Browser is one that is told, for its person to read.
type Browser struct {
	ID, Name   string
	Made, Seen time.Time
}

// Subscribe has a browser told what a person is asked from now on, or notes that it
// is still theirs. The browser is shown at once that it worked.
func (c *Channel) Subscribe(ctx context.Context, person, browser, endpoint, key, auth string) error {
	if len(endpoint) > 2000 || len(browser) > 200 {
		return fmt.Errorf("%w: what it says of itself is too long", ErrRefused)
	}
	if err := c.takes(endpoint); err != nil {
		return fmt.Errorf("%w: its push service is on no list; an administrator can name it under services", ErrRefused)
	}
	point, err := base64.RawURLEncoding.DecodeString(key)
	if err == nil {
		_, err = ecdh.P256().NewPublicKey(point)
	}
	secret, err2 := base64.RawURLEncoding.DecodeString(auth)
	if err != nil || err2 != nil || len(secret) != 16 {
		return fmt.Errorf("%w: its keys are none", ErrRefused)
	}
	all, err := c.of(ctx, person)
	if err != nil {
		return err
	}
	id, now := rowID(endpoint), c.o.Clock().UTC()
	there := slices.ContainsFunc(all, func(e *sealed.Entry[subscription]) bool { return e.ID == id })
	if !there && len(all) >= mostEach {
		return fmt.Errorf("%w: %d of your browsers are told already; end one of them", ErrRefused, mostEach)
	}
	s := subscription{Person: person, Endpoint: endpoint, Key: key, Auth: auth, Browser: browser, Made: now, Seen: now}
	if !there {
		hello := &note{Title: "Assent tells you here from now on", Body: "When an action waits for your answer.", Tag: tag(id), Path: "/settings"}
		if err := c.send(ctx, &s, hello, nil); err != nil {
			return fmt.Errorf("%w: %s", ErrRefused, says(err))
		}
	}
	return c.o.Box.Update(ctx, func(w *sealed.Writer) error {
		e, err := subscriptionKind.Get(ctx, &w.Reader, id)
		if errors.Is(err, sealed.ErrNotFound) {
			e, err = &sealed.Entry[subscription]{ID: id}, nil
		}
		if err != nil {
			return err
		}
		if there {
			s.Made = e.Value.Made
		}
		e.Key, e.Value = person, s
		return subscriptionKind.Put(ctx, w, e, record("browser told", &s, ""))
	})
}

func says(err error) string {
	if errors.Is(err, notify.ErrNever) {
		return "its push service refuses it"
	}
	return err.Error()
}

// Browsers are those of a person that are told.
func (c *Channel) Browsers(ctx context.Context, person string) ([]Browser, error) {
	all, err := c.of(ctx, person)
	var out []Browser
	for _, e := range all {
		out = append(out, Browser{ID: e.ID, Name: e.Value.Browser, Made: e.Value.Made, Seen: e.Value.Seen})
	}
	return out, err
}

// Unsubscribe has a browser of a person told nothing more.
func (c *Channel) Unsubscribe(ctx context.Context, person, id string) error {
	all, err := c.of(ctx, person)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(e *sealed.Entry[subscription]) bool { return e.ID == id })
	if i < 0 {
		return fmt.Errorf("%w: there is no such browser of yours", ErrRefused)
	}
	return c.forget(ctx, all[i], "")
}

// of are the browsers of a person that are to be told now.
func (c *Channel) of(ctx context.Context, person string) (out []*sealed.Entry[subscription], err error) {
	err = c.o.Box.View(ctx, func(r *sealed.Reader) error {
		all, err := subscriptionKind.List(ctx, r, sealed.Selection{Key: person})
		now := c.o.Clock()
		for _, e := range all {
			if v := &e.Value; v.Person == person && !v.Ended && now.Sub(v.Seen) < unseen {
				out = append(out, e)
			}
		}
		return err
	})
	return out, err
}

func (c *Channel) forget(ctx context.Context, e *sealed.Entry[subscription], why string) error {
	err := c.o.Box.Update(ctx, func(w *sealed.Writer) error {
		e.Key, e.Value.Ended, e.Value.Endpoint, e.Value.Key, e.Value.Auth = "", true, "", "", ""
		return subscriptionKind.Put(ctx, w, e, record("browser no longer told", &e.Value, why))
	})
	if errors.Is(err, sealed.ErrConflict) { // somebody else did
		return nil
	}
	return err
}

func record(what string, s *subscription, why string) *audit.Record {
	r := &audit.Record{Type: audit.TypePerson, Decision: what, Person: s.Person, Detail: map[string]string{"browser": s.Browser}}
	if why != "" {
		r.Detail["why"] = why
	}
	return r
}

// rowID names a browser without saying where it is reached.
func rowID(endpoint string) string {
	sum := sha256.Sum256([]byte("assent-push-at/1 " + endpoint))
	return hex.EncodeToString(sum[:12])
}
