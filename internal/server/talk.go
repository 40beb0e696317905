package server

import "github.com/assenthq/assent/internal/mask"

// masked replaces sensitive values in what people and agents say of an approval.
func (s *Server) masked(text string) string {
	out, _, _ := mask.MaskStatement(text, s.detect)
	return out
}
