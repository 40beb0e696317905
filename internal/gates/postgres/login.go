package postgres

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/identity"
	"github.com/xdg-go/scram"
)

// Codes that stand where a start-up message has its version (PostgreSQL
// documentation, "Message Formats").
const (
	codeCancel = 80877102
	codeSSL    = 80877103
	codeGSS    = 80877104
	version3   = 3 << 16
)

const mechanism = "SCRAM-SHA-256"

// Handshake negotiates TLS, checks the client's credential by SCRAM, and logs
// in upstream with the real one. A cancel request ends with io.EOF.
func (c *codec) Handshake(ctx context.Context, conn *gate.Conn) error {
	c.conn, c.ctx = conn, conn.Context()
	body, err := c.startup(ctx, conn)
	if err != nil {
		return err
	}
	if err := c.parameters(conn, body); err != nil {
		return c.fatal(conn, err)
	}
	ctx = withCertificates(ctx, conn)
	v, err := c.authenticate(ctx, conn)
	if err != nil {
		return c.fatal(conn, err)
	}
	if err := conn.Login(ctx, v, c.claims["application_name"]); err != nil {
		var denied *gate.Denied // no session can be recorded: new credentials would not help
		if errors.As(err, &denied) {
			return c.fatal(conn, refuse("57P03", denied.Reason, err))
		}
		return c.fatal(conn, refuse("28000", "the credential is no longer valid", err))
	}
	if err := conn.Dial(ctx, c.g.secure); err != nil {
		return c.fatal(conn, refuse("08006", "the system cannot be reached", err))
	}
	if err := c.loginUpstream(ctx, conn); err != nil {
		return c.fatal(conn, err)
	}
	return nil
}

// withCertificates notes the client's certificates, where TLS has verified them.
func withCertificates(ctx context.Context, conn *gate.Conn) context.Context {
	t, ok := conn.Client().(*tls.Conn)
	if !ok || len(t.ConnectionState().VerifiedChains) == 0 {
		return ctx
	}
	return identity.WithCertificates(ctx, t.ConnectionState().VerifiedChains[0])
}

// A refused is an error with what the client may hear of it.
type refused struct {
	code, text string
	cause      error
}

func refuse(code, text string, cause error) error { return &refused{code, text, cause} }

func (r *refused) Error() string {
	if r.cause == nil {
		return r.text
	}
	return r.text + ": " + r.cause.Error()
}

func (r *refused) Unwrap() error { return r.cause }

// fatal tells the client that the connection ends, and returns err.
func (c *codec) fatal(conn *gate.Conn, err error) error {
	code, text := "08006", "the gate could not open this connection"
	var r *refused
	if errors.As(err, &r) {
		code, text = r.code, r.text
	}
	_, _ = conn.Out.Write(errorFrame("FATAL", code, text, "", ""))
	_ = conn.Out.Flush()
	return err
}

// startup answers TLS requests until the real start-up message comes, and returns its body.
func (c *codec) startup(ctx context.Context, conn *gate.Conn) ([]byte, error) {
	secure := false
	for range 3 { // at most GSSENC, TLS, start-up
		code, body, err := readStartup(conn.In)
		if err != nil {
			return nil, err
		}
		switch {
		case code == codeGSS || code == codeSSL && (c.g.cfg.ClientTLS == nil || secure):
			if conn.In.Buffered() > 0 {
				return nil, fmt.Errorf("bytes before the answer to an encryption request: %w", gate.ErrUnreadable)
			}
			if err := answer(conn, 'N'); err != nil {
				return nil, err
			}
		case code == codeSSL:
			if conn.In.Buffered() > 0 {
				return nil, fmt.Errorf("bytes before the switch to TLS: %w", gate.ErrUnreadable)
			}
			if err := answer(conn, 'S'); err != nil {
				return nil, err
			}
			if err := conn.StartTLS(ctx, c.g.cfg.ClientTLS); err != nil {
				return nil, err
			}
			secure = true
		case code == codeCancel:
			c.g.cancel(ctx, body)
			return nil, io.EOF
		case code>>16 != 3:
			return nil, c.fatal(conn, refuse("0A000", "this gate speaks version 3 of the protocol", nil))
		case c.g.cfg.RequireClientTLS && !secure:
			return nil, c.fatal(conn, refuse("28000", "this gate requires TLS (sslmode=require)", nil))
		default:
			c.minor = code & 0xffff
			return body, nil
		}
	}
	return nil, fmt.Errorf("too many encryption requests: %w", gate.ErrUnreadable)
}

func answer(conn *gate.Conn, b byte) error {
	if err := conn.Out.WriteByte(b); err != nil {
		return err
	}
	return conn.Out.Flush()
}

// readStartup reads a message without type: version or code, and body.
func readStartup(r *bufio.Reader) (code uint32, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < 8 || n > maxStartup {
		return 0, nil, fmt.Errorf("a start-up message of %d bytes: %w", n, gate.ErrUnreadable)
	}
	body, err = readN(r, nil, int(n)-8)
	return binary.BigEndian.Uint32(head[4:]), body, err
}

// plainValue is what the allowed settings may look like.
var plainValue = regexp.MustCompile(`^[A-Za-z0-9_/+:, -]{1,64}$`)

// parameters checks the start-up parameters against the allow-list. What could
// change how a statement is read is refused, not dropped: a client that asked for
// it would go on in the belief that it has it.
func (c *codec) parameters(conn *gate.Conn, body []byte) error {
	w := walker{b: body}
	var unknown []string // protocol extensions that we do not speak
	for !w.bad && len(w.b) > 1 {
		name, value := w.str(), w.str()
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return refuse("22021", "start-up parameters must be UTF-8", nil)
		}
		switch strings.ToLower(name) {
		case "user":
			c.user = value
		case "database":
			c.database = value
		case "application_name":
			c.claims["application_name"] = value
		case "client_encoding":
			switch strings.ToUpper(strings.Trim(value, "'\"")) {
			case "UTF8", "UTF-8", "UNICODE":
			case "SQL_ASCII":
				c.claims["client_encoding"] = "SQL_ASCII" // after UTF8, and the last one counts
			default:
				return refuse("22023", "this gate speaks UTF8 only (client_encoding)", nil)
			}
		case "datestyle", "timezone", "extra_float_digits", "intervalstyle": // JDBC sends these; they enter the state of each action
			if !plainValue.MatchString(value) {
				return refuse("22023", "the start-up parameter "+strings.ToLower(name)+" has a value that this gate does not pass on", nil)
			}
			c.claims[strings.ToLower(name)] = value
		default:
			if strings.HasPrefix(name, "_pq_.") {
				unknown = append(unknown, name)
				continue
			}
			return refuse("0A000", "a start-up parameter that this gate does not pass on: only user, database, application_name, client_encoding, DateStyle, TimeZone, IntervalStyle and extra_float_digits; SET others after connecting", nil)
		}
	}
	if w.bad || len(w.b) != 1 || w.b[0] != 0 {
		return refuse("08P01", "malformed start-up message", gate.ErrUnreadable)
	}
	want := c.g.cfg.Upstream.Database
	switch {
	case c.user == "":
		return refuse("28000", "no user name", nil)
	case want == "" && c.database == "":
		c.database = c.user
	case c.database == "" || c.database == c.user && want != "":
		c.database = want
	case want != "" && c.database != want:
		return refuse("3D000", "this gate leads to another database: connect to the one that its configuration names", nil)
	}
	if c.minor > 0 || len(unknown) > 0 {
		m := binary.BigEndian.AppendUint32(nil, version3)
		m = binary.BigEndian.AppendUint32(m, uint32(len(unknown)))
		for _, u := range unknown {
			m = append(m, cstr(u)...)
		}
		_, err := conn.Out.Write(appendFrame(nil, 'v', m))
		return err
	}
	return nil
}

// authenticate runs SCRAM-SHA-256 (RFC 5802, 7677) as the server. A user that nobody
// knows gets a made-up verifier, always the same one, and the same answer.
func (c *codec) authenticate(ctx context.Context, conn *gate.Conn) (gate.Verifier, error) {
	v, lookup := c.g.cfg.Authority.Verifier(ctx, c.user)
	if lookup == nil && v.Proved {
		return v, nil
	}
	if lookup != nil {
		v = c.g.fakeVerifier(c.user)
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(v.Salt), Iters: v.Iterations},
			StoredKey:  v.StoredKey, ServerKey: v.ServerKey,
		}, nil
	})
	if err != nil {
		return v, fmt.Errorf("preparing SCRAM: %w", err)
	}
	first, err := c.exchange(conn, 10, []byte(mechanism+"\x00\x00"))
	if err != nil {
		return v, err
	}
	w := walker{b: first}
	name, initial := w.str(), w.value()
	if !w.done() || name != mechanism || initial == nil {
		return v, refuse("08P01", "malformed SASL message", gate.ErrUnreadable)
	}
	conv := server.NewConversation()
	challenge, err := conv.Step(string(initial))
	if err != nil {
		return v, refuse("28P01", "authentication failed", nil)
	}
	final, err := c.exchange(conn, 11, []byte(challenge))
	if err != nil {
		return v, err
	}
	proof, err := conv.Step(string(final))
	if err != nil || !conv.Valid() || lookup != nil {
		return v, refuse("28P01", "authentication failed for user \""+safeName(c.user)+"\"", lookup)
	}
	if _, err := conn.Out.Write(authFrame(12, []byte(proof))); err != nil {
		return v, err
	}
	return v, nil
}

// safeName keeps what a client calls itself from writing into terminals and logs.
func safeName(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '"' {
			return '?'
		}
		return r
	}, s[:min(len(s), 63)])
}

// exchange sends an authentication message and reads the client's answer.
func (c *codec) exchange(conn *gate.Conn, code uint32, body []byte) ([]byte, error) {
	if _, err := conn.Out.Write(authFrame(code, body)); err != nil {
		return nil, err
	}
	if err := conn.Out.Flush(); err != nil {
		return nil, err
	}
	f, err := readFrame(conn.In, nil, maxStartup)
	if err != nil {
		return nil, err
	}
	if f.kind() != 'p' {
		return nil, refuse("08P01", "expected an authentication message", gate.ErrUnreadable)
	}
	return f.body(), nil
}

func authFrame(code uint32, body []byte) []byte {
	return appendFrame(nil, 'R', binary.BigEndian.AppendUint32(nil, code), body)
}

func (g *Gate) fakeVerifier(user string) gate.Verifier {
	sum := func(what string) []byte {
		m := hmac.New(sha256.New, g.fake[:])
		m.Write([]byte(what + "\x00" + user))
		return m.Sum(nil)
	}
	return gate.Verifier{Salt: sum("salt")[:16], Iterations: 4096, StoredKey: sum("stored"), ServerKey: sum("server")}
}

// secure makes the upstream connection TLS, or leaves it alone where plain
// connections to loopback are configured.
func (g *Gate) secure(ctx context.Context, conn net.Conn) (net.Conn, error) {
	if g.cfg.Upstream.Plain {
		if a, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
			return nil, errors.New("a connection without TLS that is not to loopback")
		}
		return conn, nil
	}
	m := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, codeSSL)
	if _, err := conn.Write(m); err != nil {
		return nil, err
	}
	var yes [1]byte // read alone: a byte more would have been sent before TLS began (CVE-2021-23222)
	if _, err := io.ReadFull(conn, yes[:]); err != nil {
		return nil, err
	}
	if yes[0] != 'S' {
		return nil, errors.New("upstream does not speak TLS")
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
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return t, nil
}

func startupFrame(params ...string) []byte {
	m := binary.BigEndian.AppendUint32(make([]byte, 4), version3)
	for _, p := range params {
		m = append(m, cstr(p)...)
	}
	m = append(m, 0)
	binary.BigEndian.PutUint32(m, uint32(len(m)))
	return m
}

// loginUpstream logs in with the real credential and relays what the server
// tells about itself.
func (c *codec) loginUpstream(ctx context.Context, conn *gate.Conn) error {
	params := []string{"user", c.g.cfg.Upstream.User, "database", c.database, "client_encoding", "UTF8", "standard_conforming_strings", "on"}
	for k, v := range c.claims {
		params = append(params, k, v)
	}
	if err := conn.Upstream().SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if err := conn.Send(startupFrame(params...)); err != nil {
		return err
	}
	if err := c.g.prove(ctx, conn.Upstream(), conn.Up); err != nil {
		return err
	}
	if _, err := conn.Out.Write(authFrame(0, nil)); err != nil {
		return err
	}
	for {
		f, err := readFrame(conn.Up, nil, c.g.cfg.MaxMessage)
		if err != nil {
			return err
		}
		switch f.kind() {
		case 'S':
			if err := c.parameterStatus(conn, f); err != nil {
				return err
			}
		case 'N': // a server's words before the session has any right to them
		case 'K':
			w := walker{b: f.body()}
			c.upstreamKey = bytes.Clone(w.b)
			if len(c.upstreamKey) != 8 {
				return refuse("08P01", "upstream sent a malformed key", nil)
			}
			key := c.g.register(c)
			c.key = key
			if _, err := conn.Out.Write(appendFrame(nil, 'K', key[:])); err != nil {
				return err
			}
		case 'E':
			code, _ := errorCode(f.body())
			return refuse("08006", "the system refused the gate's login ("+code+")", nil)
		case 'Z':
			if c.pinned != nil {
				return c.pinned
			}
			c.status = f.body()[0]
			c.out = append(c.out, f...)
			if err := c.flush(conn); err != nil {
				return err
			}
			return conn.Upstream().SetDeadline(time.Time{})
		default:
			return refuse("08P01", "upstream sent an unexpected message at login", nil)
		}
	}
}

// prove answers the server's SCRAM challenge and checks its proof. It refuses
// to send a password in clear or as MD5.
func (g *Gate) prove(ctx context.Context, w io.Writer, r *bufio.Reader) error {
	var conv *scram.ClientConversation
	for {
		f, err := readFrame(r, nil, maxStartup*4)
		if err != nil {
			return err
		}
		if f.kind() == 'E' {
			code, _ := errorCode(f.body())
			return refuse("08006", "the system refused the gate's login ("+code+")", nil)
		}
		b := walker{b: f.body()}
		code := b.u32()
		if f.kind() != 'R' || b.bad {
			return refuse("08P01", "upstream sent an unexpected message at login", nil)
		}
		var reply string
		switch {
		case code == 0 && conv != nil && conv.Valid():
			return nil
		case code == 10 && conv == nil && bytes.Contains(b.b, []byte(mechanism+"\x00")):
			if conv, err = g.conversation(ctx); err != nil {
				return err
			}
			if reply, err = conv.Step(""); err != nil {
				return fmt.Errorf("SCRAM: %w", err)
			}
			initial := binary.BigEndian.AppendUint32(cstr(mechanism), uint32(len(reply)))
			if _, err := w.Write(appendFrame(nil, 'p', initial, []byte(reply))); err != nil {
				return err
			}
		case code == 11 && conv != nil:
			if !workable(b.b) {
				return refuse("08006", "the system asks for more SCRAM iterations than the gate works out (1000000)", nil)
			}
			if reply, err = conv.Step(string(b.b)); err != nil {
				return refuse("08006", "the system's challenge is not valid", nil)
			}
			if _, err := w.Write(appendFrame(nil, 'p', []byte(reply))); err != nil {
				return err
			}
		case code == 12 && conv != nil:
			if _, err := conv.Step(string(b.b)); err != nil || !conv.Valid() {
				return refuse("08006", "the system could not prove that it knows the credential", nil)
			}
		default:
			return refuse("08006", "the system asks for another login than SCRAM-SHA-256; the gate sends no password in clear or as MD5", nil)
		}
	}
}

// workable reports whether a SCRAM challenge asks for a number of iterations (RFC 5802
// section 5.1) that takes less than seconds: who sends it has not proved anything yet.
func workable(challenge []byte) bool {
	for _, attribute := range strings.Split(string(challenge), ",") {
		if n, is := strings.CutPrefix(attribute, "i="); is {
			i, err := strconv.Atoi(n)
			return err == nil && i <= 1_000_000
		}
	}
	return true // the conversation says what is missing
}

func (g *Gate) conversation(ctx context.Context) (*scram.ClientConversation, error) {
	password, err := g.cfg.Upstream.Password(ctx)
	if err != nil {
		return nil, refuse("08006", "the gate has no credential for the system", err)
	}
	defer clear(password)
	client, err := scram.SHA256.NewClient("", strings.TrimRight(string(password), "\r\n"), "")
	if err != nil {
		return nil, refuse("08006", "the gate's credential for the system is not usable", nil)
	}
	return client.NewConversation(), nil
}

type cancelKey [8]byte

// register makes the session's cancel key: the server's process id, which clients
// compare with those in notifications and pg_stat_activity, and a secret of our own.
func (g *Gate) register(c *codec) cancelKey {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		var k cancelKey
		copy(k[:4], c.upstreamKey)
		_, _ = rand.Read(k[4:])
		if _, taken := g.keys[k]; !taken {
			g.keys[k] = c
			context.AfterFunc(c.ctx, func() {
				g.mu.Lock()
				delete(g.keys, k)
				g.mu.Unlock()
			})
			return k
		}
	}
}

// cancel calls off what the session with this key waits for, or passes the
// request on with the server's own key. Like the server it never answers.
func (g *Gate) cancel(ctx context.Context, body []byte) {
	if len(body) != len(cancelKey{}) {
		return
	}
	g.mu.Lock()
	c := g.keys[cancelKey(body)]
	g.mu.Unlock()
	if c == nil || c.conn.Interrupt() {
		return
	}
	g.cancelUpstream(ctx, c.upstreamKey)
}

// cancelUpstream asks the server to end what it runs. A failure is not told to
// anybody: the statement then simply ends by itself.
func (g *Gate) cancelUpstream(ctx context.Context, key []byte) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	raw, err := g.dial(ctx)
	if err != nil {
		return
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	conn, err := g.secure(ctx, raw)
	if err != nil {
		return
	}
	m := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 16}, codeCancel)
	if _, err := conn.Write(append(m, key...)); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 64)) // until the server has taken it and closes
}
