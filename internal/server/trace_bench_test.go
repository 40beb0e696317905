package server

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/identity"
)

// BenchmarkTraced is what a harmless read costs the enforcer, from the question to the outcome, with spans
// and without. Whoever would take the spans says nothing, so that encoding them isn't in it.
func BenchmarkTraced(b *testing.B) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for _, c := range []struct{ name, config string }{
		{"off", ""},
		{"on", `trace: { otlp: { url: "http://` + silent.Addr().String() + `/v1/traces", private: true } }`},
	} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(tracedPack), 0o600); err != nil {
				b.Fatal(err)
			}
			cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte("data: data\nlisten: 127.0.0.1:0\npolicy: [pack.yaml]\npeople: [{ id: dana }]\nactors: [{ id: worker, owner: dana }]\n"+c.config))
			if err != nil {
				b.Fatal(err)
			}
			s, err := New(b.Context(), cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close(context.Background()) }()
			if _, err := s.Mint(b.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
				b.Fatal(err)
			}
			g := s.enforcer.Gate("shop", action.Resource{URN: "postgres:shop/db", Type: "postgres", Env: "prod"}, "postgres://db:5432")
			v, err := g.Verifier(b.Context(), "worker")
			if err != nil {
				b.Fatal(err)
			}
			session, err := g.Login(b.Context(), v, gate.Peer{Gate: "shop", Address: "test"})
			if err != nil {
				b.Fatal(err)
			}
			defer session.Close()
			kinds, payload := []action.Kind{action.DataRead}, []byte("select id from orders where id = 7")
			b.ReportAllocs()
			for b.Loop() {
				a := action.Action{Kinds: kinds, Verb: "select", Target: "orders", Title: "Read orders", Statement: "select id from orders where id = 7", Payload: payload}
				session.Describe(&a)
				p, err := session.Enforce(b.Context(), &a, gate.Hooks{})
				if err != nil {
					b.Fatal(err)
				}
				p.Done(gate.Outcome{State: gate.Executed, Duration: time.Microsecond})
			}
		})
	}
}
