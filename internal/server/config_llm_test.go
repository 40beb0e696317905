package server

import (
	"strings"
	"testing"
)

func TestLLMConfig(t *testing.T) {
	const good = `gates:
  - name: models
    type: llm
    listen: 127.0.0.1:8730
    env: prod
    llm:
      providers: [{ name: openai, api: openai, key: { file: key }, models: ["gpt-*"] }]
      budgets: [{ each: person, cost: 2.5 }]
      prices: [{ model: "gpt-*", input: 2.5, output: 10 }]
`
	c, err := ParseConfig("a.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if l := c.Gates[0].LLM; l.Providers[0].address() != "https://api.openai.com" || micros(l.Budgets[0].Cost) != 2_500_000 {
		t.Errorf("%+v", l)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"no provider", `providers: [{ name: openai, api: openai, key: { file: key }, models: ["gpt-*"] }]`, "providers: []", "gates[0].llm: names no provider"},
		{"another API", "api: openai", "api: cohere", `llm.providers[0].api: "cohere"`},
		{"no key", "key: { file: key }, ", "", "llm.providers[0].key: names 0 sources"},
		{"not encrypted", "api: openai,", "api: openai, url: \"http://models.example.com\",", "is not encrypted"},
		{"a credential in the address", "api: openai,", "api: openai, url: \"https://a:b@models.example.com\",", "is not an address"},
		{"trust", "api: openai,", "api: openai, trust: some,", `llm.providers[0].trust: "some"`},
		{"secrets", "api: openai,", "api: openai, secrets: allow,", `llm.providers[0].secrets: "allow"`},
		{"a header that means something", "api: openai,", "api: openai, headers: { Host: x },", "is not a header that may be set"},
		{"the key among headers", "api: openai,", "api: openai, headers: { authorization: x },", "is not a header that may be set"},
		{"a budget of nothing", "cost: 2.5 }", "cost: 0 }", "llm.budgets[0]: bounds nothing"},
		{"a budget in words", "cost: 2.5 }", "cost: much }", "llm.budgets[0].cost: wants a number"},
		{"whose budget", "each: person", "each: team", `llm.budgets[0].each: "team"`},
		{"a price below nothing", "input: 2.5", "input: -1", "llm.prices[0]: is no price"},
	} {
		text := strings.Replace(good, c.from, c.to, 1)
		if text == good {
			t.Fatalf("%s: the case changes nothing", c.name)
		}
		if _, err := ParseConfig("a.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}
