package enrol_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/enrol"
)

// A desk enrols, renews, hands over whose certificate counts, and ends a connection once it doesn't.
func TestDesk(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan string, 1)
	d := &enrol.Desk{Authority: w.Authority, Log: slog.New(slog.DiscardHandler), Serve: map[enrol.Role]func(context.Context, enrol.Entry, net.Conn){enrol.Gate: func(ctx context.Context, part enrol.Entry, c net.Conn) {
		served <- part.Name
		one := make([]byte, 1)
		_, _ = c.Read(one) // until it is ended
	}}}
	over := make(chan error, 1)
	go func() { over <- d.Listen(ctx, l) }()
	defer func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	}()
	addr := l.Addr().String()
	text, _, err := w.Invite(ctx, mira, enrol.Gate, "eu-1", nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	token, err := enrol.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	h, err := enrol.OpenHolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Enrol(ctx, addr, enrol.Connector, token); err == nil || !strings.Contains(err.Error(), "it is for a gate") {
		t.Errorf("a gate's token in another role: %v", err)
	}
	if _, err := h.Dial(ctx, addr, enrol.Gate); err == nil {
		t.Error("it came in without a certificate")
	}
	if err := h.Enrol(ctx, addr, enrol.Gate, token); err != nil {
		t.Fatal(err)
	}
	if h.Needs(token) {
		t.Error("it would use the token again")
	}
	thief, err := enrol.OpenHolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := thief.Enrol(ctx, addr, enrol.Gate, token); err == nil || !strings.Contains(err.Error(), "used already") {
		t.Errorf("a used token: %v", err)
	}
	c, err := h.Dial(ctx, addr, enrol.Gate)
	if err != nil {
		t.Fatal(err)
	}
	if name := <-served; name != "eu-1" {
		t.Errorf("served as %q", name)
	}
	if other, err := h.Dial(ctx, addr, enrol.Connector); err == nil { // no role of that name is served: the handshake may end before that is heard
		_ = other.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := other.Read(make([]byte, 1)); err == nil {
			t.Error("it is served in another role")
		}
	}
	if _, err := w.Revoke(ctx, mira, enrol.Gate, "eu-1"); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	var late net.Error
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &late) && late.Timeout() {
		t.Errorf("a revoked part's connection goes on: %v", err)
	}
	if c, err := h.Dial(ctx, addr, enrol.Gate); err == nil {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &late) && late.Timeout() {
			t.Errorf("a revoked part came in again: %v", err)
		}
	}
}
