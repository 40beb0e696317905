package identity

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Kinds of credentials.
const (
	KindActor  = "actor"  // an agent, pipeline or service: asks, and nothing else
	KindPerson = "person" // a person: reviews, reads, administers
	KindGate   = "gate"   // a remote gate: asserts the subject it authenticated
	// KindProvision is an identity provider's: it says who has an account there,
	// and nothing else. Its subject is the issuer's name.
	KindProvision = "provision"
)

// Errors of the token store. Login surfaces answer all of them alike.
var (
	ErrBadToken   = errors.New("the token is not valid")
	ErrTokenScope = errors.New("this kind of credential cannot carry this scope")
	ErrNoToken    = errors.New("no such token")
)

const (
	tokenPrefix  = "ast_"
	tokenIDLen   = 12
	secretLen    = 43 // base62 digits of 32 bytes
	iterations   = 4096
	defaultTTL   = 24 * time.Hour
	longestTTL   = 366 * 24 * time.Hour
	base32Digits = "0123456789abcdefghjkmnpqrstvwxyz" // Crockford, lower case
	base62Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// scopesOf says which scopes each kind of credential may carry. Reviewing and
// administering belong to people alone; no setting widens this table.
var scopesOf = map[string][]string{
	KindActor:  {ScopeAct},
	KindPerson: {ScopeReview, ScopeRead, ScopeAdmin, ScopeMint},
	KindGate:   {ScopeGate},

	KindProvision: {ScopeSCIM},
}

// A Token is a stored credential. Its secret is not in it: a bearer and a
// SCRAM client (RFC 5802) are both checked against StoredKey.
type Token struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Subject   string    `json:"subject,omitempty"` // person id; of an actor: the person it works for
	Chain     []Actor   `json:"chain,omitempty"`   // the acting one first; actors only
	Scopes    []string  `json:"scopes"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`
	CreatedBy string    `json:"created_by"`
	Revoked   time.Time `json:"revoked,omitzero"`
	Origin    Origin    `json:"origin,omitzero"`
	// Thumbprint is the x5t#S256 of the one client certificate it is good with, "" for none (RFC 8705).
	Thumbprint string `json:"x5t,omitempty"`

	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
	StoredKey  []byte `json:"stored_key"`
	ServerKey  []byte `json:"server_key"`
}

// User is the PostgreSQL user name of an actor's credential: its id without
// the type, "nightly-exporter" for "agent:nightly-exporter". One that was exchanged
// for another has its own, "nightly-exporter~0123456789ab": there are several at a
// time, and none is to take another's place.
func (t *Token) User() string {
	if t.Kind != KindActor || len(t.Chain) == 0 {
		return ""
	}
	_, name, _ := strings.Cut(t.Chain[0].ID, ":")
	if t.Origin.Via != "" {
		name += "~" + t.ID
	}
	return name
}

func (t *Token) live(now time.Time) bool { return t.Revoked.IsZero() && now.Before(t.Expires) }

// A TokenRow is a token as a store keeps it. ID and User are for finding it;
// what counts is Body, sealed by MAC under a key the store never sees.
type TokenRow struct {
	ID, User string
	Body     []byte
	MAC      []byte
}

// A TokenTx is the part of a store's transaction that tokens need.
type TokenTx interface {
	PutToken(ctx context.Context, r TokenRow) error // inserts, or replaces the one with this id
	TokenByID(ctx context.Context, id string) (TokenRow, error)
	TokensByUser(ctx context.Context, user string) ([]TokenRow, error)
	ListTokens(ctx context.Context) ([]TokenRow, error)
}

// A TokenStore runs transactions. TokenByID of an unknown id is ErrNoToken.
type TokenStore interface {
	UpdateTokens(ctx context.Context, fn func(TokenTx) error) error
	ViewTokens(ctx context.Context, fn func(TokenTx) error) error
}

// A TokenChange tells the log that a token was minted or revoked.
type TokenChange struct {
	What  string // "minted" or "revoked"
	By    string
	Token Token
}

// TokenOptions says what Tokens work with; all but Clock are needed.
type TokenOptions struct {
	Store     TokenStore
	Directory Directory
	SealKey   []byte // MAC key, at least 32 bytes, kept outside the store
	// Record appends the audit record of a change to the same transaction.
	Record func(ctx context.Context, tx TokenTx, c TokenChange) error
	// Revoked asks the log whether a token was revoked: a sealed row can be put
	// back as it once was. nil: nobody can be asked, and the row alone counts.
	Revoked func(ctx context.Context, tx TokenTx, id string) (bool, error)
	// Rule says whether a workload rule still leads to an actor; nil: there are none.
	Rule func(rule, actor string) bool
	// Provisions says whether an issuer is provisioned; nil: none is.
	Provisions func(issuer string) bool
	Clock      func() time.Time
}

// Tokens mints, checks and revokes credentials. It is safe for concurrent use.
type Tokens struct {
	o      TokenOptions
	proofs proofs
}

// NewTokens refuses to work without a store, a directory, a log or a key.
func NewTokens(o TokenOptions) (*Tokens, error) {
	if o.Store == nil || o.Directory == nil || o.Record == nil || len(o.SealKey) < 32 {
		return nil, errors.New("tokens need a store, a directory, a record function and a seal key of 32 bytes")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Tokens{o: o}, nil
}

// A MintRequest asks for a new credential.
type MintRequest struct {
	Kind    string
	Subject string   // person id; for an actor "" means its owner
	Actors  []string // actor ids, the acting one first; for KindActor
	Scopes  []string // nil: act for actors, gate for gates; people name theirs
	TTL     time.Duration
	By      string // who asked for it

	Origin     Origin
	NotAfter   time.Time // zero: TTL alone says when it ends
	Thumbprint string    // of the client certificate it is bound to
	Once       string    // what this is exchanged for; a second time is ErrReplay. "": any number of times
}

// Mint makes a credential and returns its text, which is stored nowhere.
func (t *Tokens) Mint(ctx context.Context, m MintRequest) (string, *Token, error) {
	tok, err := t.describe(m)
	if err != nil {
		return "", nil, fmt.Errorf("minting a token: %w", err)
	}
	tok.ID = randomID()
	if m.Once != "" {
		tok.ID = t.onceID(m.Once)
	}
	text := tokenPrefix + tok.ID + "_" + randomSecret()
	tok.Salt, tok.Iterations = make([]byte, 16), iterations
	_, _ = rand.Read(tok.Salt)
	if tok.StoredKey, tok.ServerKey, err = scramKeys(text, tok.Salt, tok.Iterations); err != nil {
		return "", nil, fmt.Errorf("minting a token: %w", err)
	}
	err = t.o.Store.UpdateTokens(ctx, func(tx TokenTx) error {
		if err := t.stands(ctx, tx, tok); err != nil { // a parent may have been revoked meanwhile
			return err
		}
		if _, err := tx.TokenByID(ctx, tok.ID); m.Once != "" && !errors.Is(err, ErrNoToken) {
			return errors.Join(ErrReplay, err)
		}
		return t.put(ctx, tx, TokenChange{What: "minted", By: m.By, Token: *tok})
	})
	if err != nil {
		return "", nil, fmt.Errorf("minting a token: %w", err)
	}
	return text, tok, nil
}

func (t *Tokens) describe(m MintRequest) (*Token, error) {
	now := t.o.Clock().UTC()
	tok := &Token{
		Kind: m.Kind, Subject: m.Subject, Scopes: slices.Clone(m.Scopes),
		Created: now, CreatedBy: m.By, Origin: m.Origin, Thumbprint: m.Thumbprint,
	}
	switch ttl := m.TTL; {
	case ttl < 0 || ttl > longestTTL:
		return nil, fmt.Errorf("a lifetime of %s is not between 0 and %s", ttl, longestTTL)
	case ttl == 0:
		tok.Expires = now.Add(defaultTTL)
	default:
		tok.Expires = now.Add(ttl)
	}
	if !m.NotAfter.IsZero() && m.NotAfter.Before(tok.Expires) {
		tok.Expires = m.NotAfter.UTC()
	}
	if !now.Before(tok.Expires) || len(m.Actors) > MaxChain {
		return nil, fmt.Errorf("%w: it would have ended already, or its chain has more than %d actors", ErrBadToken, MaxChain)
	}
	for _, id := range m.Actors {
		tok.Chain = append(tok.Chain, Actor{ID: id})
	}
	if len(tok.Scopes) == 0 && m.Kind != KindPerson {
		tok.Scopes = slices.Clone(scopesOf[m.Kind])
	}
	if _, err := t.caller(tok); err != nil {
		return nil, err
	}
	for i, a := range tok.Chain { // what the directory says now stays related to it
		tok.Chain[i], _ = t.o.Directory.ActorByID(a.ID)
	}
	return tok, nil
}

func (t *Tokens) put(ctx context.Context, tx TokenTx, c TokenChange) error {
	row, err := t.seal(&c.Token)
	if err != nil {
		return err
	}
	if err := tx.PutToken(ctx, row); err != nil {
		return err
	}
	return t.o.Record(ctx, tx, c)
}

// A Caller is who a checked credential belongs to: an Asker or a Person, never both.
type Caller struct {
	Token   string // id of the credential
	Kind    string
	Scopes  []string
	Expires time.Time
	Asker   *Asker  // KindActor
	Person  *Person // KindPerson
	Issuer  string  // KindProvision: whose accounts it speaks of
}

// Has reports whether the credential carries scope.
func (c *Caller) Has(scope string) bool { return c != nil && slices.Contains(c.Scopes, scope) }

// Check says who presents bearer. Whatever is wrong with it, the error is ErrBadToken or wraps it.
func (t *Tokens) Check(ctx context.Context, bearer string) (*Caller, error) {
	id, err := parseToken(bearer)
	if err != nil {
		return nil, err
	}
	tok, err := t.load(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := t.proofs.check(tok, bearer); err != nil {
		return nil, err
	}
	if err := tok.bound(ctx); err != nil {
		return nil, err
	}
	return t.caller(tok)
}

// Proved says who a credential belongs to whose secret was proved by SCRAM. It
// reads the credential again: revoked or expired since, it is ErrBadToken.
func (t *Tokens) Proved(ctx context.Context, id string) (*Caller, error) {
	tok, err := t.load(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := tok.bound(ctx); err != nil {
		return nil, err
	}
	return t.caller(tok)
}

// Describe returns a live credential without its keys: what it stands on, for exchanging it.
func (t *Tokens) Describe(ctx context.Context, id string) (*Token, error) {
	tok, err := t.load(ctx, id)
	if err != nil {
		return nil, err
	}
	tok.Salt, tok.StoredKey, tok.ServerKey = nil, nil, nil
	return tok, nil
}

func (t *Tokens) load(ctx context.Context, id string) (tok *Token, err error) {
	err = t.o.Store.ViewTokens(ctx, func(tx TokenTx) error {
		row, err := tx.TokenByID(ctx, id)
		if errors.Is(err, ErrNoToken) {
			return ErrBadToken
		}
		if err != nil {
			return err
		}
		if tok, err = t.read(ctx, tx, row); err != nil {
			return err
		}
		return t.stands(ctx, tx, tok)
	})
	if err != nil {
		return nil, fmt.Errorf("reading token %s: %w", id, err)
	}
	if tok.ID != id || !tok.live(t.o.Clock()) {
		return nil, ErrBadToken
	}
	return tok, nil
}

// ByUser returns the newest live credential of the actor whose name is user,
// with the keys a SCRAM exchange needs. Two actors of one name have none.
func (t *Tokens) ByUser(ctx context.Context, user string) (*Token, error) {
	if user == "" { // the name of those that have none
		return nil, ErrBadToken
	}
	var newest *Token
	err := t.o.Store.ViewTokens(ctx, func(tx TokenTx) error {
		rows, err := tx.TokensByUser(ctx, user)
		if err != nil {
			return err
		}
		for _, row := range rows {
			tok, err := t.read(ctx, tx, row)
			if err != nil {
				return err
			}
			if tok.Kind != KindActor || !tok.live(t.o.Clock()) {
				continue
			}
			if newest != nil && newest.Chain[0].ID != tok.Chain[0].ID {
				return fmt.Errorf("two actors share a user name: %w", ErrBadToken)
			}
			if newest == nil || tok.Created.After(newest.Created) {
				newest = tok
			}
		}
		if newest == nil {
			return ErrBadToken
		}
		return t.stands(ctx, tx, newest)
	})
	if err != nil {
		return nil, fmt.Errorf("looking for the credential of a user: %w", err)
	}
	if err := newest.bound(ctx); err != nil {
		return nil, err
	}
	if _, err := t.caller(newest); err != nil {
		return nil, err
	}
	return newest, nil
}

// Revoke ends a credential at once. Revoking twice is harmless.
func (t *Tokens) Revoke(ctx context.Context, id, by string) error {
	err := t.o.Store.UpdateTokens(ctx, func(tx TokenTx) error {
		row, err := tx.TokenByID(ctx, id)
		if err != nil {
			return err
		}
		tok, err := t.unseal(row)
		if err != nil || !tok.Revoked.IsZero() {
			return err
		}
		tok.Revoked = t.o.Clock().UTC()
		return t.put(ctx, tx, TokenChange{What: "revoked", By: by, Token: *tok})
	})
	if err != nil {
		return fmt.Errorf("revoking token %s: %w", id, err)
	}
	return nil
}

// List returns every credential, newest first, without its keys.
func (t *Tokens) List(ctx context.Context) ([]Token, error) {
	var out []Token
	err := t.o.Store.ViewTokens(ctx, func(tx TokenTx) error {
		rows, err := tx.ListTokens(ctx)
		if err != nil {
			return err
		}
		for _, row := range rows {
			tok, err := t.read(ctx, tx, row)
			if err != nil {
				return err
			}
			tok.Salt, tok.StoredKey, tok.ServerKey = nil, nil, nil
			out = append(out, *tok)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing tokens: %w", err)
	}
	slices.SortStableFunc(out, func(a, b Token) int { return b.Created.Compare(a.Created) })
	return out, nil
}

// caller holds a credential against the rules and the directory as they are
// now; it is asked when a token is minted and each time one is used.
func (t *Tokens) caller(tok *Token) (*Caller, error) {
	allowed, known := scopesOf[tok.Kind]
	if !known || len(tok.Scopes) == 0 {
		return nil, fmt.Errorf("%w: kind %q with %d scopes", ErrTokenScope, tok.Kind, len(tok.Scopes))
	}
	for _, s := range tok.Scopes {
		if !slices.Contains(allowed, s) {
			return nil, fmt.Errorf("%w: %s for kind %s", ErrTokenScope, s, tok.Kind)
		}
	}
	c := &Caller{Token: tok.ID, Kind: tok.Kind, Scopes: slices.Clone(tok.Scopes), Expires: tok.Expires}
	switch tok.Kind {
	case KindActor:
		asker, err := t.asker(tok)
		c.Asker = asker
		return c, err
	case KindPerson:
		p, ok := t.o.Directory.Person(tok.Subject)
		if !ok || p.Gone || len(tok.Chain) > 0 {
			return nil, fmt.Errorf("%w: no person %q", ErrBadToken, tok.Subject)
		}
		c.Person = &p
	case KindGate:
		if len(tok.Chain) > 0 {
			return nil, fmt.Errorf("%w: a gate has no actors", ErrBadToken)
		}
	case KindProvision:
		if len(tok.Chain) > 0 || t.o.Provisions == nil || !t.o.Provisions(tok.Subject) {
			return nil, fmt.Errorf("%w: issuer %q is not provisioned: set scim: true on it", ErrBadToken, tok.Subject)
		}
		c.Issuer = tok.Subject
	}
	return c, nil
}

func (t *Tokens) asker(tok *Token) (*Asker, error) {
	if len(tok.Chain) == 0 {
		return nil, fmt.Errorf("%w: no actor", ErrBadToken)
	}
	a := &Asker{Credential: tok.ID, Expires: tok.Expires, Scopes: slices.Clone(tok.Scopes)}
	for _, then := range tok.Chain {
		now, ok := t.o.Directory.ActorByID(then.ID)
		if !ok {
			return nil, fmt.Errorf("%w: no actor %q", ErrBadToken, then.ID)
		}
		// Who was behind it when the token was made stays related: handing an
		// agent over must not turn its former owner into its reviewer.
		now.Related = slices.Clone(now.Related)
		for _, id := range append(slices.Clone(then.Related), then.Owner) {
			if id != "" && id != now.Owner && !slices.Contains(now.Related, id) {
				now.Related = append(now.Related, id)
			}
		}
		a.Chain = append(a.Chain, now)
	}
	if err := t.origin(tok, a.Chain); err != nil {
		return nil, err
	}
	acting := &a.Chain[0] // whoever minted it, and whoever is behind what it was made from, stays out of reviewing
	for _, id := range append(slices.Clone(tok.Origin.Related), tok.CreatedBy) {
		if _, person := t.o.Directory.Person(id); person && id != acting.Owner && !slices.Contains(acting.Related, id) {
			acting.Related = append(acting.Related, id)
		}
	}
	subject := tok.Subject
	if subject == "" {
		subject = a.Chain[0].Owner
	}
	if subject == "" {
		return a, nil
	}
	p, ok := t.o.Directory.Person(subject)
	if !ok {
		return nil, fmt.Errorf("%w: no person %q", ErrBadToken, subject)
	}
	a.Subject = p
	return a, nil
}

func (t *Tokens) seal(tok *Token) (TokenRow, error) {
	body, err := json.Marshal(tok)
	if err != nil {
		return TokenRow{}, fmt.Errorf("sealing a token: %w", err)
	}
	return TokenRow{ID: tok.ID, User: tok.User(), Body: body, MAC: t.mac(body)}, nil
}

func (t *Tokens) unseal(row TokenRow) (*Token, error) { return unsealToken(t.o.SealKey, row) }

func unsealToken(key []byte, row TokenRow) (*Token, error) {
	if !hmac.Equal(row.MAC, tokenMAC(key, row.Body)) {
		return nil, fmt.Errorf("token %q was changed outside Assent: %w", row.ID, ErrBadToken)
	}
	var tok Token
	if err := json.Unmarshal(row.Body, &tok); err != nil {
		return nil, fmt.Errorf("token %q: %w", row.ID, ErrBadToken)
	}
	if tok.ID != row.ID || tok.User() != row.User {
		return nil, fmt.Errorf("token %q was moved outside Assent: %w", row.ID, ErrBadToken)
	}
	return &tok, nil
}

// read unseals a token, and asks the log whether it was revoked since.
func (t *Tokens) read(ctx context.Context, tx TokenTx, row TokenRow) (*Token, error) {
	tok, err := t.unseal(row)
	if err != nil || t.o.Revoked == nil || !tok.Revoked.IsZero() {
		return tok, err
	}
	revoked, err := t.o.Revoked(ctx, tx, tok.ID)
	if err != nil {
		return nil, err
	}
	if revoked {
		tok.Revoked = tok.Created // when exactly, the log says
	}
	return tok, nil
}

// CheckToken tells whether a stored credential is as it was sealed under key.
func CheckToken(key []byte, row TokenRow) error {
	_, err := unsealToken(key, row)
	return err
}

// ResealRevoked seals the body of a credential that was changed by whoever holds the key. It
// lets nobody in any more.
func ResealRevoked(key, body []byte) (row TokenRow, err error) {
	var tok Token
	if err := json.Unmarshal(body, &tok); err != nil {
		return row, fmt.Errorf("a token has no readable body: %w", ErrBadToken)
	}
	if tok.Revoked.IsZero() {
		tok.Revoked = tok.Created // when exactly, the log says
	}
	if body, err = json.Marshal(&tok); err != nil {
		return row, fmt.Errorf("sealing a token: %w", err)
	}
	return TokenRow{ID: tok.ID, User: tok.User(), Body: body, MAC: tokenMAC(key, body)}, nil
}

func (t *Tokens) mac(body []byte) []byte { return tokenMAC(t.o.SealKey, body) }

func tokenMAC(key, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("assent-token/1\x00"))
	h.Write(body)
	return h.Sum(nil)
}

// scramKeys derives the two keys of RFC 5802 section 3 with SHA-256 (RFC 7677).
func scramKeys(password string, salt []byte, n int) (stored, server []byte, err error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, n, sha256.Size)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving keys: %w", err)
	}
	sum := func(label string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(label))
		return h.Sum(nil)
	}
	client := sha256.Sum256(sum("Client Key"))
	return client[:], sum("Server Key"), nil
}

// parseToken returns the id in a token's text, and refuses any other spelling of it.
func parseToken(text string) (id string, err error) {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(rest) != tokenIDLen+1+secretLen || rest[tokenIDLen] != '_' {
		return "", ErrBadToken
	}
	id, secret := rest[:tokenIDLen], rest[tokenIDLen+1:]
	if strings.Trim(id, base32Digits) != "" || strings.Trim(secret, base62Digits) != "" {
		return "", ErrBadToken
	}
	return id, nil
}

// TokenID is the id in a token's text, which is no secret.
func TokenID(text string) (string, error) { return parseToken(text) }

func randomID() string {
	b := make([]byte, tokenIDLen)
	_, _ = rand.Read(b) // never fails (Go 1.24)
	for i := range b {
		b[i] = base32Digits[b[i]&31]
	}
	return string(b)
}

// randomSecret writes 32 random bytes as 43 base62 digits.
func randomSecret() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	n, base, digit := new(big.Int).SetBytes(raw), big.NewInt(62), new(big.Int)
	out := make([]byte, secretLen)
	for i := len(out) - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = base62Digits[digit.Int64()]
	}
	return string(out)
}
