package mysql

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	classify "github.com/assenthq/assent/internal/classify/mysql"
)

// packet is one packet of these parts.
func packet(seq byte, parts ...string) []byte {
	return appendMessage(nil, &seq, []byte(strings.Join(parts, "")))
}

// helloOf is what a client says first, with 32 bytes that answer the scramble.
func helloOf(caps uint32, collation byte, user, plugin string) string {
	m := binary.LittleEndian.AppendUint32(nil, caps)
	m = append(binary.LittleEndian.AppendUint32(m, 1<<24), collation)
	return string(m) + strings.Repeat("\x00", 23) + user + "\x00\x20" + strings.Repeat("x", 32) + plugin + "\x00"
}

// tlsRequest asks for TLS, and is followed by it at once.
func tlsRequest() string { return helloOf(ours|capSSL, utf8mb4, "", "")[:32] }

const ours = capLongPassword | capProtocol41 | capTransactions | capSecure | capPluginAuth

// unopened is an authority at which no session may be opened.
type unopened struct {
	gatetest.Authority
	t *testing.T
}

func (a *unopened) Login(context.Context, gate.Verifier, gate.Peer) (gate.Session, error) {
	a.t.Error("a session was opened")
	return nil, errors.New("no")
}

// undialled serves conn by a gate whose upstream nobody may reach, and returns once the connection ended.
func undialled(t *testing.T, g *Gate, conn net.Conn) {
	cfg := g.Config()
	cfg.Authority = &unopened{t: t}
	cfg.Dial = func(context.Context) (net.Conn, error) {
		t.Error("upstream was dialled")
		return nil, errors.New("no")
	}
	cfg.Refused = func(_ context.Context, _ gate.Peer, detail string) {
		if strings.Contains(detail, "panicked") || strings.Contains(detail, gatetest.Token) {
			t.Error(detail)
		}
	}
	gate.ServeConn(context.Background(), conn, cfg)
}

// pairFor is a certificate for localhost.
func pairFor(t testing.TB) tls.Certificate {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func loginGate(t testing.TB, client *tls.Config) *Gate {
	t.Helper()
	g, err := New(Config{
		Name: "login", Authority: &gatetest.Authority{}, Classifier: classify.New(classify.Options{CacheEntries: -1}), ClientTLS: client,
		Upstream: Upstream{Host: "127.0.0.1", Port: 1, User: "the-account", Plain: true, Password: secretOf("the-real-credential-91f3")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// FuzzHandshake: whatever comes before a login, no session is opened and nobody is dialled; the
// client hears whole packets, none of them OK, and the gate lives on.
func FuzzHandshake(f *testing.F) {
	hello := string(packet(1, helloOf(ours, utf8mb4, gatetest.User, pluginSHA2)))
	switched := string(packet(1, helloOf(ours, utf8mb4, gatetest.User, pluginNative)))
	for _, s := range []string{
		hello, hello + string(packet(3, "wrong\x00")), hello + string(packet(3, "\x02")), hello + string(packet(3, "\x02")) + string(packet(5, strings.Repeat("x", 256))),
		hello + string(packet(3, strings.Repeat("x", 256))), hello + string(packet(3, "")), hello + string(packet(4, "wrong\x00")),
		switched, switched + string(packet(3, strings.Repeat("x", 32))) + string(packet(5, "wrong\x00")), switched + string(packet(3, "")), switched + string(packet(3, "\x00")),
		string(packet(1, tlsRequest())), string(packet(1, tlsRequest())) + string(packet(2, helloOf(ours, utf8mb4, gatetest.User, pluginSHA2))), string(packet(1, tlsRequest())) + "\x16\x03\x01\x00\x05hello",
		string(packet(1, helloOf(ours|capConnectAttrs|capConnectWithDB|capLenencAuth, 33, "nobody", "shop\x00"+pluginSHA2))), string(packet(1, "\x85\xa6\x03\x00\x00")),
		"\x03\x00\x00\x00\x03hi", "\xff\xff\xff\x01", "\x0e\x00\x00\x01", "GET / HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(s), strings.Contains(s, tlsRequest()))
	}
	gates := map[bool]*Gate{false: loginGate(f, nil), true: loginGate(f, &tls.Config{Certificates: []tls.Certificate{pairFor(f)}})}
	l, err := net.Listen("unix", filepath.Join(f.TempDir(), "s"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = l.Close() })
	f.Fuzz(func(t *testing.T, in []byte, secure bool) {
		near, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); undialled(t, gates[secure], far) }()
		_ = near.SetDeadline(time.Now().Add(time.Minute))
		_, _ = near.Write(in)
		_ = near.(*net.UnixConn).CloseWrite()
		heard, err := io.ReadAll(near)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			t.Fatal("the connection does not end")
		}
		_ = near.Close()
		<-done
		for i := 0; len(heard) > 0; i++ {
			if secure && i > 0 && len(heard) > 1 && (heard[0] == 0x15 || heard[0] == 0x16) && heard[1] == 3 {
				return // of TLS, which these bytes can't have completed
			}
			r := bufio.NewReader(bytes.NewReader(heard))
			if len(heard) < 4 {
				t.Fatalf("heard %q", heard)
			}
			seq := heard[3]
			body, err := readMessage(r, nil, maxLogin, &seq)
			if err != nil || len(body) == 0 || i == 0 && body[0] != 10 || i > 0 && strings.IndexByte("\x01\xfe\xff", body[0]) < 0 {
				t.Fatalf("message %d: %q, %v", i, heard, err)
			}
			heard = heard[4+len(body):]
		}
	})
}

// An elsewhere is a connection from another machine.
type elsewhere struct{ net.Conn }

func (elsewhere) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711} }

// What a client hears first to what it says, by where it is: a token is asked for inside TLS or on the
// gate's own machine alone, and of a client whose text and packets can be read in one way.
func TestWhoIsAskedForAToken(t *testing.T) {
	const asked, refusal = "\x01\x04", "\xff"
	plain, secure := loginGate(t, nil), loginGate(t, &tls.Config{Certificates: []tls.Certificate{pairFor(t)}})
	number := func(n uint16) string { return refusal + string(binary.LittleEndian.AppendUint16(nil, n)) }
	type talk struct {
		gate *Gate
		far  bool
		say  []byte
		hear string
	}
	cases := map[string]talk{
		"here":                          {gate: plain, say: packet(1, helloOf(ours, utf8mb4, gatetest.User, pluginSHA2)), hear: asked},
		"here, nobody":                  {gate: plain, say: packet(1, helloOf(ours, utf8mb4, "nobody", pluginSHA2)), hear: asked},
		"elsewhere":                     {gate: plain, far: true, say: packet(1, helloOf(ours, utf8mb4, gatetest.User, pluginSHA2)), hear: number(3159)},
		"elsewhere, nobody":             {gate: plain, far: true, say: packet(1, helloOf(ours, utf8mb4, "nobody", pluginSHA2)), hear: number(3159)},
		"elsewhere, TLS not used":       {gate: secure, far: true, say: packet(1, helloOf(ours, utf8mb4, gatetest.User, pluginSHA2)), hear: number(3159)},
		"elsewhere, TLS said, not used": {gate: secure, far: true, say: packet(1, helloOf(ours|capSSL, utf8mb4, gatetest.User, pluginSHA2)), hear: number(3159)},
		"another plugin":                {gate: plain, say: packet(1, helloOf(ours, utf8mb4, gatetest.User, "mysql_clear_password")), hear: "\xfe" + pluginSHA2 + "\x00"},
		"TLS without a certificate":     {gate: plain, say: packet(1, tlsRequest()), hear: number(1043)},
		"no protocol 4.1":               {gate: plain, say: packet(1, helloOf(ours&^capProtocol41, utf8mb4, gatetest.User, pluginSHA2)), hear: number(1251)},
		"no long scramble":              {gate: plain, say: packet(1, helloOf(ours&^capSecure, utf8mb4, gatetest.User, pluginSHA2)), hear: number(1251)},
		"no plugins":                    {gate: plain, say: packet(1, helloOf(ours&^capPluginAuth, utf8mb4, gatetest.User, pluginSHA2)), hear: number(1251)},
		"no user":                       {gate: plain, say: packet(1, helloOf(ours, utf8mb4, "", pluginSHA2)), hear: number(1043)},
		"a user that is not UTF-8":      {gate: plain, say: packet(1, helloOf(ours, utf8mb4, "ag\xffent", pluginSHA2)), hear: number(1043)},
		"an odd number":                 {gate: plain, say: packet(2, helloOf(ours, utf8mb4, gatetest.User, pluginSHA2)), hear: number(1105)},
		"longer than a login":           {gate: plain, say: []byte("\x01\x40\x00\x01"), hear: number(1105)},
		"empty":                         {gate: plain, say: packet(1), hear: number(1043)},
	}
	for name, c := range map[string]byte{"big5": 1, "latin1": 8, "sjis": 13, "euckr": 19, "gb2312": 24, "gbk": 28, "ucs2": 35, "utf16": 54, "utf32": 60, "gbk_bin": 87, "eucjpms": 97, "gb18030": 248, "none": 0} {
		cases[name] = talk{gate: plain, say: packet(1, helloOf(ours, c, gatetest.User, pluginSHA2)), hear: number(1115)}
	}
	for name, c := range cases {
		if heard := firstWords(t, c.gate, c.far, c.say); !strings.HasPrefix(heard, c.hear) {
			t.Errorf("%s: heard %q instead of %q", name, heard, c.hear)
		}
	}
}

// firstWords is what a client hears after the greeting, "" where the connection ends.
func firstWords(t *testing.T, g *Gate, far bool, say []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if far {
		conn = elsewhere{conn}
	}
	done := make(chan struct{})
	go func() { defer close(done); undialled(t, g, conn) }()
	defer func() { _ = near.Close(); <-done }()
	_ = near.SetDeadline(time.Now().Add(time.Minute))
	r, seq := bufio.NewReader(near), byte(0)
	if _, err := readMessage(r, nil, maxLogin, &seq); err != nil {
		t.Fatal(err)
	}
	if _, err := near.Write(say); err != nil {
		t.Fatal(err)
	}
	head, err := r.Peek(4)
	if err != nil {
		return ""
	}
	seq = head[3]
	body, err := readMessage(r, nil, maxLogin, &seq)
	if err != nil {
		return ""
	}
	return string(body)
}

// What a client sends behind its request for TLS is never read as if it had come inside it (CVE-2021-23214):
// here a whole login with the right token, put before the client's own by who stands between.
func TestNothingIsReadAheadOfTLS(t *testing.T) {
	g := loginGate(t, &tls.Config{Certificates: []tls.Certificate{pairFor(t)}})
	for _, far := range []bool{true, false} {
		in := bytes.Join([][]byte{packet(1, tlsRequest()), packet(2, helloOf(ours, utf8mb4, gatetest.User, pluginSHA2)), packet(4, gatetest.Token+"\x00")}, nil)
		if heard := firstWords(t, g, far, in); strings.HasPrefix(heard, "\x00") || strings.HasPrefix(heard, "\x01") {
			t.Errorf("elsewhere %v: heard %q", far, heard)
		}
	}
}

// A scripted server has said everything already, and keeps what it hears.
type scripted struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (s *scripted) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *scripted) Write(b []byte) (int, error) { return s.out.Write(b) }
func (*scripted) Close() error                  { return nil }
func (*scripted) LocalAddr() net.Addr           { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (*scripted) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (*scripted) SetDeadline(time.Time) error      { return nil }
func (*scripted) SetReadDeadline(time.Time) error  { return nil }
func (*scripted) SetWriteDeadline(time.Time) error { return nil }

func greetingOf(version string, caps uint32, plugin string) string {
	m := append([]byte("\x0a"+version+"\x00\x01\x00\x00\x00"+"12345678\x00"), byte(caps), byte(caps>>8), utf8mb4, 2, 0, byte(caps>>16), byte(caps>>24), 21)
	return string(packet(0, string(m), strings.Repeat("\x00", 10), "123456789012\x00", plugin, "\x00"))
}

// FuzzUpstream: whatever a server says at login, it is asked for nothing that was not meant to be, and hears the
// credential in clear only inside TLS, as caching_sha2_password's whole answer.
func FuzzUpstream(f *testing.F) {
	const everything, credential = 0xffffffff, "the-real-credential-91f3"
	ok, four := string(packet(2, "\x00\x00\x00\x02\x00\x00\x00")), string(packet(2, "\x01\x04"))
	_, public, err := loginGate(f, nil).key()
	if err != nil {
		f.Fatal(err)
	}
	own, sha2 := greetingOf("10.11.4-MariaDB", everything, pluginNative), greetingOf("8.0.36", everything, pluginSHA2)
	for _, s := range []string{
		own + ok, own, sha2 + ok, sha2 + string(packet(2, "\x01\x03")) + string(packet(3, "\x00\x00\x00\x02\x00\x00\x00")), sha2 + four + string(packet(4, "\x00\x00\x00\x02\x00\x00\x00")),
		sha2 + four + string(packet(4, "\x01"+string(public))) + string(packet(6, "\x00\x00\x00\x02\x00\x00\x00")), sha2 + string(packet(2, "\x01"+string(public))),
		own + string(packet(2, "\xfe", pluginSHA2, "\x0012345678901234567890\x00")) + string(packet(4, "\x01\x04")), own + string(packet(2, "\xfe", pluginEd25519, "\x00", strings.Repeat("s", 32))) + string(packet(4, "\x00\x00\x00\x02\x00\x00\x00")),
		own + four, own + string(packet(2, "\xfemysql_clear_password\x00")), own + string(packet(2, "\xfedialog\x00\x04password: ")), own + string(packet(2, "\xfemysql_old_password\x0012345678\x00")), own + string(packet(2, "\xfe")),
		own + string(packet(2, "\xff\x15\x04#28000Access denied for user 'the-account'@'10.0.0.7'")), own + string(packet(2, "\xfb/etc/passwd")),
		greetingOf("8.0.36", everything&^capSSL, pluginSHA2) + ok, greetingOf("5.7.1", everything, pluginNative), string(packet(0, "\xff\x10\x04Too many connections")), string(packet(0, "\x09old\x00")), "SSH-2.0-OpenSSH\r\n",
	} {
		for mode := range byte(3) {
			f.Add([]byte(s), mode)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, mode byte) {
		g := loginGate(t, nil)
		given := []byte(credential)
		g.cfg.Upstream.Password = func(context.Context) ([]byte, error) { return given, nil }
		s := &scripted{in: bytes.NewReader(in)}
		inside := mode%3 == 2 // as if TLS had been made already
		g.cfg.Upstream.Plain = mode%3 == 0
		var up *server
		var err error
		if inside {
			if up, err = readServer(s); err == nil {
				up.secure = true
			}
		} else {
			up, _, err = g.secure(t.Context(), s, loginCaps)
		}
		if mode%3 == 1 {
			if err == nil {
				t.Fatal("TLS was made of these bytes")
			}
			heardBeforeTLS(t, s.out.Bytes())
			return
		}
		if err != nil {
			if s.out.Len() > 0 {
				t.Errorf("%q was said to who is no server", s.out.Bytes())
			}
			return
		}
		err = g.login(t.Context(), up, s, bufio.NewReader(s), loginCaps, "")
		if bytes.Contains(given, []byte("c")) {
			t.Error("the credential is still in memory")
		}
		said := messages(t, in)
		if err == nil && !starts(said[1:], "\x00") {
			t.Errorf("believed %q", in)
		}
		if err != nil && (strings.Contains(err.Error(), credential) || strings.Contains(err.Error(), "10.0.0.7")) {
			t.Errorf("%q is told", err)
		}
		heard := messages(t, s.out.Bytes())
		want := uint32(loginCaps)
		if inside {
			want |= capSSL
		}
		if len(heard) == 0 || len(heard) > 7 || len(heard[0]) < 36 || binary.LittleEndian.Uint32([]byte(heard[0])) != want {
			t.Fatalf("said %q", heard)
		}
		for _, m := range heard {
			if strings.Contains(m, credential) && (!inside || m != credential+"\x00" || !starts(said[1:], "\x01\x04")) {
				t.Errorf("said %q to %q", m, in)
			}
		}
	})
}

// heardBeforeTLS holds what a server hears against the request for TLS and the first record of it.
func heardBeforeTLS(t *testing.T, b []byte) {
	t.Helper()
	if len(b) == 0 { // it was refused by its greeting
		return
	}
	if len(b) < 36 || b[0] != 32 || binary.LittleEndian.Uint32(b[4:]) != loginCaps|capSSL || len(b) > 36 && b[36] != 0x16 || bytes.Contains(b, []byte("the-account")) {
		t.Errorf("said %q before TLS", b)
	}
}

func starts(messages []string, with string) bool {
	for _, m := range messages {
		if strings.HasPrefix(m, with) {
			return true
		}
	}
	return false
}

// messages are the whole packets at the beginning of b.
func messages(t *testing.T, b []byte) (all []string) {
	t.Helper()
	for len(b) >= 4 {
		n := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		if n > len(b)-4 {
			break
		}
		all = append(all, string(b[4:4+n]))
		b = b[4+n:]
	}
	return all
}

// A server that answers ahead of TLS is not believed, and hears neither account nor credential (CVE-2021-23222).
func TestServerAheadOfTLS(t *testing.T) {
	g := loginGate(t, nil)
	g.cfg.Upstream.Plain = false
	s := &scripted{in: bytes.NewReader([]byte(greetingOf("8.0.36", 0xffffffff, pluginSHA2) + string(packet(2, "\x00\x00\x00\x02\x00\x00\x00"))))}
	if _, _, err := g.secure(t.Context(), s, loginCaps); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("believed: %v", err)
	}
	heardBeforeTLS(t, s.out.Bytes())
	s = &scripted{in: bytes.NewReader([]byte(greetingOf("8.0.36", 0xffffffff&^capSSL, pluginSHA2)))}
	if _, _, err := g.secure(t.Context(), s, loginCaps); err == nil || s.out.Len() > 0 {
		t.Errorf("a server without TLS: %v, it heard %q", err, s.out.Bytes())
	}
}

// The 32 bytes that MariaDB's ed25519 asks to be signed may end in any byte: one in 256 ends in NUL, which is
// no end of a string there.
func TestEd25519SignsEveryByte(t *testing.T) {
	g := loginGate(t, nil)
	g.cfg.Upstream.Plain = true
	for last := range 256 {
		asked := strings.Repeat("s", 31) + string([]byte{byte(last)})
		g.cfg.Upstream.Password = func(context.Context) ([]byte, error) { return []byte("secret"), nil }
		s := &scripted{in: bytes.NewReader([]byte(greetingOf("10.11.4-MariaDB", 0xffffffff, pluginNative) +
			string(packet(2, "\xfe", pluginEd25519, "\x00", asked)) + string(packet(4, "\x00\x00\x00\x02\x00\x00\x00"))))}
		up, _, err := g.secure(t.Context(), s, loginCaps)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.login(t.Context(), up, s, bufio.NewReader(s), loginCaps, ""); err != nil {
			t.Errorf("asked to sign %q: %v", asked, err)
			continue
		}
		want, err := signEd25519([]byte("secret"), []byte(asked))
		if heard := messages(t, s.out.Bytes()); err != nil || len(heard) != 2 || heard[1] != string(want) {
			t.Errorf("asked to sign %q: %q, %v", asked, heard, err)
		}
	}
}
