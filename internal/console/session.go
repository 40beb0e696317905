package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/session"
)

const (
	linkLife = 10 * time.Minute
	maxLinks = 1000 // outstanding one-time links; past it the oldest go
)

// Sessions keeps who is signed in.
type Sessions interface {
	// Open returns the secret that the browser's cookie holds.
	Open(ctx context.Context, o session.Opening) (secret string, s *session.Session, err error)
	// Get errs with session.ErrNone when nobody is signed in by a secret.
	Get(ctx context.Context, secret string) (*session.Session, error)
	// List is the open ones of a person; of everybody where person is "".
	List(ctx context.Context, person string) ([]session.Session, error)
	End(ctx context.Context, id, by, why string) error
	// Fresh has the issuer confirm a session. session.ErrNone: it doesn't.
	Fresh(ctx context.Context, s *session.Session) error
}

// link is an unused one-time link; links are kept by hash, so that a dump of
// memory or a log of it signs nobody in.
type link struct {
	person  string
	expires time.Time
}

// links holds the outstanding one-time links. mu owns byHash.
type links struct {
	mu     sync.Mutex
	byHash map[[32]byte]link
}

func (l *links) add(hash [32]byte, n link, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var oldest [32]byte
	for h, k := range l.byHash {
		if now.After(k.expires) {
			delete(l.byHash, h)
		} else if o, ok := l.byHash[oldest]; !ok || k.expires.Before(o.expires) {
			oldest = h
		}
	}
	if len(l.byHash) >= maxLinks {
		delete(l.byHash, oldest)
	}
	l.byHash[hash] = n
}

// take uses a link up: of two who present it, one gets in.
func (l *links) take(hash [32]byte, now time.Time) (person string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.byHash[hash]
	delete(l.byHash, hash)
	return k.person, ok && now.Before(k.expires)
}

// newSecret is 32 random bytes in unpadded base64url.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails (Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func hashOf(secret string) [32]byte { return sha256.Sum256([]byte("assent-console\x00" + secret)) }

// SignInLink makes a link that signs person in once within ten minutes. It is
// a secret: print it on a terminal, never in a log.
func (c *Console) SignInLink(person identity.Person) string {
	secret, now := newSecret(), c.o.Clock()
	c.links.add(hashOf(secret), link{person: person.ID, expires: now.Add(linkLife)}, now)
	return c.o.PublicURL + "/signin?t=" + secret
}

// who is the signed-in person of a request.
type who struct {
	identity.Person
	Session session.Session
}

// assurance is what this person's review is worth: what their session was opened by.
func (w *who) assurance() string { return w.Session.Assurance() }

// visitor returns who sent r, or false. The person is looked up again each
// time, and the token they signed in with: one who left the directory, or whose
// token was revoked, is signed out by that.
func (c *Console) visitor(r *http.Request) (*who, bool) {
	k, err := r.Cookie(c.cookie)
	if err != nil {
		return nil, false
	}
	s, err := c.o.Sessions.Get(r.Context(), k.Value)
	if errors.Is(err, session.ErrNone) {
		return nil, false
	}
	if err != nil {
		c.o.Logger.ErrorContext(r.Context(), "reading a console session", "err", err)
		return nil, false
	}
	if s.How == session.ByToken && (c.o.TokenHolds == nil || c.o.TokenHolds(r.Context(), s.Token) != nil) {
		return nil, false
	}
	w := &who{Session: *s}
	found, ok := c.o.People.Person(s.Key())
	w.Person = found
	return w, ok && s.Assurance() != "" // a command's session opens no page
}

// signedIn runs next for a signed-in person only, and a request that changes
// something only with that session's CSRF token.
func (c *Console) signedIn(next func(http.ResponseWriter, *http.Request, *who)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, ok := c.visitor(r)
		if !ok {
			if r.Method == http.MethodGet && r.URL.Path != "/events" && r.URL.Path != "/activity/stream" {
				c.askToSignIn(w, r)
				return
			}
			http.Error(w, "You are not signed in. Nothing was decided.", http.StatusUnauthorized)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			token := r.Header.Get("X-CSRF-Token")
			if token == "" {
				token = r.PostFormValue("csrf")
			}
			if subtle.ConstantTimeCompare([]byte(token), []byte(p.Session.CSRF)) != 1 {
				http.Error(w, "The page was too old to be trusted. Reload it and try again; nothing was decided.", http.StatusForbidden)
				return
			}
		}
		next(w, r, p)
	}
}

// confirmed has the issuer confirm the person's session and groups before they
// decide, and reads the person anew. false: they are signed out by it.
func (c *Console) confirmed(r *http.Request, p *who) bool {
	if err := c.o.Sessions.Fresh(r.Context(), &p.Session); err != nil {
		if !errors.Is(err, session.ErrNone) {
			c.o.Logger.ErrorContext(r.Context(), "confirming a console session", "err", err)
		}
		return false
	}
	var ok bool
	p.Person, ok = c.o.People.Person(p.Session.Key())
	return ok
}

// askToSignIn sends to the sign-in page. A browser that comes from a link
// elsewhere doesn't send a Strict cookie: then the page is asked for once more,
// by ourselves, before anybody is taken for signed out.
func (c *Console) askToSignIn(w http.ResponseWriter, r *http.Request) {
	next := nextPage(r.URL.Path)
	if site := r.Header.Get("Sec-Fetch-Site"); next != "" && (site == "cross-site" || site == "same-site") {
		c.page(w, r, http.StatusOK, "again", message{Theme: theme(r), Next: next})
		return
	}
	to := "/signin"
	if next != "" {
		to += "?next=" + url.QueryEscape(next)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}
