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
)

const (
	sessionLife = 12 * time.Hour
	linkLife    = 10 * time.Minute
	maxLinks    = 1000   // outstanding one-time links; past it the oldest go
	maxSessions = 10_000 // past it nobody new signs in
)

// A Session is one signed-in browser. Its secret is never stored: stores know it by its hash.
type Session struct {
	Person  string // person id
	CSRF    string // must come back in each request that changes something
	Created time.Time
	Expires time.Time
	// Token is the id of the token it was opened with; "" for a one-time link.
	Token string
}

// Sessions keeps sessions by the SHA-256 of their secret.
type Sessions interface {
	Put(ctx context.Context, hash [32]byte, s Session) error
	Get(ctx context.Context, hash [32]byte) (Session, bool, error)
	Delete(ctx context.Context, hash [32]byte) error
}

// memorySessions is the store of a single process. mu owns byHash.
type memorySessions struct {
	mu     sync.Mutex
	byHash map[[32]byte]Session
}

func newMemorySessions() *memorySessions {
	return &memorySessions{byHash: map[[32]byte]Session{}}
}

func (m *memorySessions) Put(_ context.Context, hash [32]byte, s Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for h, old := range m.byHash {
		if s.Created.After(old.Expires) {
			delete(m.byHash, h)
		}
	}
	if len(m.byHash) >= maxSessions {
		return errors.New("too many sessions are open")
	}
	m.byHash[hash] = s
	return nil
}

func (m *memorySessions) Get(_ context.Context, hash [32]byte) (Session, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.byHash[hash]
	return s, ok, nil
}

func (m *memorySessions) Delete(_ context.Context, hash [32]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byHash, hash)
	return nil
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
	Session Session
	hash    [32]byte
}

// visitor returns who sent r, or false. The person is looked up again each
// time, and the token they signed in with: one who left the directory, or whose
// token was revoked, is signed out by that.
func (c *Console) visitor(r *http.Request) (*who, bool) {
	k, err := r.Cookie(c.cookie)
	if err != nil {
		return nil, false
	}
	w := &who{hash: hashOf(k.Value)}
	s, ok, err := c.o.Sessions.Get(r.Context(), w.hash)
	if err != nil {
		c.o.Logger.ErrorContext(r.Context(), "reading a console session", "err", err)
		return nil, false
	}
	if !ok || !c.o.Clock().Before(s.Expires) {
		return nil, false
	}
	if s.Token != "" && c.o.TokenHolds != nil && c.o.TokenHolds(r.Context(), s.Token) != nil {
		return nil, false
	}
	w.Session = s
	w.Person, ok = c.o.People.Person(s.Person)
	return w, ok
}

// signedIn runs next for a signed-in person only, and a request that changes
// something only with that session's CSRF token.
func (c *Console) signedIn(next func(http.ResponseWriter, *http.Request, *who)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, ok := c.visitor(r)
		if !ok {
			if r.Method == http.MethodGet && r.URL.Path != "/events" {
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
