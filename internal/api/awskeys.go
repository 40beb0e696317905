package api

import (
	"context"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/awskey"
)

// AWSKeys makes key pairs for gates of AWS.
type AWSKeys interface {
	Make(credential string, ends, now time.Time) (awskey.Pair, error)
}

// AWSCredentials are a key pair in the shape of a container's credential endpoint, which AWS's SDKs read.
type AWSCredentials struct {
	AccessKeyID     string    `json:"AccessKeyId"`
	SecretAccessKey string    `json:"SecretAccessKey"`
	Token           string    `json:"Token"`
	Expiration      time.Time `json:"Expiration" doc:"The end of the credential that it was made for, and within an hour"`
}

type awsCredentialsOut struct {
	CacheControl string `header:"Cache-Control"`
	Body         AWSCredentials
}

func (s *server) awsCredentials(ctx context.Context, _ *nothing) (*awsCredentialsOut, error) {
	c := callerOf(ctx)
	if s.Options.AWSKeys == nil || c.Asker == nil || len(c.Asker.Chain) == 0 {
		return nil, problem(http.StatusNotFound, "not-found", "There is no gate of AWS here, or this credential asks for nobody.")
	}
	p, err := s.Options.AWSKeys.Make(c.Token, c.Expires, s.Clock())
	if err != nil {
		return nil, problem(http.StatusForbidden, "credential", "The credential has ended. Ask for a new one.")
	}
	return &awsCredentialsOut{"no-store", AWSCredentials{p.ID, p.Secret, p.Token, p.Expires.UTC()}}, nil
}
