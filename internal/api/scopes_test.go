package api_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// mayCall says, apart from the table in ops.go, which credentials each
// operation is open to. A new operation that isn't here fails the test.
var mayCall = map[string]string{
	"POST /access/v1/evaluation":                          "agent gate",
	"POST /access/v1/evaluations":                         "agent gate",
	"POST /access/v1/requests":                            "agent gate",
	"GET /access/v1/requests":                             "agent",
	"GET /access/v1/requests/{id}":                        "agent gate",
	"POST /access/v1/requests/{id}/cancel":                "agent gate",
	"POST /access/v1/requests/{id}/outcome":               "gate",
	"POST /v1/hooks/{agent}":                              "agent",
	"POST /v1/scan":                                       "agent gate reviewer reader admin",
	"POST /v1/mask":                                       "agent gate reviewer reader admin",
	"POST /v1/findings":                                   "agent gate admin",
	"GET /v1/environment":                                 "agent",
	"GET /v1/aws/credentials":                             "agent",
	"POST /v1/commands":                                   "agent",
	"POST /v1/commands/{run}/output":                      "agent",
	"POST /v1/commands/{run}/outcome":                     "agent",
	"GET /v1/approvals":                                   "reviewer reader admin",
	"GET /v1/approvals/{id}":                              "reviewer reader admin",
	"POST /v1/approvals/{id}/review":                      "reviewer",
	"POST /v1/approvals/{id}/withdraw":                    "reviewer admin",
	"GET /v1/audit/records":                               "reader admin",
	"GET /v1/audit/checkpoint":                            "reviewer reader admin",
	"GET /v1/audit/proof":                                 "reader admin",
	"POST /v1/audit/evidence":                             "reader admin",
	"GET /log/checkpoint":                                 "reviewer reader admin",
	"GET /log/tile/{tile}":                                "reviewer reader admin",
	"GET /log/tile/entries/{bundle}":                      "reader admin",
	"GET /v1/events":                                      "reviewer reader admin",
	"GET /v1/freezes":                                     "reviewer reader admin",
	"POST /v1/freezes":                                    "reviewer admin",
	"POST /v1/freezes/{id}/thaw":                          "reviewer admin",
	"GET /v1/changes":                                     "reviewer reader admin",
	"GET /v1/changes/{id}":                                "reviewer reader admin",
	"GET /v1/accounts":                                    "reviewer reader admin",
	"DELETE /v1/links/{id}":                               "reviewer admin",
	"GET /v1/standins":                                    "reviewer reader admin",
	"DELETE /v1/standins/{id}":                            "reviewer admin",
	"GET /v1/oncall":                                      "reviewer reader admin",
	"POST /v1/oncall/swaps":                               "admin",
	"DELETE /v1/oncall/swaps/{id}":                        "admin",
	"POST /v1/members":                                    "admin",
	"GET /v1/members":                                     "admin",
	"DELETE /v1/members/{role}/{name}":                    "admin",
	"POST /v1/erasures":                                   "admin",
	"GET /v1/holds":                                       "admin",
	"POST /v1/holds":                                      "admin",
	"POST /v1/holds/{id}/release":                         "admin",
	"GET /v1/groups":                                      "reviewer reader admin",
	"POST /v1/groups":                                     "admin",
	"GET /v1/settings":                                    "reviewer reader admin",
	"POST /v1/settings":                                   "admin",
	"GET /v1/recordings":                                  "reader admin",
	"GET /v1/recordings/{id}":                             "reader admin",
	"GET /v1/recordings/{id}/cast":                        "reader admin",
	"GET /v1/tools":                                       "reviewer reader admin",
	"GET /v1/tools/{id}":                                  "reviewer reader admin",
	"POST /v1/tools/{id}/release":                         "admin",
	"POST /v1/tools/{id}/hold":                            "admin",
	"POST /v1/vault/read":                                 "reviewer",
	"POST /v1/vault/erase":                                "admin",
	"GET /v1/passkeys":                                    "reviewer reader admin",
	"DELETE /v1/passkeys/{id}":                            "reviewer admin",
	"GET /v1/approvals/{id}/standing":                     "reviewer reader admin",
	"GET /v1/standing":                                    "reviewer reader admin",
	"POST /v1/standing/{id}/revoke":                       "reviewer admin",
	"POST /v1/policy":                                     "admin",
	"GET /v1/emergencies":                                 "reviewer reader admin",
	"POST /v1/emergencies":                                "reviewer admin",
	"POST /v1/emergencies/{id}/review":                    "reviewer admin",
	"GET /v1/channels":                                    "admin",
	"POST /v1/channels/{name}/test":                       "admin",
	"GET /v1/deliveries":                                  "admin",
	"POST /v1/deliveries/{id}/replay":                     "admin",
	"GET /v1/reviewers/quality":                           "reviewer reader admin",
	"POST /v1/connectors":                                 "admin",
	"GET /v1/connectors":                                  "admin",
	"DELETE /v1/connectors/{name}":                        "admin",
	"POST /v1/tokens":                                     "admin",
	"GET /v1/tokens":                                      "admin",
	"DELETE /v1/tokens/{id}":                              "admin",
	"GET /v1/whoami":                                      "agent gate reviewer reader admin",
	"GET /metrics":                                        "reader admin",
	"GET /healthz":                                        "nobody agent gate reviewer reader admin forged",
	"GET /readyz":                                         "nobody agent gate reviewer reader admin forged",
	"GET /.well-known/authzen-configuration":              "nobody agent gate reviewer reader admin forged",
	"GET /v1/ca":                                          "nobody agent gate reviewer reader admin forged",
	"GET /.well-known/jwks.json":                          "nobody agent gate reviewer reader admin forged",
	"POST /v1/approvals/{id}/questions":                   "reviewer",
	"POST /v1/approvals/{id}/snooze":                      "reviewer",
	"GET /v1/quiet-hours":                                 "reviewer reader admin",
	"PUT /v1/quiet-hours":                                 "reviewer",
	"POST /v1/approvals/{id}/questions/{question}/answer": "agent gate reviewer",
	"POST /v1/login":                                      "nobody agent gate reviewer reader admin forged",
	"POST /v1/login/poll":                                 "nobody agent gate reviewer reader admin forged",
	"GET /v1/sessions":                                    "reviewer reader admin",
	"DELETE /v1/sessions/{id}":                            "reviewer reader admin",
}

// specOperations lists "METHOD /path" of all operations in openapi.json.
func (w *world) specOperations() []string {
	var spec struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	a := w.call("GET", "/openapi.json", "", nil)
	mustDecode(w.t, a.body, &spec)
	if a.status != 200 || !strings.HasPrefix(spec.OpenAPI, "3.1") {
		w.t.Fatalf("openapi.json: %d, version %q", a.status, spec.OpenAPI)
	}
	var out []string
	for path, item := range spec.Paths {
		for method := range item {
			out = append(out, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(out)
	return out
}

func TestEveryOperationWithEveryCredential(t *testing.T) {
	maps.Copy(mayCall, actorsMayCall)
	w := newWorld(t)
	forged := w.mira[:len(w.mira)-1] + "0"
	if forged == w.mira {
		forged = w.mira[:len(w.mira)-1] + "1"
	}
	tokens := map[string]string{"nobody": "", "agent": w.agent, "gate": w.gate, "reviewer": w.jonas, "reader": w.reader, "admin": w.admin, "forged": forged}
	ops := w.specOperations()
	if len(ops) != len(mayCall) {
		t.Errorf("openapi.json has %d operations, the test knows %d", len(ops), len(mayCall))
	}
	for _, op := range ops {
		open, known := mayCall[op]
		if !known {
			t.Errorf("%s: nobody said who may call it", op)
			continue
		}
		method, path, _ := strings.Cut(op, " ")
		path = strings.ReplaceAll(path, "{id}", "apr_0000000000000000")
		for who, token := range tokens {
			got := w.knock(method, path, token)
			want := "open"
			if !slices.Contains(strings.Fields(open), who) {
				want = "scope"
				if who == "nobody" || who == "forged" {
					want = "credential"
				}
			}
			if got != want {
				t.Errorf("%s as %s: %s, want %s", op, who, got, want)
			}
		}
	}
}

// knock says how far a credential comes: "credential" and "scope" are closed
// doors, everything behind them is "open".
func (w *world) knock(method, path, token string) string {
	var body any
	if method == http.MethodPost {
		body = "{}"
	}
	a := w.open(method, path, token, body)
	switch a.status {
	case http.StatusUnauthorized:
		if a.header.Get("WWW-Authenticate") == "" {
			w.t.Errorf("%s %s: 401 without WWW-Authenticate", method, path)
		}
		a.problem(w.t, 401, "credential")
		return "credential"
	case http.StatusForbidden:
		a.problem(w.t, 403, "scope")
		return "scope"
	case http.StatusInternalServerError:
		w.t.Errorf("%s %s: %s", method, path, a.body)
	}
	return "open"
}

func TestAgentsNeverReachReviewing(t *testing.T) {
	w := newWorld(t)
	id := w.hold(w.agent, "copy customers to stdout")
	for _, token := range []string{w.agent, w.other, w.gate} {
		for _, path := range []string{"/review", "/withdraw"} {
			a := w.call("POST", "/v1/approvals/"+id+path, token, map[string]any{"decision": "approve", "digest": "sha256:" + strings.Repeat("0", 64), "version": 1, "reason": "x"})
			a.problem(t, 403, "scope")
		}
		w.call("GET", "/v1/approvals/"+id, token, nil).problem(t, 403, "scope")
	}
	w.call("POST", "/v1/tokens", w.admin, map[string]any{"kind": "actor", "actors": []string{"agent:other"}, "scopes": []string{"review"}}).problem(t, 403, "token-scope")
	w.call("POST", "/v1/tokens", w.admin, map[string]any{"kind": "gate", "scopes": []string{"gate", "review"}}).problem(t, 403, "token-scope")
	if got := w.state(id); got != "pending" {
		t.Fatalf("the approval is %s", got)
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	var made struct {
		Token string         `json:"token"`
		Info  map[string]any `json:"info"`
	}
	a := w.call("POST", "/v1/tokens", w.admin, map[string]any{"kind": "person", "subject": "person:ada", "scopes": []string{"review"}, "expires_in": 60})
	if a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a.json(t, &made)
	w.call("GET", "/v1/approvals", made.Token, nil)
	// Nobody answers in another's name, an administrator least of all.
	for _, scope := range []string{"review", "read", "mint", "admin"} {
		w.call("POST", "/v1/tokens", w.admin, map[string]any{"kind": "person", "subject": "person:mira", "scopes": []string{scope}}).problem(t, 403, "not-yours")
	}
	if a := w.call("GET", "/v1/tokens", w.admin, nil); strings.Contains(string(a.body), made.Token) || strings.Contains(string(a.body), "stored_key") || a.status != 200 {
		t.Fatalf("the list shows too much: %d", a.status)
	}
	id := made.Info["id"].(string)
	if a := w.call("DELETE", "/v1/tokens/"+id, w.admin, nil); a.status != 204 || len(a.body) != 0 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.call("GET", "/v1/approvals", made.Token, nil).problem(t, 401, "credential")
	w.call("DELETE", "/v1/tokens/0123456789ab", w.admin, nil).problem(t, 404, "not-found")
	w.call("POST", "/v1/tokens", w.admin, map[string]any{"kind": "person", "subject": "person:nobody", "scopes": []string{"read"}}).problem(t, 400, "invalid")
	w.call("POST", "/v1/tokens", w.admin, map[string]any{"kind": "person", "subject": "person:mira"}).problem(t, 400, "invalid")
	w.call("POST", "/v1/tokens", w.admin, map[string]any{"kind": "wizard"}).problem(t, 422, "invalid")
	if strings.Contains(w.logs.String(), made.Token) {
		t.Fatal("the log holds a token")
	}
}
