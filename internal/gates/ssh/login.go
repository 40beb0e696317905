package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/show"
	gossh "golang.org/x/crypto/ssh"
)

// errRefused is the one answer to a wrong name, token, key or host.
var errRefused = errors.New("permission denied")

// login is the state of one connection that proves who it is.
type login struct {
	g    *Gate
	ctx  context.Context
	peer gate.Peer

	host    *Host
	session gate.Session
	why     string // of the last refusal, for the record
}

// handshake lets a client in. The returned connection has a session.
func (g *Gate) handshake(ctx context.Context, raw net.Conn) (*login, *gossh.ServerConn, <-chan gossh.NewChannel, <-chan *gossh.Request, error) {
	l := &login{g: g, ctx: ctx, peer: gate.Peer{Gate: g.cfg.Name, Address: raw.RemoteAddr().String()}}
	cfg := *g.server
	cfg.PasswordCallback = func(c gossh.ConnMetadata, token []byte) (*gossh.Permissions, error) {
		return l.token(c, string(token))
	}
	cfg.KeyboardInteractiveCallback = func(c gossh.ConnMetadata, ask gossh.KeyboardInteractiveChallenge) (*gossh.Permissions, error) {
		answers, err := ask("", "", []string{"Token: "}, []bool{false})
		if err != nil || len(answers) != 1 {
			return nil, errRefused
		}
		return l.token(c, answers[0])
	}
	if g.cfg.Key != nil {
		cfg.PublicKeyCallback = l.offered
		cfg.VerifiedPublicKeyCallback = func(c gossh.ConnMetadata, key gossh.PublicKey, p *gossh.Permissions, _ string) (*gossh.Permissions, error) {
			v, err := g.cfg.Key(ctx, actorName(c.User()), key)
			if err := l.open(c, v, err); err != nil {
				return nil, err
			}
			return p, nil
		}
	}
	_ = raw.SetDeadline(time.Now().Add(g.cfg.HandshakeTimeout))
	conn, channels, requests, err := gossh.NewServerConn(raw, &cfg)
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err != nil || l.session == nil {
		if l.session != nil {
			l.session.Close()
		}
		if conn != nil {
			_ = conn.Close()
		}
		return l, nil, nil, nil, fmt.Errorf("no login: %s", l.reason(err))
	}
	return l, conn, channels, requests, nil
}

// reason is what the record says. What a client sent may be in err, so it is not repeated.
func (l *login) reason(err error) string {
	var failed *gossh.ServerAuthError
	var timeout net.Error
	switch {
	case l.why != "":
		return l.why
	case errors.As(err, &failed):
		return "no credential was shown"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it took too long"
	}
	return "the connection ended, or is not SSH with algorithms that are accepted here"
}

// token checks a token that was presented whole, inside the encrypted connection.
func (l *login) token(c gossh.ConnMetadata, token string) (*gossh.Permissions, error) {
	// An unknown host costs what a wrong token costs.
	v, err := l.authority(c).Bearer(l.ctx, token)
	if token == "" { // it would stand for the connection's own certificate, and there is none
		err = errRefused
	}
	if err := l.open(c, v, err); err != nil {
		return nil, err
	}
	return &gossh.Permissions{}, nil
}

// offered says whether a key may be used to log in. It is looked at again once it was proved.
func (l *login) offered(c gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
	if _, err := l.g.cfg.Key(l.ctx, actorName(c.User()), key); err != nil {
		return nil, l.refuse("public key: " + err.Error())
	}
	p := &gossh.Permissions{}
	if cert, ok := key.(*gossh.Certificate); ok {
		p.CriticalOptions = cert.CriticalOptions // the library holds source-address
	}
	return p, nil
}

// open opens the session of a credential that was proved.
func (l *login) open(c gossh.ConnMetadata, v gate.Verifier, proved error) error {
	_, suffix, named := strings.Cut(c.User(), "+")
	h := l.g.host(suffix, named)
	l.peer.Client = show.Plain(string(c.ClientVersion()), 100)
	switch {
	case proved != nil:
		return l.refuse("the credential is not valid")
	case !v.Proved:
		return l.refuse("the credential was not proved")
	case h == nil:
		return l.refuse("the user name leads to no host of this gate")
	case l.session != nil: // one login a connection
		return l.refuse("a second login")
	}
	s, err := h.Authority.Login(l.ctx, v, l.peer)
	if err != nil {
		return l.refuse("the session can't be opened: " + err.Error())
	}
	var who action.Action
	s.Describe(&who)
	if len(who.Actors) == 0 || shortName(who.Actors[0].ID) != actorName(c.User()) {
		s.Close()
		return l.refuse("the credential is another actor's than the user name says")
	}
	l.host, l.session = h, s
	return nil
}

func (l *login) refuse(why string) error {
	l.why = why
	return errRefused
}

// authority is that of the host asked for, or of any, so that names of hosts can't be tried out.
func (l *login) authority(c gossh.ConnMetadata) gate.Authority {
	_, suffix, named := strings.Cut(c.User(), "+")
	if h := l.g.host(suffix, named); h != nil {
		return h.Authority
	}
	return l.g.cfg.Hosts[0].Authority
}

func actorName(user string) string {
	name, _, _ := strings.Cut(user, "+")
	return name
}

// shortName is "exporter" of "agent:exporter".
func shortName(id string) string {
	_, name, found := strings.Cut(id, ":")
	if !found {
		return id
	}
	return name
}
