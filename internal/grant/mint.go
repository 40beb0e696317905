package grant

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/evidence"
)

// MaxLife is the longest that a grant may live.
const MaxLife = evidence.MaxGrantLife

// A Minter mints grants with the newest key of its key file and verifies them
// with all of them. It is safe for concurrent use.
type Minter struct {
	issuer string
	path   string

	mu   sync.RWMutex // guards what follows
	keys keyset
	jwks []byte
}

// NewMinter reads the key file, or makes one with a fresh Ed25519 key. issuer
// is the deployment's public URL.
func NewMinter(path, issuer string) (*Minter, error) {
	if issuer == "" {
		return nil, errors.New("minting grants: no issuer")
	}
	keys, err := loadOrCreate(path)
	if err != nil {
		return nil, err
	}
	m := &Minter{issuer: issuer, path: path}
	return m, m.use(keys)
}

func (m *Minter) use(keys keyset) error {
	jwks, err := keys.public()
	if err != nil {
		return err
	}
	m.keys, m.jwks = keys, jwks
	return nil
}

// JWKS is the public key set (RFC 7517), retired keys included.
func (m *Minter) JWKS() []byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.jwks)
}

// KeyID is the id of the key that signs now: its RFC 7638 thumbprint.
func (m *Minter) KeyID() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.keys.Keys[len(m.keys.Keys)-1].KeyID
}

// Rotate makes a new signing key. The old one's private half is forgotten, its
// public half stays, so that what it signed can be verified for ever.
func (m *Minter) Rotate() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next, err := m.keys.rotated()
	if err != nil {
		return err
	}
	if err := next.write(m.path, true); err != nil {
		return fmt.Errorf("rotating grant keys: %w", err)
	}
	return m.use(next)
}

// Mint signs a grant. Issued and Expires are cut to whole seconds, never
// rounded up; a life over MaxLife, or a claim that is missing, is an error. An
// empty Issuer means the minter's own.
func (m *Minter) Mint(c Claims) (string, error) {
	g, err := m.token(c)
	if err != nil {
		return "", fmt.Errorf("minting grant: %w", err)
	}
	payload, err := json.Marshal(g)
	if err != nil {
		return "", fmt.Errorf("minting grant: %w", err)
	}
	m.mu.RLock()
	key := m.keys.Keys[len(m.keys.Keys)-1]
	m.mu.RUnlock()
	opts := (&jose.SignerOptions{}).WithType(evidence.GrantType)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, opts)
	if err != nil {
		return "", fmt.Errorf("minting grant: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("minting grant: %w", err)
	}
	return jws.CompactSerialize()
}

// token checks claims and brings them into their JSON form.
func (m *Minter) token(c Claims) (*evidence.Grant, error) {
	if c.Issuer == "" {
		c.Issuer = m.issuer
	}
	issued, expires := c.Issued.Unix(), c.Expires.Unix()
	_, err := action.ParseDigest(c.Digest)
	switch {
	case err != nil:
		return nil, err
	case c.Issuer != m.issuer:
		return nil, errors.New("it names another issuer")
	case c.ID == "" || c.Audience == "":
		return nil, errors.New("it names no id or audience")
	case c.Subject == "" && len(c.Actors) == 0:
		return nil, errors.New("it names no asker")
	case c.Issued.IsZero() || expires <= issued || c.Expires.Sub(c.Issued) > MaxLife:
		return nil, fmt.Errorf("it must live more than a second and at most %v", MaxLife)
	case c.MaxRows < -1 || c.LogIndex < 0:
		return nil, errors.New("it has a negative bound or log index")
	}
	g := &evidence.Grant{
		Issuer: c.Issuer, Audience: c.Audience, Subject: c.Subject, ID: c.ID,
		Issued: issued, Earliest: issued, Expires: expires,
		Details: []evidence.GrantAction{{
			Type: evidence.GrantDetail, Digest: c.Digest, Kinds: c.Kinds,
			Policy: c.Policy, Approval: c.Approval, LogIndex: c.LogIndex,
		}},
	}
	for _, id := range slices.Backward(c.Actors) {
		g.Actor = &evidence.GrantActor{Subject: id, Actor: g.Actor}
	}
	if c.KeyID != "" {
		g.Confirm = &evidence.GrantConfirm{KeyID: c.KeyID}
	}
	if c.MaxRows >= 0 {
		g.Details[0].Bounds.Rows = &c.MaxRows
	}
	g.Details[0].Bounds.Masks = c.Masks
	for _, r := range c.Reviews {
		g.Details[0].Reviews = append(g.Details[0].Reviews, evidence.GrantReview(r))
	}
	return g, nil
}

// Verify checks a grant of this issuer for one audience (a resource URN).
// EdDSA and our typ only; any header besides alg, kid and typ is refused.
func (m *Minter) Verify(token, audience string, now time.Time) (*Claims, error) {
	m.mu.RLock()
	jwks := m.jwks
	m.mu.RUnlock()
	g, err := evidence.VerifyGrant(token, jwks, audience, now)
	if err != nil {
		return nil, err
	}
	if g.Issuer != m.issuer {
		return nil, fmt.Errorf("verifying grant %s: it is of another issuer", g.ID)
	}
	return claims(g), nil
}

func claims(g *evidence.Grant) *Claims {
	d := g.Details[0]
	c := &Claims{
		ID: g.ID, Issuer: g.Issuer, Audience: g.Audience, Subject: g.Subject,
		Issued: time.Unix(g.Issued, 0).UTC(), Expires: time.Unix(g.Expires, 0).UTC(),
		Digest: d.Digest, Kinds: d.Kinds, MaxRows: -1,
		Policy: d.Policy, Approval: d.Approval, LogIndex: d.LogIndex,
	}
	c.Masks = d.Bounds.Masks
	if d.Bounds.Rows != nil {
		c.MaxRows = *d.Bounds.Rows
	}
	for a := g.Actor; a != nil; a = a.Actor {
		c.Actors = append(c.Actors, a.Subject)
	}
	if g.Confirm != nil {
		c.KeyID = g.Confirm.KeyID
	}
	for _, r := range d.Reviews {
		c.Reviews = append(c.Reviews, ReviewedBy(r))
	}
	return c
}
