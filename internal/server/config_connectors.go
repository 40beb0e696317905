package server

import (
	"fmt"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/enrol"
)

// A ConnectorsConfig says where connectors come to.
type ConnectorsConfig struct {
	Listen string        `yaml:"listen" doc:"Address that connectors dial. TLS 1.3 by certificates of the deployment's own authority: none is configured here."`
	Life   time.Duration `yaml:"certificate_life" doc:"How long a connector's certificate counts. It is renewed in the last third while it is connected; one that was away for longer enrols again. At most 720h." default:"24h"`
}

// via is one place of the configuration that is reached through connectors.
type via struct {
	at, system string
	plain      bool // it would be spoken to without encryption
}

// vias are all of them, in the order of the configuration.
func (c *Config) vias() []via {
	var out []via
	add := func(system string, plain bool, at string, args ...any) {
		if system != "" {
			out = append(out, via{fmt.Sprintf(at, args...), system, plain})
		}
	}
	for i := range c.Gates {
		g := &c.Gates[i]
		add(g.Upstream.Via, g.Upstream.TLS == "off", "$.gates[%d].upstream.via", i)
		for j := range g.Routes {
			r := &g.Routes[j]
			plain := false
			for _, u := range r.Upstreams {
				plain = plain || !strings.HasPrefix(u, "https://")
			}
			add(r.Via, plain, "$.gates[%d].routes[%d].via", i, j)
		}
		if g.Cluster != nil {
			add(g.Cluster.Via, false, "$.gates[%d].kubernetes.via", i)
		}
		for j := range g.Hosts {
			add(g.Hosts[j].Via, false, "$.gates[%d].hosts[%d].via", i, j)
		}
	}
	return out
}

// through says that something behind the gate is reached through connectors.
func (g *GateConfig) through() bool { return len((&Config{Gates: []GateConfig{*g}}).vias()) > 0 }

func (k *checker) connectors(c *Config) {
	if l := c.Connectors; l != nil {
		// They encrypt by themselves, so any address will do.
		k.address("$.connectors.listen", l.Listen, "", &KeyPair{Cert: "our own", Key: "our own"})
		if l.Life < 0 || l.Life > 0 && l.Life < time.Hour || l.Life > 720*time.Hour {
			k.fail("$.connectors.certificate_life", "is not between 1h and 720h", "leave it out for 24h")
		}
	}
	for _, v := range c.vias() {
		switch {
		case !enrol.ValidName(v.system):
			k.fail(v.at, fmt.Sprintf("%q is not the name of a system", v.system), "use lower-case letters, digits, '.', '_' and '-', as in assent connector --system NAME=HOST:PORT")
		case c.Connectors == nil:
			k.fail(v.at, "no connector could come: there is no connectors:", "add connectors: { listen: 0.0.0.0:8730 }")
		case v.plain:
			k.fail(v.at, "what is behind it would be spoken to without TLS", "use verify-full or https, so that the connector carries the bytes and can't read them")
		}
	}
}
