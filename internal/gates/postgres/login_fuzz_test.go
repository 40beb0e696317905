package postgres

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/classify/sql"
	"github.com/xdg-go/scram"
)

func startup(code uint32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(binary.BigEndian.AppendUint32(b, code), body...)
}

func sasl(mechanism, initial string) []byte {
	return appendFrame(nil, 'p', cstr(mechanism), binary.BigEndian.AppendUint32(nil, uint32(len(initial))), []byte(initial))
}

// FuzzHandshake: whatever comes before a login, no session is opened and nobody
// is dialled; the client hears whole messages, and the gate lives on.
func FuzzHandshake(f *testing.F) {
	user := startup(version3, "user\x00agent\x00\x00")
	for _, s := range [][]byte{
		user, startup(codeSSL, ""), startup(codeGSS, ""), append(startup(codeSSL, ""), user...), startup(codeCancel, "\x00\x00\x00\x01\x00\x00\x00\x01"), startup(codeCancel, "x"), startup(2<<16, "user\x00x\x00\x00"),
		startup(version3+2, "user\x00agent\x00_pq_.x\x00on\x00database\x00db\x00DateStyle\x00ISO, MDY\x00application_name\x00a\x00client_encoding\x00'utf-8'\x00\x00"), startup(version3, "user\x00agent\x00options\x00-c x=y\x00\x00"),
		append(bytes.Clone(user), sasl(mechanism, "n,,n=,r=fyko+d2lbbFgONRv9qkxdawL")...), append(bytes.Clone(user), sasl("PLAIN", "\x00a\x00b")...), append(bytes.Clone(user), sasl(mechanism, "y,,n=,r=x")...), append(bytes.Clone(user), sasl(mechanism, "p=tls-unique,,n=,r=x")...),
		append(append(bytes.Clone(user), sasl(mechanism, "n,,n=,r=abc")...), appendFrame(nil, 'p', []byte("c=biws,r=abc,p=AAAA"))...), []byte("GET / HTTP/1.1\r\n\r\n"), []byte("\xff\xff\xff\xff\x00\x03\x00\x00"),
		append(bytes.Clone(user), "Q\x00\x00\x00\x0dselect 1\x00"...),
	} {
		f.Add(s)
	}
	g, err := New(Config{
		Name: "fuzz", Authority: &gatetest.Authority{}, Classifier: sql.New(sql.Options{}),
		Upstream: Upstream{Host: "127.0.0.1", Port: 1, User: "x", Plain: true, Password: func(context.Context) ([]byte, error) { return nil, errors.New("none") }},
	})
	if err != nil {
		f.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(f.TempDir(), "s"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = l.Close() })
	f.Fuzz(func(t *testing.T, in []byte) {
		near, far := pair(t, l)
		a := &gatetest.Authority{}
		cfg := g.Config()
		cfg.Authority = a
		cfg.Dial = func(context.Context) (net.Conn, error) {
			t.Error("upstream was dialled")
			return nil, errors.New("no")
		}
		cfg.Refused = func(_ context.Context, _ gate.Peer, detail string) {
			if strings.Contains(detail, "panicked") {
				t.Error(detail)
			}
		}
		done := make(chan struct{})
		go func() { defer close(done); gate.ServeConn(context.Background(), far, cfg) }()
		_ = near.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = near.Write(in)
		if u, ok := near.(*net.UnixConn); ok {
			_ = u.CloseWrite()
		}
		heard, err := io.ReadAll(near)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			t.Fatal("the connection does not end")
		}
		_ = near.Close()
		<-done
		heard = bytes.TrimLeft(heard, "NS") // answers to requests for encryption
		for r := bufio.NewReader(bytes.NewReader(heard)); ; {
			m, err := readFrame(r, nil, 1<<16)
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
			if err != nil || strings.IndexByte("REv", m.kind()) < 0 || m.kind() == 'R' && binary.BigEndian.Uint32(m.body()) == 0 {
				t.Fatalf("heard %q, %v", heard, err)
			}
		}
	})
}

// FuzzProve: an upstream that does not know the credential gets neither the
// credential nor the gate's belief, however close to the truth it answers.
func FuzzProve(f *testing.F) {
	const password = "the-real-credential-91f3"
	known, err := scram.SHA256.NewClient("", password, "")
	if err != nil {
		f.Fatal(err)
	}
	stored, err := known.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "0123456789abcdef", Iters: 4096})
	if err != nil {
		f.Fatal(err)
	}
	g, err := New(Config{
		Name: "fuzz", Authority: nobody{}, Classifier: sql.New(sql.Options{}),
		Upstream: Upstream{Host: "127.0.0.1", Port: 1, User: "x", Plain: true, Password: func(context.Context) ([]byte, error) { return []byte(password), nil }},
	})
	if err != nil {
		f.Fatal(err)
	}
	for i := range 12 {
		f.Add([]byte{}, uint16(i*7), byte(1<<(i%8)))
	}
	for _, s := range []string{"R\x00\x00\x00\x08\x00\x00\x00\x00", "R\x00\x00\x00\x08\x00\x00\x00\x03", "R\x00\x00\x00\x0c\x00\x00\x00\x05salt", "R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00R\x00\x00\x00\x08\x00\x00\x00\x00", "E\x00\x00\x00\x05\x00"} {
		f.Add([]byte(s), uint16(0), byte(0))
	}
	f.Fuzz(func(t *testing.T, instead []byte, at uint16, flip byte) {
		server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
		if err != nil {
			t.Fatal(err)
		}
		p := &prover{conv: server.NewConversation(), instead: instead, at: int(at), flip: flip}
		p.say(authFrame(10, []byte(mechanism+"\x00\x00")))
		err = g.prove(context.Background(), p, bufio.NewReader(p))
		if bytes.Contains(p.heard, []byte(password)) {
			t.Error("the credential was sent")
		}
		if err == nil && (len(instead) > 0 || p.changed) {
			t.Errorf("believed %q with byte %d changed by %x", p.sent, at, flip)
		}
		if err != nil && len(instead) == 0 && !p.flipped {
			t.Errorf("an honest server is refused: %v", err)
		}
	})
}

// A server that asks for hours of work is refused before any of it is done.
func TestProveBoundsIterations(t *testing.T) {
	g, err := New(Config{
		Name: "fuzz", Authority: nobody{}, Classifier: sql.New(sql.Options{}),
		Upstream: Upstream{Host: "127.0.0.1", Port: 1, User: "x", Plain: true, Password: func(context.Context) ([]byte, error) { return []byte("x"), nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []string{"1000001", "2147483647", "99999999999999999999", "x"} {
		var out bytes.Buffer
		in := append(authFrame(10, []byte(mechanism+"\x00\x00")), authFrame(11, []byte("r=abc,s=MDEyMzQ1Njc4OWFiY2RlZg==,i="+i))...)
		err := g.prove(t.Context(), &out, bufio.NewReader(bytes.NewReader(in)))
		if err == nil || !strings.Contains(err.Error(), "more SCRAM iterations") {
			t.Errorf("i=%s: %v", i, err)
		}
	}
}

// A prover is the server's side of SCRAM, with other bytes at first or one byte changed.
type prover struct {
	conv             *scram.ServerConversation
	instead          []byte
	at               int
	flip             byte
	flipped, changed bool
	sent, heard      []byte
	out              bytes.Buffer
}

func (p *prover) Read(b []byte) (int, error) { return p.out.Read(b) }

func (p *prover) Write(b []byte) (int, error) {
	p.heard = append(p.heard, b...)
	w := walker{b: frame(b).body()}
	message := string(w.b)
	if first := len(p.heard) == len(b); first {
		w.str()
		message = string(w.value())
	}
	reply, err := p.conv.Step(message)
	switch {
	case err != nil:
		p.say(errorFrame("FATAL", "28P01", "no", "", ""))
	case p.conv.Done():
		p.say(authFrame(12, []byte(reply)))
		p.say(authFrame(0, nil))
	default:
		p.say(authFrame(11, []byte(reply)))
	}
	return len(b), nil
}

func (p *prover) say(m []byte) {
	if len(p.instead) > 0 {
		m = p.instead
	} else if i := p.at - len(p.sent); i >= 0 && i < len(m) && p.flip != 0 {
		was := bytes.Clone(m)
		m[i] ^= p.flip
		p.flipped = true
		p.changed = !sameWords(was, m)
	}
	p.sent = append(p.sent, m...)
	p.out.Write(m)
}

// sameWords reports whether two messages say the same: the last letter of base64 has bits
// that stand for nothing, and a list of mechanisms has words that nobody needs.
func sameWords(a, b []byte) bool {
	if a[8] == 10 && bytes.Equal(a[:9], b[:9]) {
		return true // no proof covers the list
	}
	va, is := strings.CutPrefix(string(a[9:]), "v=")
	vb, still := strings.CutPrefix(string(b[9:]), "v=")
	if !is || !still || !bytes.Equal(a[:9], b[:9]) {
		return false
	}
	x, _ := base64.StdEncoding.DecodeString(va)
	y, err := base64.StdEncoding.DecodeString(vb)
	return err == nil && bytes.Equal(x, y)
}

// FuzzReport: of an error's fields only those on the list pass, and what it quotes or
// counts while rows are read does not.
func FuzzReport(f *testing.F) {
	for _, code := range []string{"22P02", "22003", "P0001", "XX000", "42804", "42703", "23505", "54000", "0A000", "57014"} {
		f.Add(code, "invalid input syntax for type integer: ", byte(0), "", byte('W'), true)
		f.Add(code, "Wert ", byte(1), " ist zu groß", byte('D'), false)
	}
	marks := []rune(quotes)
	f.Fuzz(func(t *testing.T, code, before string, quote byte, after string, field byte, reading bool) {
		if len(code) != 5 || strings.ContainsRune(code+before+after, 0) {
			return
		}
		const value = "4929177155"
		q := string(marks[int(quote)%len(marks)])
		message := before + q + value + q + after
		if quote%3 == 0 {
			message = before + value + after // without quotes: a number
		}
		m := appendFrame(nil, 'E', []byte("SERROR\x00C"+code+"\x00M"+message+"\x00"), []byte{field}, cstr(value), []byte{0})
		c := newCodec(&Gate{})
		c.reading = reading
		out := c.appendReport(nil, m, func(b []byte) []byte { return b })
		if int(binary.BigEndian.Uint32(out[1:]))+1 != len(out) || out[len(out)-1] != 0 {
			t.Fatalf("%q is no message", out)
		}
		w := walker{b: out[5:]}
		for k := w.u8(); k != 0; k = w.u8() {
			v := w.str()
			if !strings.Contains(v, value) {
				continue
			}
			switch class := code[:2]; {
			case k == 'M' && (class == "23" || class == "00" || class == "01"): // names of constraints and columns
			case k == field && strings.IndexByte("HstcdnSVCP", k) >= 0: // masked as text, which here is no mask
			case k == 'M' && field == 'C' || k == field && k == 'M': // the code is another then
			default:
				t.Fatalf("field %c shows %q", k, v)
			}
		}
		if w.bad {
			t.Fatalf("%q is no report", out)
		}
	})
}

// FuzzCatalogueRows: whatever the catalogue says, a snapshot is made of it or is not, and
// statements are planned in it or are not.
func FuzzCatalogueRows(f *testing.F) {
	f.Add("16400|public|t|r|\n16401|public|v|v|SELECT t.a, reverse(t.b) FROM public.t", "16400|1|a|25|\n16400|2|b|25|\n16401|1|a|25|\n16401|2|x|25|", "16401|16400")
	f.Add("16400|public|t|r|\n16401|public|u|p|", "16400|1|a|25|reverse(a)\n16401|1|a|25|", "16400|16401\n16401|16400")
	f.Add("16400|a|v|v|SELECT * FROM a.w\n16401|a|w|v|SELECT * FROM a.v", "16400|1|x|25|\n16401|1|x|25|", "")
	f.Add("4294967296|||", "0|65536|x|-1|", "x|y")
	c := sql.New(sql.Options{})
	g := &Gate{cfg: Config{MaxMessage: 1 << 20, Classifier: c}}
	texts := []string{"select a, x from t, v", "select * from public.v", "select b from a.v where x = '1'", "update t set a = 1"}
	f.Fuzz(func(t *testing.T, relations, columns, families string) {
		var in []byte
		for _, rows := range []string{relations, columns, families} {
			for _, row := range strings.Split(rows, "\n") {
				if row == "" {
					continue
				}
				cells := strings.Split(row, "|")
				body := binary.BigEndian.AppendUint16(nil, uint16(len(cells)))
				for _, cell := range cells {
					if cell == "" {
						body = append(body, 0xff, 0xff, 0xff, 0xff)
						continue
					}
					body = append(binary.BigEndian.AppendUint32(body, uint32(len(cell))), cell...)
				}
				in = appendFrame(in, 'D', body)
			}
			in = appendFrame(in, 'Z', []byte{'I'})
		}
		l := &loader{g: g, ctx: t.Context(), database: "db", conn: deaf{}, r: bufio.NewReader(bytes.NewReader(in))}
		s, err := l.snapshot("1")
		if err != nil {
			return
		}
		for _, text := range texts {
			st := &c.Classify(text, sql.State{Database: "db", SearchPath: `public, a`}).Statements[0]
			p, err := s.planned(st, nil)
			if err == nil && len(p.columns) != len(st.Columns) {
				t.Fatalf("%s: %d columns of %d", text, len(p.columns), len(st.Columns))
			}
			for _, k := range st.Kinds {
				if err == nil && !containsKind(p, string(k)) {
					t.Fatalf("%s is no longer %s", text, k)
				}
			}
		}
	})
}

func containsKind(p *planned, kind string) bool {
	for _, k := range p.kinds {
		if string(k) == kind {
			return true
		}
	}
	return false
}

// deaf takes what is written to it.
type deaf struct{ net.Conn }

func (deaf) Write(b []byte) (int, error) { return len(b), nil }
