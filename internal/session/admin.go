package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/sealed"
)

// LinkLife is how long the link for the first administrator works.
const LinkLife = 10 * time.Minute

// admin is who became the first administrator. There is one row of it, ever.
type admin struct {
	Person  string    `json:"person"`
	Account string    `json:"account"`
	At      time.Time `json:"at"`
}

// invitation is a link for the first administrator: known by a hash of its secret.
type invitation struct {
	Made time.Time `json:"made"`
	Used time.Time `json:"used,omitzero"`
}

const (
	adminKind  = sealed.Kind[admin]("admin")
	inviteKind = sealed.Kind[invitation]("invitation")
	firstAdmin = "first"
)

// ErrHasAdmin says that the deployment has its first administrator already.
var ErrHasAdmin = errors.New("this deployment has an administrator already")

// FirstAdmin is the account and person of the first administrator; "" when there is none.
func (m *Manager) FirstAdmin(ctx context.Context) (account, person string, err error) {
	err = m.o.Box.View(ctx, func(r *sealed.Reader) error {
		e, err := adminKind.Get(ctx, r, firstAdmin)
		if errors.Is(err, sealed.ErrNotFound) {
			return nil
		}
		if err == nil {
			account, person = e.Value.Account, e.Value.Person
		}
		return err
	})
	if err != nil {
		return "", "", fmt.Errorf("looking for the first administrator: %w", err)
	}
	return account, person, nil
}

func inviteID(secret string) string {
	sum := sha256.Sum256([]byte("assent-invitation\x00" + secret))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:15]))
}

// Invite makes the secret of a link whose bearer, once signed in, becomes the
// first administrator. It is for the terminal of whoever starts the server.
func (m *Manager) Invite(ctx context.Context) (secret string, err error) {
	if _, person, err := m.FirstAdmin(ctx); err != nil || person != "" {
		return "", errors.Join(ErrHasAdmin, err)
	}
	var raw [32]byte
	_, _ = rand.Read(raw[:])
	secret = base64.RawURLEncoding.EncodeToString(raw[:])
	now := m.o.Clock().UTC()
	err = m.o.Box.Update(ctx, func(w *sealed.Writer) error {
		return inviteKind.Put(ctx, w, &sealed.Entry[invitation]{ID: inviteID(secret), Due: now.Add(LinkLife), Value: invitation{Made: now}},
			&audit.Record{Type: audit.TypeChange, Decision: "link for the first administrator made", Detail: map[string]string{"expires": now.Add(LinkLife).Format(time.RFC3339)}})
	})
	if err != nil {
		return "", fmt.Errorf("inviting the first administrator: %w", err)
	}
	return secret, nil
}

// UseInvitation uses a link up: of two who present it, one goes on. ErrNone: it is none, used or too old.
func (m *Manager) UseInvitation(ctx context.Context, secret string) error {
	err := m.o.Box.Update(ctx, func(w *sealed.Writer) error {
		if _, err := adminKind.Get(ctx, &w.Reader, firstAdmin); !errors.Is(err, sealed.ErrNotFound) {
			return errors.Join(ErrHasAdmin, err)
		}
		e, err := inviteKind.Get(ctx, &w.Reader, inviteID(secret))
		now := m.o.Clock().UTC()
		switch {
		case errors.Is(err, sealed.ErrNotFound), err == nil && (!e.Value.Used.IsZero() || !now.Before(e.Due)):
			return ErrNone
		case err != nil:
			return err
		}
		e.Value.Used = now
		return inviteKind.Put(ctx, w, e, &audit.Record{Type: audit.TypeChange, Decision: "link for the first administrator used"})
	})
	if err != nil {
		return fmt.Errorf("using the link: %w", err)
	}
	return nil
}

// makeFirstAdmin makes who just signed in the first administrator. There is
// none before, and no second by this way ever.
func (m *Manager) makeFirstAdmin(ctx context.Context, person string, s *oidc.SignIn) error {
	account := s.Issuer + "|" + s.Account()
	err := m.o.Box.Update(ctx, func(w *sealed.Writer) error {
		if _, err := adminKind.Get(ctx, &w.Reader, firstAdmin); !errors.Is(err, sealed.ErrNotFound) {
			return errors.Join(ErrHasAdmin, err)
		}
		return adminKind.Put(ctx, w, &sealed.Entry[admin]{ID: firstAdmin, Value: admin{Person: person, Account: account, At: m.o.Clock().UTC()}},
			&audit.Record{Type: audit.TypeChange, Decision: "first administrator", Person: person, Detail: map[string]string{"account": account}})
	})
	if err != nil {
		return fmt.Errorf("making the first administrator: %w", err)
	}
	m.tellFirstAdmin(ctx)
	return nil
}

// tellFirstAdmin tells who is the first administrator.
func (m *Manager) tellFirstAdmin(ctx context.Context) {
	account, _, err := m.FirstAdmin(ctx)
	switch {
	case err != nil && ctx.Err() == nil:
		m.o.Logger.ErrorContext(ctx, "reading who is the first administrator", "err", err)
	case account != "" && m.o.FirstAdmin != nil:
		m.o.FirstAdmin(account)
	}
}
