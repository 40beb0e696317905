package api

import (
	"net/http"

	"github.com/assenthq/assent/internal/identity"
)

// toolsPath is where agents' MCP clients find the tools with which they ask.
const toolsPath = "/mcp"

// tools mounts the tools of Options.Tools: behind the guard, for actors alone. They
// call the API themselves, with the same credential.
func (s *server) tools(self http.Handler) {
	if s.Tools == nil {
		return
	}
	h := s.Tools(self)
	s.mux.HandleFunc("POST "+toolsPath, func(w http.ResponseWriter, r *http.Request) {
		c, p := s.callerIn(r.Context(), r.Header.Values("Authorization"))
		if p == nil && (c.Kind != identity.KindActor || !c.Has(act)) {
			p = problem(http.StatusForbidden, "scope", "These tools are for agents. Needed: a token with scope act, as assent token mint --actor NAME makes one.")
		}
		if p == nil {
			p = s.frozen(c)
		}
		if p != nil {
			p.write(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
