package teams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	botIssuer  = "https://api.botframework.com"
	skew       = 5 * time.Minute
	keysFor    = 24 * time.Hour
	keysAgain  = time.Minute // between fetches for a key that isn't known
	maxKeys    = 1 << 20     // bytes of a document
	maxAuth    = 16 << 10
	ourChannel = "msteams"
)

// errToken is all that a caller with a bad token hears.
var errToken = errors.New("the token is not one of the Bot Framework for this app")

// A verifier checks that a request comes from the Bot Framework.
type verifier struct {
	o *Options

	mu      sync.Mutex
	keys    []endorsed // owned by mu
	fetched time.Time  // owned by mu
	tried   time.Time  // owned by mu
}

// endorsed is a key with the channels that it may speak for.
type endorsed struct {
	jose.JSONWebKey
	channels []string
}

func newVerifier(o *Options) *verifier { return &verifier{o: o} }

// check believes an activity only under a token for it: RS256, our app, our
// issuer, in its time, by a key that may speak for Teams, for the same service.
func (v *verifier) check(ctx context.Context, header string, a *activity) error {
	raw, ok := strings.CutPrefix(header, "Bearer ")
	if !ok || len(raw) > maxAuth {
		return errToken
	}
	t, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(t.Headers) != 1 || t.Headers[0].KeyID == "" {
		return errToken
	}
	key, err := v.key(ctx, t.Headers[0].KeyID)
	if err != nil {
		return err
	}
	var std jwt.Claims
	var own struct {
		ServiceURL string `json:"serviceurl"`
	}
	if key == nil || t.Claims(key.Key, &std, &own) != nil {
		return errToken
	}
	expect := jwt.Expected{Issuer: botIssuer, AnyAudience: jwt.Audience{v.o.AppID}, Time: v.o.Clock()}
	switch {
	case std.Expiry == nil, len(std.Audience) != 1, std.ValidateWithLeeway(expect, skew) != nil:
		return errToken
	case a.ChannelID != ourChannel, !slices.Contains(key.channels, a.ChannelID):
		return errToken
	case own.ServiceURL == "" || own.ServiceURL != a.ServiceURL || !v.o.mayAnswer(a.ServiceURL):
		return errToken
	}
	return nil
}

// mayAnswer says that a token of ours may be sent to a service.
func (o *Options) mayAnswer(service string) bool {
	u, err := url.Parse(service)
	if err != nil || u.User != nil || u.RawQuery != "" {
		return false
	}
	own, _ := url.Parse(o.ServiceURL)
	return slices.Contains(o.Hosts, u.Host) && (u.Scheme == "https" || u.Scheme == own.Scheme && u.Host == own.Host)
}

// key finds a key by id; one that isn't known may be new.
func (v *verifier) key(ctx context.Context, id string) (*endorsed, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.o.Clock()
	find := func() *endorsed {
		for i := range v.keys {
			if v.keys[i].KeyID == id {
				return &v.keys[i]
			}
		}
		return nil
	}
	fresh := now.Sub(v.fetched) < keysFor && !v.fetched.IsZero()
	if k := find(); k != nil && fresh {
		return k, nil
	}
	if now.Sub(v.tried) < keysAgain {
		if fresh {
			return nil, nil
		}
		return nil, errors.New("the Bot Framework's keys could not be fetched a moment ago")
	}
	v.tried = now
	keys, err := v.fetch(ctx)
	if err != nil {
		if fresh {
			v.o.Logger.WarnContext(ctx, "fetching the Bot Framework's keys", "err", err)
			return nil, nil
		}
		return nil, fmt.Errorf("fetching the Bot Framework's keys: %w", err)
	}
	v.keys, v.fetched = keys, now
	return find(), nil
}

func (v *verifier) fetch(ctx context.Context) ([]endorsed, error) {
	var about struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := v.get(ctx, v.o.Metadata, &about); err != nil {
		return nil, err
	}
	at, err := url.Parse(about.Keys)
	if about.Issuer != botIssuer || err != nil || at.Scheme != "https" && !strings.HasPrefix(v.o.Metadata, "http://") {
		return nil, errors.New("its metadata names another issuer, or keys that are nowhere safe")
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := v.get(ctx, about.Keys, &set); err != nil {
		return nil, err
	}
	var out []endorsed
	for _, raw := range set.Keys {
		var k endorsed
		var more struct {
			Endorsements []string `json:"endorsements"`
		}
		if json.Unmarshal(raw, &k.JSONWebKey) != nil || json.Unmarshal(raw, &more) != nil || !k.Valid() || !k.IsPublic() {
			continue // a key of another sort
		}
		k.channels = more.Endorsements
		out = append(out, k)
	}
	return out, nil
}

func (v *verifier) get(ctx context.Context, from string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := v.o.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxKeys))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", req.URL.Host, resp.Status)
	}
	return json.Unmarshal(b, into)
}
