package awskey_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/awskey"
)

func maker(t testing.TB, b byte) *awskey.Maker {
	t.Helper()
	m, err := awskey.New(bytes.Repeat([]byte{b}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestAPairIsItsCredentials(t *testing.T) {
	m := maker(t, 1)
	p, err := m.Make("0123456789ab", now.Add(24*time.Hour), now)
	if err != nil {
		t.Fatal(err)
	}
	credential, secret, err := m.Check(p.ID, p.Token, now.Add(59*time.Minute))
	if err != nil || credential != "0123456789ab" || secret != p.Secret || len(secret) != 40 {
		t.Errorf("%q %v", credential, err)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(p.Token)
	if bytes.Contains(raw, []byte("0123456789ab")) || strings.Contains(p.ID, "0123") {
		t.Error("a pair shows whose it is")
	}
	if !p.Expires.Equal(now.Add(time.Hour)) {
		t.Errorf("it ends at %v", p.Expires)
	}
	other, _ := m.Make("0123456789ab", time.Time{}, now)
	if other.ID == p.ID || other.Secret == p.Secret {
		t.Error("two pairs are alike")
	}
}

func TestAPairEnds(t *testing.T) {
	m := maker(t, 1)
	p, err := m.Make("0123456789ab", now.Add(10*time.Minute), now)
	if err != nil || !p.Expires.Equal(now.Add(10*time.Minute)) {
		t.Fatalf("%v %v", p.Expires, err)
	}
	if _, _, err := m.Check(p.ID, p.Token, now.Add(10*time.Minute)); !errors.Is(err, awskey.ErrExpired) {
		t.Errorf("it outlives its credential: %v", err)
	}
	if _, err := m.Make("0123456789ab", now, now); err == nil {
		t.Error("a credential that has ended got a pair")
	}
}

func TestNobodyElseMakesAPair(t *testing.T) {
	m := maker(t, 1)
	p, _ := m.Make("0123456789ab", time.Time{}, now)
	q, _ := m.Make("ba9876543210", time.Time{}, now)
	bent := []byte(p.Token)
	bent[len(bent)-3] ^= 1
	for name, try := range map[string][2]string{
		"another's token": {p.ID, q.Token}, "no token": {p.ID, ""}, "a bent token": {p.ID, string(bent)}, "a short token": {p.ID, "AAAA"},
		"a key of AWS's": {"AKIA" + p.ID[4:], p.Token}, "no id": {"", p.Token},
	} {
		if _, _, err := m.Check(try[0], try[1], now); !errors.Is(err, awskey.ErrBad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := maker(t, 2).Check(p.ID, p.Token, now); !errors.Is(err, awskey.ErrBad) {
		t.Errorf("another server's: %v", err)
	}
}
