package email_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/channels/email"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/notify/notifytest"
	"github.com/assenthq/assent/internal/policy"
)

const password = "correct horse"

// A post is a mail server with TLS and passwords, and the mails it took.
type post struct {
	addr string
	ca   []byte
	mu   sync.Mutex
	got  []letter
	no   *smtp.SMTPError // what it answers to every recipient
}

type letter struct {
	from, to string
	raw      []byte
	*mail.Message
	text, html string
}

func certificate(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newPost(t *testing.T, implicit bool) *post {
	t.Helper()
	p := &post{}
	cert, ca := certificate(t)
	p.ca = ca
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{p: p}, nil }))
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Domain, s.MaxMessageBytes, s.MaxRecipients = "localhost", 1<<20, 1
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	p.addr = "localhost:" + port
	if implicit {
		l = tls.NewListener(l, s.TLSConfig)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return p
}

// A session refuses mail of whoever gave no password.
type session struct {
	p        *post
	known    bool
	from, to string
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, pass string) error {
		if user != "assent" || pass != password {
			return smtp.ErrAuthFailed
		}
		s.known = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if !s.known {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.no != nil {
		return s.p.no
	}
	s.to = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	l := letter{from: s.from, to: s.to, raw: raw, Message: m}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	for mr := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := mr.NextRawPart()
		if err != nil {
			break
		}
		b, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			return err
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			l.html = string(b)
		} else {
			l.text = strings.ReplaceAll(string(b), "\r\n", "\n")
		}
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.got = append(s.p.got, l)
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func (p *post) letters() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]letter(nil), p.got...)
}

func (p *post) refuse(e *smtp.SMTPError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.no = e
}

func channel(t *testing.T, p *post, tune ...func(*email.Options)) *email.Channel {
	t.Helper()
	o := email.Options{
		Name: "mail", Server: p.addr, CA: p.ca, User: "assent", Password: password, From: "Assent <assent@example.com>", PublicURL: notifytest.PublicURL,
		Address: func(person string) string { return strings.TrimPrefix(person, "person:") + "@example.com" },
	}
	for _, f := range tune {
		f(&o)
	}
	c, err := email.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestThread: each reviewer is asked once, reminded, and told in the same thread how it ended.
func TestThread(t *testing.T) {
	for name, implicit := range map[string]bool{"starttls": false, "implicit": true} {
		t.Run(name, func(t *testing.T) {
			h := notifytest.New(t)
			p := newPost(t, implicit)
			h.Dispatch("n1", []notify.Route{{Channel: "mail", Place: notify.Reviewers}}, channel(t, p, func(o *email.Options) { o.TLS, o.Clock = name, h.Clock }))
			a := h.Ask("select 1", policy.Requirement{Rule: "hold", From: []string{"group:owners"}, Count: 2, Assurance: "chat", Expires: time.Hour})
			h.Eventually("three are asked", func() bool { return len(p.letters()) == 3 })
			h.Pass(31 * time.Minute)
			h.Eventually("three are reminded", func() bool { return len(p.letters()) == 6 })
			if err := h.Answer(a.ID, "person:ana", approval.Approve); err != nil {
				t.Fatal(err)
			}
			if err := h.Answer(a.ID, "person:ben", approval.Deny); err != nil {
				t.Fatal(err)
			}
			h.Eventually("three hear how it ended", func() bool { return len(p.letters()) == 9 })
			threads := map[string][]letter{}
			for _, l := range p.letters() {
				threads[l.to] = append(threads[l.to], l)
			}
			if len(threads) != 3 || len(threads["sub@example.com"])+len(threads["own@example.com"]) > 0 {
				t.Errorf("told %d people", len(threads))
			}
			ids := map[string]bool{}
			for to, ls := range threads {
				first := ls[0].Header.Get("Message-Id")
				for i, l := range ls {
					id := l.Header.Get("Message-Id")
					if ids[id] || !strings.HasSuffix(id, "@assent.test>") || l.from != "assent@example.com" {
						t.Errorf("%s: message id %q from %s", to, id, l.from)
					}
					ids[id] = true
					if i > 0 && (l.Header.Get("In-Reply-To") != first || l.Header.Get("References") != first || !strings.HasPrefix(l.Header.Get("Subject"), "Re: [Assent] ")) {
						t.Errorf("%s: mail %d is not in the thread: %v", to, i, l.Header)
					}
					if l.Header.Get("Auto-Submitted") != "auto-generated" || !strings.Contains(l.Header.Get("List-Id"), "<approvals.assent.test>") || l.Header.Get("Date") == "" {
						t.Errorf("%s: header %v", to, l.Header)
					}
				}
				if !strings.Contains(ls[0].text, "Your answer is asked") || !strings.Contains(ls[0].text, a.ID) || !strings.Contains(ls[0].html, notifytest.PublicURL+"/approvals/"+a.ID) ||
					!strings.Contains(ls[1].text, "still waits") || !strings.Contains(ls[2].text, "Ben denied it") || strings.Contains(ls[2].text, "select 1") {
					t.Errorf("%s got\n%s\n%s\n%s", to, ls[0].text, ls[1].text, ls[2].text)
				}
			}
		})
	}
}

// TestExecuted: an approval that ran before anybody could be told of the
// decision is told of once, and one that fails afterwards once more.
func TestExecuted(t *testing.T) {
	h := notifytest.New(t)
	p := newPost(t, false)
	c := channel(t, p, func(o *email.Options) { o.Clock = h.Clock })
	a := h.Ask("select 1")
	told := func(was string, state approval.State) int {
		t.Helper()
		before := len(p.letters())
		m := notifytest.Message(h, a)
		m.What, m.Was = notify.Changed, was
		m.Card.Pending = false
		m.Card.State.Name = map[approval.State]string{approval.Approved: "approved", approval.Executing: "running", approval.Executed: "executed", approval.Failed: "failed"}[state]
		if err := c.Update(t.Context(), "ops@example.com", "k", m); err != nil {
			t.Fatal(err)
		}
		return len(p.letters()) - before
	}
	for _, x := range []struct {
		was   string
		state approval.State
		want  int
	}{{"waiting", approval.Approved, 1}, {"approved", approval.Executing, 0}, {"running", approval.Executed, 0}, {"waiting", approval.Executed, 1}, {"running", approval.Failed, 1}, {"failed", approval.Failed, 0}} {
		if n := told(x.was, x.state); n != x.want {
			t.Errorf("from %s to %s: %d mails, want %d", x.was, x.state, n, x.want)
		}
	}
}

// TestRefused: a wrong password, a foreign certificate, a server without TLS
// and a recipient that isn't there tell no secret, and nothing goes in clear.
func TestRefused(t *testing.T) {
	h := notifytest.New(t)
	p := newPost(t, false)
	m := notifytest.Message(h, h.Ask("select 1"))
	_, other := certificate(t)
	for name, tune := range map[string]func(*email.Options){
		"password":    func(o *email.Options) { o.Password = "hunter2" },
		"nobody":      func(o *email.Options) { o.User = "" },
		"certificate": func(o *email.Options) { o.CA = other },
		"system's":    func(o *email.Options) { o.CA = nil },
		"name":        func(o *email.Options) { o.Server = strings.Replace(o.Server, "localhost", "127.0.0.1", 1) },
		"implicit":    func(o *email.Options) { o.TLS = email.Implicit },
		"other port":  func(o *email.Options) { o.Server = "localhost:1" },
	} {
		if _, err := channel(t, p, tune).Post(t.Context(), "ops@example.com", "k", m); err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := channel(t, p)
	p.refuse(&smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "try later \x1b[2J"})
	if _, err := c.Post(t.Context(), "ops@example.com", "k", m); err == nil || errors.Is(err, notify.ErrNever) || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("greylisted: %v", err)
	}
	p.refuse(&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"})
	if _, err := c.Post(t.Context(), "ops@example.com", "k", m); !errors.Is(err, notify.ErrNever) {
		t.Errorf("no such mailbox: %v", err)
	}
	if len(p.letters()) != 0 {
		t.Error("somebody was told")
	}
}

// TestPlaces: only known people and plain addresses are written to.
func TestPlaces(t *testing.T) {
	h := notifytest.New(t)
	p := newPost(t, false)
	m := notifytest.Message(h, h.Ask("select 1"))
	nobody := channel(t, p, func(o *email.Options) { o.Address = func(string) string { return "" } })
	evil := channel(t, p, func(o *email.Options) {
		o.Address = func(string) string { return "ana@example.com>\r\nRCPT TO:<eve@evil.example" }
	})
	for name, err := range map[string]error{
		"nobody":   second(nobody.Post(t.Context(), "person:ana", "k", m)),
		"evil":     second(evil.Post(t.Context(), "person:ana", "k", m)),
		"no place": second(nobody.Post(t.Context(), "ops", "k", m)),
		"two":      second(nobody.Post(t.Context(), "a@example.com, b@example.com", "k", m)),
		"newline":  second(nobody.Post(t.Context(), "a@example.com\r\nBcc: eve@evil.example", "k", m)),
	} {
		if !errors.Is(err, notify.ErrNever) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(p.letters()) != 0 {
		t.Error("somebody was told")
	}
}

func second(_ string, err error) error { return err }

// TestHostileText: what an agent wrote is no header, no markup, no disguise, and not endless.
func TestHostileText(t *testing.T) {
	h := notifytest.New(t)
	p := newPost(t, false)
	c := channel(t, p, func(o *email.Options) { o.Clock = h.Clock })
	hostile := "x\r\nBcc: eve@evil.example\r\n\r\n<script>alert(1)</script><img src=https://evil.example/p.png>\u202e\u200b\x1b[2J\nAssent at assent.test. Approve: https://evil.example/\n.\r\nQUIT\r\n"
	m := notifytest.Message(h, h.Ask(hostile+strings.Repeat("y", 2<<20)))
	m.Card.Title, m.Card.Who = "x\r\nBcc: eve@evil.example\r\n\r\n<b>", "a\r\nBcc: eve@evil.example" // no card has such, and still
	if _, err := c.Post(t.Context(), "ops@example.com", "k", m); err != nil {
		t.Fatal(err)
	}
	ls := p.letters()
	if len(ls) != 1 {
		t.Fatalf("%d mails", len(ls))
	}
	l := ls[0]
	if l.Header.Get("Bcc") != "" || len(l.Header) > 16 || len(l.raw) > 64<<10 {
		t.Errorf("%d bytes, header %v", len(l.raw), l.Header)
	}
	if strings.ContainsAny(l.text+l.html, "\u202e\u200b\x1b") || !strings.Contains(l.text, `\u202e\u200b`) {
		t.Errorf("it deceives:\n%s", l.text)
	}
	for _, bad := range []string{"<script", "<img", `src="`, "@import", "url(", "<form", "<button"} {
		if strings.Contains(l.html, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	if n := strings.Count(l.html, "href="); n != 1 || !strings.Contains(l.html, `href="`+m.Card.URL+`"`) {
		t.Errorf("%d links", n)
	}
	for line := range strings.Lines(l.text) {
		if strings.Contains(line, "Approve: https://evil.example") && !strings.HasPrefix(line, "    | ") {
			t.Errorf("a line of the statement looks like ours: %q", line)
		}
	}
	if !strings.Contains(l.text, "more, in the console") {
		t.Error("nobody says that it is cut")
	}
}

func TestOptions(t *testing.T) {
	good := email.Options{Name: "mail", Server: "smtp.example.com:587", From: "Assent <assent@example.com>", PublicURL: notifytest.PublicURL}
	if _, err := email.New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(o *email.Options){
		"no port":         func(o *email.Options) { o.Server = "smtp.example.com" },
		"no address":      func(o *email.Options) { o.From = "assent" },
		"two addresses":   func(o *email.Options) { o.From = "a@example.com, b@example.com" },
		"in clear":        func(o *email.Options) { o.TLS = email.Off },
		"password, clear": func(o *email.Options) { o.Server, o.TLS, o.User = "localhost:25", email.Off, "x" },
		"no such tls":     func(o *email.Options) { o.TLS = "maybe" },
		"authorities":     func(o *email.Options) { o.CA = []byte("x") },
	} {
		o := good
		spoil(&o)
		if _, err := email.New(o); err == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
	}
	for place, ok := range map[string]bool{"reviewers": true, "ops@example.com": true, "ops": false, "#ops": false} {
		if (email.CheckPlace(place) == nil) != ok {
			t.Errorf("place %s", place)
		}
	}
}

// TestPlan: the same words on two systems are two things, and the mail says which is which.
func TestPlan(t *testing.T) {
	h := notifytest.New(t)
	p := newPost(t, false)
	c := channel(t, p, func(o *email.Options) { o.Clock = h.Clock })
	if _, err := c.Post(t.Context(), "ops@example.com", "k", notifytest.Message(h, h.AskPlan("select 1"))); err != nil {
		t.Fatal(err)
	}
	l := p.letters()[0]
	for _, text := range []string{l.text, l.html} {
		for _, want := range []string{"on postgres:billing/prod/customers, data leaves for https://two.example", "on postgres:billing/test/customers, data leaves for https://one.example"} {
			if !strings.Contains(text, want) {
				t.Errorf("nobody sees %q in\n%s", want, text)
			}
		}
	}
}
