package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/assenthq/assent/gate"
	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// A Host is one system behind the gate, with the credential that the gate holds for it.
type Host struct {
	Name    string
	Address string // host:port
	// Dial opens connections to it; nil: net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	User      string
	Authority gate.Authority

	// One of these says which credential: a private key in PEM form, a password, the socket of an agent.
	Key      func(ctx context.Context) ([]byte, error)
	Password func(ctx context.Context) ([]byte, error)
	Agent    string

	// One of these says which key the host has: keys, or a known_hosts file, read anew for each connection.
	HostKeys   []gossh.PublicKey
	KnownHosts string

	// Forward lists what clients may ask to be connected to from the host, each as host:port.
	Forward []string
}

// A credentialError says that the gate's own credential can't be had. Why is for operators alone.
type credentialError struct {
	host string
	err  error
}

func (e *credentialError) Error() string {
	return "the gate's credential for host " + e.host + " can't be had: an operator must look"
}

func (e *credentialError) Unwrap() error { return e.err }

// home is where sessions begin, as far as a name tells: it gives ~ and relative paths their meaning.
func (h *Host) home() string {
	if h.User == "root" {
		return "/root"
	}
	return "/home/" + h.User
}

// A hostKeyError says that a host has another key than the one that is pinned.
type hostKeyError struct{ host, fingerprint, why string }

func (e *hostKeyError) Error() string {
	return fmt.Sprintf("host %s shows the key %s, which %s: if it is really the host's, an operator adds it to host_key or known_hosts of this host", e.host, e.fingerprint, e.why)
}

// pins returns how a host's key is checked, and the algorithms that its known keys have.
func (h *Host) pins() (gossh.HostKeyCallback, []string, error) {
	if h.KnownHosts == "" {
		var types []string
		for _, k := range h.HostKeys {
			types = append(types, algorithmsOf(k.Type())...)
		}
		if len(types) == 0 {
			return nil, nil, errors.New("no key of the host is known: set host_key or known_hosts")
		}
		return func(_ string, _ net.Addr, key gossh.PublicKey) error {
			for _, k := range h.HostKeys {
				if string(k.Marshal()) == string(key.Marshal()) {
					return nil
				}
			}
			return &hostKeyError{h.Name, gossh.FingerprintSHA256(key), "is not the one that is pinned"}
		}, types, nil
	}
	check, err := knownhosts.New(h.KnownHosts)
	if err != nil {
		return nil, nil, errors.New("known_hosts can't be read")
	}
	var types []string
	var known *knownhosts.KeyError
	if errors.As(check(h.Address, &net.TCPAddr{}, noKey{}), &known) {
		for _, k := range known.Want {
			types = append(types, algorithmsOf(k.Key.Type())...)
		}
	}
	return func(name string, addr net.Addr, key gossh.PublicKey) error {
		// Never the address that was dialled: who answers there may choose it.
		err := check(h.Address, addr, key)
		var unknown *knownhosts.KeyError
		var revoked *knownhosts.RevokedError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &revoked):
			return &hostKeyError{h.Name, gossh.FingerprintSHA256(key), "is revoked in known_hosts"}
		case errors.As(err, &unknown) && len(unknown.Want) > 0:
			return &hostKeyError{h.Name, gossh.FingerprintSHA256(key), "is not the one in known_hosts"}
		}
		return &hostKeyError{h.Name, gossh.FingerprintSHA256(key), "is not in known_hosts"}
	}, types, nil
}

// noKey is a key that no host has: asked for, it brings out those that are known.
type noKey struct{}

func (noKey) Type() string                          { return "none" }
func (noKey) Marshal() []byte                       { return []byte("none") }
func (noKey) Verify([]byte, *gossh.Signature) error { return errors.New("no key") }

// algorithmsOf are the signatures that a key of type t can make.
func algorithmsOf(t string) []string {
	if t == gossh.KeyAlgoRSA {
		return []string{gossh.KeyAlgoRSASHA512, gossh.KeyAlgoRSASHA256}
	}
	return []string{t}
}

func (h *Host) methods(ctx context.Context) (m []gossh.AuthMethod, done func(), err error) {
	done = func() {}
	switch {
	case h.Key != nil:
		pem, err := h.Key(ctx)
		if err != nil {
			return nil, done, err
		}
		signer, err := gossh.ParsePrivateKey(append(slices.Clone(pem), '\n'))
		if err != nil { // its text could hold some of the key
			return nil, done, errors.New("the private key for the host can't be read: it must be in OpenSSH or PEM form, without a passphrase")
		}
		return []gossh.AuthMethod{gossh.PublicKeys(signer)}, done, nil
	case h.Password != nil:
		secret, err := h.Password(ctx)
		if err != nil {
			return nil, done, err
		}
		answer := func(_, _ string, questions []string, echos []bool) ([]string, error) {
			switch {
			case len(questions) == 0:
				return nil, nil
			case len(questions) == 1 && !echos[0]:
				return []string{string(secret)}, nil
			}
			return nil, errors.New("the host asks for more than a password")
		}
		return []gossh.AuthMethod{gossh.Password(string(secret)), gossh.KeyboardInteractive(answer)}, done, nil
	}
	sock, err := (&net.Dialer{}).DialContext(ctx, "unix", h.Agent)
	if err != nil {
		return nil, done, errors.New("the SSH agent can't be reached")
	}
	return []gossh.AuthMethod{gossh.PublicKeysCallback(agent.NewClient(sock).Signers)}, func() { _ = sock.Close() }, nil
}

// A remote is one connection to a host.
type remote struct {
	gossh.Conn
	ended chan struct{} // closed when it is gone
}

// dial logs in at the host. Its error may be shown to the agent.
func (h *Host) dial(ctx context.Context, timeout time.Duration) (*remote, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	check, types, err := h.pins()
	if err != nil {
		return nil, err
	}
	methods, done, err := h.methods(ctx)
	defer done()
	if err != nil {
		return nil, &credentialError{h.Name, err}
	}
	open := h.Dial
	if open == nil {
		open = (&net.Dialer{}).DialContext
	}
	raw, err := open(ctx, "tcp", h.Address)
	if err != nil {
		return nil, fmt.Errorf("host %s can't be reached", h.Name)
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	conn, channels, requests, err := gossh.NewClientConn(raw, h.Address, &gossh.ClientConfig{
		Config: algorithms(), User: h.User, Auth: methods, HostKeyCallback: check, HostKeyAlgorithms: types, ClientVersion: "SSH-2.0-Assent",
	})
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		var pinned *hostKeyError
		if errors.As(err, &pinned) {
			return nil, pinned
		}
		return nil, fmt.Errorf("host %s was reached, and no login there came about: its key must have an algorithm of those that are pinned, and the gate's credential must be accepted", h.Name)
	}
	r := &remote{Conn: conn, ended: make(chan struct{})}
	go refuseAll(channels)
	go answerNo(requests, nil)
	go func() {
		_ = conn.Wait()
		close(r.ended)
	}()
	return r, nil
}

// refuseAll refuses what a host would open towards the client.
func refuseAll(channels <-chan gossh.NewChannel) {
	for c := range channels {
		_ = c.Reject(gossh.Prohibited, "nothing is forwarded here")
	}
}

// answerNo answers requests, and tells see of each.
func answerNo(requests <-chan *gossh.Request, see func(*gossh.Request)) {
	for r := range requests {
		if see != nil {
			see(r)
		}
		_ = r.Reply(false, nil)
	}
}

func (r *remote) alive() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// Probe reads a host's identification on a connection that dial opens, without logging in.
func Probe(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), address string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	c, err := dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(3 * time.Second))
	var hello [4]byte
	if _, err := c.Read(hello[:]); err != nil {
		return fmt.Errorf("reading what the host says first: %w", err)
	}
	if string(hello[:]) != "SSH-" { // RFC 4253 section 4.2 lets a server say more before; sshd does not
		return errors.New("what answers there is not an SSH server")
	}
	return nil
}
