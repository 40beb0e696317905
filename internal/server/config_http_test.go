package server

import (
	"strings"
	"testing"
)

const goodHTTP = `
issuers: [{ name: corp, issuer: "https://id.example.com", client_id: assent, client_secret: { env: PW } }]
gates:
  - name: web
    type: http
    env: prod
    listen: 127.0.0.1:8443
    http: { hsts: 24h }
    routes:
      - { name: app, host: app.example.com, path: /, upstreams: ["http://127.0.0.1:3000"], people: true, health: { path: /healthz } }
      - name: api
        host: app.example.com
        path: /api
        upstreams: ["https://10.0.0.5:8443", "https://10.0.0.6:8443"]
        headers: { Authorization: { env: PW } }
        identity: { audience: api }
        streams: [/pkg.Service/Watch]
`

// What a configuration of an HTTP gate may not say, each with its place and remedy.
func TestHTTPConfig(t *testing.T) {
	if _, err := ParseConfig("a.yaml", []byte(goodHTTP)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	head, _, _ := strings.Cut(goodHTTP, "    routes:")
	if _, err := ParseConfig("a.yaml", []byte(head)); err == nil || !strings.Contains(err.Error(), "gates[0].routes: is missing") {
		t.Errorf("no routes: %v", err)
	}
	for name, c := range map[string]struct{ from, to, want string }{
		"beyond loopback":    {"127.0.0.1:8443", "0.0.0.0:8443", "a.yaml:7:13: gates[0].listen: listens beyond loopback without TLS"},
		"plain upstream":     {"http://127.0.0.1:3000", "http://10.0.0.1:3000", "upstreams[0]: is not encrypted"},
		"upstream's path":    {"http://127.0.0.1:3000", "http://127.0.0.1:3000/base", "a path belongs in prepend:"},
		"credential in it":   {"http://127.0.0.1:3000", "http://u:hunter2@127.0.0.1:3000", "credentials belong in headers:"},
		"two schemes":        {"https://10.0.0.6:8443", "http://127.0.0.1:8443", "upstreams[1]: has another scheme"},
		"no upstream":        {`["http://127.0.0.1:3000"]`, "[]", "routes[0].upstreams: is missing"},
		"same place twice":   {"path: /api\n", "path: /\n", "route app has the same host and path"},
		"same name twice":    {"name: api", "name: app", "routes[1].name: \"app\" is not a short name of its own"},
		"a host with scheme": {"host: app.example.com,", "host: \"https://app.example.com\",", "is not a host"},
		"a wildcard":         {"host: app.example.com,", "host: \"*.example.com\",", "is not a host"},
		"a path with dots":   {"path: /api\n", "path: /api/../x\n", "is not a plain path"},
		"our own header":     {"Authorization:", "X-Assent-Identity:", "is not a header that may be set"},
		"framing header":     {"Authorization:", "Content-Length:", "is not a header that may be set"},
		"two sources":        {"{ Authorization: { env: PW } }", "{ Authorization: { env: PW, file: x } }", "names 2 sources"},
		"no audience":        {"{ audience: api }", "{ groups: true }", "identity.audience: is missing"},
		"h2c over TLS":       {"        streams:", "        protocol: h2c\n        streams:", "is not plain, and h2c is"},
		"a method's form":    {"/pkg.Service/Watch", "pkg.Service.Watch", "is no method of gRPC"},
		"CONNECT":            {"        streams:", "        methods: [CONNECT]\n        streams:", "is not a method that may pass"},
		"health elsewhere":   {"path: /healthz", "path: healthz", "health: can't be asked for"},
		"redirect to nobody": {"hsts: 24h", `redirect: "127.0.0.1:80"`, "there is no https"},
		"ACME in clear":      {"hsts: 24h", `acme: { directory: "http://acme.example.com/dir" }`, "is not the address of a directory"},
		"no such issuer":     {"hsts: 24h", "sign_in: other", "names no issuer"},
		"unknown key":        {"people: true", "peoples: true", "did you mean people?"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(goodHTTP, c.from, c.to, 1)
			if text == goodHTTP {
				t.Fatal("the case changes nothing")
			}
			_, err := ParseConfig("a.yaml", []byte(text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant  %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}
