package webhook

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/notify"
)

// TestGuard: no address of this machine, its cloud or its network is called
// unless it was configured, and some never, however they are written.
func TestGuard(t *testing.T) {
	for addr, want := range map[string]string{
		"93.184.215.14": "any", "2606:2800:21f:cb07:6820:80da:af6b:8b2c": "any", "8.8.8.8": "any",
		"127.0.0.1": "private", "127.9.9.9": "private", "::1": "private", "10.1.2.3": "private", "172.16.0.1": "private", "192.168.1.1": "private", "100.64.0.1": "private", "fd12::1": "private",
		"::ffff:10.0.0.1": "private", "::ffff:127.0.0.1": "private",
		"169.254.169.254": "never", "::ffff:169.254.169.254": "never", "fe80::1%eth0": "never", "fd00:ec2::254": "never", "fd20:ce::254": "never", "100.100.100.200": "never", "168.63.129.16": "never",
		"192.0.0.192": "never", "0.0.0.0": "never", "::": "never", "255.255.255.255": "never", "224.0.0.1": "never", "ff02::1": "never",
		"64:ff9b::a9fe:a9fe": "never", "2002:a9fe:a9fe::1": "never", "::a9fe:a9fe": "never", "::7f00:1": "never",
	} {
		a := netip.MustParseAddr(addr)
		public, private := guard{}.allows(a) == nil, guard{private: true}.allows(a) == nil
		got := map[[2]bool]string{{true, true}: "any", {false, true}: "private", {false, false}: "never"}[[2]bool{public, private}]
		if got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

// TestGuardDials: the guard stands where connections are made.
func TestGuardDials(t *testing.T) {
	for url, want := range map[string]string{
		"https://127.0.0.1:1/": "private network", "https://localhost:1/": "private network", "https://[::ffff:169.254.169.254]/": "no address of a receiver",
	} {
		c, err := New(Options{Name: "x", URL: url, Secrets: [][]byte{[]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Post(t.Context(), "p", "k", &notify.Message{Notice: &notify.Notice{ID: "1", Kind: "test"}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
