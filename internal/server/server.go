// Package server is the only place that constructs: it makes the parts from a
// configuration and joins them, with one explicit table of gates.
//
// It promises to start whole or not at all, to tell the truth about its health,
// and to lose nothing when it stops.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/asktools"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/awskey"
	"github.com/assenthq/assent/internal/bodies"
	"github.com/assenthq/assent/internal/calm"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/channels/webpush"
	"github.com/assenthq/assent/internal/connector"
	"github.com/assenthq/assent/internal/console"
	"github.com/assenthq/assent/internal/decisionpoint"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/emergency"
	"github.com/assenthq/assent/internal/enforce"
	"github.com/assenthq/assent/internal/enrol"
	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/gates/command"
	"github.com/assenthq/assent/internal/gates/egress"
	"github.com/assenthq/assent/internal/gates/hook"
	proxy "github.com/assenthq/assent/internal/gates/http"
	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/habit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/passkey"
	"github.com/assenthq/assent/internal/passport"
	"github.com/assenthq/assent/internal/people"
	"github.com/assenthq/assent/internal/pins"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/recording"
	"github.com/assenthq/assent/internal/remote"
	"github.com/assenthq/assent/internal/rules"
	"github.com/assenthq/assent/internal/scim"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/session"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/stream"
	"github.com/assenthq/assent/internal/trace"
	"github.com/assenthq/assent/internal/trail"
	"github.com/assenthq/assent/internal/witness"
	"github.com/assenthq/assent/internal/workload"
	"github.com/prometheus/client_golang/prometheus"
)

// A Server is one deployment: its data, gates, API and console.
type Server struct {
	cfg       *Config
	log       *slog.Logger
	store     store.Store
	shared    store.Replicated // the store, where several nodes share it; nil otherwise
	shown     []byte           // certificate of console and API, DER; nil without TLS
	lock      *os.File         // of a data directory that is not itself the store
	box       *sealed.Box      // what is known about people and actors
	passkeys  *passkey.Keys
	auditLog  *audit.Log
	retired   []string           // public halves of the log\'s former keys
	signer    *audit.Signer      // holds its key elsewhere; nil: it is a file
	witnesses *witness.Collector // nil: nobody cosigns
	spool     *audit.Spool
	sealer    *sealer
	archive   *audit.Archive   // nil: there is none
	remote    *remote.Host     // nil: no gate runs elsewhere
	members   *enrol.Authority // of parts that run elsewhere; nil: none do
	entrance  *enrol.Desk
	taken     *audit.Archive // has the traffic of gates that do
	shipped   shipping
	minter    *grant.Minter
	passport  *passport.Signer // of identity headers
	dir       *people.Directory
	tokens    *identity.Tokens
	quality   quality
	canaries  *canaries // nil: none are planted
	issuers   []*oidc.Issuer
	sessions  *session.Manager
	policy    *policy.Holder
	detect    *detect.Engine
	engine    *approval.Engine
	enforcer  *enforce.Enforcer
	freezes   *freeze.Switch
	trail     *trail.Trail
	changes   *change.Engine
	glass     *emergency.Glass
	points    []*decisionpoint.Point
	habits    *habit.Memory
	rules     *rules.Rules
	pins      *pins.Keeper
	notify    *notify.Dispatcher
	streams   []*stream.Follower
	tracer    *trace.Tracer // nil: nothing is traced
	calm      *calm.Keeper
	fatigue   *fatigue
	facts     *facts.Writer           // nil: they are off
	unfilled  atomic.Int64            // reasons of rules whose template failed
	doors     map[string]http.Handler // of channels, by path
	push      *webpush.Channel        // one of them; nil: no browser is told

	pushSecret []byte                  // its key is derived from it
	runs       []func(context.Context) // of channels
	// newBundle is told when another policy was applied, here or elsewhere.
	newBundle chan struct{}
	console   *console.Console
	handler   http.Handler
	registry  *prometheus.Registry

	workloads  *workload.Verifier
	actors     *actors.Registry
	look       chan struct{} // wakes cutLoop
	door       *actors.Door
	exchange   *actors.Desk
	sshKeys    *actors.SSHKeys
	recordings *recording.Store
	masker     *mask.Masker
	bodies     *bodies.Store
	clients    *workload.Certificates // nil: no client certificate counts

	pauseKey  []byte        // seals what clients of gates bring back for what waits
	awsKeys   *awskey.Maker // of agents' key pairs; nil: no gate speaks for AWS
	authority *egress.CA    // of egress gates; nil: there are none

	hub            *connector.Hub // nil: none come
	connectorsAt   string
	stopConnectors func()

	webs map[string]*proxy.Gate // HTTP gates by name, to ask about their upstreams

	head  chan audit.Head // newest durable head, to be signed
	gates []*runningGate

	hooks    *hook.Gate
	commands *command.Gates

	listener     net.Listener
	remoteAddr   string // where processes come in that run elsewhere
	http         *http.Server
	hangUp       context.CancelFunc // ends event streams and long polls
	closeArchive func()
	conflict     atomic.Bool // two segments of traffic contradict each other, and the log says so
	cancel       context.CancelFunc
	work         sync.WaitGroup
	closed       sync.Once

	mu       sync.Mutex
	verified console.Verified // owned by mu
	fatal    error            // owned by mu: a gate that ended by itself
	lost     error            // owned by mu: why this node stopped serving
	stopped  chan struct{}    // closed with lost

	closeGates context.CancelFunc
}

// Paths inside a data directory.
func headFile(data string) string { return filepath.Join(data, "checkpoint") }
func spoolDir(data string) string { return filepath.Join(data, "spool") }

// New makes every part and opens the data directory; nothing listens yet.
func New(ctx context.Context, cfg *Config, log *slog.Logger) (*Server, error) {
	s := &Server{newBundle: make(chan struct{}, 1), look: make(chan struct{}, 1), cfg: cfg, log: log, head: make(chan audit.Head, 1), stopped: make(chan struct{}), closeGates: func() {}, stopConnectors: func() {}, registry: prometheus.NewRegistry()}
	if err := s.make(ctx); err != nil {
		_ = s.release()
		return nil, err
	}
	return s, nil
}

func (s *Server) make(ctx context.Context) error {
	data := s.cfg.path(s.cfg.Data)
	for _, dir := range []string{data, s.cfg.keysDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making the data directory: %w", err)
		}
	}
	var err error
	if s.recordings, err = recording.Open(filepath.Join(data, "recordings")); err != nil {
		return err
	}
	how := s.cfg.detectOptions()
	if err := how.ParseNames(cmp.Or(s.cfg.Detect.Names, "off"), cmp.Or(s.cfg.path(s.cfg.Detect.Model), os.Getenv("ASSENT_DETECT_MODEL"))); err != nil {
		return fmt.Errorf("configuration, detect: %w", err)
	}
	if s.detect, err = detect.New(how); err != nil {
		return fmt.Errorf("configuration, columns and detect: %w", err)
	}
	if s.bodies, err = bodies.NewStore(filepath.Join(data, "bodies"), s.cfg.Limits.BodiesBytes, s.cfg.Limits.BodyBytes, s.detect); err != nil {
		return err
	}
	if err := s.makeWorkloads(); err != nil {
		return err
	}
	set, err := s.loadPolicy()
	if err != nil {
		return err
	}
	s.policy = policy.NewHolder(set)
	if err := s.openData(ctx, data); err != nil {
		return err
	}
	head, err := s.store.Head(ctx)
	if err != nil {
		return err
	}
	there, err := s.keysAreThere(ctx)
	if err != nil {
		return err
	}
	k, err := loadKeys(s.cfg.keysDir(), head.Size == 0 && !there)
	if err != nil {
		return err
	}
	if err := s.checkKeys(ctx, k); err != nil {
		return err
	}
	if s.box, err = sealed.NewBox(s.store, s.auditLog, k.seal); err != nil {
		return err
	}
	if err := s.makeDirectory(ctx); err != nil {
		return err
	}
	if s.awsKeys, err = awskey.New(k.api); err != nil {
		return err
	}
	for _, step := range []func(*keys) error{s.makeEngine, s.makeEnforcer, s.makeMembers, s.makeRemote, s.makeConnectors, func(*keys) error { return s.makeChanges() }, s.makeSessions, s.makeChannels, func(*keys) error { return s.makeCommands() }, func(*keys) error { return s.makeHooks() }, s.makeHTTP} {
		if err := step(k); err != nil {
			return err
		}
	}
	s.pauseKey = k.api
	if err := s.makeAuthority(ctx); err != nil {
		return err
	}
	if s.passport, err = passport.New(k.api, strings.TrimSuffix(s.cfg.PublicURL, "/"), nil); err != nil {
		return err
	}
	if err := s.makeStreams(ctx); err != nil {
		return err
	}
	return s.makeGates()
}

// openData opens store, log and spool, and refuses a data directory that went back in time.
func (s *Server) openData(ctx context.Context, data string) error {
	var err error
	if err := s.openStore(ctx, data); err != nil {
		return err
	}
	if _, err := s.keysAreThere(ctx); err != nil {
		return err
	}
	keys, retired, err := s.logKeys(time.Now())
	if err != nil {
		return err
	}
	s.retired = retired
	join, err := s.joining(data)
	if err != nil {
		return err
	}
	if s.auditLog, err = audit.New(audit.Options{Origin: s.cfg.logName(), Keys: keys, Retired: retired, HeadFile: headFile(data), Join: join}); err != nil {
		return err
	}
	if err := s.makeWitnesses(ctx, data); err != nil {
		return err
	}
	if err := s.auditLog.Open(ctx, s.store); err != nil {
		return err
	}
	if err := s.verifyAtStart(ctx, data); err != nil {
		return err
	}
	s.store.OnCommit(s.toSign)
	s.archive, s.closeArchive = s.cfg.openArchive()
	s.registry.MustRegister(trafficMetrics{s})
	s.sealer = &sealer{log: s.store, record: s.record}
	if s.spool, err = audit.OpenSpool(audit.SpoolOptions{Dir: spoolDir(data), Node: s.cfg.nodeName(), MaxBytes: s.cfg.Limits.SpoolBytes, SegmentBytes: segmentBytes(s.cfg.Limits.SpoolBytes), OnSeal: s.onSeal, Archive: archiver(s.archive)}); err != nil {
		return err
	}
	if s.minter, err = grant.NewMinter(s.cfg.grantFile(), s.cfg.PublicURL); err != nil {
		return err
	}
	return nil
}

// origin names the log: the public host, as C2SP tlog-checkpoint asks for a schema-less URL.
func origin(c *Config) string {
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Hostname() == "" {
		return "assent/log"
	}
	return u.Hostname() + "/assent/log"
}

func classes(m map[string]string) map[string]detect.Class {
	out := make(map[string]detect.Class, len(m))
	for k, v := range m {
		out[k] = detect.Class(v)
	}
	return out
}

func (s *Server) makeEngine(k *keys) error {
	var err error
	if err := s.makeFreezes(context.Background()); err != nil {
		return err
	}
	s.tokens, err = identity.NewTokens(identity.TokenOptions{Store: s.store, Directory: s.dir, SealKey: k.seal, Record: s.recordToken, Revoked: tokenRevoked, Rule: s.workloads.Holds, Provisions: s.dir.Provisions})
	if err != nil {
		return err
	}
	s.makeDoor()
	if s.passkeys, err = passkey.New(passkey.Options{Box: s.box, PublicURL: s.cfg.PublicURL, Secret: k.seal, Began: s.began}); err != nil {
		return err
	}
	s.engine, err = approval.New(approval.Options{
		Store: s.store, Log: s.auditLog, Minter: s.minter, Directory: s.dir, MatchKey: k.match, SealKey: k.seal, Issuer: s.cfg.PublicURL, Node: s.node(),
		Passkeys: s.passkeys,
		Expires:  s.cfg.Limits.ApprovalExpires, Window: s.cfg.Limits.ApprovalWindow, PendingCap: s.cfg.Limits.PendingPerActor, PersonCap: s.cfg.Limits.PendingPerPerson, BytesCap: s.cfg.Limits.PendingBytes, Stamps: s.stamps(), Logger: s.log,
		Frozen: s.frozenBy, Stopped: s.freezes.Suspended,
		Box: s.box, StandingUses: s.cfg.Limits.StandingUses, StandingLife: s.cfg.Limits.StandingLife,
		Canaries: s.cfg.Canaries.PerWeek > 0,
	})
	return err
}

func (s *Server) makeEnforcer(k *keys) error {
	var err error
	if s.cfg.Canaries.PerWeek > 0 {
		if s.canaries, err = s.cfg.Canaries.plan(k.seal); err != nil {
			return err
		}
	}
	s.fatigue = newFatigue(s.registry)
	s.store.SealLedger(k.seal)
	if err := s.makeTrail(k); err != nil {
		return err
	}
	if err := s.makePoints(context.Background()); err != nil {
		return err
	}
	s.masker = mask.New(k.mask, s.detect)
	s.masker.KeepIn(s.store)
	if err := s.makeFacts(); err != nil {
		return err
	}
	if err := s.makeTracer(context.Background()); err != nil {
		return err
	}
	s.enforcer, err = enforce.New(enforce.Options{
		Facts:       s.facts,
		Tracer:      s.tracer,
		Matched:     s.matched,
		Credentials: credentials{s.door, s.personAsks}, Policy: s.policy, Detect: s.detect, Masker: s.masker,
		Approvals: s.engine, Record: recorder{s}, Spool: s.spool, Ledger: s.store, Freezes: s.freezes, Trail: s.trail, Points: s.points, Habits: s.habits, Emergency: s.glass, Serving: s.serving, Shared: s.shared != nil || s.cfg.Remote != nil,
		PublicURL: s.cfg.PublicURL, ExportAfterRows: s.cfg.Limits.ExportAfterRows, ExportAfterRowsOf: s.cfg.Limits.ExportAfterRowsOf, Logger: s.log,
		Metrics: newMetrics(s.registry, s.pending),

		Seen: s.sawActor,
	})
	return err
}

func (s *Server) makeHTTP(k *keys) error {
	desk, err := s.makeDesk()
	if err != nil {
		return err
	}
	s.exchange = desk
	languages, err := s.cfg.languages()
	if err != nil {
		return err
	}
	s.console, err = console.New(console.Options{
		Languages: languages,
		Sessions:  s.sessions, SignIns: s.signIns(), Administers: s.administers,
		Approvals: s.engine, Log: s.store, Mask: s.masked, Nudge: s.nudge, Quality: s.reviewers, Calm: s.calm, People: s.dir, PublicURL: s.cfg.PublicURL, Hosts: s.cfg.Hosts,
		Directory: s.dir, Freezes: s.freezes, Changes: s.changes, Standings: s.engine, Glass: s.glass, Rules: s.rules, Pins: s.toolsPage(), Tokens: revoking{s},
		Actors: s.actors, Credentials: s.tokens.List,
		Passkeys: s.passkeys, Channels: s.notify,
		CheckToken: s.personOf, TokenHolds: s.tokenHolds, Traffic: &console.Traffic{Spool: s.spool}, About: s.about, Verified: s.lastVerified,
		Checkpoint: func(context.Context) ([]byte, error) { return s.auditLog.Checkpoint(), nil }, Logger: s.log,
		Unmask: s.unmasker(), Push: s.pushing(), Prove: proving{s}.Proof, Verifiers: s.auditLog.Verifiers, Policies: s.inForce, Setup: trial{s},
	})
	if err != nil {
		return err
	}
	rest, err := api.New(api.Options{
		Hooks:    s.hooks,
		Commands: s.commands, Environment: s.environment, AWSKeys: awsKeys(s),
		Standings: s.engine, ApplyPolicy: s.ApplyPolicy, Privacy: s, Members: s, Glass: s.glass, Channels: s.notify, Rules: s.rules, Pins: s.pins, Vault: vault{s}, Recordings: s.recordings, Evidence: newExporter(s),
		Sessions: s.sessions, Logins: s.logins(),
		PublicURL: s.cfg.PublicURL, Hosts: s.cfg.Hosts, Version: buildVersion(),
		Credentials: s.door, Tokens: revoking{s}, Directory: s.dir, People: s.dir, Enforcer: apiEnforcer{s.enforcer}, Approvals: s.engine, Reviews: s.engine, Freezes: s.freezes, Changes: s.changes, Passkeys: s.passkeys,
		Audit: s.store, Log: proving{s}, PublicLog: s.cfg.Audit.Public, Mask: s.masked, Quality: s.reviewers, Nudge: s.nudge, Calm: s.calm, JWKS: s.jwks, Seed: k.api, Ready: s.checks(), Registry: s.registry, Logger: s.log,

		EgressCA: s.egressCA,
		Looker:   s.looker(k),
		Actors:   s.actors, Machine: operatorPerson, Connectors: apiConnectors(s),
		Exchange: desk, Mutual: s.clients != nil,
		Tools: func(api http.Handler) http.Handler { return asktools.Handler(buildVersion(), api) },
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.console)
	for _, p := range api.Prefixes() {
		mux.Handle(p, rest)
	}
	for path, door := range s.doors {
		mux.Handle(path, door)
	}
	mux.Handle(scim.Prefix, s.provisioning())
	s.handler = promptBodies(mux)
	return nil
}

const bodyTime = 20 * time.Second // how long a request's body may take

// promptBodies ends requests whose body trickles in. A deadline of the whole
// server would end event streams too, which have no body.
func promptBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			// Not every writer of a test has a deadline; each connection of a server has.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
		}
		next.ServeHTTP(w, r)
	})
}

// neverServed says that no server of this deployment ever started, so nothing was decided.
func (s *Server) neverServed(ctx context.Context) (bool, error) {
	started, err := s.store.Search(ctx, audit.Query{Types: []string{audit.TypeStart}, Limit: 1})
	return err == nil && len(started) == 0, err
}

// Start recovers what a crash left, then listens: gates, API and console.
func (s *Server) Start(ctx context.Context) error {
	if err := s.recover(ctx); err != nil {
		return err
	}
	if err := s.engine.Relate(ctx, s.dir.Actors()); err != nil {
		return err
	}
	if err := s.adoptPolicy(ctx); err != nil {
		return err
	}
	if err := s.rules.Load(ctx); err != nil {
		return err
	}
	if err := s.haltForked(ctx); err != nil {
		return err
	}
	s.tellGaps(ctx)
	s.tellOversights(ctx)
	if err := s.enforcer.Resume(ctx, func() (bool, error) { return s.neverServed(ctx) }); err != nil {
		s.log.Warn("how much actors did before is not known: rules on rates hold until this process is old enough to know", "err", err)
	}
	if err := s.sealSpool(ctx); err != nil {
		return err
	}
	if err := s.record(ctx, &audit.Record{Type: audit.TypeStart, Policy: s.policy.Current().Bundle(), Detail: map[string]string{"version": buildVersion(), "node": s.cfg.nodeName(), "every": s.cfg.Audit.Heartbeat.String()}}); err != nil {
		return err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	open, closeGates := context.WithCancel(run)
	s.closeGates = closeGates
	var err error
	if s.listener, err = s.listen(); err != nil {
		cancel()
		return err
	}
	requests, hangUp := context.WithCancel(run)
	s.hangUp = hangUp
	s.http = &http.Server{Handler: s.handler, BaseContext: func(net.Listener) context.Context { return requests }, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	s.http.RegisterOnShutdown(s.console.Close)
	if s.shared != nil {
		s.follow(run)
		s.work.Go(func() { s.watchNodes(run) })
	}
	s.work.Go(func() { s.signLoop(run) })
	if s.witnesses != nil {
		s.work.Go(func() { s.witnesses.Run(run) })
	}
	s.work.Go(func() { s.heartbeatLoop(run) })
	s.work.Go(func() { s.shipLoop(run) })
	if s.archive != nil && s.cfg.Audit.Retention > 0 {
		s.work.Go(func() { s.pruneLoop(run) })
	}
	s.work.Go(func() { s.verifyLoop(run) })
	s.work.Go(func() { s.qualityLoop(run) })
	s.work.Go(func() { s.canaryLoop(run) })
	s.work.Go(func() { s.relateLoop(run) })
	s.work.Go(func() { s.cutLoop(run) })
	s.work.Go(func() { s.actors.Run(run) })
	s.work.Go(func() { s.sessions.Run(run) })
	s.work.Go(func() { s.freezes.Run(run) })
	s.work.Go(func() { s.trail.Run(run) })
	s.work.Go(func() { s.habits.Run(run) })
	s.work.Go(func() { s.changes.Run(run) })
	s.work.Go(func() { s.glass.Run(run) })
	s.work.Go(func() { s.rules.Run(run) })
	s.work.Go(func() { s.watchPolicy(run) })
	s.work.Go(func() { s.dir.Run(run) })
	s.work.Go(func() { s.notify.Run(run) })
	for _, channel := range s.runs {
		s.work.Go(func() { channel(run) })
	}
	for _, f := range s.streams {
		s.work.Go(func() { f.Run(run) })
	}
	if s.tracer != nil {
		s.tracer.Start()
	}
	s.work.Go(func() { s.fatigue.run(run, s.engine) })
	s.work.Go(func() { s.keepFacts(run) })
	s.work.Go(func() { s.console.Run(run) })
	s.work.Go(func() {
		if err := s.enforcer.Run(run); err != nil {
			s.log.Error("the ledger's last counts are lost", "err", err)
		}
	})
	s.work.Go(func() {
		if err := s.engine.Run(run); err != nil && run.Err() == nil {
			s.fail("timers", err)
		}
	})
	s.work.Go(func() {
		if err := s.http.Serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.fail("console and API", err)
		}
	})
	if err := s.writeOperator(ctx); err != nil {
		return fmt.Errorf("leaving a credential for commands on this machine: %w", err)
	}
	if err := s.startRemote(open); err != nil {
		return err
	}
	if err := s.startConnectors(ctx); err != nil {
		return err
	}
	return s.startGates(open)
}

func (s *Server) listen() (net.Listener, error) {
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listening for console and API: %w (choose another listen: in the configuration)", err)
	}
	if s.cfg.TLS == nil {
		return l, nil
	}
	cert, err := tls.LoadX509KeyPair(s.cfg.path(s.cfg.TLS.Cert), s.cfg.path(s.cfg.TLS.Key))
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("console and API: %w", err)
	}
	s.shown = cert.Certificate[0]
	return tls.NewListener(l, s.askCertificate(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})), nil
}

// Close stops accepting, lets what runs end, and closes the data directory.
// Approvals that wait stay pending: they are found again after the next start.
func (s *Server) Close(ctx context.Context) error {
	var err error
	s.closed.Do(func() { err = s.close(ctx) })
	return err
}

func (s *Server) close(ctx context.Context) error {
	if s.http != nil {
		s.hangUp()
		hctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		if s.http.Shutdown(hctx) != nil {
			_ = s.http.Close()
		}
		cancel()
	}
	if s.hooks != nil {
		s.hooks.Close()
	}
	if s.commands != nil {
		s.commands.Close()
	}
	if s.cancel != nil {
		s.cancel()
		if err := s.record(ctx, &audit.Record{Type: audit.TypeStop, Detail: map[string]string{"node": s.cfg.nodeName()}}); err != nil {
			s.log.Error("recording the stop", "err", err)
		}
	}
	s.work.Wait()
	s.stopConnectors()
	s.tracer.Close()
	return s.release()
}

// release closes what New opened, the log's last checkpoint first.
func (s *Server) release() error {
	var errs []error
	for _, i := range s.issuers {
		i.Close()
	}
	if s.spool != nil {
		errs = append(errs, s.spool.Close())
	}
	if s.closeArchive != nil {
		s.closeArchive()
	}
	if s.store != nil {
		if s.auditLog != nil && s.auditLog.Err() == nil {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			if head, err := s.store.Head(ctx); err == nil {
				_, err = s.auditLog.Sign(ctx, head)
				errs = append(errs, err)
			}
			cancel()
		}
		errs = append(errs, s.store.Close())
	}
	if s.signer != nil {
		s.signer.Close()
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// URL is where console and API really listen.
func (s *Server) URL() string {
	scheme := "http"
	if s.cfg.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + s.listener.Addr().String()
}

// GateAddr is where a gate listens, "" if there is none of that name.
func (s *Server) GateAddr(name string) string {
	for _, g := range s.gates {
		if g.cfg.Name == name && g.listener != nil {
			return g.listener.Addr().String()
		}
	}
	return ""
}

// Approvals is the engine, for the process's own use.
func (s *Server) Approvals() *approval.Engine { return s.engine }

// SignInLink makes a one-time link for a person; "" where nobody is known by
// that id, or people sign in through issuers: a link would be a way around them.
func (s *Server) SignInLink(person string) string {
	p, ok := s.dir.Person(person)
	if !ok || len(s.issuers) > 0 {
		return ""
	}
	return s.console.SignInLink(p)
}

// Mint makes a credential.
func (s *Server) Mint(ctx context.Context, m identity.MintRequest) (string, error) {
	text, _, err := s.tokens.Mint(ctx, m)
	return text, err
}

func (s *Server) fail(what string, err error) {
	s.log.Error("a part ended by itself", "part", what, "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fatal == nil {
		s.fatal = fmt.Errorf("%s: %w", what, err)
	}
}

// pending is how many approvals wait; -1 when the store doesn't tell.
func (s *Server) pending() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	n := -1
	err := s.store.View(ctx, func(tx approval.Tx) (err error) {
		n, err = tx.CountPending(ctx, "")
		return err
	})
	if err != nil {
		return -1
	}
	return float64(n)
}

func (s *Server) personOf(ctx context.Context, token string) (identity.Person, error) {
	c, err := s.tokens.Check(ctx, token)
	if err != nil {
		return identity.Person{}, err
	}
	if c.Person == nil || !c.Has(identity.ScopeReview) {
		return identity.Person{}, errors.New("the token is not a reviewer's")
	}
	return *c.Person, nil
}

// tokenHolds errs once a reviewer's token has expired or was revoked: what was opened with it ends with it.
func (s *Server) tokenHolds(ctx context.Context, id string) error {
	c, err := s.tokens.Proved(ctx, id)
	if err != nil {
		return err
	}
	if c.Person == nil || !c.Has(identity.ScopeReview) {
		return errors.New("the token is not a reviewer's")
	}
	return nil
}

func resourceOf(g *GateConfig) action.Resource {
	urn := g.Type + ":" + g.Name
	if (g.Type == "postgres" || g.Type == "mysql") && g.Upstream.Database != "" {
		urn += "/" + g.Upstream.Database
	}
	return action.Resource{URN: urn, Type: g.Type, Env: g.Env, Labels: g.Labels}
}

// systemOf names what a gate stands before, as far as its configuration tells two apart.
func systemOf(g *GateConfig) string {
	if g.Type == "mcp" {
		return "mcp://" + g.Name
	}
	if g.Cluster != nil {
		at := "kubernetes://" + strings.ToLower(strings.TrimPrefix(g.Cluster.Server, "https://"))
		if g.Cluster.Via != "" {
			at += "?via=" + g.Cluster.Via
		}
		return at
	}
	if g.Upstream.Host == "" {
		return g.Type + ":" + g.Name
	}
	port := g.Upstream.Port
	if port == 0 {
		port = ownPort(g.Type)
	}
	at := g.Type + "://" + net.JoinHostPort(strings.ToLower(g.Upstream.Host), strconv.Itoa(port))
	if g.Upstream.Via != "" { // the same address in another network is another system
		at += "?via=" + g.Upstream.Via
	}
	return at
}

// GateAddrs is where each gate listens.
func (s *Server) GateAddrs() map[string]string {
	out := map[string]string{}
	for _, g := range s.gates {
		if addr := s.GateAddr(g.cfg.Name); addr != "" {
			out[g.cfg.Name] = addr
		}
	}
	return out
}
