package webpush

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/notify/notifytest"
)

// A browser has subscribed: it can read what is sent to it.
type browser struct {
	key  *ecdh.PrivateKey
	auth []byte
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{key: key, auth: make([]byte, 16)}
	_, _ = rand.Read(b.auth)
	return b
}

func (b *browser) keys() (key, auth string) {
	return base64.RawURLEncoding.EncodeToString(b.key.PublicKey().Bytes()), base64.RawURLEncoding.EncodeToString(b.auth)
}

// read decrypts a message (RFC 8291 section 3.4, RFC 8188 section 2).
func (b *browser) read(body []byte) ([]byte, error) {
	if len(body) < 21+65 || body[20] != 65 {
		return nil, errors.New("no header of aes128gcm")
	}
	salt, sender, text := body[:16], body[21:86], body[86:]
	pub, err := ecdh.P256().NewPublicKey(sender)
	if err != nil {
		return nil, err
	}
	shared, err := b.key.ECDH(pub)
	if err != nil {
		return nil, err
	}
	info := "WebPush: info\x00" + string(b.key.PublicKey().Bytes()) + string(sender)
	ikm, err := hkdf.Key(sha256.New, shared, b.auth, info, 32)
	if err != nil {
		return nil, err
	}
	cek, err1 := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	nonce, err2 := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	block, err3 := aes.NewCipher(cek)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, nonce, text, nil)
	if err != nil {
		return nil, err
	}
	for len(plain) > 0 && plain[len(plain)-1] == 0 {
		plain = plain[:len(plain)-1]
	}
	if len(plain) == 0 || plain[len(plain)-1] != 2 {
		return nil, errors.New("not the last record")
	}
	return plain[:len(plain)-1], nil
}

// TestTheBrowserOfTheseTests reads the example of RFC 8291, appendix A.
func TestTheBrowserOfTheseTests(t *testing.T) {
	d := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key, err := ecdh.P256().NewPrivateKey(d("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{key: key, auth: d("BTBZMqHH6r4Tts7J_aSIgg")}
	got, err := b.read(d("DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"))
	if err != nil || string(got) != "When I grow up, I want to be a watermelon" {
		t.Errorf("%q, %v", got, err)
	}
}

// A service carries messages to browsers, and answers as told.
type service struct {
	*httptest.Server
	mu   sync.Mutex
	got  []message
	code int
}

type message struct {
	path   string
	header http.Header
	body   []byte
}

func newService(t *testing.T) *service {
	s := &service{code: http.StatusCreated}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got = append(s.got, message{r.URL.Path, r.Header, b})
		w.WriteHeader(s.code)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) messages() []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]message(nil), s.got...)
}

func (s *service) answer(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = code
}

func channel(t *testing.T, h *notifytest.House, s *service) *Channel {
	t.Helper()
	c, err := New(Options{
		Name: "browsers", Contact: "mailto:ops@example.com", Services: []string{s.URL}, Secret: []byte(strings.Repeat("k", 32)),
		PublicURL: notifytest.PublicURL, Box: h.Box, Clock: h.Clock, Known: func(p string) bool { return p != "person:gone" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func notes(t *testing.T, b *browser, msgs []message) (out []note) {
	t.Helper()
	for _, m := range msgs {
		text, err := b.read(m.body)
		if err != nil {
			t.Fatal(err)
		}
		var n note
		if err := json.Unmarshal(text, &n); err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// TestStory: a browser subscribes, is told of a card and how it ended, and gives up.
func TestStory(t *testing.T) {
	h, s, b := notifytest.New(t), newService(t), newBrowser(t)
	c := channel(t, h, s)
	key, auth := b.keys()
	if err := c.Subscribe(t.Context(), "person:ana", "Firefox on Linux", s.URL+"/ana", key, auth); err != nil {
		t.Fatal(err)
	}
	_, stop := h.Dispatch("one", []notify.Route{{Channel: "browsers", Place: notify.Reviewers}}, c)
	defer stop()
	a := h.Ask("select email from customers where email = 'bo@example.com' -- \u202eevil")
	h.Eventually("the card is told", func() bool { return len(s.messages()) >= 2 })
	msgs := s.messages()
	got := notes(t, b, msgs)
	if got[0].Path != "/settings" || got[1].Path != "/approvals/"+a.ID || got[1].Silent || strings.ContainsRune(got[1].Title, '\u202e') || strings.Contains(got[1].Title+got[1].Body, "bo@example") {
		t.Errorf("%+v", got)
	}
	hd := msgs[1].header
	if hd.Get("Content-Encoding") != "aes128gcm" || hd.Get("Topic") != got[1].Tag || hd.Get("TTL") == "0" || strings.Contains(string(msgs[1].body), "customers") {
		t.Errorf("headers %v", hd)
	}
	vapid(t, c, s, hd.Get("Authorization"))
	if err := h.Answer(a.ID, "person:ben", approval.Approve); err != nil {
		t.Fatal(err)
	}
	h.Eventually("its end is told", func() bool { return len(s.messages()) >= 3 })
	if end := notes(t, b, s.messages())[2]; !end.Silent || end.Tag != got[1].Tag || !strings.Contains(end.Body, "Ben") {
		t.Errorf("%+v", end)
	}
	s.answer(http.StatusGone)
	h.Ask("select 2")
	h.Eventually("the browser is forgotten", func() bool {
		all, err := c.Browsers(t.Context(), "person:ana")
		return err == nil && len(all) == 0
	})
	n := len(s.messages())
	if _, err := c.Post(t.Context(), "person:ana", "k", &notify.Message{What: notify.Noticed, Notice: &notify.Notice{Title: "x"}}); !errors.Is(err, notify.ErrNever) || len(s.messages()) != n {
		t.Errorf("after it gave up: %v", err)
	}
}

// vapid checks the signature (RFC 8292 section 2) with the key that browsers are given.
func vapid(t *testing.T, c *Channel, s *service, authorization string) {
	t.Helper()
	text, ok := strings.CutPrefix(authorization, "vapid t=")
	token, key, ok2 := strings.Cut(text, ", k=")
	if !ok || !ok2 || key != c.Key() {
		t.Fatalf("authorization %q", authorization)
	}
	point, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Aud string `json:"aud"`
		Sub string `json:"sub"`
		Exp int64  `json:"exp"`
	}
	if err := tok.Claims(pub, &claims); err != nil || claims.Aud != s.URL || claims.Sub != "mailto:ops@example.com" || claims.Exp == 0 {
		t.Errorf("%+v, %v", claims, err)
	}
}

func TestRefused(t *testing.T) {
	h, s, b := notifytest.New(t), newService(t), newBrowser(t)
	c := channel(t, h, s)
	key, auth := b.keys()
	for name, sub := range map[string][3]string{
		"another host":          {"https://push.attacker.example/x", key, auth},
		"inside the house":      {"http://169.254.169.254/latest", key, auth},
		"in clear":              {"http://fcm.googleapis.com/x", key, auth},
		"a name that ends so":   {"https://evilfcm.googleapis.com/x", key, auth},
		"another port":          {"https://fcm.googleapis.com:8443/x", key, auth},
		"with a user":           {"https://fcm.googleapis.com@attacker.example/x", key, auth},
		"a key that is none":    {s.URL + "/x", auth, auth},
		"a secret of 15 bytes":  {s.URL + "/x", key, auth[:20]},
		"an address of 3,000":   {s.URL + "/" + strings.Repeat("x", 3000), key, auth},
		"no address":            {"::", key, auth},
		"a domain's bare name":  {"https://push.services.mozilla.com/x", key, auth},
		"another local service": {"http://127.0.0.1:1/x", key, auth},
	} {
		if err := c.Subscribe(t.Context(), "person:ana", "b", sub[0], sub[1], sub[2]); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(s.messages()); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
	for _, good := range []string{"https://fcm.googleapis.com/fcm/send/x", "https://updates.push.services.mozilla.com/wpush/v2/x", "https://web.push.apple.com/x", "https://wns2-am3p.notify.windows.com/w"} {
		if err := c.takes(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	s.answer(http.StatusBadRequest)
	if err := c.Subscribe(t.Context(), "person:ana", "b", s.URL+"/x", key, auth); !errors.Is(err, ErrRefused) {
		t.Errorf("a browser that can't be told is kept: %v", err)
	}
	s.answer(http.StatusCreated)
	for i := range mostEach + 1 {
		err := c.Subscribe(t.Context(), "person:ana", "b", s.URL+"/"+strings.Repeat("y", i+1), key, auth)
		if (i < mostEach) != (err == nil) {
			t.Errorf("browser %d: %v", i+1, err)
		}
	}
	all, err := c.Browsers(t.Context(), "person:ana")
	if err != nil || len(all) != mostEach {
		t.Fatalf("%d browsers, %v", len(all), err)
	}
	if err := c.Unsubscribe(t.Context(), "person:ben", all[0].ID); !errors.Is(err, ErrRefused) {
		t.Errorf("somebody else's: %v", err)
	}
	if err := c.Unsubscribe(t.Context(), "person:ana", all[0].ID); err != nil {
		t.Error(err)
	}
	if _, err := c.Post(t.Context(), "person:gone", "k", &notify.Message{Notice: &notify.Notice{}}); !errors.Is(err, notify.ErrNever) {
		t.Errorf("who left: %v", err)
	}
	s.answer(http.StatusServiceUnavailable)
	if _, err := c.Post(t.Context(), "person:ana", "k", &notify.Message{Notice: &notify.Notice{}}); err == nil || errors.Is(err, notify.ErrNever) || strings.Contains(err.Error(), s.URL) {
		t.Errorf("a service that is down: %v", err)
	}
	h.Pass(unseen + time.Hour)
	if all, err := c.Browsers(context.Background(), "person:ana"); err != nil || len(all) != 0 {
		t.Errorf("%d browsers that nobody used for two months are told, %v", len(all), err)
	}
}
