package enforce

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/assenthq/assent/internal/identity"
)

// A holder is what sessions of one credential share.
type holder struct {
	credential, certificate string
}

// CutEnded asks again who stands behind each open session, and ends those whose
// credential no longer counts: revoked, made from one that was, its person or
// actor gone, its rule or certificate authority no longer configured. It returns
// how many there were. While nobody can be asked, sessions go on: what they ask
// is decided and recorded all the same.
func (e *Enforcer) CutEnded(ctx context.Context) int {
	e.mu.Lock()
	open := map[holder][]*session{}
	for s := range e.sessions {
		h := holder{credential: s.asker.Credential}
		if len(s.certificates) > 0 {
			h.certificate = identity.Thumbprint(s.certificates[0])
		}
		open[h] = append(open[h], s)
	}
	e.mu.Unlock()
	n := 0
	for h, sessions := range open {
		if e.stands(ctx, h.credential, sessions[0].certificates) {
			continue
		}
		for _, s := range sessions {
			s.cutNow()
			n++
		}
	}
	return n
}

func (e *Enforcer) stands(ctx context.Context, credential string, certificates []*x509.Certificate) bool {
	_, err := e.o.Credentials.ByID(identity.WithCertificates(ctx, certificates), credential)
	switch {
	case errors.Is(err, identity.ErrBadToken):
		return false
	case err != nil && ctx.Err() == nil:
		e.o.Logger.Warn("whether a credential still counts can't be read", "credential", credential, "err", err)
	}
	return true
}
