package server

import (
	"fmt"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/workload"
)

// A WorkloadConfig says which tokens of a foreign issuer stand for an actor.
type WorkloadConfig struct {
	Name      string            `yaml:"name" doc:"Short name, for records; what was issued by it ends when it is gone."`
	Type      string            `yaml:"type" doc:"oidc (GitHub Actions, GitLab, any OpenID Connect issuer), kubernetes (service account) or spiffe (JWT-SVID)." default:"oidc"`
	Issuer    string            `yaml:"issuer" doc:"Exactly as its tokens say (iss); of spiffe the trust domain, spiffe://example.org."`
	Audience  string            `yaml:"audience" doc:"What its tokens must be for, and nothing else (aud). Unset: the public URL."`
	Match     map[string]string `yaml:"match" doc:"Claims and the values they must have. In a value * stands for characters other than / and :, but not at the start. A path leads into objects: kubernetes.io/serviceaccount/uid."`
	Actor     string            `yaml:"actor" doc:"The actor that such a token stands for."`
	Person    *WorkloadPerson   `yaml:"person" doc:"Whom it acts for. Unset: the actor's owner."`
	Life      time.Duration     `yaml:"life" doc:"Life of what is issued, at most 1h. Unset: it ends with the token that was shown."`
	TokenLife time.Duration     `yaml:"token_life" doc:"Longest life that a token shown here may have." default:"1h1m"`
	Reusable  bool              `yaml:"reusable" doc:"One token may be exchanged again until it expires. Those of kubernetes and spiffe always may: they are read from a file or socket again and again."`
	JWKS      string            `yaml:"jwks" doc:"File with the issuer's keys (a JSON Web Key Set, or a SPIFFE bundle), where the issuer can't be asked."`
	Bundle    string            `yaml:"bundle" doc:"Of spiffe: https address of the trust domain's bundle."`
	CA        string            `yaml:"ca" doc:"Certificate authorities that may sign the issuer's own certificate (PEM). Unset: the system's."`
}

// A WorkloadPerson finds a person in a claim.
type WorkloadPerson struct {
	Claim   string            `yaml:"claim" doc:"Claim with an immutable id of the account that started it: actor_id of GitHub, user_id of GitLab."`
	People  map[string]string `yaml:"people" doc:"Value of the claim to person."`
	Account string            `yaml:"account" doc:"Instead of people: the value is an account of this name, as people's accounts have it (github of github|583231)."`
}

// actorIDs are the configured actors, by short name.
func (c *Config) actorIDs() map[string]string {
	out := map[string]string{}
	for _, a := range c.Actors {
		out[a.ID] = a.Type + ":" + a.ID
	}
	return out
}

// rule is the workload's rule with all that is left out filled in.
func (c *Config) rule(w *WorkloadConfig) workload.Rule {
	r := workload.Rule{
		Name: w.Name, Type: w.Type, Issuer: w.Issuer, Audience: w.Audience, Match: w.Match, Actor: c.actorIDs()[w.Actor], Life: w.Life, TokenLife: w.TokenLife,
		Reusable: w.Reusable || w.Type != workload.OIDC, Keys: c.path(w.JWKS), Bundle: w.Bundle, CA: c.path(w.CA),
	}
	if r.Audience == "" {
		r.Audience = strings.TrimSuffix(c.PublicURL, "/")
	}
	if p := w.Person; p != nil {
		r.Person = &workload.PersonClaim{Claim: p.Claim, Account: p.Account}
		for value, id := range p.People {
			if r.Person.People == nil {
				r.Person.People = map[string]string{}
			}
			r.Person.People[value] = "person:" + id
		}
	}
	return r
}

func (k *checker) workloads(c *Config, people map[string]bool) {
	actors, seen := c.actorIDs(), map[string]bool{}
	for i := range c.Workloads {
		w := &c.Workloads[i]
		at := fmt.Sprintf("$.workloads[%d]", i)
		if !name.MatchString(w.Name) || seen[w.Name] {
			k.fail(at+".name", fmt.Sprintf("%q is not a short name of its own", w.Name), "use lower-case letters, digits, '.', '_' and '-', and another name for each")
		}
		seen[w.Name] = true
		if actors[w.Actor] == "" {
			k.fail(at+".actor", fmt.Sprintf("%q is not among actors", w.Actor), "add it under actors:, with its owner")
		}
		if p := w.Person; p != nil {
			for value, id := range p.People {
				if !people[id] {
					k.fail(at+".person.people", fmt.Sprintf("%q, of %q, is not among people", id, value), "add them under people:")
				}
			}
		}
		if strings.TrimSuffix(w.Issuer, "/") == strings.TrimSuffix(c.PublicURL, "/") {
			k.fail(at+".issuer", "is this server itself", "its own tokens are exchanged without a rule")
		}
		r := c.rule(w)
		if r.Actor == "" {
			r.Actor = "agent:unknown" // said already
		}
		if err := r.Check(); err != nil {
			key, problem, found := strings.Cut(err.Error(), ": ")
			if !found {
				key, problem = "", err.Error()
			}
			k.fail(strings.TrimSuffix(at+"."+key, "."), problem, "docs/actors.md has an example for each issuer")
		}
	}
}

// mayAct checks who may take over whose tasks.
func (k *checker) mayAct(c *Config) {
	actors := c.actorIDs()
	for i, a := range c.Actors {
		for j, id := range a.MayAct {
			if actors[id] == "" || id == a.ID {
				k.fail(fmt.Sprintf("$.actors[%d].may_act[%d]", i, j), fmt.Sprintf("%q is not another one of actors", id), "name actors that this one may hand its task to")
			}
		}
	}
}

// A CertificateConfig says which client certificates stand for an actor.
type CertificateConfig struct {
	Actor   string `yaml:"actor" doc:"The actor."`
	SPIFFE  string `yaml:"spiffe" doc:"SPIFFE id of an X.509-SVID."`
	DNS     string `yaml:"dns" doc:"Instead: one of its DNS names."`
	Subject string `yaml:"subject" doc:"Instead: its whole subject, as openssl x509 -nameopt RFC2253 prints it: CN=exporter,O=acme."`
}

func (c *Config) certificateRule(f *CertificateConfig) workload.CertificateRule {
	return workload.CertificateRule{Actor: c.actorIDs()[f.Actor], SPIFFE: f.SPIFFE, DNS: f.DNS, Subject: f.Subject}
}

func (k *checker) certificates(c *Config) {
	if len(c.Certificates) > 0 && c.ClientCA == "" {
		k.fail("$.certificates", "count only under an authority", "name it by client_ca:")
	}
	encrypted := c.TLS != nil
	for i := range c.Gates {
		encrypted = encrypted || c.Gates[i].TLS != nil
	}
	if c.ClientCA != "" && !encrypted {
		k.fail("$.client_ca", "needs TLS, where clients show certificates", "add tls: for the API or a gate")
	}
	actors := c.actorIDs()
	for i := range c.Certificates {
		f := &c.Certificates[i]
		at := fmt.Sprintf("$.certificates[%d]", i)
		if actors[f.Actor] == "" {
			k.fail(at+".actor", fmt.Sprintf("%q is not among actors", f.Actor), "add it under actors:, with its owner")
			continue
		}
		r := c.certificateRule(f)
		if err := r.Check(); err != nil {
			k.fail(at, err.Error(), "for example spiffe: spiffe://example.org/ns/shop/sa/exporter")
		}
	}
}
