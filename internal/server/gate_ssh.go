package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/gates/ssh"
	"github.com/assenthq/assent/internal/recording"
	gossh "golang.org/x/crypto/ssh"
)

// An SSHHostConfig is one host behind an ssh gate, and the gate's credential there.
type SSHHostConfig struct {
	Name       string            `yaml:"name" doc:"Short name: agents log in as ACTOR+NAME, or as ACTOR where there is one host."`
	Address    string            `yaml:"address" doc:"host:port of its sshd."`
	Via        string            `yaml:"via" doc:"System that connectors serve, through which alone the host is reached (docs/connectors.md). address is then what known_hosts calls it."`
	User       string            `yaml:"user" doc:"Account there, for every actor. Its shell must be bash or a POSIX shell."`
	Env        string            `yaml:"env" doc:"Environment of this host, for policy, instead of the gate's."`
	Labels     map[string]string `yaml:"labels" doc:"Labels of this host, for policy, over the gate's."`
	Key        Secret            `yaml:"key" doc:"Private key of the account, without passphrase. One of key, password and agent."`
	Password   Secret            `yaml:"password" doc:"Password of the account."`
	Agent      string            `yaml:"agent" doc:"Socket of an SSH agent that holds the account's key."`
	HostKey    []string          `yaml:"host_key" doc:"Public keys of the host, each as ssh-keyscan prints it after the name. This or known_hosts."`
	KnownHosts string            `yaml:"known_hosts" doc:"File with the host's keys, in the form of OpenSSH."`
	Forward    []string          `yaml:"forward" doc:"host:port that agents may ask to be connected to from this host (ssh -L, -W). None: no ports are forwarded."`
}

// SSHConfig says who comes in how at an ssh gate.
type SSHConfig struct {
	Keys      []SSHKeyConfig `yaml:"keys" doc:"Public keys that stand for an actor, beside tokens."`
	UserCA    []string       `yaml:"user_ca" doc:"Public keys of authorities whose user certificates count: a principal names the actor."`
	CertLife  time.Duration  `yaml:"certificate_life" doc:"Longest life that such a certificate may have." default:"24h"`
	Terminals string         `yaml:"terminals" doc:"recorded, where policy or people permit session.open, or refused." default:"recorded"`
	AllowEnv  []string       `yaml:"allow_env" doc:"Environment variables that agents may set; * at the end stands for anything. Locales must be of UTF-8." default:"LANG, LC_*"`
}

// An SSHKeyConfig is one public key of an actor.
type SSHKeyConfig struct {
	Actor string `yaml:"actor" doc:"The actor."`
	Key   string `yaml:"key" doc:"Its public key, as a line of authorized_keys without options."`
}

func (k *checker) sshGate(at string, g *GateConfig) {
	if _, port, err := net.SplitHostPort(g.Listen); err != nil || !isPort(port) {
		k.fail(at+".listen", fmt.Sprintf("%q is not host:port", g.Listen), "for example 0.0.0.0:2222")
	}
	if g.TLS != nil {
		k.fail(at+".tls", "has no place at an ssh gate", "SSH encrypts by itself; assent ssh hostkey prints the gate's key")
	}
	if len(g.Hosts) == 0 {
		k.fail(at+".hosts", "is missing", "name at least one host, with address, user, a credential and host_key or known_hosts")
	}
	seen := map[string]bool{}
	for i := range g.Hosts {
		k.sshHost(fmt.Sprintf("%s.hosts[%d]", at, i), &g.Hosts[i], seen)
	}
	if g.SSH == nil {
		return
	}
	for i, key := range g.SSH.Keys {
		if _, err := publicKey(key.Key); err != nil {
			k.fail(fmt.Sprintf("%s.ssh.keys[%d].key", at, i), err.Error(), "for example ssh-ed25519 AAAA… comment")
		}
	}
	for i, ca := range g.SSH.UserCA {
		if _, err := publicKey(ca); err != nil {
			k.fail(fmt.Sprintf("%s.ssh.user_ca[%d]", at, i), err.Error(), "for example ssh-ed25519 AAAA… comment")
		}
	}
	if t := g.SSH.Terminals; t != "" && t != "recorded" && t != "refused" {
		k.fail(at+".ssh.terminals", fmt.Sprintf("%q", t), "write recorded or refused")
	}
	if g.SSH.CertLife < 0 {
		k.fail(at+".ssh.certificate_life", "is negative", "leave it out for 24h")
	}
}

// sshActors checks what the keys of ssh gates stand for: one key is one actor's, at every gate.
func (k *checker) sshActors(c *Config) {
	ids, of := c.actorIDs(), map[string]string{}
	for i := range c.Gates {
		if c.Gates[i].SSH == nil {
			continue
		}
		for j, line := range c.Gates[i].SSH.Keys {
			at := fmt.Sprintf("$.gates[%d].ssh.keys[%d]", i, j)
			if ids[line.Actor] == "" {
				k.fail(at+".actor", fmt.Sprintf("%q is not among actors", line.Actor), "add it under actors:, with its owner")
			}
			key, err := publicKey(line.Key)
			if err != nil {
				continue // said already
			}
			id := actors.KeyID(key)
			if other, known := of[id]; known && other != line.Actor {
				k.fail(at+".key", "stands for "+other+" already", "give each actor a key of its own")
			}
			of[id] = line.Actor
		}
	}
}

func (k *checker) sshHost(at string, h *SSHHostConfig, seen map[string]bool) {
	if !name.MatchString(h.Name) || seen[h.Name] {
		k.fail(at+".name", fmt.Sprintf("%q is not a short name of its own", h.Name), "use lower-case letters, digits, '.', '_' and '-', and another name for each")
	}
	seen[h.Name] = true
	if host, port, err := net.SplitHostPort(h.Address); err != nil || host == "" || !isPort(port) {
		k.fail(at+".address", fmt.Sprintf("%q is not host:port", h.Address), "for example web1.internal:22")
	}
	if h.User == "" {
		k.fail(at+".user", "is missing", "name the account on the host that the gate logs in as")
	}
	n := 0
	for _, s := range []*Secret{&h.Key, &h.Password} {
		if c := s.sources(); c > 1 {
			k.fail(at, "a credential names more than one source", "give one of file, env or command")
		} else {
			n += c
		}
	}
	if h.Agent != "" {
		n++
	}
	if n != 1 {
		k.fail(at, fmt.Sprintf("names %d credentials", n), "give one of key, password or agent")
	}
	if (len(h.HostKey) > 0) == (h.KnownHosts != "") {
		k.fail(at, "needs one of host_key and known_hosts", "without the host's own key nobody knows who answers")
	}
	for i, to := range h.Forward {
		if host, port, err := net.SplitHostPort(to); err != nil || host == "" || !isPort(port) || to != strings.ToLower(to) {
			k.fail(fmt.Sprintf("%s.forward[%d]", at, i), fmt.Sprintf("%q is not host:port in lower case", to), "for example db1.internal:5432")
		}
	}
	for i, key := range h.HostKey {
		if _, err := publicKey(key); err != nil {
			k.fail(fmt.Sprintf("%s.host_key[%d]", at, i), err.Error(), "for example ssh-ed25519 AAAA…, as ssh-keyscan prints it after the name")
		}
	}
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 || s == "0"
}

// publicKey reads one line of the form that authorized_keys has, without options.
func publicKey(line string) (gossh.PublicKey, error) {
	key, _, options, rest, err := gossh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return nil, errors.New("is not a public key")
	case len(options) > 0:
		return nil, errors.New("has options, which are not read here")
	case len(rest) > 0:
		return nil, errors.New("is more than one line")
	}
	if _, is := key.(*gossh.Certificate); is {
		return nil, errors.New("is a certificate, not a key")
	}
	return key, nil
}

func sshGate(s *Server, g *GateConfig) (runningGate, error) {
	key, err := ssh.HostKey(s.cfg.sshKeyFile())
	if err != nil {
		return runningGate{}, err
	}
	var recordings *recording.Store
	if g.SSH == nil || g.SSH.Terminals != "refused" {
		recordings = s.recordings
	}
	cfg := ssh.Config{Name: g.Name, HostKey: key, Recordings: recordings, Refused: s.refusedAt(g), Log: s.log}
	for i := range g.Hosts {
		h, err := s.sshHost(g, &g.Hosts[i])
		if err != nil {
			return runningGate{}, fmt.Errorf("host %s: %w", g.Hosts[i].Name, err)
		}
		cfg.Hosts = append(cfg.Hosts, h)
	}
	if g.SSH != nil {
		cfg.Env = g.SSH.AllowEnv
		if cfg.Key, err = s.sshLogins(g.SSH); err != nil {
			return runningGate{}, err
		}
	}
	one, err := ssh.New(cfg)
	if err != nil {
		return runningGate{}, err
	}
	s.log.Info("ssh gate's own key", "gate", g.Name, "fingerprint", gossh.FingerprintSHA256(key.PublicKey()))
	return runningGate{serve: one.Serve}, nil
}

func (s *Server) sshHost(g *GateConfig, h *SSHHostConfig) (*ssh.Host, error) {
	out := &ssh.Host{
		Name: h.Name, Address: h.Address, Dial: s.dialer(h.Via), User: h.User, Agent: h.Agent, KnownHosts: s.cfg.path(h.KnownHosts), Forward: h.Forward,
		Authority: s.enforcer.Gate(g.Name, sshResource(g, h), sshSystem(h)),
	}
	read := func(secret *Secret) func(context.Context) ([]byte, error) {
		if secret.sources() == 0 {
			return nil
		}
		return func(ctx context.Context) ([]byte, error) { return secret.Read(ctx, s.cfg) }
	}
	out.Key, out.Password = read(&h.Key), read(&h.Password)
	for _, line := range h.HostKey {
		key, err := publicKey(line)
		if err != nil {
			return nil, fmt.Errorf("host_key %w", err)
		}
		out.HostKeys = append(out.HostKeys, key)
	}
	return out, nil
}

// sshResource is one host behind a gate.
func sshResource(g *GateConfig, h *SSHHostConfig) action.Resource {
	r := action.Resource{URN: "ssh:" + g.Name + "/" + h.Name, Type: "ssh", Env: g.Env, Labels: maps.Clone(g.Labels)}
	if h.Env != "" {
		r.Env = h.Env
	}
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	maps.Copy(r.Labels, h.Labels)
	return r
}

// sshLogins returns who a key or certificate stands for at one gate.
func (s *Server) sshLogins(c *SSHConfig) (func(context.Context, string, gossh.PublicKey) (gate.Verifier, error), error) {
	ids, known := s.cfg.actorIDs(), map[string]bool{}
	for _, line := range c.Keys {
		key, err := publicKey(line.Key)
		if err != nil {
			return nil, fmt.Errorf("ssh.keys: a key of %s %w", line.Actor, err)
		}
		if ids[line.Actor] == "" {
			return nil, fmt.Errorf("ssh.keys: %q is not among actors", line.Actor)
		}
		id, err := s.sshKeys.Add(key, ids[line.Actor])
		if err != nil {
			return nil, fmt.Errorf("ssh.keys: %w", err)
		}
		known[id] = true
	}
	ca := actors.SSHAuthority{Longest: c.CertLife}
	if ca.Longest == 0 {
		ca.Longest = 24 * time.Hour
	}
	for _, line := range c.UserCA {
		key, err := publicKey(line)
		if err != nil {
			return nil, fmt.Errorf("ssh.user_ca: a key %w", err)
		}
		ca.Keys = append(ca.Keys, key)
	}
	if len(known) == 0 && len(ca.Keys) == 0 {
		return nil, nil
	}
	return func(_ context.Context, user string, key gossh.PublicKey) (gate.Verifier, error) {
		cert, is := key.(*gossh.Certificate)
		if !is {
			if id := actors.KeyID(key); known[id] {
				return gate.Verifier{Credential: id, Proved: true}, nil
			}
			return gate.Verifier{}, errors.New("no actor's key")
		}
		for _, a := range s.dir.Actors() {
			if a.ID == a.Type+":"+user {
				id, err := s.sshKeys.Certified(ca, cert, user, a.ID)
				return gate.Verifier{Credential: id, Proved: err == nil}, err
			}
		}
		return gate.Verifier{}, errors.New("no actor of this name")
	}, nil
}

// reachSSH tells whether each host behind a gate answers as an SSH server does.
func reachSSH(ctx context.Context, s *Server, g *GateConfig) error {
	var errs []error
	for _, h := range g.Hosts {
		if err := ssh.Probe(ctx, s.dialer(h.Via), h.Address); err != nil {
			errs = append(errs, fmt.Errorf("host %s: %w", h.Name, err))
		}
	}
	return errors.Join(errs...)
}

// SSHHostKey is the public key that the ssh gates of a configuration prove themselves with.
func SSHHostKey(c *Config) (gossh.PublicKey, error) {
	key, err := ssh.HostKey(c.sshKeyFile())
	if err != nil {
		return nil, err
	}
	return key.PublicKey(), nil
}

// sshSystem names a host as far as its configuration tells two apart.
func sshSystem(h *SSHHostConfig) string {
	at := "ssh://" + h.User + "@" + h.Address
	if h.Via != "" {
		at += "?via=" + h.Via
	}
	return at
}
