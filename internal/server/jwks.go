package server

import (
	"encoding/json"

	"github.com/go-jose/go-jose/v4"
)

// jwks is what the API publishes: the keys of grants, and those of identity headers.
func (s *Server) jwks() []byte {
	var all, more jose.JSONWebKeySet
	if json.Unmarshal(s.minter.JWKS(), &all) != nil || json.Unmarshal(s.passport.JWKS(), &more) != nil {
		return s.minter.JWKS()
	}
	all.Keys = append(all.Keys, more.Keys...)
	out, err := json.Marshal(all)
	if err != nil {
		return s.minter.JWKS()
	}
	return out
}
