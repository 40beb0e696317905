package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/enforce"
	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/remote"
	"github.com/assenthq/assent/internal/store"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A GateProcess runs the gates of a configuration beside their systems, linked to a control plane.
type GateProcess struct {
	s    *Server // the parts of one that gates are made of
	link *remote.Link
	node string

	ready chan struct{} // closed when the gates listen

	mu    sync.Mutex
	rules *remote.Rules // in force; guarded by mu
	begun bool          // the parts exist, and only their rules change; guarded by mu
}

// NewGateProcess locks the data directory and opens nothing else.
// dial makes connections to the control plane as the process enrolled as name.
func NewGateProcess(cfg *Config, name string, dial func(context.Context) (net.Conn, error), log *slog.Logger) (*GateProcess, error) {
	if cfg.Control == "" {
		return nil, errors.New("configuration: control is missing: a gate process needs the address of its control plane")
	}
	data := cfg.path(cfg.Data)
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	lock, err := store.Lock(filepath.Join(data, "lock"))
	if err != nil {
		return nil, err
	}
	p := &GateProcess{node: remote.NodeOf(name), ready: make(chan struct{})}
	p.s = &Server{cfg: cfg, log: log, lock: lock, stopped: make(chan struct{}), closeGates: func() {}, registry: prometheus.NewRegistry()}
	var gates []remote.Announced
	for i := range cfg.Gates {
		gates = append(gates, announced(&cfg.Gates[i]))
	}
	p.link = remote.NewLink(remote.LinkOptions{Dial: dial, Gates: gates, Version: buildVersion(), Apply: p.apply, Spool: p.spoolStatus, Log: log})
	return p, nil
}

func (p *GateProcess) spoolStatus() audit.SpoolStatus {
	p.mu.Lock()
	spool := p.s.spool
	p.mu.Unlock()
	if spool == nil {
		return audit.SpoolStatus{}
	}
	return spool.Status()
}

// Run links to the control plane, opens the gates once it was there, and ends with ctx.
func (p *GateProcess) Run(ctx context.Context) error {
	defer func() { _ = p.s.lock.Close() }()
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() { p.link.Run(run) })
	err := p.serve(ctx, run)
	p.s.work.Wait() // the ledger is settled over the link
	cancel()
	work.Wait()
	if p.s.spool != nil {
		err = errors.Join(err, p.s.spool.Close())
	}
	return err
}

func (p *GateProcess) serve(ctx, run context.Context) error {
	stop, err := p.watch()
	if err != nil {
		return err
	}
	defer stop()
	select {
	case <-ctx.Done():
		return nil
	case <-p.link.Ready():
	}
	if err := p.make(ctx); err != nil {
		return err
	}
	gates, closeGates := context.WithCancel(run)
	defer closeGates()
	if err := p.s.startGates(gates); err != nil {
		return err
	}
	close(p.ready)
	p.s.work.Go(func() { p.shipLoop(gates) })
	p.s.work.Go(func() {
		if err := p.s.enforcer.Run(gates); err != nil {
			p.s.log.Warn("the ledger's last counts are lost: up to a block more counts as read than was", "err", err)
		}
	})
	<-ctx.Done()
	return nil
}

// watch serves what monitors ask: nothing of it decides, and nothing of it is a secret.
func (p *GateProcess) watch() (stop func(), err error) {
	if p.s.cfg.Listen == "" {
		return func() {}, nil
	}
	if p.s.listener, err = p.s.listen(); err != nil {
		return nil, err
	}
	p.s.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "assent_link_up", Help: "1 while the control plane is reached."}, func() float64 { return one(p.link.Err() == nil) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "assent_lease_up", Help: "1 while the control plane's lease lets anything pass."}, func() float64 { return one(p.link.Serving() == nil) }))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "it answers") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		err := p.link.Serving()
		select {
		case <-p.ready:
		default:
			err = errors.Join(err, errors.New("the gates are not open yet"))
		}
		if err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.s.registry, promhttp.HandlerOpts{}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(p.s.log.Handler(), slog.LevelDebug)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := srv.Serve(p.s.listener); !errors.Is(err, http.ErrServerClosed) {
			p.s.log.Error("what monitors ask is not answered any more", "err", err)
		}
	}()
	return func() { _ = srv.Close(); <-ended }, nil
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// URL is where monitors ask; "" where they can't.
func (p *GateProcess) URL() string {
	if p.s.listener == nil {
		return ""
	}
	return p.s.URL()
}

// make makes the parts, once the control plane's rules are known.
func (p *GateProcess) make(ctx context.Context) error {
	s := p.s
	var spool *audit.Spool
	for {
		var err error
		o := audit.SpoolOptions{Dir: spoolDir(s.cfg.path(s.cfg.Data)), Node: p.node, MaxBytes: s.cfg.Limits.SpoolBytes, SegmentBytes: segmentBytes(s.cfg.Limits.SpoolBytes), Archive: p.link}
		if spool, err = audit.OpenSpool(o); err == nil {
			break
		}
		if p.link.Err() == nil {
			return err
		}
		select { // the link went away again: an empty spool must be asked about
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.spool = spool
	s.registry.MustRegister(trafficMetrics{s})
	if p.rules == nil {
		return errors.New("the control plane's policy can't be put in force here: see the log")
	}
	s.masker = mask.New(p.rules.MaskKey, s.detect)
	s.masker.KeepIn(p.link)
	s.cfg.Limits.TransactionWait = p.rules.HoldInTx
	var err error
	s.enforcer, err = enforce.New(enforce.Options{
		Policy: s.policy, Detect: s.detect, Masker: s.masker, Spool: spool, Ledger: p.link,
		Serving: p.link.Serving, Shared: true, ReadsOnly: true, PublicURL: p.rules.PublicURL,
		ExportAfterRows: p.rules.Export, ExportAfterRowsOf: p.rules.ExportOf, Now: p.link.Now, Logger: s.log,
		Metrics: newMetrics(s.registry, func() float64 { return 0 }),
	})
	if err != nil {
		return err
	}
	if err := s.enforcer.Resume(ctx, func() (bool, error) { return false, nil }); err != nil {
		s.log.Warn("how much actors did before is not known: rules on rates hold until this process is old enough to know", "err", err)
	}
	for i := range s.cfg.Gates {
		g := &s.cfg.Gates[i]
		running, err := databaseGates[g.Type](s, g, p.link.Authority(announced(g), s.enforcer))
		if err != nil {
			return fmt.Errorf("gate %s: %w", g.Name, err)
		}
		running.cfg = g
		s.gates = append(s.gates, &running)
	}
	p.begun = true
	return nil
}

// apply puts the control plane's rules in force.
func (p *GateProcess) apply(r *remote.Rules) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.s
	engine, err := detect.New(detect.Options{Columns: r.Columns, Off: r.Off, Detectors: r.Detectors})
	if err != nil {
		return "", err
	}
	set, err := policy.LoadFiles(r.Files, policy.Options{Default: r.Default, UnsafeDefaultAllow: r.Unsafe, DefaultFrom: r.From, Versions: []string{"detect " + engine.Version()}})
	if err != nil {
		return "", err
	}
	if p.begun {
		if engine.Version() != s.detect.Version() || string(r.MaskKey) != string(p.rules.MaskKey) {
			return "", errors.New("how data is found or masked was changed at the control plane: start this process anew")
		}
		if err := s.enforcer.SetExportAfter(r.Export, r.ExportOf); err != nil {
			return "", err
		}
		if err := s.policy.Reload(func() (*policy.Set, error) { return set, nil }); err != nil {
			return "", err
		}
	} else {
		s.detect, s.policy = engine, policy.NewHolder(set)
	}
	p.rules = r
	return set.Bundle(), nil
}

// shipLoop has the log hold the seals of what is closed, and hands it over.
func (p *GateProcess) shipLoop(ctx context.Context) {
	tick := time.NewTicker(shipEvery)
	defer tick.Stop()
	told := ""
	for {
		err := p.ship(ctx)
		if ctx.Err() != nil {
			return
		}
		if text := fmt.Sprint(err); err != nil && text != told {
			p.s.log.Warn("traffic stays here until the control plane takes it", "err", err)
			told = text
		} else if err == nil {
			told = ""
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *GateProcess) ship(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	has, err := p.link.Seal(ctx, p.s.spool.Seals())
	if err != nil {
		return err
	}
	_, err = p.s.spool.Ship(ctx, func(seal audit.Seal) bool { return has[seal.Segment] })
	return err
}

// Open is closed once the gates listen.
func (p *GateProcess) Open() <-chan struct{} { return p.ready }

// GateAddrs is where the gates listen, by name. It is called behind Open.
func (p *GateProcess) GateAddrs() map[string]string { return p.s.GateAddrs() }

// Err is why nothing may run; nil while it may.
func (p *GateProcess) Err() error { return p.link.Serving() }
