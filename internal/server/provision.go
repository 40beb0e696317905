package server

import (
	"net/http"

	"github.com/assenthq/assent/internal/scim"
)

// provisioning is where identity providers say who has an account with them.
func (s *Server) provisioning() http.Handler {
	return scim.New(scim.Options{Credentials: s.tokens, Directory: s.dir, PublicURL: s.cfg.PublicURL, Logger: s.log})
}

// accountsLeft ends the sessions of accounts that provisioning disabled, here or on another node.
func (s *Server) accountsLeft() {
	if s.sessions != nil { // else the server is being made, and Run will look
		s.sessions.Left()
	}
}
