package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/api"
	classify "github.com/assenthq/assent/internal/classify/aws"
	"github.com/assenthq/assent/internal/gates/aws"
	"github.com/assenthq/assent/internal/sigv4"
)

func awsGate(s *Server, g *GateConfig) (runningGate, error) {
	judge, err := classify.New(classify.Options{Mask: s.masked})
	if err != nil {
		return runningGate{}, err
	}
	transport, err := awsTransport(s.cfg, g.AWS)
	if err != nil {
		return runningGate{}, err
	}
	o := aws.Config{
		Name: g.Name, Keys: s.awsKeys, Classifier: judge, Key: (&awsKey{c: s.cfg, of: g.AWS, now: time.Now}).Key, Endpoints: map[string]*url.URL{},
		Regions: g.AWS.Regions, Services: g.AWS.Services, Transport: transport, Mints: g.AWS.Mints, Class: s.classOf, Refused: s.refusedAt(g),
	}
	s3 := aws.S3Options{Classify: judge, Hosts: g.AWS.S3.Hosts, Opaque: g.AWS.S3.Opaque, Engine: s.detect, Mask: s.masked}
	for _, b := range g.AWS.S3.Buckets {
		s3.Buckets = append(s3.Buckets, aws.Bucket{Name: b.Name, Trust: b.Trust, Opaque: b.Opaque})
	}
	if o.S3, err = aws.NewS3(s3); err != nil {
		return runningGate{}, err
	}
	o.Virtual = g.AWS.S3.Virtual
	for service, address := range g.AWS.Endpoints {
		if o.Endpoints[service], err = url.Parse(strings.TrimSuffix(address, "/")); err != nil {
			return runningGate{}, fmt.Errorf("endpoint of %s: %w", service, err)
		}
	}
	protocol, err := aws.New(o)
	if err != nil {
		return runningGate{}, err
	}
	return s.webGate(g, protocol, func(c *httpgate.Config) { c.AnyTarget = true }) // what a path means is the classifier's business
}

// regionOf is the region that programs mean which name none.
func regionOf(g *GateConfig) string {
	if g.AWS == nil || len(g.AWS.Regions) == 0 {
		return ""
	}
	return g.AWS.Regions[0]
}

// awsKeys makes agents' key pairs where a gate takes them.
func awsKeys(s *Server) api.AWSKeys {
	if s.awsKeys == nil || !slices.ContainsFunc(s.cfg.Gates, func(g GateConfig) bool { return g.Type == "aws" }) {
		return nil
	}
	return s.awsKeys
}

func awsTransport(c *Config, a *AWSConfig) (*http.Transport, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.CA != "" {
		pem, err := os.ReadFile(c.path(a.CA))
		if err != nil {
			return nil, fmt.Errorf("reading aws.ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("aws.ca: %s holds no certificate in PEM form", a.CA)
		}
	}
	return &http.Transport{
		TLSClientConfig: t, Proxy: nil, DisableCompression: true, MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Minute,
		TLSHandshakeTimeout: 10 * time.Second, ExpectContinueTimeout: time.Second,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
	}, nil
}

// An awsKey is the real key of a gate. One that expires is asked for again in time.
type awsKey struct {
	c   *Config
	of  *AWSConfig
	now func() time.Time

	mu    sync.Mutex
	key   sigv4.Key // owned by mu
	until time.Time // owned by mu
}

// keptKey is how long a key is used whose end nobody told: a file may have changed.
const keptKey = time.Minute

// Key is the key to sign with now.
func (k *awsKey) Key(ctx context.Context) (sigv4.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if now.Before(k.until) {
		return k.key, nil
	}
	key, ends, err := k.read(ctx)
	if err != nil {
		return sigv4.Key{}, fmt.Errorf("the gate's own key: %w", err)
	}
	k.key, k.until = key, now.Add(keptKey)
	if !ends.IsZero() {
		if k.until = ends.Add(-5 * time.Minute); k.until.Before(now) {
			k.until = now // used once
		}
		if !now.Before(ends) {
			return sigv4.Key{}, errors.New("the gate's own key has expired, and its source has no other")
		}
	}
	return k.key, nil
}

func (k *awsKey) read(ctx context.Context) (key sigv4.Key, ends time.Time, err error) {
	if k.of.AccessKeyID != "" {
		secret, err := k.of.SecretAccessKey.Read(ctx, k.c)
		return sigv4.Key{ID: k.of.AccessKeyID, Secret: string(secret)}, time.Time{}, err
	}
	text, err := k.of.Credential.Read(ctx, k.c)
	if err != nil {
		return key, ends, err
	}
	var doc struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      string
	}
	if json.Unmarshal(text, &doc) != nil || doc.AccessKeyID == "" || doc.SecretAccessKey == "" { // the text of the error may hold the key
		return key, ends, errors.New("its source gives no document of credential_process: AccessKeyId and SecretAccessKey are needed")
	}
	if doc.Expiration != "" {
		if ends, err = time.Parse(time.RFC3339, doc.Expiration); err != nil {
			return key, ends, errors.New("its Expiration is no time (RFC 3339)")
		}
	}
	return sigv4.Key{ID: doc.AccessKeyID, Secret: doc.SecretAccessKey, Token: doc.SessionToken}, ends, nil
}

// reachAWS tells whether the gate's own key is there, and the endpoints that the configuration names.
func reachAWS(ctx context.Context, s *Server, g *GateConfig) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, _, err := (&awsKey{c: s.cfg, of: g.AWS, now: time.Now}).read(ctx); err != nil {
		return err
	}
	for service, address := range g.AWS.Endpoints {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		conn, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
		if err != nil {
			return fmt.Errorf("endpoint of %s: %w", service, err)
		}
		_ = conn.Close()
	}
	return nil
}
