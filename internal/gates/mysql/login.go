package mysql

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RSA-OAEP with SHA-1 is what the protocol's clients do
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/identity"
)

// Capabilities (MySQL documentation, "Capabilities Flags").
const (
	capLongPassword   = 1 << 0
	capFoundRows      = 1 << 1
	capLongFlag       = 1 << 2
	capConnectWithDB  = 1 << 3
	capProtocol41     = 1 << 9
	capInteractive    = 1 << 10
	capSSL            = 1 << 11
	capTransactions   = 1 << 13
	capSecure         = 1 << 15
	capMultiResults   = 1 << 17
	capPSMultiResults = 1 << 18
	capPluginAuth     = 1 << 19
	capConnectAttrs   = 1 << 20
	capLenencAuth     = 1 << 21
)

// offered are the capabilities that a client may use. Those left out would let it send several
// statements in one text, ask for compression, be asked for files, or give packets another form.
const offered = capLongPassword | capFoundRows | capLongFlag | capConnectWithDB | capProtocol41 | capInteractive | capTransactions |
	capSecure | capMultiResults | capPSMultiResults | capPluginAuth | capConnectAttrs | capLenencAuth

const (
	pluginSHA2    = "caching_sha2_password"
	pluginNative  = "mysql_native_password"
	pluginEd25519 = "client_ed25519"
)

// maxLogin bounds each message of a login, and utf8mb4 is the collation of all of them (utf8mb4_general_ci).
const (
	maxLogin = 16 << 10
	utf8mb4  = 45
)

// A refused is an error with what the client may hear of it.
type refused struct {
	number      uint16
	state, text string
	cause       error
}

func (r *refused) Error() string {
	if r.cause == nil {
		return r.text
	}
	return r.text + ": " + r.cause.Error()
}

func (r *refused) Unwrap() error { return r.cause }

func refuse(number uint16, state, text string, cause error) error {
	return &refused{number, state, text, cause}
}

// Handshake negotiates TLS, checks the client's credential, and logs in upstream with the real one.
func (c *codec) Handshake(ctx context.Context, conn *gate.Conn) error {
	c.conn, c.ctx = conn, conn.Context()
	c.g.register(c)
	hello, err := c.greet(ctx, conn)
	if err != nil {
		return c.fatal(conn, err)
	}
	if t, ok := conn.Client().(*tls.Conn); ok && len(t.ConnectionState().VerifiedChains) > 0 {
		ctx = identity.WithCertificates(ctx, t.ConnectionState().VerifiedChains[0])
	}
	v, err := c.authenticate(ctx, conn, hello)
	if err != nil {
		return c.fatal(conn, err)
	}
	if err := conn.Login(ctx, v, hello.program); err != nil {
		var denied *gate.Denied // no session can be recorded: new credentials would not help
		if errors.As(err, &denied) {
			return c.fatal(conn, refuse(1040, "08004", denied.Reason, err))
		}
		return c.fatal(conn, refuse(1045, "28000", "the credential is no longer valid", err))
	}
	database := hello.database
	if database == "" {
		database = c.g.cfg.Upstream.Database
	}
	caps := loginCaps | c.caps&(capFoundRows|capInteractive)
	if database != "" {
		caps |= capConnectWithDB
	}
	var up *server
	err = conn.Dial(ctx, func(ctx context.Context, raw net.Conn) (_ net.Conn, err error) {
		var secured net.Conn
		up, secured, err = c.g.secure(ctx, raw, caps)
		return secured, err
	})
	if err != nil {
		return c.fatal(conn, refuse(2003, "08S01", "the system cannot be reached", err))
	}
	if err := c.g.login(ctx, up, conn.Upstream(), conn.Up, caps, database); err != nil {
		return c.fatal(conn, err)
	}
	c.upstreamID, c.version, c.mariadb, c.database, c.status = up.id, up.version, up.mariadb, database, up.status
	_, err = conn.Out.Write(appendMessage(nil, &c.seq, c.okBody()))
	return err
}

// A hello is what a client says of itself.
type hello struct {
	auth     []byte
	database string
	plugin   string
	program  string
	scramble []byte // that the client was given
	secure   bool   // inside TLS
}

// greet sends the greeting and reads the client's answer to it.
func (c *codec) greet(ctx context.Context, conn *gate.Conn) (*hello, error) {
	h := &hello{scramble: scramble()}
	caps := uint32(offered)
	if c.g.cfg.ClientTLS != nil {
		caps |= capSSL
	}
	m := append([]byte{10}, c.g.says()+"\x00"...)
	m = binary.LittleEndian.AppendUint32(m, c.id)
	m = append(append(m, h.scramble[:8]...), 0, byte(caps), byte(caps>>8), utf8mb4, 2, 0, byte(caps>>16), byte(caps>>24), 21)
	m = append(append(append(m, make([]byte, 10)...), h.scramble[8:]...), 0)
	m = append(m, pluginSHA2+"\x00"...)
	if err := c.tell(conn, m); err != nil {
		return nil, err
	}
	for {
		body, err := readMessage(conn.In, nil, maxLogin, &c.seq)
		if err != nil {
			return nil, err
		}
		w := walker{b: body}
		asked := w.u32()
		w.u32() // longest packet
		collation := w.u8()
		w.take(23)
		switch {
		case w.bad:
			return nil, refuse(1043, "08S01", "malformed handshake", gate.ErrUnreadable)
		case asked&capSSL != 0 && len(w.b) == 0 && !h.secure:
			if c.g.cfg.ClientTLS == nil {
				return nil, refuse(1043, "08S01", "this gate has no certificate: connect without TLS", gate.ErrUnreadable)
			}
			if err := conn.StartTLSAhead(ctx, c.g.cfg.ClientTLS); err != nil {
				return nil, err
			}
			h.secure = true
			continue
		case c.g.cfg.RequireClientTLS && !h.secure:
			return nil, refuse(3159, "HY000", "this gate requires TLS (--ssl-mode=REQUIRED, --ssl)", nil)
		case asked&capProtocol41 == 0 || asked&capSecure == 0 || asked&capPluginAuth == 0:
			return nil, refuse(1251, "08004", "this gate speaks protocol 4.1 with authentication plugins: use a newer client", nil)
		case !utf8Collation(collation):
			return nil, refuse(1115, "42000", "this gate speaks UTF-8 only: connect with utf8mb4 (--default-character-set=utf8mb4, charset=utf8mb4)", nil)
		}
		c.caps = asked & caps
		if err := c.readHello(&w, h); err != nil {
			return nil, err
		}
		return h, nil
	}
}

func (c *codec) readHello(w *walker, h *hello) error {
	c.user = w.str()
	if c.caps&capLenencAuth != 0 {
		h.auth = w.value()
	} else {
		h.auth = w.take(int(w.u8()))
	}
	if c.caps&capConnectWithDB != 0 {
		h.database = w.str()
	}
	h.plugin = w.str()
	if c.caps&capConnectAttrs != 0 && len(w.b) > 0 {
		attrs := walker{b: w.value()}
		for len(attrs.b) > 0 {
			name, value := string(attrs.value()), string(attrs.value())
			if name == "program_name" || name == "_client_name" && h.program == "" {
				h.program = value
			}
		}
		w.bad = w.bad || attrs.bad
	}
	if w.bad || c.user == "" || !utf8.ValidString(c.user) || !utf8.ValidString(h.database) || !utf8.ValidString(h.program) {
		return refuse(1043, "08S01", "malformed handshake: user, database and program are UTF-8, and there is a user", gate.ErrUnreadable)
	}
	return nil
}

// utf8Collation reports whether a client with this collation sends and reads UTF-8.
func utf8Collation(c byte) bool { return readable(uint16(c)) && c != 0 }

// tell sends one message of the login.
func (c *codec) tell(conn *gate.Conn, body []byte) error {
	if _, err := conn.Out.Write(appendMessage(nil, &c.seq, body)); err != nil {
		return err
	}
	return conn.Out.Flush()
}

func scramble() []byte {
	s := make([]byte, 20)
	_, _ = rand.Read(s)
	for i := range s {
		s[i] = s[i]&0x7f | 1 // no NUL, no byte above ASCII
	}
	return s
}

// authenticate asks for the whole token (caching_sha2_password, "full authentication") and checks it. A user that nobody
// knows gets a made-up verifier, always the same one, and the same answer.
func (c *codec) authenticate(ctx context.Context, conn *gate.Conn, h *hello) (gate.Verifier, error) {
	v, lookup := c.g.cfg.Authority.Verifier(ctx, c.user)
	if lookup == nil && v.Proved {
		return v, nil
	}
	if lookup != nil {
		v = c.g.fakeVerifier(c.user)
	}
	if !h.secure && !localPeer(conn) {
		return v, refuse(3159, "HY000", "this gate takes a token only inside TLS, or on its own machine (--ssl-mode=REQUIRED, --ssl)", nil)
	}
	answer := h.auth
	if h.plugin != pluginSHA2 {
		h.scramble = scramble()
		m := append([]byte{replyEOF}, pluginSHA2+"\x00"...)
		if err := c.tell(conn, append(append(m, h.scramble...), 0)); err != nil {
			return v, err
		}
		var err error
		if answer, err = readMessage(conn.In, nil, maxLogin, &c.seq); err != nil {
			return v, err
		}
	}
	denied := refuse(1045, "28000", "access denied: the user is an agent's name and the password its token", lookup)
	if len(answer) == 0 || len(answer) == 1 && answer[0] == 0 { // no password
		return v, denied
	}
	if err := c.tell(conn, []byte{1, 4}); err != nil {
		return v, err
	}
	password, err := readMessage(conn.In, nil, maxLogin, &c.seq)
	if err != nil {
		return v, err
	}
	if !h.secure {
		if password, err = c.encrypted(conn, h, password); err != nil {
			return v, err
		}
	}
	if n := len(password); n == 0 || password[n-1] != 0 {
		return v, denied
	}
	password = password[:len(password)-1]
	defer clear(password)
	if err := v.Check(password); err != nil || lookup != nil {
		return v, denied
	}
	return v, nil
}

// encrypted takes the token of a client on loopback without TLS, which has encrypted it for the gate's key.
func (c *codec) encrypted(conn *gate.Conn, h *hello, first []byte) ([]byte, error) {
	key, public, err := c.g.key()
	if err != nil {
		return nil, err
	}
	if len(first) == 1 && first[0] == 2 {
		if err := c.tell(conn, append([]byte{1}, public...)); err != nil {
			return nil, err
		}
		if first, err = readMessage(conn.In, nil, maxLogin, &c.seq); err != nil {
			return nil, err
		}
	}
	if n := len(first); n > 0 && n != key.Size() && first[n-1] == 0 {
		return first, nil // in clear, as some clients do on loopback: here it is theirs to choose
	}
	plain, err := rsa.DecryptOAEP(sha1.New(), nil, key, first, nil) //nolint:gosec // see the import
	if err != nil {
		return nil, refuse(1045, "28000", "access denied: the token could not be read", nil)
	}
	for i := range plain {
		plain[i] ^= h.scramble[i%len(h.scramble)]
	}
	return plain, nil
}

func localPeer(conn *gate.Conn) bool {
	switch a := conn.Client().RemoteAddr().(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// newKey returns what makes the gate's key when it is first needed.
func newKey() func() (*rsa.PrivateKey, []byte, error) {
	var public []byte
	key := sync.OnceValues(func() (*rsa.PrivateKey, error) {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("making a key for logins: %w", err)
		}
		der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("making a key for logins: %w", err)
		}
		public = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		return k, nil
	})
	return func() (*rsa.PrivateKey, []byte, error) {
		k, err := key()
		return k, public, err
	}
}

func (g *Gate) fakeVerifier(user string) gate.Verifier {
	sum := func(what string) []byte {
		m := hmac.New(sha256.New, g.fake[:])
		m.Write([]byte(what + "\x00" + user))
		return m.Sum(nil)
	}
	return gate.Verifier{Salt: sum("salt")[:16], Iterations: 4096, StoredKey: sum("stored"), ServerKey: sum("server")}
}

// says is the version in greetings: the server's own, once it was reached. What MariaDB puts before it for
// replication is left out: with it, clients of MySQL's expect a login of before 5.5.16.
func (g *Gate) says() string {
	if v := g.version.Load(); v != nil {
		return strings.TrimPrefix(strings.ReplaceAll(*v, "\x00", ""), "5.5.5-")
	}
	return "8.0.36-assent"
}
