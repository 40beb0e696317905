package server

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
)

// An LLMConfig is what is an LLM gate's own.
type LLMConfig struct {
	Providers []LLMProviderConfig `yaml:"providers" doc:"Where models are, each at /NAME."`
	Budgets   []LLMBudgetConfig   `yaml:"budgets" doc:"What actors and people may use."`
	Prices    []LLMPriceConfig    `yaml:"prices" doc:"What models cost, for budgets of money. The first that fits counts."`
}

// An LLMProviderConfig is one provider of models.
type LLMProviderConfig struct {
	Name    string            `yaml:"name" doc:"Short name: its API is at /NAME/v1."`
	API     string            `yaml:"api" doc:"Whose API it speaks: openai or anthropic."`
	URL     string            `yaml:"url" doc:"Address before /v1: https, or http on loopback." default:"https://api.openai.com or https://api.anthropic.com"`
	CA      string            `yaml:"ca" doc:"Certificate authorities that may sign the provider's certificate (PEM). Unset: the system's."`
	Key     Secret            `yaml:"key" doc:"The real key; agents never see it."`
	Header  string            `yaml:"header" doc:"Header that the key goes in. Unset: Authorization (as a bearer token) for openai, X-Api-Key for anthropic."`
	Headers map[string]string `yaml:"headers" doc:"Further headers that the gate sets, such as OpenAI-Organization."`
	Trust   string            `yaml:"trust" doc:"external: what goes there leaves the house, and is a data.export where policy doesn't mask it. internal: it doesn't." default:"external"`
	Models  []string          `yaml:"models" doc:"Names or patterns (* and ?) of models that may be asked; others are refused, and what can be looked into counts as routine. Unset: any, each for policy to decide."`
	Hosted  []string          `yaml:"hosted_tools" doc:"Types or patterns of tools that run at the provider (web_search*, code_interpreter) and count as routine. A request with others does not."`
	Output  int64             `yaml:"max_output_tokens" doc:"Most tokens of one answer: a request for more is refused, one that names no limit gets this one."`
	Secrets string            `yaml:"secrets" doc:"deny: a request that carries a secret (a key, a token, a password in a URL) is refused. policy: it is masked, or not, as policy says." default:"deny"`
}

// An LLMBudgetConfig bounds what each actor or each person may use.
type LLMBudgetConfig struct {
	Each   string   `yaml:"each" doc:"actor, or person: all that acts on their behalf together." default:"actor"`
	Only   []string `yaml:"only" doc:"Ids or patterns of the actors (agent:NAME) or people that it is for. Unset: all."`
	Input  int64    `yaml:"input_tokens" doc:"Tokens that may be sent in 24 hours."`
	Output int64    `yaml:"output_tokens" doc:"Tokens of answers in 24 hours."`
	Cost   float64  `yaml:"cost" doc:"What may be spent in 24 hours, in the currency of prices. A model without a price is then refused."`
	Minute int      `yaml:"requests_per_minute" doc:"Requests in a minute, at each node."`
}

// An LLMPriceConfig is what tokens of a model cost.
type LLMPriceConfig struct {
	Model  string  `yaml:"model" doc:"Name or pattern (* and ?)."`
	Input  float64 `yaml:"input" doc:"Of a million tokens that are sent."`
	Output float64 `yaml:"output" doc:"Of a million tokens of answers."`
}

// micros is an amount in millionths.
func micros(amount float64) int64 { return int64(math.Round(amount * 1e6)) }

// address is where a provider is.
func (p *LLMProviderConfig) address() string {
	if p.URL != "" {
		return strings.TrimSuffix(strings.TrimSuffix(p.URL, "/"), "/v1")
	}
	return map[string]string{"openai": "https://api.openai.com", "anthropic": "https://api.anthropic.com"}[p.API]
}

func (k *checker) llmGate(at string, g *GateConfig) {
	k.noActors(at, g)
	if g.LLM == nil || len(g.LLM.Providers) == 0 {
		k.fail(at+".llm", "names no provider", "add llm: { providers: [{ name: openai, api: openai, key: { file: … } }] }")
		return
	}
	seen := map[string]bool{}
	for i := range g.LLM.Providers {
		p := &g.LLM.Providers[i]
		at := fmt.Sprintf("%s.llm.providers[%d]", at, i)
		if !name.MatchString(p.Name) || seen[p.Name] {
			k.fail(at+".name", fmt.Sprintf("%q is not a short name of its own", p.Name), "use lower-case letters, digits, '.', '_' and '-', and another name for each")
		}
		seen[p.Name] = true
		k.llmProvider(at, p)
	}
	for i, b := range g.LLM.Budgets {
		at := fmt.Sprintf("%s.llm.budgets[%d]", at, i)
		if b.Each != "" && b.Each != "actor" && b.Each != "person" {
			k.fail(at+".each", fmt.Sprintf("%q", b.Each), "write actor or person")
		}
		if b.Input < 0 || b.Output < 0 || b.Cost < 0 || b.Minute < 0 || b.Input == 0 && b.Output == 0 && b.Cost == 0 && b.Minute == 0 || b.Cost > 1e9 {
			k.fail(at, "bounds nothing", "give input_tokens, output_tokens, cost or requests_per_minute above 0")
		}
		if b.Cost > 0 && len(g.LLM.Prices) == 0 {
			k.fail(at+".cost", "there are no prices", "add llm.prices: [{ model: \"gpt-*\", input: 2.5, output: 10 }]")
		}
	}
	for i, p := range g.LLM.Prices {
		if p.Model == "" || p.Input < 0 || p.Output < 0 || p.Input > 1e6 || p.Output > 1e6 {
			k.fail(fmt.Sprintf("%s.llm.prices[%d]", at, i), "is no price of a model", "give model, input and output, for a million tokens")
		}
	}
}

func (k *checker) llmProvider(at string, p *LLMProviderConfig) {
	if p.API != "openai" && p.API != "anthropic" {
		k.fail(at+".api", fmt.Sprintf("%q", p.API), "write openai or anthropic: whose API it speaks")
		return
	}
	u, err := url.Parse(p.address())
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http":
		k.fail(at+".url", "is not an address", "for example https://api.openai.com")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		k.fail(at+".url", "is not encrypted", "use https: what the gate sends holds its key")
	}
	if n := p.Key.sources(); n != 1 {
		k.fail(at+".key", fmt.Sprintf("names %d sources", n), "give one of file, env or command")
	}
	if p.Header != "" && !headerName(p.Header) {
		k.fail(at+".header", "is not a header that may be set", "for example Authorization or Api-Key")
	}
	for name, v := range p.Headers {
		if !headerName(name) || strings.ContainsAny(v, "\r\n\x00") || http.CanonicalHeaderKey(name) == "Authorization" {
			k.fail(at+".headers."+name, "is not a header that may be set", "for example OpenAI-Organization; the key has its own place")
		}
	}
	if p.Trust != "" && p.Trust != "external" && p.Trust != "internal" {
		k.fail(at+".trust", fmt.Sprintf("%q", p.Trust), "write external or internal")
	}
	if p.Secrets != "" && p.Secrets != "deny" && p.Secrets != "policy" {
		k.fail(at+".secrets", fmt.Sprintf("%q", p.Secrets), "write deny or policy")
	}
	if p.Output < 0 {
		k.fail(at+".max_output_tokens", "is negative", "leave it out for none")
	}
}
