package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assenthq/assent/internal/certs"
	classify "github.com/assenthq/assent/internal/classify/http"
	proxy "github.com/assenthq/assent/internal/gates/http"
	"github.com/assenthq/assent/internal/session"
	"github.com/assenthq/assent/internal/webwire"
)

func httpGate(s *Server, g *GateConfig) (runningGate, error) {
	_, port, err := net.SplitHostPort(g.Listen)
	if err != nil {
		return runningGate{}, err
	}
	keeper, err := s.certificatesOf(g)
	if err != nil {
		return runningGate{}, err
	}
	o := proxy.Config{
		Name: g.Name, Authority: s.enforcer.Gate(g.Name, resourceOf(g), systemOf(g)), Port: cmp.Or(g.HTTP.Public, port), Secure: keeper != nil,
		Passport: s.passport, Groups: s.groupsOf, Find: s.found, Wait: g.HTTP.Wait, Bodies: s.bodies, Refused: s.refusedAt(g), Log: s.log,
	}
	if keeper != nil {
		o.TLS = s.askCertificate(keeper.Config())
	}
	if o.Secure && g.HTTP.HSTS > 0 {
		o.HSTS = "max-age=" + strconv.FormatInt(int64(g.HTTP.HSTS/time.Second), 10)
	}
	for i := range g.Routes {
		r, err := s.route(&g.Routes[i])
		if err != nil {
			return runningGate{}, fmt.Errorf("route %s: %w", g.Routes[i].Name, err)
		}
		o.Routes = append(o.Routes, r)
	}
	if by, ok := s.cfg.signsInBy(g); ok && slices.ContainsFunc(o.Routes, func(r *proxy.Route) bool { return r.People }) {
		i, known := s.sessions.Issuer(by)
		if !known {
			return runningGate{}, errors.New("its issuer is not there")
		}
		o.People = &proxy.People{Sessions: s.sessions, Issuer: i}
	}
	web, err := proxy.New(o)
	if err != nil {
		return runningGate{}, err
	}
	if s.webs == nil {
		s.webs = map[string]*proxy.Gate{}
	}
	s.webs[g.Name] = web
	s.watchUpstreams(g.Name, web)
	return runningGate{serve: func(ctx context.Context, l net.Listener) error {
		if keeper == nil {
			return web.Serve(ctx, l)
		}
		s.work.Go(func() { keeper.Run(ctx) })
		if g.HTTP.Redirect != "" {
			if err := s.redirect(ctx, g, keeper); err != nil {
				return err
			}
		}
		return web.Serve(ctx, l)
	}}, nil
}

// certificatesOf is what a gate shows; nil: it speaks plainly, on loopback.
func (s *Server) certificatesOf(g *GateConfig) (*certs.Keeper, error) {
	if !g.secure() {
		return nil, nil
	}
	var pairs []certs.Pair
	if g.TLS != nil {
		pairs = append(pairs, certs.Pair{Cert: s.cfg.path(g.TLS.Cert), Key: s.cfg.path(g.TLS.Key)})
	}
	for _, p := range g.HTTP.Certificates {
		pairs = append(pairs, certs.Pair{Cert: s.cfg.path(p.Cert), Key: s.cfg.path(p.Key)})
	}
	var a *certs.ACME
	if c := g.HTTP.ACME; c != nil {
		roots, err := rootsOf(s.cfg, c.CA)
		if err != nil {
			return nil, err
		}
		a = &certs.ACME{Directory: c.Directory, Email: c.Email, Cache: filepath.Join(s.cfg.path(s.cfg.Data), "acme"), Roots: roots}
		for _, r := range g.Routes {
			if host, _ := hostPort(r.Host); !slices.Contains(a.Hosts, host) {
				a.Hosts = append(a.Hosts, host)
			}
		}
	}
	return certs.New(pairs, a, s.log)
}

// rootsOf reads certificate authorities; nil for the system's.
func rootsOf(c *Config, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.path(file))
	if err != nil {
		return nil, fmt.Errorf("reading ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: %s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// redirect sends who comes plainly to https, until ctx ends.
func (s *Server) redirect(ctx context.Context, g *GateConfig, keeper *certs.Keeper) error {
	l, err := net.Listen("tcp", g.HTTP.Redirect)
	if err != nil {
		return fmt.Errorf("http.redirect: %w", err)
	}
	_, port, err := net.SplitHostPort(g.Listen)
	if err != nil {
		return err
	}
	if port = cmp.Or(g.HTTP.Public, port); port == "443" {
		port = ""
	}
	srv := &http.Server{
		Handler: keeper.Plain(toHTTPS(g.Routes, port)), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.work.Go(func() {
		<-ctx.Done()
		_ = srv.Close()
	})
	s.work.Go(func() {
		if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.fail("gate "+g.Name+", redirect", err)
		}
	})
	return nil
}

// toHTTPS sends to the same page of a host that has a route; to no other.
func toHTTPS(all []WebRouteConfig, port string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := hostPort(strings.ToLower(r.Host))
		i := slices.IndexFunc(all, func(c WebRouteConfig) bool {
			host, _ := hostPort(c.Host)
			return host == asked
		})
		if i < 0 || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "ask by https", http.StatusMisdirectedRequest)
			return
		}
		to := asked
		if _, own := hostPort(all[i].Host); own != "" {
			to = net.JoinHostPort(asked, own)
		} else if port != "" {
			to = net.JoinHostPort(asked, port)
		}
		w.Header().Set("Connection", "close")
		http.Redirect(w, r, "https://"+to+r.URL.RequestURI(), http.StatusMovedPermanently)
	})
}

func (s *Server) route(c *WebRouteConfig) (*proxy.Route, error) {
	roots, err := rootsOf(s.cfg, c.CA)
	if err != nil {
		return nil, err
	}
	r := &proxy.Route{
		Name: c.Name, Host: c.Host, Path: c.Path, Strip: c.Strip, Prepend: c.Prepend, KeepHost: c.KeepHost, Methods: c.Methods, MaxBody: c.Body, Timeout: c.Timeout,
		Untrusted: c.Untrusted, Opaque: c.Opaque, People: c.People, Streams: c.Streams, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	for _, text := range c.Upstreams {
		u, err := url.Parse(text)
		if err != nil {
			return nil, err
		}
		r.Upstreams = append(r.Upstreams, u)
	}
	if c.Mapping != "" {
		if r.Mapping, err = classify.Load(s.cfg.path(c.Mapping)); err != nil {
			return nil, err
		}
	}
	if c.Identity != nil {
		r.Audience, r.Groups = c.Identity.Audience, c.Identity.Groups
	}
	if h := c.Health; h != nil {
		r.Health = &proxy.Health{Path: h.Path, Every: h.Every, Timeout: h.Timeout, Status: h.Status}
	}
	if len(c.Headers) > 0 {
		kept := &keptHeaders{read: func(ctx context.Context) (http.Header, error) { return s.secretHeaders(ctx, c.Headers) }}
		r.Headers = kept.get
	}
	r.Dial = s.dialer(c.Via)
	rest := transport(c, r.TLS, r.Dial)
	if r.Transport = rest; c.Protocol != "h2c" {
		r.Transport = webwire.NewDirect(rest)
	}
	return r, nil
}

// secretHeaders reads the credential of an upstream.
func (s *Server) secretHeaders(ctx context.Context, of map[string]Secret) (http.Header, error) {
	h := http.Header{}
	for name, secret := range of {
		value, err := secret.Read(ctx, s.cfg)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
		h.Set(name, string(value))
	}
	return h, nil
}

// keptHeaders are a credential that is read anew every few seconds, not for each request.
type keptHeaders struct {
	read func(context.Context) (http.Header, error)

	mu    sync.Mutex // owns what follows
	have  http.Header
	until time.Time
}

// headersLife is how long a credential that was changed may still be sent.
const headersLife = 10 * time.Second

func (k *keptHeaders) get(ctx context.Context) (http.Header, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := time.Now(); k.have == nil || !now.Before(k.until) {
		h, err := k.read(ctx)
		if err != nil {
			return nil, err
		}
		k.have, k.until = h, now.Add(headersLife)
	}
	return k.have, nil
}

// found counts what a text holds, by class.
func (s *Server) found(text []byte) map[string]int64 {
	f := s.detect.Find(text)
	defer f.Free()
	if len(f.List) == 0 {
		return nil
	}
	out := map[string]int64{}
	for _, one := range f.List {
		out[string(one.Class)]++
	}
	return out
}

// transport speaks to the upstreams of a route. It follows nothing and goes through no proxy.
func transport(c *WebRouteConfig, t *tls.Config, dial dialer) *http.Transport {
	out := &http.Transport{
		DialContext:     dial,
		TLSClientConfig: t.Clone(), TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: c.Timeout, ExpectContinueTimeout: time.Second,
		DisableCompression: true, MaxIdleConns: 512, MaxIdleConnsPerHost: 256, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 256 << 10,
		Protocols: new(http.Protocols), ReadBufferSize: 16 << 10, WriteBufferSize: 16 << 10,
	}
	switch c.Protocol {
	case "h2c":
		out.Protocols.SetUnencryptedHTTP2(true)
	case "http1":
		out.Protocols.SetHTTP1(true)
	default:
		out.Protocols.SetHTTP1(true)
		out.Protocols.SetHTTP2(true)
	}
	return out
}

// groupsOf are the groups of who an upstream is told about. A person's session counts
// as the account that it came in by.
func (s *Server) groupsOf(ctx context.Context, subject, credential string) []string {
	key := subject
	if id, is := strings.CutPrefix(credential, session.CredentialPrefix); is {
		one, err := s.sessions.Find(ctx, id)
		if err != nil {
			return nil
		}
		key = one.Key()
	}
	p, known := s.dir.Person(key)
	if !known || p.Gone {
		return nil
	}
	return p.Groups
}

// watchUpstreams shows which upstreams answer.
func (s *Server) watchUpstreams(name string, web *proxy.Gate) {
	for _, u := range web.Upstreams() {
		s.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "assent_upstream_up", Help: "Whether an upstream of an HTTP gate answered when it was last checked.",
			ConstLabels: prometheus.Labels{"gate": name, "route": u.Route, "upstream": u.Address},
		}, func() float64 {
			if u.Err() != nil {
				return 0
			}
			return 1
		}))
	}
}

// reachHTTP tells whether each route has an upstream that answers.
func reachHTTP(ctx context.Context, s *Server, g *GateConfig) error {
	var errs []error
	if web := s.webs[g.Name]; web != nil {
		for _, err := range web.State() {
			errs = append(errs, err)
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for i := range g.Routes {
		r := &g.Routes[i]
		if r.Health != nil && s.webs[g.Name] != nil {
			continue // its checks say more
		}
		var err error
		for _, text := range r.Upstreams {
			if err = s.reachAddress(ctx, r.Via, text); err == nil {
				break
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("route %s: %w", r.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Server) reachAddress(ctx context.Context, via, text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	conn, err := s.dialer(via)(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}
