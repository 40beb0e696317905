package enrol_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/enrol"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store/sqlite"
)

var mira = identity.Person{ID: "person:mira", Name: "Mira"}

type world struct {
	*enrol.Authority
	box   *sealed.Box
	store *sqlite.Store
	now   time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), dir)
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), "test/log")
	must(t, err)
	log, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}})
	must(t, err)
	must(t, log.Open(t.Context(), store))
	w := &world{store: store, now: time.Now().UTC()}
	w.box, err = sealed.NewBox(store, log, bytes.Repeat([]byte("k"), 32))
	must(t, err)
	w.Authority = w.authority(t)
	return w
}

func (w *world) authority(t *testing.T) *enrol.Authority {
	t.Helper()
	a, err := enrol.New(enrol.Options{Box: w.box, Secret: bytes.Repeat([]byte("s"), 32), Clock: func() time.Time { return w.now }})
	must(t, err)
	return a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) invite(t *testing.T, name string) string {
	t.Helper()
	text, _, err := w.Invite(t.Context(), mira, enrol.Connector, name, []string{"orders"}, time.Hour)
	must(t, err)
	return text
}

// enrolled is a holder that has enrolled.
func (w *world) enrolled(t *testing.T, text string) *enrol.Holder {
	t.Helper()
	h, err := enrol.OpenHolder(t.TempDir())
	must(t, err)
	must(t, w.enrol(t, h, text))
	return h
}

func (w *world) enrol(t *testing.T, h *enrol.Holder, text string) error {
	t.Helper()
	token, err := enrol.ParseToken(text)
	must(t, err)
	request, err := h.Request()
	must(t, err)
	chain, _, err := w.Enrol(t.Context(), enrol.Connector, text, request, "192.0.2.7:4000")
	if err != nil {
		return err
	}
	return h.Keep(chain, token)
}

func (w *world) records(t *testing.T, typ string) (out []string) {
	t.Helper()
	found, err := w.store.Search(t.Context(), audit.Query{Types: []string{typ}, Limit: 100})
	must(t, err)
	for _, r := range found {
		out = append(out, r.Decision)
	}
	return out
}

func refused(t *testing.T, err, want error, says string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		t.Errorf("%v, want %v: %s", err, want, says)
	}
}

func TestEnrol(t *testing.T) {
	w := newWorld(t)
	text := w.invite(t, "vpc")
	h := w.enrolled(t, text)
	e, err := w.Check(t.Context(), h.Leaf(), enrol.Connector)
	must(t, err)
	if e.Name != "vpc" || e.Role != enrol.Connector || len(e.Systems) != 1 || e.State(w.now) != "enrolled" {
		t.Errorf("enrolled as %+v", e)
	}
	if got := h.Leaf().URIs[0].String(); got != "assent://connector/vpc" {
		t.Errorf("the certificate is for %s", got)
	}
	must(t, w.enrol(t, h, text)) // its answer was lost
	other, err := enrol.OpenHolder(t.TempDir())
	must(t, err)
	refused(t, w.enrol(t, other, text), enrol.ErrToken, "used already")
	refused(t, w.enrol(t, other, text), enrol.ErrToken, "used already")
	if got := w.records(t, audit.TypeAlarm); len(got) != 1 {
		t.Errorf("%d alarms for a token used twice", len(got))
	}
	list, err := w.List(t.Context(), enrol.Connector)
	if err != nil || len(list) != 1 || bytes.Contains([]byte(text), list[0].Token) {
		t.Errorf("listed %+v, %v", list, err)
	}
}

func TestTokensThatDoNotCount(t *testing.T) {
	w := newWorld(t)
	h, err := enrol.OpenHolder(t.TempDir())
	must(t, err)
	request, err := h.Request()
	must(t, err)
	try := func(role enrol.Role, text string, request []byte) error {
		_, _, err := w.Enrol(t.Context(), role, text, request, "")
		return err
	}
	text := w.invite(t, "vpc")
	refused(t, try(enrol.Gate, text, request), enrol.ErrToken, "it is for a connector")
	refused(t, try(enrol.Connector, text, []byte("no request")), enrol.ErrToken, "certificate request")
	refused(t, try(enrol.Connector, "", request), enrol.ErrToken, "not what assent printed")
	forged := []byte(text)
	forged[len(enrol.TokenPrefix)+30] ^= 1 // of the secret
	refused(t, try(enrol.Connector, string(forged), request), enrol.ErrToken, "")
	other := newWorld(t)
	refused(t, try(enrol.Connector, other.invite(t, "vpc"), request), enrol.ErrToken, "")
	w.now = w.now.Add(2 * time.Hour)
	refused(t, try(enrol.Connector, text, request), enrol.ErrToken, "expired")
	text = w.invite(t, "vpc")
	if n, err := w.Revoke(t.Context(), mira, enrol.Connector, "vpc"); n != 2 || err != nil {
		t.Errorf("revoked %d, %v", n, err)
	}
	refused(t, try(enrol.Connector, text, request), enrol.ErrToken, "revoked")
	for _, bad := range []string{"", "UPPER", "a/b", "ä", strings.Repeat("a", 64)} {
		_, _, err := w.Invite(t.Context(), mira, enrol.Connector, bad, nil, time.Hour)
		refused(t, err, enrol.ErrName, "lower-case")
	}
	_, _, err = w.Invite(t.Context(), mira, "root", "vpc", nil, time.Hour)
	refused(t, err, enrol.ErrName, "")
}

func TestCertificatesThatDoNotCount(t *testing.T) {
	w := newWorld(t)
	first := w.enrolled(t, w.invite(t, "vpc"))
	_, err := w.Check(t.Context(), first.Leaf(), enrol.Gate)
	refused(t, err, enrol.ErrRefused, "not a gate's")
	_, err = w.Check(t.Context(), nil, enrol.Connector)
	refused(t, err, enrol.ErrRefused, "none was shown")
	_, err = newWorld(t).Check(t.Context(), first.Leaf(), enrol.Connector)
	refused(t, err, enrol.ErrRefused, "nothing like it") // its secret is the same here, its entries are not

	second := w.enrolled(t, w.invite(t, "vpc"))
	_, err = w.Check(t.Context(), first.Leaf(), enrol.Connector)
	refused(t, err, enrol.ErrRefused, "enrolled again")
	changed := make(chan struct{}, 8)
	w.OnChange(func() { changed <- struct{}{} })
	if _, err := w.Revoke(t.Context(), mira, enrol.Connector, "vpc"); err != nil {
		t.Fatal(err)
	}
	<-changed
	_, err = w.Check(t.Context(), second.Leaf(), enrol.Connector)
	refused(t, err, enrol.ErrRefused, "revoked")
	_, err = w.Renew(t.Context(), second.Leaf(), enrol.Connector)
	refused(t, err, enrol.ErrRefused, "revoked")
	_, err = w.Revoke(t.Context(), mira, enrol.Connector, "vpc")
	refused(t, err, enrol.ErrUnknown, "")
}

func TestRenewal(t *testing.T) {
	w := newWorld(t)
	h := w.enrolled(t, w.invite(t, "vpc"))
	first := h.Leaf()
	if enrol.Due(first, w.now.Add(15*time.Hour)) || !enrol.Due(first, w.now.Add(17*time.Hour)) {
		t.Error("due at another time than two thirds of a day")
	}
	w.now = w.now.Add(17 * time.Hour)
	chain, err := w.Renew(t.Context(), first, enrol.Connector)
	must(t, err)
	must(t, h.Keep(chain, nil))
	w.now = w.now.Add(10 * time.Hour)
	_, err = w.Check(t.Context(), first, enrol.Connector)
	refused(t, err, enrol.ErrRefused, "expired")
	if _, err := w.authority(t).Check(t.Context(), h.Leaf(), enrol.Connector); err != nil {
		t.Errorf("another node doesn't know what this one signed: %v", err)
	}
}

func TestHolder(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(t.TempDir(), "connector")
	h, err := enrol.OpenHolder(dir)
	must(t, err)
	if _, err := h.ClientTLS(nil); err == nil {
		t.Error("a TLS configuration without a certificate")
	}
	text := w.invite(t, "vpc")
	token, err := enrol.ParseToken(text)
	must(t, err)
	must(t, w.enrol(t, h, text))
	again, err := enrol.OpenHolder(dir)
	must(t, err)
	if !again.Leaf().Equal(h.Leaf()) || again.Needs(token) {
		t.Error("what was stored is not what was kept")
	}
	if err := again.Keep([][]byte{h.Leaf().Raw, h.Leaf().Raw}, nil); err == nil {
		t.Error("kept a certificate by another authority")
	}
	must(t, os.Chmod(filepath.Join(dir, "key.pem"), 0o640))
	if _, err := enrol.OpenHolder(dir); err == nil || !strings.Contains(err.Error(), "readable by others") {
		t.Errorf("a key that others may read: %v", err)
	}
}

// TestHandshake connects both sides by real TLS, and impostors of the server.
func TestHandshake(t *testing.T) {
	w := newWorld(t)
	text := w.invite(t, "vpc")
	h := w.enrolled(t, text)
	token, err := enrol.ParseToken(text)
	must(t, err)
	try := func(server *tls.Config, with *enrol.Token) (*x509.Certificate, error) {
		t.Helper()
		client, err := h.ClientTLS(with, "x")
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		s, c := tls.Server(a, server), tls.Client(b, client)
		got := make(chan error, 1)
		go func() { got <- s.HandshakeContext(ctx) }()
		if err := c.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		must(t, <-got)
		if shown := s.ConnectionState().PeerCertificates; len(shown) > 0 {
			return shown[0], nil
		}
		return nil, nil
	}
	leaf, err := try(w.ServerTLS("x"), nil)
	must(t, err)
	_, err = w.Check(t.Context(), leaf, enrol.Connector)
	must(t, err)
	if leaf, err := try(w.ServerTLS("x"), token); err != nil || leaf != nil {
		t.Errorf("a first contact showed %v, %v", leaf, err)
	}
	// Another connector of the same deployment, which plays the server.
	thief := w.enrolled(t, w.invite(t, "thief"))
	played, err := thief.ClientTLS(nil)
	must(t, err)
	pair, err := played.GetClientCertificate(nil)
	must(t, err)
	for _, with := range []*enrol.Token{nil, token} {
		if _, err := try(&tls.Config{Certificates: []tls.Certificate{*pair}, MinVersion: tls.VersionTLS13}, with); err == nil {
			t.Error("a connector passed for the server")
		}
	}
	other, err := enrol.New(enrol.Options{Box: w.box, Secret: bytes.Repeat([]byte("o"), 32)})
	must(t, err)
	for _, with := range []*enrol.Token{nil, token} {
		if _, err := try(other.ServerTLS("x"), with); err == nil || !strings.Contains(err.Error(), "not the server") {
			t.Errorf("a server of another deployment: %v", err)
		}
	}
}

// TestKeyOfAnother holds a certificate of the authority's whose key is another's than the entry's.
func TestKeyOfAnother(t *testing.T) {
	w := newWorld(t)
	h := w.enrolled(t, w.invite(t, "vpc"))
	other := w.enrolled(t, w.invite(t, "lab"))
	stolen := *h.Leaf()
	stolen.RawSubjectPublicKeyInfo = other.Leaf().RawSubjectPublicKeyInfo
	if _, err := w.Check(t.Context(), &stolen, enrol.Connector); !errors.Is(err, enrol.ErrRefused) {
		t.Errorf("%v", err)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	parent := *h.Leaf()
	parent.PublicKey = private.Public()
	der, err := x509.CreateCertificate(rand.Reader, h.Leaf(), &parent, h.Leaf().PublicKey, private)
	must(t, err)
	forged, err := x509.ParseCertificate(der)
	must(t, err)
	_, err = w.Check(t.Context(), forged, enrol.Connector)
	refused(t, err, enrol.ErrRefused, "did not sign it")
}

func FuzzParseToken(f *testing.F) {
	f.Add("")
	f.Add(enrol.TokenPrefix)
	f.Add(enrol.TokenPrefix + strings.Repeat("A", 102))
	f.Fuzz(func(t *testing.T, text string) {
		token, err := enrol.ParseToken(text)
		if err == nil && token.String() != strings.TrimSpace(text) {
			t.Errorf("%q was read as %q", text, token)
		}
	})
}
