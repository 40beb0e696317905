package server

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/oidc"
)

// An IssuerConfig is one OpenID provider that people sign in through.
type IssuerConfig struct {
	Name         string            `yaml:"name" doc:"Short name: its groups are NAME|id, its accounts NAME|subject. Never give a name to another provider later."`
	Issuer       string            `yaml:"issuer" doc:"URL of the issuer, exactly as its ID tokens say it."`
	ClientID     string            `yaml:"client_id" doc:"Client id registered there, with the redirect URI PUBLIC_URL/signin/callback/NAME."`
	ClientSecret *Secret           `yaml:"client_secret" doc:"Client secret. Left out: a public client, by PKCE alone."`
	Scopes       []string          `yaml:"scopes" doc:"Scopes besides openid. offline_access (where the issuer wants it) gives the refresh tokens by which groups are kept fresh." default:"profile, offline_access"`
	SubjectClaim string            `yaml:"subject_claim" doc:"Claim that accounts are known by: sub, or oid (Microsoft Entra, whose sub is another for each application). Choose before the first sign-in: accounts by one are not those by the other." default:"sub"`
	GroupsClaim  string            `yaml:"groups_claim" doc:"Claim of the ID token or of userinfo that lists immutable ids of groups; none: groups are not read." default:"groups"`
	NameClaim    string            `yaml:"name_claim" doc:"Claim with a name for people to read. It is no key." default:"name"`
	Params       map[string]string `yaml:"params" doc:"Further parameters of the authorization request, such as access_type: offline for Google."`
	Entra        bool              `yaml:"entra" doc:"This is one tenant of Microsoft Entra: tid and oid of its tokens say who somebody is in Teams, without a link."`
	CA           string            `yaml:"ca" doc:"Certificate authorities that may sign the issuer's certificate (PEM). Unset: the system's."`
	SCIM         bool              `yaml:"scim" doc:"Takes provisioning of this issuer's accounts and groups at /scim/v2 (docs/scim.md), by a credential of its own: assent token mint --provision NAME."`
	Everyone     bool              `yaml:"everyone" doc:"Lets everyone with an account there sign in and look. Unset: only configured people, and members of a group that groups: names."`
}

// reserved are parameters of the authorization request that are ours alone.
var reserved = []string{
	"client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
	"code_challenge", "code_challenge_method", "request", "request_uri", "id_token_hint", "registration", "claims",
}

func (c *Config) fillIssuers() {
	for i := range c.Issuers {
		p := &c.Issuers[i]
		if p.Scopes == nil {
			p.Scopes = []string{"profile", "offline_access"}
		}
		switch p.GroupsClaim {
		case "":
			p.GroupsClaim = "groups"
		case "none":
			p.GroupsClaim = ""
		}
	}
}

// issuerURLs names the configured issuers.
func (c *Config) issuerURLs() map[string]string {
	out := map[string]string{}
	for i := range c.Issuers {
		out[c.Issuers[i].Name] = c.Issuers[i].Issuer
	}
	return out
}

// provisioned names the issuers that are provisioned.
func (c *Config) provisioned() map[string]bool {
	out := map[string]bool{}
	for i := range c.Issuers {
		if c.Issuers[i].SCIM {
			out[c.Issuers[i].Name] = true
		}
	}
	return out
}

// issuers checks the issuers of the configuration.
func (k *checker) issuers(c *Config) {
	names, urls := map[string]bool{}, map[string]string{}
	for i := range c.Issuers {
		at, p := fmt.Sprintf("$.issuers[%d]", i), &c.Issuers[i]
		if !name.MatchString(p.Name) {
			k.fail(at+".name", fmt.Sprintf("%q is not a short name", p.Name), "use lower-case letters, digits, '.', '_' and '-'")
		}
		if names[p.Name] {
			k.fail(at+".name", fmt.Sprintf("%q stands twice", p.Name), "give each issuer its own name")
		}
		names[p.Name] = true
		if oidc.CheckURL(p.Issuer) != nil {
			k.fail(at+".issuer", "is not an https URL without query", "write it as the provider's ID tokens do; plain http is for loopback only")
		}
		if other := urls[p.Issuer+" "+p.ClientID]; other != "" {
			k.fail(at+".issuer", "is "+other+"'s too", "one issuer has one name: under two, one account would be two")
		}
		urls[p.Issuer+" "+p.ClientID] = p.Name
		if p.SubjectClaim != "" && p.SubjectClaim != "sub" && p.SubjectClaim != "oid" {
			k.fail(at+".subject_claim", fmt.Sprintf("%q is neither sub nor oid", p.SubjectClaim), "name a claim that never changes hands: e-mail addresses and names do")
		}
		if p.ClientID == "" {
			k.fail(at+".client_id", "is missing", "register this deployment with the provider and write the client id it gives")
		}
		if p.ClientSecret != nil && p.ClientSecret.sources() != 1 {
			k.fail(at+".client_secret", fmt.Sprintf("names %d sources", p.ClientSecret.sources()), "give one of file, env or command, or leave it out for a public client")
		}
		for key := range p.Params {
			if slices.Contains(reserved, strings.ToLower(key)) {
				k.fail(at+".params."+key, "is this server's to set", "remove it")
			}
		}
		for j, s := range p.Scopes {
			if s == "" || strings.ContainsAny(s, " \"\\") {
				k.fail(fmt.Sprintf("%s.scopes[%d]", at, j), fmt.Sprintf("%q is no scope", s), "one scope an entry")
			}
		}
	}
}
