package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
)

var errTooLong = errors.New("the answer is longer than 1 MiB")

// client follows no redirect (a secret or token goes to the configured place
// or nowhere) and reads no more than maxBody of an answer.
func client(roots *x509.CertPool) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	t.MaxResponseHeaderBytes = 64 << 10
	t.MaxIdleConnsPerHost = 4
	return &http.Client{
		Transport: bounded{t}, Timeout: callTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type bounded struct{ *http.Transport }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.Transport.RoundTrip(r)
	if err == nil {
		res.Body = &body{res.Body, maxBody}
	}
	return res, err
}

// body errs past its bound: half a document must not pass for a whole one.
type body struct {
	io.ReadCloser
	left int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

// keySet notes when the keys could not be fetched: then the issuer is down, and
// the token not shown to be wrong.
type keySet struct{ remote *oidc.RemoteKeySet }

type unreachable struct{}

func (k keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, jwt)
	if err != nil && strings.HasPrefix(err.Error(), "fetching keys") {
		if down, ok := ctx.Value(unreachable{}).(*bool); ok {
			*down = true
		}
	}
	return payload, err
}
