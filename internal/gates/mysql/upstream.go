package mysql

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // mysql_native_password is made of it
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"filippo.io/edwards25519"

	"github.com/assenthq/assent/gate"
)

// A server is what a greeting says.
type server struct {
	version  string
	mariadb  bool
	id       uint32
	caps     uint32
	status   uint16
	scramble []byte
	plugin   string
	secure   bool // inside TLS
	seq      byte
}

// readServer reads the greeting from a connection that nobody reads ahead on: a byte more would
// have been sent before TLS began (CVE-2021-23222).
func readServer(conn io.Reader) (*server, error) {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, fmt.Errorf("reading the greeting: %w", err)
	}
	n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if n > maxLogin || n == 0 || head[3] != 0 {
		return nil, errors.New("upstream does not speak MySQL's protocol")
	}
	body, err := readN(conn, nil, n)
	if err != nil {
		return nil, err
	}
	return parseServer(body)
}

func parseServer(body []byte) (*server, error) {
	if body[0] == replyError {
		state, number := errorCode(body)
		return nil, fmt.Errorf("upstream refused the connection: error %d (%s)", number, state)
	}
	w := walker{b: body}
	if w.u8() != 10 {
		return nil, errors.New("upstream speaks another version of the protocol than 10")
	}
	s := &server{version: w.str(), id: w.u32(), seq: 1}
	s.scramble = append(s.scramble, w.take(8)...)
	w.u8()
	s.caps = uint32(w.u16())
	w.u8()
	s.status = w.u16()
	s.caps |= uint32(w.u16()) << 16
	length := int(w.u8())
	w.take(10)
	if w.bad || s.caps&capProtocol41 == 0 || s.caps&capSecure == 0 || s.caps&capPluginAuth == 0 {
		return nil, errors.New("upstream is too old: it has no authentication plugins")
	}
	rest := w.take(max(13, length-8))
	if len(rest) < 12 {
		return nil, errors.New("upstream sent a malformed greeting")
	}
	s.scramble = append(s.scramble, trimNUL(rest)...)
	s.plugin = strings.TrimRight(string(w.b), "\x00")
	s.mariadb = strings.Contains(s.version, "MariaDB") || s.caps&capLongPassword == 0
	if s.old() {
		return nil, errors.New("upstream is too old: the gate knows MySQL from 8.0 and MariaDB from 10.4")
	}
	return s, nil
}

// old reports whether a server lacks functions that the classifier takes for its own: in an older one
// somebody else's routines could have their names. A version that can't be read is old.
func (s *server) old() bool {
	v := strings.TrimPrefix(s.version, "5.5.5-") // which MariaDB puts before its own, for replication
	major, rest, _ := strings.Cut(v, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if err != nil || err2 != nil {
		return true
	}
	if s.mariadb {
		return a < 10 || a == 10 && b < 4
	}
	return a < 8
}

func trimNUL(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == 0 {
		return b[:n-1]
	}
	return b
}

// secure reads the greeting and makes the connection TLS, or leaves it alone where plain
// connections to loopback are configured. caps are what login will ask for: servers go by the first message.
func (g *Gate) secure(ctx context.Context, conn net.Conn, caps uint32) (*server, net.Conn, error) {
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, nil, err
	}
	s, err := readServer(conn)
	if err != nil {
		return nil, nil, err
	}
	g.version.Store(&s.version)
	if g.cfg.Upstream.Plain {
		if a, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
			return nil, nil, errors.New("a connection without TLS that is not to loopback")
		}
		return s, conn, nil
	}
	if s.caps&capSSL == 0 {
		return nil, nil, errors.New("upstream does not speak TLS")
	}
	if _, err := conn.Write(appendMessage(nil, &s.seq, loginHead(capSSL|caps))); err != nil {
		return nil, nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if g.cfg.Upstream.TLS != nil {
		cfg = g.cfg.Upstream.TLS.Clone()
	}
	cfg.InsecureSkipVerify = false // verify-full, whatever else is configured
	if cfg.ServerName == "" {
		cfg.ServerName = g.cfg.Upstream.Host
	}
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, nil, fmt.Errorf("TLS: %w", err)
	}
	s.secure = true
	return s, t, nil
}

// loginCaps are what the gate asks of the server: one statement a text, no files, no compression.
const loginCaps = capLongPassword | capLongFlag | capProtocol41 | capTransactions | capSecure | capMultiResults | capPSMultiResults | capPluginAuth

func loginHead(caps uint32) []byte {
	m := binary.LittleEndian.AppendUint32(nil, caps)
	m = binary.LittleEndian.AppendUint32(m, 1<<30)
	return append(append(m, utf8mb4), make([]byte, 23)...)
}

// login logs in with the real credential. It sends it in clear inside verified TLS only, and only to
// caching_sha2_password. caps has CONNECT_WITH_DB where there is a database.
func (g *Gate) login(ctx context.Context, s *server, w net.Conn, r *bufio.Reader, caps uint32, database string) error {
	password, err := g.cfg.Upstream.Password(ctx)
	if err != nil {
		return refuse(1105, "08S01", "the gate has no credential for the system", err)
	}
	defer clear(password)
	secret := []byte(strings.TrimRight(string(password), "\r\n"))
	defer clear(secret)
	if err := w.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if s.secure {
		caps |= capSSL
	}
	plugin := s.plugin
	answer, err := prove(plugin, s.scramble, secret)
	if err != nil { // the server will ask for the account's own
		plugin = pluginNative
		answer, _ = prove(plugin, s.scramble, secret)
	}
	m := append(loginHead(caps), g.cfg.Upstream.User+"\x00"...)
	m = append(append(m, byte(len(answer))), answer...)
	if database != "" {
		m = append(m, database+"\x00"...)
	}
	m = append(m, plugin+"\x00"...)
	if _, err := w.Write(appendMessage(nil, &s.seq, m)); err != nil {
		return err
	}
	scramble := s.scramble
	for range 6 {
		b, err := readMessage(r, nil, maxLogin, &s.seq)
		if err != nil {
			return noEOF(err)
		}
		if len(b) == 0 {
			return errOddLogin
		}
		var reply []byte
		switch {
		case b[0] == replyOK:
			k := walker{b: b[1:]}
			k.num()
			k.num()
			s.status = k.u16()
			return w.SetDeadline(time.Time{})
		case b[0] == replyError:
			state, number := errorCode(b)
			return refuse(1105, "08S01", fmt.Sprintf("the system refused the gate's login (%d, %s)", number, state), nil)
		case b[0] == replyEOF && len(b) > 1:
			k := walker{b: b[1:]}
			if plugin, scramble = k.str(), k.b; plugin != pluginEd25519 { // whose 32 bytes are random to the last
				scramble = trimNUL(scramble)
			}
			if reply, err = prove(plugin, scramble, secret); err != nil {
				return err
			}
		case b[0] == 1 && plugin == pluginSHA2 && len(b) == 2 && b[1] == 3: // it knew; OK follows
			continue
		case b[0] == 1 && plugin == pluginSHA2 && len(b) == 2 && b[1] == 4 && s.secure:
			reply = append(append([]byte{}, secret...), 0)
		case b[0] == 1 && plugin == pluginSHA2 && len(b) == 2 && b[1] == 4:
			reply = []byte{2} // for its key: this is loopback
		case b[0] == 1 && plugin == pluginSHA2 && len(b) > 2 && !s.secure:
			if reply, err = sealed(b[1:], scramble, secret); err != nil {
				return err
			}
		default:
			return errOddLogin
		}
		if _, err := w.Write(appendMessage(nil, &s.seq, reply)); err != nil {
			return err
		}
	}
	return errOddLogin
}

var errOddLogin = refuse(1105, "08S01", "upstream sent an unexpected message at login", nil)

// prove answers a server's challenge. It refuses plugins that would have the password in clear.
func prove(plugin string, scramble, secret []byte) ([]byte, error) {
	switch plugin {
	case pluginNative: // SHA1(password) XOR SHA1(scramble, SHA1(SHA1(password)))
		if len(secret) == 0 {
			return []byte{}, nil
		}
		one := sha1.Sum(secret)                                                        //nolint:gosec // see the import
		two := sha1.Sum(one[:])                                                        //nolint:gosec // see the import
		mixed := sha1.Sum(append(append([]byte{}, first(scramble, 20)...), two[:]...)) //nolint:gosec // see the import
		for i := range mixed {
			mixed[i] ^= one[i]
		}
		return mixed[:], nil
	case pluginSHA2: // SHA256(password) XOR SHA256(SHA256(SHA256(password)), scramble)
		if len(secret) == 0 {
			return []byte{}, nil
		}
		one := sha256.Sum256(secret)
		two := sha256.Sum256(one[:])
		mixed := sha256.Sum256(append(append([]byte{}, two[:]...), first(scramble, 20)...))
		for i := range mixed {
			mixed[i] ^= one[i]
		}
		return mixed[:], nil
	case pluginEd25519:
		if len(scramble) != 32 {
			return nil, errOddLogin
		}
		return signEd25519(secret, scramble)
	}
	return nil, refuse(1105, "08S01", "the system asks for another login than mysql_native_password, caching_sha2_password or ed25519; the gate sends no password in clear", nil)
}

func first(b []byte, n int) []byte { return b[:min(n, len(b))] }

// signEd25519 signs by RFC 8032 section 5.1.6, with the password where that has the 32 bytes of a
// private key: so MariaDB's plugin does.
func signEd25519(secret, message []byte) ([]byte, error) {
	h := sha512.Sum512(secret)
	s, err := edwards25519.NewScalar().SetBytesWithClamping(h[:32])
	if err != nil {
		return nil, fmt.Errorf("ed25519: %w", err)
	}
	public := new(edwards25519.Point).ScalarBaseMult(s).Bytes()
	digest := func(parts ...[]byte) (*edwards25519.Scalar, error) {
		d := sha512.New()
		for _, p := range parts {
			d.Write(p)
		}
		return edwards25519.NewScalar().SetUniformBytes(d.Sum(nil))
	}
	r, err := digest(h[32:], message)
	if err != nil {
		return nil, fmt.Errorf("ed25519: %w", err)
	}
	commitment := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
	k, err := digest(commitment, public, message)
	if err != nil {
		return nil, fmt.Errorf("ed25519: %w", err)
	}
	return append(commitment, edwards25519.NewScalar().MultiplyAdd(k, s, r).Bytes()...), nil
}

// sealed encrypts the password for the server's key.
func sealed(key, scramble, secret []byte) ([]byte, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errOddLogin
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	public, is := parsed.(*rsa.PublicKey)
	if err != nil || !is || len(scramble) == 0 {
		return nil, errOddLogin
	}
	plain := append(append([]byte{}, secret...), 0)
	defer clear(plain)
	for i := range plain {
		plain[i] ^= scramble[i%len(scramble)]
	}
	b, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public, plain, nil) //nolint:gosec // see the import
	if err != nil {
		return nil, fmt.Errorf("encrypting the password: %w", err)
	}
	return b, nil
}

// A control is a connection of the gate's own.
type control struct {
	conn   net.Conn
	up     *bufio.Reader
	limit  int
	status uint16
}

// control opens one.
func (g *Gate) control(ctx context.Context) (*control, error) {
	raw, err := g.dial(ctx)
	if err != nil {
		return nil, err
	}
	s, conn, err := g.secure(ctx, raw, loginCaps)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	c := &control{conn: conn, up: bufio.NewReader(conn), limit: g.cfg.MaxMessage}
	if err := g.login(ctx, s, conn, c.up, loginCaps, ""); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *control) close() { _ = c.conn.Close() }

// query runs a statement and returns its rows.
func (c *control) query(ctx context.Context, text string) ([][][]byte, error) {
	until, has := ctx.Deadline()
	if !has {
		until = time.Now().Add(10 * time.Second)
	}
	if err := c.conn.SetDeadline(until); err != nil {
		return nil, err
	}
	seq := byte(0)
	if _, err := c.conn.Write(appendMessage(nil, &seq, append([]byte{comQuery}, text...))); err != nil {
		return nil, err
	}
	var rows [][][]byte
	err := readResult(c.up, c.limit, func(row [][]byte) { rows = append(rows, row) }, &c.status)
	return rows, err
}

// killUpstream asks the server to end what a connection runs. A failure is not told to
// anybody: the statement then simply ends by itself.
func (g *Gate) killUpstream(ctx context.Context, id uint32) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := g.control(ctx)
	if err != nil {
		return
	}
	defer c.close()
	_, _ = c.query(ctx, fmt.Sprintf("KILL QUERY %d", id))
}

var _ gate.Codec = (*codec)(nil)
