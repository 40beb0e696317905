// Package enrol lets parts of a deployment that run elsewhere, connectors and
// gates, prove who they are: a small certificate authority, one-time tokens
// that get a first certificate, and certificates that are renewed before they end.
//
// It promises that a token works once, for the role and name it was made for,
// and that a certificate counts only while its entry does: Check reads the
// entry each time, so whoever was revoked is refused at the next handshake, and
// on live connections by whoever calls Check again (OnChange says when). A
// part that is not known, or an entry that can't be read, is refused.
//
// It can't see where a certificate's key is: who stole key and certificate is
// that part until it is revoked, or until both have ended.
package enrol

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
)

// A Role is what a part may be. A certificate of one is worth nothing as another's.
type Role string

// Roles.
const (
	Connector Role = "connector"
	Gate      Role = "gate"
)

// Errors that cross to whoever asked.
var (
	ErrToken   = errors.New("the enrolment token is not valid")
	ErrRefused = errors.New("the certificate does not count")
	ErrName    = errors.New("no such name can be enrolled")
	ErrUnknown = errors.New("nothing of that name is enrolled")
)

// DefaultLife is how long a certificate counts; it is renewed in the last third.
const DefaultLife = 24 * time.Hour

const (
	// skew is how far the clock of the other side may be behind ours.
	skew = time.Hour
	// MaxSystems bounds the names that one part may be enrolled for.
	MaxSystems = 256

	longestToken = 30 * 24 * time.Hour
	reading      = 5 * time.Second // time to read an entry
)

// Kind is how entries are stored.
const Kind = sealed.Kind[Member]("member")

// A Member is one part that runs elsewhere, from its invitation on. Entries are kept for ever.
type Member struct {
	Role    Role     `json:"role"`
	Name    string   `json:"name"`
	Systems []string `json:"systems,omitempty"` // what it may speak for

	Token  []byte    `json:"token"` // SHA-256 of the token's secret
	Until  time.Time `json:"until"` // the token counts before this moment
	By     string    `json:"by"`    // person who invited it
	ByName string    `json:"by_name"`
	At     time.Time `json:"at"`

	Enrolled time.Time `json:"enrolled,omitzero"` // the token was used
	Key      []byte    `json:"key,omitempty"`     // SHA-256 of its public key (SubjectPublicKeyInfo)
	Again    bool      `json:"again,omitempty"`   // somebody else came with the used token

	Ended   time.Time `json:"ended,omitzero"`
	EndedBy string    `json:"ended_by,omitempty"`
}

// An Entry is a Member with its id.
type Entry struct {
	ID string
	Member
}

// State is "invited", "enrolled", "expired" (nobody used the token in time) or "ended".
func (m *Member) State(now time.Time) string {
	switch {
	case !m.Ended.IsZero():
		return "ended"
	case !m.Enrolled.IsZero():
		return "enrolled"
	case !now.Before(m.Until):
		return "expired"
	}
	return "invited"
}

// Options says what an Authority works with. Box and Secret are needed.
type Options struct {
	Box *sealed.Box
	// Secret is 32 bytes or more that all nodes of a deployment share: the
	// authority's key is derived from it, so that all of them sign as one, and
	// a backup of the keys is one of the authority.
	Secret []byte
	Life   time.Duration // of certificates; 0: DefaultLife
	Clock  func() time.Time
	Logger *slog.Logger
}

// An Authority enrols parts and says who is one. It is safe for concurrent use.
type Authority struct {
	o    Options
	key  ed25519.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool

	mu  sync.Mutex
	own *tls.Certificate // ours, shown to parts; owned by mu
}

// New makes the authority of a deployment.
func New(o Options) (*Authority, error) {
	if o.Box == nil || len(o.Secret) < 32 {
		return nil, errors.New("enrol: sealed rows and a secret of 32 bytes are needed")
	}
	if o.Life == 0 {
		o.Life = DefaultLife
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	seed, err := hkdf.Key(sha256.New, o.Secret, nil, "assent enrolment authority 1", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("enrol: deriving the authority's key: %w", err)
	}
	a := &Authority{o: o, key: ed25519.NewKeyFromSeed(seed), pool: x509.NewCertPool()}
	// Nothing here is random or of today: each node makes the same bytes, which tokens pin.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Assent enrolment"},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2125, 12, 31, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(nil, template, template, a.key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("enrol: making the authority's certificate: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a.pool.AddCert(a.cert)
	return a, nil
}

var named = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// ValidName reports whether a part or a system may be called so.
func ValidName(name string) bool { return named.MatchString(name) }

// Invite makes a one-time token by which a part of that role and name enrols
// within life (at most 30 days), for these systems and no others. The token is
// told once; a hash of it is kept.
func (a *Authority) Invite(ctx context.Context, by identity.Person, role Role, name string, systems []string, life time.Duration) (string, Entry, error) {
	switch {
	case role != Connector && role != Gate || !ValidName(name):
		return "", Entry{}, fmt.Errorf("%w: %q: use lower-case letters, digits, '.', '_' and '-', 63 at most", ErrName, name)
	case len(systems) > MaxSystems || slices.ContainsFunc(systems, func(s string) bool { return !ValidName(s) }):
		return "", Entry{}, fmt.Errorf("%w: systems are at most %d names of lower-case letters, digits, '.', '_' and '-'", ErrName, MaxSystems)
	case life <= 0 || life > longestToken:
		return "", Entry{}, fmt.Errorf("%w: a token lives longer than 0 and at most 30 days", ErrName)
	}
	now := a.now()
	t := newToken(a.cert)
	systems = slices.Compact(slices.Sorted(slices.Values(systems)))
	m := Member{Role: role, Name: name, Systems: systems, Token: t.hash(), Until: now.Add(life), By: by.ID, ByName: by.Name, At: now}
	err := a.o.Box.Update(ctx, func(w *sealed.Writer) error {
		return Kind.Put(ctx, w, &sealed.Entry[Member]{ID: t.id, Key: key(role, name), Value: m}, record(&m, "invited", by.ID, ""))
	})
	if err != nil {
		return "", Entry{}, fmt.Errorf("inviting %s %s: %w", role, name, err)
	}
	return t.String(), Entry{ID: t.id, Member: m}, nil
}

// Enrol uses a token up: the key of the certificate request (PKCS #10, DER) is
// that part's from now on, and what enrolled under its name before is no more. It
// returns the certificate and the authority's, DER. The same key may come again
// with the token while that has not expired, because an answer may get lost;
// another key is refused, and an alarm.
func (a *Authority) Enrol(ctx context.Context, role Role, text string, request []byte, from string) ([][]byte, Entry, error) {
	t, err := ParseToken(text)
	if err != nil {
		return nil, Entry{}, err
	}
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil || csr.CheckSignature() != nil {
		return nil, Entry{}, fmt.Errorf("%w: it came without a certificate request that is signed by its key", ErrToken)
	}
	pin := pinOf(csr.RawSubjectPublicKeyInfo)
	var out Entry
	var refused error
	err = a.o.Box.Update(ctx, func(w *sealed.Writer) error {
		refused = nil
		e, err := Kind.Get(ctx, &w.Reader, t.id)
		if errors.Is(err, sealed.ErrNotFound) || err == nil && subtle.ConstantTimeCompare(e.Value.Token, t.hash()) != 1 {
			refused = ErrToken
			return nil
		}
		if err != nil {
			return err
		}
		m := &e.Value
		switch now := a.now(); {
		case m.Role != role:
			refused = fmt.Errorf("%w: it is for a %s", ErrToken, m.Role)
		case !m.Ended.IsZero():
			refused = fmt.Errorf("%w: %s %s was revoked, or enrolled again with another", ErrToken, m.Role, m.Name)
		case !now.Before(m.Until):
			refused = fmt.Errorf("%w: it expired; make another", ErrToken)
		case !m.Enrolled.IsZero() && subtle.ConstantTimeCompare(m.Key, pin) == 1: // its answer was lost
			out = Entry{ID: e.ID, Member: *m}
		case !m.Enrolled.IsZero():
			refused = fmt.Errorf("%w: it was used already; if that was not you, revoke %s and make another", ErrToken, m.Name)
			return a.usedAgain(ctx, w, e, from)
		default:
			if err := a.replace(ctx, w, m); err != nil {
				return err
			}
			m.Enrolled, m.Key = now, pin
			out = Entry{ID: e.ID, Member: *m}
			return Kind.Put(ctx, w, e, record(m, "enrolled", "", from))
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, Entry{}, fmt.Errorf("enrolling: %w", err)
	case refused != nil:
		return nil, Entry{}, refused
	}
	chain, err := a.sign(csr.PublicKey, &out)
	return chain, out, err
}

// usedAgain alarms once for each token: one of the two who had it stole it.
func (a *Authority) usedAgain(ctx context.Context, w *sealed.Writer, e *sealed.Entry[Member], from string) error {
	if e.Value.Again {
		return nil
	}
	e.Value.Again = true
	rec := record(&e.Value, "refused", "", from)
	rec.Type, rec.Detail["what"] = audit.TypeAlarm, "an enrolment token that was used came again with another key"
	return Kind.Put(ctx, w, e, rec)
}

// replace ends what enrolled under the name of m before.
func (a *Authority) replace(ctx context.Context, w *sealed.Writer, m *Member) error {
	former, err := Kind.List(ctx, &w.Reader, sealed.Selection{Key: key(m.Role, m.Name)})
	if err != nil {
		return err
	}
	for _, e := range former {
		if e.Value.Enrolled.IsZero() || !e.Value.Ended.IsZero() {
			continue
		}
		e.Value.Ended = a.now()
		if err := Kind.Put(ctx, w, e, record(&e.Value, "replaced", "", "")); err != nil {
			return err
		}
	}
	return nil
}

// Renew is another certificate for the key of one that counts still, which its
// holder has proved to have in a TLS handshake on the connection that asks.
func (a *Authority) Renew(ctx context.Context, leaf *x509.Certificate, role Role) ([][]byte, error) {
	e, err := a.Check(ctx, leaf, role)
	if err != nil {
		return nil, err
	}
	return a.sign(leaf.PublicKey, &e)
}

// Revoke ends a part and its unused tokens. It returns how many entries ended; ErrUnknown for none.
func (a *Authority) Revoke(ctx context.Context, by identity.Person, role Role, name string) (int, error) {
	n := 0
	err := a.o.Box.Update(ctx, func(w *sealed.Writer) error {
		n = 0
		list, err := Kind.List(ctx, &w.Reader, sealed.Selection{Key: key(role, name)})
		if err != nil {
			return err
		}
		for _, e := range list {
			if !e.Value.Ended.IsZero() {
				continue
			}
			e.Value.Ended, e.Value.EndedBy = a.now(), by.ID
			if err := Kind.Put(ctx, w, e, record(&e.Value, "revoked", by.ID, "")); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("revoking %s %s: %w", role, name, err)
	}
	if n == 0 {
		return 0, fmt.Errorf("%s %s: %w", role, name, ErrUnknown)
	}
	return n, nil
}

// List returns the entries of a role, by name and then newest first.
func (a *Authority) List(ctx context.Context, role Role) ([]Entry, error) {
	var out []Entry
	err := a.o.Box.View(ctx, func(r *sealed.Reader) error {
		list, err := Kind.All(ctx, r)
		if err != nil {
			return err
		}
		out = nil
		for _, e := range list {
			if e.Value.Role == role {
				out = append(out, Entry{ID: e.ID, Member: e.Value})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing what is enrolled: %w", err)
	}
	slices.SortFunc(out, func(x, y Entry) int {
		if c := strings.Compare(x.Name, y.Name); c != 0 {
			return c
		}
		return y.At.Compare(x.At)
	})
	return out, nil
}

// OnChange calls fn when an entry changed, here or on another node. fn must be
// quick or hand over. It may be late: who keeps a connection asks Check now and
// then as well.
func (a *Authority) OnChange(fn func()) { a.o.Box.Watch(string(Kind), func(string) { fn() }) }

// Check says whose certificate leaf is. It errs with ErrRefused unless the
// authority signed it for this role, it has not ended, and its entry counts; any other
// error means that it couldn't look, and nobody may come in by it either.
func (a *Authority) Check(ctx context.Context, leaf *x509.Certificate, role Role) (Entry, error) {
	id, err := a.verify(leaf, role)
	if err != nil {
		return Entry{}, err
	}
	e, err := a.entry(ctx, id)
	if err != nil {
		return Entry{}, err
	}
	m := &e.Member
	switch {
	case m.Enrolled.IsZero() || m.Role != role || address(m.Role, m.Name).String() != leaf.URIs[0].String(),
		subtle.ConstantTimeCompare(m.Key, pinOf(leaf.RawSubjectPublicKeyInfo)) != 1:
		return Entry{}, fmt.Errorf("%w: its entry is another's", ErrRefused)
	}
	return e, nil
}

// entry reads one, while it counts.
func (a *Authority) entry(ctx context.Context, id string) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, reading)
	defer cancel()
	var e *sealed.Entry[Member]
	err := a.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		e, err = Kind.Get(ctx, r, id)
		return err
	})
	switch {
	case errors.Is(err, sealed.ErrNotFound):
		return Entry{}, fmt.Errorf("%w: nothing like it is enrolled", ErrRefused)
	case err != nil:
		return Entry{}, fmt.Errorf("reading who is enrolled: %w", err)
	case !e.Value.Ended.IsZero():
		return Entry{}, fmt.Errorf("%w: %s %s was revoked, or enrolled again elsewhere", ErrRefused, e.Value.Role, e.Value.Name)
	}
	return Entry{ID: e.ID, Member: e.Value}, nil
}

// verify says which entry a certificate names.
func (a *Authority) verify(leaf *x509.Certificate, role Role) (id string, err error) {
	if leaf == nil {
		return "", fmt.Errorf("%w: none was shown", ErrRefused)
	}
	now := a.o.Clock()
	if now.After(leaf.NotAfter) {
		return "", fmt.Errorf("%w: it expired at %s; enrol again with a new token", ErrRefused, leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: a.pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return "", fmt.Errorf("%w: this deployment did not sign it for that use", ErrRefused)
	}
	if len(leaf.URIs) != 1 || leaf.URIs[0].Scheme != "assent" || leaf.URIs[0].Host != string(role) {
		return "", fmt.Errorf("%w: it is not a %s's", ErrRefused, role)
	}
	return leaf.Subject.SerialNumber, nil
}

// address is the URI that a certificate names its holder by.
func address(role Role, name string) *url.URL {
	return &url.URL{Scheme: "assent", Host: string(role), Path: "/" + name}
}

// control is the name of this side in its own certificate.
var control = "assent://control"

func (a *Authority) sign(public any, e *Entry) ([][]byte, error) {
	now := a.now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: e.Name, SerialNumber: e.ID}, URIs: []*url.URL{address(e.Role, e.Name)},
		NotBefore: now.Add(-skew), NotAfter: now.Add(a.o.Life), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of %s %s: %w", e.Role, e.Name, err)
	}
	return [][]byte{der, a.cert.Raw}, nil
}

// ServerTLS is TLS 1.3 for a listener that parts come to: it shows a certificate of
// the authority's, and asks for theirs without judging it. Who serves calls Check
// with what was shown; without any, nothing but Enrol may follow.
func (a *Authority) ServerTLS(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, NextProtos: protocols,
		SessionTicketsDisabled: true, // each connection proves its key
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.shown() },
	}
}

// shown is our own certificate, made again in the last third of its life.
func (a *Authority) shown() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.own != nil && !Due(a.own.Leaf, now) {
		return a.own, nil
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	name, err := url.Parse(control)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Assent"}, URIs: []*url.URL{name},
		NotBefore: now.Add(-skew), NotAfter: now.Add(DefaultLife), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a.own = &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: private, Leaf: leaf}
	return a.own, nil
}

// Due reports whether a certificate is in the last third of its life.
func Due(leaf *x509.Certificate, now time.Time) bool {
	life := leaf.NotAfter.Sub(leaf.NotBefore) - skew
	return !now.Before(leaf.NotAfter.Add(-life / 3))
}

func (a *Authority) now() time.Time { return a.o.Clock().UTC().Truncate(time.Microsecond) }

func key(role Role, name string) string { return string(role) + "/" + name }

func pinOf(spki []byte) []byte {
	sum := sha256.Sum256(spki)
	return sum[:]
}

func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (Go 1.24)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

func record(m *Member, what, by, from string) *audit.Record {
	r := &audit.Record{Type: audit.TypeMember, Person: by, Decision: what, Detail: map[string]string{"role": string(m.Role), "name": m.Name}}
	if len(m.Systems) > 0 {
		r.Detail["systems"] = strings.Join(m.Systems, " ")
	}
	if from != "" {
		r.Detail["from"] = from
	}
	return r
}
