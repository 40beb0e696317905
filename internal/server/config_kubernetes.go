package server

import (
	"fmt"
	"net/url"

	classify "github.com/assenthq/assent/internal/classify/kubernetes"
)

// A KubernetesConfig is the API server behind a gate of type kubernetes, and the gate's own credential for it.
type KubernetesConfig struct {
	Server    string                     `yaml:"server" doc:"Address of the API server: https://HOST:PORT."`
	CA        string                     `yaml:"ca" doc:"Certificate authorities that may sign the API server's certificate (PEM), which a kubeconfig has as certificate-authority-data. Unset: the system's."`
	Via       string                     `yaml:"via" doc:"System that connectors serve, through which alone the API server is reached (docs/connectors.md)."`
	Token     Secret                     `yaml:"token" doc:"The real credential: a service account's token, or another that the API server takes. Agents never see it."`
	Client    *KeyPair                   `yaml:"client" doc:"In place of token: a client certificate and its key."`
	ClientCA  string                     `yaml:"client_ca" doc:"Certificate (PEM) that kubectl is told to trust, where the gate's own is not signed by an authority that every machine knows. Of a gate on loopback without tls it is made."`
	Resources []KubernetesResourceConfig `yaml:"resources" doc:"What resources of groups are that Kubernetes itself doesn't serve, such as those of a CRD. Unset: unknown, so that each is held."`
}

// A KubernetesResourceConfig says what resources are.
type KubernetesResourceConfig struct {
	Group    string `yaml:"group" doc:"API group: cert-manager.io"`
	Resource string `yaml:"resource" doc:"Plural name, or * for each of the group." default:"*"`
	As       string `yaml:"as" doc:"What they are like: audit, config, event, identity, infra, network, pod, privilege, readonly, schema, secret, volume or workload."`
}

func (c *KubernetesConfig) rules() []classify.Rule {
	var out []classify.Rule
	for _, r := range c.Resources {
		name := r.Resource
		if name == "" {
			name = "*"
		}
		out = append(out, classify.Rule{Group: r.Group, Resource: name, As: r.As})
	}
	return out
}

func (k *checker) kubernetesGate(at string, g *GateConfig) {
	k.noActors(at, g)
	c := g.Cluster
	if c == nil {
		k.fail(at+".kubernetes", "is missing", "add kubernetes: { server: https://HOST:6443, ca: FILE, token: { file: FILE } }")
		return
	}
	at += ".kubernetes"
	if u, err := url.Parse(c.Server); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		k.fail(at+".server", "is not the address of an API server", "for example https://10.0.0.1:6443; its certificate is checked, so http is not taken")
	}
	switch n := c.Token.sources(); {
	case c.Client == nil && n != 1:
		k.fail(at+".token", fmt.Sprintf("names %d sources", n), "give one of file, env or command; or client: with a certificate")
	case c.Client != nil && n != 0:
		k.fail(at+".token", "stands beside client", "give one of them")
	case c.Client != nil && (c.Client.Cert == "" || c.Client.Key == ""):
		k.fail(at+".client", "needs both cert and key", "name two files in PEM form")
	}
	if _, err := classify.New(c.rules()); err != nil {
		k.fail(at+".resources", err.Error(), "docs/kubernetes.md lists what Kubernetes serves itself")
	}
}
